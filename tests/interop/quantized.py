# SPDX-License-Identifier: Apache-2.0
"""`auspex quantize` on models of every exporter: the file runs in ONNX Runtime, which knows nothing of our operators
but their function bodies, and says there what it says in the engine.

How near: where no number is rounded differently, 1e-5 (float sums in another order; 2e-7 in practice). Both sides
round h * levels to an integer after computing h within some units in the last place; where that product lies so near a
half that they round to different integers, a gate moves by up to max|R| / levels and the row's later steps with it. So
up to one row in fifty (and one row in any case) may differ by more, but by no more than TIE. Draws with a fixed seed:
what passes once passes always.

Layers that cannot be quantised must be exactly those that expected() finds by reading the nodes' attributes, so that
none is left alone without a reason. The engine must give the same bits with the scalar kernels, on two threads, and
for a row alone (invariance.py).

random_cases() are single operators and stacks of two, in every form and under opsets 9 to 23; they are also compared
with definition(), which is docs/quantize.md in numpy. dense_cases() are networks of dense layers with data to take
scales from; there an x / s near a half, computed alike on both sides, leaves nothing to differ but float sums.
"""

import json
import os
import subprocess
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import engine
import invariance
from cases import Case, onnxruntime_outputs, worst_error

NEAR, TIE = 1e-5, 0.05
REASONS = ("activations", "clips its gates", "peepholes", "coupled", "layout 1")


def attribute(node, name, default):
    for one in node.attribute:
        if one.name == name:
            return helper.get_attribute_value(one)
    return default


def expected(model):
    """Names (or first outputs) of the graph's LSTM and GRU nodes, and whether each can be quantised."""
    found = {}
    for node in model.graph.node:
        if node.op_type not in ("LSTM", "GRU") or node.domain not in ("", "ai.onnx"):
            continue
        period = 3 if node.op_type == "LSTM" else 2
        names = [name.decode().lower() for name in attribute(node, "activations", [])]
        default = all(name == ("sigmoid" if k % period == 0 else "tanh") for k, name in enumerate(names))
        found[node.name or node.op_type] = (default and attribute(node, "clip", 0.0) <= 0 and
                                            not attribute(node, "input_forget", 0) and
                                            not attribute(node, "layout", 0) and
                                            not (node.op_type == "LSTM" and len(node.input) > 7 and node.input[7]))
    return found


def quantise(model, levels=63, rows=None, layers=None):
    """The new model and the report, with scales from `rows` (of the one input) and of those layers alone that are
    named; engine.Refused with the program's message."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = (os.path.join(folder, name) for name in ("a.onnx", "b.onnx"))
        with open(source, "wb") as out:
            out.write(model.SerializeToString())
        data = []
        if rows is not None:
            np.save(os.path.join(folder, "x.npy"), rows)
            data = ["--data", os.path.join(folder, "x.npy")]
        if layers is not None:
            data += ["--layers", ",".join(layers)]
        done = subprocess.run([engine.PROGRAM, "quantize", source, target, "--levels", str(levels), "--json", *data],
                              capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            raise engine.Refused(done.stderr.strip())
        return onnx.load(target), json.loads(done.stdout)


def int8_case(case):
    return Case("int8", f"int8_{case.name}", quantise(case.model)[0], case.inputs, f"{case.made_by}, auspex quantize",
                more_inputs=case.more_inputs)


def gap(got, want):
    """What is wrong with `got`, or None; and the largest error of the rows without a tie."""
    got, want = np.asarray(got), np.asarray(want)
    if got.dtype != want.dtype or got.shape != want.shape:
        return f"is {got.dtype}{list(got.shape)}, expected {want.dtype}{list(want.shape)}", 0.0
    if want.dtype.kind != "f":
        return (None if (got == want).all() else "other integers"), 0.0
    far = np.abs(got.astype(np.float64) - want) > NEAR
    if not far.any():
        return None, worst_error(got, want)
    if worst_error(got, want) > TIE:
        return f"error {worst_error(got, want):.3g}", 0.0
    # Rows are counted on the axis along which the fewest places are touched.
    touched = [(far.any(axis=tuple(d for d in range(far.ndim) if d != axis)).sum(), far.shape[axis])
               for axis in range(far.ndim)]
    if not any(count <= max(1, size // 50) for count, size in touched if size > 1):
        return f"{far.sum()} of {far.size} elements further than {NEAR:g}, the worst {worst_error(got, want):.3g}", 0.0
    return None, float(np.abs(np.where(far, 0, got.astype(np.float64) - want)).max())


def compare(table, family, name, got, want, label):
    if len(got) != len(want):
        table.failed(family, name, f"{label}: {len(got)} outputs, expected {len(want)}")
        return False
    worst = 0.0
    for k, (one, other) in enumerate(zip(got, want)):
        text, error = gap(one, other)
        if text:
            table.failed(family, name, f"{label}: output {k}: {text}")
            return False
        worst = max(worst, error)
    table.passed(family, name, worst)
    return True


def check_bits(table, family, case):
    """The engine alone: scalar kernels and two threads give what the best kernels give on one."""
    with engine.Model(case.model) as best, engine.Model(case.model, isa="scalar") as scalar:
        want = best.run(case.inputs)
        for label, got in (("scalar kernels", scalar.run(case.inputs)), ("two threads", best.run(case.inputs, 2))):
            if any(a.tobytes() != b.tobytes() for a, b in zip(got, want)):
                table.failed(family, case.name, f"other bits with {label}")
                return
    found = invariance.differences(case)
    if found:
        table.failed(family, case.name, found[0])
    else:
        table.passed(family, case.name)


def check(table, case, levels=63, same_bits=False):
    """A model of another family. Models without recurrent layers are left out."""
    family, layers = f"int8, {case.family}", expected(case.model)
    loops = any(node.op_type == "Loop" for node in case.model.graph.node)
    if case.refused is not None or (not layers and not loops):
        return
    try:
        model, report = quantise(case.model, levels)
    except engine.Refused as refused:
        if any(layers.values()):
            table.failed(family, case.name, f"refused: {refused}")
        elif layers and not any(reason in str(refused) for reason in REASONS):
            table.failed(family, case.name, f"refused for another reason: {refused}")
        return
    table.row(family)["models"] += 1
    for layer in report["layers"]:
        if layer["name"] in layers and layer["int8"] != layers[layer["name"]]:
            table.failed(family, case.name, f"{layer['name']}: {layer.get('reason', 'quantised')}")
            return
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        table.failed(family, case.name, f"no valid model: {str(error)[:200]}")
        return
    with engine.Model(model) as ours:
        for inputs in [case.inputs] + case.more_inputs:
            got = ours.run(inputs)
            want = onnxruntime_outputs(model, inputs)
            if not compare(table, family, case.name, got, want, "ONNX Runtime"):
                return
    if same_bits:
        check_bits(table, "int8, same bits", Case(family, case.name, model, case.inputs, case.made_by))


# ---- single operators ------------------------------------------------------------------------------------------------

OPSETS = (9, 10, 11, 12, 13, 15, 17, 18, 21, 23)


def random_layer(generator, op, directions, inputs, hidden):
    rows = (4 if op == "LSTM" else 3) * hidden
    draw = lambda *shape: (generator.uniform(-1, 1, shape) / np.sqrt(hidden)).astype(np.float32)
    return draw(directions, rows, inputs), draw(directions, rows, hidden), draw(directions, 2 * rows)


def random_case(seed, number):
    """An LSTM or GRU, or two of them (then y of the first is an output too)."""
    generator = np.random.default_rng([seed, number, 8])
    pick = lambda values: values[int(generator.integers(len(values)))]
    op = "LSTM" if number % 3 == 0 else "GRU"
    direction = ("forward", "reverse", "bidirectional")[number // 3 % 3]
    both, opset = direction == "bidirectional", OPSETS[number % len(OPSETS)]
    directions, layers = 2 if both else 1, 1 + number // 9 % 2
    steps, rows, inputs, hidden = pick((1, 2, 5, 12)), pick((1, 3, 8, 17, 33)), pick((1, 3, 8, 17)), pick((1, 4, 8, 15, 32))
    lengths, states, bias = generator.random() < 0.4, generator.random() < 0.4, generator.random() < 0.8
    nodes, initializers, feed = [], [], {"x": generator.standard_normal((steps, rows, inputs)).astype(np.float32)}
    graph_inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["steps", "batch", inputs])]
    outputs, x, width = [], "x", inputs
    if lengths:
        graph_inputs.append(helper.make_tensor_value_info("lens", TensorProto.INT32, ["batch"]))
        feed["lens"] = generator.integers(0, steps + 1, rows).astype(np.int32)
    for k in range(layers):
        w, r, b = random_layer(generator, op, directions, width, hidden)
        initializers += [numpy_helper.from_array(w, f"w{k}"), numpy_helper.from_array(r, f"r{k}")]
        if bias:
            initializers.append(numpy_helper.from_array(b, f"b{k}"))
        names = [x, f"w{k}", f"r{k}", f"b{k}" if bias else "", "lens" if lengths else ""]
        for state in ("h", "c") if op == "LSTM" else ("h",):
            if not states:
                continue
            names.append(f"{state}{k}")
            graph_inputs.append(helper.make_tensor_value_info(names[-1], TensorProto.FLOAT,
                                                              [directions, "batch", hidden]))
            feed[names[-1]] = generator.uniform(-1.2, 1.2, (directions, rows, hidden)).astype(np.float32)
        while not names[-1]:
            names.pop()
        results = [f"y{k}", f"yh{k}"] + ([f"yc{k}"] if op == "LSTM" else [])
        extra = {"linear_before_reset": number % 3 - 1} if op == "GRU" else {}
        nodes.append(helper.make_node(op, names, results, f"layer{k}", hidden_size=hidden, direction=direction, **extra))
        ranks = [["steps", directions, "batch", hidden]] + [[directions, "batch", hidden]] * 2
        outputs += [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in zip(results, ranks)]
        nodes.append(helper.make_node("Transpose", [f"y{k}"], [f"t{k}"], perm=[0, 2, 1, 3]))
        nodes.append(helper.make_node("Reshape", [f"t{k}", "merge"], [f"x{k + 1}"]))
        x, width = f"x{k + 1}", directions * hidden
    initializers.append(numpy_helper.from_array(np.array([0, 0, -1]), "merge"))
    graph = helper.make_graph(nodes, f"int8_{number}", graph_inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return Case("random", f"int8_{seed}_{number:04d}", model, feed, "numpy")


def sigmoid(x):
    return 0.5 * (1.0 + np.tanh(0.5 * x))


def definition(node, values):
    """Outputs of one of our nodes: docs/quantize.md, integers exact and everything else in float64."""
    given = {name: values[text] for name, text in
             zip(("x", "w", "w_scale", "r", "r_scale", "b", "lens", "h0", "c0"), node.input) if text}
    lstm, levels = "LSTM" in node.op_type, attribute(node, "hidden_levels", 0)
    scale, direction = np.float32(attribute(node, "input_scale", 0.0)), attribute(node, "direction", b"forward").decode()
    x, w, r = given["x"], given["w"].astype(np.float64), given["r"].astype(np.float64)
    steps, rows, _ = x.shape
    directions, gates_hidden, hidden = r.shape
    lengths = given.get("lens", np.full(rows, steps))
    whole = lambda v, factor: np.clip(np.rint(v.astype(np.float32) * np.float32(factor)), -levels, levels)
    y, last = np.zeros((steps, directions, rows, hidden)), np.zeros((2, directions, rows, hidden))
    for d in range(directions):
        wb, rb = np.split(given["b"][d].astype(np.float64), 2)
        factor = given["r_scale"][d].astype(np.float64) / levels
        part = x.astype(np.float64) @ w[d].T if scale == 0 else \
            whole(x, np.float32(1) / scale) @ w[d].T * (given["w_scale"][d] * scale)
        for row in range(rows):
            h = given["h0"][d, row].astype(np.float64) if "h0" in given else np.zeros(hidden)
            c = given["c0"][d, row].astype(np.float64) if "c0" in given else np.zeros(hidden)
            order = range(int(lengths[row]))
            for t in reversed(order) if d == 1 or direction == "reverse" else order:
                a, from_h = part[t, row] + wb, r[d] @ whole(h, levels) * factor + rb
                if lstm:
                    i, o, f, g = np.split(a + from_h, 4)
                    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
                    h = sigmoid(o) * np.tanh(c)
                else:
                    (az, ar, an), (hz, hr, hn) = np.split(a, 3), np.split(from_h, 3)
                    z, reset = sigmoid(az + hz), sigmoid(ar + hr)
                    if not attribute(node, "linear_before_reset", 0):
                        hn = r[d][2 * hidden:] @ whole(reset * h, levels) * factor[2 * hidden:] + rb[2 * hidden:]
                        reset = 1.0
                    h = (1.0 - z) * np.tanh(an + reset * hn) + z * h
                y[t, d, row] = h
            if lengths[row] > 0:
                last[0, d, row], last[1, d, row] = h, c
    return [value.astype(np.float32) for value in (y, last[0], last[1])][:3 if lstm else 2]


def check_random(table, case, levels):
    """Engine and ONNX Runtime against definition(), layer by layer: what the engine says goes into the next layer."""
    family = "int8 operators"
    table.row(family)["models"] += 1
    model, report = quantise(case.model, levels)
    onnx.checker.check_model(model)
    if not all(layer["int8"] for layer in report["layers"]):
        table.failed(family, case.name, "a layer is left as it is")
        return
    with engine.Model(model) as ours:
        got = dict(zip([value.name for value in model.graph.output], ours.run(case.inputs)))
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    values.update(case.inputs)
    for node in model.graph.node:
        if node.domain != "auspex":
            if node.op_type == "Transpose":
                values[node.output[0]] = values[node.input[0]].transpose(0, 2, 1, 3)
            else:
                y = values[node.input[0]]
                values[node.output[0]] = y.reshape(y.shape[0], y.shape[1], -1)
            continue
        wanted = definition(node, values)
        values.update({name: got[name] for name in node.output})
        if not compare(table, family, case.name, [got[name] for name in node.output], wanted, "the definition"):
            return
    theirs = onnxruntime_outputs(model, case.inputs)
    compare(table, family, case.name, theirs, [got[value.name] for value in model.graph.output], "ONNX Runtime")


# ---- dense layers ----------------------------------------------------------------------------------------------------

DENSE_OPSETS = (12, 13, 15, 17, 18, 21, 23)
ACTIVATIONS = ("Relu", "Tanh", "Sigmoid", "LeakyRelu", "Softplus")


def dense_case(seed, number):
    """Two or three dense layers, each a Gemm in one of its forms or a MatMul with an Add or without; every layer's
    result is an output too. Returns the case and the numbers of the layers that are large enough for int8."""
    generator = np.random.default_rng([seed, number, 80])
    pick = lambda values: values[int(generator.integers(len(values)))]
    draw = lambda *shape: (generator.uniform(-1, 1, shape) / np.sqrt(shape[-1])).astype(np.float32)
    opset, width, rows = DENSE_OPSETS[number % len(DENSE_OPSETS)], pick((16, 40, 64, 100, 129)), pick((2, 7, 33, 60))
    features = width
    batch = ["batch"] if number % 3 else ["steps", "batch"]
    shape = (rows,) if number % 3 else (rows, 3)
    feed = {"x": (generator.standard_normal(shape + (width,)) * pick((0.1, 1.0, 3.0))).astype(np.float32)}
    nodes, initializers, outputs, x, large = [], [], [], "x", []
    for k in range(2 + number % 2):
        size = pick((1, 15, 16, 32, 48, 100))
        if size >= 16 and width * size >= 2048:
            large.append(k)
        if len(batch) == 2 or generator.random() < 0.5:
            initializers.append(numpy_helper.from_array(draw(width, size), f"w{k}"))
            nodes.append(helper.make_node("MatMul", [x, f"w{k}"], [f"z{k}"], f"layer{k}"))
            if generator.random() < 0.7:
                nodes[-1].output[0] = f"p{k}"
                initializers.append(numpy_helper.from_array(draw(size), f"b{k}"))
                nodes.append(helper.make_node("Add", [f"p{k}", f"b{k}"], [f"z{k}"]))
        else:
            transposed, bias = int(generator.integers(2)), pick(((), (1,), (size,), (1, size)))
            initializers.append(numpy_helper.from_array(draw(size, width) if transposed else draw(width, size), f"w{k}"))
            names = [x, f"w{k}"]
            if bias:
                initializers.append(numpy_helper.from_array(generator.uniform(-1, 1, bias).astype(np.float32), f"b{k}"))
                names.append(f"b{k}")
            nodes.append(helper.make_node("Gemm", names, [f"z{k}"], f"layer{k}", transB=transposed,
                                          alpha=pick((1.0, 0.3)), beta=pick((1.0, -2.0))))
        nodes.append(helper.make_node(pick(ACTIVATIONS), [f"z{k}"], [f"y{k}"]))
        outputs.append(helper.make_tensor_value_info(f"y{k}", TensorProto.FLOAT, batch + [size]))
        x, width = f"y{k}", size
    graph = helper.make_graph(nodes, f"dense_{number}",
                              [helper.make_tensor_value_info("x", TensorProto.FLOAT, batch + [features])], outputs,
                              initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return Case("random dense", f"dense_{seed}_{number:04d}", model, feed, "numpy"), large


def linear(node, values):
    """One QuantizedLinear in float64: docs/quantize.md."""
    x, w, w_scale = (values[name] for name in node.input[:3])
    levels, scale = attribute(node, "levels", 0), np.float32(attribute(node, "input_scale", 0.0))
    q = np.clip(np.rint(x.astype(np.float32) * (np.float32(1) / scale)), -levels, levels).astype(np.float64)
    y = (q @ w.astype(np.float64).T) * (w_scale * scale).astype(np.float64)
    return y + (values[node.input[3]] if len(node.input) > 3 else 0)


def check_dense(table, seed, number):
    """The engine and ONNX Runtime say the same; the first layer's result is also what the formula says."""
    case, large = dense_case(seed, number)
    plain = onnxruntime_outputs(case.model, case.inputs)
    # Behind Relu all may be zero, and then nothing tells a scale.
    large = [k for k in large if k == 0 or np.any(plain[k - 1])]
    family, levels = "int8 dense layers", 63 if number % 3 == 0 else 127
    table.row(family)["models"] += 1
    try:
        model, report = quantise(case.model, levels, case.inputs["x"])
    except engine.Refused as refused:
        if large:
            table.failed(family, case.name, f"refused: {refused}")
        return
    done = [layer["name"] for layer in report["layers"] if layer["int8"]]
    if done != [f"layer{k}" for k in large]:
        table.failed(family, case.name, f"{done} of the layers {large} are int8: {report['layers']}")
        return
    onnx.checker.check_model(model)
    with engine.Model(model) as ours:
        got = ours.run(case.inputs)
    compare(table, family, case.name, got, onnxruntime_outputs(model, case.inputs), "ONNX Runtime")
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    values.update(case.inputs)
    first = next(node for node in model.graph.node if node.domain == "auspex" or node.op_type in ("Gemm", "MatMul"))
    if first.domain == "auspex":
        inner = onnx.ModelProto()
        inner.CopyFrom(model)
        del inner.graph.output[:]
        inner.graph.output.append(helper.make_tensor_value_info(first.output[0], TensorProto.FLOAT, None))
        with engine.Model(inner) as ours:
            one = ours.run(case.inputs)
        compare(table, family, case.name, one, [linear(first, values).astype(np.float32)], "the definition")
    if len(large) > 1:
        # A layer at a time: the second run finds the first one's functions in the file.
        half, _ = quantise(case.model, levels, case.inputs["x"], [f"layer{large[0]}"])
        try:
            again, report = quantise(half, levels, case.inputs["x"])
        except engine.Refused as refused:
            table.failed(family, case.name, f"in two runs: refused: {refused}")
            return
        onnx.checker.check_model(again)
        if report["int8_before"] != 1:
            table.failed(family, case.name, f"in two runs: {report['int8_before']} layers were int8 before")
        with engine.Model(again) as ours:
            twice = ours.run(case.inputs)
        compare(table, family, case.name, twice, onnxruntime_outputs(again, case.inputs), "in two runs, ONNX Runtime")
    if number % 4 == 0:
        check_bits(table, "int8 dense, same bits", Case(case.family, case.name, model, case.inputs, ""))


# ---- files of ONNX Runtime's own quantiser ---------------------------------------------------------------------------

DYNAMIC_SOURCES = ("keras_dense_layers", "keras_dense_softmax", "torch_legacy_lstm_1")
QDQ_SOURCES = ("keras_dense_layers", "torch_legacy_mlp_layernorm", "torch_legacy_lstm_1", "torch_legacy_window_mlp")


def check_qdq(table, name, per_channel):
    """QuantizeLinear and DequantizeLinear around float products: exact, if ONNX Runtime does not fuse them."""
    import onnxruntime
    from onnxruntime import quantization

    source = os.path.join(engine.ROOT, "tests", "golden", f"{name}.onnx")
    value = onnx.load(source).graph.input[0]
    shape = [dim.dim_value or 16 for dim in value.type.tensor_type.shape.dim]
    draw = lambda seed: {value.name: np.random.default_rng(seed).standard_normal(shape).astype(np.float32)}

    class Reader(quantization.CalibrationDataReader):
        def __init__(self):
            self.rows = iter([draw(seed) for seed in range(8)])

        def get_next(self):
            return next(self.rows, None)

    with tempfile.TemporaryDirectory() as folder:
        target = os.path.join(folder, "qdq.onnx")
        quantization.quantize_static(source, target, Reader(), quant_format=quantization.QuantFormat.QDQ,
                                     per_channel=per_channel, weight_type=quantization.QuantType.QInt8)
        model = onnx.load(target)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    want = onnxruntime.InferenceSession(model.SerializeToString(), options).run(None, draw(99))
    table.row("quantize_static")["models"] += 1
    with engine.Model(model) as ours:
        compare(table, "quantize_static", name, ours.run(draw(99)), want, "ONNX Runtime")


def check_dynamic(table, name):
    """DynamicQuantizeLinear and MatMulInteger, as quantize_dynamic writes them: its rows depend on one another, so the
    engine runs whole batches. The recurrent operator of the same tool is refused by name."""
    import onnxruntime
    from onnxruntime import quantization

    source = os.path.join(engine.ROOT, "tests", "golden", f"{name}.onnx")
    value = onnx.load(source).graph.input[0]
    shape = [dim.dim_value or 16 for dim in value.type.tensor_type.shape.dim]
    x = {value.name: np.random.default_rng(99).standard_normal(shape).astype(np.float32)}
    with tempfile.TemporaryDirectory() as folder:
        target = os.path.join(folder, "dynamic.onnx")
        quantization.quantize_dynamic(source, target, weight_type=quantization.QuantType.QInt8)
        model = onnx.load(target)
    operators = {node.op_type for node in model.graph.node}
    table.row("quantize_dynamic")["models"] += 1
    if "DynamicQuantizeLSTM" in operators:
        try:
            engine.Model(model).close()
            table.failed("quantize_dynamic", name, "DynamicQuantizeLSTM is not refused")
        except engine.Refused as refused:
            if "auspex quantize" not in str(refused):
                table.failed("quantize_dynamic", name, f"refused without a hint: {refused}")
        return
    if "MatMulInteger" not in operators:
        table.failed("quantize_dynamic", name, f"no MatMulInteger among {operators}")
        return
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    want = onnxruntime.InferenceSession(model.SerializeToString(), options).run(None, x)
    with engine.Model(model) as ours:
        compare(table, "quantize_dynamic", name, ours.run(x), want, "ONNX Runtime")


def check_own(table, arguments):
    """The models made here: files of ONNX Runtime's quantiser, single operators and stacks of two."""
    chosen = lambda name: arguments.only is None or arguments.only in name
    for name in QDQ_SOURCES:
        for per_channel in (False, True):
            if chosen(name):
                check_qdq(table, name, per_channel)
    for name in DYNAMIC_SOURCES:
        if chosen(name):
            check_dynamic(table, name)
    for number in range(arguments.random // 3):
        if chosen(f"dense_{arguments.seed}_{number:04d}"):
            check_dense(table, arguments.seed, number)
        case = random_case(arguments.seed, number)
        if chosen(case.name):
            check_random(table, case, 63 if number % 2 == 0 else 127)
            if number % 10 == 0:
                check_bits(table, "int8, same bits", Case("random", case.name, quantise(case.model)[0], case.inputs, ""))


def check_other(table, case, number):
    """Model `number` of the families that hold recurrent layers."""
    if case.family.startswith("random"):
        if number % 3 == 0:
            check(table, case, 127 if number % 2 == 0 else 63, number % 8 == 0)
    elif case.family.startswith(("torch", "keras")):
        check(table, case, same_bits="_bi_" in case.name or "states" in case.name)
