# Sourced by the end-to-end tests: $1 is the program, $2 the source folder; the working folder is the test's own.
set -u
d4m=$1
source_folder=$2

fail() {
    echo "FAIL: $*"
    exit 1
}

# expect CODE PATTERN COMMAND...: the exit code, and a regular expression that stdout or stderr matches
expect() {
    local code=$1 pattern=$2 got
    shift 2
    "$@" >out.txt 2>err.txt </dev/null
    got=$?
    [ "$got" = "$code" ] || fail "exit $got instead of $code: $* : $(head -c 500 err.txt)"
    cat out.txt err.txt | grep -qE -- "$pattern" || fail "nothing matches '$pattern': $* : $(head -c 500 out.txt err.txt)"
}
