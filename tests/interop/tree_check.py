# SPDX-License-Identifier: Apache-2.0
"""Compare a tree ensemble with the library that trained it: leaves equal, margins equal to the bit, predictions within
two units in the last place. Shared by the families of models that are not ONNX."""

import traceback
import zlib
from dataclasses import dataclass
from typing import Dict, List, Tuple

import numpy as np

import engine

ULPS = 2  # of predictions: two C libraries' exp may differ so much
LESS = ("scalar", "avx2")  # instruction sets that a model is tried with beside the processor's best


@dataclass
class TreeCase:
    family: str
    name: str
    data: bytes  # the file
    # Rows, and what the library says of them: "leaf", "margin" and "" (predictions), each [rows, n]. One may be missing.
    sets: List[Tuple[np.ndarray, Dict[str, np.ndarray]]]


def ulps(got, want):
    """How many numbers of the type lie between; a great many where only one is NaN."""
    whole = {4: np.int32, 8: np.int64}[want.dtype.itemsize]
    least = np.iinfo(whole).min

    def ordered(values):
        bits = np.ascontiguousarray(values).view(whole).astype(object)
        return np.where(bits < 0, least - bits, bits)

    differ = (got != want) & ~(np.isnan(got) & np.isnan(want))
    apart = np.zeros(want.shape, np.float64)
    if differ.any():
        apart[differ] = np.abs(ordered(got[differ]) - ordered(want[differ])).astype(np.float64)
        apart[differ & (np.isnan(got) | np.isnan(want))] = 2.0 ** 64
    return apart


def difference(kind, got, want, x):
    """(text of the first difference or None, worst distance in ulps)"""
    if kind == "leaf":
        want = want.astype(got.dtype)
    if got.dtype != want.dtype or got.shape != want.shape:
        return f"{got.dtype}{list(got.shape)}, expected {want.dtype}{list(want.shape)}", 0.0
    if want.size == 0:
        return None, 0.0
    apart = np.abs(got.astype(np.int64) - want) if kind == "leaf" else ulps(got, want)
    allowed = ULPS if kind == "" else 0
    bad = np.argwhere(apart > allowed)
    if len(bad) == 0:
        return None, float(apart.max())
    row, column = bad[0]
    return (f"{len(bad)} of {want.size} differ; row {row} column {column}: {got[row, column]!r}, expected "
            f"{want[row, column]!r}; x = {x[row].tolist()!r}"[:900]), float(apart.max())


def first_difference(model, kind, x, want):
    """All rows at once, the first three alone, all of them seven times over: every schedule of the engine."""
    text, worst = difference(kind, model.run({"input": x})[0], want, x)
    for row in range(min(3, len(x))):
        if text is None:
            text, _ = difference(kind, model.run({"input": x[row:row + 1]})[0], want[row:row + 1], x[row:])
            text = text and f"alone: {text}"
    if text is None:
        many = np.tile(x, (7, 1))
        text, _ = difference(kind, model.run({"input": many})[0], np.tile(want, (7, 1)), many)
        text = text and f"seven times over: {text}"
    return text, worst


def check(table, case):
    """One model: each kind of output on each set of rows, on this processor's best row and on one more."""
    table.row(case.family)["models"] += 1
    other = LESS[zlib.crc32(case.name.encode()) % len(LESS)]
    try:
        for isa in (None, other):
            for kind in ("leaf", "margin", ""):
                with engine.Model(case.data, trees=kind or None, isa=isa) as model:
                    for number, (x, wanted) in enumerate(case.sets):
                        if kind not in wanted:
                            continue
                        text, worst = first_difference(model, kind, x, wanted[kind])
                        if text is None:
                            table.passed(case.family, case.name, worst)
                        else:
                            table.failed(case.family, case.name, f"{isa or 'best'} row, {kind or 'predictions'}, rows "
                                                                 f"{number} ({x.dtype}): {text}")
    except engine.Refused as refused:
        table.failed(case.family, case.name, f"refused: {refused}")
    except Exception:
        table.failed(case.family, case.name, traceback.format_exc().strip().splitlines()[-1])
