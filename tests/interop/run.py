# SPDX-License-Identifier: Apache-2.0
"""Compare the engine with ONNX Runtime, model by model, on what PyTorch, Keras and scikit-learn write, on random
recurrent nets and on random models of one operator; and with LightGBM and XGBoost on what those train. The family
"quantize" takes the recurrent models of the families asked for through `auspex quantize` as well. Prints a table and
ends with "N passed, M failed"; exit status 1 if any failed.

    run.py [--families torch,torchrandom,keras,sklearn,boosted,random,trees,quantize,lightgbm,xgboost,import,single]
           [--random N] [--trees N] [--single N] [--seed S] [--only TEXT] [--self] [--verbose]

--only runs the models whose name holds TEXT; with the seed that is printed, any failure can be replayed. --self
compares ONNX Runtime with the float64 reference instead, without the engine.
"""

import argparse
import collections
import sys
import time
import traceback

import numpy as np

from cases import onnxruntime_outputs, worst_error

# These go through the program `auspex predict` as well.
THROUGH_PROGRAM = ("torch_legacy_lstm_2_time", "torch_dynamo_gru_bi_hidden", "torch_legacy_lstm_states",
                   "torch_legacy_lstm_packed", "keras_lstm_stacked", "sklearn_pipe_standard_mlp",
                   "sklearn_logistic_three_array")
THROUGH_PROGRAM_RANDOM = 12  # and the first so many random models
# These must give the same bits for a row however it is batched.
INVARIANT = ("torch_legacy_lstm_1", "torch_legacy_gru_2_time", "torch_dynamo_lstm_bi_2_all", "torch_dynamo_gru_states",
             "torch_legacy_lstm_packed", "torch_legacy_mixed", "torch_legacy_attention", "torch_legacy_mlp_layernorm",
             "torch_legacy_act_gelu", "torch_legacy_window_mlp")
INVARIANT_RANDOM = 24  # the first so many random models too


class Table:
    def __init__(self):
        self.rows = collections.OrderedDict()
        self.failures = []

    def row(self, family):
        return self.rows.setdefault(family, {"models": 0, "checks": 0, "failed": 0, "worst": 0.0, "model": "-"})

    def passed(self, family, name, error=0.0):
        row = self.row(family)
        row["checks"] += 1
        if error >= row["worst"]:
            row["worst"], row["model"] = error, name

    def failed(self, family, name, text):
        row = self.row(family)
        row["checks"] += 1
        row["failed"] += 1
        self.failures.append(f"{name}: {text}")

    def show(self):
        print(f"\n{'family':<22}{'models':>7}{'checks':>8}{'failed':>8}  {'max abs error':>13}  worst model")
        for family, row in self.rows.items():
            print(f"{family:<22}{row['models']:>7}{row['checks']:>8}{row['failed']:>8}  {row['worst']:>13.2e}  "
                  f"{row['model']}")
        if self.failures:
            print("\nfailures:")
            for text in self.failures:
                print(f"  {text}")
        failed = sum(row["failed"] for row in self.rows.values())
        print(f"\n{sum(row['checks'] for row in self.rows.values()) - failed} passed, {failed} failed")
        return failed


def as_arrays(outputs):
    """ONNX Runtime's outputs; a list of maps (ZipMap) becomes the scores under it, words are objects."""
    arrays = [value if isinstance(value, np.ndarray) else
              np.array([list(row.values()) for row in value], np.float32) for value in outputs]
    return [array.astype(object) if array.dtype.kind == "U" else array for array in arrays]


def compare(table, family, case, got, want, label):
    if len(got) != len(want):
        table.failed(family, case.name, f"{label}: {len(got)} outputs, expected {len(want)}")
        return
    got, worst = as_arrays(got), 0.0
    names = [value.name for value in case.model.graph.output]
    for name, ours, theirs in zip(names, got, want):
        if ours.dtype != theirs.dtype or ours.shape != theirs.shape:
            table.failed(family, case.name, f"{label}: {name} is {ours.dtype}{list(ours.shape)}, expected "
                                            f"{theirs.dtype}{list(theirs.shape)}")
            return
        worst = max(worst, worst_error(ours, theirs))
    if worst <= case.tolerance:
        table.passed(family, case.name, worst)
    else:
        table.failed(family, case.name, f"{label}: error {worst:.3g} above {case.tolerance:g}")


def references(case):
    """[(inputs, outputs)], the first being the case's own."""
    sets = [(case.inputs, case.outputs if case.outputs is not None else onnxruntime_outputs(case.model, case.inputs))]
    sets += [(inputs, onnxruntime_outputs(case.model, inputs)) for inputs in case.more_inputs]
    return [(inputs, as_arrays(outputs)) for inputs, outputs in sets]


def judge_reference(table, case):
    """ONNX Runtime against the float64 reference, which makes either trustworthy."""
    try:
        theirs = onnxruntime_outputs(case.model, case.inputs)
    except Exception as refused:  # its exceptions have no common class
        if "layout" not in str(refused) and "hidden_size" not in str(refused):
            table.failed("reference", case.name, f"ONNX Runtime: {refused}")
        return
    table.row("reference")["models"] += 1
    compare(table, "reference", case, theirs, case.outputs, "ONNX Runtime against float64")


def check_case(table, case, through_program, invariant, self_only):
    import engine
    import invariance

    family = case.family
    table.row(family if case.refused is None else f"{family}, refused")["models"] += 1
    if case.outputs is not None and case.judged:
        judge_reference(table, case)
    if self_only:
        return
    if case.refused is not None:
        try:
            engine.Model(case.model).close()
            table.failed(family, case.name, f"runs, but is listed as refused for {case.refused}")
        except engine.Refused as refused:
            if case.refused in str(refused):
                table.passed(f"{family}, refused", case.name)
            else:
                table.failed(family, case.name, f"refused for another reason: {refused}")
        return
    sets = references(case)
    try:
        with engine.Model(case.model) as model:
            for number, (inputs, want) in enumerate(sets):
                compare(table, family, case, model.run(inputs), want, f"inputs {number}")
    except engine.Refused as refused:
        table.failed(family, case.name, f"refused: {refused}")
        return
    if through_program:
        table.row("auspex predict")["models"] += 1
        try:
            for number, (inputs, want) in enumerate(sets):
                compare(table, "auspex predict", case, engine.predict(case.model, inputs), want, f"inputs {number}")
        except (engine.Refused, OSError) as refused:
            table.failed("auspex predict", case.name, str(refused))
    if invariant:
        try:
            found = invariance.differences(case)
        except engine.Refused as refused:
            found = [f"refused: {refused}"]
        if found is not None:
            table.row("same bits")["models"] += 1
            if found:
                table.failed("same bits", case.name, f"{found[0]} ({len(found)} in all)")
            else:
                table.passed("same bits", case.name)


def check_single(table, arguments):
    """Models of one operator. Sums of many numbers are as near as their size allows, so the error is relative."""
    import engine
    import single_ops

    family, counts = "single operators", collections.Counter()
    refused, reasons = collections.Counter(), {}
    for case in single_ops.cases(arguments.seed, arguments.only, arguments.single):
        op = case.model.graph.node[0].op_type
        want = as_arrays(onnxruntime_outputs(case.model, case.inputs))
        table.row(family)["models"] += 1
        counts[op] += 1
        try:
            with engine.Model(case.model) as model:
                got = model.run(case.inputs)
        except engine.Refused as text:
            refused[op] += 1
            reasons[op] = f"{case.name}: {text}"
            continue
        case.tolerance *= max([1.0] + [float(np.abs(v[np.isfinite(v)]).max(initial=0)) for v in want
                                       if v.dtype.kind == "f"])
        compare(table, family, case, got, want, "")
    for op, count in refused.items():
        if counts[op] >= 8 and count > counts[op] * single_ops.MOST_REFUSED.get(op, 0.3):
            table.failed(family, op, f"{count} of {counts[op]} models refused, the last with {reasons[op]}")
    if counts:
        print(f"single operators: {sum(counts.values())} models of {len(counts)} operators, {sum(refused.values())} "
              f"refused, of {', '.join(sorted(refused))}")


def check_trees(table, arguments):
    """Tree ensembles in the files of the libraries that trained them, against those libraries."""
    import tree_check

    families = arguments.families.split(",")
    if "lightgbm" in families:
        import lightgbm_models
        for case in lightgbm_models.cases(arguments.seed, arguments.only, arguments.trees):
            tree_check.check(table, case)
    if "xgboost" in families:
        import xgboost_models
        for case in xgboost_models.cases(arguments.seed, arguments.only, arguments.trees):
            tree_check.check(table, case)
    if "import" in families:
        import import_models
        for case in import_models.cases(arguments.seed, arguments.only, arguments.trees // 3):
            import_models.check(table, case)


def check_torch(table, arguments):
    """Random recurrent nets of PyTorch, against what it answers itself."""
    import random_torch

    distances = {}
    for case in random_torch.cases(arguments.seed, arguments.only, arguments.random):
        try:
            random_torch.check(table, case, distances)
        except Exception:
            table.failed(case.family, case.name, traceback.format_exc().strip().splitlines()[-1])
    for family, largest in distances.items():
        print(f"{family}: largest distance from PyTorch in float64: "
              + ", ".join(f"{who} {distance:.2g}" for who, distance in largest.items()))


def all_cases(arguments):
    """(case, whether it goes through the program, whether its bits are compared), families imported when asked for."""
    families = arguments.families.split(",")
    if "random" in families:
        import random_recurrent
        for number, case in enumerate(random_recurrent.cases(arguments.seed, arguments.only, arguments.random)):
            yield case, number < THROUGH_PROGRAM_RANDOM, number < INVARIANT_RANDOM
    if "trees" in families:
        import random_trees
        for number, case in enumerate(random_trees.cases(arguments.seed, arguments.only, arguments.trees)):
            yield case, number < THROUGH_PROGRAM_RANDOM, number < INVARIANT_RANDOM
    if "boosted" in families:
        import boosted_models
        for case in boosted_models.cases(arguments.seed, arguments.only):
            yield case, case.name in THROUGH_PROGRAM, False
    if "sklearn" in families:
        import sklearn_models
        for case in sklearn_models.cases(arguments.seed, arguments.only):
            yield case, case.name in THROUGH_PROGRAM, False
    if "torch" in families:
        import torch_models
        for case in torch_models.cases(arguments.seed, arguments.only):
            yield case, case.name in THROUGH_PROGRAM, case.name in INVARIANT
    if "keras" in families:
        import keras_models
        for case in keras_models.cases(arguments.seed, arguments.only):
            yield case, case.name in THROUGH_PROGRAM, False


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--families", default="single,random,torchrandom,trees,sklearn,torch,keras,quantize,lightgbm,"
                                               "xgboost,import")
    parser.add_argument("--random", type=int, default=500, metavar="N",
                        help="random recurrent models of operators, and as many of PyTorch")
    parser.add_argument("--single", type=int, default=12, metavar="N", help="models of each single operator")
    parser.add_argument("--trees", type=int, default=300, metavar="N", help="random tree ensembles of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", metavar="TEXT", help="the models whose name holds TEXT")
    parser.add_argument("--self", action="store_true", help="ONNX Runtime against the float64 reference alone")
    parser.add_argument("--verbose", action="store_true", help="name each model and its time")
    arguments = parser.parse_args()
    table, began = Table(), time.time()
    print(f"seed {arguments.seed}")
    if "single" in arguments.families.split(",") and not arguments.self:
        check_single(table, arguments)
    if not arguments.self:
        check_trees(table, arguments)
    if "torchrandom" in arguments.families.split(",") and not arguments.self:
        check_torch(table, arguments)
    quantizes = "quantize" in arguments.families.split(",") and not arguments.self
    if quantizes:
        import quantized
        quantized.check_own(table, arguments)
    cases, numbers = all_cases(arguments), collections.Counter()
    while True:
        try:
            case, through_program, invariant = next(cases)
        except StopIteration:
            break
        start = time.time()
        try:
            check_case(table, case, through_program, invariant, arguments.self)
            if quantizes:
                quantized.check_other(table, case, numbers[case.family])
                numbers[case.family] += 1
        except Exception:
            table.failed(case.family, case.name, traceback.format_exc().strip().splitlines()[-1])
        if arguments.verbose:
            print(f"{case.name} {time.time() - start:.2f} s", flush=True)
    if not table.rows:
        sys.exit("run.py: no model of that name")
    failed = table.show()
    print(f"{time.time() - began:.0f} s", file=sys.stderr)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
