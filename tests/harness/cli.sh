# SPDX-License-Identifier: Apache-2.0
# Sourced by shell tests of programs: run a program, then look at its status, output and messages.
#
#     run 1 "$auspex" predict nowhere.onnx --input x.csv     status 1 expected
#     err_has 'No such file'                                 one line on standard error, with this in it
#     out_has 'rows/s'
set -u
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
checks=0 failures=0 last=

fail() {
    failures=$((failures + 1))
    echo "FAIL: $last: $*" >&2
    sed 's/^/    /' "$dir/out" "$dir/err" | head -20 >&2
}
# run STATUS COMMAND...
run() {
    local expected=$1 status
    shift
    last="$*"
    checks=$((checks + 1))
    "$@" >"$dir/out" 2>"$dir/err" </dev/null
    status=$?
    [ $status = "$expected" ] || fail "status $status, expected $expected"
}
out_has() {
    checks=$((checks + 1))
    grep -qF -e "$1" "$dir/out" || fail "standard output lacks: $1"
}
# A refusal is one line, however it came about.
err_has() {
    checks=$((checks + 1))
    grep -qF -e "$1" "$dir/err" || fail "standard error lacks: $1"
    [ "$(wc -l <"$dir/err")" = 1 ] || fail "standard error is not one line"
}
# is WHAT A = B: any comparison that test(1) knows.
is() {
    checks=$((checks + 1)) last="$1"
    [ "$2" "$3" "$4" ] || fail "$2 $3 $4"
}
err_empty() {
    checks=$((checks + 1))
    [ ! -s "$dir/err" ] || fail "standard error is not empty"
}
report() {
    echo "$checks checks, $failures failed"
    [ $failures = 0 ] && [ $checks -gt 0 ]
}
