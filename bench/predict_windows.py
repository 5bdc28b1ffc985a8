#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Time `auspex predict` on 3,982 windows of 10 steps through an LSTM of 2 x 128, beside ONNX Runtime.

Whole processes are timed, from start to the written file: that is what an operator waits for. ONNX Runtime's process reads
the same .npy, runs once and writes the same kind of file. Rounds are interleaved and medians quoted; outputs are compared.

    build/venv-interop/bin/python bench/predict_windows.py [--rounds 7] [--threads 1 2] [--write]

--write puts the table into bench/results/predict-windows.md and .json.
"""
import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnxruntime

ROOT = pathlib.Path(__file__).resolve().parent.parent
BIN = ROOT / "build/release/bin"
ROWS, STEPS, INPUTS = 3982, 10, 4

PEER = """
import sys, numpy as np, onnxruntime as ort
options = ort.SessionOptions()
options.intra_op_num_threads = int(sys.argv[4])
options.inter_op_num_threads = 1
session = ort.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
np.save(sys.argv[3], session.run(None, {"window": np.load(sys.argv[2])})[0])
"""


def cpu_name():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def seconds(command):
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()

    results = []
    with tempfile.TemporaryDirectory() as folder:
        model, windows = f"{folder}/model.onnx", f"{folder}/windows.npy"
        ours, theirs = f"{folder}/auspex.npy", f"{folder}/onnxruntime.npy"
        subprocess.run([BIN / "make_model", "--cell", "lstm", "--layers", "128,128", "--inputs", str(INPUTS),
                        "--steps", str(STEPS), model], check=True)
        np.save(windows, np.random.default_rng(7).normal(size=(ROWS, STEPS, INPUTS)).astype(np.float32))
        for threads in arguments.threads:
            auspex = [BIN / "auspex", "predict", model, "--input", windows, "--output", ours, "--threads", str(threads),
                      "--quiet"]
            peer = [sys.executable, "-c", PEER, model, windows, theirs, str(threads)]
            seconds(auspex), seconds(peer)  # warm the page cache
            times = [(seconds(auspex), seconds(peer)) for _ in range(arguments.rounds)]
            difference = float(np.abs(np.load(ours) - np.load(theirs)).max())
            bench = subprocess.run([BIN / "auspex", "bench", model, "--rows", str(ROWS), "--threads", str(threads), "--json"],
                                   check=True, capture_output=True, text=True)
            results.append({
                "threads": threads,
                "auspex_s": statistics.median(t[0] for t in times),
                "onnxruntime_s": statistics.median(t[1] for t in times),
                "ratio": statistics.median(t[1] / t[0] for t in times),
                "auspex_in_process_s": json.loads(bench.stdout)[0]["median_ns"] * 1e-9,
                "max_difference": difference,
            })
            assert difference <= 1e-5, difference

    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    about = {"cpu": cpu_name(), "cores": os.cpu_count(), "commit": commit, "rounds": arguments.rounds,
             "onnxruntime": onnxruntime.__version__}
    lines = [
        f"# {ROWS:,} windows of {STEPS} steps through LSTM 2 x 128 (inputs {INPUTS})",
        "",
        f"`bench/predict_windows.py`, {about['cpu']}, {about['cores']} cores, commit {commit}, ONNX Runtime "
        f"{onnxruntime.__version__}; medians of {arguments.rounds} interleaved rounds of whole processes (start, load, read, run, write).",
        "",
        "| threads | `auspex predict` | ONNX Runtime in Python | ratio | auspex, the run alone | largest difference |",
        "|---|---|---|---|---|---|",
    ]
    for r in results:
        lines.append(f"| {r['threads']} | {r['auspex_s']:.3f} s | {r['onnxruntime_s']:.3f} s | {r['ratio']:.1f}x | "
                     f"{r['auspex_in_process_s']:.3f} s | {r['max_difference']:.1e} |")
    text = "\n".join(lines) + "\n"
    print(text)
    if arguments.write:
        (ROOT / "bench/results/predict-windows.md").write_text(text)
        (ROOT / "bench/results/predict-windows.json").write_text(json.dumps({"about": about, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
