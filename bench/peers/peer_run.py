# SPDX-License-Identifier: Apache-2.0
"""What the programs beside each other share: the machine's facts, a process for each model, results that are added to."""
import json
import os
import pathlib
import platform
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


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


def merge(kept, new):
    """Adds a result to those kept: in place of the same engine's same batches."""
    old = next((r for r in kept if (r["case"], r["threads"]) == (new["case"], new["threads"])), None)
    if old is None:
        kept.append(new)
        return
    before = {(e["engine"], e["file"]): e for e in old["engines"]}
    for engine in new["engines"]:
        engine["batches"] = {**before.get((engine["engine"], engine["file"]), {"batches": {}})["batches"], **engine["batches"]}
    kept[kept.index(old)] = new
