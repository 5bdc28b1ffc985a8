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
import sys

import rnn_lengths
import rnn_models
import rnn_report
from peer_run import Program, add_options, bind, child_options, cpu_facts, in_child, main, settings_of

PACKAGES = ("onnxruntime", "onnx", "torch", "paddlepaddle", "onednn-cpu-gomp", "numpy")
# What keeps the peers that can be kept from it from using more than AVX2: oneDNN, and in PyTorch its own kernels, its oneDNN,
# FBGEMM and MKL. They read it when they are loaded; rnn_engines.py asks those that can be asked whether they did.
CAPS = {"avx2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "DNNL_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2",
                 "FBGEMM_ENABLE_INSTRUCTIONS": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}}


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, "rnn", "two small networks", [1, 4, 16, 64, 256, 1024],
                "Auspex's instruction sets, the best first; \"avx2\" alone keeps the peers to AVX2 as well, those that cannot be "
                "are left out; default: those of the processor, then AVX2 so", "build/peers/rnn")
    parser.add_argument("--engines", nargs="+", default=["*"], help="patterns of the peers' names; Auspex always runs")
    parser.add_argument("--lengths", nargs="+", choices=("full", "random"), default=["full"], help="of a batch's rows: all steps "
                        "(the default); uniform in 1 to the steps, told to the engines that take lengths, beside full rows")
    parser.add_argument("--processor-time", action="store_true", help="of calls, instead of time: for a machine with other "
                        "work; one thread only, since threads that wait for each other spin")
    parser.add_argument("--cap", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.engines != ["*"] and (arguments.write or arguments.add):
        parser.error("results are written of all engines: no --engines with --write or --add")
    if arguments.processor_time and arguments.threads != [1]:
        parser.error("--processor-time needs --threads 1")
    if arguments.quick:
        arguments.lengths = ["full", "random"]
    arguments.sections = not arguments.isa and not arguments.quick
    return arguments


def sections(arguments):
    """(what peers are kept to or None, Auspex's instruction sets) of each process."""
    wide = [isa for isa in arguments.isa if isa.startswith("avx512")]
    if not wide:
        return [("avx2" if cpu_facts()[1][0].startswith("avx512") else None, arguments.isa)]
    return [(None, wide), ("avx2", ["avx2"])] if arguments.sections else [(None, arguments.isa)]


def measure_here(arguments, case):
    bind(arguments.threads[0])
    import peer_engines
    import rnn_measure
    lib = peer_engines.open_peers(arguments.build / "lib/peers.so")
    if arguments.processor_time:
        peer_engines.count_processor_time(lib)
    settings = {**settings_of(arguments), "engines": arguments.engines, "cap": arguments.cap,
                "lengths": arguments.lengths[0]}
    arguments.json.write_text(json.dumps(rnn_measure.measure(case, arguments.work / case.name, lib, settings)))


def runs(arguments, case):
    isas = arguments.isa
    for cap, arguments.isa in sections(arguments):
        options = child_options(arguments, case) + ["--engines", *arguments.engines]
        options += ["--processor-time"] * arguments.processor_time + (["--cap", cap] if cap else [])
        # What torch.compile makes is kept, and made without helpers that would go on running beside the measurements.
        environment = {"TORCHINDUCTOR_CACHE_DIR": str(arguments.work / f"inductor-{cap or 'all'}"),
                       "TORCHINDUCTOR_COMPILE_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", **CAPS.get(cap, {})}
        for lengths in arguments.lengths:
            for threads in arguments.threads:
                yield in_child(__file__, options + ["--lengths", lengths], threads, environment)
    arguments.isa = isas


def prepare(arguments, case):
    rnn_models.prepare(case, arguments.work, arguments.build / "bin/auspex")
    if arguments.prepare:
        arguments.engines, arguments.rounds, arguments.round_ms = ["PyTorch compiled"], 1, 1
        for result in runs(arguments, case):
            print(f"{case.name}, {result['threads']} threads: {result['measured_s']:.0f} s", flush=True)


# What is no failure of a peer: it never could.
KNOWN_REASONS = ("its quantiser leaves a GRU as it is", "it cannot be kept to AVX2", "oneDNN: unimplemented")
MISSING = "its package is not there"  # nor is this one of a peer that --engines does not name


def _is_known(arguments, engine):
    if engine["engine"].startswith("Auspex"):
        return False
    named = any(pattern != "*" and fnmatch.fnmatch(engine["engine"], pattern) for pattern in arguments.engines)
    return engine["error"] in KNOWN_REASONS or (engine["error"] == MISSING and not named)


def failures(arguments, result):
    """What --quick refuses: every engine runs, float32 is that to a few roundings in it, and 8 bits come near."""
    for engine in result["engines"]:
        what = f"{result['case']}, {engine['engine']}, {engine['file']}"
        limit = {"fp32": 1e-5, "int8": 0.05, "int7": 0.1}.get(engine["precision"])
        if not limit:  # a peak, which a processor may lack
            continue
        if engine["error"]:
            if not _is_known(arguments, engine):
                yield f"{what}: {engine['error']}"
        elif not engine["difference"] <= limit:  # NaN too
            yield f"{what}: differs by {engine['difference']}"


def by_lengths(results):
    """Those of full rows, and those of rows of different lengths."""
    return ([result for result in results if not result.get("lengths")], [result for result in results if result.get("lengths")])


def table(result, batches):
    return (rnn_lengths if result.get("lengths") else rnn_report).table(result, batches)


def closing(results, batches):
    full, varied = by_lengths(results)
    return _before(full, batches) + _after(full) + rnn_lengths.summary(varied, batches)


def _before(full, batches):
    """Of full rows, before the models; nothing if they were not measured."""
    return rnn_report.summary(full, batches) + rnn_report.threads(full, batches) if full else []


def _after(full):
    return rnn_report.loading(full) if full else []


def text_of(facts, results, batches):
    packages = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    commits = sorted({result["commit"] for result in results})
    lines = ["# Recurrent networks beside other engines", "",
             f"`bench/peers/rnn`: {facts['cpu']}, {facts['cores']} cores, {', '.join(facts['isas'])}, load {facts['load']:.1f} "
             f"before, {facts['clock']}; commit {', '.join(commits)}; {packages}. Interleaved rounds of at least "
             f"{facts['round_ms']:.0f} ms in one process for each model and number of threads, bound to as many cores; medians of "
             f"{facts['rounds']} rounds.", "",
             "A cell: time of a call (and of a row), operations a second, percent of what the processor's multipliers did in "
             "the same rounds (peak, below the engines; for Auspex avx2 that of 256 bits), how many times as long as Auspex in the "
             "same precision. Precision int8: weights, hidden states and their products; Auspex int8 has 127 levels a sign, int7 "
             "63. Largest difference: absolute, from the same network in float64. \"(Python)\": called from Python, what such a "
             "call costs is included; the others are called from C.", "",
             "\"Kept to AVX2\": Auspex and its peers in processes where they were told to use no more than AVX2 "
             "(`ONEDNN_MAX_CPU_ISA`, `ATEN_CPU_CAPABILITY`, `FBGEMM_ENABLE_INSTRUCTIONS`, `MKL_ENABLE_INSTRUCTIONS`). oneDNN and "
             "PyTorch confirm it when asked; FBGEMM (PyTorch's int8) cannot be asked, but its products take twice as long then; "
             "nor can MKL. ONNX Runtime has no such word and is left out."]
    full, varied = by_lengths(results)
    lines += _before(full, batches) + ["", "## Models"] * bool(full)
    for result in rnn_report.in_order(full):
        lines += rnn_report.table(result, batches)
    lines += _after(full) + rnn_lengths.summary(varied, batches)
    for result in rnn_report.in_order(varied):
        lines += rnn_lengths.table(result, batches)
    return "\n".join(lines) + "\n"


def versions():
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            pass
    return found


RNN = Program(name="rnn", cases=rnn_models.CASES, quick=rnn_models.QUICK, quick_batches=[1, 64], default_isas=list,
              measure_here=measure_here, prepare=prepare, runs=runs, versions=versions, table=table,
              text_of=text_of, closing=closing, failures=failures,
              facts=lambda arguments: {"clock": "processor time" if arguments.processor_time else "time"})

if __name__ == "__main__":
    sys.exit(main(RNN, parse()))
