# SPDX-License-Identifier: Apache-2.0
"""Makes tests/golden/xgboost: small files that versions of XGBoost from 1.0 on wrote, with the leaves and margins of
some rows. Old versions need old libraries, so each one runs in a Python environment of its own:

    pip install --target V/2.0.3 --no-deps xgboost==2.0.3
    PYTHONPATH=V/2.0.3 python xgboost_versions.py write FOLDER        for each version; 1.x needs NumPy below 2
    PYTHONPATH=V/3.4.1 python xgboost_versions.py expect FOLDER       once, with the newest

`write` saves the models that the version at hand is wanted for (WANTED), and what it says of ROWS rows. `expect`
collects those answers in expected.txt. Versions before 1.6 summed trees in another order, and the newest is asked in
their place; no other file's answers may differ from the newest's, if it can read the file at all (it cannot read the
vector leaves of 2.0 to 3.1, and ends there).
"""

import json
import os
import sys

import numpy as np

for word, kind in (("bool", bool), ("int", int), ("float", float), ("object", object)):
    if word not in np.__dict__:  # 1.x asks for the names that NumPy had then
        setattr(np, word, kind)
import xgboost as xgb

ROWS = 24
# What is new about the layout of each; pruned: nodes that nothing leads to.
WANTED = {"1.0.2": ["logistic.json"], "1.3.3": ["dart.json", "pruned.json"], "1.7.6": ["classes.ubj", "categories.json"],
          "2.0.3": ["vectors.json"], "2.1.4": ["targets.ubj"], "3.0.5": ["poisson.json", "vectors.ubj"],
          "3.1.3": ["classes.json", "categories.ubj"], "3.2.0": ["dart.ubj", "vectors.json"],
          "3.3.0": ["dart.json", "expectiles.ubj"], "3.4.1": ["dart.ubj", "quantiles.json", "vectors.ubj"]}


def data():
    generator = np.random.RandomState(5)
    x = generator.standard_normal((300, 4)).astype(np.float32)
    x[generator.random_sample(x.shape) < 0.1] = np.nan
    x[:, 3] = np.round(np.abs(np.nan_to_num(x[:, 3])) * 4)
    score = np.nan_to_num(x[:, 0]) + np.sin(x[:, 3]) + 0.3 * np.nan_to_num(x[:, 1])
    return x, score


def models(x, score):
    """name: (parameters, labels, whether column 3 is a category)"""
    two = np.stack([score, 2 * np.cos(score)], 1)
    vectors = {"objective": "reg:squarederror", "multi_strategy": "multi_output_tree", "tree_method": "hist"}
    return {
        "logistic": ({"objective": "binary:logistic"}, (score > 0) * 1.0, False),
        "dart": ({"objective": "reg:squarederror", "booster": "dart", "rate_drop": 0.5, "one_drop": 1}, score, False),
        "pruned": ({"objective": "reg:squarederror", "tree_method": "exact", "gamma": 6}, score, False),
        "classes": ({"objective": "multi:softprob", "num_class": 3, "num_parallel_tree": 2, "subsample": 0.5},
                    np.digitize(score, [-0.5, 1]), False),
        "categories": ({"objective": "reg:squarederror", "tree_method": "approx", "max_cat_to_onehot": 1}, score, True),
        "poisson": ({"objective": "count:poisson"}, np.abs(score).round(), False),
        "targets": ({"objective": "reg:squarederror"}, two, False),
        "vectors": (vectors, two, False),
        "quantiles": ({"objective": "reg:quantileerror", "quantile_alpha": [0.1, 0.5, 0.9]}, score, False),
        "expectiles": ({"objective": "reg:expectileerror", "expectile_alpha": [0.1, 0.5, 0.9]}, score, False),
    }


def answers(booster, x, is_category):
    types = {"feature_types": ["q", "q", "q", "c"], "enable_categorical": True} if is_category else {}
    rows = xgb.DMatrix(x[:ROWS], **types)
    return {"leaf": booster.predict(rows, pred_leaf=True).reshape(ROWS, -1).astype(int).tolist(),
            "margin": [[float(v) for v in row] for row in booster.predict(rows, output_margin=True).reshape(ROWS, -1)]}


def write(folder):
    x, score = data()
    for wanted in WANTED[xgb.__version__]:
        name, form = wanted.split(".")
        given, labels, is_category = models(x, score)[name]
        types = {"feature_types": ["q", "q", "q", "c"], "enable_categorical": True} if is_category else {}
        given = dict(given, max_depth=4 if name == "pruned" else 3, nthread=1, seed=3)
        booster = xgb.train(given, xgb.DMatrix(x, labels, **types), 3)
        path = os.path.join(folder, f"{name}_{xgb.__version__}.{form}")
        booster.save_model(path)
        with open(path + ".answers", "w") as out:
            json.dump(answers(xgb.Booster(model_file=path), x, is_category), out)


def expect(folder):
    x, _ = data()
    with open(os.path.join(folder, "expected.txt"), "w") as out:
        out.write(f"rows {ROWS} 4\n")
        for row in x[:ROWS]:
            out.write(" ".join(f"{v:.9g}" for v in row) + "\n")
        for version, wanted in WANTED.items():
            for word in wanted:
                name, form = word.split(".")
                file = f"{name}_{version}.{form}"
                with open(os.path.join(folder, file + ".answers")) as saved:
                    found = json.load(saved)
                if not (name == "vectors" and version < "3.2"):
                    newest = answers(xgb.Booster(model_file=os.path.join(folder, file)), x, name == "categories")
                    if newest["leaf"] != found["leaf"] or (version >= "1.6" and newest["margin"] != found["margin"]):
                        sys.exit(f"{file}: {xgb.__version__} says something else")
                    found = newest
                out.write(f"model {file} {len(found['margin'][0])} {len(found['leaf'][0])}\n")
                for margin, leaf in zip(found["margin"], found["leaf"]):
                    out.write(" ".join([f"{v:.9g}" for v in margin] + [str(v) for v in leaf]) + "\n")
                os.remove(os.path.join(folder, file + ".answers"))


if __name__ == "__main__":
    {"write": write, "expect": expect}[sys.argv[1]](sys.argv[2])
