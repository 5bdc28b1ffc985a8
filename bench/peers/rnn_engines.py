# SPDX-License-Identifier: Apache-2.0
"""The engines that run a network."""
import ctypes
import json
import pathlib
import subprocess
import sys

import numpy as np

import rnn_models
from peer_engines import PACKAGES, Native, Python, Unavailable

PEAKS = ("fma-avx2", "fma-avx512", "maddubs-avx2", "maddubs-avx512", "vpdpbusd-avx512")
# By what peers may be told to keep to: oneDNN's dnnl_cpu_isa_t; the width of the vectors that torch.compile writes.
ONEDNN_ISAS, VECTOR_BITS = {"avx2": 0x7}, {"avx2": 256}
# Libraries of oneDNN, the newest first.
ONEDNN = {"oneDNN 3.6": PACKAGES / "paddle/libs/libdnnl.so.3", "oneDNN 3.2": pathlib.Path(sys.prefix) / "lib/libdnnl.so.3"}


class _Layer(ctypes.Structure):
    _fields_ = [("kind", ctypes.c_int), ("relu", ctypes.c_int), ("inputs", ctypes.c_size_t), ("units", ctypes.c_size_t)] + [
        (name, ctypes.c_void_p) for name in ("w", "r", "bias", "largest")]


class _Net(ctypes.Structure):
    _fields_ = [("count", ctypes.c_size_t), ("layers", ctypes.POINTER(_Layer)), ("int8", ctypes.c_int)]


NET_LSTM, NET_GRU, NET_DENSE = range(3)


class Net:
    """The weights as rnn_net.h has them; `address` is valid as long as this lives."""

    def __init__(self, case, int8):
        self.arrays, layers = [], []
        for layer in rnn_models.layers_of(case):
            if isinstance(layer, rnn_models.Dense):
                units, inputs = layer.w.shape
                layers.append(_Layer(NET_DENSE, layer.relu, inputs, units, self._kept(layer.w), None, self._kept(layer.b), None))
                continue
            is_lstm = case.cell == "lstm"
            order = [0, 2, 3, 1] if is_lstm else [0, 1, 2]  # input, forget, cell, output; update, reset, candidate
            w, r, wb, rb = (part[order] for part in (layer.w, layer.r, layer.wb, layer.rb))
            bias = wb + rb if is_lstm else np.concatenate([wb[:2] + rb[:2], wb[2:], rb[2:]])
            largest = np.maximum(np.abs(w).max(axis=2), np.abs(r).max(axis=2))
            layers.append(_Layer(NET_LSTM if is_lstm else NET_GRU, 0, w.shape[2], w.shape[1], self._kept(w.transpose(2, 0, 1)),
                                 self._kept(r.transpose(2, 0, 1)), self._kept(bias), self._kept(largest)))
        self.layers = (_Layer * len(layers))(*layers)
        self.net = _Net(len(layers), self.layers, int8)
        self.address = ctypes.addressof(self.net)

    def _kept(self, array):
        self.arrays.append(np.ascontiguousarray(array, np.float32))
        return self.arrays[-1].ctypes.data


class Torch(Python):
    """Tensors of a call are made beforehand."""

    is_lazy = True

    def __init__(self, load, lengths=None):
        super().__init__(load)
        self.lengths = lengths

    def prepare(self, x, rows):
        import torch
        places = range(0, len(x) - rows + 1, rows)
        self.tables = [torch.from_numpy(x[at:at + rows]) for at in places]
        if self.lengths is not None:
            counted = [torch.from_numpy(self.lengths[at:at + rows].astype(np.int64)) for at in places]
            self.tables = list(zip(self.tables, counted))

    def time(self, calls):
        import torch
        with torch.inference_mode():
            return super().time(calls)

    def predict(self):
        import torch
        with torch.inference_mode():
            return np.concatenate([self.function(table).double().numpy().reshape(-1) for table in self.tables])


def torch_module(case):
    """The network in PyTorch, with the same weights; equal layers in one module, as one would write it."""
    import torch
    layers = rnn_models.layers_of(case)
    recurrent = [layer for layer in layers if isinstance(layer, rnn_models.Recurrent)]
    groups = []
    for layer in recurrent:
        if groups and groups[-1][0].r.shape == layer.r.shape:
            groups[-1].append(layer)
        else:
            groups.append([layer])

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            make = torch.nn.LSTM if case.cell == "lstm" else torch.nn.GRU
            self.recurrent = torch.nn.ModuleList(make(group[0].w.shape[2], group[0].w.shape[1], len(group), batch_first=True)
                                                 for group in groups)
            head, inner = [], case.units[-1]
            for units in case.dense:
                head += [torch.nn.Linear(inner, units), torch.nn.ReLU()]
                inner = units
            self.head = torch.nn.Sequential(*head[:-1])

        def forward(self, x):
            for layers in self.recurrent:
                x = layers(x)[0]
            return self.head(x[:, -1])

        def of_lengths(self, table):
            x, lengths = table
            x = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            for layers in self.recurrent:
                x, last = layers(x)
            return self.head((last[0] if case.cell == "lstm" else last)[-1])

    network = Network().eval()
    order = [0, 2, 3, 1] if case.cell == "lstm" else [1, 0, 2]  # input, forget, cell, output; reset, update, candidate
    with torch.no_grad():
        for module, group in zip(network.recurrent, groups):
            for index, layer in enumerate(group):
                for name, values in (("weight_ih", layer.w), ("weight_hh", layer.r), ("bias_ih", layer.wb), ("bias_hh", layer.rb)):
                    parameter = getattr(module, f"{name}_l{index}")
                    parameter.copy_(torch.from_numpy(values[order].reshape(parameter.shape)))
        dense = [layer for layer in layers if isinstance(layer, rnn_models.Dense)]
        for module, layer in zip((m for m in network.head if isinstance(m, torch.nn.Linear)), dense):
            module.weight.copy_(torch.from_numpy(layer.w))
            module.bias.copy_(torch.from_numpy(layer.b))
    return network


def _torch(case, threads, cap, lengths, change):
    def make():
        try:
            import torch  # no part of loading the model
            import torch._inductor.config
        except ImportError as error:
            raise Unavailable("its package is not there") from error
        if cap and torch.backends.cpu.get_cpu_capability() != cap.upper():
            raise Unavailable(f"it uses {torch.backends.cpu.get_cpu_capability()} all the same")
        torch._inductor.config.cpp.simdlen = VECTOR_BITS.get(cap)

        def load():
            torch.set_num_threads(threads)
            with torch.no_grad():
                network = change(torch_module(case))
                return network if lengths is None else network.of_lengths
        return Torch(load, lengths)
    return make


def _compiled(network):
    import torch
    import torch._dynamo
    import torch._inductor.config
    torch._dynamo.config.allow_rnn = True  # otherwise a compiled LSTM is an eager one
    torch._dynamo.config.recompile_limit = 64
    torch._inductor.config.freezing = True  # packs weights beforehand
    return torch.compile(network, dynamic=False)


def _quantized(network):
    import torch
    from torch.ao.quantization import quantize_dynamic
    return quantize_dynamic(network, {torch.nn.LSTM, torch.nn.GRU, torch.nn.Linear}, dtype=torch.qint8)


def plan(program, model, isa):
    """The kernel rows that Auspex runs a model with, as `auspex inspect` tells."""
    done = subprocess.run([str(program), "inspect", str(model), "--json", "--isa", isa], capture_output=True, text=True)
    steps = json.loads(done.stdout).get("steps", []) if done.returncode == 0 else []
    return sorted({step["kernel"] for step in steps if step.get("kernel")})


def makers(case, folder, lib, settings, lengths=None):
    """(engine, precision, file, function that opens it) of each, Auspex's first; and after them the processor's peaks.
    settings: threads, isas; cap: what peers were told to keep to, or None. lengths: of the rows that will be prepared; only
    engines that can be told them."""
    threads, isas, cap = (settings[name] for name in ("threads", "isas", "cap"))
    failed = json.loads((folder / "about.json").read_text())["failed"]
    stem = rnn_models.FULL if lengths is None else rnn_models.WITH_LENGTHS
    model, runtime_int8 = f"{stem}.onnx", stem + rnn_models.RUNTIME_INT8
    shape = {"features": case.inputs, "steps": case.steps, "outputs": case.outputs, "threads": threads}

    def of_c(engine, file=model, net=None, **options):
        def make():
            if file in failed:
                raise Unavailable(failed[file])
            numbers = {"net": net.address, "owner": net} if net else {"model": folder / file}
            return Native(lib, engine, lengths=lengths, **shape, **numbers, **options)
        return make

    def of_onednn(library, int8):
        if not library.exists():
            raise Unavailable("its package is not there")
        if cap and ctypes.CDLL(str(library)).dnnl_get_effective_cpu_isa() != ONEDNN_ISAS[cap]:
            raise Unavailable(f"it uses more than {cap.upper()} all the same")
        return of_c("onednn", net=Net(case, int8), library=library)()

    runtime = next((PACKAGES / "onnxruntime/capi").glob("libonnxruntime.so.*"), None)

    def of_runtime(file):
        if cap:
            raise Unavailable(f"it cannot be kept to {cap.upper()}")
        if runtime is None:
            raise Unavailable("its package is not there")
        if file != model and case.cell == "gru":
            raise Unavailable("its quantiser leaves a GRU as it is")
        return of_c("onnxruntime", file, library=runtime, output="forecast")()

    result = [(f"Auspex {isa}", "fp32", model, of_c("auspex", isa=isa, output="forecast"))
              for isa in isas if isa != "avx512vnni"]
    result.append(("ONNX Runtime", "fp32", model, lambda: of_runtime(model)))
    if lengths is None:
        result += [(name, "fp32", model, lambda library=library: of_onednn(library, 0)) for name, library in ONEDNN.items()]
    result.append(("PyTorch", "fp32", model, _torch(case, threads, cap, lengths, lambda network: network)))
    if lengths is None:
        result.append(("PyTorch compiled", "fp32", model, _torch(case, threads, cap, None, _compiled)))
    for levels, name in rnn_models.LEVELS.items():
        # The lesser levels are there for processors without VNNI.
        for isa in isas:
            if isa == isas[0] and levels == 127 or isa == "avx2":
                result.append((f"Auspex {isa}", "int8" if levels == 127 else "int7", stem + name,
                               of_c("auspex", stem + name, isa=isa, output="forecast")))
    result.append(("ONNX Runtime", "int8", runtime_int8, lambda: of_runtime(runtime_int8)))
    if lengths is None:
        result += [(name, "int8", model, lambda library=library: of_onednn(library, 1)) for name, library in ONEDNN.items()]
    result.append(("PyTorch", "int8", model, _torch(case, threads, cap, lengths, _quantized)))
    if lengths is not None:
        return result
    peak = {**shape, "outputs": 1}
    result += [(f"peak {name}", "peak", "", lambda name=name: Native(lib, "peak", **peak, model=name))
               for name in PEAKS if not cap or name.endswith(cap)]
    return result
