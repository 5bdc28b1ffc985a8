# SPDX-License-Identifier: Apache-2.0
"""The networks that are measured: seeded weights, the ONNX files made of them, and what they compute in float64."""
import dataclasses
import json
import logging
import subprocess

import numpy as np


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    cell: str  # "lstm" or "gru", which resets after the product, as PyTorch, Keras and cuDNN do
    inputs: int
    units: tuple
    steps: int
    dense: tuple = ()  # on the last hidden state, ReLU between them

    @property
    def gates(self):
        return 4 if self.cell == "lstm" else 3

    @property
    def outputs(self):
        return (self.units + self.dense)[-1]

    def flop(self):
        """Of one row: a multiplication and an addition for each weight that is met."""
        total, inner = 0, self.inputs
        for units in self.units:
            total += 2 * self.gates * units * (inner + units) * self.steps
            inner = units
        for units in self.dense:
            total += 2 * inner * units
            inner = units
        return total


CASES = [
    Case("lstm-2x128", "lstm", 4, (128, 128), 10),
    Case("lstm-64", "lstm", 4, (64,), 10),
    Case("gru-2x128", "gru", 4, (128, 128), 10),
    Case("lstm-128-64-dense", "lstm", 4, (128, 64), 10, (32, 16, 1)),
    Case("lstm-256-128", "lstm", 16, (256, 128), 50),
]
QUICK = [Case("quick-lstm-64-32-dense", "lstm", 4, (64, 32), 10, (16, 1)), Case("quick-gru-2x32", "gru", 4, (32, 32), 5)]


@dataclasses.dataclass
class Recurrent:
    """Weights as ONNX has them: gates of an LSTM are input, output, forget, cell; of a GRU update, reset, candidate."""

    w: np.ndarray  # [gates, units, inputs]
    r: np.ndarray  # [gates, units, units]
    wb: np.ndarray  # [gates, units]
    rb: np.ndarray


@dataclasses.dataclass
class Dense:
    w: np.ndarray  # [units, inputs]
    b: np.ndarray
    relu: bool


def layers_of(case):
    """Uniform in +-1/sqrt(units), as PyTorch begins."""
    random = np.random.default_rng(1)

    def numbers(bound, *shape):
        return random.uniform(-bound, bound, shape).astype(np.float32)

    layers, inner = [], case.inputs
    for units in case.units:
        bound, gates = units ** -0.5, case.gates
        layers.append(Recurrent(numbers(bound, gates, units, inner), numbers(bound, gates, units, units),
                                numbers(bound, gates, units), numbers(bound, gates, units)))
        inner = units
    for index, units in enumerate(case.dense):
        bound = inner ** -0.5
        layers.append(Dense(numbers(bound, units, inner), numbers(bound, units), index + 1 < len(case.dense)))
        inner = units
    return layers


def rows_of(case, count):
    """In [-1, 1], the range that engines with fixed 8-bit inputs are told."""
    random = np.random.default_rng(2)
    return random.uniform(-1, 1, (count, case.steps, case.inputs)).astype(np.float32)


def lengths_of(case, count):
    """Steps of each row that count, uniform in 1 to all of them: in random order, but each length once in as many rows as there
    are steps, so that calls of the same size have nearly the same work."""
    random = np.random.default_rng(3)
    every = np.arange(1, case.steps + 1, dtype=np.int32)
    return np.concatenate([random.permutation(every) for _ in range(0, count, case.steps)])[:count]


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _run(cell, layer, x):
    """h of every step: [rows, steps, units], in float64."""
    w, r, wb, rb = (part.astype(np.float64) for part in (layer.w, layer.r, layer.wb, layer.rb))
    h = c = np.zeros((len(x), r.shape[1]))
    result = []
    for step in range(x.shape[1]):
        from_x = np.einsum("ni,gui->gnu", x[:, step], w) + wb[:, None]
        from_h = np.einsum("nh,guh->gnu", h, r) + rb[:, None]
        if cell == "lstm":
            i, o, f, candidate = from_x + from_h
            c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(candidate)
            h = _sigmoid(o) * np.tanh(c)
        else:
            update, reset = (_sigmoid(from_x[gate] + from_h[gate]) for gate in (0, 1))
            h = (1 - update) * np.tanh(from_x[2] + reset * from_h[2]) + update * h
        result.append(h)
    return np.stack(result, axis=1)


def reference(case, x, lengths=None):
    """What the network answers, in float64: [rows, outputs]. Steps that do not count come last, and no step hears of a later
    one: a row's answer is that of its last step that counts."""
    last_steps = np.full(len(x), x.shape[1]) if lengths is None else lengths
    value = x.astype(np.float64)
    last = None
    for layer in layers_of(case):
        if isinstance(layer, Recurrent):
            value = _run(case.cell, layer, value)
            last = value[np.arange(len(x)), last_steps - 1]
        else:
            last = last @ layer.w.T.astype(np.float64) + layer.b
            last = np.maximum(last, 0) if layer.relu else last
    return last


def _write_onnx(case, path, with_lengths):
    from onnx import TensorProto, checker, helper, numpy_helper, save
    nodes, constants = [helper.make_node("Transpose", ["window"], ["by_step"], perm=[1, 0, 2])], []

    def constant(name, values):
        constants.append(numpy_helper.from_array(values, name))
        return name

    flow, layers = "by_step", layers_of(case)
    recurrent = [layer for layer in layers if isinstance(layer, Recurrent)]
    for index, layer in enumerate(recurrent):
        gates, units, inputs = layer.w.shape
        names = [flow, constant(f"w{index}", layer.w.reshape(1, gates * units, inputs)),
                 constant(f"r{index}", layer.r.reshape(1, gates * units, units)),
                 constant(f"b{index}", np.concatenate([layer.wb.reshape(1, -1), layer.rb.reshape(1, -1)], axis=1))]
        names += ["lengths"] if with_lengths else []
        attributes = {"linear_before_reset": 1} if case.cell == "gru" else {}
        last = index + 1 == len(recurrent)
        outputs = ["", f"h{index}"] if last else [f"y{index}"]
        nodes.append(helper.make_node(case.cell.upper(), names, outputs, hidden_size=units, **attributes))
        axis = constant(f"axis{index}", np.array([0 if last else 1], np.int64))
        flow = "last" if last else f"flow{index}"
        nodes.append(helper.make_node("Squeeze", [outputs[-1], axis], [flow]))
    for index, layer in enumerate(layer for layer in layers if isinstance(layer, Dense)):
        names = [flow, constant(f"dense{index}", layer.w), constant(f"bias{index}", layer.b)]
        flow = f"z{index}"
        nodes.append(helper.make_node("Gemm", names, [flow], transB=1))
        if layer.relu:
            nodes.append(helper.make_node("Relu", [flow], [f"relu{index}"]))
            flow = f"relu{index}"
    nodes[-1].output[0] = "forecast"
    inputs = [helper.make_tensor_value_info("window", TensorProto.FLOAT, ["rows", case.steps, case.inputs])]
    if with_lengths:
        inputs.append(helper.make_tensor_value_info("lengths", TensorProto.INT32, ["rows"]))
    graph = helper.make_graph(
        nodes, case.name, inputs,
        [helper.make_tensor_value_info("forecast", TensorProto.FLOAT, ["rows", case.outputs])], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model)
    save(model, path)


def _quantize_onnxruntime(model, target):
    from onnxruntime.quantization import QuantType, quantize_dynamic
    logging.getLogger().setLevel(logging.ERROR)  # it advises steps that change nothing here
    quantize_dynamic(model, target, weight_type=QuantType.QInt8)


def _quantize_auspex(program, model, target, levels):
    command = [program, "quantize", model, target, "--levels", str(levels)]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(" ".join(done.stderr.split())[:160] or f"status {done.returncode}")


# A network's files begin with this: as it is, and with a second input that says how many steps of each row count.
FULL, WITH_LENGTHS = "model", "lengths"
RUNTIME_INT8 = "-onnxruntime-int8.onnx"
# Auspex's files of 8-bit weights, by the levels of a weight's magnitude; 63 permit a faster way with AVX2.
LEVELS = {127: "-int8.onnx", 63: "-int7.onnx"}


def _prepare(case, folder, stem, program):
    """{file: why it could not be made}."""
    model = folder / f"{stem}.onnx"
    if not model.exists():
        _write_onnx(case, model, stem == WITH_LENGTHS)
    makers = {stem + RUNTIME_INT8: lambda target: _quantize_onnxruntime(model, target)}
    for levels, name in LEVELS.items():
        makers[stem + name] = lambda target, levels=levels: _quantize_auspex(program, model, target, levels)
        (folder / (stem + name)).unlink(missing_ok=True)  # of the build that is measured
    failed = {}
    for name, make in makers.items():
        if not (folder / name).exists():
            try:
                make(folder / name)
            except Exception as error:  # a quantiser may fail in any way
                failed[name] = " ".join(f"{error}".split())[:160]
    return failed


def prepare(case, work, program):
    """Writes the model's files where they are missing. What could not be made is told in about.json."""
    folder = work / case.name
    folder.mkdir(parents=True, exist_ok=True)
    failed = {}
    for stem in (FULL, WITH_LENGTHS):
        failed.update(_prepare(case, folder, stem, program))
    (folder / "about.json").write_text(json.dumps({"failed": failed}))
