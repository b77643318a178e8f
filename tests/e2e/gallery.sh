# d4m gallery as a user meets it: a data set, a folder of images, results, errors.
. "$(dirname "$0")/lib.sh"
example=$source_folder/examples/hcc-005-small

rm -rf out plain damaged phantoms
expect 0 '^out/index.html$' "$d4m" gallery "$example" -o out --lesions
for file in index.html sheet_01.png hcc005_montage.png hcc005_motion.png; do
    [ -s out/$file ] || fail "no $file"
done
grep -q '3, 185.5 ml' out/index.html || fail "the page tells the lesions"
[ -z "$(find out -name '*tmp*')" ] || fail "temporary files are left"
expect 0 '"cases": 1, "failed": 0, "sheets": 1' "$d4m" gallery "$example" -o out --json --only hcc005 --levels 2 --panel 100

# phantoms, in both parts of a data set, with the truth of each phase
expect 0 'phantoms' "$d4m" phantom phantoms -n 2 --preset tiny --seed 3 --set test_share=.5 --set missing=0
expect 0 '"cases": 2, "failed": 0' "$d4m" gallery phantoms -o phantoms/gallery --lesions --json --levels 2 --panel 80
grep -q 'Phantoms: nothing about patients' phantoms/gallery/index.html || fail "the page says what phantoms are"
grep -q 'lesions in truth' phantoms/gallery/index.html || fail "the page tells the true lesions"
[ -s phantoms/gallery/ph_00001_motion.png ] || fail "no animation of a test case"

# images alone
mkdir -p plain
cp "$example/imagesTr/hcc005_0002.nii.gz" plain/somebody.nii.gz
expect 0 'warning: plain has no dataset.json' "$d4m" gallery plain -o plain/out --levels 1 --panel 80
[ -s plain/out/somebody_montage.png ] || fail "no montage of a plain image"
[ ! -e plain/out/somebody_motion.png ] || fail "one phase does not move"

# what cannot be drawn
expect 2 'nowhere' "$d4m" gallery nowhere -o out
expect 2 'has no case nobody' "$d4m" gallery "$example" -o out --only nobody
expect 2 'window' "$d4m" gallery "$example" -o out --window-low 100 --window-high 50
expect 6 'error: ' "$d4m" gallery "$example" -o out/index.html/x --levels 1 --panel 80
mkdir -p damaged
cp "$example/imagesTr/hcc005_0002.nii.gz" damaged/a_0002.nii.gz
head -c 5000 damaged/a_0002.nii.gz >damaged/b_0002.nii.gz
expect 5 '1 of 2 cases have no picture: b: ' "$d4m" gallery damaged -o damaged/out --levels 1 --panel 80
grep -q 'No picture: ' damaged/out/index.html || fail "the page tells what failed"
rm damaged/a_0002.nii.gz
expect 4 'b: ' "$d4m" gallery damaged -o damaged/out2 --levels 1 --panel 80
[ ! -e damaged/out2 ] || fail "nothing was drawn, so nothing is left"
exit 0
