# SPDX-License-Identifier: Apache-2.0
"""Tree models from training to answers, on data: train with XGBoost and LightGBM, `auspex repo add` what they save,
serve it on loopback, send every row through BatchPredict, and compare with the library's own predict(): each
prediction, and the AUC over the half of the rows that was not trained on.

    serve_trees.py [--data DIR] [--trees 100] [--call-rows 1000]

Data: the breast cancer table that scikit-learn brings along, with holes made into it, always; the credit card default
table (UCI 350, Yeh & Lien 2009) if uci/UCI_Credit_Card.csv is below --data, which is AUSPEX_DATA if not given. Needs
grpcio. Ends with "N passed, M failed"; exit status 1 if any failed.
"""

import argparse
import csv
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import lightgbm
import numpy as np
import sklearn.datasets
import sklearn.metrics
import xgboost

from engine import BUILD, ROOT

sys.path.insert(0, os.path.join(ROOT, "serve", "client", "python"))
import auspex_client  # noqa: E402

BIN = pathlib.Path(BUILD) / "bin"
CREDIT = "uci/UCI_Credit_Card.csv"
AUC_TOLERANCE = 1e-9
# XGBoost's probabilities are its margins, which are the same bits, through our own exp: 2 ulp are allowed.
ULPS = {"xgboost": 2, "lightgbm": 2}


class Tally:
    def __init__(self):
        self.passed, self.failures = 0, []

    def check(self, holds, text):
        if holds:
            self.passed += 1
        else:
            self.failures.append(text)
            print(f"  FAILED: {text}")


# ---- data --------------------------------------------------------------------------------------------------------


def breast_cancer():
    """(features, labels): 569 rows, a twentieth of the cells missing."""
    table = sklearn.datasets.load_breast_cancer()
    features = table.data.copy()
    features[np.random.default_rng(3).random(features.shape) < 0.05] = np.nan
    return features, table.target


def credit(path):
    """(features, labels): 30,000 rows, "nan" where a cell is missing."""
    with open(path, newline="") as file:
        reader = csv.reader(file)
        names = next(reader)
        rows = np.array([[float(cell) if cell else np.nan for cell in row] for row in reader])
    return rows[:, names.index("ID") + 1:-1], rows[:, -1].astype(int)


# ---- the libraries -----------------------------------------------------------------------------------------------


def train_xgboost(features, labels, trees):
    return xgboost.train({"objective": "binary:logistic", "max_leaves": 31, "max_depth": 0, "grow_policy": "lossguide",
                          "eta": 0.1, "seed": 1, "nthread": 1}, xgboost.DMatrix(features, labels), trees)


def train_lightgbm(features, labels, trees):
    return lightgbm.train({"objective": "binary", "num_leaves": 31, "learning_rate": 0.1, "seed": 1, "verbose": -1,
                           "num_threads": 1, "min_data_in_leaf": 5}, lightgbm.Dataset(features, labels), trees)


def predict(library, booster, features):
    return booster.predict(xgboost.DMatrix(features)) if library == "xgboost" else booster.predict(features)


LIBRARIES = {  # how to train, what the two versions are saved as, and what the values are
    "xgboost": (train_xgboost, ("booster.json", "booster.ubj"), ("model.json", "model.ubj"), auspex_client.FLOAT32),
    "lightgbm": (train_lightgbm, ("booster.txt", "booster.txt"), ("model.txt", "model.txt"), auspex_client.FLOAT64),
}


# ---- the programs ------------------------------------------------------------------------------------------------


def auspex(*arguments, fails=False):
    done = subprocess.run([str(BIN / "auspex"), *map(str, arguments)], capture_output=True, text=True)
    if (done.returncode != 0) != fails:
        raise RuntimeError(f"auspex {' '.join(map(str, arguments))}: {done.returncode} {done.stderr.strip()}")
    return done.stderr if fails else done.stdout


class Server:
    def __init__(self, folder, repository):
        self.log = open(folder / "log", "w")
        port = folder / "port"
        self.process = subprocess.Popen(
            [str(BIN / "auspex-serve"), "--repository", str(repository), "--listen", "127.0.0.1:0", "--port-file",
             str(port)], stderr=self.log)
        for _ in range(1200):
            if port.exists() or self.process.poll() is not None:
                break
            time.sleep(0.05)
        if not port.exists():
            raise RuntimeError(f"auspex-serve did not start: {(folder / 'log').read_text()}")
        self.target = f"127.0.0.1:{int(port.read_text())}"

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.process.terminate()
        self.process.wait(30)
        self.log.close()


def ask(client, model, features, value_type, call_rows):
    """(predictions, status bytes, versions that answered, seconds of each call)"""
    answers, status, versions, took = [], b"", set(), []
    for first in range(0, len(features), call_rows):
        start = time.perf_counter()
        result = client.batch_predict(model, features[first:first + call_rows], value_type=value_type,
                                      output_type=value_type, timeout=60)
        took.append(time.perf_counter() - start)
        answers.append(np.asarray(result.values))
        status += result.status
        versions.add(result.version)
    return np.concatenate(answers), status, versions, took


def wait_for_version(client, model, version, row):
    for _ in range(200):
        if client.batch_predict(model, row).version == version:
            return True
        time.sleep(0.05)
    return False


def ulps_apart(a, b):
    """The largest distance in units of the last place."""
    kind = {4: np.int32, 8: np.int64}[a.dtype.itemsize]
    if a.dtype != b.dtype or a.shape != b.shape:
        return np.inf
    # All predictions are probabilities: bits of one sign are ordered as the numbers are.
    return int(np.abs(a.view(kind).astype(np.int64) - b.view(kind).astype(np.int64)).max(initial=0))


# ---- one model ---------------------------------------------------------------------------------------------------


def compare(tally, client, model, library, version, booster, features, labels, value_type, call_rows):
    want = predict(library, booster, features)
    got, status, versions, took = ask(client, model, features, value_type, call_rows)
    apart = ulps_apart(got, want)
    auc, reference = (float(sklearn.metrics.roc_auc_score(labels[1::2], scores[1::2])) for scores in (got, want))
    tally.check(versions == {version}, f"{model}: version {versions} answered instead of {version}")
    tally.check(status == bytes(len(features)), f"{model}: some rows are marked, and a missing value is no error")
    tally.check(apart <= ULPS[library], f"{model} version {version}: {apart} ulp from {library}'s predict()")
    tally.check(abs(auc - reference) <= AUC_TOLERANCE, f"{model} version {version}: AUC {auc}, {library}'s is {reference}")
    calls = np.array(took) * 1e6
    latency = (f"; calls of {call_rows} rows: p50 {np.median(calls):.0f} us, p99 {np.quantile(calls, 0.99):.0f} us"
               if len(calls) >= 10 else "")
    same = int((got == want).sum())
    print(f"  {model:<16} version {version}: {len(features)} rows, {same} of them bit-equal, at most {apart} ulp apart; "
          f"AUC {auc:.9f}, {library} {reference:.9f}{latency}", flush=True)
    return got


def check_types(tally, client, model, library, booster, features):
    """Values of the other type: float32 goes to LightGBM as it is, float64 to XGBoost rounded."""
    rows = features[:500] * 1.0000001  # more bits than float32 has
    narrow = rows.astype(np.float32)
    if library == "lightgbm":
        want = booster.predict(narrow.astype(np.float64)).astype(np.float32)
        got, _, _, _ = ask(client, model, rows, auspex_client.FLOAT32, 250)
    else:
        want = booster.predict(xgboost.DMatrix(narrow)).astype(np.float64)
        got, _, _, _ = ask(client, model, rows, auspex_client.FLOAT64, 250)
    tally.check(got.dtype == want.dtype and np.array_equal(got, want), f"{model}: other predictions from {got.dtype}")


def refuse_damage(tally, folder, repository, model, path):
    """A file cut short never becomes a version; a version damaged later is never promoted."""
    cut = folder / f"cut-{path.name}"
    cut.write_bytes(path.read_bytes()[:path.stat().st_size // 2])
    message = auspex("repo", "add", "--repository", repository, "--model", model, cut, fails=True)
    tally.check(cut.name in message and len(message.splitlines()) == 1, f"{model}: refused with {message!r}")
    versions = json.loads(auspex("repo", "list", "--repository", repository, "--model", model, "--json"))[0]["versions"]
    tally.check(len(versions) == 2, f"{model}: a damaged file became a version: {versions}")
    return [version["file"] for version in versions]


def check_data(tally, folder, name, features, labels, trees, call_rows):
    print(f"{name}: {features.shape[0]} rows, {features.shape[1]} features, {int(np.isnan(features).sum())} cells missing")
    repository = folder / "models"
    boosters = {}
    for library, (train, saved, stored, value_type) in LIBRARIES.items():
        model = f"{name}-{library}"
        boosters[model] = [train(features[::2], labels[::2], count) for count in (trees // 2, trees)]
        for booster, file in zip(boosters[model], saved):
            path = folder / f"{model}-{file}"
            booster.save_model(str(path))
            auspex("repo", "add", "--repository", repository, "--model", model, path)
        files = refuse_damage(tally, folder, repository, model, path)
        tally.check(files == list(stored), f"{model}: stored as {files}")
        tally.check("is whole" in auspex("repo", "verify", "--repository", repository, "--model", model), "verify")
    with Server(folder, repository) as server, auspex_client.Client(server.target) as client:
        for library, (train, saved, stored, value_type) in LIBRARIES.items():
            model = f"{name}-{library}"
            first, second = boosters[model]
            arguments = features, labels, value_type, call_rows
            before = compare(tally, client, model, library, "1", first, *arguments)
            auspex("repo", "promote", "--repository", repository, "--model", model, "--version", "2")
            tally.check(wait_for_version(client, model, "2", features[:1]), f"{model}: version 2 is not served")
            compare(tally, client, model, library, "2", second, *arguments)
            check_types(tally, client, model, library, second, features)
            auspex("repo", "rollback", "--repository", repository, "--model", model)
            tally.check(wait_for_version(client, model, "1", features[:1]), f"{model}: the rollback did not arrive")
            again, _, _, _ = ask(client, model, features, value_type, call_rows)
            tally.check(again.tobytes() == before.tobytes(), f"{model}: version 1 is not what it was")
            alone, _, _, _ = ask(client, model, features[:20], value_type, 1)
            tally.check(alone.tobytes() == before[:20].tobytes(), f"{model}: a row alone differs from it in a batch")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=os.environ.get("AUSPEX_DATA"), metavar="DIR")
    parser.add_argument("--trees", type=int, default=100)
    parser.add_argument("--call-rows", type=int, default=1000)
    arguments = parser.parse_args()
    tally = Tally()
    with tempfile.TemporaryDirectory() as folder:
        tables = {"cancer": breast_cancer()}
        path = pathlib.Path(arguments.data or "/nowhere") / CREDIT
        if path.exists():
            tables["credit"] = credit(path)
        else:
            print(f"SKIPPED: credit card default: {CREDIT} is not below "
                  f"{arguments.data or 'AUSPEX_DATA, which is not set'}")
        for name, (features, labels) in tables.items():
            work = pathlib.Path(folder) / name
            work.mkdir()
            check_data(tally, work, name, features, labels, arguments.trees, arguments.call_rows)
    print(f"\n{tally.passed} passed, {len(tally.failures)} failed")
    sys.exit(1 if tally.failures else 0)


if __name__ == "__main__":
    main()
