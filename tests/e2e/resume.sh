# Killed at random moments with other thread counts, interrupted politely, with any number of threads on either instruction set: the
# same bytes in the end.
. "$(dirname "$0")/lib.sh"
data=data
# With run=exec, in the background, the process is the program itself, so that a signal reaches it.
train() { # WORK OPTIONS...
    local work=$1
    shift
    ${run:-} "$d4m" train segmenter -d "$data" -w "$work" --preset demo --epochs 4 --iterations 5 --set spacing=8 --set patch=16 \
        --set stages=3 --set features=8 --set features_max=16 --set convs=1 --set convs_decoder=1 --set val_iterations=1 --no-register \
        "$@" >"${to:-out}.txt" 2>"${to:-}err.txt" </dev/null
}
model=models/segmenter-nnunet/fold_all
rm -rf data whole killed asked both narrow
"$d4m" phantom data -n 2 --preset tiny --set test_share=0 -q >/dev/null || fail "no phantoms"

start=$(date +%s%N)
train whole --threads 1 || fail "$(cat err.txt)"
took=$((($(date +%s%N) - start) / 1000000))

RANDOM=${D4M_SEED:-17}
for try in $(seq 1 60); do
    run=exec train killed --threads $((1 + RANDOM % 3)) &
    pid=$!
    sleep "$(printf '%d.%03d' $((took * (RANDOM % 100) / 100000)) $((took * (RANDOM % 100) / 100 % 1000)))"
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    [ -e killed/$model/model.safetensors ] && break
    [ "$try" -lt 10 ] || { train killed || fail "$(cat err.txt)"; break; }
done
train killed || fail "$(cat err.txt)"
cmp whole/$model/model.safetensors killed/$model/model.safetensors || fail "killed and resumed: other weights"
[ "$(wc -l <killed/$model/log.jsonl)" = 4 ] || fail "an epoch is missing from the log or there twice"

# two runs in one folder: the second is refused and disturbs nothing
run=exec train both &
pid=$!
while [ ! -e both/$model/log.jsonl ] && kill -0 $pid 2>/dev/null; do sleep 0.05; done
to=second train both
code=$?
wait $pid || fail "the first of two runs failed: $(cat err.txt)"
[ $code = 6 ] && grep -q 'another run' seconderr.txt || fail "a second run in the same folder gave $code: $(cat seconderr.txt)"
cmp whole/$model/model.safetensors both/$model/model.safetensors || fail "a second run disturbed the first"

# Ctrl-C: exit 9 with a checkpoint, and the same command goes on
run=exec train asked &
pid=$!
while [ ! -e asked/$model/log.jsonl ] && kill -0 $pid 2>/dev/null; do sleep 0.05; done
kill -TERM $pid
wait $pid
code=$?
[ $code = 9 ] || fail "SIGTERM gave $code: $(cat err.txt)"
train asked --threads 2 || fail "$(cat err.txt)"
cmp whole/$model/model.safetensors asked/$model/model.safetensors || fail "interrupted and resumed: other weights"

# bf16 is another numeric mode: a run goes on in the one it was begun in
train narrow --precision bf16 --epochs 2 || fail "$(cat err.txt)"
grep -q '"precision": *"bf16"' narrow/$model/plan.json || fail "plan.json does not tell bf16"
train narrow --precision f32 && fail "a bf16 run went on in f32"
grep -q 'begun in bf16.*--precision bf16' err.txt || fail "$(cat err.txt)"

# Any number of threads, either instruction set: the same bytes, over six steps of a network whose layers are wide enough for
# all kernels, with validations and checkpoints.
train_wide() { # WORK OPTIONS...
    train "$@" --epochs 2 --iterations 3 --set patch=24 --set spacing=6 --set features=32 --set features_max=64 --set convs=2
}
tensors() { # FILE, without the header, where a checkpoint tells the length of a log with times in it
    tail -c +$((9 + $(od -An -tu8 -N8 "$1.safetensors"))) "$1.safetensors"
}
runs="avx2-1 avx2-2 avx2-4"
if "$d4m" doctor --json | grep -q '"isa": *"avx512"'; then
    runs="avx512-1 avx512-4 avx2-2"
else
    echo "no AVX-512 here: the comparison with it is skipped"
fi
rm -rf wide-*
first=wide-${runs%% *}
for which in $runs; do
    train_wide wide-$which --isa ${which%-*} --threads ${which#*-} || fail "$(cat err.txt)"
    for file in model checkpoint/latest; do
        cmp <(tensors "$first/$model/$file") <(tensors "wide-$which/$model/$file") || fail "$which gives other bytes: $file"
    done
done
# the comparison would say little if Winograd's kernels had had no part in it
train_wide wide-exact --exact || fail "$(cat err.txt)"
cmp -s "$first/$model/model.safetensors" wide-exact/$model/model.safetensors && fail "--exact gives the same bytes"
exit 0
