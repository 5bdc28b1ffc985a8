#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Recurrent networks: Auspex beside ONNX Runtime, oneDNN and PyTorch, in float and in 8-bit integers.

Run it through bench/peers/rnn, which makes its Python environment. Each network and number of threads gets a process of its
own, bound to as many cores; in it every engine runs in turn, round after round, and so do loops of nothing but
multiply-adds, which say what the processor could do. Medians of the rounds are quoted, ratios are medians of the ratios of
a round.
"""
import argparse
import fnmatch
import importlib.metadata
import json
import os
import pathlib
import platform
import sys

import rnn_models
import rnn_report
from peer_run import ROOT, bind, commit, cpu_facts, in_child, merge

PACKAGES = ("onnxruntime", "onnx", "torch", "paddlepaddle", "onednn-cpu-gomp", "numpy")


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two small networks, correctness only, about a minute")
    parser.add_argument("--cases", nargs="+", default=["*"], help="names or patterns; --list shows them")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--engines", nargs="+", default=["*"], help="patterns of the peers' names; Auspex always runs")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 16, 64, 256, 1024])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--isa", nargs="+", help="Auspex's instruction sets, the best first; default: what the processor has")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--round-ms", type=float, default=50)
    parser.add_argument("--longest", type=float, default=10, help="seconds of a call that are still waited for")
    parser.add_argument("--processor-time", action="store_true", help="of calls, instead of time: for a machine with other "
                        "work; one thread only, since threads that wait for each other spin")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "build/peers/rnn", help="where models are kept")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--json", type=pathlib.Path, help="write everything that was measured")
    parser.add_argument("--write", action="store_true", help="write bench/results/rnn.md and .json, after each model")
    parser.add_argument("--add", action="store_true", help="the same, keeping what they hold of other models and batches")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.engines != ["*"] and (arguments.write or arguments.add):
        parser.error("results are written of all engines: no --engines with --write or --add")
    if arguments.processor_time and arguments.threads != [1]:
        parser.error("--processor-time needs --threads 1")
    return arguments


def measure_here(arguments, case):
    threads = arguments.threads[0]
    bind(threads)
    import peer_engines
    import rnn_measure
    lib = peer_engines.open_peers(arguments.build / "lib/peers.so")
    if arguments.processor_time:
        peer_engines.count_processor_time(lib)
    settings = {"threads": threads, "isas": arguments.isa, "engines": arguments.engines, "batches": arguments.batches,
                "rounds": arguments.rounds, "round_s": arguments.round_ms * 1e-3, "longest": arguments.longest,
                "program": arguments.build / "bin/auspex"}
    arguments.json.write_text(json.dumps(rnn_measure.measure(case, arguments.work / case.name, lib, settings)))


def measure_in_child(arguments, case, threads):
    options = ["--one", case.name, "--work", arguments.work, "--build", arguments.build, "--rounds", arguments.rounds,
               "--round-ms", arguments.round_ms, "--longest", arguments.longest, "--isa", *arguments.isa, "--batches",
               *arguments.batches, "--engines", *arguments.engines]
    if arguments.processor_time:
        options.append("--processor-time")
    # What torch.compile makes is kept, and made without helpers that would go on running beside the measurements.
    environment = {"TORCHINDUCTOR_CACHE_DIR": str(arguments.work / "inductor"), "TORCHINDUCTOR_COMPILE_THREADS": "1",
                   "CUDA_VISIBLE_DEVICES": ""}
    return in_child(__file__, options, threads, environment)


def failures(result):
    """What --quick refuses: float32 must be that to a few roundings in every engine, and 8 bits must come near."""
    for engine in result["engines"]:
        what = f"{result['case']}, {engine['engine']}, {engine['precision']}"
        limit = {"fp32": 1e-5, "int8": 0.05, "int7": 0.1}.get(engine["precision"])
        if engine["engine"].startswith("Auspex") and engine["precision"] == "fp32" and engine["error"]:
            yield f"{what}: {engine['error']}"
        elif limit and not engine["error"] and not engine["difference"] <= limit:  # NaN too
            yield f"{what}: differs by {engine['difference']}"


def versions():
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            pass
    return found


def text_of(facts, results):
    batches = sorted({int(rows) for r in results for engine in r["engines"] for rows in engine["batches"]})
    packages = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    commits = sorted({result["commit"] for result in results})
    lines = ["# Recurrent networks beside other engines", "",
             f"`bench/peers/rnn`: {facts['cpu']}, {facts['cores']} cores, {', '.join(facts['isas'])}, load {facts['load']:.1f} "
             f"before, {facts['clock']}; commit {', '.join(commits)}; {packages}. Interleaved rounds of at least {facts['round_ms']:.0f} ms in one "
             f"process for each model and number of threads, bound to as many cores; medians of {facts['rounds']} rounds.", "",
             "A cell: time of a call (and of a row), operations a second, percent of what the processor's multipliers did in the "
             "same rounds (peak, below the engines; for Auspex avx2 that of 256 bits), how many times as long as Auspex in the same "
             "precision. Precision int8: weights, hidden states and their products; Auspex int8 has 127 levels a sign, int7 63. "
             "Largest difference: absolute, from the same network in float64. \"(Python)\": called from Python, what such a call "
             "costs is included; the others are called from C."]
    lines += rnn_report.summary(results, batches)
    lines += ["", "## Models"]
    for result in results:
        lines += rnn_report.table(result, batches)
    return "\n".join(lines + rnn_report.loading(results)) + "\n"


def write(facts, results):
    folder = ROOT / "bench/results"
    (folder / "rnn.md").write_text(text_of(facts, results))
    (folder / "rnn.json").write_text(json.dumps({"facts": facts, "results": results}, indent=1) + "\n")


def main():
    arguments = parse()
    cases = rnn_models.QUICK if arguments.quick else rnn_models.CASES
    if arguments.one:
        measure_here(arguments, next(c for c in rnn_models.CASES + rnn_models.QUICK if c.name == arguments.one))
        return 0
    cases = [case for case in cases if any(fnmatch.fnmatch(case.name, pattern) for pattern in arguments.cases)]
    if arguments.list:
        print("\n".join(case.name for case in cases))
        return 0
    cpu, isas = cpu_facts()
    arguments.isa = arguments.isa or isas
    if arguments.quick:
        arguments.batches, arguments.rounds, arguments.round_ms, arguments.threads = [1, 64], 1, 5, [1]
    arguments.work.mkdir(parents=True, exist_ok=True)
    facts = {"cpu": cpu, "cores": len(os.sched_getaffinity(0)), "isas": arguments.isa, "load": os.getloadavg()[0],
             "commit": commit(), "versions": versions(), "python": platform.python_version(), "rounds": arguments.rounds,
             "round_ms": arguments.round_ms, "clock": "processor time" if arguments.processor_time else "time"}
    results = []
    if arguments.add and (ROOT / "bench/results/rnn.json").exists():
        results = json.loads((ROOT / "bench/results/rnn.json").read_text())["results"]
    for case in cases:
        rnn_models.prepare(case, arguments.work, arguments.build / "bin/auspex")
        for threads in arguments.threads:
            result = measure_in_child(arguments, case, threads)
            result["commit"] = facts["commit"]
            print("\n".join(rnn_report.table(result, arguments.batches)), flush=True)
            merge(results, result)
            if arguments.write or arguments.add:
                write(facts, results)
    if arguments.json:
        arguments.json.write_text(json.dumps({"facts": facts, "results": results}, indent=1) + "\n")
    print("\n".join(rnn_report.summary(results, arguments.batches) + rnn_report.loading(results)))
    wrong = [failure for result in results for failure in failures(result)]
    for failure in wrong:
        print(f"rnn: {failure}", file=sys.stderr)
    return 1 if arguments.quick and wrong else 0


if __name__ == "__main__":
    sys.exit(main())
