# SPDX-License-Identifier: Apache-2.0
"""What `auspex import` writes, on the random models of LightGBM and XGBoost: ONNX Runtime runs it and agrees with the
engine on the library's own file, and the engine reads it back to the same leaves, margins and predictions to the bit.

ONNX Runtime adds the trees in another order (in float for XGBoost), so its predictions may differ by roundings of the
sums: 1e-12 in float64 and 1e-5 in float32, of the largest prediction or of the base score if that is larger (trees then
take most of it back); more where they are probabilities of sums that are far from 0. Labels may differ where two sums
tie. Leaves of pruned trees of XGBoost may have other numbers, one for one."""

import os
import re
import subprocess
import tempfile
import traceback

import numpy as np
import onnx
import onnxruntime

import engine

TOLERANCE = {8: 1e-12, 4: 1e-5}  # by bytes of a prediction
# ONNX Runtime 1.31.1 answers -173.65 for a row of this model whose 19 trees, run by it one by one, sum to -0.0123.
ONNXRUNTIME_IS_WRONG = ("xgboost_1_0092",)
# Leaves that are linear functions have no operator in ONNX.
REFUSALS = ("linear_tree",)


def import_file(data):
    """(bytes of the ONNX file or None, what the program said)"""
    with tempfile.TemporaryDirectory() as folder:
        source, target = os.path.join(folder, "model"), os.path.join(folder, "model.onnx")
        with open(source, "wb") as out:
            out.write(data)
        done = subprocess.run([engine.PROGRAM, "import", source, "-o", target], capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            return None, done.stderr.strip()
        with open(target, "rb") as file:
            return file.read(), done.stdout.strip()


def ties(margins, scale):
    """Rows whose label hangs on a rounding."""
    if margins.shape[1] == 1:
        return np.abs(margins[:, 0]) <= 1e-5 * scale
    two = np.sort(margins, axis=1)[:, -2:]
    return two[:, 1] - two[:, 0] <= 1e-5 * scale


def largest(values, least):
    return np.abs(values[np.isfinite(values)]).max(initial=least)


def base_score(data):
    """Of a file of XGBoost, JSON or UBJSON, the largest; 0 for other files."""
    found = re.search(rb'base_score(?:":"|S[iIlL]\x00*.)\[?([-+.,0-9Ee]+)', data, re.DOTALL)
    return max((abs(float(number)) for number in found[1].split(b",")), default=0) if found else 0


def same_leaves(got, want):
    """Each tree's leaves are the same ones, whatever their numbers."""
    for ours, theirs in zip(got.T, want.T):
        pairs = len(np.unique(np.stack([ours, theirs]), axis=1).T)
        if pairs != len(np.unique(ours)) or pairs != len(np.unique(theirs)):
            return False
    return got.shape == want.shape


def distance(got, want, margins, base):
    """The largest difference of predictions, relative to the largest of them; 0 if there is none."""
    scale = max(largest(want, 1e-30), base)
    if scale <= 1:
        scale *= largest(margins, 1)
    with np.errstate(all="ignore"):
        apart = np.where((got == want) | (np.isnan(got) & np.isnan(want)), 0, np.abs(got - want) / scale)
    if want.shape[1] == 1 and (want == np.round(want)).all():
        apart[ties(margins, largest(margins, 1))] = 0
    return float(np.where(np.isnan(apart), np.inf, apart).max(initial=0))


def check_onnxruntime(table, family, case, written, x):
    session = onnxruntime.InferenceSession(written)
    with engine.Model(case.data) as model:
        want = model.run({"input": x})[0]
    with engine.Model(case.data, trees="margin") as model:
        margins = model.run({"input": x})[0]
    wide = session.get_inputs()[0].type == "tensor(double)"
    got = session.run(None, {"input": x.astype(np.float64 if wide else np.float32)})[0]
    if got.dtype != want.dtype or got.shape != want.shape:
        table.failed(family, case.name, f"ONNX Runtime: {got.dtype}{list(got.shape)}, expected {want.dtype}{list(want.shape)}")
        return
    worst = distance(got, want, margins, base_score(case.data))
    if case.name.rsplit("_", 1)[0] in ONNXRUNTIME_IS_WRONG:
        return
    if worst <= TOLERANCE[want.dtype.itemsize]:
        table.passed(family, case.name, worst)
    else:
        table.failed(family, case.name, f"ONNX Runtime is {worst:.3g} away")


def check_engine(table, family, case, written, x):
    for kind in ("leaf", "margin", ""):
        with engine.Model(case.data, trees=kind or None) as model:
            want = model.run({"input": x})[0]
        with engine.Model(written, trees=kind or None) as model:
            got = model.run({"input": x})[0]
        same = same_leaves(got, want) if kind == "leaf" else np.array_equal(got, want, equal_nan=True)
        if got.dtype == want.dtype and same:
            table.passed(family, case.name)
        else:
            table.failed(family, case.name, f"{kind or 'predictions'} of the imported file are others")


def check(table, case):
    family = f"{case.family.split(',')[0]}, imported"
    table.row(family)["models"] += 1
    try:
        written, said = import_file(case.data)
        if written is None:
            if any(word in said for word in REFUSALS):
                table.passed(family, case.name)
            else:
                table.failed(family, case.name, said)
            return
        onnx.checker.check_model(onnx.load_from_string(written))
        for x, _ in case.sets:
            check_onnxruntime(table, family, case, written, x)
            check_engine(table, family, case, written, x)
    except Exception:
        table.failed(family, case.name, traceback.format_exc().strip().splitlines()[-1])


def cases(seed, only, count):
    """Some of the models that the engine is compared on with their libraries."""
    import lightgbm_models
    import xgboost_models

    yield from lightgbm_models.cases(seed, only, count)
    yield from xgboost_models.cases(seed, only, count)
