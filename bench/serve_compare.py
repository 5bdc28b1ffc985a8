#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""auspex-serve beside a Python server (bench/serve_peer.py: grpcio and ONNX Runtime): the same model, the same messages, the
same client, in the same run.

    build/venv-bench/bin/python bench/serve_compare.py [--rows 100] [--rounds 7] [--calls 400] [--write]

The client is build/release/bin/serve_load, a closed loop in C. Rounds alternate between the servers, each round with 1 and
with 8 calls in flight; medians over the rounds are quoted, with the least and the most. Both servers' answers are compared
first. One more pair a round comes from the Go client (serve/client/go, batch100). --write puts the table into bench/results/serve-compare.md and .json.
"""
import argparse
import importlib.metadata
import json
import os
import pathlib
import platform
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
STEPS, FEATURES = 10, 4
KEYS = ("p50_us", "p99_us", "calls_per_s", "server_cpu_us")


def cpu_name():
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout.strip()


def wait_for_port(path, process):
    for _ in range(600):
        if path.exists():
            return int(path.read_text())
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise SystemExit(f"serve_compare: {process.args[0]} did not start")


def cpu_seconds(process):
    """User and system time that the process has used."""
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(process):
    for line in pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0


def load(binaries, server, rows, in_flight, calls, model="lstm", steps=STEPS, features=FEATURES):
    before = cpu_seconds(server["process"])
    result = json.loads(output(str(binaries / "serve_load"), "--target", server["target"], "--model", model, "--rows",
                               str(rows), "--steps", str(steps), "--features", str(features), "--in-flight", str(in_flight),
                               "--calls", str(calls), "--warm-up", "50"))
    result["server_cpu_us"] = (cpu_seconds(server["process"]) - before) * 1e6 / (calls + 50)
    return result


def load_from_go(server, rows, calls):
    """p50 and p99 as batch100 prints them: Go durations, "576µs" or "1.28ms"."""
    text = output(str(ROOT / "build/go/batch100"), "-address", server["target"], "-model", "lstm", "-vms", str(rows), "-steps",
                  str(STEPS), "-features", str(FEATURES), "-calls", str(calls), "-show", "1", "-timeout", "5s")
    unit = {"ns": 1e-3, "µs": 1, "ms": 1e3, "s": 1e6}
    found = re.search(r"p50 ([0-9.]+)(ns|µs|ms|s), p99 ([0-9.]+)(ns|µs|ms|s);", text)
    return {"p50_us": float(found[1]) * unit[found[2]], "p99_us": float(found[3]) * unit[found[4]]}


def start(work, binaries, stubs, threads, layers):
    """Both servers; the name, the process and the address of each."""
    model = work / "lstm.onnx"
    output(str(binaries / "make_model"), "--layers", layers, "--inputs", str(FEATURES), "--steps", str(STEPS), str(model))
    version = work / "repository/lstm/1"
    version.mkdir(parents=True)
    (version / "model.onnx").write_bytes(model.read_bytes())
    (version.parent / "current.json").write_text('{"version": 1}')
    ours, theirs = work / "ours", work / "theirs"
    log = open(work / "log", "w")
    commands = {
        "auspex-serve": [str(binaries / "auspex-serve"), "--repository", str(work / "repository"), "--listen", "127.0.0.1:0",
                         "--port-file", str(ours)] + (["--workers", str(threads)] if threads else []),
        "Python": [sys.executable, str(ROOT / "bench/serve_peer.py"), str(model), "--stubs", stubs, "--port-file",
                   str(theirs), "--threads", str(threads)],
    }
    servers = []
    for (name, command), file in zip(commands.items(), (ours, theirs)):
        process = subprocess.Popen(command, stdout=log, stderr=log)
        servers.append({"name": name, "process": process})
        servers[-1]["target"] = f"127.0.0.1:{wait_for_port(file, process)}"
    return servers


def compare_answers(client_module, servers, rows):
    values = np.random.default_rng(1).random((rows, STEPS, FEATURES), np.float32)
    answers = []
    for server in servers:
        with client_module.Client(server["target"]) as client:
            answers.append(np.asarray(client.batch_predict("lstm", values).values))
    difference = float(np.max(np.abs(answers[0] - answers[1])))
    if not difference < 1e-5:
        raise SystemExit(f"serve_compare: the servers' answers differ by {difference}")
    return difference


def measure(client_module, binaries, arguments, layers):
    """Both servers with one model: their figures by name and calls in flight."""
    rounds, from_go = {}, {}
    with tempfile.TemporaryDirectory() as work:
        servers = start(pathlib.Path(work), binaries, client_module._stubs(), arguments.threads, layers)
        try:
            difference = compare_answers(client_module, servers, arguments.rows)
            for _ in range(arguments.rounds):
                for in_flight in (1, 8):
                    for server in servers:
                        rounds.setdefault((server["name"], in_flight), []).append(
                            load(binaries, server, arguments.rows, in_flight, arguments.calls))
                for server in servers:
                    from_go.setdefault(server["name"], []).append(load_from_go(server, arguments.rows, arguments.calls))
            memory = {server["name"]: resident_mib(server["process"]) for server in servers}
        finally:
            for server in servers:
                server["process"].send_signal(signal.SIGTERM)
            for server in servers:
                server["process"].wait()
    figures = {f"{name}, {in_flight} in flight": {key: spread(of_one, key) for key in KEYS}
               for (name, in_flight), of_one in rounds.items()}
    go = {name: {key: spread(of_one, key) for key in ("p50_us", "p99_us")} for name, of_one in from_go.items()}
    return {"figures": figures, "go_client": go, "largest_difference": difference, "resident_mib": memory}


def table_of(result, layers):
    figures = result["figures"]
    lines = ["", f"## LSTM of {layers}", "",
             f"Answers agree within {result['largest_difference']:.1e}. Resident memory: "
             + ", ".join(f"{name} {mib:.0f} MiB" for name, mib in result["resident_mib"].items()) + ".", "",
             "| server | p50 us | p99 us | calls/s | server CPU us a call |", "|---|---|---|---|---|"]
    for name, row in figures.items():
        lines.append(f"| {name} | " + " | ".join(
            f"{row[key]['median']:.0f} ({row[key]['least']:.0f} - {row[key]['most']:.0f})" for key in KEYS) + " |")
    lines.append("")
    for in_flight in (1, 8):
        ours, theirs = figures[f"auspex-serve, {in_flight} in flight"], figures[f"Python, {in_flight} in flight"]
        ratio = {key: theirs[key]["median"] / (ours[key]["median"] or float("nan")) for key in KEYS}
        lines.append(f"- {in_flight} in flight: Python's p50 is {ratio['p50_us']:.1f}x, its p99 {ratio['p99_us']:.1f}x, its CPU "
                     f"time {ratio['server_cpu_us']:.1f}x; it answers {ratio['calls_per_s']:.2f}x the calls.")
    go = {name: " / ".join(f"{row[key]['median']:.0f} ({row[key]['least']:.0f} - {row[key]['most']:.0f})" for key in row)
          for name, row in result["go_client"].items()}
    lines.append("- From the Go client, 1 in flight, p50 / p99 us: " + "; ".join(f"{name} {text}" for name, text in go.items()) + ".")
    return lines


def spread(rounds, key):
    values = [r[key] for r in rounds]
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=400)
    parser.add_argument("--layers", nargs="+", default=["128,128", "32"], help="hidden sizes of the LSTMs, one model each")
    parser.add_argument("--threads", type=int, default=0, help="of each engine; 0: its default, all cores")
    parser.add_argument("--build", default=str(ROOT / "build/release"))
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    binaries = pathlib.Path(arguments.build) / "bin"
    sys.path.insert(0, str(ROOT / "serve/client/python"))
    import auspex_client

    output(str(ROOT / "serve/client/go/build.sh"))
    facts = {
        "cpu": cpu_name(), "cores": len(os.sched_getaffinity(0)), "load": os.getloadavg()[0],
        "commit": output("git", "describe", "--always", "--dirty"), "rows": arguments.rows, "steps": STEPS,
        "features": FEATURES, "rounds": arguments.rounds, "calls": arguments.calls, "threads": arguments.threads or "default",
        "auspex": output(str(binaries / "auspex-serve"), "--version"), "python": platform.python_version(),
        "grpcio": importlib.metadata.version("grpcio"), "onnxruntime": importlib.metadata.version("onnxruntime"),
    }
    lines = ["# auspex-serve beside a Python server", "",
             f"`bench/serve_compare.py`: {facts['rows']} windows of {STEPS} steps and {FEATURES} features a call; {facts['cpu']}, "
             f"{facts['cores']} cores, load {facts['load']:.1f} before; {facts['auspex']} at {facts['commit']}; Python "
             f"{facts['python']}, grpcio {facts['grpcio']}, ONNX Runtime {facts['onnxruntime']}; engine threads: "
             f"{facts['threads']}. Medians of {facts['rounds']} interleaved rounds of {facts['calls']} calls (least - most). The "
             "client shares the cores."]
    results = {}
    for layers in arguments.layers:
        results[layers] = measure(auspex_client, binaries, arguments, layers)
        lines += table_of(results[layers], layers)
    text = "\n".join(lines) + "\n"
    print(text)
    if arguments.write:
        directory = ROOT / "bench/results"
        directory.mkdir(exist_ok=True)
        (directory / "serve-compare.md").write_text(text)
        (directory / "serve-compare.json").write_text(json.dumps({"facts": facts, "results": results}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
