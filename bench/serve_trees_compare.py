#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""auspex-serve beside a Python server (bench/serve_peer.py: grpcio and the library that trained the model) with tree models of
XGBoost and LightGBM: the same file, the same messages, the same client, in the same run.

    build/venv-bench/bin/python bench/serve_trees_compare.py [--rows 100 1000] [--trees 100] [--leaves 31] [--write]

The client is build/release/bin/serve_load, a closed loop in C. Rounds alternate between the servers, each with 1 and with 8 calls
in flight; medians over the rounds are quoted, with the least and the most. Both servers' answers are compared first. --write puts
the table into bench/results/serve-trees.md and .json.
"""
import argparse
import importlib.metadata
import json
import os
import pathlib
import platform
import signal
import subprocess
import sys
import tempfile

import numpy as np
from serve_compare import KEYS, ROOT, cpu_name, cpu_seconds, load, output, resident_mib, spread, wait_for_port

LIBRARIES = {"xgboost": "model.json", "lightgbm": "model.txt"}
IN_FLIGHT = (1, 8)


def train(library, path, trees, leaves, features):
    """A binary model with a target that needs all of its features, so that no tree is small."""
    dice = np.random.default_rng(1)
    x = dice.random((20000, features), np.float32)
    y = (np.sin(x * np.linspace(1, 9, features)).sum(1) + dice.normal(0, 0.5, len(x)) > features * 0.45).astype(int)
    if library == "xgboost":
        import xgboost
        xgboost.train({"objective": "binary:logistic", "max_leaves": leaves, "max_depth": 0, "grow_policy": "lossguide",
                       "eta": 0.1, "seed": 1}, xgboost.DMatrix(x, y), trees).save_model(path)
    else:
        import lightgbm
        lightgbm.train({"objective": "binary", "num_leaves": leaves, "learning_rate": 0.1, "seed": 1, "verbose": -1},
                       lightgbm.Dataset(x, y), trees).save_model(path)


def start(work, binaries, stubs, library, arguments):
    """Both servers; the name, the process and the address of each."""
    version = work / "repository/risk/1"
    version.mkdir(parents=True)
    model = version / LIBRARIES[library]
    train(library, model, arguments.trees, arguments.leaves, arguments.features)
    (version.parent / "current.json").write_text('{"version": 1}')
    log = open(work / "log", "w")
    commands = {
        "auspex-serve": [str(binaries / "auspex-serve"), "--repository", str(work / "repository"), "--listen", "127.0.0.1:0",
                         "--port-file", str(work / "ours")]
        + (["--workers", str(arguments.threads)] if arguments.threads else []),
        f"Python, {library}": [sys.executable, str(ROOT / "bench/serve_peer.py"), str(model), "--stubs", stubs, "--port-file",
                               str(work / "theirs"), "--threads", str(arguments.threads)],
    }
    servers = []
    for (name, command), file in zip(commands.items(), (work / "ours", work / "theirs")):
        process = subprocess.Popen(command, stdout=log, stderr=log)
        servers.append({"name": name, "process": process})
        servers[-1]["target"] = f"127.0.0.1:{wait_for_port(file, process)}"
    return servers


def compare_answers(client_module, servers, features):
    values = np.random.default_rng(2).random((1000, 1, features), np.float32)
    answers = []
    for server in servers:
        with client_module.Client(server["target"]) as client:
            answers.append(np.asarray(client.batch_predict("risk", values).values))
    return int((answers[0] != answers[1]).sum())


def measure(client_module, binaries, arguments, library):
    """Both servers with one library's model: figures by rows, server and calls in flight."""
    rounds = {}
    with tempfile.TemporaryDirectory() as work:
        servers = start(pathlib.Path(work), binaries, client_module._stubs(), library, arguments)
        try:
            different = compare_answers(client_module, servers, arguments.features)
            for _ in range(arguments.rounds):
                for rows in arguments.rows:
                    for in_flight in IN_FLIGHT:
                        for server in servers:
                            rounds.setdefault((rows, server["name"], in_flight), []).append(
                                load(binaries, server, rows, in_flight, arguments.calls, "risk", 1, arguments.features))
            memory = {server["name"]: resident_mib(server["process"]) for server in servers}
        finally:
            for server in servers:
                server["process"].send_signal(signal.SIGTERM)
            for server in servers:
                server["process"].wait()
    if any(result["failed"] for results in rounds.values() for result in results):
        raise SystemExit("serve_trees_compare: calls failed")
    figures = [{"rows": rows, "server": name, "in_flight": in_flight, **{key: spread(of_one, key) for key in KEYS}}
               for (rows, name, in_flight), of_one in rounds.items()]
    return {"figures": figures, "different_answers": different, "resident_mib": memory}


def table_of(result, library):
    lines = ["", f"## {library}", "",
             f"Of 1000 answers {result['different_answers']} differ in any bit. Resident memory: "
             + ", ".join(f"{name} {mib:.0f} MiB" for name, mib in result["resident_mib"].items()) + ".", "",
             "| rows | in flight | server | p50 us | p99 us | calls/s | server CPU us a call |", "|---|---|---|---|---|---|---|"]
    for row in result["figures"]:
        lines.append(f"| {row['rows']} | {row['in_flight']} | {row['server']} | " + " | ".join(
            f"{row[key]['median']:.0f} ({row[key]['least']:.0f} - {row[key]['most']:.0f})" for key in KEYS) + " |")
    lines.append("")
    for ours, theirs in zip(result["figures"][::2], result["figures"][1::2]):
        ratio = {key: theirs[key]["median"] / (ours[key]["median"] or float("nan")) for key in KEYS}
        lines.append(f"- {ours['rows']} rows, {ours['in_flight']} in flight: Python's p50 is {ratio['p50_us']:.1f}x, its p99 "
                     f"{ratio['p99_us']:.1f}x, its CPU time {ratio['server_cpu_us']:.1f}x; it answers {ratio['calls_per_s']:.2f}x "
                     "the calls.")
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--trees", type=int, default=100)
    parser.add_argument("--leaves", type=int, default=31)
    parser.add_argument("--features", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=400)
    parser.add_argument("--threads", type=int, default=0, help="of each engine; 0: its default, all cores")
    parser.add_argument("--build", default=str(ROOT / "build/release"))
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    binaries = pathlib.Path(arguments.build) / "bin"
    sys.path.insert(0, str(ROOT / "serve/client/python"))
    import auspex_client

    versions = {name: importlib.metadata.version(name) for name in ("grpcio", "xgboost", "lightgbm")}
    facts = {"cpu": cpu_name(), "cores": len(os.sched_getaffinity(0)), "load": os.getloadavg()[0],
             "commit": output("git", "describe", "--always", "--dirty"), "trees": arguments.trees,
             "leaves": arguments.leaves, "features": arguments.features, "rounds": arguments.rounds,
             "calls": arguments.calls, "threads": arguments.threads or "default",
             "auspex": output(str(binaries / "auspex-serve"), "--version"), "python": platform.python_version(), **versions}
    lines = ["# Tree models: auspex-serve beside a Python server", "",
             f"`bench/serve_trees_compare.py`: {facts['trees']} trees of {facts['leaves']} leaves over {facts['features']} "
             f"features, float32 sent and answered; {facts['cpu']}, {facts['cores']} cores, load {facts['load']:.1f} before; "
             f"{facts['auspex']} at {facts['commit']}; Python {facts['python']}, grpcio {facts['grpcio']}, XGBoost "
             f"{facts['xgboost']} (inplace_predict), LightGBM {facts['lightgbm']} (predict); engine threads: "
             f"{facts['threads']}. Medians of {facts['rounds']} interleaved rounds of {facts['calls']} calls (least - most). "
             "The client shares the cores."]
    results = {}
    for library in LIBRARIES:
        results[library] = measure(auspex_client, binaries, arguments, library)
        lines += table_of(results[library], library)
    text = "\n".join(lines) + "\n"
    print(text)
    if arguments.write:
        directory = ROOT / "bench/results"
        (directory / "serve-trees.md").write_text(text)
        (directory / "serve-trees.json").write_text(json.dumps({"facts": facts, "results": results}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
