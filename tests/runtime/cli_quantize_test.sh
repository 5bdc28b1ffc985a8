#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `auspex quantize`: files written whole or not at all, reports, refusals.
. tests/harness/cli.sh
auspex=$APX_BIN/auspex tool=$APX_BIN/cli_tool golden=tests/golden

# rows STEPS FEATURES ROWS: a CSV of windows; targets: two columns.
rows() {
    awk -v columns=$(($1 * $2)) -v rows="$3" 'BEGIN {
        srand(1)
        for (r = 0; r < rows; r++) for (c = 0; c < columns; c++) printf "%.4f%s", 2 * rand() - 1, c < columns - 1 ? "," : "\n"
    }'
}
rows 10 4 50 >"$dir/x.csv"
rows 1 2 50 >"$dir/y.csv"

# without data
model=$golden/torch_legacy_lstm_1.onnx
run 0 "$auspex" quantize $model "$dir/a.onnx"
err_empty
for word in '1 of 1 recurrent layer and 0 of 1 dense layer in int8, 127 levels' 'forward LSTM, 4 inputs, 8 units: int8' 'not measured'; do out_has "$word"; done
run 0 "$auspex" inspect "$dir/a.onnx"
for word in QuantizedLSTM 'int8, 127 levels' ', int8'; do out_has "$word"; done
run 0 "$auspex" inspect "$dir/a.onnx" --json
for word in '"precision": "int8"' '"quantized": "int8, 127 levels'; do out_has "$word"; done
run 0 "$auspex" quantize $model -o "$dir/b.onnx"
run 0 cmp "$dir/a.onnx" "$dir/b.onnx"

# with data and targets
run 0 "$auspex" quantize $model "$dir/b.onnx" --data "$dir/x.csv" --targets "$dir/y.csv" --levels 63
for word in '63 levels' 'rows      50' 'max error' 'float RMSE' '%'; do out_has "$word"; done
run 0 "$auspex" inspect "$dir/b.onnx"
out_has 'int8, 63 levels'
run 0 "$auspex" quantize $model "$dir/b.onnx" --data "$dir/x.csv" --targets "$dir/y.csv" --json
for key in source output source_bytes output_bytes levels layers int8_bytes rows max_abs_error mean_abs_error worst_row \
    rmse_float rmse_int8 rmse_change_percent; do out_has "\"$key\":"; done
# The error it reports is the difference of what the two models predict.
run 0 "$auspex" predict $model --input "$dir/x.csv" --output "$dir/float.csv" --quiet
run 0 "$auspex" predict "$dir/b.onnx" --input "$dir/x.csv" --output "$dir/int8.csv" --quiet
run 0 "$auspex" quantize $model "$dir/c.onnx" --data "$dir/x.csv" --json
reported=$(sed -n 's/.*"max_abs_error": \([0-9.e-]*\).*/\1/p' "$dir/out")
found=$(paste -d , "$dir/float.csv" "$dir/int8.csv" | awk -F , 'NR > 1 { for (i = 1; i <= 2; i++) { d = $i - $(i + 2); if (d < 0) d = -d; if (d > most) most = d } } END { print most }')
checks=$((checks + 1))
awk -v a="$reported" -v b="$found" 'BEGIN { exit !(a > 0 && a < 0.02 && (a - b) ^ 2 < 1e-16) }' || fail "max_abs_error $reported, found $found"

# Targets that the float model meets next to exactly: both errors, and no percentage of nothing.
sed 1d "$dir/float.csv" >"$dir/own_targets.csv"
awk 'BEGIN { FS = OFS = "," } { $1 += 0.00001 } 1' "$dir/own_targets.csv" >"$dir/close.csv"
for targets in own_targets close; do
    run 0 "$auspex" quantize $model "$dir/c.onnx" --data "$dir/x.csv" --targets "$dir/$targets.csv"
    out_has 'the given model is so close to these targets that a percentage says nothing: y'
    checks=$((checks + 1))
    grep -qE '^ +[0-9.e-]+ +0\.0[0-9]+ +-  y' "$dir/out" || fail "no row of two errors"
    run 0 "$auspex" quantize $model "$dir/c.onnx" --data "$dir/x.csv" --targets "$dir/$targets.csv" --json
    out_has '"rmse_change_percent": null'
    for key in rmse_float rmse_int8; do
        checks=$((checks + 1))
        grep -qE "\"$key\": [0-9]" "$dir/out" || fail "no $key"
    done
done

# Rows with NaN are counted, and are in no figure: those of the others alone.
awk 'BEGIN { FS = OFS = "," } NR > 43 { $7 = "nan" } 1' "$dir/x.csv" >"$dir/nan.csv"
head -43 "$dir/x.csv" >"$dir/x43.csv"
head -43 "$dir/y.csv" >"$dir/y43.csv"
run 0 "$auspex" quantize $model "$dir/c.onnx" --data "$dir/x43.csv" --targets "$dir/y43.csv"
sed -n '/^outputs/,$p' "$dir/out" >"$dir/expected"
run 0 "$auspex" quantize $model "$dir/c.onnx" --data "$dir/nan.csv" --targets "$dir/y.csv"
out_has 'nan       7 of 50 rows hold NaN and are left out of the figures: '
sed -n '/^outputs/,/^nan/p' "$dir/out" | sed '$d' >"$dir/found"
run 0 cmp "$dir/expected" "$dir/found"
run 0 "$auspex" quantize $model "$dir/c.onnx" --data "$dir/nan.csv" --targets "$dir/y.csv" --json
for word in '"rows": 50' '"rows_compared": 43' '"rows_with_nan": 7'; do out_has "$word"; done
sed 's/[^,]*/nan/' "$dir/x.csv" >"$dir/nan.csv"
run 0 "$auspex" quantize $model "$dir/c.onnx" --data "$dir/nan.csv" --targets "$dir/y.csv"
out_has '50 of 50 rows hold NaN and no error was measured: '
err_has 'c.onnx: warning: written, but no error was measured: all rows of the data give NaN'
checks=$((checks + 2))
grep -qE '^ +nan +nan +none +nan ' "$dir/out" || fail "figures without a row to tell them from"
grep -qE '^ +nan +nan +- ' "$dir/out" || fail "RMSE without a row to tell it from"
run 0 "$auspex" quantize $model "$dir/c.onnx" --data "$dir/nan.csv" --targets "$dir/y.csv" --json
out_has '"rows_compared": 0'
err_has 'warning: written, but no error was measured'
for key in max_abs_error mean_abs_error worst_row max_abs_value rmse_float rmse_int8 rmse_change_percent; do out_has "\"$key\": null"; done
# Without targets that are known there is no RMSE.
sed 's/[^,]*/nan/g' "$dir/y.csv" >"$dir/nan.csv"
run 0 "$auspex" quantize $model "$dir/c.onnx" --data "$dir/x.csv" --targets "$dir/nan.csv" --json
for key in rmse_float rmse_int8 rmse_change_percent; do out_has "\"$key\": null"; done
out_has '"rows_compared": 50'
run 0 "$tool" fill "$dir/empty.npy" 0 0 10 4
run 1 "$auspex" quantize $model "$dir/none.onnx" --data "$dir/empty.npy"
err_has 'empty.npy: no rows: no error can be measured'

# --precision int8 is the same model without the file, and no other for one that is int8 already.
for file in $model "$dir/a.onnx"; do
    run 0 "$auspex" predict $file --precision int8 --input "$dir/x.csv" --output "$dir/once.csv" --quiet
    run 0 "$auspex" predict "$dir/a.onnx" --input "$dir/x.csv" --output "$dir/int8.csv" --quiet
    run 0 cmp "$dir/once.csv" "$dir/int8.csv"
done

# layers
run 0 "$auspex" quantize $golden/torch_legacy_lstm_3_nobias.onnx "$dir/d.onnx"
out_has '3 of 3 recurrent layers'
out_has 'its input too'
run 1 "$auspex" quantize $golden/torch_legacy_lstm_3_nobias.onnx "$dir/none.onnx" --layers nobody
err_has 'no recurrent or dense layer "nobody"'
out_has '7 units: left as it is: not among the layers asked for'
run 1 bash -c '"$@" 2>&1' - "$auspex" quantize $golden/torch_legacy_lstm_3_nobias.onnx "$dir/none.onnx" --layers nobody
cp "$dir/out" "$dir/both"
run 0 sed 1q "$dir/both" # the error first
out_has 'no recurrent or dense layer "nobody"'
run 1 "$auspex" quantize $golden/keras_lstm_relu.onnx "$dir/none.onnx"
err_has 'its activations are not Sigmoid and Tanh'
run 1 "$auspex" quantize $golden/keras_dense_layers.onnx "$dir/none.onnx"
err_has 'it is so small that float is as fast'

# A classifier of words: targets without a name are for its scores, and of its label rows are counted.
run 0 "$tool" classes "$dir/classes.onnx"
rows 1 40 60 >"$dir/forty.csv"
run 0 "$auspex" predict "$dir/classes.onnx" --input "$dir/forty.csv" --output scores="$dir/scores.csv" \
    --output label="$dir/label.csv" --quiet
sed 1d "$dir/scores.csv" | awk 'BEGIN { FS = OFS = "," } { $1 += 0.1 } 1' >"$dir/targets.csv"
run 0 "$auspex" quantize "$dir/classes.onnx" "$dir/classes8.onnx" --data "$dir/forty.csv" --targets "$dir/targets.csv" --json
out_has '"rmse_int8": 0.0'
reported=$(sed -n 's/.*"rows_of_another_class": \([0-9]*\).*/\1/p' "$dir/out")
run 0 "$auspex" predict "$dir/classes8.onnx" --input "$dir/forty.csv" --output label="$dir/label8.csv" --quiet
checks=$((checks + 1))
[ "$reported" = "$(diff "$dir/label.csv" "$dir/label8.csv" | grep -c '^<')" ] && [ "$reported" -gt 0 ] ||
    fail "$reported rows of another class"
run 0 "$auspex" quantize "$dir/classes.onnx" "$dir/classes8.onnx" --data "$dir/forty.csv" --targets "$dir/targets.csv"
out_has "another class in $reported of 60 rows: label"
checks=$((checks + 2))
[ "$(grep -c ' label$' "$dir/out")" = 1 ] || fail "figures of a label"
grep -qE '^ +0\.05[0-9]+ +0\.0[0-9]+ +[+-][0-9.]+%  scores$' "$dir/out" || fail "no RMSE of the scores"
run 1 "$auspex" quantize "$dir/classes.onnx" "$dir/none.onnx" --data "$dir/forty.csv" --targets label="$dir/targets.csv"
err_has 'output "label" is a class, of which there is no RMSE; name an output of numbers'

# What is int8 already stays; the rest is done as it would have been at once.
run 1 "$auspex" quantize "$dir/a.onnx" "$dir/none.onnx"
err_has 'a.onnx: 1 of its 2 layers are int8 already, and none of the others can be; '
err_has ': it is so small that float is as fast'
run 1 "$auspex" quantize "$dir/a.onnx" "$dir/none.onnx" --layers nobody
err_has 'no recurrent or dense layer "nobody"'
run 0 "$auspex" quantize $golden/torch_legacy_lstm_3_nobias.onnx "$dir/part.onnx" --layers /rnn/LSTM_1
run 0 "$auspex" quantize "$dir/part.onnx" "$dir/rest.onnx"
out_has "rest.onnx: 2 of 2 recurrent layers and 0 of 1 dense layer in int8"
out_has "before    1 more layer was int8 already in $dir/part.onnx, and stays so"
rows 6 4 40 >"$dir/six.csv"
for model_file in "$dir/d.onnx" "$dir/rest.onnx"; do
    run 0 "$auspex" predict "$model_file" --input "$dir/six.csv" --quiet
    cp "$dir/out" "${model_file%.onnx}.csv"
done
run 0 cmp "$dir/d.csv" "$dir/rest.csv"
run 0 "$auspex" quantize "$dir/part.onnx" "$dir/rest.onnx" --data "$dir/six.csv"
out_has 'rows      40 of the data, the given model beside the new one: what the layers that were int8 before cost'
run 0 "$auspex" quantize "$dir/part.onnx" "$dir/rest.onnx" --json
out_has '"int8_before": 1,'

# A model that goes to standard output has it alone.
for form in '' --json; do
    checks=$((checks + 1)) last="quantize -o /dev/stdout $form"
    "$auspex" quantize $model -o /dev/stdout $form 2>"$dir/err" | cat >"$dir/out"
    cmp "$dir/out" "$dir/a.onnx" || fail "standard output is not the model"
    grep -q recurrent "$dir/err" || grep -q '"levels": 127' "$dir/err" || fail "the report is lost"
done
checks=$((checks + 1)) last="quantize -o /dev/stdout >FILE"
"$auspex" quantize $model -o /dev/stdout >"$dir/redirected.onnx" 2>"$dir/err"
cmp "$dir/redirected.onnx" "$dir/a.onnx" || fail "the file is not the model"
grep -q recurrent "$dir/err" || fail "the report is lost"
checks=$((checks + 1)) last="import -o /dev/stdout"
"$auspex" import runtime/examples/trees/xgboost.ubj -o "$dir/trees.onnx" >"$dir/report"
"$auspex" import runtime/examples/trees/xgboost.ubj -o /dev/stdout 2>"$dir/err" | cat >"$dir/out"
cmp "$dir/out" "$dir/trees.onnx" || fail "standard output is not the model"
cmp <(sed 's/^[^:]*//' "$dir/err") <(sed 's/^[^:]*//' "$dir/report") || fail "the report is not on standard error"

# files that are none of ONNX are told as by the other commands
for model_file in runtime/examples/trees/xgboost.ubj runtime/examples/trees/lightgbm.txt; do
    run 1 "$auspex" quantize $model_file "$dir/none.onnx"
    err_has 'a tree ensemble has no LSTM, no GRU and no dense layer'
done
printf '\200\004\225 pickled' >"$dir/model.pkl"
echo '{"some": "JSON"}' >"$dir/model.json"
echo 'this is no model' >"$dir/model.txt"
for file in model.pkl model.json model.txt x.csv; do
    run 1 "$auspex" inspect "$dir/$file"
    sed 's/^auspex inspect: //' "$dir/err" >"$dir/expected"
    run 1 "$auspex" quantize "$dir/$file" "$dir/none.onnx"
    sed 's/^auspex quantize: //' "$dir/err" >"$dir/found"
    run 0 cmp "$dir/expected" "$dir/found"
done
run 1 "$auspex" quantize "$dir/model.txt" "$dir/none.onnx"
err_has 'model.txt: text that is no model; ONNX is read, XGBoost'

# refusals: nothing is written, nothing lost
cp $model "$dir/own.onnx"
ln -s own.onnx "$dir/link.onnx"
run 1 "$auspex" quantize "$dir/own.onnx" "$dir/own.onnx"
err_has 'this is the model itself'
run 1 "$auspex" quantize "$dir/own.onnx" "$dir/link.onnx"
err_has 'this is the model itself'
run 0 cmp $model "$dir/own.onnx"
run 0 "$tool" external $model "$dir" split
cp "$dir/x.csv" "$dir/own.csv"
cp "$dir/y.csv" "$dir/own_y.csv"
sum=$(cat "$dir"/split.onnx "$dir"/split.data "$dir"/own*.csv | cksum)
ln "$dir/own.csv" "$dir/hard.csv"
ln "$dir/split.data" "$dir/split.csv"
for target in own.csv hard.csv ./own.csv; do
    run 1 "$auspex" quantize $model "$dir/$target" --data "x=$dir/own.csv"
    err_has "$target: this is a file of --data itself"
    run 1 "$auspex" predict $model --input "$dir/own.csv" --output "$dir/$target"
    err_has "$target: this is an input's file itself"
done
run 1 "$auspex" quantize $model "$dir/own_y.csv" --data "$dir/x.csv" --targets "$dir/own_y.csv"
err_has 'own_y.csv: this is the file of --targets itself'
for target in split.data split.csv; do
    run 1 "$auspex" quantize "$dir/split.onnx" "$dir/$target"
    err_has "$target: this is the model's external data itself"
done
for precision in fp32 int8; do
    run 1 "$auspex" predict "$dir/split.onnx" --input "$dir/x.csv" --output "$dir/split.csv" --precision $precision
    err_has "split.csv: this is the model's external data itself"
done
cp $model "$dir/model.csv"
run 1 "$auspex" predict "$dir/model.csv" --input "$dir/x.csv" --output "$dir/./model.csv"
err_has 'this is the model itself'
run 0 cmp $model "$dir/model.csv"
checks=$((checks + 1))
[ "$sum" = "$(cat "$dir"/split.onnx "$dir"/split.data "$dir"/own*.csv | cksum)" ] || fail "something that was read was written to"
rm "$dir/split.csv"

# external data count, and come into the model
size=$(cat "$dir"/split.onnx "$dir"/split.data | wc -c) data=$(wc -c <"$dir/split.data")
run 0 "$auspex" quantize "$dir/split.onnx" "$dir/whole.onnx" --data "$dir/x.csv"
out_has " bytes instead of $size, $data of them in external data"
run 0 cmp "$dir/whole.onnx" "$dir/a.onnx"
run 0 "$auspex" quantize "$dir/split.onnx" "$dir/whole.onnx" --json
out_has "\"source_bytes\": $size,"

# a pipe is read once
run 0 bash -c 'cat "$1" | "$2" quantize /dev/stdin "$3" --data "$4"' - $model "$auspex" "$dir/piped.onnx" "$dir/x.csv"
out_has 'max error'
run 0 cmp "$dir/piped.onnx" "$dir/a.onnx"

run 1 "$auspex" quantize "$dir/nowhere.onnx" "$dir/none.onnx"
err_has 'No such file'
run 1 "$auspex" quantize $model "$dir/none/none.onnx" --data "$dir/nowhere.csv" # before anything is read
err_has "cannot write $dir/none/none.onnx: there is no folder $dir/none; make it first"
run 1 "$auspex" quantize $model "$dir/x.csv/none.onnx"
err_has "x.csv is no folder"
run 1 "$auspex" predict $model --input "$dir/nowhere.csv" --output "$dir/none/y.csv"
err_has "there is no folder $dir/none"
run 1 "$auspex" import "$dir/nowhere.ubj" -o "$dir/none/none.onnx"
err_has "there is no folder $dir/none"
run 1 test -e "$dir/none"
rows 9 4 5 >"$dir/short.csv"
run 1 "$auspex" quantize $model "$dir/none.onnx" --data "$dir/short.csv"
err_has 'short.csv'
run 1 "$auspex" quantize $model "$dir/none.onnx" --data "$dir/x.csv" --data "$dir/x.csv"
err_has 'no input is left'
head -5 "$dir/y.csv" >"$dir/few.csv"
run 1 "$auspex" quantize $model "$dir/none.onnx" --data "$dir/x.csv" --targets "$dir/few.csv"
err_has 'targets'
run 1 "$auspex" quantize $model "$dir/none.onnx" --data "$dir/x.csv" --targets "other=$dir/y.csv"
err_has 'no output is named "other"; outputs: y'
run 1 "$auspex" quantize $model "$dir/none.onnx" --data "foo=$dir/x.csv"
err_has 'no input is named "foo"; inputs: x'
# Paths with "=" in them
mkdir "$dir/day=1" && cp "$dir/x.csv" "$dir/y.csv" "$dir/day=1"
for name in '' x=; do
    run 0 "$auspex" quantize $model "$dir/parted.onnx" --data "$name$dir/day=1/x.csv" --targets "$dir/day=1/y.csv"
done
run 1 "$auspex" quantize $model "$dir/day=1/x.csv" --data "$dir/day=1/x.csv"
err_has 'this is a file of --data itself'
run 1 "$auspex" quantize $model "$dir/none.onnx" --data "$dir/day=1/nothing.csv"
err_has 'for a path with "=" in it say NAME=PATH'
cut -d , -f 1 "$dir/y.csv" >"$dir/one.csv"
run 1 "$auspex" quantize $model "$dir/none.onnx" --data "$dir/x.csv" --targets "$dir/one.csv"
err_has 'one.csv: output "y" is [batch, 2]: it takes 2 columns, the file has 1'
run 0 "$tool" fill "$dir/one.npy" 0 50 1
run 1 "$auspex" quantize $model "$dir/none.onnx" --data "$dir/x.csv" --targets "$dir/one.npy"
err_has 'one.npy: output "y" is [batch, 2], the array is [50, 1]'
checks=$((checks + 1))
[ ! -e "$dir/none.onnx" ] || fail "a refused model was written"

# a limit on the size of files: told, and nothing is left of what was begun
mkdir "$dir/limited"
run 1 bash -c 'ulimit -f 4; "$1" quantize "$2" "$3"' - "$auspex" $golden/torch_legacy_lstm_3_nobias.onnx "$dir/limited/big.onnx"
err_has 'limited/big.onnx: File too large'
checks=$((checks + 1))
[ -z "$(ls -A "$dir/limited")" ] || fail "a piece of a file is left"

# dense layers, and scales from data
run 0 "$tool" dense "$dir/dense.onnx"
rows 1 40 60 >"$dir/forty.csv"
run 1 "$auspex" quantize "$dir/dense.onnx" "$dir/int8.onnx"
err_has 'none of the 3 layers can be quantised; first: the range of its input is not known; rows of data tell it (auspex quantize --data)'
run 1 "$auspex" quantize "$dir/dense.onnx" "$dir/int8.onnx" --layers y
err_has 'can be quantised; y: it is so small'
run 1 "$auspex" quantize "$dir/dense.onnx" "$dir/int8.onnx" --data "$dir/forty.csv" --no-scales
run 0 "$auspex" quantize "$dir/dense.onnx" "$dir/int8.onnx" --data "$dir/forty.csv"
for word in ': 2 of 3 dense layers in int8' 'first  dense (MatMul), 40 inputs, 64 outputs: int8, its input too, up to ' \
    'y  dense (MatMul), 48 inputs, 2 outputs: left as it is: it is so small'; do out_has "$word"; done
run 0 "$auspex" inspect "$dir/int8.onnx"
out_has QuantizedLinear
run 0 "$auspex" quantize "$dir/dense.onnx" "$dir/int8.onnx" --data "$dir/forty.csv" --json
for word in '"input_bound"' '"bound_from_data": true' '"output": 64' '"op": "MatMul"'; do out_has "$word"; done
# One value far beyond very many others is cut off: the scale is that of the others.
rows 1 40 6000 | awk 'BEGIN { FS = OFS = "," } NR == 7 { $3 = 4 } 1' >"$dir/outlier.csv"
run 0 "$auspex" quantize "$dir/dense.onnx" "$dir/int8.onnx" --data "$dir/outlier.csv" --json
bound=$(sed -n 's/.*"input_bound": \([0-9.e-]*\).*/\1/p' "$dir/out" | head -1)
checks=$((checks + 1))
awk -v b="$bound" 'BEGIN { exit !(b > 0.9 && b < 3) }' || fail "an outlier sets the scale: $bound"
# A row that went wrong does not set the scales of very many others, however large it is: they are answered as without
# it, and the report says that it is not.
int8_error() { # the mean difference of float and int8 model on ordinary rows, of which none is the wrong one
    run 0 "$auspex" predict "$dir/int8.onnx" --input "$dir/forty.csv" --output "$dir/found.csv" --quiet
    paste -d , "$dir/expected.csv" "$dir/found.csv" |
        awk -F , 'NR > 1 { for (i = 1; i <= 2; i++) { d = $i - $(i + 2); sum += d < 0 ? -d : d } } END { print sum }'
}
bounds() { sed -n 's/.*its input too, up to \([0-9.e-]*\).*/\1/p' "$dir/out" | tr '\n' ' '; }
run 0 "$auspex" predict "$dir/dense.onnx" --input "$dir/forty.csv" --output "$dir/expected.csv" --quiet
rows 1 40 2000 >"$dir/many.csv"
run 0 "$auspex" quantize "$dir/dense.onnx" "$dir/int8.onnx" --data "$dir/many.csv"
checks=$((checks + 1))
grep -qE 'far beyond|scales  ' "$dir/out" && fail "a line about ordinary rows"
clean=$(bounds) clean_error=$(int8_error)
for factor in 10 100 1000 1000000; do
    awk -v f=$factor 'BEGIN { FS = OFS = "," } NR == 7 { for (i = 1; i <= NF; i++) $i *= f } 1' "$dir/many.csv" >"$dir/wrong.csv"
    run 0 "$auspex" quantize "$dir/dense.onnx" "$dir/int8.onnx" --data "$dir/wrong.csv"
    for word in ': 2 of 3 dense layers in int8' '1 of 2000 rows of its input lies far beyond ' 'and the row is answered wrongly'; do out_has "$word"; done
    checks=$((checks + 2))
    echo "$clean $(bounds)" | awk -v most=$((factor > 10 ? 2 : 5)) '{ exit !(NF == 4 && $3 < most * $1 && $4 < most * $2) }' ||
        fail "factor $factor: bounds $clean became $(bounds)"
    error=$(int8_error)
    awk -v a="$clean_error" -v b="$error" 'BEGIN { exit !(a > 0 && b < 2 * a) }' || fail "factor $factor: error $clean_error became $error"
done
run 0 "$auspex" quantize "$dir/dense.onnx" "$dir/int8.onnx" --data "$dir/wrong.csv" --json
for word in '"input_rows": 2000' '"input_rows_cut_off": 1' '"rows_for_scales": 2000'; do out_has "$word"; done
# One feature of it alone is enough to be wrong, and no reason to call that feature small.
awk 'BEGIN { FS = OFS = "," } NR == 7 { $3 = -99999 } 1' "$dir/many.csv" >"$dir/wrong.csv"
run 0 "$auspex" quantize "$dir/dense.onnx" "$dir/int8.onnx" --data "$dir/wrong.csv"
out_has ': 2 of 3 dense layers in int8'
out_has '1 of 2000 rows of its input lies far beyond '
# Among few rows it is no longer one of a thousand: floats hold both.
awk 'BEGIN { FS = OFS = "," } NR == 7 { for (i = 1; i <= NF; i++) $i *= 1000 } 1' "$dir/forty.csv" >"$dir/wrong.csv"
run 1 "$auspex" quantize "$dir/dense.onnx" "$dir/none.onnx" --data "$dir/wrong.csv"
err_has "first: one scale cannot hold all rows of its input: 1 of 60 would be off by more than a third (values reach "
# Rows of two sizes, as many of each: int8 holds them while one is 30 times the other, and not at 100 times.
for factor in 30 100; do
    awk -v f=$factor 'BEGIN { FS = OFS = "," } NR % 2 { for (i = 1; i <= NF; i++) $i *= f } 1' "$dir/many.csv" >"$dir/wrong.csv"
    run $((factor / 100)) "$auspex" quantize "$dir/dense.onnx" "$dir/two.onnx" --data "$dir/wrong.csv"
done
err_has 'first: one scale cannot hold all rows of its input: '
# Not one row without NaN: no scale, no file.
awk 'BEGIN { FS = OFS = "," } { $5 = "nan" } 1' "$dir/forty.csv" >"$dir/nan.csv"
run 1 "$auspex" quantize "$dir/dense.onnx" "$dir/none.onnx" --data "$dir/nan.csv"
err_has 'nan.csv: not one row can be used for scales: all of them make the inputs of layers NaN; --no-scales does without'
checks=$((checks + 1))
[ ! -e "$dir/none.onnx" ] || fail "a refused model was written"
# Scales of few rows are said to be.
for count in 1 29 30; do
    awk -v n=$count 'NR <= n { print; sub(/[^,]*/, "nan"); print }' "$dir/many.csv" >"$dir/few.csv" # NaN does not count
    run 0 "$auspex" quantize "$dir/dense.onnx" "$dir/int8.onnx" --data "$dir/few.csv"
    checks=$((checks + 1))
    case $count in
    1) grep -qF 'scales    from 1 row only: larger inputs than theirs are cut off' "$dir/out" ;;
    29) grep -qF 'scales    from 29 rows only: ' "$dir/out" ;;
    *) ! grep -qF 'scales  ' "$dir/out" ;;
    esac || fail "$count rows: not told, or told without need"
done
# A feature that is very small beside the others would be lost: the layer that reads it stays.
awk 'BEGIN { FS = OFS = "," } { $5 = $5 / 10000 } 1' "$dir/forty.csv" >"$dir/small.csv"
run 0 "$auspex" quantize "$dir/dense.onnx" "$dir/int8.onnx" --data "$dir/small.csv"
out_has 'first  dense (MatMul), 40 inputs, 64 outputs: left as it is: '
out_has ': 1 of 3 dense layers in int8'
# A recurrent layer becomes int8 in any case, its input only where one scale holds the rows of the data.
run 0 "$tool" lstm "$dir/lstm.onnx"
rows 5 20 60 >"$dir/hundred.csv"
run 0 "$auspex" quantize "$dir/lstm.onnx" "$dir/int8.onnx" --data "$dir/hundred.csv"
out_has 'layer  forward LSTM, 20 inputs, 8 units: int8, its input too, up to '
awk 'BEGIN { FS = OFS = "," } { $5 = $5 / 10000; $25 = $45 = $65 = $85 = $5 } 1' "$dir/hundred.csv" >"$dir/small.csv"
run 0 "$auspex" quantize "$dir/lstm.onnx" "$dir/int8.onnx" --data "$dir/small.csv"
out_has 'layer  forward LSTM, 20 inputs, 8 units: int8, 2944 bytes instead of 3584'
out_has '          its input stays float: a feature of its input varies too little beside the others'
run 0 "$auspex" quantize "$dir/lstm.onnx" "$dir/int8.onnx" --data "$dir/small.csv" --json
out_has '"input_reason": "'
out_has '"input_is_int8": false'
# Data that can be read but once
mkfifo "$dir/pipe.csv"
run 0 bash -c 'cat "$1" >"$2" & "$3" quantize "$4" "$5" --data "$2"' - "$dir/forty.csv" "$dir/pipe.csv" "$auspex" \
    "$dir/dense.onnx" "$dir/piped.onnx"
run 0 "$auspex" quantize "$dir/dense.onnx" "$dir/int8.onnx" --data "$dir/forty.csv"
run 0 cmp "$dir/piped.onnx" "$dir/int8.onnx"

# usage
model=$golden/torch_legacy_lstm_1.onnx
run 2 "$auspex" quantize
err_has 'name a model file'
run 2 "$auspex" quantize $model
err_has 'name the file to write'
run 2 "$auspex" quantize $model ""
err_has 'the name of the file to write is empty'
run 1 "$auspex" quantize "" "$dir/none.onnx"
err_has 'cannot open ""'
run 2 "$auspex" quantize $model "$dir/a.onnx" "$dir/b.onnx"
err_has 'one argument too many'
run 2 "$auspex" quantize $model "$dir/a.onnx" --levels 64
err_has '--levels is 63 or 127'
run 2 "$auspex" quantize $model "$dir/a.onnx" --targets "$dir/y.csv"
err_has '--targets needs --data'
run 2 "$auspex" quantize $model "$dir/a.onnx" --data x.txt
err_has 'ends neither in .npy nor in .csv'
run 2 "$auspex" quantize $model "$dir/a.onnx" --layers ,
err_has 'names no layer'
run 0 "$auspex" quantize --help
out_has 'usage: auspex quantize MODEL.onnx OUT.onnx [--data [NAME=]FILE]... [options]'
out_has '(default: 127)'
report
