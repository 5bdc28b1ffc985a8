# SPDX-License-Identifier: Apache-2.0
"""What `auspex import` writes, on the random models of LightGBM and XGBoost: ONNX Runtime runs it and agrees with the
engine on the library's own file, and the engine reads it back to the same leaves, margins and predictions to the bit.

ONNX Runtime adds the trees in another order (in float for XGBoost), so its predictions may differ by roundings of the
sums: 1e-12 in float64 and 1e-5 in float32, of the largest prediction; more where they are probabilities of sums that
are far from 0. Labels may differ where two sums tie."""

import os
import subprocess
import tempfile
import traceback

import numpy as np
import onnx
import onnxruntime

import engine

TOLERANCE = {8: 1e-12, 4: 1e-5}  # by bytes of a prediction
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


def distance(got, want, margins):
    """The largest difference of predictions, relative to the largest of them; 0 if there is none."""
    scale = largest(want, 1e-30)
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
    worst = distance(got, want, margins)
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
        if got.dtype == want.dtype and np.array_equal(got, want, equal_nan=kind != "leaf"):
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
