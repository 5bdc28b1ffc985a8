# SPDX-License-Identifier: Apache-2.0
"""The engines that run a tree model."""
import ctypes
import json
import pathlib
import subprocess

import numpy as np

from peer_engines import PACKAGES, Native, Python, Unavailable, same


def plan(program, model, isa):
    """How Auspex evaluates a model file and the bytes it keeps for it, as `auspex inspect` tells."""
    done = subprocess.run([program, "inspect", model, "--json", "--isa", isa], capture_output=True, text=True)
    told = json.loads(done.stdout) if done.returncode == 0 else {}
    return {"packed_bytes": told.get("packed_bytes"),
            "schedule": next((step["schedule"] for step in told.get("steps", []) if "schedule" in step), None)}


def _onedal(library, folder, is_classifier, threads):
    """oneDAL's ensemble made from the library's model, through daal4py."""
    import daal4py
    import daal4py.mb
    daal4py.daalinit(nthreads=threads)
    if library == "xgboost":
        import xgboost
        model = xgboost.Booster(model_file=folder / "model.json")
    elif library == "lightgbm":
        import lightgbm
        model = lightgbm.Booster(model_file=folder / "model.txt")
    else:
        import joblib
        import treelite
        model = treelite.sklearn.import_model(joblib.load(folder / "model.joblib"))
    converted = daal4py.mb.convert_model(model)
    if is_classifier:
        return lambda x: converted.predict_proba(x)[:, 1]
    # What its predict does in the end.
    return lambda x: daal4py.gbt_regression_prediction(fptype="float").compute(x, converted.daal_model_).prediction


def _sklearn(folder, threads):
    import joblib
    import sklearn
    model = joblib.load(folder / "model.joblib")
    model.n_jobs = threads
    predict = model.decision_function if hasattr(model, "decision_function") else model.predict
    sklearn.set_config(assume_finite=True)  # its check of the input for NaN is left out
    return predict


def debian_xgboost(folder):
    """Debian's libxgboost: installed, or unpacked in a folder by bench/peers/trees."""
    for place in (pathlib.Path("/usr/lib/x86_64-linux-gnu"), folder / "usr/lib/x86_64-linux-gnu"):
        if (place / "libxgboost.so.0").exists():
            if (place / "libdmlc.so.0").exists():
                ctypes.CDLL(str(place / "libdmlc.so.0"))
            return place / "libxgboost.so.0"
    raise Unavailable("not installed: apt-get install libxgboost0")


def makers(case, folder, about, lib, threads, isas, work):
    """(name, file) -> function that opens the engine. Auspex's first, then the library that trained the model."""
    features, failed = about["features"], about["failed"]
    native = {"xgboost": "model.json", "lightgbm": "model.txt", "sklearn": "model.onnx"}[case.library]

    def of_c(engine, **options):
        return lambda: Native(lib, engine, features, threads, **options)

    def compiled(step, engine, load):
        def make():
            if step in failed:
                raise Unavailable(failed[step])
            entry, owner = load()
            opened = Native(lib, engine, features, threads, entry=entry, owner=owner)
            if case.kind == "isolation":
                opened.after = lambda scores: 0.5 - scores  # scikit-learn's sign and offset
            return opened
        return make

    def onnx(make):
        def checked():
            if "onnx" in failed:
                raise Unavailable(f"no ONNX file: {failed['onnx']}")
            return make()
        return checked

    def treelite_entry():
        library = ctypes.CDLL(str(folder / "treelite.so"))
        return ctypes.cast(library.predict, ctypes.c_void_p).value, library

    def lleaves_entry(code):
        import lleaves
        model = lleaves.Model(str(folder / "model.txt"))
        model.compile(cache=str(code), fcodemodel=about["lleaves_code_model"])
        return model._execution_engine.get_function_address("forest_root"), model

    result = {}
    for isa in isas:
        options = {"isa": isa, "model": folder / native, "output": about["onnx_output"] if native == "model.onnx" else None}
        result[f"Auspex {isa}", native] = of_c("auspex", **options)
    if case.library == "xgboost":
        result["XGBoost", native] = of_c("xgboost", model=folder / native, library=PACKAGES / "xgboost/lib/libxgboost.so")
        result["XGBoost 1.7 (Debian)", native] = lambda: Native(
            lib, "xgboost", features, threads, model=folder / "model-old.json", library=debian_xgboost(work / "debian"))
    elif case.library == "lightgbm":
        result["LightGBM", native] = of_c("lightgbm", model=folder / native,
                                          library=PACKAGES / "lightgbm/lib/lib_lightgbm.so")
        result["lleaves", native] = compiled("lleaves", "lleaves", lambda: lleaves_entry(folder / "lleaves.o"))
        one_block = folder / "lleaves-one-block.o"
        if one_block.exists():
            result["lleaves, one block", native] = compiled("lleaves", "lleaves", lambda: lleaves_entry(one_block))
    else:
        result["scikit-learn", native] = lambda: Python(lambda: _sklearn(folder, threads))
    result["Treelite", native] = compiled(
        "treelite", "treelite-double" if about.get("treelite_doubles") else "treelite-float", treelite_entry)
    path_length = same
    if case.kind == "isolation":
        # oneDAL gives the mean path length.
        def path_length(lengths):
            return 0.5 - np.exp2(-lengths / about["path_length"])
    result["oneDAL", native] = lambda: Python(lambda: _onedal(case.library, folder, case.is_classifier, threads),
                                              after=path_length)
    if native != "model.onnx":
        result[f"Auspex {isas[0]}", "model.onnx"] = onnx(of_c(
            "auspex", isa=isas[0], model=folder / "model.onnx", output=about["onnx_output"]))
    runtime = next((PACKAGES / "onnxruntime/capi").glob("libonnxruntime.so.*"))
    result["ONNX Runtime", "model.onnx"] = onnx(of_c("onnxruntime", model=folder / "model.onnx", library=runtime,
                                                     output=about["onnx_output"]))
    return result
