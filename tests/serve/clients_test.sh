#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The Go and Python clients and their examples against a real server:
#   tests/serve/clients_test.sh BIN_DIR MODEL.onnx, with a model of windows of 10 steps and 4 features
# and the tree model of runtime/examples/trees, whose scores `auspex predict` tells too.
# A client whose tools are missing is reported and left out.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
bin=$(cd "$1" && pwd)
model=$2
work=$(mktemp -d)
server=
finish() {
    [ -z "$server" ] || kill -KILL "$server" 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

mkdir -p "$work/repository/forecast/1"
cp "$model" "$work/repository/forecast/1/model.onnx"
echo '{"version": 1}' >"$work/repository/forecast/current.json"
trees=$root/runtime/examples/trees
"$bin/auspex" repo add --repository "$work/repository" --model particles "$trees/lightgbm.txt"
"$bin/auspex-serve" --repository "$work/repository" --listen 127.0.0.1:0 --listen "unix:$work/socket" \
    --port-file "$work/port" 2>"$work/log" &
server=$!
for _ in $(seq 200); do
    [ -f "$work/port" ] && break
    sleep 0.05
done
[ -f "$work/port" ] || { cat "$work/log" >&2; exit 1; }
AUSPEX_TARGET=127.0.0.1:$(cat "$work/port")
export AUSPEX_TARGET AUSPEX_MODEL=forecast

ran=0
if command -v go >/dev/null && command -v protoc-gen-go-grpc >/dev/null; then
    go_out=${APX_GO_OUT:-$work/go}
    "$root/serve/client/go/build.sh" "$go_out"
    for target in "$AUSPEX_TARGET" "unix:$work/socket"; do
        "$go_out/batch100" -address "$target" -model forecast -calls 50 | tee "$work/out"
        grep -q '^100 machines, model forecast version 1$' "$work/out"
        grep -q '^50 calls of 100 machines: p50 ' "$work/out"
    done
    printf 'vm,a,b,c,d\n' >"$work/windows.csv"
    for vm in web db; do
        for step in $(seq 12); do
            echo "$vm,0.$step,0.2,0.3,0.4" >>"$work/windows.csv"
        done
    done
    "$go_out/batch100" -address "$AUSPEX_TARGET" -model forecast -csv "$work/windows.csv" -calls 0 | tee "$work/out"
    grep -q '^web  *0.1200  -\?[0-9]' "$work/out"
    if "$go_out/batch100" -address "$AUSPEX_TARGET" -model nobody -calls 0 2>"$work/out"; then
        echo "an unknown model was answered" >&2
        exit 1
    fi
    grep -q 'NotFound: model: ' "$work/out"
    ran=$((ran + 1))
else
    echo "SKIPPED: no Go, or not its gRPC plug-in"
fi

python=${APX_PYTHON:-/usr/bin/python3}
if "$python" -c 'import grpc, google.protobuf' 2>/dev/null; then
    export XDG_CACHE_HOME=$work/cache PYTHONDONTWRITEBYTECODE=1
    "$python" "$root/serve/client/python/client_test.py"
    "$python" "$root/serve/client/python/batch100.py" --address "$AUSPEX_TARGET" --model forecast --calls 50 |
        tee "$work/out"
    grep -q '^100 machines, model forecast version 1$' "$work/out"

    # The table with a label in front and a hole, in calls of 7 rows: float64 there and back, digit by digit.
    sed '1s/^/label,/; 2,$s/^/1,/; 3s/^1,[^,]*,/1,,/' "$trees/rows.csv" >"$work/table.csv"
    sed '2,$s/^1,//; 1s/^label,//; 3s/^,/nan,/' "$work/table.csv" >"$work/bare.csv"
    score=("$python" "$root/serve/client/python/score_table.py" --address "$AUSPEX_TARGET" --model particles)
    "${score[@]}" --skip label --rows 7 "$work/table.csv" >"$work/scores"
    "$bin/auspex" predict "$trees/lightgbm.txt" --input "$work/bare.csv" --output "$work/predicted.npy"
    "$python" - "$work/scores" "$work/predicted.npy" <<'END'
import ast, struct, sys
scores = [float(line) for line in open(sys.argv[1])]
data = open(sys.argv[2], "rb").read()
start = 10 + struct.unpack("<H", data[8:10])[0]
assert ast.literal_eval(data[10:start].decode())["descr"] == "<f8", data[:start]
predicted = list(struct.unpack(f"<{(len(data) - start) // 8}d", data[start:]))
assert len(scores) == 20 and scores == predicted, (scores, predicted)
END
    if "${score[@]}" "$work/table.csv" 2>"$work/out"; then
        echo "a table with a column too many was scored" >&2
        exit 1
    fi
    grep -q 'features: model "particles" takes 28, the request has 29' "$work/out"
    ran=$((ran + 1))
else
    echo "SKIPPED: no grpc module for $python"
fi

kill -TERM "$server"
wait "$server"
server=
echo "$ran clients tested"
[ "$ran" -gt 0 ]
