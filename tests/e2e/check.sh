# Findings: every name that a source file gives has its row in docs/check.md (whose rows are those of the table).
. "$(dirname "$0")/lib.sh"

# has NAME SEVERITIES: a row with one of these severities
has() {
    grep -qE "^\| \`$1\` \| ($2) \|" "$source_folder/docs/check.md" || fail "$1 ($2) has no row in docs/check.md"
}
cd "$source_folder/src" || exit 1
notes=$(cat volume/*.c base/gzip.c data/cases_dataset.c data/place.c | tr '\n' ' ' |
    grep -oE 'note_add\([^"]*"[a-z0-9-]+"' | grep -oE '[a-z0-9-]+"$' | tr -d '"' | sort -u)
refusals=$(cat volume/*.c data/place.c | tr '\n' ' ' |
    grep -oE '(nifti_refuse|give_reason|reason)\([^;"]*"[a-z0-9-]+"' | grep -oE '[a-z0-9-]+"$' | tr -d '"' | sort -u)
[ "$(echo $notes | wc -w)" -gt 25 ] && [ "$(echo $refusals | wc -w)" -gt 15 ] || fail "the search for names finds too few"
for name in $notes; do
    has "$name" 'info|warning'
done
for name in $refusals; do
    case $name in not-vectors | not-prepared) continue ;; esac # not of images
    has "$name" error
done
cd - >/dev/null || exit 1

printf 'this is no image' >bad.nii
expect 3 '"fix": "convert the image again"' "$d4m" check --json bad.nii
expect 3 '^ +fix: convert the image again' "$d4m" check bad.nii

# phantoms: no error, no warning but of phases that are missing; exchanged phases are seen, shown and named
rm -rf ph found t.nii.gz
"$d4m" phantom ph -n 3 --preset tiny --seed 1 --set missing=0,0,0 -q || fail "phantom"
expect 0 '^3 cases: 0 errors, 0 warnings' "$d4m" check ph
expect 0 '^info +phantom' "$d4m" check ph
mv ph/imagesTr/ph_00000_0000.nii.gz t.nii.gz
mv ph/imagesTr/ph_00000_0001.nii.gz ph/imagesTr/ph_00000_0000.nii.gz
mv t.nii.gz ph/imagesTr/ph_00000_0001.nii.gz
expect 0 'phase-order +ph_00000: .*noncontrast and arterial exchanged' "$d4m" check ph -o found
[ -s found/ph_00000-phase-order.png ] || fail "no picture"
grep -q 'ph_00000-phase-order.png' found/index.html || fail "the page does not show the picture"
grep -q '"picture": "ph_00000-phase-order.png"' found/check.json || fail "check.json does not name the picture"
rm ph/truth/ph_00001_labels_0002.nii.gz
expect 0 'truth-missing' "$d4m" check ph

# the bundled patient: one phase is missing, and nothing else
expect 0 '^1 case: 0 errors, 1 warnings' "$d4m" check "$source_folder/examples/hcc-005-small"
expect 6 'cannot' "$d4m" check ph -o /proc/no/such/folder
exit 0
