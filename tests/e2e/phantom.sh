# d4m phantom: the layout, same bytes however it is made, what a parameter may change, stopping, refusals, check, registration.
. "$(dirname "$0")/lib.sh"
rm -rf out && mkdir out && cd out || exit 1

# voxels of an image; the gzip stream is the compressor's business
voxels() { zcat "$1" | tail -c +353 | sha256sum | cut -c1-64; }
same() { [ "$(voxels "$1")" = "$(voxels "$2")" ] || fail "$1 and $2 differ"; }
other() { [ "$(voxels "$1")" != "$(voxels "$2")" ] || fail "$1 and $2 are the same"; }
tiny() { expect 0 '' "$d4m" phantom "$@" --preset tiny --seed 1 --set missing=0; }

tiny a -n 3 --set test_share=0.34 --clean
for f in dataset.json imagesTr/ph_00000_000{0,1,2,3}.nii.gz labelsTr/ph_00001.nii.gz imagesTs/ph_00002_0000.nii.gz \
    labelsTs/ph_00002.nii.gz truth/ph_00002.json truth/ph_00000_labels_000{0,1,2,3}.nii.gz \
    truth/ph_00000_field_000{0,1,3}.nii.gz truth/ph_00000_clean_0002.nii.gz; do
    [ -s a/$f ] || fail "$f is missing"
done
[ ! -e a/truth/ph_00000_field_0002.nii.gz ] || fail "the portal venous phase has a field"
[ ! -e a/.phantom ] || fail "the work folder is left"
[ "$(find a -type f | wc -l)" = 52 ] || fail "$(find a -type f | wc -l) files"
expect 0 '"numTraining": 2' cat a/dataset.json
expect 0 ' 0 errors' "$d4m" check a

# another number of threads, and a case alone; another dial leaves the portal venous phase, its labels and the volumes that it sees
tiny b -n 1 --first 1 --clean --threads 1
for f in imagesTr/ph_00001_000{0,1,2,3} labelsTr/ph_00001 truth/ph_00001_field_0000 truth/ph_00001_clean_0003; do
    same a/$f.nii.gz b/$f.nii.gz
done
cmp a/truth/ph_00001.json b/truth/ph_00001.json || fail "a case alone has another record"
tiny c -n 1 --dial 6
for f in imagesTr/ph_00000_0002 labelsTr/ph_00000 truth/ph_00000_labels_0002; do same a/$f.nii.gz c/$f.nii.gz; done
for k in 0 1 3; do
    other a/imagesTr/ph_00000_000$k.nii.gz c/imagesTr/ph_00000_000$k.nii.gz
    other a/truth/ph_00000_field_000$k.nii.gz c/truth/ph_00000_field_000$k.nii.gz
done
# registered without a dial: the same labels in every phase
tiny d -n 1 --registered
for k in 0 1 3; do same d/truth/ph_00000_labels_0002.nii.gz d/truth/ph_00000_labels_000$k.nii.gz; done
tiny e -n 1 --registered --set annotation=false --set noise=0 --set count=0
expect 0 '"lesions": \[\]' cat e/truth/ph_00000.json

# stopped and taken up again: the same bytes; nothing is there before everything is
"$d4m" phantom a2 -n 3 --preset tiny --seed 1 --set missing=0 --set test_share=0.34 --clean -q >/dev/null 2>&1 &
sleep 0.5
kill -INT $! 2>/dev/null
wait $!
code=$?
[ $code = 9 ] || [ $code = 0 ] || fail "exit $code when stopped"
[ $code = 0 ] || [ ! -e a2/dataset.json ] || fail "a data set before it is complete"
[ $code = 0 ] || tiny a2 -n 3 --set test_share=0.34 --clean
(cd a && find . -type f | LC_ALL=C sort | xargs sha256sum) >a.sums
(cd a2 && sha256sum --quiet -c ../a.sums) || fail "other bytes after a stop"

# refusals: one line, the right code, nothing left
refuse() {
    local code=$1 pattern=$2
    shift 2
    expect "$code" "$pattern" "$d4m" phantom no "$@"
    [ "$(wc -l <err.txt)" = 1 ] || fail "more than a line: $*: $(cat err.txt)"
    [ ! -e no ] || fail "something is left: $*"
}
refuse 2 'dial.*15' --dial 16
refuse 2 'dial.*' --dial -1
refuse 2 'no lesion is called "hccc"' --set kinds=hccc=1
refuse 2 'kinds' --set kinds=hcc=0
refuse 2 'spacing' --set spacing=0.1
refuse 2 'fpeak.*0\.05' --set fpeak=0
refuse 2 'noise.*-1' --set noise=-.5
refuse 2 'thickness' --set thickness=.1
refuse 2 'breth|unknown|no .*key' --set breth=2
refuse 2 'count' --set count=21
refuse 7 'needs .* GB of memory, .* GB may be used' --set spacing=0.5 --mem 90M
expect 2 'empty path' "$d4m" phantom "" -n 1 --preset tiny
expect 2 'not empty.*--force' "$d4m" phantom a -n 1 --preset tiny
mkdir mine && echo hello >mine/notes.txt
expect 2 'did not make' "$d4m" phantom mine -n 1 --preset tiny --force
[ "$(cat mine/notes.txt)" = hello ] || fail "a file of the user's was touched"
tiny c -n 2 --force --set test_share=0
[ ! -e c/imagesTs ] && [ -s c/imagesTr/ph_00001_0002.nii.gz ] || fail "--force left another data set"

# a real CT as the patient: its grid, its tumour, its licence; a mask that says nothing is refused
ct=$source_folder/examples/hcc-005-small/imagesTr/hcc005_0002.nii.gz
mask=$source_folder/examples/hcc-005-small/labelsTr/hcc005.nii.gz
expect 0 '' "$d4m" phantom real -n 1 --from "$ct" --liver "$mask" --set missing=1 --set spacing=4 --set thickness=6 --set count=2
expect 0 'CC BY' cat real/dataset.json
expect 0 '"kind": "unknown"' cat real/truth/ph_00000.json
[ -s real/imagesTr/ph_00000_0002.nii.gz ] && [ ! -e real/imagesTr/ph_00000_0001.nii.gz ] || fail "other phases"
refuse 3 'grid' --from "$ct" --liver a/truth/ph_00000_labels_0002.nii.gz
refuse 2 'liver' --from "$ct"
refuse 2 'from' --liver "$mask"
refuse 2 'licence' --licence free
refuse 2 'nowhere' --from nowhere.nii.gz --liver "$mask"

# the same voxels as ever, on every machine (phantom.md section 15)
(cd a && for f in $(find . -name '*ph_00000*.nii.gz' | LC_ALL=C sort); do echo "$(voxels $f)  $f"; done; sha256sum truth/ph_00000.json) >tiny.sums
diff tiny.sums "$source_folder/tests/data/phantom_tiny.sha256" || fail "tiny, seed 1, case 0 has other voxels or another record"
