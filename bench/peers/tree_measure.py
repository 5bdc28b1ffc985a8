# SPDX-License-Identifier: Apache-2.0
"""One tree model, one number of threads: every engine's predictions, and its time."""
import time

import numpy as np

import tree_engines
from peer_measure import Entry, time_batch

CHECKED_ROWS = 10000


def measure(case, folder, about, lib, pool, settings):
    """Facts of every engine; settings: threads, isas, batches, rounds, round_s, longest, work, program."""
    makers = tree_engines.makers(case, folder, about, lib, settings["threads"], settings["isas"], settings["work"])
    entries = [Entry(name, file, make) for (name, file), make in makers.items()]
    x = pool[:CHECKED_ROWS]
    predictions = [entry.check(x) for entry in entries]
    by_library = {"xgboost": "XGBoost", "lightgbm": "LightGBM", "sklearn": "scikit-learn"}[case.library]
    reference = next(p for entry, p in zip(entries, predictions) if entry.facts["engine"] == by_library)
    for entry, own in zip(entries, predictions):
        if own is not None and reference is not None:
            entry.facts["difference"] = float(np.max(np.abs(own - reference) / np.maximum(1, np.abs(reference))))
            entry.facts["same_bits"] = bool(np.array_equal(own, reference))
    start = time.monotonic()
    for rows in settings["batches"]:
        if rows <= len(pool):
            time_batch(entries, pool, rows, settings["threads"], settings["rounds"], settings["round_s"], settings["longest"])
    for entry in entries:
        if entry.engine:
            entry.engine.close()
            name, _, isa = entry.facts["engine"].partition(" ")
            if name == "Auspex":
                entry.facts.update(tree_engines.plan(settings["program"], folder / entry.facts["file"], isa))
    return {"case": case.name, "threads": settings["threads"], "library": by_library,
            "measured_s": time.monotonic() - start, "rows": len(pool),
            "model": {key: about[key] for key in ("features", "trees", "leaves", "most_leaves", "nodes")},
            "engines": [entry.facts for entry in entries]}
