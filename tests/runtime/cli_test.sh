#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The `auspex` program apart from predict: devices, inspect, bench, repo, and the programs beside it.
. tests/harness/cli.sh
auspex=$APX_BIN/auspex golden=tests/golden model=tests/golden/torch_legacy_lstm_1.onnx

run 0 "$auspex" --version
out_has 'auspex '
run 0 "$auspex" --help
for command in devices inspect predict bench import quantize repo train serve; do out_has "  $command "; done
run 0 "$auspex" help bench
out_has 'usage: auspex bench'
run 2 "$auspex"
err_has 'say what to do'
run 2 "$auspex" frobnicate
err_has 'no command "frobnicate"'

# devices
run 0 "$auspex" devices
for word in cores caches isa gpu 'backend   cpu: usable' 'would run'; do out_has "$word"; done
run 0 "$auspex" devices --json
for key in cores threads caches isa numa gpus backends would_run pinning_order; do out_has "\"$key\":"; done
run 0 env AUSPEX_ISA=scalar "$auspex" devices
out_has 'AUSPEX_ISA allows up to scalar'
run 2 "$auspex" devices x
err_has 'no argument'
run 2 "$auspex" devices --jason
err_has '--jason'
if command -v taskset >/dev/null; then
    run 0 taskset -c "$(taskset -cp $$ | sed 's/.*[ ]//; s/[-,].*//')" "$auspex" devices
    out_has 'cores     1 '
fi

# inspect
run 0 "$auspex" inspect $model
for word in 'float32[batch, 10, 4]' 'float32[batch, 2]' LSTM 'flops' lstm; do out_has "$word"; done
run 0 "$auspex" inspect $model --isa scalar
out_has apx_lstm_f32_scalar
run 0 env AUSPEX_ISA=scalar "$auspex" inspect $model --isa avx512
out_has apx_lstm_f32_scalar
run 1 env AUSPEX_ISA=mmx "$auspex" inspect $model --isa scalar
err_has 'AUSPEX_ISA is "mmx"; say scalar, avx2'
run 0 "$auspex" inspect --json $model
for key in inputs outputs nodes steps flops_per_row; do out_has "\"$key\":"; done
run 0 "$auspex" inspect $golden/torch_legacy_lstm_timefirst.onnx
out_has 'dimension 1 counts the rows'
run 1 "$auspex" inspect "$dir/nowhere.onnx"
err_has 'nowhere.onnx: No such file'
echo junk >"$dir/junk.onnx"
run 1 "$auspex" inspect "$dir/junk.onnx"
err_has 'junk.onnx: '
run 2 "$auspex" inspect
err_has 'name a model file'
# The tensor at fault is named, even one whose name stands by chance in the message.
# ir_version 8, opset 17, output y, and the initializer "a": float32[4] with 3 bytes of raw_data.
printf '\010\010\072\023\052\014\102\001\141\020\001\010\004\112\003\061\062\063\142\003\012\001\171\102\002\020\021' >"$dir/short.onnx"
run 1 "$auspex" inspect "$dir/short.onnx"
err_has 'short.onnx: a: raw_data has 3 bytes, the shape asks for 16'
run 2 "$auspex" inspect $model --threads 2
err_has '--threads'

# bench
run 0 "$auspex" bench $model --rows 1,3 --seconds 0.01 --threads 1 --json
for key in rows steps threads device precision median_ns p99_ns rows_per_s kernels; do out_has "\"$key\":"; done
out_has '"rows": 3'
out_has '"steps": null'
out_has '"threads": 1'
run 0 "$auspex" bench $model --rows 2 --seconds 0
out_has 'kernels: apx_lstm'
run 1 "$auspex" bench $golden/keras_lstm_free_time.onnx
err_has 'give --steps'
run 0 "$auspex" bench $golden/keras_lstm_free_time.onnx --steps 5 --rows 2 --seconds 0.01 --json
out_has '"steps": 5'
run 1 "$auspex" bench $model --steps 5
err_has '--steps is of no use'
run 1 "$auspex" bench $golden/torch_legacy_lstm_fixed.onnx --rows 7
err_has 'fixed to 3 rows'
run 0 "$auspex" bench $golden/torch_legacy_lstm_fixed.onnx --seconds 0.01
for words in '--rows 0' '--rows 1,' '--rows x' '--steps 0' '--seconds -1' '--seconds x'; do
    run 2 "$auspex" bench $model $words
    err_has "${words%% *}"
done

# repo: the life of a model
repo=$dir/models
run 0 "$auspex" repo add --repository "$repo" --model cpu $model
out_has 'added version 1'
echo '{"metrics": {"mae": 0.25}}' >"$dir/meta.json"
run 0 "$auspex" repo add --repository "$repo" --model cpu --metadata "$dir/meta.json" $model --json
out_has '"version": 2'
run 0 "$auspex" repo list --repository "$repo"
out_has 'mae 0.25'
run 0 "$auspex" repo promote --repository "$repo" --model cpu --version 2 --who ana --why 'lower error'
out_has 'current is version 2'
run 0 grep -rq 'lower error' "$repo/cpu/promotions"
run 0 "$auspex" repo alias --repository "$repo" --model cpu canary --version 1
run 0 "$auspex" repo list --repository "$repo" --model cpu --json
for part in '"current": 2' '"previous": 1' '"canary": 1'; do out_has "$part"; done
run 0 "$auspex" repo rollback --repository "$repo" --model cpu
out_has 'version 1 again'
run 0 "$auspex" repo alias --repository "$repo" --model cpu canary --remove
run 0 "$auspex" repo add --repository "$repo" --model cpu $model
run 0 "$auspex" repo add --repository "$repo" --model cpu $model
run 0 "$auspex" repo prune --repository "$repo" --model cpu --keep 1
out_has 'removed 1 version'
run 0 "$auspex" repo verify --repository "$repo" --model cpu
echo tampered >"$repo/cpu/4/model.onnx"
run 1 "$auspex" repo verify --repository "$repo" --model cpu --version 4
err_has 'cpu/4/model.onnx is damaged'
run 1 "$auspex" repo promote --repository "$repo" --model cpu --version 4
err_has 'is damaged'
run 1 "$auspex" repo add --repository "$repo" --model cpu "$dir/junk.onnx"
err_has 'junk.onnx'
run 1 "$auspex" repo add --repository "$repo" --model 'a b' $model
err_has 'cannot name a model'
run 1 "$auspex" repo promote --repository "$repo" --model cpu --version 77
err_has 'no version 77'
run 1 "$auspex" repo promote --repository "$repo" --model gpu --version 1
err_has 'no model "gpu"'
run 1 "$auspex" repo list --repository "$dir/nowhere"
err_has 'nowhere'
mkdir "$dir/empty"
run 0 "$auspex" repo list --repository "$dir/empty"
out_has 'holds no models'
run 0 "$auspex" repo list --repository "$dir/empty" --json
out_has '[]'
for words in '' 'list' 'grow --repository r' 'add --repository r' 'add --repository r --model m' \
    'promote --repository r --model m' 'promote --repository r --model m --version x' \
    'prune --repository r --model m' 'prune --repository r --model m --keep 0' \
    'list --repository r --version 1' 'list --repository r x' 'add --repository r --model m a b' \
    'alias --repository r --model m a' 'alias --repository r --model m a --version 1 --remove' \
    'rollback --repository r --model m --keep 1'; do
    run 2 "$auspex" repo $words
    err_has 'auspex repo'
done
run 2 "$auspex" repo add --repository r --model m --who ana $model
err_has '--who does not go with add'
# Metadata grow when they are written out: what is stored must be readable again.
awk 'BEGIN {printf "{\"k\":[0"; for (i = 1; i < 500000; i++) printf ",0"; print "]}"}' >"$dir/wide.json"
run 0 "$auspex" repo add --repository "$repo" --model wide --metadata "$dir/wide.json" $model
run 0 "$auspex" repo verify --repository "$repo" --model wide
out_has 'is whole'
mkdir -p "$repo/hand/1"
cp $model "$repo/hand/1/model.onnx"
run 0 "$auspex" repo verify --repository "$repo" --model hand
out_has 'version 1 has no checksum to compare with'
run 0 "$auspex" repo verify --repository "$repo" --model hand --json
out_has '"checked": false'

# Programs beside it: found, given their arguments, their status passed on; clear when absent.
mkdir "$dir/bin"
cp "$auspex" "$dir/bin/auspex"
run 1 "$dir/bin/auspex" serve --listen x
err_has "needs the program $dir/bin/auspex-serve"
printf '#!/bin/sh\necho "train got $*"\nexit 7\n' >"$dir/bin/auspex-train"
run 1 "$dir/bin/auspex" train config.yaml
err_has 'cannot run it'
chmod +x "$dir/bin/auspex-train"
run 7 "$dir/bin/auspex" train config.yaml --set a=b
out_has 'train got config.yaml --set a=b'
report
