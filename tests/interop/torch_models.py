# SPDX-License-Identifier: Apache-2.0
"""Models as PyTorch writes them: recurrent nets and small dense ones, through both of its ONNX exporters.

The older exporter traces and writes states as Shape/Gather/ConstantOfShape chains; the newer one ("dynamo") writes
Shape/Concat/Expand chains and folds directions with Mul/Reshape. Both are common in the field, so each net goes
through both unless it says otherwise.
"""

import io
import logging
import os
import tempfile
import warnings

import numpy as np
import onnx
import torch
from torch import nn

from cases import Case

logging.getLogger("torch.onnx").setLevel(logging.ERROR)
logging.getLogger("torch").setLevel(logging.ERROR)


class Recurrent(nn.Module):
    """A recurrent stack and what people put behind it."""

    def __init__(self, cell="lstm", inputs=4, hidden=8, layers=1, bidirectional=False, batch_first=True, states=False,
                 head="last", dropout=0.0, norm=False, activation=None, outputs=2, bias=True, scaler=False):
        super().__init__()
        kind = {"lstm": nn.LSTM, "gru": nn.GRU}[cell]
        self.cell, self.batch_first, self.states, self.head = cell, batch_first, states, head
        self.rnn = kind(inputs, hidden, layers, batch_first=batch_first, bidirectional=bidirectional,
                        dropout=dropout if layers > 1 else 0.0, bias=bias)
        width = hidden * (2 if bidirectional else 1)
        self.norm = nn.LayerNorm(width) if norm else None
        self.drop = nn.Dropout(dropout) if dropout else None
        self.activation = activation
        self.linear = nn.Linear(width, outputs) if head != "states" else None
        self.directions = 2 if bidirectional else 1
        if scaler:
            self.register_buffer("mean", torch.randn(inputs))
            self.register_buffer("scale", torch.rand(inputs) + 0.5)
        self.scaler = scaler

    def forward(self, x, h0=None, c0=None):
        if self.scaler:
            x = (x - self.mean) / self.scale
        state = None
        if self.states:
            state = (h0, c0) if self.cell == "lstm" else h0
        y, final = self.rnn(x, state)
        hidden = final[0] if self.cell == "lstm" else final
        if self.head == "states":
            return (y, *final) if self.cell == "lstm" else (y, final)
        if self.head == "last":
            z = y[:, -1] if self.batch_first else y[-1]
        elif self.head == "last_slice":
            z = y[:, -1, :] if self.batch_first else y[-1, :, :]
        elif self.head == "hidden":
            z = hidden[-1]
        elif self.head == "hidden_both":
            z = torch.cat((hidden[-2], hidden[-1]), dim=1)
        elif self.head == "mean":
            z = y.mean(dim=1 if self.batch_first else 0)
        elif self.head == "max":
            z = y.max(dim=1 if self.batch_first else 0).values
        elif self.head == "all":
            z = y
        if self.norm is not None:
            z = self.norm(z)
        if self.drop is not None:
            z = self.drop(z)
        z = self.linear(z)
        return self.activation(z) if self.activation is not None else z


class Seq2Seq(nn.Module):
    """An encoder whose last state starts a decoder that is fed the last value at every step."""

    def __init__(self, inputs=3, hidden=8, horizon=4):
        super().__init__()
        self.encoder = nn.LSTM(inputs, hidden, batch_first=True)
        self.decoder = nn.LSTM(inputs, hidden, batch_first=True)
        self.linear = nn.Linear(hidden, 1)
        self.horizon = horizon

    def forward(self, x):
        _, state = self.encoder(x)
        repeated = x[:, -1:, :].repeat(1, self.horizon, 1)
        y, _ = self.decoder(repeated, state)
        return self.linear(y).squeeze(-1)


class Mixed(nn.Module):
    """Embedding-free mix used for forecasting: LSTM, then GRU, a skip connection, a gate."""

    def __init__(self, inputs=5, hidden=8):
        super().__init__()
        self.lstm = nn.LSTM(inputs, hidden, batch_first=True)
        self.gru = nn.GRU(hidden, hidden, batch_first=True)
        self.gate = nn.Linear(hidden, hidden)
        self.norm = nn.LayerNorm(hidden)
        self.out = nn.Linear(hidden, 3)

    def forward(self, x):
        a, _ = self.lstm(x)
        b, _ = self.gru(a)
        z = self.norm(a + b * torch.sigmoid(self.gate(a)))
        return self.out(z[:, -1]), torch.softmax(self.out(z.mean(1)), dim=-1)


class Attention(nn.Module):
    """One score a step, softmax over time, weighted sum: the usual pooling in front of a forecaster's head."""

    def __init__(self, inputs=4, hidden=8):
        super().__init__()
        self.rnn = nn.GRU(inputs, hidden, batch_first=True)
        self.score = nn.Linear(hidden, 1)
        self.out = nn.Linear(hidden, 2)

    def forward(self, x):
        y, _ = self.rnn(x)
        weight = torch.softmax(self.score(y), dim=1)
        return self.out((weight * y).sum(dim=1))


class Packed(nn.Module):
    """Rows of different lengths: the exporter turns the packing into sequence_lens."""

    def __init__(self, cell="lstm", bidirectional=False):
        super().__init__()
        self.rnn = {"lstm": nn.LSTM, "gru": nn.GRU}[cell](3, 8, batch_first=True, bidirectional=bidirectional)
        self.linear = nn.Linear(8, 2)

    def forward(self, x, lengths):
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True)
        # A packed net without initial states crashes the exporter.
        zeros = x.new_zeros(2 if self.rnn.bidirectional else 1, x.size(0), 8)
        _, final = self.rnn(packed, (zeros, zeros) if self.rnn.mode == "LSTM" else zeros)
        hidden = final[0] if isinstance(final, tuple) else final
        return self.linear(hidden[-1])


class Residual(nn.Module):
    """Forecast the change: the last input plus what the net adds."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(2, 8, batch_first=True)
        self.linear = nn.Linear(8, 2)

    def forward(self, x):
        y, _ = self.rnn(x)
        return x[:, -1, :] + torch.clamp(self.linear(torch.relu(y[:, -1, :])), -1.0, 1.0)


def mlp(activation, norm=None, width=16):
    layers = [nn.Linear(6, width)]
    if norm == "batch":
        layers.append(nn.BatchNorm1d(width))
    elif norm == "layer":
        layers.append(nn.LayerNorm(width))
    layers += [activation, nn.Dropout(0.1), nn.Linear(width, 3)]
    return nn.Sequential(*layers)


ACTIVATIONS = {
    "relu": nn.ReLU(), "tanh": nn.Tanh(), "sigmoid": nn.Sigmoid(), "gelu": nn.GELU(), "gelu_tanh": nn.GELU("tanh"),
    "silu": nn.SiLU(), "elu": nn.ELU(), "leakyrelu": nn.LeakyReLU(0.1), "softplus": nn.Softplus(),
    "softsign": nn.Softsign(), "hardsigmoid": nn.Hardsigmoid(), "hardtanh": nn.Hardtanh(), "relu6": nn.ReLU6(),
    "selu": nn.SELU(), "celu": nn.CELU(0.7), "mish": nn.Mish(), "hardswish": nn.Hardswish(), "prelu": nn.PReLU(),
    "softmax": nn.Softmax(dim=1), "logsoftmax": nn.LogSoftmax(dim=1), "logsigmoid": nn.LogSigmoid(), "glu": nn.GLU(),
}


def nets():
    """(name, module, inputs, dynamic axes by input, options)."""
    rows = {0: "batch"}
    both = {0: "batch", 1: "time"}
    rows_second = {1: "batch"}
    listed = []

    def add(name, module, shapes, axes, **options):
        listed.append((name, module, shapes, axes, options))

    for cell in ("lstm", "gru"):
        add(f"{cell}_1", Recurrent(cell), [(3, 10, 4)], [rows])
        add(f"{cell}_2_time", Recurrent(cell, layers=2, dropout=0.2), [(3, 10, 4)], [both])
        add(f"{cell}_3_nobias", Recurrent(cell, layers=3, bias=False, hidden=7), [(3, 6, 4)], [rows])
        add(f"{cell}_bi_hidden", Recurrent(cell, bidirectional=True, head="hidden_both"), [(3, 10, 4)], [both])
        add(f"{cell}_bi_2_all", Recurrent(cell, bidirectional=True, layers=2, head="all"), [(3, 10, 4)], [both])
        add(f"{cell}_timefirst", Recurrent(cell, batch_first=False), [(10, 3, 4)], [rows_second])
        add(f"{cell}_timefirst_free", Recurrent(cell, batch_first=False, layers=2), [(10, 3, 4)],
            [{0: "time", 1: "batch"}])
        state = [(2, 3, 8)] * (2 if cell == "lstm" else 1)
        add(f"{cell}_states", Recurrent(cell, layers=2, states=True, head="states"), [(3, 10, 4)] + state,
            [both] + [rows_second] * len(state))
        add(f"{cell}_stream_1", Recurrent(cell, states=True, head="states"),
            [(3, 1, 4)] + [(1, 3, 8)] * len(state), [rows] + [rows_second] * len(state))
        add(f"{cell}_finals", Recurrent(cell, layers=2, bidirectional=True, head="states"), [(3, 10, 4)], [both])
        add(f"{cell}_norm_drop", Recurrent(cell, norm=True, dropout=0.3, head="last_slice"), [(3, 10, 4)], [both])
        add(f"{cell}_hidden_scaled", Recurrent(cell, layers=2, head="hidden", scaler=True), [(3, 10, 4)], [both])
        add(f"{cell}_mean", Recurrent(cell, head="mean", activation=nn.Sigmoid()), [(3, 10, 4)], [both])
        add(f"{cell}_max", Recurrent(cell, head="max", activation=nn.Softmax(dim=-1)), [(3, 10, 4)], [both])
        add(f"{cell}_fixed", Recurrent(cell), [(3, 10, 4)], [{}])
        add(f"{cell}_packed", Packed(cell), [(3, 10, 3), ("lengths", [10, 7, 2])], [both, rows], only="legacy")
        add(f"{cell}_auto", Recurrent(cell, layers=2), [(3, 10, 4)], [both], only="dynamo", auto=True)
    add("seq2seq", Seq2Seq(), [(3, 10, 3)], [both])
    add("mixed", Mixed(), [(3, 10, 5)], [both])
    add("attention", Attention(), [(3, 10, 4)], [both])
    add("residual", Residual(), [(3, 10, 2)], [both])
    add("mlp_batchnorm", mlp(nn.ReLU(), "batch"), [(3, 6)], [rows])
    add("mlp_layernorm", mlp(nn.GELU(), "layer"), [(3, 6)], [rows])
    wide = nn.Sequential(nn.Flatten(), nn.Linear(30, 16), nn.Tanh(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 1))
    add("window_mlp", wide, [(3, 10, 3)], [rows])
    for name, activation in ACTIVATIONS.items():
        net = nn.Sequential(nn.Linear(6, 8), activation, nn.Linear(4 if name == "glu" else 8, 3))
        add(f"act_{name}", net, [(3, 6)], [rows], only="legacy" if name in ("glu", "celu") else None)
    # The same net as written for older readers, and with the exporter's switches set the other way.
    for opset in (9, 11, 13, 15, 17):
        add(f"lstm_opset{opset}", Recurrent("lstm", layers=2, bidirectional=True), [(3, 10, 4)], [both], only="legacy",
            opset=opset)
        add(f"gru_opset{opset}", Recurrent("gru", layers=2), [(3, 10, 4)], [both], only="legacy", opset=opset)
    for opset in (18, 21, 23):
        add(f"lstm_opset{opset}", Recurrent("lstm", layers=2, bidirectional=True), [(3, 10, 4)], [both], only="dynamo",
            opset=opset)
    add("lstm_nofold", Recurrent("lstm", layers=2), [(3, 10, 4)], [both], only="legacy", fold=False)
    add("gru_nofold", Recurrent("gru", layers=2), [(3, 10, 4)], [both], only="legacy", fold=False)
    add("lstm_initializers_listed", Recurrent("lstm"), [(3, 10, 4)], [both], only="legacy", listed=True)
    add("lstm_unoptimized", Recurrent("lstm", layers=2, norm=True), [(3, 10, 4)], [both], only="dynamo",
        optimize=False)
    add("gru_unoptimized", Recurrent("gru", layers=2, norm=True), [(3, 10, 4)], [both], only="dynamo", optimize=False)
    return listed


def make_inputs(shapes, generator):
    values = []
    for shape in shapes:
        if isinstance(shape[0], str):
            values.append(np.asarray(shape[1], dtype=np.int64))
        else:
            values.append(generator.standard_normal(shape).astype(np.float32))
    return values


def export(exporter, module, values, names, axes, options):
    arguments = tuple(torch.from_numpy(v) for v in values)
    with torch.no_grad():
        result = module(*arguments)
    count = len(result) if isinstance(result, tuple) else 1
    output_names = [f"y{k}" for k in range(count)] if count > 1 else ["y"]
    if exporter == "legacy":
        buffer = io.BytesIO()
        more = {}
        if "opset" in options:
            more["opset_version"] = options["opset"]
        if options.get("listed"):
            more["keep_initializers_as_inputs"] = True
        out_axes = {}
        if axes[0]:
            # The exporter wants outputs named too; leaving them out makes it infer fixed numbers.
            place = [k for k, v in axes[0].items() if v == "batch"][0]
            for name, value in zip(output_names, result if isinstance(result, tuple) else (result,)):
                dims = [k for k, n in enumerate(value.shape) if n == values[0].shape[place]]
                out_axes[name] = {dims[0]: "batch"} if dims else {}
        torch.onnx.export(module, arguments, buffer, dynamo=False, input_names=names, output_names=output_names,
                          dynamic_axes={**{n: a for n, a in zip(names, axes) if a}, **out_axes},
                          do_constant_folding=options.get("fold", True), **more)
        return onnx.load_from_string(buffer.getvalue())
    dims = {}

    def dim(name):
        if options.get("auto"):
            return torch.export.Dim.DYNAMIC
        return dims.setdefault(name, torch.export.Dim(name))

    shapes = tuple({k: dim(v) for k, v in a.items()} for a in axes)
    more = {}
    if "opset" in options:
        more["opset_version"] = options["opset"]
    # Left-over guards of an earlier export of the same class would turn free dimensions into numbers.
    torch.compiler.reset()
    program = torch.onnx.export(module, arguments, dynamo=True, input_names=names, output_names=output_names,
                                dynamic_shapes=shapes, external_data=False, verbose=False,
                                optimize=options.get("optimize", True), **more)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.onnx")
        program.save(path, external_data=False)
        return onnx.load(path)


def strip(model):
    """Notes about the machine that exported it, which no reader needs: source lines, stack traces."""
    del model.metadata_props[:]
    model.doc_string = ""
    graphs = [model.graph] + list(model.functions)
    for graph in graphs:
        graph.doc_string = ""
        for node in graph.node:
            node.doc_string = ""
            del node.metadata_props[:]
    del model.graph.metadata_props[:]
    for value in list(model.graph.input) + list(model.graph.output) + list(model.graph.value_info):
        value.doc_string = ""
        del value.metadata_props[:]
    for tensor in model.graph.initializer:
        tensor.doc_string = ""
        del tensor.metadata_props[:]
    return model


def cases(seed=1, only=None, wanted=None):
    made_by = f"torch {torch.__version__}"
    torch.manual_seed(seed)
    for name, module, shapes, axes, options in nets():
        module.eval()
        for exporter in ("legacy", "dynamo"):
            if options.get("only") not in (None, exporter):
                continue
            full = f"torch_{exporter}_{name}"
            if (only and only not in full) or (wanted is not None and full not in wanted):
                continue
            generator = np.random.default_rng([seed, len(name)])
            values = make_inputs(shapes, generator)
            names = ["x", "h0", "c0"][: len(values)]
            if name.endswith("_packed"):
                names = ["x", "lengths"]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model = strip(export(exporter, module, values, names, axes, options))
            more = []
            for batch, steps in ((1, 5), (9, 17)):
                grown = []
                for value, shape, axis in zip(values, shapes, axes):
                    new = list(value.shape)
                    for k, what in axis.items():
                        new[k] = batch if what == "batch" else steps
                    if value.dtype == np.int64:
                        grown.append(np.sort(generator.integers(1, steps + 1, new))[::-1].copy())
                        grown[-1][0] = steps
                    else:
                        grown.append(generator.standard_normal(new).astype(np.float32))
                if any(axes) and "auto" not in options:
                    more.append(dict(zip(names, grown)))
            yield Case(f"torch {exporter}", full, model, dict(zip(names, values)), made_by, more_inputs=more)
