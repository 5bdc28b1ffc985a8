#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tree ensembles: Auspex beside XGBoost, LightGBM, ONNX Runtime, Treelite, lleaves, oneDAL and scikit-learn.

Run it through bench/peers/trees, which makes its Python environment. Each model and number of threads gets a process of its
own, bound to as many cores; in it every engine runs in turn, round after round, so that what disturbs the machine disturbs
all of them. Medians of the rounds are quoted, ratios are medians of the ratios of a round.
"""
import argparse
import json
import pathlib
import sys

import tree_models
import tree_report
from peer_run import Program, add_options, bind, child_options, in_child, main, settings_of


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, "trees", "three small models", [1, 10, 100, 10000, 1000000],
                "Auspex's instruction sets, the best first; default: the best with AVX-512, and avx2", "build/peers")
    parser.add_argument("--compile-limit", type=float, default=600,
                        help="seconds for gcc or LLVM to compile a model; 0: leave that for another time")
    parser.add_argument("--data", type=pathlib.Path, help="folder of the public sets; without it they are left out")
    return parser.parse_args()


def default_isas(isas):
    vbmi = "avx512vnni" in isas and "avx512vbmi" in pathlib.Path("/proc/cpuinfo").read_text()
    return ["avx512vbmi" if vbmi and isa == "avx512" else isa for isa in isas if isa != "avx512vnni"]


def measure_here(arguments, case):
    bind(arguments.threads[0])
    import peer_engines
    import tree_measure
    lib = peer_engines.open_peers(arguments.build / "lib/peers.so")
    folder = arguments.work / case.name
    pool = tree_models.rows_of(case, arguments.data, max(*arguments.batches, tree_measure.CHECKED_ROWS))
    settings = {**settings_of(arguments), "work": arguments.work}
    result = tree_measure.measure(case, folder, json.loads((folder / "about.json").read_text()), lib, pool, settings)
    arguments.json.write_text(json.dumps(result))


def prepare(arguments, case):
    return tree_models.prepare(case, arguments.work, arguments.data, arguments.compile_limit) is not None


def runs(arguments, case):
    options = child_options(arguments, case) + (["--data", arguments.data] if arguments.data else [])
    for threads in arguments.threads:
        yield in_child(__file__, options, threads)


def failures(_, result):
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


TREES = Program(name="trees", cases=tree_models.CASES, quick=tree_models.QUICK, quick_batches=[1, 1000],
                default_isas=default_isas, measure_here=measure_here, prepare=prepare, runs=runs,
                versions=tree_models.versions, table=tree_report.table, text_of=text_of, closing=tree_report.summary,
                failures=failures)

if __name__ == "__main__":
    sys.exit(main(TREES, parse()))
