# The demo's way on tiny phantoms: made, checked, registered, trained on without the test part, and judged on that part and on a
# data set from elsewhere. The report knows which is which.
. "$(dirname "$0")/lib.sh"
rm -rf data other work
# geometry FILE: dimensions and sform in a NIfTI header
geometry() { zcat "$1" | head -c 348 | tail -c +41 | head -c 8 | cksum && zcat "$1" | head -c 328 | tail -c 48 | cksum; }
tiny="--preset demo --epochs 2 --iterations 2 --set spacing=6 --set patch=16 --set stages=3 --set features=8 --set features_max=16
      --set convs=1 --set convs_decoder=1 --set val_iterations=1"
# each phase in a breath-hold and on a grid of its own; the delayed phase is missing where the draw says so
expect 0 '2 cases for training, 2 for testing' "$d4m" phantom data -n 4 --preset tiny --set test_share=0.5 --set missing=1,0,0.5
delayed=$(find data -path '*/images*_0003.nii.gz' | wc -l)
[ "$delayed" -gt 0 ] && [ "$delayed" -lt 4 ] || fail "$delayed of 4 delayed phases"
expect 0 '' "$d4m" phantom other -n 1 --preset tiny --seed 2 --set test_share=0 --set missing=1,0,1
expect 0 '0 errors' "$d4m" check data
expect 0 'fail 0, not registered 0' "$d4m" register -d data -w work
expect 0 'fold_all' "$d4m" train segmenter -d data -w work --fold all $tiny
grep -q '"normalisation": *"ct"' work/models/segmenter-nnunet/fold_all/plan.json || fail "the plan does not tell the normalisation"
grep -q '"intensities": *"[-0-9.]*,' work/models/segmenter-nnunet/fold_all/plan.json || fail "the plan has no intensities"
model=work/models/segmenter-nnunet/fold_all
expect 0 '2 cases|ph_0000' "$d4m" predict --model $model -i data/imagesTs -o work/predictions/held_out --no-mirror --no-register
for k in 2 3; do
    [ "$(geometry work/predictions/held_out/ph_0000$k.nii.gz)" = "$(geometry data/imagesTs/ph_0000${k}_0002.nii.gz)" ] ||
        fail "case $k: the prediction lies not on the portal venous phase"
    [ "$(geometry data/imagesTs/ph_0000${k}_0001.nii.gz)" != "$(geometry data/imagesTs/ph_0000${k}_0002.nii.gz)" ] ||
        fail "case $k: the phases have one grid"
done
expect 0 'ph_00000' "$d4m" predict --model $model -i other -o work/predictions/elsewhere --no-mirror --register
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
