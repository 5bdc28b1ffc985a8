#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `auspex predict` against golden models, through every kind of file, and everything it must refuse.
. tests/harness/cli.sh
auspex=$APX_BIN/auspex tool=$APX_BIN/cli_tool golden=tests/golden

unpack() {
    rm -rf "$dir/g" && mkdir "$dir/g"
    run 0 "$tool" unpack "$1" "$dir/g"
}
near() { run 0 "$tool" near "$1" "$2" 1e-5; }

# Rows first, and [rows, steps, features] from .npy and from .csv.
for name in torch_legacy_lstm_1 keras_dense_layers sklearn_linear torch_legacy_gru_1; do
    unpack $name
    run 0 "$auspex" predict $golden/$name.onnx --input "$dir/g/in_0.npy" --output "$dir/y.npy"
    err_has 'rows/s'
    near "$dir/y.npy" "$dir/g/out_0.npy"
    run 0 "$auspex" predict $golden/$name.onnx --input "$dir/g/in_0.csv" --output "$dir/y.csv" --quiet
    err_empty
    near "$dir/y.csv" "$dir/g/out_0.npy"
    run 0 "$auspex" predict $golden/$name.onnx --input "$dir/g/in_0.csv" --quiet --threads 1 --isa scalar
    cp "$dir/out" "$dir/stdout.csv"
    near "$dir/stdout.csv" "$dir/g/out_0.npy"
    run 0 "$tool" wide "$dir/g/in_0.npy" "$dir/wide.npy"
    run 0 "$auspex" predict $golden/$name.onnx --input "$dir/wide.npy" --output "$dir/w.npy" --quiet
    near "$dir/w.npy" "$dir/g/out_0.npy"
done

# What is written as text is what is written as numbers, to the last bit.
unpack torch_legacy_lstm_1
run 0 "$auspex" predict $golden/torch_legacy_lstm_1.onnx --input "$dir/g/in_0.npy" --output "$dir/y.npy" --quiet
run 0 "$auspex" predict $golden/torch_legacy_lstm_1.onnx --input "$dir/g/in_0.npy" --output "$dir/y.csv" --quiet
run 0 "$tool" near "$dir/y.csv" "$dir/y.npy" float32
run 0 head -1 "$dir/y.csv"
out_has 'y_0,y_1'

# Several outputs: by name, one of them or all; the values of a classifier's labels are integers.
name=sklearn_logistic_three_array
unpack $name
run 1 "$auspex" predict $golden/$name.onnx --input "$dir/g/in_0.npy" --output "$dir/y.npy"
err_has 'say --output NAME=FILE'
run 1 "$auspex" predict $golden/$name.onnx --input "$dir/g/in_0.npy"
err_has 'label, probabilities'
run 0 "$auspex" predict $golden/$name.onnx --input X="$dir/g/in_0.npy" --output probabilities="$dir/p.npy" --quiet
near "$dir/p.npy" "$dir/g/out_1.npy"
run 0 "$auspex" predict $golden/$name.onnx --input "$dir/g/in_0.csv" --output probabilities="$dir/p.csv" \
    --output label="$dir/l.csv" --quiet
near "$dir/p.csv" "$dir/g/out_1.npy"
near "$dir/l.csv" "$dir/g/out_0.npy"

# Classes that are words: as words in a table, quoted where that is needed, and as NumPy's text.
name=sklearn_boost_two_words
unpack $name
run 0 "$auspex" inspect $golden/$name.onnx
out_has 'classes   label: ["low","mid \"2\""], numbered from 0'
run 0 "$auspex" predict $golden/$name.onnx --input "$dir/g/in_0.csv" --output label="$dir/words.csv" --quiet
run 0 "$auspex" predict $golden/$name.onnx --input "$dir/g/in_0.csv" --output probabilities="$dir/p.csv" --quiet
{ echo label && awk -F , 'NR > 1 { print ($2 > $1 ? "\"mid \"\"2\"\"\"" : "low") }' "$dir/p.csv"; } >"$dir/expected.csv"
run 0 cmp "$dir/words.csv" "$dir/expected.csv"
run 0 grep -q mid "$dir/words.csv"
run 0 "$auspex" predict $golden/$name.onnx --input "$dir/g/in_0.csv" --output label="$dir/words.npy" --quiet
run 0 grep -aqF "'descr': '<U7', 'fortran_order': False, 'shape': (7,)" "$dir/words.npy"

# A word that is empty or begins with a blank is still a row of its table, and the whole of it.
run 0 "$tool" classes "$dir/classes.onnx"
awk 'BEGIN { srand(1); for (r = 0; r < 60; r++) for (c = 0; c < 40; c++) printf "%.3f%s", 2 * rand() - 1, c < 39 ? "," : "\n" }' >"$dir/forty.csv"
run 0 "$auspex" predict "$dir/classes.onnx" --input "$dir/forty.csv" --output label="$dir/words.csv" --output scores="$dir/p.csv" --quiet
{ echo label && awk -F , 'NR > 1 { print ($1 >= $2 && $1 >= $3 ? "\"\"" : $2 >= $3 ? "\" two words\"" : "\"a,b\"") }' "$dir/p.csv"; } >"$dir/expected.csv"
run 0 cmp "$dir/words.csv" "$dir/expected.csv"
run 0 grep -q '^""$' "$dir/words.csv"

# Several inputs, by name in any order.
name=torch_legacy_lstm_states
unpack $name
if [ -e "$dir/g/in_1.npy" ]; then
    "$auspex" inspect $golden/$name.onnx --json >"$dir/about.json"
    second=$(sed -n '/"inputs"/,/"outputs"/s/.*"name": "\(.*\)".*/\1/p' "$dir/about.json" | sed -n 2p)
    others=()
    for i in 2 3; do [ -e "$dir/g/in_$i.npy" ] && others+=(--input "$dir/g/in_$i.npy"); done
    outputs=()
    while read -r output; do outputs+=(--output "$output=$dir/$output.npy"); done < <(
        sed -n '/"outputs"/,/"metadata"/s/.*"name": "\(.*\)".*/\1/p' "$dir/about.json")
    first=${outputs[1]#*=}
    run 0 "$auspex" predict $golden/$name.onnx --input "$second=$dir/g/in_1.npy" --input "$dir/g/in_0.npy" \
        "${others[@]}" "${outputs[@]}" --quiet
    near "$first" "$dir/g/out_0.npy"
    run 1 "$auspex" predict $golden/$name.onnx --input "$dir/g/in_0.npy" "${outputs[@]}"
    err_has 'has no file'
    run 1 "$auspex" predict $golden/$name.onnx --input "$second=$dir/g/in_1.npy" --input "$second=$dir/g/in_1.npy" \
        "${outputs[@]}"
    err_has 'given twice'
fi

# Rows along the second dimension: a CSV line is still one row.
name=torch_legacy_lstm_timefirst
run 0 "$tool" fill "$dir/x.npy" 0.5 10 3 4
run 0 "$auspex" predict $golden/$name.onnx --input "$dir/x.npy" --output "$dir/a.npy"
err_has '3 rows'
line=0.5$(printf ',0.5%.0s' {2..40})
printf '%s\n' "$line" "$line" "$line" >"$dir/x.csv"
run 0 "$auspex" predict $golden/$name.onnx --input "$dir/x.csv" --output "$dir/b.csv" --quiet
near "$dir/b.csv" "$dir/a.npy"
# ... and steps may differ within a row: line by line is the same as all at once.
for i in {1..3}; do
    seq -s, $i 1 $((39 + i)) | sed 's/[0-9]*/0.0&/g'
done >"$dir/x.csv"
run 0 "$auspex" predict $golden/$name.onnx --input "$dir/x.csv" --output "$dir/all.csv" --quiet
head -1 "$dir/all.csv" >"$dir/each.csv"
for i in 1 2 3; do
    sed -n ${i}p "$dir/x.csv" >"$dir/one.csv"
    run 0 "$auspex" predict $golden/$name.onnx --input "$dir/one.csv" --quiet
    sed -n 2p "$dir/out" >>"$dir/each.csv"
done
run 0 cmp "$dir/all.csv" "$dir/each.csv"

# A free sequence length follows from the columns.
name=keras_lstm_free_time
unpack $name
run 0 "$auspex" predict $golden/$name.onnx --input "$dir/g/in_0.csv" --output "$dir/y.csv" --quiet
near "$dir/y.csv" "$dir/g/out_0.npy"

# A header, missing values and no rows at all.
name=sklearn_linear
unpack $name
head -1 "$dir/g/in_0.csv" >"$dir/one.csv"
features=$(tr , '\n' <"$dir/one.csv" | wc -l)
header=$(seq -f 'f%g' -s, 1 "$features")
printf '%s\n' "$header" >"$dir/none.csv"
run 0 "$auspex" predict $golden/$name.onnx --input "$dir/none.csv" --output "$dir/none.npy"
err_has '0 rows'
{ echo "$header"; sed 's/^[^,]*/NaN/' "$dir/one.csv"; } >"$dir/nan.csv"
run 0 "$auspex" predict $golden/$name.onnx --input "$dir/nan.csv" --quiet
out_has NaN

# An output to a named pipe, read and not.
unpack torch_legacy_lstm_1
mkfifo "$dir/pipe.csv"
run 0 "$auspex" predict $golden/torch_legacy_lstm_1.onnx --input "$dir/g/in_0.csv" --output "$dir/y.csv" --quiet
run 0 bash -c 'cat "$1" >"$2" & timeout 20 "$3" predict "$4" --input "$5" --output "$1" --quiet; s=$?; wait; exit $s' - \
    "$dir/pipe.csv" "$dir/piped.csv" "$auspex" $golden/torch_legacy_lstm_1.onnx "$dir/g/in_0.csv"
run 0 cmp "$dir/piped.csv" "$dir/y.csv"
run 1 timeout 20 "$auspex" predict $golden/torch_legacy_lstm_1.onnx --input "$dir/g/in_0.csv" --output "$dir/pipe.csv"
err_has 'pipe.csv is a pipe that nobody has opened for reading in 3 s'

# Refusals say what is expected.
model=$golden/torch_legacy_lstm_1.onnx
unpack torch_legacy_lstm_1
run 1 "$auspex" predict $model --input "$dir/none.csv" --output "$dir/y.npy"
err_has 'it takes 40 columns'
sed 's/^[^,]*/Monday/' "$dir/g/in_0.csv" >"$dir/text.csv"
run 1 "$auspex" predict $model --input "$dir/text.csv" --output "$dir/y.npy"
err_has 'line 1: column "f0" holds text'
run 1 "$auspex" predict $model --input z="$dir/g/in_0.csv"
err_has 'there is no input "z"; the model has: x; for a path with "=" in it say NAME=PATH'
run 1 "$auspex" predict $model --input "$dir/g/in_0.csv" --input "$dir/g/in_0.csv"
err_has 'the model has only 1 input'
run 1 "$auspex" predict $model --input "$dir/g/in_0.csv" --output q="$dir/y.npy"
err_has 'there is no output "q"'
# A path with "=" in it is a path where something is there and no tensor has the name before it.
run 0 "$auspex" predict $model --input "$dir/g/in_0.csv" --output "$dir/y.csv" --quiet
parted=$dir/date=2026-11-21
mkdir "$parted" && cp "$dir/g/in_0.csv" "$parted/rows.csv"
for given in "$parted/rows.csv" "x=$parted/rows.csv"; do
    for target in "$parted/y.csv" "y=$parted/y.csv"; do
        rm -f "$parted/y.csv"
        run 0 "$auspex" predict $model --input "$given" --output "$target" --quiet
        run 0 cmp "$parted/y.csv" "$dir/y.csv"
    done
done
run 1 "$auspex" predict $model --input "$parted/nothing.csv"
err_has 'for a path with "=" in it say NAME=PATH'
run 1 "$auspex" predict $model --input "$parted/rows.csv" --output "$parted/rows.csv"
err_has "this is an input's file itself"
run 1 bash -c 'cd "$1" && "$2" predict "$3" --input g/in_0.csv --output q=y.csv' - "$dir" "$(realpath "$auspex")" "$(realpath $model)"
err_has 'there is no output "q"'
run 1 "$auspex" predict $golden/sklearn_logistic_three_array.onnx --input "$dir/g/in_0.csv" --output "$parted/y.csv"
err_has 'say --output NAME=FILE'
run 0 "$tool" fill "$dir/flat.npy" 1 3 40
run 1 "$auspex" predict $model --input "$dir/flat.npy"
err_has 'the array is [3, 40]'
run 1 "$auspex" predict $model --input "$dir/l.npy"
err_has 'l.npy: No such file'
run 0 cp "$dir/text.csv" "$dir/fake.npy"
run 1 "$auspex" predict $model --input "$dir/fake.npy"
err_has 'no NumPy .npy file'
run 1 "$auspex" predict "$dir/text.csv" --input "$dir/text.csv"
err_has 'auspex predict: '
run 1 "$auspex" predict $golden/torch_legacy_lstm_fixed.onnx --input "$dir/one.csv"
err_has 'it takes 40 columns'
{ cat "$dir/g/in_0.csv"; head -1 "$dir/g/in_0.csv"; } >"$dir/four.csv"
run 1 "$auspex" predict $golden/torch_legacy_lstm_fixed.onnx --input "$dir/four.csv"
err_has 'fixed to 3 rows a call, the file has 4; export the model with a free batch'
run 1 "$auspex" predict $model --input "$dir/g/in_0.csv" --output "$dir/nowhere/y.npy"
err_has 'there is no folder '
run 1 "$auspex" predict $golden/keras_dense_layers.onnx --input "$dir/g/in_0.csv" --precision int8
err_has 'it is so small that float is as fast'
run 1 "$auspex" predict runtime/examples/trees/xgboost.ubj --input "$dir/g/in_0.csv" --precision int8
err_has 'precision "int8" is for recurrent and dense layers'
run 1 "$auspex" predict $model --input "$dir/g/in_0.csv" --device cuda
err_has 'cuda'

# A failed run leaves what was there.
echo old >"$dir/keep.npy"
run 1 "$auspex" predict $model --input "$dir/text.csv" --output "$dir/keep.npy"
run 0 grep -qx old "$dir/keep.npy"
if [ -w /dev/full ]; then
    last='/dev/full'
    "$auspex" predict $model --input "$dir/g/in_0.csv" --quiet >/dev/full 2>"$dir/err"
    status=$?
    [ $status = 1 ] || fail "status $status, expected 1"
    err_has 'cannot write standard output'
fi

# Usage.
run 0 "$auspex" predict --help
out_has 'usage: auspex predict'
err_empty
for words in '' 'm.onnx' 'm.onnx --input' 'm.onnx --input x.txt' 'a b --input x.csv' '--nothing' \
    'm.onnx --input x.csv --threads 0' 'm.onnx --input x.csv --device gpu' 'm.onnx --input x.csv --isa neon' \
    'm.onnx --input x.csv --precision fp8' 'm.onnx --input x.csv --leaves'; do
    run 2 "$auspex" predict $words
    err_has 'auspex predict: '
done
report
