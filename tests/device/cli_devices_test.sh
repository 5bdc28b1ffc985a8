#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The program `auspex` with a CUDA device, and with what may be wrong with one.
. tests/harness/cli.sh
auspex=$APX_BIN/auspex tool=$APX_BIN/cli_tool
export LD_LIBRARY_PATH=$APX_FAKE_CUDA
model=tests/golden/torch_legacy_lstm_1.onnx

run 0 "$auspex" devices
out_has 'backend   cuda: usable'
out_has 'would run auto'
out_has 'Fake GPU at 0000:3b:00.0, compute capability 9.0, 132 multiprocessors, 1 GiB'
out_has 'cuBLASLt 13.1.0 computes large layers'
FAKE_CUDA=no_cublaslt run 0 "$auspex" devices
out_has 'libcublasLt.so.13 is not found: our own kernels compute large layers'
FAKE_CUDA=no_device run 0 "$auspex" devices
out_has 'no GPU is visible: see nvidia-smi and CUDA_VISIBLE_DEVICES'
out_has 'would run cpu'
FAKE_CUDA=old_driver run 0 "$auspex" devices
out_has 'the driver is older than this build'
FAKE_CUDA=old_device run 0 "$auspex" devices
out_has 'Fake GPU is of compute capability 7.0; 8.0 (A100) is the least that is used'
FAKE_CUDA=other_version run 0 "$auspex" devices
out_has 'libauspex_cuda.so is of another version than this library: install both from one build'
# Without a plug-in, and with the build's own: where nothing is to be driven, that is what is said, first.
if [ ! -e /proc/driver/nvidia/version ] && ! grep -qs 0x10de /sys/bus/pci/devices/*/vendor &&
    ! ldconfig -p | grep -qF libcuda.so.1; then
    mkdir "$dir/alone"
    cp "$auspex" "$dir/alone/auspex"
    for program in "$dir/alone/auspex" "$auspex"; do
        LD_LIBRARY_PATH='' run 0 "$program" devices
        out_has 'backend   cuda: device "cuda": there is no NVIDIA GPU here; use device "cpu" or "auto"'
        LD_LIBRARY_PATH='' run 1 "$program" inspect $model --device cuda
        err_has "inspect: $model: device \"cuda\": there is no NVIDIA GPU here"
    done
fi
# A word of the environment with which no model loads.
AUSPEX_ISA=$'bo\e[31mgus\n' run 1 "$auspex" devices
err_has 'AUSPEX_ISA is "bo?[31mgus?", which is no instruction set: no model loads; say scalar, avx2, '
out_has 'isa       scalar'
AUSPEX_ISA=bogus run 1 "$auspex" devices --json
out_has '"limit": null'
out_has '"message": "the environment'
AUSPEX_ISA=avx2 run 0 "$auspex" devices
out_has '; AUSPEX_ISA allows up to avx2'
err_empty
FAKE_CUDA=two_devices run 0 "$auspex" devices
out_has 'Fake GPU at 0000:3c:00.0'

run 0 "$auspex" inspect $model --device cuda
out_has 'runs on   cuda, sm_90, fp32'
out_has 'lstm, fake_lstm_f32'
run 0 "$auspex" inspect $model --device cuda --precision fp16
out_has 'runs on   cuda, sm_90, fp16'
run 0 "$auspex" inspect $model
out_has 'gpu       Fake GPU takes '
run 0 "$auspex" inspect runtime/examples/trees/lightgbm.txt --device cuda
out_has 'link'
FAKE_CUDA=no_device run 1 "$auspex" inspect $model --device cuda
err_has 'no GPU is visible'
run 0 "$auspex" inspect tests/golden/int8_torch_legacy_lstm_bi_2_all.onnx --device cuda
out_has 'runs on   cuda, sm_90, int8'
FAKE_CUDA=narrow run 1 "$auspex" inspect tests/golden/int8_torch_legacy_lstm_bi_2_all.onnx --device cuda
err_has 'device "cuda" has no kernel for this lstm (precision int8 on Fake GPU); use device "cpu"'
FAKE_CUDA=no_device run 0 "$auspex" inspect $model
out_has 'runs on   cpu'
run 1 "$auspex" inspect $model --device cpu --precision fp16
err_has 'precision "fp16" is computed by CUDA devices alone'

# The same rows everywhere; a device without memory gives way, unless it is asked for by name.
mkdir "$dir/g"
run 0 "$tool" unpack torch_legacy_lstm_1 "$dir/g"
for device in cpu cuda auto; do
    run 0 "$auspex" predict $model --input "$dir/g/in_0.npy" --device $device --isa scalar \
        --output "$dir/$device.npy"
    run 0 cmp "$dir/cpu.npy" "$dir/$device.npy"
done
FAKE_CUDA=full run 1 "$auspex" predict $model --input "$dir/g/in_0.npy" --device cuda
err_has "the GPU's memory is full"
FAKE_CUDA=full run 0 "$auspex" predict $model --input "$dir/g/in_0.npy" --isa scalar \
    --output "$dir/full.npy"
run 0 cmp "$dir/cpu.npy" "$dir/full.npy"

# The server: asked for by name or not, and refused before it listens where there is none.
if [ -x "$APX_BIN/auspex-serve" ]; then
    serve=(timeout 60 "$APX_BIN/auspex-serve" --listen "unix:$dir/socket" --repository)
    # What model_loaded says of the device.
    device_served() {
        "${serve[@]}" "$dir/repository" --device "$1" --cache '' 2>"$dir/log" &
        local server=$!
        for _ in $(seq 300); do
            grep -qs '"event":"listening"' "$dir/log" && break
            sleep 0.1
        done
        kill $server
        wait $server
        sed -n 's/.*"event":"model_loaded".*"device":"\([^"]*\)".*/\1/p' "$dir/log"
    }
    run 0 "$auspex" repo add --repository "$dir/repository" --model m $model
    run 0 "$auspex" inspect $model --cache '' --json
    from=$(sed -n 's/.*"from_rows_one_thread": \([0-9]*\).*/\1/p' "$dir/out")
    is 'a number' "$((from > 1))" = 1
    is 'by estimate for one thread' "$(device_served auto)" = "auto: GPU from $from rows, estimated"
    is 'the processor' "$(device_served cpu)" = cpu
    is 'the GPU' "$(device_served cuda)" = cuda
    mkdir "$dir/empty"
    for repository in "$dir/repository" "$dir/empty"; do
        FAKE_CUDA=no_device run 1 "${serve[@]}" "$repository" --device cuda
        is 'one line for people' "$(grep -c '^auspex serve: device: .*no GPU is visible' "$dir/err")" = 1
        is 'one for the log' "$(grep -c '"event":"failed","status":"APX_EDEVICE","field":"device"' "$dir/err")" = 1
        is 'nothing was listened to' "$(grep -c '"event":"listening"' "$dir/err")" = 0
    done
    FAKE_CUDA=narrow run 1 "${serve[@]}" "$dir/repository" --model m --device cuda
    is 'the model' "$(grep -c '^auspex serve: .*device "cuda" has no kernel' "$dir/err")" = 1
    run 2 "${serve[@]}" "$dir/empty" --device gpu
    err_has 'auspex serve: --device takes auto, cpu or cuda: gpu; see auspex serve --help'
    run 2 "${serve[@]}" "$dir/empty" --device
    err_has 'a value is missing after: --device'
fi
report
