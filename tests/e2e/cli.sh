# The program as a user meets it: help, errors, exit codes, machine-readable output.
. "$(dirname "$0")/lib.sh"

expect 0 '^d4m 0\.' "$d4m" --version
expect 0 'doctor' "$d4m"
expect 0 'd4m weights show model' "$d4m" weights show --help
expect 0 '"isa"' "$d4m" doctor --json
expect 0 '"precision_auto": *"(f32|bf16)"' "$d4m" doctor --json
expect 0 'bf16 +.*--precision auto means' "$d4m" doctor
expect 2 "did you mean 'd4m doctor'" "$d4m" docter
expect 2 'error: .*cannot be read' "$d4m" weights show /nonexistent/file
expect 0 '^$|d4m' "$d4m" describe
expect 0 '^  spacing X,X,X +voxel size' "$d4m" train segmenter --help
expect 0 '"verbs"' "$d4m" describe --json

# an empty set of tensors, then a broken one
printf '\x02\0\0\0\0\0\0\0{}' >empty.safetensors
expect 0 '^0 tensors' "$d4m" weights show empty.safetensors
printf '\x09\0\0\0\0\0\0\0{}' >cut.safetensors
expect 4 '^d4m: error: cut.safetensors: ' "$d4m" weights show cut.safetensors
[ "$(wc -l <err.txt)" = 1 ] || fail "an error is one line"

# one small step, with the kernel of every step of its program
expect 0 'conv +conv\.' "$d4m" bench step --patch 32 --batch 1 --channels 1 --rounds 1 --program

# a result that cannot be written is an error
if [ -e /dev/full ]; then
    "$d4m" describe >/dev/full 2>err.txt
    [ $? = 6 ] || fail "a full standard output must give 6"
fi

# every verb in the list has help with an example
"$d4m" | sed -n 's/^  \(.*[^ ]\)   *[^ ].*$/\1/p' | sed 's/  .*//' >verbs.txt
[ -s verbs.txt ] || fail "no verbs listed"
while read -r verb; do
    expect 0 "^  d4m $verb" "$d4m" $verb --help
done <verbs.txt

# what is wrong with a file stands on stderr, in one line; -q prints nothing else
printf 'this is no image' >"bad
name.nii"
expect 3 '^d4m: error: bad name.nii: not a NIfTI file' "$d4m" check -q "bad
name.nii"
[ "$(wc -l <err.txt)" = 1 ] || fail "an error is one line"
[ "$(wc -l <out.txt)" = 1 ] || fail "-q lists errors only"
ln -sf loop.nii loop.nii
expect 2 'loop.nii: cannot be read: .*; check' "$d4m" check loop.nii

# no result replaces what it was made from
expect 2 'would replace' "$d4m" net forward nnunet --config empty.safetensors --weights empty.safetensors \
    --input cut.safetensors --output ./cut.safetensors

# README: glibc 2.34 is enough (true of what Debian 12 builds)
if [ "$(getconf GNU_LIBC_VERSION)" = "glibc 2.36" ]; then
    newest=$(objdump -T "$d4m" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -1)
    [ "$(printf '%s\n' "$newest" GLIBC_2.34 | sort -V | tail -1)" = GLIBC_2.34 ] || fail "needs $newest; README says 2.34"
fi
expect 0 'transform jacobian' "$d4m" help transform
expect 0 'bench step' "$d4m" bench --help
exit 0
