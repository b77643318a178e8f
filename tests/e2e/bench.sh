# The bench verbs on tiny sizes: they run, their JSON parses, and what the peer lacks is said. Nothing is timed.
. "$(dirname "$0")/lib.sh"
peers=$2/bench/peers

# a JSON result on stdout, by Python where there is one
parses() {
    command -v python3 >/dev/null || return 0
    python3 -m json.tool "$1" >/dev/null || fail "$1 is no JSON"
}

# a stand-in for the peer's Python: it talks as bench/peers/peer.py does
cat >peer <<'EOS'
#!/bin/sh
echo '{"ready": "stand-in '"$(basename "$1")"'"}'
echo 'chatter of a library'
while read -r line; do
    echo '{"seconds": 2.5, "peak_bytes": 1000000000}'
done
EOS
# one that lacks a package, one that cannot do this form, one that dies
printf '#!/bin/sh\necho %s\n' "'{\"missing\": \"torch\", \"install\": \"pip install torch\"}'" >lacks
printf '#!/bin/sh\necho %s\n' "'{\"skip\": \"no bf16 here\"}'" >skips
printf '#!/bin/sh\necho "Traceback" >&2\necho "ValueError: bad" >&2\nexit 1\n' >dies
chmod +x peer lacks skips dies

small="--rounds 1 --peers $peers"
step="bench step --patch 32 --batch 1 --channels 1 --form eager-ncdhw-f32 $small"
expect 0 '"peer": \{"forms": \[\{"name": "stand-in torch_step.py"' "$d4m" $step --json --peer --python ./peer --trace trace.json --scaling
parses out.txt
parses trace.json
grep -q '"kernel":"conv' trace.json || fail "the trace names no kernel"
expect 0 'd4m is .* times as fast as stand-in torch_step.py .*peak memory .* of 1.00 GB' \
    "$d4m" $step --forward --peer --python ./peer
expect 0 'no bf16 here' "$d4m" $step --forward --peer --python ./skips
expect 2 'cannot import torch: install it \(pip install torch\)' "$d4m" $step --forward --peer --python ./lacks
expect 2 'no-such-python: cannot be run: .*--python' "$d4m" $step --forward --peer --python ./no-such-python
expect 1 'ended with status 1: ValueError: bad' "$d4m" $step --forward --peer --python ./dies
expect 2 'no torch_step.py there' "$d4m" $step --forward --peer --peers .
expect 2 'form fast: not one of' "$d4m" $step --peer --form fast
expect 2 '40 is not a multiple of 16' "$d4m" bench step --patch 40

# single ops: the samples of a row, and shapes with a peer
expect 0 '"kernel": "conv' "$d4m" bench op --op conv --list samples --json --rounds 1
parses out.txt
expect 0 'peer +2500.000 ms' "$d4m" bench op --op l2_norm $small --peer --python ./peer
expect 0 '"efficiency"' "$d4m" bench op --op l2_norm --list shapes $small --json --scaling
parses out.txt
expect 2 'op nothing: no op of that name' "$d4m" bench op --op nothing --rounds 1

# a whole prediction; nothing stays behind
tiny="--size 16,32,32 --patch 16 --stages 2 --features 4 $small"
expect 0 '"name": "stand-in predict.py"' "$d4m" bench predict $tiny --json --peer --python ./peer --work .
parses out.txt
expect 0 'GB peak; from the start' "$d4m" bench predict $tiny --mirror --work .
ls -d d4m-bench-* 2>/dev/null && fail "bench predict left its folder"
expect 6 'no folder can be made there' "$d4m" bench predict $tiny --work ./no/such/folder

# the data verbs
tiny="--size 16,24,24 --phases 2 $small"
expect 0 '"name": "stand-in prepare.py"' "$d4m" bench prepare $tiny --json --peer --python ./peer
parses out.txt
expect 0 '16 x 20 x 20 at 2.5 x 0.96 x 0.96 mm' "$d4m" bench prepare $tiny --to 2.5,0.96,0.96 --threads 1
expect 2 'cannot import torch' "$d4m" bench prepare $tiny --peer --python ./lacks
tiny="--patch 16 --patches 3 $small"
expect 0 '"name": "stand-in augment.py"' "$d4m" bench augment $tiny --json --peer --python ./peer --scaling
parses out.txt
expect 0 'd4m is .* times as fast as stand-in augment.py' "$d4m" bench augment $tiny --channels 1 --peer --python ./peer
exit 0
