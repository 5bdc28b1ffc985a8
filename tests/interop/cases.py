# SPDX-License-Identifier: Apache-2.0
"""What every family of models hands to the runner: a model, inputs for it, and how near an answer must come."""

from dataclasses import dataclass, field
from typing import Dict, List, Optional

import numpy as np
import onnx


@dataclass
class Case:
    family: str  # the row of the result table, e.g. "torch legacy"
    name: str  # unique in its family; also a file name
    model: onnx.ModelProto
    inputs: Dict[str, np.ndarray]
    made_by: str  # the libraries, with versions
    tolerance: float = 1e-5  # largest absolute error allowed
    # The reference when ONNX Runtime cannot run the model: outputs in graph order. None: ask ONNX Runtime.
    outputs: Optional[List[np.ndarray]] = None
    # False: ONNX Runtime contradicts the standard here, so that it cannot confirm `outputs`.
    judged: bool = True
    # What the engine's refusal must name, where it lacks an operator that the model needs.
    refused: Optional[str] = None
    # Further inputs (other batch sizes or lengths) the same model must answer.
    more_inputs: List[Dict[str, np.ndarray]] = field(default_factory=list)


def onnxruntime_outputs(model, inputs):
    """Outputs of ONNX Runtime on one thread, in graph order."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, inputs)


def reference_outputs(case, inputs=None):
    if case.outputs is not None and inputs is None:
        return case.outputs
    return onnxruntime_outputs(case.model, case.inputs if inputs is None else inputs)


def worst_error(got, want):
    """Largest absolute difference; infinite where shapes, types or the places of NaN differ."""
    got = np.asarray(got)
    want = np.asarray(want)
    if got.shape != want.shape:
        return np.inf
    if want.size == 0:
        return 0.0
    if want.dtype.kind not in "fiub":
        return 0.0 if bool(np.all(got == want)) else np.inf
    got64 = got.astype(np.float64)
    want64 = want.astype(np.float64)
    same = (got64 == want64) | (np.isnan(got64) & np.isnan(want64))
    gap = np.where(same, 0.0, np.abs(got64 - want64))
    return float(np.inf if np.isnan(gap).any() else gap.max())
