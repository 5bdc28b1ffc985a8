# SPDX-License-Identifier: Apache-2.0
"""Models of one operator each, with random attributes, shapes and types: every row of runtime/model/ops.def but the
recurrent layers (random_recurrent.py) and those whose result is no tensor of numbers.

What the engine refuses is counted, not failed: a refusal is an answer, a wrong number is not. A model whose operator
is refused more often than `MOST_REFUSED` says fails all the same, so that nothing is lost unseen.
"""

import os
import re

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from cases import Case

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
F32, I64, I32, BOOL = np.dtype(np.float32), np.dtype(np.int64), np.dtype(np.int32), np.dtype(np.bool_)
# Compared elsewhere, or without a tensor to compare: maps, optional training outputs.
# Forest is no operator of a file; TopK is read only as an imported forest's sort; trees have families of their own.
ELSEWHERE = {"LSTM", "GRU", "QuantizedLSTM", "QuantizedGRU", "QuantizedLinear", "Constant", "ZipMap", "LinearClassifier",
             "Forest", "TopK", "TreeEnsemble", "TreeEnsembleClassifier", "TreeEnsembleRegressor"}

# The share of an operator's models that may be refused; 0.3 where nothing is said. Free extents that broadcasting
# makes equal, and what export for inference never writes, are refused.
MOST_REFUSED = {"LayerNormalization": 0.8, "BatchNormalization": 0.8, "ReverseSequence": 0.8, "GlobalAveragePool": 0.9,
                "Scaler": 0.6, "Imputer": 0.6, "Pad": 0.6, "Slice": 0.5, "Reshape": 0.5}

FLOAT_UNARY = {
    "Sqrt": {}, "Exp": {}, "Log": {}, "Reciprocal": {}, "Floor": {}, "Ceil": {}, "Round": {}, "Erf": {}, "Sin": {},
    "Cos": {}, "Tanh": {}, "Sigmoid": {}, "Softplus": {}, "Softsign": {}, "HardSwish": {}, "Mish": {},
    "HardSigmoid": {"alpha": (0.1, 0.9), "beta": (0.1, 0.9)}, "LeakyRelu": {"alpha": (0.01, 0.9)},
    "ThresholdedRelu": {"alpha": (0.1, 2.0)}, "Elu": {"alpha": (0.1, 2.0)}, "Celu": {"alpha": (0.1, 2.0)},
    "Selu": {"alpha": (0.5, 2.0), "gamma": (0.5, 2.0)}, "IsNaN": {}, "Gelu": {},
}
REDUCES = ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2",
           "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp")


class Maker:
    """One model: `inputs` come with the call, `constants` lie in the file."""

    def __init__(self, rng):
        self.rng = rng
        self.inputs, self.constants, self.names = {}, [], []
        self.free = False

    def chance(self, p):
        return self.rng.random() < p

    def integer(self, low, high):
        return int(self.rng.integers(low, high + 1))

    def pick(self, values):
        return values[self.integer(0, len(values) - 1)]

    def shape(self, low=1, high=4, largest=6):
        return [self.integer(1, largest) for _ in range(self.integer(low, high))]

    def values(self, shape, dtype=F32):
        if dtype == BOOL:
            return self.rng.random(shape) < 0.5
        if dtype.kind in "iu":
            low = 0 if dtype.kind == "u" else -20
            return self.rng.integers(low, 20, shape).astype(dtype)
        return self.rng.normal(0, 2, shape).astype(dtype)

    def give(self, array, constant=None):
        """An operand: a constant of the file or an input of the call."""
        array = np.asarray(array)
        name = f"v{len(self.names)}"
        self.names.append(name)
        if self.chance(0.3) if constant is None else constant:
            self.constants.append(numpy_helper.from_array(array, name))
        else:
            self.inputs[name] = array
        return name

    def omit(self):
        self.names.append("")

    def number(self, array):
        """An operand that the engine must know when it loads the model."""
        return self.give(array, constant=True)

    def model(self, op, attributes, opset, outputs=1, domain=""):
        self.free = self.chance(0.4)  # extents as symbols
        names = [f"y{k}" for k in range(outputs)]
        while self.names and self.names[-1] == "":
            self.names.pop()
        node = helper.make_node(op, self.names, names, domain=domain, **attributes)
        values = []
        for name, array in self.inputs.items():
            dims = [f"{name}_{d}" if self.free and d < 2 else n for d, n in enumerate(array.shape)]
            values.append(helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), dims))
        graph = helper.make_graph([node], op, values, [onnx.ValueInfoProto(name=name) for name in names],
                                  self.constants)
        imports = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 3), helper.make_opsetid("com.microsoft", 1)]
        return helper.make_model(graph, opset_imports=imports, ir_version=8)


def broadcastable(m, shape):
    """A shape that broadcasts to `shape`."""
    cut = m.integer(0, len(shape))
    return [1 if m.chance(0.3) else n for n in shape[cut:]]


def unary(m, op):
    attributes = {name: float(m.rng.uniform(*bounds)) for name, bounds in FLOAT_UNARY[op].items() if m.chance(0.7)}
    if op == "Gelu" and m.chance(0.5):
        attributes["approximate"] = m.pick(["none", "tanh"])
    x = m.values(m.shape(0))
    if op in ("Sqrt", "Log"):
        x = np.abs(x) + np.float32(0.01)
    if op == "Round":
        x = (np.round(x * 2) / 2).astype(np.float32)
    if op == "IsNaN":
        x = np.where(m.rng.random(x.shape) < 0.3, np.float32(np.nan), x)
    m.give(x, False)
    return m.model(op, attributes, 20 if op == "Gelu" else 18)


def unary_typed(m, op):
    types = [F32, I64, I32] if op != "Relu" else [F32, I32]
    x = m.values(m.shape(0), m.pick(types))
    if op == "Sign" and m.chance(0.5):
        x = (x * 0).astype(x.dtype)
    m.give(x, False)
    return m.model(op, {}, 18)


def clip(m, op):
    dtype = m.pick([F32, F32, I64, I32])
    low, high = sorted([m.integer(-5, 3), m.integer(-3, 5)])
    m.give(m.values(m.shape(0), dtype), False)
    if m.chance(0.3) and dtype == F32:
        attributes = {}
        if m.chance(0.7):
            attributes["min"] = float(low)
        if m.chance(0.7):
            attributes["max"] = float(high)
        return m.model(op, attributes, 10)
    for bound in (low, high):
        if m.chance(0.6):
            m.give(np.array(bound, dtype), None)
        else:
            m.omit()
    return m.model(op, {}, 17)


def identity(m, op):
    m.give(m.values(m.shape(0), m.pick([F32, I64, BOOL])), False)
    if op == "Dropout" and m.inputs["v0"].dtype != F32:
        m.inputs["v0"] = m.inputs["v0"].astype(np.float32)
    return m.model(op, {}, 17)


def cast(m, op):
    types = [F32, I64, I32, BOOL, np.dtype(np.float64), np.dtype(np.uint8), np.dtype(np.int8)]
    to = m.pick(types)
    x = m.values(m.shape(0), m.pick([F32, I64, I32, BOOL]))
    if to.kind == "u":
        x = np.abs(x) if x.dtype != BOOL else x
    if x.dtype != BOOL and m.chance(0.3):
        x = (x // 10).astype(x.dtype)
    m.give(x, False)
    if op == "CastLike":
        m.give(np.zeros([2], to), True)
        return m.model(op, {}, 17)
    return m.model(op, {"to": helper.np_dtype_to_tensor_dtype(to)}, 17)


def quantize_linear(m, op):
    """Both directions; scales for all or along an axis. Opset 10 has no axis."""
    shape, opset = m.shape(1), m.pick([10, 13, 17, 21])
    axis, along = m.integer(-len(shape), len(shape) - 1), opset > 10 and m.chance(0.5)
    places = [shape[axis]] if along else m.pick([[], [1]]) if opset > 10 else []
    kind = m.pick([np.dtype(np.uint8), np.dtype(np.int8)])
    if op == "QuantizeLinear":
        m.give(m.values(shape), False)
    else:
        kind = m.pick([kind, I32])
        low, high = (-9000, 9000) if kind == I32 else (np.iinfo(kind).min, np.iinfo(kind).max)
        m.give(m.rng.integers(low, high, shape, endpoint=True).astype(kind), None)
    m.give(m.rng.uniform(0.01, 0.1, places).astype(np.float32))
    if kind == I32:
        return m.model(op, {"axis": axis} if along else {}, opset)
    if m.chance(0.7) or (kind == np.int8 and op == "QuantizeLinear"):
        m.give(m.rng.integers(0, 100, places).astype(kind))
    return m.model(op, {"axis": axis} if along else {}, opset)


def dynamic_quantize(m, op):
    x = m.values(m.shape(0))
    if m.chance(0.2):
        x = np.abs(x)
    elif m.chance(0.2):
        x = x * 0
    m.give(x, False)
    return m.model(op, {}, 17, outputs=3)


def integer_product(m, op):
    """Inner extents up to 600: sums beyond 2^24. A scale or zero point for each column at times."""
    kind = m.pick([np.uint8, np.int8])
    kind_b = kind if op == "MatMulInteger" or m.chance(0.5) else np.int8
    inner, columns = m.integer(1, 40) if m.chance(0.7) else m.integer(250, 600), m.integer(1, 20)
    lead = m.pick([[], [3], [2, 3], [2, 1, 3]])
    b_lead = m.pick([[], [], [2] if len(lead) > 1 else []])
    whole = lambda kind, shape: m.rng.integers(np.iinfo(kind).min, np.iinfo(kind).max, shape,
                                               endpoint=True).astype(kind)
    a, b = whole(kind, lead + [inner]), whole(kind_b, b_lead + [inner, columns])
    places = lambda: m.pick([[], [1], [columns]]) if not b_lead and lead else []
    if op == "MatMulInteger":
        m.give(a, False)
        m.give(b)
        if m.chance(0.7):
            m.give(whole(kind, []))
            if m.chance(0.7):
                m.give(whole(kind_b, places()))
        return m.model(op, {}, 17)
    scale = lambda shape: m.rng.uniform(0.001, 0.1, shape).astype(np.float32)
    m.give(a, False)
    m.give(scale([]))
    m.give(whole(kind, []))
    shape = places()
    m.give(b)
    m.give(scale(shape))
    m.give(whole(kind_b, shape))
    m.give(scale([]) * np.float32(inner))
    m.give(whole(kind, []))
    return m.model(op, {}, 17)


def integer_pair(m, op):
    """All pairs of bytes at times, so that every rounding is seen; broadcasting along any axis."""
    kind = m.pick([np.uint8, np.int8])
    least, most = np.iinfo(kind).min, np.iinfo(kind).max
    bytes_of = lambda shape: m.rng.integers(least, most, shape, endpoint=True).astype(kind)
    if m.chance(0.5):
        a, b = (x.astype(kind) for x in np.meshgrid(np.arange(least, most + 1), np.arange(least, most + 1)))
    else:
        shape = m.shape(1, 3)
        a, b = (bytes_of([1 if m.chance(0.3) else d for d in shape][m.integer(0, len(shape)):]) for _ in range(2))
    tenths = m.chance(0.5)  # ties come often
    for array in (a, b, None):
        if array is not None:
            m.give(array, False)
        m.number(np.float32(m.integer(1, 9) / 10 if tenths else m.rng.uniform(0.01, 0.1)))
        m.number(bytes_of([]))
    return m.model(op, {}, 17, domain="com.microsoft")


def logic_not(m, op):
    m.give(m.values(m.shape(0), BOOL), False)
    return m.model(op, {}, 17)


def binary(m, op):
    types = {"And": [BOOL], "Or": [BOOL], "Xor": [BOOL], "PRelu": [F32], "Equal": [F32, I64, I32, BOOL],
             "Mod": [F32, I64, I32], "Pow": [F32, F32, I64, I32]}
    dtype = m.pick(types.get(op, [F32, F32, I64, I32]))
    shape, attributes = m.shape(0), {}
    shapes = [shape, broadcastable(m, shape)]
    if op != "PRelu" and m.chance(0.5):
        shapes.reverse()
    a, b = (m.values(s, dtype) for s in shapes)
    if op in ("Div", "Mod"):
        b = np.where(b == 0, np.array(3, dtype), b).astype(dtype)
    if op == "Mod" and (dtype == F32 or m.chance(0.5)):
        attributes["fmod"] = 1
    if op == "Pow":
        a = np.abs(a) if dtype == F32 and m.chance(0.5) else a
        b = m.values(shapes[1], m.pick([dtype, dtype, I64, F32]))
        whole = np.clip(np.abs(np.round(b)), 0, 4).astype(b.dtype)
        b = whole if dtype != F32 or (a < 0).any() else np.clip(b, -2, 2).astype(b.dtype)
    if op in ("Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual") and dtype != BOOL and m.chance(0.5):
        a, b = (np.sign(v).astype(dtype) for v in (a, b))
    first = m.chance(0.3)
    m.give(a, first)
    m.give(b, None if not first else False)
    return m.model(op, attributes, 17)


def chain(m, op):
    dtype = F32 if op in ("Sum", "Mean") else m.pick([F32, F32, I64, I32])
    shape = m.shape(0)
    m.give(m.values(shape, dtype), False)
    for _ in range(m.integer(0, 3)):
        m.give(m.values(broadcastable(m, shape), dtype))
    return m.model(op, {}, 17)


def where(m, op):
    shape, dtype = m.shape(0), m.pick([F32, I64, I32])
    shapes = [shape, broadcastable(m, shape), broadcastable(m, shape)]
    m.rng.shuffle(shapes)
    m.give(m.values(shapes[0], BOOL), False)
    m.give(m.values(shapes[1], dtype))
    m.give(m.values(shapes[2], dtype))
    return m.model(op, {}, 17)


def some_axes(m, rank, least=0):
    axes = [d for d in range(rank) if m.chance(0.5)]
    if len(axes) < least:
        axes = [m.integer(0, rank - 1)]
    return [d - rank if m.chance(0.4) else d for d in m.rng.permutation(axes).tolist()]


def reduce(m, op):
    whole = op in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceSumSquare")
    shape = m.shape(1)
    x = m.values(shape, m.pick([F32, F32, I64, I32]) if whole else F32)
    # No float32 holds these. ONNX Runtime rounds their squares, so it is no judge of ReduceSumSquare.
    if x.dtype == I64 and m.chance(0.5) and op not in ("ReduceProd", "ReduceMean", "ReduceSumSquare"):
        x = x + 1700000000
    if op == "ReduceLogSum":
        x = np.abs(x) + np.float32(0.1)
    if op == "ReduceProd":
        x = (np.sign(x) * 1.5).astype(x.dtype) if x.dtype == F32 else np.sign(x)
    m.give(x, False)
    attributes = {"keepdims": m.integer(0, 1)} if m.chance(0.7) else {}
    axes = some_axes(m, len(shape))
    if m.chance(0.5):
        if axes:
            attributes["axes"] = axes
        return m.model(op, attributes, 11)
    if m.chance(0.4):
        attributes["noop_with_empty_axes"] = m.integer(0, 1)
    if m.chance(0.8):
        m.number(np.array(axes, np.int64))
    return m.model(op, attributes, 18)


def arg_reduce(m, op):
    shape = m.shape(1)
    x = m.values(shape, m.pick([F32, F32, I64, I32]))
    x = np.round(x / 2).astype(x.dtype) if m.chance(0.6) else x  # with ties
    m.give(x + 1700000000 if x.dtype == I64 else x, False)
    attributes = {}
    if m.chance(0.8):
        attributes["axis"] = m.integer(-len(shape), len(shape) - 1)
    if m.chance(0.7):
        attributes["keepdims"] = m.integer(0, 1)
    if m.chance(0.7):
        attributes["select_last_index"] = m.integer(0, 1)
    return m.model(op, attributes, 17)


def softmax(m, op):
    opset = m.pick([11, 17]) if op != "LpNormalization" else 17
    shape = m.shape(2 if opset == 11 else 1)
    m.give(m.values(shape), False)
    attributes = {}
    if m.chance(0.8):
        attributes["axis"] = m.integer(-len(shape), len(shape) - 1)
    if op == "LpNormalization":
        attributes["p"] = m.integer(1, 2)
    return m.model(op, attributes, opset)


def layer_norm(m, op):
    shape = m.shape(1)
    axis = m.integer(-len(shape), len(shape) - 1)
    m.give(m.values(shape), False)
    for k in range(m.integer(1, 2)):
        m.give(m.values(shape[axis:]), m.chance(0.9))
    attributes = {"axis": axis} if axis != -1 or m.chance(0.5) else {}
    if m.chance(0.5):
        attributes["epsilon"] = float(m.rng.uniform(1e-5, 1e-2))
    return m.model(op, attributes, 17)


def batch_norm(m, op):
    shape = m.shape(2)
    m.give(m.values(shape), False)
    for k in range(4):
        x = m.values([shape[1]])
        m.give(np.abs(x) + np.float32(0.1) if k == 3 else x, m.chance(0.95))
    return m.model(op, {"epsilon": 1e-3} if m.chance(0.5) else {}, 15)


def gemm(m, op):
    M, K, N = m.integer(1, 9), m.integer(1, 9), m.integer(1, 9)
    attributes = {}
    if m.chance(0.5):
        attributes["transA"] = m.integer(0, 1)
    if m.chance(0.5):
        attributes["transB"] = m.integer(0, 1)
    for name in ("alpha", "beta"):
        if m.chance(0.5):
            attributes[name] = float(m.rng.uniform(-2, 2))
    m.give(m.values([K, M] if attributes.get("transA") else [M, K]), False)
    m.give(m.values([N, K] if attributes.get("transB") else [K, N]), m.chance(0.7))
    if m.chance(0.7):
        m.give(m.values(m.pick([[N], [1, N], [M, 1], [M, N], [1], [], [1, 1]])), m.chance(0.7))
    return m.model(op, attributes, 17)


def matmul(m, op):
    M, K, N = m.integer(1, 9), m.integer(1, 9), m.integer(1, 9)
    batch = m.shape(0, 2, 3)
    a = m.pick([[K], [M, K], batch + [M, K], batch + [M, K]])
    b = m.pick([[K], [K, N], broadcastable(m, batch) + [K, N], batch + [K, N]])
    m.give(m.values(a), False)
    m.give(m.values(b))
    return m.model(op, {}, 17)


def transpose(m, op):
    shape = m.shape(0, 5)
    m.give(m.values(shape, m.pick([F32, I64, I32, BOOL])), False)
    attributes = {"perm": m.rng.permutation(len(shape)).tolist()} if m.chance(0.8) and shape else {}
    return m.model(op, attributes, 17)


def reshape(m, op):
    shape = m.shape(1)
    total = int(np.prod(shape))
    target = []
    for k in range(m.integer(0, 3)):
        divisors = [d for d in range(1, total + 1) if total % d == 0]
        target.append(m.pick(divisors))
        total //= target[-1]
    target.append(total)
    if m.chance(0.5):
        target[m.integer(0, len(target) - 1)] = -1
    for d in range(min(len(shape), len(target))):
        if target[d] == shape[d] and m.chance(0.5):
            target[d] = 0
    m.give(m.values(shape), False)
    m.number(np.array(target, np.int64))
    return m.model(op, {}, 17)


def flatten(m, op):
    shape = m.shape(0)
    m.give(m.values(shape), False)
    attributes = {"axis": m.integer(-len(shape), len(shape))} if m.chance(0.8) or not shape else {}
    return m.model(op, attributes, 17)


def squeeze(m, op):
    shape = [1 if m.chance(0.5) else m.integer(2, 4) for _ in range(m.integer(1, 5))]
    ones = [d for d, n in enumerate(shape) if n == 1 and m.chance(0.7)]
    ones = [d - len(shape) if m.chance(0.5) else d for d in ones]
    m.give(m.values(shape), False)
    if not ones or m.chance(0.3):
        model = m.model(op, {}, m.pick([11, 17]))
        return model if not m.free else None  # which symbols are 1 is not known when the model is loaded
    if m.chance(0.5):
        return m.model(op, {"axes": ones}, 11)
    m.number(np.array(ones, np.int64))
    return m.model(op, {}, 17)


def unsqueeze(m, op):
    shape = m.shape(0, 3)
    more = m.integer(1, 3)
    rank = len(shape) + more
    axes = m.rng.permutation(rank)[:more].tolist()
    axes = [d - rank if m.chance(0.4) else d for d in axes]
    m.give(m.values(shape, m.pick([F32, I64])), False)
    if m.chance(0.4):
        return m.model(op, {"axes": axes}, 11)
    m.number(np.array(axes, np.int64))
    return m.model(op, {}, 17)


def concat(m, op):
    shape, dtype = m.shape(1), m.pick([F32, I64, BOOL])
    axis = m.integer(-len(shape), len(shape) - 1)
    for k in range(m.integer(1, 4)):
        part = list(shape)
        part[axis] = m.integer(1, 5)
        m.give(m.values(part, dtype), k > 0 and m.chance(0.3))
    return m.model(op, {"axis": axis}, 17)


def split(m, op):
    shape, count = m.shape(1), m.integer(1, 4)
    axis = m.integer(-len(shape), len(shape) - 1)
    attributes = {"axis": axis} if axis % len(shape) != 0 or m.chance(0.5) else {}
    kind = m.pick(["attribute", "input", "even", "num_outputs"])
    parts = [m.integer(0, 3) for _ in range(count - 1)] + [m.integer(1, 3)]
    if kind == "even":
        shape[axis] = count * m.integer(1, 3)
    elif kind == "num_outputs":
        part, last = m.integer(1, 3), m.integer(1, 3)
        shape[axis] = part * (count - 1) + min(part, last)
        attributes["num_outputs"] = count
        if -(-shape[axis] // count) != part:
            shape[axis] = part * count
    else:
        shape[axis] = sum(parts)
    m.give(m.values(shape, m.pick([F32, I64])), False)
    if kind == "attribute":
        return m.model(op, {**attributes, "split": parts}, 11, count)
    if kind == "input":
        m.number(np.array(parts, np.int64))
    return m.model(op, attributes, 18 if kind == "num_outputs" else m.pick([11, 13]) if kind == "even" else 13, count)


def slice_(m, op):
    shape = m.shape(1)
    rank = len(shape)
    m.give(m.values(shape, m.pick([F32, I64])), False)
    axes = m.rng.permutation(rank)[:m.integer(1, rank)].tolist()
    old = m.chance(0.2)
    if m.chance(0.3):
        axes = list(range(len(axes)))
    starts = [m.integer(-shape[d] - 2, shape[d] + 2) for d in axes]
    steps = [1 if old else m.pick([1, 1, 2, 3, -1, -2, -3]) for _ in axes]
    # Backward to INT_MAX is left out: ONNX clips it to the last element, ONNX Runtime takes it for the first.
    far = [[2**63 - 1, 2**31 - 1, -(2**63)] if step > 0 else [-(2**63), -(2**31)] for step in steps]
    ends = [m.pick([m.integer(-shape[d] - 2, shape[d] + 2)] + most) for d, most in zip(axes, far)]
    plain = axes == list(range(len(axes)))
    signed = [d - rank if m.chance(0.4) else d for d in axes]
    if old:
        attributes = {"starts": starts, "ends": ends}
        if not plain or m.chance(0.5):
            attributes["axes"] = axes
        return m.model(op, attributes, 9)
    m.number(np.array(starts, np.int64))
    m.number(np.array(ends, np.int64))
    if not plain or m.chance(0.5):
        m.number(np.array(signed, np.int64))
    else:
        m.omit()
    if any(s != 1 for s in steps) or m.chance(0.5):
        m.number(np.array(steps, np.int64))
    return m.model(op, {}, 17)


def gather(m, op):
    shape = m.shape(1)
    axis = m.integer(-len(shape), len(shape) - 1)
    index = m.rng.integers(-shape[axis], shape[axis], m.shape(0, 2, 4)).astype(m.pick([np.int64, np.int32]))
    m.give(m.values(shape, m.pick([F32, I64])), False)
    m.give(index)
    return m.model(op, {"axis": axis} if axis != 0 or m.chance(0.5) else {}, 17)


def expand(m, op):
    target = m.shape(0)
    shape = broadcastable(m, target)
    asked = [1 if n == (shape[d - len(target) + len(shape)] if d >= len(target) - len(shape) else 0) and m.chance(0.5)
             else n for d, n in enumerate(target)]
    if len(asked) > len(shape) and m.chance(0.2):
        asked = target
    m.give(m.values(shape, m.pick([F32, I64, BOOL])), False)
    m.number(np.array(asked, np.int64))
    return m.model(op, {}, 17)


def tile(m, op):
    shape = m.shape(1)
    m.give(m.values(shape, m.pick([F32, I64])), False)
    m.number(np.array([m.pick([0, 1, 1, 2, 3]) for _ in shape], np.int64))
    return m.model(op, {}, 17)


def pad(m, op):
    shape = m.shape(1)
    axes = list(range(len(shape)))
    opset = m.pick([10, 17, 18])
    if opset == 18 and m.chance(0.7):
        axes = m.rng.permutation(axes)[:m.integer(1, len(axes))].tolist()
    mode = m.pick(["constant", "constant", "constant", "edge", "reflect"])
    low = [m.integer(-(shape[d] // 2) if mode == "constant" else 0, 3 if mode != "reflect" else shape[d] - 1)
           for d in axes]
    high = [m.integer(-(shape[d] - shape[d] // 2) if mode == "constant" else 0,
                      3 if mode != "reflect" else shape[d] - 1) for d in axes]
    attributes = {"mode": mode} if mode != "constant" or m.chance(0.5) else {}
    dtype = F32 if opset == 10 else m.pick([F32, I64])
    m.give(m.values(shape, dtype), False)
    if opset == 10:
        if m.chance(0.5):
            attributes["value"] = 1.5
        return m.model(op, {**attributes, "pads": low + high}, 10)
    m.number(np.array(low + high, np.int64))
    if m.chance(0.5):
        m.number(np.array(m.integer(-3, 3), dtype))
    else:
        m.omit()
    if opset == 18 and (axes != list(range(len(shape))) or m.chance(0.5)):
        m.number(np.array([d - len(shape) if m.chance(0.4) else d for d in axes], np.int64))
    return m.model(op, attributes, opset)


def shape_of(m, op):
    shape = m.shape(0)
    m.give(m.values(shape), False)
    attributes = {}
    if op == "Shape":
        if m.chance(0.5):
            attributes["start"] = m.integer(-5, 5)
        if m.chance(0.5):
            attributes["end"] = m.integer(-5, 5)
    return m.model(op, attributes, 17)


def constant_of_shape(m, op):
    m.number(np.array(m.shape(0), np.int64))
    value = m.values([1], m.pick([F32, I64, I32, BOOL]))
    return m.model(op, {"value": numpy_helper.from_array(value, "value")} if m.chance(0.7) else {}, 17)


def range_(m, op):
    step = m.pick([1, 2, -1, -3])
    start = m.integer(-5, 5)
    for number in (start, start + step * m.integer(-1, 4) + m.integer(0, 1), step):
        m.number(np.array(number, np.int64))
    return m.model(op, {}, 17)


def reverse_sequence(m, op):
    T, B = m.integer(1, 5), m.integer(1, 4)
    first = m.chance(0.5)
    m.give(m.values(([B, T] if first else [T, B]) + m.shape(0, 1)), False)
    m.number(np.full([B], T, np.int64))
    return m.model(op, {"time_axis": int(first), "batch_axis": int(not first)}, 17)


def global_average_pool(m, op):
    m.give(m.values(m.shape(3)), False)
    return m.model(op, {}, 17)


def scaler(m, op):
    shape = m.shape(2, 2)
    m.give(m.values(shape, m.pick([F32, I64, I32])), False)
    attributes = {name: m.rng.normal(1, 1, m.pick([1, shape[1]])).tolist() for name in ("offset", "scale")}
    if len(attributes["offset"]) != len(attributes["scale"]):
        attributes["scale"] = attributes["scale"][:1] * len(attributes["offset"])
    return m.model(op, attributes, 17, domain="ai.onnx.ml")


def linear_regressor(m, op):
    rows, features, targets = m.integer(1, 5), m.integer(1, 6), m.integer(1, 3)
    m.give(m.values([rows, features]), False)
    attributes = {"coefficients": m.rng.normal(0, 1, targets * features).tolist(), "targets": targets}
    if m.chance(0.8):
        attributes["intercepts"] = m.rng.normal(0, 1, targets).tolist()
    return m.model(op, attributes, 17, domain="ai.onnx.ml")


def ml_rows(m, op):
    shape = m.shape(2, 2)
    x, attributes = m.values(shape), {}
    if op == "Normalizer":
        attributes["norm"] = m.pick(["MAX", "L1", "L2"])
    if op == "Binarizer":
        attributes["threshold"] = float(m.rng.normal())
    if op == "Imputer":
        attributes["imputed_value_floats"] = m.rng.normal(0, 1, m.pick([1, shape[1]])).tolist()
        attributes["replaced_value_float"] = m.pick([float("nan"), 0.0])
        x = np.where(m.rng.random(shape) < 0.4, np.float32(attributes["replaced_value_float"]), x)
    m.give(x, False)
    return m.model(op, attributes, 17, domain="ai.onnx.ml")


def label_encoder(m, op):
    source, target = m.pick(["floats", "int64s"]), m.pick(["floats", "int64s"])
    keys = m.rng.permutation(np.arange(-6, 7))[:m.integer(1, 8)]
    labels = m.rng.integers(-9, 9, len(keys))
    x = m.rng.integers(-8, 9, m.shape(1, 2))
    kinds = {"floats": (np.float32, lambda v: (v / 4).astype(np.float32).tolist()),
             "int64s": (np.int64, lambda v: v.astype(np.int64).tolist())}
    attributes = {"keys_" + source: kinds[source][1](keys), "values_" + target: kinds[target][1](labels)}
    attributes["default_float" if target == "floats" else "default_int64"] = 7.5 if target == "floats" else 77
    m.give((x / 4).astype(np.float32) if source == "floats" else x.astype(np.int64), False)
    return m.model(op, attributes, 17, domain="ai.onnx.ml")


def one_hot_encoder(m, op):
    categories = m.rng.permutation(np.arange(-6, 7))[:m.integer(1, 8)]
    x = m.rng.integers(-8, 9, m.shape(1, 2))
    m.give(x.astype(m.pick([np.float32, np.int64])), False)
    return m.model(op, {"cats_int64s": categories.tolist(), "zeros": 1}, 17, domain="ai.onnx.ml")


def array_feature_extractor(m, op):
    shape = m.shape(1, 3)
    m.give(m.values(shape), False)
    m.give(m.rng.integers(0, shape[-1], [1, m.integer(1, 4)]).astype(np.int64))
    return m.model(op, {}, 17, domain="ai.onnx.ml")


def feature_vectorizer(m, op):
    rows, widths = m.integer(1, 5), m.shape(1, 3)
    for width in widths:
        m.give(m.values([rows, width]), False)
    return m.model(op, {"inputdimensions": widths}, 17, domain="ai.onnx.ml")


MAKERS = {
    **dict.fromkeys(FLOAT_UNARY, unary), **dict.fromkeys(("Abs", "Neg", "Sign", "Relu"), unary_typed), "Clip": clip,
    **dict.fromkeys(("Identity", "Dropout"), identity), **dict.fromkeys(("Cast", "CastLike"), cast), "Not": logic_not,
    **dict.fromkeys(("QuantizeLinear", "DequantizeLinear"), quantize_linear), "DynamicQuantizeLinear": dynamic_quantize,
    **dict.fromkeys(("MatMulInteger", "QLinearMatMul"), integer_product),
    **dict.fromkeys(("QLinearAdd", "QLinearMul"), integer_pair),
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Pow", "Mod", "PRelu", "Equal", "Less", "LessOrEqual", "Greater",
                     "GreaterOrEqual", "And", "Or", "Xor"), binary),
    **dict.fromkeys(("Min", "Max", "Sum", "Mean"), chain), "Where": where, **dict.fromkeys(REDUCES, reduce),
    **dict.fromkeys(("ArgMax", "ArgMin"), arg_reduce),
    **dict.fromkeys(("Softmax", "LogSoftmax", "LpNormalization"), softmax), "LayerNormalization": layer_norm,
    "BatchNormalization": batch_norm, "Gemm": gemm, "MatMul": matmul, "Transpose": transpose, "Reshape": reshape,
    "Flatten": flatten, "Squeeze": squeeze, "Unsqueeze": unsqueeze, "Concat": concat, "Split": split, "Slice": slice_,
    "Gather": gather, "Expand": expand, "Tile": tile, "Pad": pad, **dict.fromkeys(("Shape", "Size"), shape_of),
    "ConstantOfShape": constant_of_shape, "Range": range_, "ReverseSequence": reverse_sequence,
    "GlobalAveragePool": global_average_pool, "Scaler": scaler, "LinearRegressor": linear_regressor,
    **dict.fromkeys(("Normalizer", "Imputer", "Binarizer"), ml_rows),
    "LabelEncoder": label_encoder, "OneHotEncoder": one_hot_encoder, "ArrayFeatureExtractor": array_feature_extractor,
    "FeatureVectorizer": feature_vectorizer,
}


def operators():
    """Names in the order of ops.def; one that this file neither makes nor names as tested elsewhere is an error."""
    with open(os.path.join(ROOT, "runtime", "model", "ops.def"), encoding="ascii") as table:
        names = re.findall(r'^APX_OP\(\w+, "[^"]*", "(\w+)"', table.read(), re.MULTILINE)
    missing = set(names) - set(MAKERS) - ELSEWHERE
    if missing:
        raise ValueError(f"no single-operator models for {sorted(missing)}")
    return [name for name in names if name in MAKERS]


def cases(seed, only=None, count=12):
    """`count` models of each operator; a case depends on the seed, its operator and its number alone."""
    for op in operators():
        for number in range(count):
            name = f"single_{op}_{seed}_{number:03d}"
            if only and only not in name:
                continue
            m = Maker(np.random.default_rng([seed, number, *op.encode()]))
            model = MAKERS[op](m, op)
            if model is None:
                continue
            yield Case("single operators", name, model, m.inputs, f"onnx {onnx.__version__}", tolerance=2e-5)
