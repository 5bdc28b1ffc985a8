# SPDX-License-Identifier: Apache-2.0
"""ONNX LSTM and GRU in float64, written from the operator's definition: the judge where ONNX Runtime is not one.

Shapes as in the standard: X [T,B,I] (layout 1: [B,T,I]), W [D,gH,I], R [D,gH,H], B [D,2gH], P [D,3H], states [D,B,H]
(layout 1: [B,D,H]). A row of length n ends after its first n steps: outputs behind are 0 and its final state is that
of step n. The standard leaves open what the final state of an empty row is; ONNX Runtime answers 0 whatever the
initial state was, and so do we. A reversed direction starts at the row's own last step.
"""

import numpy as np


def softplus(x):
    return np.logaddexp(0.0, x)


# name -> (default alpha, default beta, function of x, alpha, beta)
ACTIVATIONS = {
    "Sigmoid": (0.0, 0.0, lambda x, a, b: 0.5 * (1.0 + np.tanh(0.5 * x))),
    "Tanh": (0.0, 0.0, lambda x, a, b: np.tanh(x)),
    "Relu": (0.0, 0.0, lambda x, a, b: np.maximum(x, 0.0)),
    "Affine": (1.0, 0.0, lambda x, a, b: a * x + b),
    "LeakyRelu": (0.01, 0.0, lambda x, a, b: np.where(x >= 0.0, x, a * x)),
    "ThresholdedRelu": (1.0, 0.0, lambda x, a, b: np.where(x > a, x, 0.0)),
    "ScaledTanh": (1.0, 1.0, lambda x, a, b: a * np.tanh(b * x)),
    "HardSigmoid": (0.2, 0.5, lambda x, a, b: np.clip(a * x + b, 0.0, 1.0)),
    "Elu": (1.0, 0.0, lambda x, a, b: np.where(x >= 0.0, x, a * np.expm1(np.minimum(x, 0.0)))),
    "Softsign": (0.0, 0.0, lambda x, a, b: x / (1.0 + np.abs(x))),
    "Softplus": (0.0, 0.0, lambda x, a, b: softplus(x)),
}
TAKES_ALPHA = {"Affine", "LeakyRelu", "ThresholdedRelu", "ScaledTanh", "HardSigmoid", "Elu"}
TAKES_BETA = {"Affine", "ScaledTanh", "HardSigmoid"}


def activation_functions(names, alphas, betas):
    """One function a name; alphas and betas are handed out in order to the names that take them."""
    alphas, betas = list(alphas or []), list(betas or [])
    made = []
    for name in names:
        alpha, beta, function = ACTIVATIONS[name]
        if name in TAKES_ALPHA and alphas:
            alpha = alphas.pop(0)
        if name in TAKES_BETA and betas:
            beta = betas.pop(0)
        made.append(lambda x, f=function, a=alpha, b=beta: f(x, a, b))
    return made


def recurrent(op, x, w, r, b=None, lengths=None, h0=None, c0=None, p=None, direction="forward", activations=None,
              alphas=None, betas=None, clip=None, input_forget=0, linear_before_reset=0, layout=0):
    """Returns [Y, Y_h] for op "GRU", [Y, Y_h, Y_c] for "LSTM"."""
    lstm = op == "LSTM"
    x, w, r = (np.asarray(v, np.float64) for v in (x, w, r))
    if layout == 1:
        x = x.transpose(1, 0, 2)
        h0, c0 = (None if v is None else v.transpose(1, 0, 2) for v in (h0, c0))
    steps, rows, _ = x.shape
    directions, gates_hidden, _ = w.shape
    hidden = r.shape[2]
    per = 3 if lstm else 2
    default = ["Sigmoid", "Tanh", "Tanh"] if lstm else ["Sigmoid", "Tanh"]
    functions = activation_functions(activations or default * directions, alphas, betas)
    lengths = np.full(rows, steps) if lengths is None else np.asarray(lengths)
    bound = (lambda v: v) if clip is None else (lambda v: np.clip(v, -clip, clip))
    y = np.zeros((steps, directions, rows, hidden))
    y_h = np.zeros((directions, rows, hidden))
    y_c = np.zeros((directions, rows, hidden))
    for d in range(directions):
        f, g, last = (functions[d * per:(d + 1) * per] + [None])[:3]
        wb = np.zeros(gates_hidden) if b is None else np.asarray(b[d, :gates_hidden], np.float64)
        rb = np.zeros(gates_hidden) if b is None else np.asarray(b[d, gates_hidden:], np.float64)
        peep = np.zeros((3, hidden)) if p is None else np.asarray(p[d], np.float64).reshape(3, hidden)
        backwards = direction == "reverse" or d == 1
        for row in range(rows):
            h = np.zeros(hidden) if h0 is None else np.asarray(h0[d, row], np.float64)
            c = np.zeros(hidden) if c0 is None else np.asarray(c0[d, row], np.float64)
            order = range(int(lengths[row]))
            for t in reversed(order) if backwards else order:
                a = w[d] @ x[t, row] + wb
                if lstm:
                    i, o, fg, cg = np.split(a + r[d] @ h + rb, 4)
                    i = f(bound(i + peep[0] * c))
                    fg = 1.0 - i if input_forget else f(bound(fg + peep[2] * c))
                    c = fg * c + i * g(bound(cg))
                    o = f(bound(o + peep[1] * c))
                    h = o * last(c)
                else:
                    z, rg, hg = np.split(a, 3)
                    rz, rr, rh = np.split(r[d], 3)
                    bz, br, bh = np.split(rb, 3)
                    z = f(bound(z + rz @ h + bz))
                    rg = f(bound(rg + rr @ h + br))
                    if linear_before_reset:
                        n = g(bound(hg + rg * (rh @ h + bh)))
                    else:
                        n = g(bound(hg + rh @ (rg * h) + bh))
                    h = (1.0 - z) * n + z * h
                y[t, d, row] = h
            if lengths[row] > 0:
                y_h[d, row] = h
                y_c[d, row] = c
    if layout == 1:
        y, y_h, y_c = y.transpose(2, 0, 1, 3), y_h.transpose(1, 0, 2), y_c.transpose(1, 0, 2)
    return [y, y_h, y_c] if lstm else [y, y_h]
