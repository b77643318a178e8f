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
exit 0
