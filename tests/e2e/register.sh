# A data set's phases, registered: results, going on, killed and taken up again, training on them; then wrong usage.
. "$(dirname "$0")/lib.sh"
rm -rf data work killed trained one little bad_label
expect 0 '' "$d4m" phantom data -n 1 --preset tiny --set missing=1,0,1 --set test_share=0
fast="--spacing 4"
of=work/registered

expect 0 '(pass|warn) 1, ' "$d4m" register -d data -w work $fast
for f in imagesTr/ph_00000_0001.nii.gz imagesTr/ph_00000_0002.nii.gz valid/ph_00000_0001.nii.gz transforms/ph_00000_0001.d4m \
    transforms/ph_00000_0001.json qc/ph_00000_0001.png qc/ph_00000_0001_axial.png labelsTr/ph_00000.nii.gz dataset.json verdict.json; do
    [ -s "$of/$f" ] || fail "$f is missing"
done
cmp "$of/imagesTr/ph_00000_0002.nii.gz" data/imagesTr/ph_00000_0002.nii.gz || fail "the reference phase is another"
expect 0 '"complete": true' cat $of/verdict.json
expect 0 '0 errors' "$d4m" check $of
# applying the transform gives the registered image
expect 0 '' "$d4m" transform apply data/imagesTr/ph_00000_0001.nii.gz -t $of/transforms/ph_00000_0001.d4m -o again.nii.gz
cmp -i 352 <(zcat again.nii.gz) <(zcat $of/imagesTr/ph_00000_0001.nii.gz) || fail "transform apply gives another image"

# the phantom's truth tells how much of 8.9 mm in the liver is left: under 4 (and that fields of truth run as ours do)
expect 0 'liver +error 8\.[0-9]+ -> [0-3]\.[0-9]+ mm' "$d4m" evaluate registration -t $of/transforms/ph_00000_0001.d4m \
    --truth data/truth/ph_00000_field_0001.nii.gz --fixed-labels data/truth/ph_00000_labels_0002.nii.gz \
    --moving-labels data/truth/ph_00000_labels_0001.nii.gz --names 1=liver -o scores
grep -q 'Phantoms: nothing about patients' err.txt && grep -q 'Phantoms: nothing' scores/registration.html || fail "no word about phantoms"

# what is there is kept; a changed input is not
before=$(stat -c %Y.%i $of/transforms/ph_00000_0001.json)
expect 0 '1 of them kept' "$d4m" register -d data -w work $fast
[ "$before" = "$(stat -c %Y.%i $of/transforms/ph_00000_0001.json)" ] || fail "redone"
expect 0 '0 of them kept' "$d4m" register -d data -w work $fast --force

# killed in the middle: no record, and the next run gives the same bytes
"$d4m" register -d data -w killed $fast -q >/dev/null 2>&1 &
sleep 0.1
kill -9 $! 2>/dev/null
wait $! 2>/dev/null
expect 0 '' "$d4m" register -d data -w killed $fast --threads 1
for f in imagesTr/ph_00000_0001.nii.gz transforms/ph_00000_0001.d4m; do
    cmp "killed/registered/$f" "$of/$f" || fail "$f has other bytes after a kill, with another number of threads"
done
[ -z "$(find killed -name '*.tmp*')" ] || fail "temporary files are left"

# one pair: masks that say nothing are refused; a liver that a field of view cuts is no difference in volume
one="register --fixed data/imagesTr/ph_00000_0002.nii.gz --moving data/imagesTr/ph_00000_0002.nii.gz -o one $fast"
expect 3 'voxels.*are no labels|values that are no labels' "$d4m" $one --fixed-liver data/imagesTr/ph_00000_0001.nii.gz
expect 0 'pass' "$d4m" $one --fixed-liver data/labelsTr/ph_00000.nii.gz --moving-liver data/labelsTr/ph_00000.nii.gz
expect 0 '"volume_ratio": (1\.0|1,|0\.99)' cat one/verdict.json

# training registers by itself and goes on with what register left
expect 0 '' "$d4m" train segmenter -d data -w trained --preset demo --epochs 1 --iterations 1 --set spacing=8 --set patch=16 \
    --set stages=3 --set features=8 --set features_max=16 --set convs=1 --set convs_decoder=1 --set val_iterations=1
[ -s trained/registered/imagesTr/ph_00000_0001.nii.gz ] || fail "training did not register"
[ -s trained/prepared/ph_00000_0001.nii ] || fail "the registered phase was not used"

# wrong usage; a damaged phase does not stop the others
expect 2 'fixed, --moving' "$d4m" register -d data
expect 2 'fixed, --moving' "$d4m" register --fixed data/imagesTr/ph_00000_0002.nii.gz -w work
expect 2 'nowhere' "$d4m" register -d nowhere -w work
head -c 5000 data/imagesTr/ph_00000_0001.nii.gz >data/imagesTr/ph_00000_0000.nii.gz
expect 5 'ph_00000_0000' "$d4m" register -d data -w work $fast
expect 0 '"verdict": "unfit"' cat $of/verdict.json
[ ! -e $of/imagesTr/ph_00000_0000.nii.gz ] || fail "an image of a damaged phase"
# nor does a label on another grid than its case's: the phases are there, the exit code tells
mv data/labelsTr/ph_00000.nii.gz label.nii.gz
expect 0 '' "$d4m" transform apply label.nii.gz -t $of/transforms/ph_00000_0001.d4m --inverse \
    -o data/labelsTr/ph_00000.nii.gz
rm data/imagesTr/ph_00000_0000.nii.gz
expect 5 'ph_00000: .*grid' "$d4m" register -d data -w bad_label $fast
[ -s bad_label/registered/imagesTr/ph_00000_0001.nii.gz ] || fail "a bad label stopped the registration"
expect 0 '"complete": true' cat bad_label/registered/verdict.json
expect 7 'GB.*--mem' "$d4m" register --fixed data/imagesTr/ph_00000_0002.nii.gz --moving data/imagesTr/ph_00000_0001.nii.gz -o little --mem 20M
[ -z "$(ls little)" ] || fail "a run without memory leaves files"
exit 0
