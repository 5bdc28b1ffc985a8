# SPDX-License-Identifier: Apache-2.0
"""Rows for the tree benchmarks: synthetic ones, and public sets where a folder holds them (bench/README.md)."""
import csv
import pathlib

import numpy as np

FEATURES = 100


def synthetic(rows, seed):
    """Normal features and a target that depends on all of them, a third of them not linearly."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, FEATURES), np.float32)
    weights = np.random.default_rng(0).normal(size=FEATURES)
    third = FEATURES // 3
    y = x @ weights + 2 * np.sin(2 * x[:, :third]) @ weights[:third]
    y += np.einsum("ij,ij,j->i", x[:, :third], x[:, third:2 * third], weights[third:2 * third])
    return x, (y + rng.normal(size=rows)).astype(np.float32)


def _csv(path, **options):
    with open(path, newline="") as file:
        return [row for row in csv.reader(file, **options) if row]


def _credit(folder):
    """Taiwan credit card default: all columns but the row number and the label."""
    values = np.array(_csv(folder / "uci/UCI_Credit_Card.csv")[1:], np.float32)
    return values[:, 1:-1], values[:, -1]


def _adult(folder):
    """Census income: words become their places in the sorted list of the column's words, "?" is missing."""
    rows = _csv(folder / "uci/adult-train.csv", skipinitialspace=True)
    columns = []
    for column in zip(*rows):
        try:
            columns.append(np.array(column, np.float32))
        except ValueError:
            places = {word: place for place, word in enumerate(sorted(set(column) - {"?"}))}
            columns.append(np.array([places.get(word, np.nan) for word in column], np.float32))
    return np.column_stack(columns[:-1]), columns[-1]


def _binary(folder):
    """LightGBM's own example of two classes."""
    values = np.loadtxt(folder / "lightgbm/binary.train", np.float32)
    return values[:, 1:], values[:, 0]


def _adbench(name):
    def read(folder):
        values = np.array(_csv(folder / f"adbench/{name}.csv")[1:], np.float32)
        return values[:, :-1], values[:, -1]
    return read


REAL = {"credit": _credit, "adult": _adult, "binary": _binary, "shuttle": _adbench("shuttle"),
        "mammography": _adbench("mammography")}


def real(name, folder):
    """(rows, labels) of a public set, or None if the folder does not hold it."""
    if folder is None:
        return None
    try:
        x, y = REAL[name](pathlib.Path(folder))
    except FileNotFoundError:
        return None
    return np.ascontiguousarray(x), y
