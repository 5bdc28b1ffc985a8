#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The `auspex` program with tree ensembles: the files of XGBoost and LightGBM, and what `auspex import` makes of them.
. tests/harness/cli.sh
auspex=$APX_BIN/auspex tool=$APX_BIN/cli_tool trees=runtime/examples/trees rows=runtime/examples/trees/rows.csv

# equal A B: the same text
equal() {
    checks=$((checks + 1))
    cmp -s "$1" "$2" || fail "$1 and $2 differ"
}
# predict OUTPUT ARGUMENTS...
predict() {
    local to=$1
    shift
    run 0 "$auspex" predict "$@" --quiet
    cp "$dir/out" "$to"
}

for model in xgboost.ubj lightgbm.txt; do
    # Imported, a model gives the same predictions, sums and leaves, to the last digit.
    run 0 "$auspex" import $trees/$model -o "$dir/m.onnx"
    out_has '30 trees'
    out_has '28 features'
    for option in "" --margin --leaf; do
        predict "$dir/a.csv" $trees/$model --input $rows $option
        predict "$dir/b.csv" "$dir/m.onnx" --input $rows $option
        equal "$dir/a.csv" "$dir/b.csv"
    done
    run 0 head -1 "$dir/a.csv"
    out_has 'leaf_0,leaf_1,'
    run 0 sed -n '$=' "$dir/a.csv"
    out_has 21

    # Columns by name: in another order, beside a column of text.
    predict "$dir/a.csv" $trees/$model --input $rows
    awk -F, '{ printf "%s", NR == 1 ? "label" : "yes"; for (i = NF; i > 0; i--) printf ",%s", $i; print "" }' $rows >"$dir/by_name.csv"
    predict "$dir/b.csv" $trees/$model --input "$dir/by_name.csv"
    equal "$dir/a.csv" "$dir/b.csv"
    predict "$dir/b.csv" "$dir/m.onnx" --input "$dir/by_name.csv"
    equal "$dir/a.csv" "$dir/b.csv"
    # By position where there is no header, or one that speaks of something else.
    sed 1d $rows >"$dir/plain.csv"
    sed '1s/f/g/g' $rows >"$dir/other.csv"
    for file in plain other; do
        predict "$dir/b.csv" $trees/$model --input "$dir/$file.csv"
        equal "$dir/a.csv" "$dir/b.csv"
    done
    cut -d, -f 1-5 $rows >"$dir/short.csv"
    run 1 "$auspex" predict $trees/$model --input "$dir/short.csv"
    err_has 'the header has no "f5"'
    sed 1d "$dir/short.csv" >"$dir/short_plain.csv"
    run 1 "$auspex" predict $trees/$model --input "$dir/short_plain.csv"
    err_has 'it takes 28 columns, the file has 5'

    # Either type of .npy array.
    run 0 "$tool" fill "$dir/x.npy" 0.375 3 28
    run 0 "$tool" wide "$dir/x.npy" "$dir/wide.npy"
    predict "$dir/a.csv" $trees/$model --input "$dir/x.npy"
    predict "$dir/b.csv" $trees/$model --input "$dir/wide.npy"
    equal "$dir/a.csv" "$dir/b.csv"

    run 0 "$auspex" inspect $trees/$model
    out_has 'trees     30 trees'
    out_has ', 1 margin; compares in float'
    run 0 "$auspex" inspect "$dir/m.onnx"
    out_has '30 trees'
    out_has "; ${model%.*}"
    run 0 "$auspex" inspect $trees/$model --json
    out_has '"trees": 30'
    out_has '"schedule"'
    run 0 "$auspex" bench $trees/$model --rows 1,64 --seconds 0.01
    out_has 'ns/tree/row'
    run 0 "$auspex" bench $trees/$model --rows 64 --seconds 0.01 --json
    out_has '"ns_per_tree_row"'
    run 0 "$auspex" bench $trees/$model --rows 1,50 --seconds 0.01 --input "$dir/by_name.csv"
    out_has '30 trees'
done

# LightGBM writes '_' for spaces in names; the header has what the columns were called.
sed '/^feature_names/s/f\([0-9]\)/a_b_f\1/g' $trees/lightgbm.txt >"$dir/spaces.txt"
predict "$dir/a.csv" $trees/lightgbm.txt --input $rows
sed '1s/f\([0-9]\)/a b f\1/g' "$dir/by_name.csv" >"$dir/spaces.csv"
predict "$dir/b.csv" "$dir/spaces.txt" --input "$dir/spaces.csv"
equal "$dir/a.csv" "$dir/b.csv"
sed '1s/label/a_b f3/' "$dir/spaces.csv" >"$dir/two.csv" # either may be meant
run 1 "$auspex" predict "$dir/spaces.txt" --input "$dir/two.csv"
err_has 'the header has no "a_b_f3"'
sed '1s/label/a_b_f3/; s/^yes/7/' "$dir/spaces.csv" >"$dir/exactly.csv"
sed '1s/label/a_b_f3/; 1s/a b f3,/other,/; s/^yes/7/' "$dir/spaces.csv" >"$dir/one.csv"
predict "$dir/b.csv" "$dir/spaces.txt" --input "$dir/one.csv"
predict "$dir/c.csv" "$dir/spaces.txt" --input "$dir/exactly.csv"
equal "$dir/b.csv" "$dir/c.csv"

# Sets of categories are counted alike of a file and of what import makes of it.
for model in tests/golden/lightgbm/{2.2.3,4.7.0}_{forest,three}.txt tests/golden/xgboost/*.json; do
    run 0 "$auspex" import "$model" -o "$dir/sets.onnx" --json
    sets=$(sed -n 's/.*"sets": \([0-9]*\).*/\1/p' "$dir/out")
    for file in "$model" "$dir/sets.onnx"; do
        run 0 "$auspex" inspect "$file" --json
        out_has "\"sets\": $sets"
    done
done
[ "$sets" -ge 0 ] || fail 'no number of sets'

# Numbers between floats count for LightGBM: they are not rounded on the way.
sed 1q $rows >"$dir/exact.csv"
threshold=$(sed -n 's/^threshold=\([^ ]*\) .*/\1/p;T;q' $trees/lightgbm.txt)
feature=$(sed -n 's/^split_feature=\([^ ]*\) .*/\1/p;T;q' $trees/lightgbm.txt)
for value in "$threshold" "$(awk -v t="$threshold" 'BEGIN { printf "%.17g", t + (t < 0 ? -t : t) * 4e-16 }')"; do
    awk -v f="$feature" -v v="$value" 'BEGIN { for (i = 0; i < 28; i++) printf "%s%s", i == f ? v : 0.5, i < 27 ? "," : "\n" }'
done >>"$dir/exact.csv"
predict "$dir/leaves.csv" $trees/lightgbm.txt --input "$dir/exact.csv" --leaf
run 0 sed -n '2s/,.*//p' "$dir/leaves.csv"
first=$(cat "$dir/out")
run 0 sed -n '3s/,.*//p' "$dir/leaves.csv"
checks=$((checks + 1))
[ "$first" != "$(cat "$dir/out")" ] || fail "the neighbour of a threshold reaches the same leaf"

# Where training stopped early, said only of a file that has trees behind that. Three iterations of two trees.
leaf='{"base_weights":[0],"default_left":[0],"id":ID,"left_children":[-1],"parents":[2147483647],"right_children":[-1],'
leaf=$leaf'"split_conditions":[1],"split_indices":[0],"split_type":[0],"sum_hessian":[1],"tree_param":{"num_nodes":"1"}}'
list=
for id in 0 1 2 3 4 5; do list=$list,${leaf/ID/$id}; done
for best in 1 2; do
    cat >"$dir/early.json" <<EOF
{"learner":{"attributes":{"best_iteration":"$best","best_score":"0.25"},"gradient_booster":{"model":{
"gbtree_model_param":{"num_parallel_tree":"2","num_trees":"6"},"tree_info":[0,0,0,0,0,0],"trees":[${list#,}]},"name":"gbtree"},
"learner_model_param":{"base_score":"5E-1","num_feature":"1"},"objective":{"name":"reg:squarederror"}},"version":[3,0,0]}
EOF
    run 0 "$auspex" inspect "$dir/early.json"
    out_has "best iteration $best, counted from 0, of 3 (score 0.25)"
    run 0 "$auspex" inspect "$dir/early.json" --json
    out_has "\"best_iteration\": \"$best\""
done
run 0 "$auspex" inspect "$dir/early.json"
checks=$((checks + 1))
! grep -q 'all 3 are used' "$dir/out" || fail 'the best iteration is the last'
sed -i 's/"best_iteration":"2"/"best_iteration":"0"/' "$dir/early.json"
run 0 "$auspex" inspect "$dir/early.json"
out_has 'all 3 are used, as by Booster.predict'
out_has 'booster[:1]'
run 0 "$auspex" import "$dir/early.json" -o "$dir/early.onnx"
run 0 "$auspex" inspect "$dir/early.onnx"
out_has 'booster[:1]'

# Files of other libraries say what they are.
printf '\200\004\225 pickled' >"$dir/model.pkl"
run 1 "$auspex" predict "$dir/model.pkl" --input $rows
err_has 'a pickle of Python'
err_has 'write ONNX'
: >"$dir/empty.json"
run 1 "$auspex" inspect "$dir/empty.json"
err_has 'the file is empty'
run 1 "$auspex" import "$dir/empty.json" -o "$dir/m.onnx"
err_has 'the file is empty'

# Whole numbers of any type, as long as the model's type has them. npy FILE TYPE BYTES VALUE...: two rows.
npy() {
    local file=$1 header="{'descr': '$2', 'fortran_order': False, 'shape': (2, 28), }" size=$3 data=
    shift 3
    for value; do
        for ((i = 0; i < size; i++)); do
            printf -v octal '\\0%03o' $((value >> 8 * i & 255))
            data+=$octal
        done
    done
    printf -v octal '\\0%03o' ${#header}
    { printf '\223NUMPY\1\0%b\0%s' "$octal" "$header" && printf %b "$data"; } >"$file"
}
for value in 7 200; do
    row=$(printf ",$value%.0s" {1..28})
    printf '%s\n' "${row#,}" "${row#,}" >"$dir/same.csv"
    values=$(printf "$value %.0s" {1..56})
    npy "$dir/u1.npy" '|u1' 1 $values
    npy "$dir/i2.npy" '<i2' 2 $values
    npy "$dir/i4.npy" '<i4' 4 $values
    npy "$dir/u8.npy" '<u8' 8 $values
    half=18176 # 7 in half precision
    [ $value = 7 ] || half=23104
    npy "$dir/f2.npy" '<f2' 2 $(printf "$half %.0s" {1..56})
    for model in xgboost.ubj lightgbm.txt; do
        predict "$dir/a.csv" $trees/$model --input "$dir/same.csv"
        for type in u1 i2 i4 u8 f2; do
            predict "$dir/b.csv" $trees/$model --input "$dir/$type.npy"
            equal "$dir/a.csv" "$dir/b.csv"
        done
    done
done
run 0 "$auspex" bench $trees/xgboost.ubj --rows 2 --seconds 0.01 --input "$dir/i4.npy"
# 2^24 + 1 is a double, and no float.
npy "$dir/large.npy" '<i4' 4 $(printf '0 %.0s' {1..55}) 16777217
predict "$dir/a.csv" $trees/lightgbm.txt --input "$dir/large.npy"
run 1 "$auspex" predict $trees/xgboost.ubj --input "$dir/large.npy"
err_has 'row 1, column 27 (from 0): 16777217 has no equal in float32'
# A number that would become an infinity is refused; one that is an infinity is not.
zeros=$(printf '0 %.0s' {1..55})
npy "$dir/large.npy" '<f8' 8 $zeros $((0x48078287f49c4a1d)) # 1e39
predict "$dir/a.csv" $trees/lightgbm.txt --input "$dir/large.npy"
run 1 "$auspex" predict $trees/xgboost.ubj --input "$dir/large.npy"
err_has 'large.npy: row 1, column 27 (from 0): 1e+39 does not fit input "input", which is float32'
npy "$dir/inf.npy" '<f8' 8 $zeros $((0x7ff0000000000000))
predict "$dir/a.csv" $trees/xgboost.ubj --input "$dir/inf.npy"
zeros=$(printf '0,%.0s' {1..27})
printf '%s\n' "${zeros}0" "${zeros}inf" >"$dir/inf.csv"
predict "$dir/b.csv" $trees/xgboost.ubj --input "$dir/inf.csv"
equal "$dir/a.csv" "$dir/b.csv"
printf '%s\n' "${zeros}0" "$zeros-1e39" >"$dir/large.csv"
predict "$dir/a.csv" $trees/lightgbm.txt --input "$dir/large.csv"
run 1 "$auspex" predict $trees/xgboost.ubj --input "$dir/large.csv"
err_has 'large.csv: line 2: -1e+39 in column "f27" does not fit input "input", which is float32'
printf '%s\n' "${zeros}0" "${zeros}1e999" >"$dir/large.csv"
run 1 "$auspex" predict $trees/lightgbm.txt --input "$dir/large.csv"
err_has 'large.csv: line 2: column "f27" has a number beyond float64; write inf if infinity is meant'

# A header that lacks one name only is a mistake, not a matter of position.
sed '1s/f3,/g3,/' $rows >"$dir/renamed.csv"
run 1 "$auspex" predict $trees/xgboost.ubj --input "$dir/renamed.csv"
err_has 'the header has no "f3"'

# What was imported, for programs.
run 0 "$auspex" import $trees/lightgbm.txt --output "$dir/m.onnx" --json
out_has '"operator": "TreeEnsemble"'
out_has '"dtype": "float64"'
run 0 "$auspex" import $trees/xgboost.ubj -o "$dir/m.onnx" --json
out_has '"operator": "TreeEnsembleRegressor"'
out_has '"trees": 30'
run 0 "$auspex" import --help
out_has 'usage: auspex import'

# What is refused, and what stays as it was then.
for model in xgboost.ubj lightgbm.txt; do
    cp $trees/$model "$dir/$model"
    ln "$dir/$model" "$dir/hard"
    ln -s $model "$dir/soft"
    for target in "$dir/$model" "$dir/./$model" "$dir/hard" "$dir/soft"; do
        run 1 "$auspex" import "$dir/$model" -o "$target"
        err_has "$target: this is the source itself"
        run 1 "$auspex" import "$dir/soft" -o "$target"
        err_has "$target: this is the source itself"
    done
    equal "$dir/$model" $trees/$model
    rm "$dir/hard" "$dir/soft"
done
run 0 "$auspex" import $trees/xgboost.ubj -o /dev/null # what is no regular file is nobody's to lose
echo old >"$dir/old.onnx"
run 1 "$auspex" import tests/golden/sklearn_linear.onnx -o "$dir/old.onnx"
err_has 'an ONNX file needs no import'
head -c 5000 $trees/xgboost.ubj >"$dir/cut.ubj"
run 1 "$auspex" import "$dir/cut.ubj" -o "$dir/old.onnx"
err_has "$dir/cut.ubj"
run 1 "$auspex" import "$dir/none.json" -o "$dir/old.onnx"
err_has 'none.json'
run 0 cat "$dir/old.onnx"
out_has old
run 1 "$auspex" import $trees/xgboost.ubj -o "$dir/none/m.onnx"
err_has 'none'
run 2 "$auspex" import $trees/xgboost.ubj
err_has 'say -o MODEL.onnx'
run 2 "$auspex" import $trees/xgboost.ubj -o ""
err_has 'the name of the file to write is empty'
run 2 "$auspex" import -o "$dir/m.onnx"
err_has 'name a model'
run 2 "$auspex" import $trees/xgboost.ubj -o
err_has 'wants a value'
run 2 "$auspex" import $trees/xgboost.ubj -x
err_has 'is not known'
run 1 "$auspex" bench $trees/xgboost.ubj --input "$dir/short.csv"
err_has 'the header has no "f5"'
run 1 "$auspex" bench $trees/xgboost.ubj --input "$dir/none.csv"
err_has 'none.csv'
sed 1q $rows >"$dir/header.csv"
run 1 "$auspex" bench $trees/xgboost.ubj --input "$dir/header.csv"
err_has 'header.csv'
run 2 "$auspex" bench $trees/xgboost.ubj --input rows.txt
err_has 'neither in .npy nor in .csv'
run 2 "$auspex" predict $trees/xgboost.ubj --input $rows --margin --leaf
err_has 'not both'
run 1 "$auspex" predict tests/golden/sklearn_linear.onnx --input $rows --leaf
err_has 'this model has 0'
report
