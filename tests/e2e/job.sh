# The main job on the bundled patient, small: check, train, predict (all subsets of phases), evaluate, report; then wrong inputs.
. "$(dirname "$0")/lib.sh"
data=$source_folder/examples/hcc-005-small
tiny="--set spacing=8 --set patch=16 --set stages=3 --set features=8 --set features_max=16 --set convs=1 --set convs_decoder=1
      --set val_iterations=1 --no-register"
rm -rf work out eval

expect 0 'warning|no problem|ok' "$d4m" check "$data"
expect 0 'models/segmenter-nnunet/fold_all' "$d4m" train segmenter -d "$data" -w work --preset demo --epochs 2 --iterations 3 $tiny
model=work/models/segmenter-nnunet/fold_all
for f in model.safetensors plan.json log.jsonl progress.png checkpoint/latest.safetensors; do
    [ -s "$model/$f" ] || fail "$f is missing"
done
expect 0 'already trained' "$d4m" train segmenter -d "$data" -w work --preset demo --epochs 2 --iterations 3 $tiny
expect 0 '"model"' "$d4m" train segmenter -d "$data" -w work --preset demo --epochs 2 --iterations 3 $tiny --json
expect 0 'too few for five folds' "$d4m" train segmenter -d "$data" -w work --preset demo --epochs 2 --iterations 3 $tiny --fold 3
expect 8 'another plan' "$d4m" train segmenter -d "$data" -w work --preset demo --epochs 3 --iterations 3 $tiny

expect 0 '' "$d4m" predict --model "$model" -i "$data" -o work/predictions --no-register
[ -s work/predictions/hcc005.nii.gz ] || fail "no mask"
expect 0 '"phases' cat work/predictions/result.json
number() { grep -o "\"$1\": *[0-9]*" work/predictions/result.json | grep -o '[0-9]*$'; }
if ! grep -q __asan_init "$d4m"; then # a sanitizer takes memory of its own
    [ "$(number memory_peak)" -le "$(number memory_predicted)" ] ||
        fail "$(number memory_peak) bytes were needed, $(number memory_predicted) predicted"
fi
expect 0 'F32|encoder' "$d4m" weights show "$model/model.safetensors"
# one weights file is a whole model
expect 0 '' "$d4m" predict --model "$model/model.safetensors" -i "$data" -o out/whole --no-register
cmp -s out/whole/hcc005.nii.gz work/predictions/hcc005.nii.gz || fail "folder and file give different masks"
expect 0 '' "$d4m" predict --model "$model" -i "$data" -o out/narrow --precision bf16 --no-mirror --no-register
expect 0 '"precision": *"bf16"' cat out/narrow/result.json

# every subset of the phases that there are, without mirroring; one of them registered
for subset in 0 1 2 "0 1" "0 2" "1 2"; do
    rm -rf some && mkdir some
    for k in $subset; do
        ln -s "$data/imagesTr/hcc005_000$k.nii.gz" some/
    done
    how=--no-register
    [ "$subset" != "1 2" ] || how=--register
    expect 0 '' "$d4m" predict --model "$model" -i some -o out/some --no-mirror $how
    [ -s out/some/hcc005.nii.gz ] || fail "subset $subset: no mask"
    [ $how != --register ] || expect 0 '"verdict": "(pass|warn)"' cat out/some/result.json
    rm -rf out/some
done
expect 2 'NIfTI' "$d4m" predict --model "$model" -i "$source_folder/README.md" -o out
cp "$data/imagesTr/hcc005_0002.nii.gz" plain.nii.gz
expect 2 '--phase' "$d4m" predict --model "$model" -i plain.nii.gz -o out/one.nii.gz
expect 0 '' "$d4m" predict --model "$model" -i plain.nii.gz --phase portal -o out/one.nii.gz --no-mirror
[ -s out/one.nii.gz ] || fail "no single mask"

expect 0 'tumour' "$d4m" evaluate --pred work/predictions --ref "$data/labelsTr" -o work/evaluation
[ -s work/evaluation/summary.json ] || fail "no summary"
grep -q NaN work/evaluation/summary.json && fail "NaN in summary.json"
expect 0 '' "$d4m" report -w work
grep -q 'Research use only' work/report/index.html || fail "no research-use notice"
grep -q 'generalis' work/report/index.html || fail "the report does not say that this is the training case"

# what goes wrong says so in one line, with the right code, and leaves no output
expect 2 'd4m: error' "$d4m" train segmenter -d /nonexistent -w w2
[ ! -e w2 ] || fail "a work folder was made for nothing"
expect 2 'unknown|no field|did you mean' "$d4m" train segmenter -d "$data" -w w2 --set lrr=1
printf 'not a nifti file' >bad_0002.nii.gz
expect 4 'bad_0002' "$d4m" predict --model "$model" -i bad_0002.nii.gz -o out/bad.nii.gz
[ ! -e out/bad.nii.gz ] || fail "a mask was left for a bad case"
expect 2 'model' "$d4m" predict --model /nonexistent -i "$data" -o out
printf '\x02\0\0\0\0\0\0\0{}' >empty.safetensors
expect 8 'empty.safetensors' "$d4m" predict --model empty.safetensors -i "$data" -o out
expect 7 'GB|MB' "$d4m" predict --model "$model" -i "$data" -o out/small --mem 20M
if [ "$(id -u)" != 0 ]; then
    mkdir -p locked && chmod 555 locked
    expect 6 'locked' "$d4m" predict --model "$model" -i "$data" -o locked/out
fi
# a folder of cases goes on after a failing one
mkdir -p many && cp bad_0002.nii.gz many/ && cp "$data/imagesTr/hcc005_0002.nii.gz" many/good_0002.nii.gz
expect 5 'bad' "$d4m" predict --model "$model" -i many -o out/many --no-mirror
[ -s out/many/good.nii.gz ] && [ ! -e out/many/bad.nii.gz ] || fail "the good case must be there, the bad one not"
exit 0
