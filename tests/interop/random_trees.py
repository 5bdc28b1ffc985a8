# SPDX-License-Identifier: Apache-2.0
"""Random tree ensembles in every form that ai.onnx.ml allows: TreeEnsembleRegressor and TreeEnsembleClassifier (nodes
named by ids, in any order), TreeEnsemble (by position), all modes, aggregates and transforms, floats and doubles.

ONNX Runtime judges, but for the forms in which it contradicts the standard; there reference() below does, which walks
the attributes in float64:
  - PROBIT: it computes it in float, which loses digits near 0 and 1;
  - a single target or class: it leaves out every transform but PROBIT;
  - SOFTMAX and LOGISTIC of TreeEnsemble: it takes their numbers for each other;
  - two classes that both have votes: it takes the sign of the second score for the label, and adds base values wrongly;
  - sets, and chains of equalities: values that are not whole find themselves in some of its;
  - rows without any vote for a target: it leaves the base value out there, and the class out of the choice;
  - ids of nodes that are not below their number: it refuses them.
"""

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from scipy import special

from cases import Case

MODES = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"]
TRANSFORMS = ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"]
AGGREGATES = ["AVERAGE", "SUM", "MIN", "MAX"]


class Split:
    def __init__(self, feature, mode, value, missing):
        self.feature, self.mode, self.value, self.missing = feature, mode, value, missing
        self.yes = self.no = None

    def holds(self, x):
        if np.isnan(x):
            return self.missing or self.mode == "BRANCH_NEQ"
        return {"BRANCH_LEQ": lambda: x <= self.value, "BRANCH_LT": lambda: x < self.value,
                "BRANCH_GTE": lambda: x >= self.value, "BRANCH_GT": lambda: x > self.value,
                "BRANCH_EQ": lambda: x == self.value, "BRANCH_NEQ": lambda: x != self.value,
                "BRANCH_MEMBER": lambda: x in self.value}[self.mode]()


class Leaf:
    def __init__(self, votes):
        self.votes = votes  # [(target, weight)]


def grow(g, depth, form, target):
    """A random tree; target: the one that its leaves vote for, None: any."""
    if depth == 0 or g.random() < form["stop"]:
        targets = range(form["targets"]) if target is None and form["dense"] else \
            [int(g.integers(form["targets"])) if target is None else target]
        return Leaf([(t, form["weight"](g)) for t in targets])
    mode = str(g.choice(form["modes"]))
    whole = mode in ("BRANCH_EQ", "BRANCH_NEQ", "BRANCH_MEMBER")
    value = form["real"](g.integers(-2, 4) if whole or g.random() < 0.3 else g.standard_normal() * 2)
    if mode == "BRANCH_MEMBER":
        value = {form["real"](v) for v in g.integers(-3, 9, g.integers(1, 6))}
    elif g.random() < 0.04:
        value = form["real"](g.choice([np.inf, -np.inf]))
    node = Split(int(g.integers(form["features"])), mode, value, bool(g.random() < 0.5))
    node.yes, node.no = grow(g, depth - 1, form, target), grow(g, depth - 1, form, target)
    if mode == "BRANCH_EQ" and form["chains"]:  # x == a or x == b or ..., as exporters write it: they share a branch
        last = node
        for other in g.integers(-3, 9, g.integers(0, 4)):
            link = Split(node.feature, mode, form["real"](other), node.missing)
            link.yes, link.no, last.no = node.yes, last.no, link
            last = link
    return node


def leaf_of(node, row):
    while isinstance(node, Split):
        node = node.yes if node.holds(row[node.feature]) else node.no
    return node


def walk(node, seen):
    """Every node once, parents first."""
    if id(node) in seen:
        return
    seen[id(node)] = node
    if isinstance(node, Split):
        walk(node.yes, seen)
        walk(node.no, seen)


def thresholds(trees):
    found = []
    for tree in trees:
        seen = {}
        walk(tree, seen)
        for node in seen.values():
            if isinstance(node, Split):
                found += [(node.feature, v) for v in (node.value if isinstance(node.value, set) else [node.value])]
    return found


def rows_for(g, trees, features, dtype, count):
    """Rows on and beside the thresholds, and what floats can hold otherwise."""
    x = (g.standard_normal((count, features)) * 2).astype(dtype)
    marks = thresholds(trees)
    odd = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, np.finfo(dtype).tiny / 4, 1, 2, 3], dtype)
    for row in x:
        for _ in range(int(g.integers(1, features + 2))):
            if marks and g.random() < 0.7:
                feature, value = marks[int(g.integers(len(marks)))]
                value = dtype(value)
                row[feature] = g.choice([value, np.nextafter(value, dtype(np.inf)), np.nextafter(value, dtype(-np.inf))])
            else:
                row[int(g.integers(features))] = g.choice(odd)
    return x


def transformed(scores, word):
    if word == "LOGISTIC":
        return special.expit(scores)
    if word == "SOFTMAX":
        return special.softmax(scores, axis=1)
    if word == "PROBIT":
        with np.errstate(invalid="ignore", divide="ignore"):  # Winitzki's, as the standard's evaluator has it
            log = np.log((2 - 2 * scores) * 2 * scores)
            v = 2 / (np.pi * 0.147) + log / 2
            return np.sqrt(2) * np.where(scores < 0.5, -1, 1) * np.sqrt(np.sqrt(v * v - log / 0.147) - v)
    if word == "SOFTMAX_ZERO":
        zero = np.abs(scores) <= 1e-7
        with np.errstate(invalid="ignore", divide="ignore"):
            top = scores.max(axis=1, keepdims=True)
            parts = np.where(zero, scores * np.exp(-top), np.exp(scores - top))
            return parts / parts.sum(axis=1, keepdims=True)
    return scores


def sums(trees, x, targets, aggregate, base):
    out = np.zeros((len(x), targets))
    for n, row in enumerate(x):
        votes = [[] for _ in range(targets)]
        for tree in trees:
            for target, weight in leaf_of(tree, row).votes:
                votes[target].append(float(weight))
        for k, given in enumerate(votes):
            out[n, k] = {"SUM": sum(given), "AVERAGE": sum(given) / len(trees),
                         "MIN": min(given, default=0), "MAX": max(given, default=0)}[aggregate]
    return out + (np.asarray(base, np.float64) if len(base) else 0)


def by_ids(g, trees, prefix, real, order):
    """Attributes of TreeEnsembleRegressor and TreeEnsembleClassifier."""
    nodes, votes = [], []
    for number, tree in enumerate(trees):
        seen = {}
        walk(tree, seen)
        names = {"sorted": np.arange, "shuffled": g.permutation, "sparse": lambda n: g.choice(4 * n, n, replace=False)}[
            order](len(seen))
        ids = {key: int(name) for key, name in zip(seen, names)}
        listed = []
        for key, node in seen.items():
            if isinstance(node, Split):
                listed.append((number, ids[key], node.feature, node.mode, node.value, ids[id(node.yes)], ids[id(node.no)],
                               int(node.missing)))
            else:
                listed.append((number, ids[key], 0, "LEAF", 0.0, 0, 0, 0))
                votes += [(number, ids[key], target, weight) for target, weight in node.votes]
        if order != "sorted":
            listed = [listed[0]] + [listed[1 + i] for i in g.permutation(len(listed) - 1)]
        nodes += listed
    if order != "sorted":
        votes = [votes[i] for i in g.permutation(len(votes))]
    columns = list(zip(*nodes))
    attrs = dict(zip(["nodes_treeids", "nodes_nodeids", "nodes_featureids", "nodes_modes", "nodes_values",
                      "nodes_truenodeids", "nodes_falsenodeids", "nodes_missing_value_tracks_true"], map(list, columns)))
    attrs.update(dict(zip([f"{prefix}_treeids", f"{prefix}_nodeids", f"{prefix}_ids", f"{prefix}_weights"],
                          map(list, zip(*votes)))))
    for name in ("nodes_values", f"{prefix}_weights"):
        attrs[name] = [float(v) for v in attrs[name]]
        if real is np.float64:
            attrs[f"{name}_as_tensor"] = numpy_helper.from_array(np.array(attrs.pop(name), np.float64))
    return attrs


def by_position(trees, targets, real, aggregate, transform):
    """Attributes of TreeEnsemble."""
    nodes, leaves, roots, members = [], [], [], []

    def place(node):
        if isinstance(node, Leaf):
            (target, weight), = node.votes
            leaves.append((target, weight))
            return len(leaves) - 1, 1
        at = len(nodes)
        nodes.append(None)
        nodes[at] = [node, place(node.yes), place(node.no)]
        return at, 0

    for tree in trees:
        roots.append(len(nodes))
        if isinstance(tree, Leaf):
            leaf = place(tree)
            nodes.append([Split(0, "BRANCH_LEQ", real(0), False), leaf, leaf])
        else:
            place(tree)
    for node, _, _ in nodes:
        if node.mode == "BRANCH_MEMBER":
            members += sorted(node.value) + [np.nan]
    modes = [MODES.index(node.mode) if node.mode in MODES else 6 for node, _, _ in nodes]
    attrs = {"nodes_featureids": [node.feature for node, _, _ in nodes],
             "nodes_modes": numpy_helper.from_array(np.array(modes, np.uint8)),
             "nodes_splits": numpy_helper.from_array(np.array([0 if isinstance(n.value, set) else n.value
                                                               for n, _, _ in nodes], real)),
             "nodes_missing_value_tracks_true": [int(node.missing) for node, _, _ in nodes],
             "nodes_truenodeids": [yes[0] for _, yes, _ in nodes], "nodes_trueleafs": [yes[1] for _, yes, _ in nodes],
             "nodes_falsenodeids": [no[0] for _, _, no in nodes], "nodes_falseleafs": [no[1] for _, _, no in nodes],
             "leaf_targetids": [target for target, _ in leaves],
             "leaf_weights": numpy_helper.from_array(np.array([weight for _, weight in leaves], real)),
             "tree_roots": roots, "n_targets": targets, "aggregate_function": AGGREGATES.index(aggregate),
             "post_transform": TRANSFORMS.index(transform)}
    if members:
        attrs["membership_values"] = numpy_helper.from_array(np.array(members, real))
    return attrs


def make_model(op, attrs, x, outputs):
    node = helper.make_node(op, ["x"], [name for name, _ in outputs], name="trees", domain="ai.onnx.ml", **attrs)
    kind = TensorProto.DOUBLE if x.dtype == np.float64 else TensorProto.FLOAT
    graph = helper.make_graph([node], "trees", [helper.make_tensor_value_info("x", kind, ["rows", x.shape[1]])],
                              [helper.make_tensor_value_info(name, dtype, None) for name, dtype in outputs])
    return helper.make_model(graph, ir_version=10, opset_imports=[
        helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 5 if op == "TreeEnsemble" else 3)])


def form_of(g, op, targets):
    real = np.float64 if g.random() < 0.25 else np.float32
    positive = g.random() < 0.5
    modes = [MODES, ["BRANCH_LEQ"], ["BRANCH_LT"], ["BRANCH_LEQ", "BRANCH_EQ"]][int(g.integers(4))]
    if op == "TreeEnsemble" and g.random() < 0.5:
        modes = modes + ["BRANCH_MEMBER"]
    return {"targets": targets, "features": int(g.integers(1, 7)), "stop": float(g.choice([0.0, 0.25])), "modes": modes,
            "real": real, "dense": op != "TreeEnsemble" and g.random() < 0.5,
            "chains": op != "TreeEnsemble" and g.random() < 0.5,
            "weight": lambda g: real(g.random() if positive else g.standard_normal())}


def random_case(seed, number):
    g = np.random.default_rng([seed, number, 77])
    op = ["TreeEnsembleRegressor", "TreeEnsembleClassifier", "TreeEnsemble"][number % 3]
    targets = int(g.choice([1, 1, 2, 3, 5]))
    aggregate = "SUM" if op == "TreeEnsembleClassifier" else str(g.choice(AGGREGATES))
    transform = str(g.choice(TRANSFORMS))
    form = form_of(g, op, targets)
    is_pair = op == "TreeEnsembleClassifier" and targets == 2 and g.random() < 0.6
    each = None if op == "TreeEnsembleClassifier" and form["dense"] else int(g.integers(2))
    count = int(g.integers(1, 12))
    if aggregate in ("MIN", "MAX"):  # where some row has no vote for a target, the engine refuses the model
        each, count = 0 if not form["dense"] else None, max(count, targets)
    trees = [grow(g, int(g.integers(0, 6)), form, 0 if is_pair else t % targets if each == 0 else None)
             for t in range(count)]
    base, order = [], "sorted"
    if op != "TreeEnsemble" and g.random() < 0.5:
        base = [float(form["real"](g.standard_normal())) for _ in range(1 if is_pair else targets)]
    wide = form["real"] is np.float64 or g.random() < 0.15
    x = rows_for(g, trees, form["features"] + int(g.integers(2)), np.float64 if wide else np.float32, 23)
    kind = TensorProto.DOUBLE if wide and op == "TreeEnsemble" else TensorProto.FLOAT
    sets = "BRANCH_EQ" in form["modes"] or "BRANCH_MEMBER" in form["modes"]
    if sets and g.random() < 0.5:
        x, sets = np.round(x), False
    if op == "TreeEnsemble":
        form["real"] = np.float64 if wide else np.float32
        attrs, outputs = by_position(trees, targets, form["real"], aggregate, transform), [("y", kind)]
    else:
        prefix = "class" if op == "TreeEnsembleClassifier" else "target"
        order = str(g.choice(["sorted", "sorted", "shuffled", "sparse"]))
        attrs = by_ids(g, trees, prefix, form["real"], order)
        attrs["post_transform"] = transform
        if base and form["real"] is np.float64:
            attrs["base_values_as_tensor"] = numpy_helper.from_array(np.array(base))
        elif base:
            attrs["base_values"] = base
        outputs = [("y", kind)]
        if op == "TreeEnsembleClassifier":
            attrs["classlabels_int64s"] = [int(v) for v in 10 * g.permutation(targets) - 3]
            outputs = [("label", TensorProto.INT64), ("y", kind)]
        else:
            attrs.update(n_targets=targets, aggregate_function=aggregate)
    model = make_model(op, attrs, x, outputs)
    want = reference(op, trees, x, targets, aggregate, transform, base, is_pair, attrs)
    outputs = [array.astype(helper.tensor_dtype_to_np_dtype(dtype)) for array, (_, dtype) in zip(want, outputs)]
    both = op == "TreeEnsembleClassifier" and targets == 2 and not is_pair
    starved = any({t for tree in trees for t, _ in leaf_of(tree, row).votes} != set(range(1 if is_pair else targets))
                  for row in x)
    swapped = op == "TreeEnsemble" and transform in ("SOFTMAX", "LOGISTIC")
    judged = not (both or starved or swapped or sets or transform == "PROBIT" or order == "sparse" or (targets == 1 and transform != "NONE"))
    return Case("random trees", f"trees_{seed}_{number:04d}", model, {"x": x}, "tests/interop/random_trees.py",
                outputs=outputs, judged=judged)


def reference(op, trees, x, targets, aggregate, transform, base, is_pair, attrs):
    if op != "TreeEnsembleClassifier":
        return [transformed(sums(trees, x, targets, aggregate, base), transform)]
    labels = np.array(attrs["classlabels_int64s"])
    scores = sums(trees, x, targets, aggregate, base if not is_pair else [])
    if targets == 1:
        return [(scores[:, 0] > 0).astype(np.int64), transformed(scores, transform)]
    if not is_pair:
        return [labels[scores.argmax(axis=1)], transformed(scores, transform)]
    m = scores[:, 0] + (base[0] if base else 0)
    weights = attrs.get("class_weights", None)
    if weights is None:
        weights = numpy_helper.to_array(attrs["class_weights_as_tensor"])
    mixed = bool(np.any(np.asarray(weights) < 0))
    if transform == "PROBIT":
        return [labels[(m > 0.5).astype(int)], transformed(np.stack([1 - m, m], 1), transform)]
    pair = np.stack([special.expit(-m), special.expit(m)] if transform == "LOGISTIC" else
                    [-m if mixed else 1 - m, m], 1)
    return [labels[(m > (0 if mixed else 0.5)).astype(int)], pair]


def cases(seed=1, only=None, count=300):
    for number in range(count):
        if only and only not in f"trees_{seed}_{number:04d}":
            continue
        yield random_case(seed, number)
