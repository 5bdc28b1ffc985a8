#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tree ensembles: Auspex beside XGBoost, LightGBM, ONNX Runtime, Treelite, lleaves, oneDAL and scikit-learn.

Run it through bench/peers/trees, which makes its Python environment. Each model and number of threads gets a process of its
own, bound to as many cores; in it every engine runs in turn, round after round, so that what disturbs the machine disturbs
all of them. Medians of the rounds are quoted, ratios are medians of the ratios of a round.
"""
import argparse
import fnmatch
import json
import os
import pathlib
import platform
import sys

import tree_models
import tree_report
from peer_run import ROOT, bind, commit, cpu_facts, in_child, merge


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="three small models, correctness only, about a minute")
    parser.add_argument("--cases", nargs="+", default=["*"], help="names or patterns; --list shows them")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--prepare", action="store_true", help="train and compile what is missing, measure nothing")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 10, 100, 10000, 1000000])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--isa", nargs="+", help="Auspex's instruction sets, the best first; default: the best with AVX-512, and avx2")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--round-ms", type=float, default=50)
    parser.add_argument("--longest", type=float, default=10, help="seconds of a call that are still waited for")
    parser.add_argument("--compile-limit", type=float, default=600, 
                        help="seconds for gcc or LLVM to compile a model; 0: leave that for another time")
    parser.add_argument("--data", type=pathlib.Path, help="folder of the public sets; without it they are left out")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "build/peers", help="where trained models are kept")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--json", type=pathlib.Path, help="write everything that was measured")
    parser.add_argument("--write", action="store_true", help="write bench/results/trees.md and .json, after each model")
    parser.add_argument("--add", action="store_true", help="the same, keeping what they hold of other models and batches")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    return parser.parse_args()


def measure_here(arguments, case):
    """The child: bound to its cores before any engine counts them."""
    threads = arguments.threads[0]
    bind(threads)
    import peer_engines
    import tree_measure
    lib = peer_engines.open_peers(arguments.build / "lib/peers.so")
    folder = arguments.work / case.name
    pool = tree_models.rows_of(case, arguments.data, max(*arguments.batches, tree_measure.CHECKED_ROWS))
    settings = {"threads": threads, "isas": arguments.isa, "batches": arguments.batches, "rounds": arguments.rounds,
                "round_s": arguments.round_ms * 1e-3, "longest": arguments.longest, "work": arguments.work,
                "program": arguments.build / "bin/auspex"}
    result = tree_measure.measure(case, folder, json.loads((folder / "about.json").read_text()), lib, pool, settings)
    arguments.json.write_text(json.dumps(result))


def measure_in_child(arguments, case, threads):
    options = ["--one", case.name, "--work", arguments.work, "--build", arguments.build, "--rounds", arguments.rounds,
               "--round-ms", arguments.round_ms, "--longest", arguments.longest, "--isa", *arguments.isa, "--batches",
               *arguments.batches]
    if arguments.data:
        options += ["--data", arguments.data]
    return in_child(__file__, options, threads)


def failures(result):
    """What --quick refuses: Auspex and the library must agree to the bit (scikit-learn and ONNX: to a float)."""
    for engine in result["engines"]:
        what = f"{result['case']}, {engine['engine']} on {engine['file']}"
        if engine["engine"].startswith("Auspex"):
            if engine["error"]:
                yield f"{what}: {engine['error']}"
            elif engine["file"] != "model.onnx" and not engine["same_bits"]:
                yield f"{what}: differs from {result['library']} by {engine['difference']}"
            elif not engine["difference"] <= 1e-5:  # NaN too
                yield f"{what}: differs by {engine['difference']}"


def write(facts, results):
    folder = ROOT / "bench/results"
    batches = sorted({int(rows) for r in results for engine in r["engines"] for rows in engine["batches"]})
    (folder / "trees.md").write_text(text_of(facts, results, batches))
    (folder / "trees.json").write_text(json.dumps({"facts": facts, "results": results}, indent=1) + "\n")


def text_of(facts, results, batches):
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    commits = sorted({result["commit"] for result in results})
    lines = ["# Tree ensembles beside other engines", "",
             f"`bench/peers/trees`: {facts['cpu']}, {facts['cores']} cores, {' and '.join(facts['isas'])}, load "
             f"{facts['load']:.1f} before; commit {', '.join(commits)}; {versions}. Interleaved rounds of at least "
             f"{facts['round_ms']:.0f} ms in one process for each model and number of threads, bound to as many cores; medians "
             f"of {facts['rounds']} rounds. A cell: rows a second, ns a tree and row, how many times as long as Auspex on the "
             "same file. \"(Python)\": called from Python, what such a call costs is included; the others are called from C."]
    lines += tree_report.summary(results, batches)
    lines += ["", "## Models"]
    for result in results:
        lines += tree_report.table(result, batches)
    lines += tree_report.loading(results)
    for case in facts["left_out"]:
        lines += ["", f"{case}: left out, its data is not there (--data)."]
    return "\n".join(lines) + "\n"


def main():
    arguments = parse()
    cases = tree_models.QUICK if arguments.quick else tree_models.CASES
    if arguments.one:
        measure_here(arguments, next(c for c in tree_models.CASES + tree_models.QUICK if c.name == arguments.one))
        return 0
    cases = [case for case in cases if any(fnmatch.fnmatch(case.name, pattern) for pattern in arguments.cases)]
    if arguments.list:
        print("\n".join(case.name for case in cases))
        return 0
    cpu, isas = cpu_facts()
    vbmi = "avx512vnni" in isas and "avx512vbmi" in pathlib.Path("/proc/cpuinfo").read_text()
    arguments.isa = arguments.isa or ["avx512vbmi" if vbmi and isa == "avx512" else isa
                                      for isa in isas if isa != "avx512vnni"]
    if arguments.quick:
        arguments.batches, arguments.rounds, arguments.round_ms, arguments.threads = [1, 1000], 1, 5, [1]
    arguments.work.mkdir(parents=True, exist_ok=True)
    facts = {"cpu": cpu, "cores": len(os.sched_getaffinity(0)), "isas": arguments.isa, "load": os.getloadavg()[0],
             "commit": commit(),
             "versions": tree_models.versions(), "python": platform.python_version(), "rounds": arguments.rounds,
             "round_ms": arguments.round_ms, "left_out": []}
    results = []
    if arguments.add and (ROOT / "bench/results/trees.json").exists():
        results = json.loads((ROOT / "bench/results/trees.json").read_text())["results"]
    for case in cases:
        if tree_models.prepare(case, arguments.work, arguments.data, arguments.compile_limit) is None:
            facts["left_out"].append(case.name)
            continue
        if arguments.prepare:
            continue
        for threads in arguments.threads:
            result = measure_in_child(arguments, case, threads)
            result["commit"] = facts["commit"]
            print("\n".join(tree_report.table(result, arguments.batches)), flush=True)
            merge(results, result)
            if arguments.write or arguments.add:
                write(facts, results)
    if arguments.json:
        arguments.json.write_text(json.dumps({"facts": facts, "results": results}, indent=1) + "\n")
    if results:
        print("\n".join(tree_report.summary(results, arguments.batches)))
    wrong = [failure for result in results for failure in failures(result)]
    for failure in wrong:
        print(f"trees: {failure}", file=sys.stderr)
    return 1 if arguments.quick and wrong else 0


if __name__ == "__main__":
    sys.exit(main())
