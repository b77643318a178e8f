# The demo's way on tiny phantoms: made, checked, trained on without the test part, and judged on that part and on a data
# set from elsewhere. The report knows which is which.
. "$(dirname "$0")/lib.sh"
rm -rf data other work
tiny="--preset demo --epochs 2 --iterations 2 --set spacing=6 --set patch=16 --set stages=3 --set features=8 --set features_max=16
      --set convs=1 --set convs_decoder=1 --set val_iterations=1 --no-register"
expect 0 '2 cases for training, 2 for testing' "$d4m" phantom data -n 4 --preset tiny --set test_share=0.5 --set missing=1,0,1
expect 0 '' "$d4m" phantom other -n 1 --preset tiny --seed 2 --set test_share=0 --set missing=1,0,1
expect 0 '0 errors' "$d4m" check data
expect 0 'fold_all' "$d4m" train segmenter -d data -w work --fold all $tiny
grep -q '"normalisation": *"ct"' work/models/segmenter-nnunet/fold_all/plan.json || fail "the plan does not tell the normalisation"
grep -q '"intensities": *"[-0-9.]*,' work/models/segmenter-nnunet/fold_all/plan.json || fail "the plan has no intensities"
model=work/models/segmenter-nnunet/fold_all
expect 0 '2 cases|ph_0000' "$d4m" predict --model $model -i data/imagesTs -o work/predictions/held_out --no-mirror --no-register
expect 0 'ph_00000' "$d4m" predict --model $model -i other -o work/predictions/elsewhere --no-mirror --no-register
expect 0 'Phantoms: nothing about patients' "$d4m" evaluate --pred work/predictions/held_out --ref data/labelsTs -o work/evaluation/held_out
grep -qE '95 % CI +[0-9.]+-[0-9.]+' out.txt || fail "no interval: $(cat out.txt)"
expect 0 '"phantom": *"Phantoms' cat work/evaluation/held_out/summary.json
expect 0 '' "$d4m" evaluate --pred work/predictions/elsewhere --ref other/labelsTr -o work/evaluation/elsewhere
expect 0 'index.html' "$d4m" report -w work --pictures 1
page=work/report/index.html
[ "$(grep -c '<h2>Held out</h2>\|<h2>Elsewhere</h2>' $page)" = 2 ] || fail "the report has not both sets"
[ "$(grep -c 'Phantoms: nothing about patients' $page)" = 2 ] || fail "the sentence about phantoms is not with every set"
grep -q 'Unseen in training: .*the test part of that data set' $page || fail "the test part is not told to be unseen"
grep -q 'worst of 2' $page || fail "no picture of the worst case"
# the case from elsewhere is called like one of the training cases, so nothing is claimed of it
grep -q 'has the name of a training case' $page || fail "a case with the name of a training case passes for unseen"
exit 0
