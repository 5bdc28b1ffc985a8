# SPDX-License-Identifier: Apache-2.0
"""One model, one number of threads: every engine in this process, in turn, round after round."""
import math
import statistics
import time

import numpy as np

import tree_engines
from tree_engines import Unavailable

CHECKED_ROWS = 10000
MOST_CALLS = 4096  # prepared: a call's rows are not those of the call before


class Entry:
    """An engine and what has been found out about it."""

    def __init__(self, name, file, make):
        self.facts = {"engine": name, "file": file, "error": None, "batches": {}}
        self.engine = None
        try:
            self.engine = make()
            self.facts.update(load_s=self.engine.load_s, resident_bytes=self.engine.resident,
                              in_python=self.engine.in_python)
        except Unavailable as error:
            self.facts["error"] = str(error)

    def check(self, x):
        """Predictions of x, or None."""
        if self.engine is None:
            return None
        try:
            self.engine.prepare(x, len(x))
            return self.engine.predict()
        except Exception as error:
            self.facts["error"] = " ".join(str(error).split())[:160]
            self.engine = None
            return None


def _prepare(entries, x, rows, longest):
    """Engines that take part at this batch, with the seconds of one call and the rounds that are done."""
    ready = []
    for entry in entries:
        known = max((k for k, batch in entry.facts["batches"].items() if batch["s_per_row"]), default=0)
        expected = entry.facts["batches"][known]["s_per_row"] * rows if known >= 100 else 0
        if expected > longest:
            entry.facts["batches"][rows] = {"s_per_row": None, "why": f"a call takes about {expected:.0f} s"}
            continue
        try:
            entry.engine.prepare(x, rows)
            seconds = entry.engine.time(1)
            if seconds < 0.02:
                calls = max(1, math.ceil(0.002 / max(seconds, 1e-7)))
                entry.engine.time(calls)
                seconds = entry.engine.time(calls) / calls
            # A call of a second needs no other before it.
            ready.append((entry, seconds, [seconds / rows] if seconds > 1 else []))
        except Exception as error:
            entry.facts["batches"][rows] = {"s_per_row": None, "why": " ".join(str(error).split())[:160]}
    return ready


def time_batch(entries, pool, rows, rounds, round_s, longest):
    calls = min(len(pool) // rows, MOST_CALLS)
    x = pool[:calls * rows]
    ready = _prepare([entry for entry in entries if entry.engine], x, rows, longest)
    for done in range(rounds):
        for entry, seconds, times in ready:
            # Seven rounds of a call of many seconds would be nothing but waiting.
            if len(times) > done or len(times) * seconds > 40 * round_s:
                continue
            if seconds < round_s:
                entry.engine.time(max(1, math.ceil(0.002 / seconds)))  # caches are another engine's
            count = max(1, math.ceil(round_s / seconds))
            times.append(entry.engine.time(count) / (count * rows))
    for entry, _, times in ready:
        entry.facts["batches"][rows] = {"s_per_row": statistics.median(times), "least": min(times), "most": max(times),
                                        "rounds": times}


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
            time_batch(entries, pool, rows, settings["rounds"], settings["round_s"], settings["longest"])
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
