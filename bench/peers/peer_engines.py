# SPDX-License-Identifier: Apache-2.0
"""Engines with one model loaded: those with a C entry point through peers.so, the others through Python."""
import ctypes
import gc
import pathlib
import statistics
import sysconfig
import time

import numpy as np

PACKAGES = pathlib.Path(sysconfig.get_path("purelib"))


class Unavailable(Exception):
    """The peer cannot be had or cannot run this model; the text says why."""


class _Request(ctypes.Structure):
    _fields_ = [(name, ctypes.c_char_p) for name in ("engine", "library", "model", "output", "isa")] + [
        (name, ctypes.c_void_p) for name in ("entry", "net")] + [
        (name, ctypes.c_size_t) for name in ("steps", "features", "outputs")] + [("threads", ctypes.c_int),
        ("lengths", ctypes.c_void_p)]


def open_peers(path):
    """peers.so with its functions declared."""
    lib = ctypes.CDLL(str(path))
    pointer, size = ctypes.c_void_p, ctypes.c_size_t
    lib.peer_open.argtypes, lib.peer_open.restype = [ctypes.POINTER(_Request)], pointer
    lib.peer_prepare.argtypes, lib.peer_prepare.restype = [pointer, pointer, size, size], ctypes.c_bool
    lib.peer_count_processor_time.argtypes, lib.peer_count_processor_time.restype = [], None
    lib.peer_time.argtypes, lib.peer_time.restype = [pointer, size], ctypes.c_double
    lib.peer_predict.argtypes, lib.peer_predict.restype = [pointer, pointer], ctypes.c_bool
    lib.peer_message.argtypes, lib.peer_message.restype = [pointer], ctypes.c_char_p
    lib.peer_close.argtypes = [pointer]
    return lib


def count_processor_time(lib):
    """Of calls, from now on: on a machine with other work, what one thread computes."""
    lib.peer_count_processor_time()
    Python.clock = staticmethod(time.process_time)


def resident_bytes():
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * 4096


def same(predictions):
    return predictions


class Native:
    """An engine that is called from C. model: path; entry: a compiled model's function; net: a struct net's address;
    steps: of a row that is a window; lengths: int32, of models that ask how many steps of each prepared row count;
    outputs: how many predictions a row has."""

    in_python = False
    is_lazy = False
    after = staticmethod(same)  # of predictions on another scale than the library's; never part of the time

    def __init__(self, lib, engine, features, threads, library=None, model=None, output=None, isa=None, entry=None,
                 net=None, owner=None, steps=0, outputs=1, lengths=None):
        self.lib = lib
        self.owner = owner  # of the entry's code, of the net's numbers
        self.doubles = engine == "lleaves"
        self.outputs = outputs
        self.lengths = lengths
        texts = [str(text).encode() if text else None for text in (engine, library, model, output, isa)]
        # The engine keeps its texts and lengths.
        self.request = _Request(*texts, entry, net, steps, features, outputs, threads,
                                None if lengths is None else lengths.ctypes.data)
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
        result = np.empty(len(self.x) * self.outputs)
        self._check(self.lib.peer_predict(self.peer, result.ctypes.data))
        return self.after(result)

    def close(self):
        self.lib.peer_close(self.peer)
        self.peer = None


class Python:
    """A function of a table. The time of a call is that of Python's call, what it costs by itself included."""

    clock = staticmethod(time.perf_counter)
    in_python = True
    is_lazy = False  # whether the first call of a size makes what later calls use
    resident = 0

    def __init__(self, load, after=same):
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
        function, tables, clock = self.function, self.tables, self.clock
        start = clock()
        for index in range(calls):
            function(tables[index % len(tables)])
        return clock() - start

    def predict(self):
        return self.after(np.concatenate([np.asarray(self.function(table), np.float64).reshape(-1)
                                          for table in self.tables]))

    def close(self):
        self.function = None
