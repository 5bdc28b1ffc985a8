# SPDX-License-Identifier: Apache-2.0
"""Compare a tree ensemble with the library that trained it: leaves equal, margins equal to the bit, predictions within
two units in the last place. Shared by the families of models that are not ONNX."""

import traceback
from dataclasses import dataclass
from typing import Dict, List, Tuple

import numpy as np

import engine

ULPS = 2  # of predictions: two C libraries' exp may differ so much
ALL_ISA = (None, "scalar")  # the best row of the processor, and the reference


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


def check(table, case, isa=None):
    """One model: each kind of output on each set of rows, all at once and the first ones alone."""
    table.row(case.family)["models"] += 1
    try:
        for kind in ("leaf", "margin", ""):
            with engine.Model(case.data, trees=kind or None, isa=isa) as model:
                for number, (x, wanted) in enumerate(case.sets):
                    if kind not in wanted:
                        continue
                    want = wanted[kind]
                    label = f"{kind or 'predictions'}, rows {number} ({x.dtype})"
                    text, worst = difference(kind, model.run({"input": x})[0], want, x)
                    for row in range(min(3, len(x))):
                        if text is None:
                            text, _ = difference(kind, model.run({"input": x[row:row + 1]})[0], want[row:row + 1], x[row:])
                            label += "" if text is None else f", row {row} alone"
                    if text is None:
                        table.passed(case.family, case.name, worst)
                    else:
                        table.failed(case.family, case.name, f"{label}: {text}")
    except engine.Refused as refused:
        table.failed(case.family, case.name, f"refused: {refused}")
    except Exception:
        table.failed(case.family, case.name, traceback.format_exc().strip().splitlines()[-1])
