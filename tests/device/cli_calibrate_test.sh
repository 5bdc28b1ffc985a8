#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `auspex calibrate` above a device whose calls take as long as the test says, and what `auto` makes of it.
. tests/harness/cli.sh
auspex=$APX_BIN/auspex
export LD_LIBRARY_PATH=$APX_FAKE_CUDA XDG_CACHE_HOME=$dir/cache
model=tests/golden/torch_legacy_lstm_1.onnx quick='--isa scalar --threads 1 --seconds 0.01'
# What `inspect --json` says of what was measured: from how many rows on, null: never. A line each.
from_rows() {
    "$auspex" inspect "$model" --isa scalar "$@" --json |
        awk -F '[:,]' '/"measured": \[/ {on = 1} /"notice"/ {on = 0} on && /"from_rows":/ {print $2 + 0 ? $2 + 0 : "null"}'
}
# From how many rows on it takes them in all, measured and estimated.
all_rows() { "$auspex" inspect "$model" --isa scalar "$@" --json | sed -n 's/.*"auto_from_rows": \([0-9a-z]*\).*/\1/p'; }
# The file that `calibrate --json` has just stored.
stored() { sed -n 's/.*"file": "\(.*\)".*/\1/p' "$dir/out"; }

run 0 "$auspex" inspect $model --isa scalar
out_has '(estimated; auspex calibrate measures)'
is 'nothing measured' "$(from_rows)" = ''

# The device takes 1 ms whatever it is given, the processor's scalar kernels some 15 us a row: in between.
export FAKE_CUDA=idle=1000
run 0 "$auspex" calibrate $model $quick
out_has 'on Fake GPU'
out_has 'the GPU takes batches of '
out_has "stored    $dir/cache/auspex/crossover-"
err_empty
between=$(from_rows)
is 'somewhere between' "$between" -gt 2
is 'somewhere between' "$between" -lt 65536
run 0 "$auspex" inspect $model --isa scalar
out_has "gpu       Fake GPU measured $(date -u +%Y)-"
out_has ", 1 thread: CPU below $between rows, GPU from there on ("
err_empty
is 'one file, and the lock' "$(ls -A "$dir/cache/auspex" | wc -l)" = 2
is 'for its owner' "$(stat -c %a "$dir/cache/auspex")" = 700

# A device that takes longer than the processor for all sizes, and one that does not.
# Few sizes say little of others: there the estimate counts, set right by the nearest.
rm "$dir"/cache/auspex/*
FAKE_CUDA=idle=50000 run 0 "$auspex" calibrate $model $quick --rows 1,4
out_has 'auto      up to 4 rows the CPU (measured); beyond: estimated'
is 'none of the measured' "$(from_rows)" = null
far=$(all_rows)
is 'beyond' "$far" -gt 4
run 0 "$auspex" inspect $model --isa scalar
out_has ": up to 4 rows the CPU (measured), GPU from $far rows (estimated) (4 rows: CPU "
# What was measured before stays, newer figures stand; the table tells them apart.
FAKE_CUDA=idle=50000 run 0 "$auspex" calibrate $model $quick --rows 2,4
out_has '  CPU *'
out_has 'of an earlier run; remove the file to be rid of them'
is 'three sizes' "$(grep -c '^ .*[0-9]  CPU' "$dir/out")" = 3
is 'one of them old' "$(grep -c '^ .*[0-9]  CPU \*' "$dir/out")" = 1
FAKE_CUDA=idle=1 run 0 "$auspex" calibrate $model $quick --rows 4096,8192 --json
is 'five sizes' "$(grep -c '"rows":' "$dir/out")" = 5
is 'a choice between them' "$(from_rows)" -gt 4
rm "$dir"/cache/auspex/crossover-*
FAKE_CUDA=idle=1 run 0 "$auspex" calibrate $model $quick --rows 4096,8192 --json
out_has '"from_rows": 4096'
out_has '"gpu": "Fake GPU"'
out_has '"driver": "CUDA 13.0'
is 'all that was measured' "$(from_rows)" = 4096
# However little time a size has: all of them, or a line that says what is left out.
FAKE_CUDA=idle=1 run 0 "$auspex" calibrate $model --isa scalar --threads 1 --seconds 0 --cache "$dir/soon"
is 'sizes' "$(grep -c '  [CG]PU' "$dir/out")" -gt 5
is 'to the end' "$(grep -c '^     65536 \|^left out  [0-9]* rows and more: a call takes longer than 0.2 s' "$dir/out")" = 1

# It is for this precision, instruction set, model and number of threads; results are the same.
is 'another instruction set' "$("$auspex" inspect $model --json | grep -c '"from_rows_by": "estimate"')" = 1
run 0 "$auspex" inspect $model --isa scalar --precision int8
out_has 'estimated'
run 0 "$auspex" calibrate $model $quick --rows 64,128 --precision int8
is 'two files' "$(ls "$dir/cache/auspex" | wc -l)" = 2
run 0 "$auspex" calibrate $model --isa scalar --threads 2 --seconds 0.02 --rows 64,128
is 'two numbers of threads' "$(from_rows | wc -w)" = 2
unset FAKE_CUDA
mkdir "$dir/g"
run 0 "$APX_BIN/cli_tool" unpack torch_legacy_lstm_1 "$dir/g"
for device in cpu auto; do
    run 0 "$auspex" predict $model --input "$dir/g/in_0.npy" --device $device --isa scalar --output "$dir/$device.npy"
done
run 0 cmp "$dir/cpu.npy" "$dir/auto.npy"

# The session's threads decide which of two crossovers counts: calls that take 400 ms are the device's.
bench() { "$auspex" bench $model --isa scalar --rows 1024 --seconds 0 --cache "$dir/two" --json "$@" | sed -n 's/.*"median_ns": \([0-9]*\).*/\1/p'; }
FAKE_CUDA=idle=1 run 0 "$auspex" calibrate $model --isa scalar --threads 2 --seconds 0.01 --rows 1024 --cache "$dir/two"
FAKE_CUDA=idle=400000 run 0 "$auspex" calibrate $model --isa scalar --threads 1 --seconds 0.01 --rows 1024 --cache "$dir/two"
is 'both are there' "$(from_rows --cache "$dir/two" | xargs)" = 'null 1024'
is 'the device, with two threads' "$(FAKE_CUDA=idle=400000 bench --threads 2)" -gt 400000000
is 'the processor, with one' "$(FAKE_CUDA=idle=400000 bench --threads 1)" -lt 400000000

# Steps that are free are part of it.
free=tests/golden/keras_lstm_free_time.onnx
run 1 "$auspex" calibrate $free $quick --rows 1,2
err_has 'is free; give --steps'
run 0 "$auspex" calibrate $free $quick --rows 64,128 --steps 7
run 0 "$auspex" inspect $free --isa scalar
out_has ', 1 thread, 7 steps: '
out_has ' otherwise takes '
# Of eight at once none loses what it measured.
for steps in 1 2 3 4 5 6 7 8; do
    "$auspex" calibrate $free $quick --rows 1,2 --steps $steps --cache "$dir/many" >"$dir/many.$steps" 2>&1 &
    many="${many-} $!"
done
for one in $many; do
    run 0 wait "$one"
done
is 'all are there' "$(model=$free from_rows --cache "$dir/many" | wc -l)" = 8

# Whatever lies there: one line, and the estimate.
run 0 "$auspex" calibrate $model $quick --rows 1,2 --json
file=$(stored)
cp "$file" "$dir/good"
for damage in 'head -c 200' 'tr 0-9 9' 'sed s/Fake/Real/' 'cat /dev/null'; do
    $damage <"$dir/good" >"$file"
    run 0 "$auspex" inspect $model --isa scalar
    err_has "$file is not used: "
    err_has 'measure again with auspex calibrate'
    out_has 'estimated'
    run 0 "$auspex" predict $model --input "$dir/g/in_0.npy" --isa scalar --output "$dir/damaged.npy"
    run 0 cmp "$dir/cpu.npy" "$dir/damaged.npy"
    run 0 "$auspex" inspect $model --isa scalar --cache ''
    err_empty
    run 0 "$auspex" inspect $model --isa scalar --device cpu
    err_empty
done
run 0 "$auspex" calibrate $model $quick --rows 1,2 # repairs it
run 0 "$auspex" inspect $model --isa scalar
err_empty
out_has 'measured'

# The server: a damaged file is a line of its log, and the model is served.
if [ -x "$APX_BIN/auspex-serve" ]; then
    run 0 "$auspex" repo add --repository "$dir/repository" --model m $model
    run 0 "$auspex" calibrate $model --threads 1 --seconds 0.01 --rows 1,2 --cache "$dir/served" --json
    served=$(stored)
    by=measured
    for content in "$(cat "$served")" '{'; do
        echo "$content" >"$served"
        "$APX_BIN/auspex-serve" --repository "$dir/repository" --listen "unix:$dir/socket" --cache "$dir/served" \
            2>"$dir/log" &
        server=$!
        for _ in $(seq 300); do
            grep -qs '"event":"listening"' "$dir/log" && break
            sleep 0.1
        done
        kill $server
        wait $server
        is 'a notice only of what is damaged' "$(grep -c '"event":"model_notice".*is not used: ' "$dir/log")" = \
            "$([ "$content" = '{' ] && echo 1 || echo 0)"
        is 'loaded' "$(grep -c '"event":"model_loaded"' "$dir/log")" = 1
        is 'by what its batches go' "$(grep -c "\"event\":\"model_loaded\".*\"device\":\"auto: .*, $by\"" "$dir/log")" = 1
        by=estimated
    done
fi

# Folders: one that is named, none, one that cannot be.
run 0 "$auspex" calibrate $model $quick --rows 1,2 --cache "$dir/a/b"
is 'the named folder' "$(ls "$dir/a/b" | wc -l)" = 1
run 0 "$auspex" inspect $model --isa scalar --cache "$dir/a/b"
out_has 'measured'
XDG_CACHE_HOME='' HOME='' run 1 "$auspex" calibrate $model $quick --rows 1,2
err_has 'there is no folder to store it in; give --cache DIR'
XDG_CACHE_HOME='' HOME='' run 1 "$auspex" calibrate nowhere.onnx
err_has 'there is no folder to store it in; give --cache DIR'
# What cannot be stored is not measured first.
refused() {
    run 1 timeout 60 "$auspex" calibrate $model $quick --rows 1,2 "$@"
    is 'no table' "$(wc -c <"$dir/out")" = 0
}
refused --cache "$dir/good"
err_has "$dir/good is no folder"
refused --cache /proc/nowhere
err_has '/proc/nowhere'
run 0 "$auspex" calibrate $model $quick --rows 1,2 --cache "$dir/pipe" --json
file=$(stored)
rm "$file"
mkfifo "$file"
refused --cache "$dir/pipe"
err_has "$file is no regular file; remove it"
rm "$file"
mkdir "$file"
refused --cache "$dir/pipe"
err_has "$file is no regular file; remove it"
rmdir "$file"
# If it cannot be stored in the end, it is told all the same.
rm "$dir/pipe/.lock"
FAKE_CUDA=idle=20000 "$auspex" calibrate $model $quick --rows 1,2,3 --seconds 1 --cache "$dir/pipe" >"$dir/told" 2>"$dir/why" &
late=$!
for _ in $(seq 6000); do
    [ -e "$dir/pipe/.lock" ] && break
    sleep 0.01
done
sleep 0.5
mkdir "$file"
run 1 wait $late
cp "$dir/told" "$dir/out"
cp "$dir/why" "$dir/err"
out_has 'stored    nowhere'
out_has 'auto      up to 3 rows the CPU (measured)'
err_has "$file is no regular file; remove it"
rmdir "$file"

# What is wrong with the command.
run 2 "$auspex" calibrate
run 2 "$auspex" calibrate $model --rows 4,2
err_has '--rows ascend; 2 follows 4'
run 2 "$auspex" calibrate $model --rows 0
run 2 "$auspex" calibrate $model --device cpu
run 2 "$auspex" calibrate $model --seconds x
run 1 "$auspex" calibrate nowhere.onnx
err_has 'nowhere.onnx'
FAKE_CUDA=no_device run 1 "$auspex" calibrate $model
err_has 'nothing to measure: without a GPU auto runs everything on the CPU: '
err_has 'no GPU is visible'
FAKE_CUDA=narrow run 1 "$auspex" calibrate tests/golden/int8_torch_legacy_lstm_bi_2_all.onnx
err_has 'nothing to measure: auto runs this model on the CPU: '
is 'no advice that cannot be followed' "$(grep -c 'use device' "$dir/err")" = 0
for precision in fp16 fp16-weights; do
    run 2 "$auspex" calibrate $model --precision $precision
    err_has "with precision $precision device auto never chooses between devices, so there is nothing to calibrate"
done
run 0 "$auspex" calibrate --help
out_has 'usage: auspex calibrate MODEL'
report
