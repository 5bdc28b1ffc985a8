# SPDX-License-Identifier: Apache-2.0
"""What the programs beside each other share: the machine's facts, a process for each model, results that are added to."""
import argparse
import dataclasses
import fnmatch
import json
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
from typing import Callable, Optional

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
RESULTS = ROOT / "bench/results"


def cpu_facts():
    """The processor's name, and Auspex's instruction sets that it has, the best first."""
    name, flags = platform.processor(), ""
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            name = line.split(":", 1)[1].strip()
        if line.startswith("flags"):
            flags = line.split(":", 1)[1].split()
    wide = ("avx512f", "avx512bw", "avx512dq", "avx512vl")
    isas = [isa for isa, needed in (("avx512vnni", wide + ("avx512_vnni",)), ("avx512", wide), ("avx2", ("avx2", "fma")))
            if all(flag in flags for flag in needed)]
    return name, isas or ["scalar"]


def commit():
    done = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True)
    return done.stdout.strip()


def bind(threads):
    """Before any engine counts the cores."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def in_child(script, options, threads, environment=()):
    """What the script, run with these options and --json, writes there."""
    with tempfile.TemporaryDirectory() as scratch:
        target = pathlib.Path(scratch) / "result.json"
        command = [sys.executable, "-W", "ignore", script, *options, "--threads", threads, "--json", target]
        full = dict(os.environ, OMP_NUM_THREADS=str(threads), **dict(environment))
        done = subprocess.run([str(word) for word in command], env=full, capture_output=True, text=True)
        if done.returncode != 0:
            print(done.stderr, file=sys.stderr)
            raise SystemExit(f"{pathlib.Path(script).stem}: {' '.join(map(str, options[:2]))} with {threads} threads ended "
                             f"with status {done.returncode}")
        return json.loads(target.read_text())


def _identity(result):
    return result["case"], result["threads"], result.get("cap"), result.get("lengths")


def merge(kept, new):
    """Adds a result to those kept: in place of the same engine's same batches."""
    old = next((r for r in kept if _identity(r) == _identity(new)), None)
    if old is None:
        kept.append(new)
        return
    before = {(e["engine"], e["file"]): e for e in old["engines"]}
    for engine in new["engines"]:
        engine["batches"] = {**before.get((engine["engine"], engine["file"]), {"batches": {}})["batches"], **engine["batches"]}
    kept[kept.index(old)] = new


# ---- a whole program ------------------------------------------------------------------------------


def add_options(parser, name, quick, batches, isas, work):
    """The options that both programs have."""
    parser.add_argument("--quick", action="store_true", help=f"{quick}, correctness only, about a minute")
    parser.add_argument("--cases", nargs="+", default=["*"], help="names or patterns; --list shows them")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--prepare", action="store_true", help="train and compile what is missing, measure nothing")
    parser.add_argument("--batches", type=int, nargs="+", default=batches)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--isa", nargs="+", help=isas)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--round-ms", type=float, default=50)
    parser.add_argument("--longest", type=float, default=10, help="seconds of a call that are still waited for")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / work, help="where models are kept")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--json", type=pathlib.Path, help="write everything that was measured")
    parser.add_argument("--write", action="store_true", help=f"write bench/results/{name}.md and .json, after each model")
    parser.add_argument("--add", action="store_true", help="the same, keeping what they hold of other models and batches")
    parser.add_argument("--one", help=argparse.SUPPRESS)


def child_options(arguments, case):
    """The options of the process that measures one model."""
    return ["--one", case.name, "--work", arguments.work, "--build", arguments.build, "--rounds", arguments.rounds,
            "--round-ms", arguments.round_ms, "--longest", arguments.longest, "--isa", *arguments.isa, "--batches",
            *arguments.batches]


def settings_of(arguments):
    """Of that process, for what measures in it."""
    return {"threads": arguments.threads[0], "isas": arguments.isa, "batches": arguments.batches, "rounds": arguments.rounds,
            "round_s": arguments.round_ms * 1e-3, "longest": arguments.longest, "program": arguments.build / "bin/auspex"}


@dataclasses.dataclass
class Program:
    """A comparison; results are what `measure` gives, a dict with at least case, threads and engines."""

    name: str  # of the files under bench/results
    cases: list
    quick: list
    quick_batches: list
    default_isas: Callable  # (instruction sets of the processor) -> those of Auspex that are measured
    measure_here: Callable  # (arguments, case): in the child, bound to its cores; writes arguments.json
    prepare: Callable  # (arguments, case) -> False: what it needs is not there
    runs: Callable  # (arguments, case) yields results, each from a process of its own
    versions: Callable  # () -> {package: version}
    table: Callable  # (result, batches) -> lines
    text_of: Callable  # (facts, results, batches) -> the report
    closing: Callable  # (results, batches) -> lines after the last table
    failures: Callable  # (arguments, result) yields what --quick refuses
    facts: Optional[Callable] = None  # (arguments) -> more of them


def _write(program, facts, results):
    batches = sorted({int(rows) for r in results for engine in r["engines"] for rows in engine["batches"]})
    (RESULTS / f"{program.name}.md").write_text(program.text_of(facts, results, batches))
    (RESULTS / f"{program.name}.json").write_text(json.dumps({"facts": facts, "results": results}, indent=1) + "\n")


def main(program, arguments):
    """The exit status."""
    if arguments.one:
        program.measure_here(arguments, next(c for c in program.cases + program.quick if c.name == arguments.one))
        return 0
    cases = [case for case in (program.quick if arguments.quick else program.cases)
             if any(fnmatch.fnmatch(case.name, pattern) for pattern in arguments.cases)]
    if arguments.list:
        print("\n".join(case.name for case in cases))
        return 0
    cpu, isas = cpu_facts()
    arguments.isa = arguments.isa or program.default_isas(isas)
    if arguments.quick:
        arguments.batches, arguments.rounds, arguments.round_ms, arguments.threads = program.quick_batches, 1, 5, [1]
    arguments.work.mkdir(parents=True, exist_ok=True)
    facts = {"cpu": cpu, "cores": len(os.sched_getaffinity(0)), "isas": arguments.isa, "load": os.getloadavg()[0],
             "commit": commit(), "versions": program.versions(), "python": platform.python_version(),
             "rounds": arguments.rounds, "round_ms": arguments.round_ms, "left_out": [],
             **(program.facts(arguments) if program.facts else {})}
    results, kept = [], RESULTS / f"{program.name}.json"
    if arguments.add and kept.exists():
        before = json.loads(kept.read_text())
        results = before["results"]
        facts["isas"] = before["facts"]["isas"] + [isa for isa in arguments.isa if isa not in before["facts"]["isas"]]
    for case in cases:
        if program.prepare(arguments, case) is False:
            facts["left_out"].append(case.name)
            continue
        if arguments.prepare:
            continue
        for result in program.runs(arguments, case):
            result["commit"] = facts["commit"]
            print("\n".join(program.table(result, arguments.batches)), flush=True)
            merge(results, result)
            if arguments.write or arguments.add:
                _write(program, facts, results)
    if arguments.json:
        arguments.json.write_text(json.dumps({"facts": facts, "results": results}, indent=1) + "\n")
    if results:
        print("\n".join(program.closing(results, arguments.batches)))
    wrong = [failure for result in results for failure in program.failures(arguments, result)]
    for failure in wrong:
        print(f"{program.name}: {failure}", file=sys.stderr)
    return 1 if arguments.quick and wrong else 0
