#!/bin/bash
# Registers one pair with d4m and with every peer that is installed, one after the other on the same machine, and scores
# all of them alike (d4m evaluate registration).
#
#   bench/peers/register.sh --fixed FILE --moving FILE -o FOLDER [--d4m build/d4m] [--threads N] [--tools LIST]
#                           [--python PYTHON] [scoring options of d4m evaluate registration]
#
# --tools: some of d4m,elastix,elastix-default,niftyreg,greedy,deeds (default all). --python: one that has picsl_greedy,
# for greedy where no program of that name is installed. Scoring options are passed on: --truth, --fixed-labels,
# --moving-labels, --names, --body, --step. A tool's folder has its files, time.txt (wall, user and system seconds, peak
# kB if GNU time is installed) and scores/.
set -u
d4m=build/d4m threads=$(nproc) tools=d4m,elastix,elastix-default,niftyreg,greedy,deeds
fixed="" moving="" out="" python=python3 score=()
while [ $# -gt 0 ]; do
    case $1 in
    --fixed) fixed=$(realpath "$2") ;;
    --moving) moving=$(realpath "$2") ;;
    -o | --output) out=$2 ;;
    --d4m) d4m=$2 ;;
    --threads) threads=$2 ;;
    --tools) tools=$2 ;;
    --python) python=$(command -v "$2") ;;
    --truth | --fixed-labels | --moving-labels | --body) score+=("$1" "$(realpath "$2")") ;;
    --names | --step | --truth-convention) score+=("$1" "$2") ;;
    *) sed -n '2,/^set/s/^# \{0,1\}//p' "$0"; exit 2 ;;
    esac
    shift 2 || { echo "$1 needs a value"; exit 2; }
done
[ -f "$fixed" ] && [ -f "$moving" ] && [ -n "$out" ] || { echo "--fixed, --moving and -o are needed (see the head of $0)"; exit 2; }
d4m=$(realpath "$d4m")
mkdir -p "$out" && out=$(realpath "$out") || exit 6

# timed COMMAND...: adds a line to time.txt of the working folder
timed() {
    if [ -x /usr/bin/time ]; then
        /usr/bin/time -a -o time.txt -f '%e %U %S %M' "$@" >>log.txt 2>&1
    else
        local TIMEFORMAT='%R %U %S'
        { time "$@" >>log.txt 2>&1; } 2>>time.txt
    fi
}

# Each of the following runs in its tool's folder and sets `maps`, the transforms to score, the first acting first on
# fixed points.

run_d4m() {
    timed "$d4m" register --fixed "$fixed" --moving "$moving" -o . --threads "$threads" --force
    maps=(transform.d4m)
    [ -s transform.d4m ] # a verdict of `fail` is scored too
}

# $1: model (affine or bspline), then lines of its own
elastix_parameters() {
    cat <<EOF
(FixedInternalImagePixelType "float")
(MovingInternalImagePixelType "float")
(UseDirectionCosines "true")
(Registration "MultiResolutionRegistration")
(Interpolator "BSplineInterpolator")
(BSplineInterpolationOrder 1)
(ResampleInterpolator "FinalBSplineInterpolator")
(FinalBSplineInterpolationOrder 1)
(Resampler "DefaultResampler")
(FixedImagePyramid "FixedSmoothingImagePyramid")
(MovingImagePyramid "MovingSmoothingImagePyramid")
(Optimizer "AdaptiveStochasticGradientDescent")
(Metric "AdvancedMattesMutualInformation")
(NumberOfHistogramBins 32)
(NumberOfResolutions 4)
(ImageSampler "RandomCoordinate")
(NewSamplesEveryIteration "true")
(HowToCombineTransforms "Compose")
(DefaultPixelValue -1024)
(WriteResultImage "false")
(ErodeMask "false")
$1
EOF
}

# $1: spacing of the B-spline grid in mm, $2: iterations, $3: samples
run_elastix_with() {
    command -v elastix >/dev/null && command -v transformix >/dev/null || return 77
    elastix_parameters '(Transform "AffineTransform")
(AutomaticTransformInitialization "false")
(AutomaticScalesEstimation "true")
(MaximumNumberOfIterations 500)
(NumberOfSpatialSamples 2048)' >affine.txt
    elastix_parameters "(Transform \"BSplineTransform\")
(FinalGridSpacingInPhysicalUnits $1)
(MaximumNumberOfIterations $2)
(NumberOfSpatialSamples $3)" >bspline.txt
    timed elastix -f "$fixed" -m "$moving" -p affine.txt -p bspline.txt -out . -threads "$threads" || return 1
    sed -i 's/(ResultImageFormat "[a-z]*")/(ResultImageFormat "nii.gz")/' TransformParameters.?.txt
    timed transformix -def all -tp TransformParameters.1.txt -out . -threads "$threads" || return 1
    maps=(deformationField.nii*)
}

run_elastix() { run_elastix_with 12 800 4000; }

run_elastix_default() { run_elastix_with 16 500 2048; }

run_niftyreg() {
    command -v reg_aladin >/dev/null && command -v reg_f3d >/dev/null && command -v reg_transform >/dev/null || return 77
    timed reg_aladin -ref "$fixed" -flo "$moving" -aff affine.txt -res affine.nii.gz -omp "$threads" || return 1
    timed reg_f3d -ref "$fixed" -flo "$moving" -aff affine.txt -cpp cpp.nii.gz -res warped.nii.gz -sx -10 -omp "$threads" || return 1
    reg_transform -ref "$fixed" -disp cpp.nii.gz field.nii.gz >>log.txt 2>&1 || return 1
    maps=(field.nii.gz)
}

run_greedy() {
    local greedy=(greedy -d 3)
    if ! command -v greedy >/dev/null; then
        "$python" -c 'import picsl_greedy' 2>/dev/null || return 77
        greedy=("$python" -c 'import sys, picsl_greedy; picsl_greedy.Greedy3D().execute(" ".join(sys.argv[1:]))')
    fi
    timed "${greedy[@]}" -threads "$threads" -a -m NMI -i "$fixed" "$moving" -ia-identity -n 100x50x10 -o affine.mat || return 1
    timed "${greedy[@]}" -threads "$threads" -m WNCC 4x4x4 -i "$fixed" "$moving" -it affine.mat -sv -n 100x50x20 -o warp.nii.gz || return 1
    maps=(warp.nii.gz affine.mat)
}

# deeds wants both images on one grid and writes no field that others read: its time counts, not its error.
run_deeds() {
    command -v linearBCV >/dev/null && command -v deedsBCV >/dev/null || return 77
    printf '1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n' >identity.txt
    "$d4m" transform apply "$moving" -t identity.txt --reference "$fixed" --interpolation linear -o moving.nii.gz -q >>log.txt 2>&1 || return 1
    timed linearBCV -F "$fixed" -M moving.nii.gz -O linear || return 1
    timed deedsBCV -F "$fixed" -M moving.nii.gz -O deeds -A linear_matrix.txt || return 1
    maps=()
}

show_score() {
    local words=()
    [ ${#maps[@]} -gt 0 ] && [ ${#score[@]} -gt 0 ] || return 0
    for map in "${maps[@]}"; do words+=(-t "$map"); done
    "$d4m" evaluate registration "${words[@]}" --reference "$fixed" --moving "$moving" "${score[@]}" --force -o scores |
        sed '$d; /^label /d; s/^/    /' # labels without a name in --names are in scores/ alone
}

for tool in ${tools//,/ }; do
    rm -rf "${out:?}/$tool" && mkdir -p "$out/$tool" && cd "$out/$tool" || exit 6
    maps=()
    "run_${tool//-/_}"
    case $? in
    0)
        awk -v tool="$tool" '/^[0-9]/ {w += $1; c += $2 + $3; if ($4 > m) m = $4}
            END {printf "%-16s wall %.1f s, processor %.1f s%s\n", tool, w, c, m ? sprintf(", peak %.0f MB", m / 1024) : ""}' time.txt
        show_score
        ;;
    77) echo "$tool: not installed" ;;
    *) echo "$tool: failed, see $out/$tool/log.txt" ;;
    esac
done
