# SPDX-License-Identifier: Apache-2.0
"""Every engine in this process, in turn, round after round."""
import math
import statistics
import time

from peer_engines import Unavailable

MOST_CALLS = 4096  # prepared: a call's rows are not those of the call before
# Between engines with several threads: OpenMP's and others' threads spin for milliseconds when their work is done.
PAUSE_S = 0.02


class Entry:
    """An engine and what has been found out about it. share: of the time of a round."""

    def __init__(self, name, file, make, share=1, **facts):
        self.facts = {"engine": name, "file": file, "error": None, "batches": {}, **facts}
        self.share = share
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
    """Engines that take part at this batch, with the seconds of one call, of the first, and the rounds that are done."""
    ready = []
    for entry in entries:
        known = max((k for k, batch in entry.facts["batches"].items() if batch["s_per_row"]), default=0)
        expected = entry.facts["batches"][known]["s_per_row"] * rows if known >= 100 else 0
        if expected > longest:
            entry.facts["batches"][rows] = {"s_per_row": None, "why": f"a call takes about {expected:.0f} s"}
            continue
        try:
            start = time.perf_counter()
            entry.engine.prepare(x, rows)
            seconds = entry.engine.time(1)
            first = time.perf_counter() - start
            if entry.engine.is_lazy:
                seconds = entry.engine.time(1)
            if seconds < 0.02:
                calls = max(1, math.ceil(0.002 / max(seconds, 1e-7)))
                entry.engine.time(calls)
                seconds = entry.engine.time(calls) / calls
            # A call of a second needs no other before it.
            ready.append((entry, seconds, first, [seconds / rows] if seconds > 1 else []))
        except Exception as error:
            entry.facts["batches"][rows] = {"s_per_row": None, "why": " ".join(str(error).split())[:160]}
    return ready


def time_batch(entries, pool, rows, threads, rounds, round_s, longest):
    calls = min(len(pool) // rows, MOST_CALLS)
    x = pool[:calls * rows]
    ready = _prepare([entry for entry in entries if entry.engine], x, rows, longest)
    for done in range(rounds):
        for entry, seconds, _, times in ready:
            # Seven rounds of a call of many seconds would be nothing but waiting.
            if len(times) > done or len(times) * seconds > 40 * round_s:
                continue
            if threads > 1:
                time.sleep(PAUSE_S)
            if seconds < round_s:
                entry.engine.time(max(1, math.ceil(0.002 / seconds)))  # caches are another engine's
            count = max(1, math.ceil(round_s * entry.share / seconds))
            times.append(entry.engine.time(count) / (count * rows))
    for entry, _, first, times in ready:
        entry.facts["batches"][rows] = {"s_per_row": statistics.median(times), "least": min(times), "most": max(times),
                                        "rounds": times, "first_s": first}
