# SPDX-License-Identifier: Apache-2.0
"""Random LSTM and GRU of PyTorch, each replayable by its number and the seed: what PyTorch itself answers is the judge,
and ONNX Runtime beside it.

Half of the models are written by PyTorch's exporter; of the others the weights are copied into ONNX operators, gates
turned from PyTorch's order to the standard's. Rows of different lengths are packed, which the exporter writes in one of
many ways only, so those are copied. Rows of length 0 and a GRU that resets before the product are unknown to PyTorch:
random_recurrent.py has them.

Both judges compute in float32, and so does the engine: each may be a few roundings off. So PyTorch also answers in
float64, and the table shows how far each of the three is from that.
"""

import io
import warnings

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

import engine
from cases import Case, onnxruntime_outputs, worst_error

HIDDEN_EDGES = (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 96, 127, 128, 129, 144, 159, 160)
MOST_HIDDEN, MOST_INPUTS, MOST_STEPS, LONG_STEPS = 160, 40, 60, (200, 500)
ROWS = (1, 2, 3, 5, 8, 13, 17, 33, 64)
LOUD = 100.0
TOLERANCE = 1e-5
# Terms of some hundreds that cancel leave the roundings of themselves behind: the judges are 1.1e-5 off float64 as well.
LOUD_TOLERANCE = 2e-5


def draw(generator, number):
    """The parameters of one model; every tenth has loud inputs, every twentieth many steps."""
    chance = lambda probability: bool(generator.random() < probability)
    pick = lambda values: values[int(generator.integers(len(values)))]
    parameters = dict(
        cell="LSTM" if number % 2 == 0 else "GRU", layers=1 + int(generator.integers(3)),
        hidden=pick(HIDDEN_EDGES) if chance(0.5) else int(generator.integers(1, MOST_HIDDEN + 1)),
        inputs=int(generator.integers(1, MOST_INPUTS + 1)), steps=int(generator.integers(1, MOST_STEPS + 1)),
        rows=pick(ROWS), directions=2 if chance(0.4) else 1, bias=chance(0.85), states=chance(0.5),
        lengths=chance(0.3), exported=chance(0.7), scale=LOUD if number % 10 in (3, 8) else 1.0)
    if number % 20 in (6, 17):
        parameters["steps"] = pick(LONG_STEPS)
        parameters["rows"] = min(parameters["rows"], 5)
    parameters["exported"] = parameters["exported"] and not parameters["lengths"]
    return parameters


class Stack(nn.Module):
    """Rows first, as the exporter is mostly given them: x [rows, steps, inputs] to y, h (and c)."""

    def __init__(self, parameters):
        super().__init__()
        make = nn.LSTM if parameters["cell"] == "LSTM" else nn.GRU
        self.rnn = make(parameters["inputs"], parameters["hidden"], parameters["layers"], batch_first=True,
                        bias=parameters["bias"], bidirectional=parameters["directions"] == 2)

    def forward(self, x, h0=None, c0=None):
        y, last = self.rnn(x, None if h0 is None else h0 if c0 is None else (h0, c0))
        return (y, *last) if isinstance(last, tuple) else (y, last)


def answers(network, inputs, lengths, kind):
    """y, h (and c) of PyTorch in this type, as float64."""
    tensors = [torch.from_numpy(value).to(kind) for value in inputs]
    network = network.to(kind)
    with torch.no_grad():
        if lengths is None:
            results = network(*tensors)
        else:
            steps = tensors[0].shape[1]
            packed = nn.utils.rnn.pack_padded_sequence(tensors[0], torch.from_numpy(lengths), batch_first=True,
                                                       enforce_sorted=False)
            states = None if len(tensors) == 1 else tensors[1] if len(tensors) == 2 else tuple(tensors[1:])
            y, last = network.rnn(packed, states)
            y = nn.utils.rnn.pad_packed_sequence(y, batch_first=True, total_length=steps)[0]
            results = (y, *last) if isinstance(last, tuple) else (y, last)
    return [value.double().numpy() for value in results]


def exported(network, names, inputs, outputs):
    buffer = io.BytesIO()
    axes = {"x": {0: "batch", 1: "time"}, "y": {0: "batch", 1: "time"},
            **{name: {1: "batch"} for name in (*names[1:], *outputs[1:])}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network, tuple(torch.from_numpy(value) for value in inputs), buffer, dynamo=False,
                          input_names=names, output_names=outputs, dynamic_axes=axes)
    return onnx.load_from_string(buffer.getvalue())


def copied(network, parameters, names, has_lengths, outputs):
    """The same network in operators of the standard, one a layer."""
    lstm = parameters["cell"] == "LSTM"
    order, directions, hidden = [0, 3, 1, 2] if lstm else [1, 0, 2], parameters["directions"], parameters["hidden"]
    nodes, constants = [], []

    def constant(name, values):
        constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def gates(kind, layer):
        """[directions, gates * hidden, ...] in the standard's order."""
        found = []
        for suffix in ("", "_reverse")[:directions]:
            values = getattr(network.rnn, f"{kind}_l{layer}{suffix}").detach().numpy()
            found.append(values.reshape(len(order), hidden, -1)[order].reshape(values.shape))
        return np.stack(found)

    nodes.append(helper.make_node("Transpose", ["x"], ["layer0"], perm=[1, 0, 2]))
    constant("merge", np.array([0, 0, -1], np.int64))
    finals = [[] for _ in outputs[1:]]
    for layer in range(parameters["layers"]):
        bias = ""
        if parameters["bias"]:
            bias = constant(f"B{layer}", np.concatenate([gates("bias_ih", layer), gates("bias_hh", layer)], axis=1))
        inputs = [f"layer{layer}", constant(f"W{layer}", gates("weight_ih", layer)),
                  constant(f"R{layer}", gates("weight_hh", layer)), bias, "lengths" if has_lengths else ""]
        for name in names[1:]:
            bounds = [constant(f"{name}_{layer}_{word}", np.array([value], np.int64)) for word, value in
                      (("from", layer * directions), ("to", (layer + 1) * directions), ("axis", 0))]
            nodes.append(helper.make_node("Slice", [name, *bounds], [f"{name}_{layer}"]))
            inputs.append(f"{name}_{layer}")
        while inputs[-1] == "":
            inputs.pop()
        results = [f"Y{layer}"] + [f"{name}_{layer}" for name in outputs[1:]]
        attributes = {} if lstm else {"linear_before_reset": 1}
        nodes.append(helper.make_node(parameters["cell"], inputs, results, hidden_size=hidden,
                                      direction="bidirectional" if directions == 2 else "forward", **attributes))
        for of_layers, name in zip(finals, results[1:]):
            of_layers.append(name)
        nodes.append(helper.make_node("Transpose", [results[0]], [f"T{layer}"], perm=[0, 2, 1, 3]))
        nodes.append(helper.make_node("Reshape", [f"T{layer}", "merge"], [f"layer{layer + 1}"]))
    nodes.append(helper.make_node("Transpose", [f"layer{parameters['layers']}"], ["y"], perm=[1, 0, 2]))
    nodes += [helper.make_node("Concat", of_layers, [name], axis=0) for of_layers, name in zip(finals, outputs[1:])]
    several = parameters["layers"] * directions
    declared = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", "time", parameters["inputs"]])]
    declared += [helper.make_tensor_value_info(name, TensorProto.FLOAT, [several, "batch", hidden]) for name in names[1:]]
    if has_lengths:
        declared.append(helper.make_tensor_value_info("lengths", TensorProto.INT32, ["batch"]))
    made = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", "time", directions * hidden])]
    made += [helper.make_tensor_value_info(name, TensorProto.FLOAT, [several, "batch", hidden]) for name in outputs[1:]]
    model = helper.make_model(helper.make_graph(nodes, "random_torch", declared, made, constants),
                              opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def cases(seed=1, only=None, count=500):
    torch.set_num_threads(1)
    for number in range(count):
        name = f"torch_random_{seed}_{number:04d}"
        if only and only not in name:
            continue
        generator = np.random.default_rng([seed, number, 3])
        parameters = draw(generator, number)
        torch.manual_seed(1000 * seed + number)
        network = Stack(parameters).eval()
        rows, steps = parameters["rows"], parameters["steps"]
        x = generator.standard_normal((rows, steps, parameters["inputs"])) * parameters["scale"]
        inputs, names = [x.astype(np.float32)], ["x"]
        outputs = ["y", "hn", "cn"] if parameters["cell"] == "LSTM" else ["y", "hn"]
        if parameters["states"]:
            shape = (parameters["layers"] * parameters["directions"], rows, parameters["hidden"])
            names += ["h0", "c0"][:len(outputs) - 1]
            inputs += [generator.uniform(-1, 1, shape).astype(np.float32) for _ in names[1:]]
        lengths = None
        if parameters["lengths"]:
            lengths = generator.integers(1, steps + 1, rows)
        values = dict(zip(names, inputs))
        if lengths is not None:
            values["lengths"] = lengths.astype(np.int32)
        model = exported(network, names, inputs, outputs) if parameters["exported"] else \
            copied(network, parameters, names, lengths is not None, outputs)
        family = f"torch random {parameters['cell']}" + (", |x| to 400" if parameters["scale"] > 1 else "")
        case = Case(family, name, model, {value.name: values[value.name] for value in model.graph.input},
                    f"torch {torch.__version__}", outputs=answers(network, inputs, lengths, torch.float32),
                    tolerance=LOUD_TOLERANCE if parameters["scale"] > 1 else TOLERANCE)  # from float64
        case.exact = answers(network, inputs, lengths, torch.float64)
        yield case


def check(table, case, distances):
    """The engine beside PyTorch, beside ONNX Runtime and beside PyTorch in float64. distances: of each of the three from the
    last, the largest of its family."""
    runtime = onnxruntime_outputs(case.model, case.inputs)
    with engine.Model(case.model) as model:
        got = model.run(case.inputs)
    table.row(case.family)["models"] += 1
    for judge, outputs, tolerance in (("PyTorch", case.outputs, TOLERANCE), ("ONNX Runtime", runtime, TOLERANCE),
                                      ("float64", case.exact, case.tolerance)):
        error = max(map(worst_error, got, outputs)) if len(got) == len(outputs) else np.inf
        if error <= tolerance:
            table.passed(case.family, case.name, error)
        else:
            table.failed(case.family, case.name, f"error {error:.3g} beside {judge}, above {tolerance:g}")
    for who, outputs in (("PyTorch", case.outputs), ("ONNX Runtime", runtime), ("Auspex", got)):
        largest = distances.setdefault(case.family, {})
        largest[who] = max(largest.get(who, 0.0), max(map(worst_error, outputs, case.exact)))
