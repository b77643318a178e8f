# d4m transform: files of other programs in, every verb, points, refusals.
. "$(dirname "$0")/lib.sh"
command -v python3 >/dev/null || { echo "SKIP: no python3"; exit 77; }

# two images on different grids (int16) and a label map on the second, without any library
python3 - <<'EOF'
import struct

def save(name, dims, spacing, origin, code, value):
    nx, ny, nz = dims
    h = struct.pack("<i35xb8h14xhh2x8f3f3xb", 348, 0, 3, *dims, 1, 1, 1, 1, code, {2: 8, 4: 16}[code], 1, *spacing,
                    0, 0, 0, 0, 352, 1, 0, 2)
    h = h.ljust(252, b"\0") + struct.pack("<2h3f3f12f16x4s", 1, 1, 0, 0, 0, *origin, spacing[0], 0, 0, origin[0], 0,
                                          spacing[1], 0, origin[1], 0, 0, spacing[2], origin[2], b"n+1\0") + bytes(4)
    data = [value(x, y, z) for z in range(nz) for y in range(ny) for x in range(nx)]
    open(name, "wb").write(h + struct.pack(f"<{len(data)}{ {2: 'B', 4: 'h'}[code] }", *data))

def hu(x, y, z):
    return -1000 + 40 * x + 20 * y + 7 * z

save("fixed.nii", (30, 26, 12), (2, 2, 4), (-30, -26, -20), 4, hu)
save("moving.nii", (34, 30, 14), (2, 2, 4), (-34, -30, -28), 4, hu)
save("other.nii", (20, 20, 10), (2, 2, 4), (-34, -30, -28), 4, hu)
save("labels.nii", (34, 30, 14), (2, 2, 4), (-34, -30, -28), 2, lambda x, y, z: int(x > 12) + int(y > 14))
EOF

# a shift of (4, -2, 0) mm RAS in all text forms; images are pulled, points are pushed
printf '1 0 0 4\n0 1 0 -2\n0 0 1 0\n0 0 0 1\n' >shift.txt
printf '#Insight Transform File V1.0\n#Transform 0\nTransform: TranslationTransform_double_3_3\nParameters: -4 2 0\nFixedParameters:\n' >shift.tfm
printf 'x,y,z,name\n0,0,0,a\n10,-5,3,b\n' >points.csv
expect 0 'pts.csv: 2 points' "$d4m" transform apply points.csv -t shift.txt -o pts.csv
[ "$(tail -1 pts.csv)" = "14.000000,-7.000000,3.000000,b" ] || fail "points are pushed: $(tail -1 pts.csv)"
expect 0 '"points": *2' "$d4m" transform apply points.csv -t shift.tfm -o pts2.csv --json
cmp -s pts.csv pts2.csv || fail "ITK's and NiftyReg's text differ"
expect 0 '' "$d4m" transform apply pts.csv -t shift.txt --inverse -o back.csv
[ "$(tail -1 back.csv)" = "10.000000,-5.000000,3.000000,b" ] || fail "the inverse: $(tail -1 back.csv)"
expect 0 '' "$d4m" transform apply points.csv -t shift.txt --convention lps -o lps.csv
[ "$(tail -1 lps.csv)" = "6.000000,-3.000000,3.000000,b" ] || fail "LPS: $(tail -1 lps.csv)"

# an image needs a grid when the transform knows none; the same image from every form of the transform
expect 2 'with --reference' "$d4m" transform apply moving.nii -t shift.txt -o a.nii
expect 0 'linear\), [0-9.]+ % inside' "$d4m" transform apply moving.nii -t shift.txt -o a.nii --reference fixed.nii --mask mask.nii
expect 0 'itk$' "$d4m" transform convert shift.txt --to itk --reference fixed.nii -o itk.nii.gz
expect 0 'niftyreg$' "$d4m" transform convert shift.txt --to niftyreg --reference fixed.nii -o niftyreg.nii
expect 0 '' "$d4m" transform convert shift.txt --to displacement --convention lps --reference fixed.nii -o lps.nii
expect 0 '' "$d4m" transform convert shift.txt --to displacement --reference fixed.nii --spacing 5 -o ras.nii
expect 0 '' "$d4m" transform convert shift.txt --to affine-itk -o again.tfm
expect 0 '' "$d4m" transform convert shift.tfm --to affine-niftyreg -o again.txt
expect 0 '' "$d4m" transform convert shift.txt --to d4m -o shift.d4m
for t in itk.nii.gz niftyreg.nii lps.nii again.tfm again.txt shift.d4m; do
    expect 0 '' "$d4m" transform apply moving.nii -t $t -o b.nii --reference fixed.nii
    cmp -s a.nii b.nii || fail "$t gives another image"
done
expect 0 '' "$d4m" transform apply moving.nii -t ras.nii -o b.nii --reference fixed.nii
expect 0 '' "$d4m" transform convert itk.nii.gz --to itk -o itk2.nii.gz
cmp -s itk.nii.gz itk2.nii.gz || fail "a field on its own grid must be itself"
expect 0 'labels\)' "$d4m" transform apply labels.nii -t shift.txt -o l.nii --reference fixed.nii
expect 0 '"interpolation": *"nearest"' "$d4m" transform apply labels.nii -t shift.txt -o l.nii --reference fixed.nii --interpolation nearest --json
expect 0 'cubic' "$d4m" transform apply moving.nii -t shift.txt -o c.nii --reference fixed.nii --interpolation cubic
expect 2 'always LPS' "$d4m" transform convert shift.txt --to itk --convention ras --reference fixed.nii -o x.nii
expect 2 'would replace' "$d4m" transform apply moving.nii -t shift.txt -o ./moving.nii --reference fixed.nii

# a field beyond its support warns
expect 0 'outside the support' "$d4m" transform apply fixed.nii -t itk.nii.gz -o d.nii --reference moving.nii

# invert and compose
expect 0 '1 element' "$d4m" transform invert shift.txt -o inverse.d4m
expect 0 '2 elements' "$d4m" transform compose shift.txt inverse.d4m -o both.d4m
expect 0 '' "$d4m" transform apply points.csv -t both.d4m -o same.csv
[ "$(tail -1 same.csv)" = "10.000000,-5.000000,3.000000,b" ] || fail "T and its inverse"
expect 0 '' "$d4m" transform apply points.csv -t shift.txt -t inverse.d4m -o same.csv
[ "$(tail -1 same.csv)" = "10.000000,-5.000000,3.000000,b" ] || fail "a chain on the command line"
expect 2 'name it .d4m' "$d4m" transform invert shift.txt -o inverse.txt

# det of a scaling; the log is called log
printf '1.1 0 0 0\n0 1.1 0 0\n0 0 1 0\n0 0 0 1\n' >scale.txt
expect 0 'determinant 1.2100 to 1.2100.* SD of its log 0.0000' "$d4m" transform jacobian scale.txt --reference fixed.nii -o det.nii.gz
expect 0 'log determinant of the Jacobian' "$d4m" transform jacobian scale.txt --reference fixed.nii -o log.nii.gz --log
expect 0 '"det_not_positive": *0' "$d4m" transform jacobian scale.txt --reference fixed.nii -o det.nii.gz --json

# a transform that knows its images refuses others, and says when the direction is the reason
expect 0 '' "$d4m" transform convert shift.txt --to d4m --reference fixed.nii --moving moving.nii -o pair.d4m
expect 0 '' "$d4m" transform apply moving.nii -t pair.d4m -o b.nii
cmp -s a.nii b.nii || fail "the recorded grid gives another image"
expect 3 'turn round with --inverse' "$d4m" transform apply fixed.nii -t pair.d4m -o x.nii
expect 3 'belongs to another pair; --force' "$d4m" transform apply other.nii -t pair.d4m -o x.nii
expect 3 'not on the grid of the transform.s fixed image' "$d4m" transform apply moving.nii -t pair.d4m -o x.nii --reference moving.nii
expect 0 '' "$d4m" transform apply moving.nii -t pair.d4m -o x.nii --reference moving.nii --force
expect 0 '' "$d4m" transform apply fixed.nii -t pair.d4m -o x.nii --inverse
expect 3 'ends on another grid' "$d4m" transform compose pair.d4m pair.d4m -o x.d4m
expect 0 '' "$d4m" transform compose pair.d4m pair.d4m -o x.d4m --force
printf '900,0,0\n' >far.csv
expect 0 'warning: 1 of 1 points lie outside the fixed image' "$d4m" transform apply far.csv -t pair.d4m -o x.csv

# evaluation: labels that the shift moved by two columns and one row lie on themselves after it
expect 0 '' "$d4m" transform apply labels.nii -t pair.d4m -o on_fixed.nii
expect 0 'label 1 .*Dice 0\.[0-9]+ -> 1\.000' "$d4m" evaluate registration -t pair.d4m --truth itk.nii.gz --truth-convention lps \
    --fixed-labels on_fixed.nii --moving-labels labels.nii --names 2=corner -o scores
grep -q '"corner"' scores/registration.json && grep -q 'Error against the truth' scores/registration.html || fail "no scores"
expect 0 '"mean": *4\.47' "$d4m" evaluate registration -t pair.d4m --truth itk.nii.gz --truth-convention lps -o scores --json
expect 2 'go together' "$d4m" evaluate registration -t pair.d4m --fixed-labels on_fixed.nii -o scores
expect 3 'not on the grid' "$d4m" evaluate registration -t pair.d4m --fixed-labels labels.nii --moving-labels labels.nii -o scores

# refusals are one line with the right code, and leave nothing
printf 'hello\n' >bad.txt
expect 4 'neither a transform' "$d4m" transform invert bad.txt -o bad.d4m
head -c 100 shift.d4m >cut.d4m
expect 4 'ends too early' "$d4m" transform invert cut.d4m -o bad.d4m
expect 3 'X, Y, Z, 1, 3' "$d4m" transform invert fixed.nii -o bad.d4m
expect 2 'cannot be read' "$d4m" transform invert none.d4m -o bad.d4m
printf 'x,y,z\n1,2\n' >bad.csv
expect 3 'line 2 has no number for z' "$d4m" transform apply bad.csv -t shift.txt -o o.csv
[ ! -e bad.d4m ] && [ ! -e o.csv ] || fail "a refusal leaves no file"

# the direction is in every verb's help
for verb in apply invert compose jacobian convert; do
    expect 0 'Images are pulled' "$d4m" transform $verb --help
    expect 0 'Points are pushed' "$d4m" transform $verb --help
done
exit 0
