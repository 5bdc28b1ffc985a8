# SPDX-License-Identifier: Apache-2.0
"""Engines with one model loaded: those with a C entry point through tree_peers.so, the others through Python."""
import ctypes
import gc
import json
import pathlib
import statistics
import subprocess
import sysconfig
import time

import numpy as np

PACKAGES = pathlib.Path(sysconfig.get_path("purelib"))


class Unavailable(Exception):
    """The peer cannot be had or cannot run this model; the text says why."""


class _Request(ctypes.Structure):
    _fields_ = [(name, ctypes.c_char_p) for name in ("engine", "library", "model", "output", "isa")] + [
        ("entry", ctypes.c_void_p), ("features", ctypes.c_size_t), ("threads", ctypes.c_int)]


def open_peers(path):
    """tree_peers.so with its functions declared."""
    lib = ctypes.CDLL(str(path))
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    lib.peer_open.argtypes, lib.peer_open.restype = [ctypes.POINTER(_Request)], pointer
    lib.peer_prepare.argtypes, lib.peer_prepare.restype = [pointer, pointer, size, size], ctypes.c_bool
    lib.peer_time.argtypes, lib.peer_time.restype = [pointer, size], ctypes.c_double
    lib.peer_predict.argtypes, lib.peer_predict.restype = [pointer, pointer], ctypes.c_bool
    lib.peer_message.argtypes, lib.peer_message.restype = [pointer], ctypes.c_char_p
    lib.peer_close.argtypes = [pointer]
    return lib


def resident_bytes():
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4096


def _same(predictions):
    return predictions


class Native:
    """An engine that is called from C. model: path; entry: a compiled model's function."""

    in_python = False
    after = staticmethod(_same)  # of predictions on another scale than the library's; never part of the time

    def __init__(self, lib, engine, features, threads, library=None, model=None, output=None, isa=None, entry=None,
                 owner=None):
        self.lib = lib
        self.owner = owner  # of the entry's code
        self.doubles = engine == "lleaves"
        texts = [str(text).encode() if text else None for text in (engine, library, model, output, isa)]
        self.request = _Request(*texts, entry, features, threads)  # the engine keeps its texts
        self.loads_s = []
        # Three times: the first load of a library or of a file is the system's as well.
        while len(self.loads_s) < 3 and sum(self.loads_s) < 1:
            if self.loads_s:
                self.close()
            before, start = resident_bytes(), time.perf_counter()
            self.peer = lib.peer_open(ctypes.byref(self.request))
            self.loads_s.append(time.perf_counter() - start)
            if lib.peer_message(self.peer):
                message = lib.peer_message(self.peer).decode(errors="replace")
                self.close()
                raise Unavailable(message)
        self.load_s = statistics.median(self.loads_s)
        self.resident = resident_bytes() - before

    def _check(self, good):
        if not good:
            raise Unavailable(self.lib.peer_message(self.peer).decode(errors="replace"))

    def prepare(self, x, rows):
        self.x = x.astype(np.float64) if self.doubles else x
        self._check(self.lib.peer_prepare(self.peer, self.x.ctypes.data, rows, len(x) // rows))

    def time(self, calls):
        seconds = self.lib.peer_time(self.peer, calls)
        self._check(seconds >= 0)
        return seconds

    def predict(self):
        result = np.empty(len(self.x))
        self._check(self.lib.peer_predict(self.peer, result.ctypes.data))
        return self.after(result)

    def close(self):
        self.lib.peer_close(self.peer)
        self.peer = None


class Python:
    """A function of a table. The time of a call is that of Python's call, what it costs by itself included."""

    in_python = True
    resident = 0

    def __init__(self, load, after=_same):
        self.after = after
        start = time.perf_counter()
        try:
            self.function = load()
        except Exception as error:  # a package may fail in any way
            raise Unavailable(" ".join(f"{type(error).__name__}: {error}".split())[:160]) from error
        self.load_s = time.perf_counter() - start

    def prepare(self, x, rows):
        self.tables = [x[at:at + rows] for at in range(0, len(x) - rows + 1, rows)]

    def time(self, calls):
        function, tables = self.function, self.tables
        start = time.perf_counter()
        for index in range(calls):
            function(tables[index % len(tables)])
        return time.perf_counter() - start

    def predict(self):
        return self.after(np.concatenate([np.asarray(self.function(table), np.float64).reshape(-1)
                                          for table in self.tables]))

    def close(self):
        self.function = None


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
    path_length = _same
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
