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
    program; lengths: "full", or "random" for rows of different lengths beside full ones."""
    pool = rnn_models.rows_of(case, max(*settings["batches"], POOL_ROWS))
    checked = pool[:CHECKED_ROWS]
    wanted, varied = settings["engines"], settings["lengths"] == "random"
    found = [(False, *maker) for maker in rnn_engines.makers(case, folder, lib, settings)]
    references = {False: rnn_models.reference(case, checked).reshape(-1)}
    if varied:
        lengths = rnn_models.lengths_of(case, len(pool))
        found = [(True, *maker) for maker in rnn_engines.makers(case, folder, lib, settings, lengths)] + [
            maker for maker in found if maker[1] != "PyTorch compiled" and maker[2] != "peak"]
        references[True] = rnn_models.reference(case, checked, lengths[:len(checked)]).reshape(-1)
    entries = []
    for has_lengths, name, precision, file, make in found:
        if name.startswith("Auspex") or precision == "peak" or any(fnmatch.fnmatch(name, pattern) for pattern in wanted):
            facts = {"precision": precision, **({"lengths": has_lengths} if varied else {})}
            entries.append(Entry(name, f"{precision} {file}".strip(), make, PEAK_SHARE if precision == "peak" else 1, **facts))
    for entry in entries:
        if entry.facts["precision"] == "peak":
            operations = entry.check(pool[:1])
            entry.facts["operations"] = None if operations is None else float(operations[0])
            continue
        answers = entry.check(checked)
        if answers is not None:
            reference = references[entry.facts.get("lengths", False)]
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
    # Of the steps of full rows, how many count.
    counted = {"lengths": "random", "steps_share": float(lengths.mean()) / case.steps} if varied else {}
    return {"case": case.name, "threads": settings["threads"], "cap": settings["cap"], **counted,
            "measured_s": time.monotonic() - start,
            "model": {"cell": case.cell, "inputs": case.inputs, "units": case.units, "dense": case.dense, "steps": case.steps,
                      "flop": case.flop()},
            "engines": [entry.facts for entry in entries]}
