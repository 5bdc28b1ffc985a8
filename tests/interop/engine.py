# SPDX-License-Identifier: Apache-2.0
"""The engine under test: its C library through ctypes (quick, for hundreds of models), its program for a few."""

import ctypes
import os
import subprocess
import tempfile

import numpy as np
import onnx

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
BUILD = os.environ.get("AUSPEX_BUILD", os.path.join(ROOT, "build", "release"))
PROGRAM = os.environ.get("AUSPEX", os.path.join(BUILD, "bin", "auspex"))
LIBRARY = os.environ.get("AUSPEX_LIBRARY", os.path.join(BUILD, "lib", "libauspex.so"))
MAX_RANK = 8
# enum apx_dtype
DTYPES = {1: np.float32, 2: np.float64, 3: np.int32, 4: np.int64, 5: np.bool_, 6: np.uint8, 7: np.int8}
CODES = {np.dtype(kind): code for code, kind in DTYPES.items()}


class Refused(Exception):
    """The engine answered with an error; its text is the exception's."""


class Error(ctypes.Structure):
    _fields_ = [("status", ctypes.c_int), ("field", ctypes.c_char * 96), ("message", ctypes.c_char * 416)]


class Tensor(ctypes.Structure):
    _fields_ = [("dtype", ctypes.c_int), ("rank", ctypes.c_int), ("dims", ctypes.c_int64 * MAX_RANK),
                ("data", ctypes.c_void_p), ("bytes", ctypes.c_size_t)]


class TensorInfo(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("dtype", ctypes.c_int), ("rank", ctypes.c_int),
                ("dims", ctypes.c_int64 * MAX_RANK), ("dim_names", ctypes.c_char_p * MAX_RANK),
                ("row_axis", ctypes.c_int), ("classes", ctypes.POINTER(ctypes.c_char_p)),
                ("class_count", ctypes.c_size_t)]


class LoadOptions(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("allocator", ctypes.c_void_p), ("device", ctypes.c_char_p),
                ("isa", ctypes.c_char_p), ("precision", ctypes.c_char_p), ("max_file_bytes", ctypes.c_size_t),
                ("trees", ctypes.c_char_p)]


class SessionOptions(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("threads", ctypes.c_int), ("slice_rows", ctypes.c_size_t)]


def open_library():
    library = ctypes.CDLL(LIBRARY)
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    tensors, error = ctypes.POINTER(Tensor), ctypes.POINTER(Error)
    library.apx_model_load_memory.argtypes = [ctypes.c_char_p, size, ctypes.POINTER(LoadOptions),
                                              ctypes.POINTER(pointer), error]
    library.apx_model_destroy.argtypes = [pointer]
    library.apx_session_create.argtypes = [pointer, ctypes.POINTER(SessionOptions), ctypes.POINTER(pointer), error]
    library.apx_session_destroy.argtypes = [pointer]
    for name in ("apx_session_shape", "apx_session_run"):
        getattr(library, name).argtypes = [pointer, tensors, size, tensors, size, error]
    for name in ("apx_model_input_count", "apx_model_output_count"):
        getattr(library, name).argtypes = [pointer]
        getattr(library, name).restype = size
    for name in ("apx_model_input", "apx_model_output"):
        getattr(library, name).argtypes = [pointer, size]
        getattr(library, name).restype = ctypes.POINTER(TensorInfo)
    library.apx_model_rows_are_independent.argtypes = [pointer]
    library.apx_model_rows_are_independent.restype = ctypes.c_bool
    return library


_library = None


def library():
    global _library
    if _library is None:
        _library = open_library()
    return _library


def check(status, error):
    if status != 0:
        raise Refused(f"{error.message.decode(errors='replace')} [{error.field.decode(errors='replace')}]")


class Model:
    """A loaded model, ONNX or the bytes of any file the engine reads; run() on as many threads as asked for.
    trees: "margin" or "leaf" instead of the outputs."""

    def __init__(self, model, isa=None, trees=None):
        self.lib = library()
        data = model.SerializeToString() if isinstance(model, onnx.ModelProto) else model
        self.handle = ctypes.c_void_p()
        self.sessions = {}
        error = Error()
        options = LoadOptions(size=ctypes.sizeof(LoadOptions), device=b"cpu", isa=isa.encode() if isa else None,
                              trees=trees.encode() if trees else None)
        check(self.lib.apx_model_load_memory(data, len(data), ctypes.byref(options), ctypes.byref(self.handle),
                                             ctypes.byref(error)), error)
        self.inputs = [self.lib.apx_model_input(self.handle, k).contents
                       for k in range(self.lib.apx_model_input_count(self.handle))]
        self.outputs = [self.lib.apx_model_output(self.handle, k).contents
                        for k in range(self.lib.apx_model_output_count(self.handle))]
        self.input_names = [info.name.decode() for info in self.inputs]
        self.rows_are_independent = self.lib.apx_model_rows_are_independent(self.handle)

    def close(self):
        for session in self.sessions.values():
            self.lib.apx_session_destroy(session)
        self.sessions = {}
        if self.handle:
            self.lib.apx_model_destroy(self.handle)
            self.handle = ctypes.c_void_p()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def session(self, threads):
        if threads not in self.sessions:
            handle, error = ctypes.c_void_p(), Error()
            options = SessionOptions(size=ctypes.sizeof(SessionOptions), threads=threads)
            check(self.lib.apx_session_create(self.handle, ctypes.byref(options), ctypes.byref(handle),
                                              ctypes.byref(error)), error)
            self.sessions[threads] = handle
        return self.sessions[threads]

    def run(self, inputs, threads=1):
        """Outputs in graph order for a dict of arrays."""
        session = self.session(threads)
        unknown = set(inputs) ^ set(self.input_names)
        if unknown:
            raise Refused(f"the model's inputs are {self.input_names}; given or missing: {sorted(unknown)}")
        arrays = [np.asarray(inputs[name], order="C") for name in self.input_names]  # keeps rank 0
        given = (Tensor * len(arrays))()
        for tensor, array in zip(given, arrays):
            tensor.dtype, tensor.rank = CODES[array.dtype], array.ndim
            tensor.dims[:array.ndim] = array.shape
            tensor.data, tensor.bytes = array.ctypes.data, array.nbytes
        wanted, error = (Tensor * len(self.outputs))(), Error()
        check(self.lib.apx_session_shape(session, given, len(given), wanted, len(wanted), ctypes.byref(error)), error)
        results = []
        for tensor in wanted:
            # Poisoned first, so that a value the engine forgets to write is seen.
            result = np.full(tuple(tensor.dims[:tensor.rank]), 119, DTYPES[tensor.dtype])
            if result.nbytes != tensor.bytes:
                raise Refused(f"an output of {result.nbytes} bytes is announced as {tensor.bytes}")
            tensor.data = result.ctypes.data
            results.append(result)
        check(self.lib.apx_session_run(session, given, len(given), wanted, len(wanted), ctypes.byref(error)), error)
        return [words_of(info, result) for info, result in zip(self.outputs, results)]


def words_of(info, places):
    """What the places mean, where an output's elements stand for words."""
    if not info.classes:
        return places
    return np.array([info.classes[k].decode() for k in range(info.class_count)])[places]


def predict(model, inputs, arguments=()):
    """The same through `auspex predict`, files and all."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.onnx")
        with open(path, "wb") as out:
            out.write(model.SerializeToString())
        command = [PROGRAM, "predict", path, *arguments]
        for k, (name, array) in enumerate(inputs.items()):
            np.save(os.path.join(folder, f"in{k}.npy"), array)
            command += ["--input", f"{name}={os.path.join(folder, f'in{k}.npy')}"]
        names = [value.name for value in model.graph.output]
        for k, name in enumerate(names):
            target = os.path.join(folder, f"out{k}.npy")
            command += ["--output", target if len(names) == 1 else f"{name}={target}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            raise Refused(f"exit status {done.returncode}: {done.stderr.strip()}")
        return [np.load(os.path.join(folder, f"out{k}.npy")) for k in range(len(names))]
