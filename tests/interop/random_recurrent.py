# SPDX-License-Identifier: Apache-2.0
"""Random LSTM and GRU models in every form the operators allow, each replayable by its number and the seed.

The first numbers walk through the forms one by one, so that a short run has seen each; the rest draw them freely.
Every model is also computed by recurrent_reference.py, and ONNX Runtime has to agree with that before it may judge.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from cases import Case
from recurrent_reference import TAKES_ALPHA, TAKES_BETA, recurrent

SIZES = (1, 2, 3, 5, 7, 8, 9, 12, 15, 16, 17, 24, 31, 32, 33, 48, 63, 64, 65)
STEPS = (1, 2, 3, 5, 8, 13, 24)
ROWS = (1, 2, 3, 5, 6, 7, 8, 9, 15, 16, 17, 31, 33, 64)
# Of the numbers from FIRST_WIDE on. Those before stay as they are: tests/golden holds some of them.
FIRST_WIDE = 60
MOST_HIDDEN, MOST_INPUTS, MOST_STEPS = 160, 40, 60
# Terms of some hundreds that cancel leave the roundings of themselves behind.
LOUD, LOUD_TOLERANCE = 100.0, 2e-5
NAMES = ("Sigmoid", "Tanh", "Relu", "Affine", "LeakyRelu", "ThresholdedRelu", "ScaledTanh", "HardSigmoid", "Elu",
         "Softsign", "Softplus")
BOUNDED = ("Sigmoid", "Tanh", "ScaledTanh", "HardSigmoid", "Softsign")
FORMS = ("plain", "nobias", "states", "lengths", "peepholes", "clip", "activations", "input_forget", "layout",
         "reverse", "bidirectional", "everything")


def draw(generator, number):
    """The parameters of one model."""
    pick = lambda values: values[int(generator.integers(len(values)))]
    chance = lambda probability: generator.random() < probability
    form = FORMS[number % len(FORMS)] if number < 4 * len(FORMS) else None
    op = "LSTM" if number % 2 == 0 else "GRU"
    if number < 4 * len(FORMS) and (number // len(FORMS)) % 2 == 1:
        op = "GRU" if op == "LSTM" else "LSTM"
    wants = lambda name, probability: form == name or (form in (None, "everything") and chance(probability))
    parameters = dict(
        op=op, form=form or "free", steps=pick(STEPS), rows=pick(ROWS), inputs=pick(SIZES), hidden=pick(SIZES),
        layers=1 + int(generator.integers(3)),
        direction="reverse" if form == "reverse" else "bidirectional" if form == "bidirectional" else
        pick(("forward", "forward", "reverse", "bidirectional")) if form in (None, "everything") else "forward",
        bias=not (form == "nobias" or (form is None and chance(0.2))),
        states=wants("states", 0.5), lengths=wants("lengths", 0.35),
        peepholes=op == "LSTM" and wants("peepholes", 0.3), clip=wants("clip", 0.25),
        activations=wants("activations", 0.3), input_forget=op == "LSTM" and wants("input_forget", 0.15),
        before=op == "GRU" and chance(0.6), layout=form == "layout" or (form is None and chance(0.08)),
        free=chance(0.8), omit_hidden=chance(0.1))
    if number >= FIRST_WIDE and not parameters["activations"] and chance(0.5):
        parameters.update(hidden=int(generator.integers(1, MOST_HIDDEN + 1)),
                          inputs=int(generator.integers(1, MOST_INPUTS + 1)),
                          steps=int(generator.integers(1, MOST_STEPS + 1)), rows=pick(ROWS[:7]))
    # Bounded by their activations whatever comes in; of the LSTM random_torch.py has such ones.
    parameters["loud"] = (number >= FIRST_WIDE and op == "GRU" and not parameters["activations"] and
                          not parameters["clip"] and chance(0.2))
    while parameters["hidden"] > 33 and parameters["layers"] > 2:
        parameters["layers"] -= 1
    return parameters


def activation_lists(generator, parameters, directions):
    """Lists that leave the model well conditioned, so that rounding stays rounding: growing candidates only under
    gates in [0, 1], and the one with a jump only where few values can come near it."""
    lstm = parameters["op"] == "LSTM"
    pick = lambda values: values[int(generator.integers(len(values)))]
    few = parameters["steps"] * parameters["rows"] * parameters["hidden"] * parameters["layers"] < 1000
    grow = [name for name in NAMES if name not in BOUNDED and (few or name != "ThresholdedRelu")]
    names, alphas, betas = [], [], []
    for _ in range(directions):
        gate = pick(("Sigmoid", "HardSigmoid") if parameters["input_forget"] else
                    ("Sigmoid", "Sigmoid", "HardSigmoid", "HardSigmoid", "Softsign", "Tanh"))
        free = BOUNDED + tuple(grow) if gate in ("Sigmoid", "HardSigmoid") else BOUNDED
        chosen = [gate, pick(free)]
        if lstm:
            chosen.append(pick(BOUNDED if chosen[1] not in BOUNDED else free))
        for name in chosen:
            names.append(name)
            if name in TAKES_ALPHA:
                alphas.append(round(float(generator.uniform(0.1, 0.9)), 3))
            if name in TAKES_BETA:
                betas.append(round(float(generator.uniform(0.1, 0.9)), 3))
    return names, alphas, betas


def build(generator, parameters):
    """The model, its inputs and the float64 outputs."""
    op, hidden, layers = parameters["op"], parameters["hidden"], parameters["layers"]
    gates = 4 if op == "LSTM" else 3
    directions = 2 if parameters["direction"] == "bidirectional" else 1
    steps, rows, layout = parameters["steps"], parameters["rows"], int(parameters["layout"])
    nodes, initializers, graph_inputs, values = [], [], [], {}
    batch_name, time_name = ("batch", "time") if parameters["free"] else (rows, steps)

    def constant(name, array):
        initializers.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def variable(name, array, dims):
        kind = TensorProto.INT32 if array.dtype == np.int32 else TensorProto.FLOAT
        graph_inputs.append(helper.make_tensor_value_info(name, kind, dims))
        values[name] = array
        return name

    scale = 1.0 / np.sqrt(hidden)
    weights = lambda *shape: generator.uniform(-scale, scale, shape).astype(np.float32)
    x_shape = (rows, steps, parameters["inputs"]) if layout else (steps, rows, parameters["inputs"])
    x = (generator.standard_normal(x_shape) * (LOUD if parameters["loud"] else 1.0)).astype(np.float32)
    x_dims = [batch_name, time_name, parameters["inputs"]] if layout else [time_name, batch_name, parameters["inputs"]]
    current, value = variable("x", x, x_dims), x.astype(np.float64)
    lengths_name, lengths = "", None
    if parameters["lengths"]:
        lengths = generator.integers(0, steps + 1, rows).astype(np.int32)
        lengths[generator.integers(rows)] = steps
        if rows > 2:
            lengths[generator.integers(rows)] = 0
        lengths_name = variable("lengths", lengths, [batch_name])
    width, outputs = parameters["inputs"], []
    for layer in range(layers):
        w = weights(directions, gates * hidden, width)
        r = weights(directions, gates * hidden, hidden)
        b = weights(directions, 2 * gates * hidden) if parameters["bias"] else None
        p = weights(directions, 3 * hidden) if parameters["peepholes"] else None
        h0 = c0 = None
        names = [current, constant(f"W{layer}", w), constant(f"R{layer}", r),
                 "" if b is None else constant(f"B{layer}", b), lengths_name, "", "", ""]
        if parameters["states"]:
            shape = (rows, directions, hidden) if layout else (directions, rows, hidden)
            dims = [batch_name, directions, hidden] if layout else [directions, batch_name, hidden]
            h0 = generator.uniform(-1, 1, shape).astype(np.float32)
            names[5] = variable(f"h{layer}", h0, dims)
            if op == "LSTM":
                c0 = generator.uniform(-1, 1, shape).astype(np.float32)
                names[6] = variable(f"c{layer}", c0, dims)
        if p is not None:
            names[7] = constant(f"P{layer}", p)
        while names[-1] == "":
            names.pop()
        attributes = {}
        activations = alphas = betas = None
        if parameters["activations"]:
            activations, alphas, betas = activation_lists(generator, parameters, directions)
            attributes["activations"] = activations
            if alphas:
                attributes["activation_alpha"] = alphas
            if betas:
                attributes["activation_beta"] = betas
        clip = round(float(generator.uniform(0.2, 1.0)), 3) if parameters["clip"] else None
        if clip is not None:
            attributes["clip"] = clip
        if parameters["direction"] != "forward" or generator.random() < 0.5:
            attributes["direction"] = parameters["direction"]
        if not parameters["omit_hidden"]:
            attributes["hidden_size"] = hidden
        if parameters["input_forget"]:
            attributes["input_forget"] = 1
        if op == "GRU":
            attributes["linear_before_reset"] = int(parameters["before"])
        if layout:
            attributes["layout"] = 1
        final = layer == layers - 1
        results = [f"Y{layer}", f"Yh{layer}"] + ([f"Yc{layer}"] if op == "LSTM" else [])
        nodes.append(helper.make_node(op, names, results if final else results[:1], name=f"{op.lower()}{layer}",
                                      **attributes))
        outputs = recurrent(op, value, w, r, b, lengths, h0, c0, p, parameters["direction"], activations, alphas, betas,
                            clip, int(parameters["input_forget"]), int(parameters["before"]), layout)
        if not final:
            # [T,D,B,H] -> [T,B,D*H]; layout 1: [B,T,D,H] -> [B,T,D*H]
            merged = results[0]
            if not layout:
                nodes.append(helper.make_node("Transpose", [merged], [f"T{layer}"], perm=[0, 2, 1, 3]))
                merged = f"T{layer}"
            constant(f"merge{layer}", np.array([0, 0, -1], np.int64))
            nodes.append(helper.make_node("Reshape", [merged, f"merge{layer}"], [f"M{layer}"]))
            current = f"M{layer}"
            value = outputs[0] if layout else outputs[0].transpose(0, 2, 1, 3)
            value = value.reshape(value.shape[0], value.shape[1], -1)
            width = directions * hidden
    y_dims = [batch_name, time_name, directions, hidden] if layout else [time_name, directions, batch_name, hidden]
    s_dims = [batch_name, directions, hidden] if layout else [directions, batch_name, hidden]
    graph_outputs = [helper.make_tensor_value_info(results[0], TensorProto.FLOAT, y_dims)] + \
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, s_dims) for name in results[1:]]
    graph = helper.make_graph(nodes, "random", graph_inputs, graph_outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    model.producer_name = "random_recurrent.py"
    onnx.checker.check_model(model)
    return model, values, outputs


def cases(seed=1, only=None, count=240, largest=None):
    for number in range(count):
        name = f"random_{seed}_{number:04d}"
        if only and only not in name:
            continue
        generator = np.random.default_rng([seed, number])
        parameters = draw(generator, number)
        if largest:
            for extent in ("hidden", "inputs", "rows", "steps"):
                parameters[extent] = min(parameters[extent], largest)
        model, values, outputs = build(generator, parameters)
        family = f"random {parameters['op']}" + (", |x| to 400" if parameters["loud"] else "")
        case = Case(family, name, model, values, f"recurrent_reference.py, numpy {np.__version__}",
                    outputs=[o.astype(np.float32) for o in outputs])
        if parameters["loud"]:
            case.tolerance = LOUD_TOLERANCE
        case.parameters = parameters
        yield case
