#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Time of PyTorch's LSTM and GRU (cuDNN) on the shapes of tests/cuda/cuda_bench.c, data on the device.

One line a shape: microseconds a step, the best of eager calls and of a captured graph, in float (with and without TF32)
and in half precision."""
import statistics

import torch

SHAPES = [(32, 64), (32, 128), (128, 128), (64, 256)]
BATCHES = [1, 16, 128, 1024, 4096, 65536]
STEPS = 50


def timed(run):
    """Seconds of run(): the median of nine, after three to warm up."""
    times = []
    for i in range(12):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        run()
        end.record()
        end.synchronize()
        if i >= 3:
            times.append(begin.elapsed_time(end) * 1e-3)
    return statistics.median(times)


def graphed(run):
    """run as a captured graph of ten calls: seconds of one, or infinity where it cannot be captured."""
    try:
        stream = torch.cuda.Stream()
        with torch.cuda.stream(stream):
            run()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            for _ in range(10):
                run()
        return timed(graph.replay) / 10
    except RuntimeError:
        torch.cuda.synchronize()
        return float("inf")


def main():
    print(f"device: {torch.cuda.get_device_name()}, PyTorch {torch.__version__}, cuDNN {torch.backends.cudnn.version()}")
    with torch.inference_mode():
        for name, kind in (("lstm", torch.nn.LSTM), ("gru", torch.nn.GRU)):
            for inputs, hidden in SHAPES:
                for rows in BATCHES:
                    line = f"{name:5s} I {inputs:3d} H {hidden:3d} T {STEPS} N {rows:5d}"
                    for label, dtype, tf32 in (("fp32", torch.float32, False), ("tf32", torch.float32, True),
                                               ("fp16", torch.float16, False)):
                        torch.backends.cudnn.allow_tf32 = tf32
                        torch.backends.cuda.matmul.allow_tf32 = tf32
                        layer = kind(inputs, hidden, batch_first=True).cuda().to(dtype).eval()
                        x = torch.randn(rows, STEPS, inputs, device="cuda", dtype=dtype)

                        def run(layer=layer, x=x):
                            return layer(x)

                        best = min(timed(run), graphed(run))
                        line += f"  {label} {best * 1e6 / STEPS:8.2f}"
                        del layer, x
                    print(line + " us a step", flush=True)


if __name__ == "__main__":
    main()
