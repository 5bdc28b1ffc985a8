# SPDX-License-Identifier: Apache-2.0
"""The same row gives the same bits: alone, in a batch of a thousand, first or last, on 1, 2 or 4 threads."""

import numpy as np

import engine

ROWS = 1000


def batch_axes(case):
    """Where rows are counted: {input or output name: axis}, from the free dimension named "batch"."""
    initializers = {tensor.name for tensor in case.model.graph.initializer}
    axes = {}
    for value in list(case.model.graph.input) + list(case.model.graph.output):
        if value.name in initializers:
            continue
        for k, dim in enumerate(value.type.tensor_type.shape.dim):
            if dim.dim_param == "batch":
                axes[value.name] = k
    return axes


def grow(case, axes, generator):
    """The case's inputs with ROWS rows: every other extent as it was, values drawn anew."""
    grown = {}
    for name, value in case.inputs.items():
        shape = list(value.shape)
        shape[axes[name]] = ROWS
        if value.dtype.kind == "i":
            grown[name] = generator.integers(value.min(), value.max() + 1, shape).astype(value.dtype)
        else:
            grown[name] = generator.standard_normal(shape).astype(value.dtype)
    return grown


def differences(case, seed=1):
    """None if the model has no free batch; else a list of texts, empty where all bits agree."""
    axes = batch_axes(case)
    output_names = [value.name for value in case.model.graph.output]
    if not all(name in axes for name in list(case.inputs) + output_names):
        return None
    generator = np.random.default_rng([seed, ROWS])
    inputs = grow(case, axes, generator)
    found = []
    with engine.Model(case.model) as model:
        whole = model.run(inputs, threads=1)
        for threads in (2, 4):
            for name, one, other in zip(output_names, whole, model.run(inputs, threads=threads)):
                if one.tobytes() != other.tobytes():
                    found.append(f"{case.name}: {name} differs between 1 and {threads} threads")
        picks = [0, 1, 7, 8, 15, 16, 500, ROWS - 1]
        for count in (1, 3):
            for row in picks:
                rows = np.arange(row, row + count) % ROWS
                part = {name: np.take(value, rows, axes[name]) for name, value in inputs.items()}
                for name, one, other in zip(output_names, whole, model.run(part, threads=1)):
                    if np.take(one, rows, axes[name]).tobytes() != other.tobytes():
                        found.append(f"{case.name}: {name} of row {row} differs in a batch of {count}")
    return found
