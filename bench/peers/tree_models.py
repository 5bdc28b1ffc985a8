# SPDX-License-Identifier: Apache-2.0
"""The models of the tree benchmarks: each trained once by its library and written for every peer, in a work folder.

A folder holds the model file that Auspex and the library read, an ONNX file, what TL2cgen and lleaves compiled, and
about.json: trees, leaves, nodes and, for each peer that could not be given the model, the reason.
"""
import contextlib
import dataclasses
import importlib.metadata
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

import numpy as np

import tree_data

# Training uses one thread: two that wait for each other take minutes on a machine with other work.
TRAINING_ROWS = 20000
NOT_COMPILED = "not compiled (--compile-limit 0)"


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    library: str            # xgboost, lightgbm or sklearn
    kind: str               # boosted, forest or isolation
    data: str
    trees: int
    leaves: int = 0
    depth: int = 0
    training_rows: int = TRAINING_ROWS

    @property
    def is_classifier(self):
        return self.kind == "boosted" and self.data != "synthetic"


def _boosted(title, **shape):
    return [Case(f"{title}-{library}", library, "boosted", "synthetic", **shape) for library in ("xgboost", "lightgbm")]


CASES = [
    *_boosted("100x31", trees=100, leaves=31),
    *_boosted("100x63", trees=100, leaves=63),
    *_boosted("150xdepth8", trees=150, depth=8),
    *_boosted("200xdepth10", trees=200, depth=10),
    *_boosted("1000x255", trees=1000, leaves=255),
    Case("forest100", "sklearn", "forest", "synthetic", trees=100, training_rows=10000),
    Case("isolation100", "sklearn", "isolation", "synthetic", trees=100),
    Case("credit-100x31-xgboost", "xgboost", "boosted", "credit", trees=100, leaves=31),
    Case("credit-100x31-lightgbm", "lightgbm", "boosted", "credit", trees=100, leaves=31),
    Case("adult-100x63-xgboost", "xgboost", "boosted", "adult", trees=100, leaves=63),
    Case("adult-100x63-lightgbm", "lightgbm", "boosted", "adult", trees=100, leaves=63),
    Case("binary-150xdepth8-xgboost", "xgboost", "boosted", "binary", trees=150, depth=8),
    Case("binary-150xdepth8-lightgbm", "lightgbm", "boosted", "binary", trees=150, depth=8),
    Case("shuttle-isolation100", "sklearn", "isolation", "shuttle", trees=100),
    Case("mammography-isolation100", "sklearn", "isolation", "mammography", trees=100),
]
QUICK = [
    Case("quick-100x31-xgboost", "xgboost", "boosted", "synthetic", trees=100, leaves=31, training_rows=2000),
    Case("quick-100x31-lightgbm", "lightgbm", "boosted", "synthetic", trees=100, leaves=31, training_rows=2000),
    Case("quick-isolation100", "sklearn", "isolation", "synthetic", trees=100, training_rows=2000),
]


def _train_xgboost(case, x, y, folder):
    import xgboost
    parameters = {"tree_method": "hist", "learning_rate": 0.1, "seed": 1, "nthread": 1, "min_child_weight": 1,
                  "objective": "binary:logistic" if case.is_classifier else "reg:squarederror"}
    if case.leaves:
        parameters.update(grow_policy="lossguide", max_leaves=case.leaves, max_depth=0)
    else:
        parameters.update(max_depth=case.depth)
    booster = xgboost.train(parameters, xgboost.DMatrix(x, y), case.trees)
    booster.save_model(folder / "model.json")
    model = json.loads((folder / "model.json").read_text())
    # Before 3.1 this was a number, not a list.
    values = model["learner"]["learner_model_param"]
    values["base_score"] = values["base_score"].strip("[]")
    (folder / "model-old.json").write_text(json.dumps(model))
    leaves = [sum(child == -1 for child in tree["left_children"])
              for tree in model["learner"]["gradient_booster"]["model"]["trees"]]
    return booster, leaves


def _train_lightgbm(case, x, y, folder):
    import lightgbm
    parameters = {"learning_rate": 0.1, "seed": 1, "verbose": -1, "num_threads": 1, "min_data_in_leaf": 5,
                  "objective": "binary" if case.is_classifier else "regression"}
    if case.leaves:
        parameters.update(num_leaves=case.leaves)
    else:
        parameters.update(num_leaves=1 << case.depth, max_depth=case.depth)
    booster = lightgbm.train(parameters, lightgbm.Dataset(x, y), case.trees)
    booster.save_model(folder / "model.txt")
    return booster, [tree["num_leaves"] for tree in booster.dump_model()["tree_info"]]


def _train_sklearn(case, x, y, folder):
    import joblib
    import sklearn.ensemble
    if case.kind == "isolation":
        model = sklearn.ensemble.IsolationForest(n_estimators=case.trees, random_state=1).fit(x)
    else:
        model = sklearn.ensemble.RandomForestRegressor(case.trees, max_features=1 / 3, random_state=1).fit(x, y)
    joblib.dump(model, folder / "model.joblib")
    return model, [int(tree.tree_.n_leaves) for tree in model.estimators_]


def _write_onnx(case, model, features, folder):
    import onnx
    if case.library == "sklearn":
        import skl2onnx
        from skl2onnx.common.data_types import FloatTensorType
        kind = [("input", FloatTensorType([None, features]))]
        # Isolation forests from skl2onnx work with ai.onnx.ml 3 at most.
        written = skl2onnx.convert_sklearn(model, initial_types=kind, target_opset={"": 18, "ai.onnx.ml": 3})
    else:
        import onnxmltools
        from onnxmltools.convert.common.data_types import FloatTensorType
        kind = [("input", FloatTensorType([None, features]))]
        convert = onnxmltools.convert_xgboost if case.library == "xgboost" else onnxmltools.convert_lightgbm
        options = {} if case.library == "xgboost" else {"zipmap": False}
        written = convert(model, initial_types=kind, **options)
    onnx.save(written, folder / "model.onnx")
    names = [value.name for value in written.graph.output]
    return {"onnx_output": next((name for name in ("probabilities", "scores") if name in names), names[-1])}


@contextlib.contextmanager
def _silent():
    """Treelite's C++ part chats on standard error."""
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _compile_treelite(case, folder, limit):
    import tl2cgen
    import treelite
    if case.library == "xgboost":
        forest = treelite.frontend.load_xgboost_model(folder / "model.json")
    elif case.library == "lightgbm":
        forest = treelite.frontend.load_lightgbm_model(folder / "model.txt")
    else:
        import joblib
        forest = treelite.sklearn.import_model(joblib.load(folder / "model.joblib"))
    sources = folder / "treelite"
    shutil.rmtree(sources, ignore_errors=True)
    with _silent(), contextlib.redirect_stdout(None):
        tl2cgen.generate_c_code(forest, dirpath=sources, params={"parallel_comp": case.trees})
    rules = "%.o: %.c\n\tgcc -O3 -fPIC -c $< -o $@\nmodel.so: $(patsubst %.c,%.o,$(wildcard *.c))\n\tgcc -shared $^ -o $@ -lm\n"
    (sources / "Makefile").write_text(rules)
    try:
        subprocess.run(["make", "-s", f"-j{os.cpu_count()}", "model.so"], cwd=sources, check=True, timeout=limit,
                       capture_output=True)
        (sources / "model.so").rename(folder / "treelite.so")
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"gcc -O3 did not finish the generated code in {limit:.0f} s") from None
    finally:
        of_doubles = "double fvalue" in (sources / "header.h").read_text()
        shutil.rmtree(sources)
    return {"treelite_doubles": of_doubles}


def _compile_lleaves(case, folder, limit):
    if case.library != "lightgbm":
        raise RuntimeError("reads LightGBM models only")
    # In its own process: LLVM takes gigabytes for large models and cannot be interrupted otherwise. The small code
    # model is the faster one, for what it can hold; calls of one row want all trees in one block, says its manual.
    code_model = "small" if case.trees <= 200 else "large"
    # Inlined, some 30,000 leaves take LLVM many minutes.
    most_leaves = case.trees * (case.leaves or 1 << case.depth)
    inlined = most_leaves <= 20000
    variants = {"lleaves.o": 34}
    if most_leaves <= 10000:  # beyond that, code is no longer in the caches
        variants["lleaves-one-block.o"] = case.trees
    for name, block in variants.items():
        program = (f"import lleaves; lleaves.Model({str(folder / 'model.txt')!r})"
                   f".compile(cache={str(folder / name)!r}, fcodemodel={code_model!r}, fblocksize={block}, "
                   f"finline={inlined})")
        try:
            subprocess.run([sys.executable, "-c", program], check=True, timeout=limit, capture_output=True)
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"its compiler did not finish in {limit:.0f} s") from None
    return {"lleaves_code_model": code_model}


def _short(error):
    if isinstance(error, subprocess.CalledProcessError):
        error = ((error.stderr or b"").decode(errors="replace").strip().splitlines() or [error])[-1]
    return " ".join(str(error).split())[:160]


def versions():
    names = ("xgboost", "lightgbm", "scikit-learn", "scikit-learn-intelex", "onnxruntime", "treelite", "tl2cgen", "lleaves",
             "llvmlite", "onnxmltools", "skl2onnx", "numpy")
    return {name: importlib.metadata.version(name) for name in names}


def training_data(case, data):
    if case.data == "synthetic":
        return tree_data.synthetic(case.training_rows, seed=1)
    return tree_data.real(case.data, data)


def _train(case, table, folder, about):
    """The case's folder with the model in the library's own format and as ONNX."""
    x, y = table
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    start = time.monotonic()
    train = {"xgboost": _train_xgboost, "lightgbm": _train_lightgbm, "sklearn": _train_sklearn}[case.library]
    model, leaves = train(case, x, y, folder)
    about.update(features=x.shape[1], trees=len(leaves), leaves=sum(leaves), most_leaves=max(leaves),
                 nodes=2 * sum(leaves) - len(leaves), onnx_output="")
    if case.kind == "isolation":
        from sklearn.ensemble._iforest import _average_path_length
        about["path_length"] = float(_average_path_length([model._max_samples])[0])
    print(f"{case.name}: trained in {time.monotonic() - start:.0f} s, {about['leaves']} leaves", flush=True)
    _step("onnx", case, folder, about, lambda: _write_onnx(case, model, x.shape[1], folder))


def _step(name, case, folder, about, make):
    """What a peer needs, or why it cannot have it, goes into about.json."""
    start = time.monotonic()
    try:
        about.update(make())
        about["failed"].pop(name, None)
        print(f"{case.name}: {name} in {time.monotonic() - start:.0f} s", flush=True)
    except Exception as error:  # a converter may fail in any way
        about["failed"][name] = _short(error)
        print(f"{case.name}: {name}: {about['failed'][name]}", flush=True)
    (folder / "about.json").write_text(json.dumps(about, indent=1))


def prepare(case, work, data, compile_limit):
    """The case's folder, made if it is not there already; None if its data is not there. compile_limit: seconds for gcc
    and for LLVM; 0 leaves what has not been compiled for another time."""
    folder = pathlib.Path(work) / case.name
    made_from = json.loads(json.dumps([dataclasses.asdict(case), versions()]))
    about = json.loads((folder / "about.json").read_text()) if (folder / "about.json").exists() else {}
    if about.get("made_from") != made_from:
        table = training_data(case, data)
        if table is None:
            return None
        about = {"made_from": made_from, "failed": {"treelite": NOT_COMPILED, "lleaves": NOT_COMPILED}}
        _train(case, table, folder, about)
    for name, make in (("lleaves", _compile_lleaves), ("treelite", _compile_treelite)):
        if compile_limit and about["failed"].get(name) == NOT_COMPILED:
            _step(name, case, folder, about, lambda make=make: make(case, folder, compile_limit))
    return folder


def rows_of(case, data, count):
    """Rows to predict: fresh synthetic ones, or the set's own."""
    if case.data == "synthetic":
        return np.ascontiguousarray(tree_data.synthetic(count, seed=2)[0])
    return tree_data.real(case.data, data)[0]
