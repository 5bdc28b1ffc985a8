# SPDX-License-Identifier: Apache-2.0
"""One network, one number of threads: every engine's answers, and its time."""
import fnmatch
import time

import numpy as np

import rnn_engines
import rnn_models
from peer_measure import Entry, time_batch

CHECKED_ROWS = 512
POOL_ROWS = 2048
# Of a round's time: loops of the processor's peak need no more.
PEAK_SHARE = 0.2


def measure(case, folder, lib, settings):
    """Facts of every engine; settings: threads, isas, cap, engines, batches, rounds, round_s, longest,
    program."""
    entries, wanted = [], settings["engines"]
    for name, precision, file, make in rnn_engines.makers(case, folder, lib, settings):
        if name.startswith("Auspex") or precision == "peak" or any(fnmatch.fnmatch(name, pattern) for pattern in wanted):
            share = PEAK_SHARE if precision == "peak" else 1
            entries.append(Entry(name, f"{precision} {file}".strip(), make, share, precision=precision))
    pool = rnn_models.rows_of(case, max(*settings["batches"], POOL_ROWS))
    checked = pool[:CHECKED_ROWS]
    reference = rnn_models.reference(case, checked).reshape(-1)
    for entry in entries:
        if entry.facts["precision"] == "peak":
            operations = entry.check(pool[:1])
            entry.facts["operations"] = None if operations is None else float(operations[0])
            continue
        answers = entry.check(checked)
        if answers is not None:
            entry.facts["difference"] = float(np.max(np.abs(answers - reference)))
    start = time.monotonic()
    for rows in settings["batches"]:
        time_batch(entries, pool, rows, settings["threads"], settings["rounds"], settings["round_s"], settings["longest"])
    for entry in entries:
        if entry.engine:
            entry.engine.close()
            name, _, isa = entry.facts["engine"].partition(" ")
            if name == "Auspex":
                file = folder / entry.facts["file"].split()[1]
                entry.facts["kernels"] = rnn_engines.plan(settings["program"], file, isa)
    return {"case": case.name, "threads": settings["threads"], "cap": settings["cap"], "measured_s": time.monotonic() - start,
            "model": {"cell": case.cell, "inputs": case.inputs, "units": case.units, "dense": case.dense, "steps": case.steps,
                      "flop": case.flop()},
            "engines": [entry.facts for entry in entries]}
