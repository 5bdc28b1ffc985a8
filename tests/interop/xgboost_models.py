# SPDX-License-Identifier: Apache-2.0
"""Random models of XGBoost, read from the JSON and the UBJSON that it saves: every objective, gbtree and dart, forests,
classes, targets, vector leaves, categories, missing values, all forms of base_score. Rows stand on the models' own
thresholds and one unit beside them, and on categories at, between and beyond the known ones. Infinities are left to
the tests in C: XGBoost refuses to predict rows that hold them."""

import json
import warnings

import numpy as np
import pandas
import xgboost as xgb

from tree_check import TreeCase

FAMILY = "XGBoost, in ulps"
ROWS = 160  # of each set of queries
VERSION = tuple(int(part) for part in xgb.__version__.split(".")[:2])
LOGISTIC = ["binary:logistic", "reg:logistic"]
POSITIVE = ["count:poisson", "reg:gamma", "reg:tweedie"]
RANK = ["rank:pairwise", "rank:ndcg", "rank:map"]
OBJECTIVES = ["reg:squarederror", "reg:squaredlogerror", "reg:pseudohubererror", "reg:absoluteerror", "reg:quantileerror",
              "binary:logitraw", "binary:hinge", "multi:softmax", "multi:softprob", "survival:cox", "survival:aft", "own"]
OBJECTIVES += LOGISTIC + POSITIVE + RANK + (["reg:expectileerror"] if VERSION >= (3, 3) else [])
TARGETS = ["reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror", "binary:logistic"]  # several at once
VECTORS = ["reg:squarederror", "multi:softprob", "binary:logistic"]  # vector leaves
CODES = [-1.0, -0.5, -1e-30, 0.0, -0.0, 0.5, 0.99999994, 1.0, 1.5, 31.0, 32.0, 33.0, 63.99, 2.0 ** 24 - 1, 2.0 ** 24,
         2.0 ** 31, 2.0 ** 32, 1e30, np.nan]
SPECIAL = [0.0, -0.0, 1e-45, -1e-45, 1e-40, -1e-40, 1.1754944e-38, 3.4e38, -3.4e38, np.nan, np.nan, 1e-10, 1.0, -1.0]


def own_objective(predictions, data):
    label = data.get_label()
    return (predictions.reshape(len(label), -1) - label[:, None]).ravel(), np.ones(predictions.size)


def features(generator, rows, columns, categorical):
    """Columns of several kinds: real, integers, mostly zero, denormal, a few values; codes of categories; NaN in some."""
    x = np.empty((rows, columns), np.float32)
    for j in range(columns):
        kind = generator.integers(6)
        if j in categorical:
            x[:, j] = np.minimum(generator.geometric(generator.choice([0.5, 0.1, 0.02]), rows) - 1, 200)
        elif kind == 0:
            x[:, j] = generator.integers(-3, 9, rows)
        elif kind == 1:
            x[:, j] = generator.standard_normal(rows) * (generator.random(rows) < 0.4)
        elif kind == 2:
            x[:, j] = generator.standard_normal(rows) * 1e-38
        elif kind == 3:
            x[:, j] = generator.choice(generator.standard_normal(4), rows)
        else:
            x[:, j] = generator.standard_normal(rows) * 10.0 ** generator.integers(-3, 6)
        if generator.random() < 0.5:
            x[generator.random(rows) < generator.choice([0.02, 0.3]), j] = np.nan
    return x


def labels(generator, objective, score, classes, targets):
    score = score + 0.3 * generator.standard_normal(len(score))
    if objective.startswith("multi"):
        y = np.digitize(score, np.quantile(score, np.linspace(0, 1, classes + 1)[1:-1])).astype(float)
        y[:classes] = np.arange(classes)
        return y
    if objective in RANK:
        return np.clip(np.round(score), 0, 1) if objective == "rank:map" else np.clip(np.round(score + 2), 0, 4)
    if objective.startswith("binary"):
        y = (score > 0).astype(float)
    elif objective == "reg:logistic":
        y = 1 / (1 + np.exp(-score))
    elif objective in POSITIVE or objective == "reg:squaredlogerror":
        y = np.exp(np.clip(score, -3, 3)) + 0.01
    elif objective == "survival:cox":
        y = np.where(generator.random(len(score)) < 0.3, -1, 1) * (np.exp(np.clip(score, -3, 3)) + 0.01)
    else:
        y = score * generator.choice([1e-3, 1, 100])
    if targets > 1:
        y = np.stack([y] + [1 - y if objective.startswith("binary") else y * k - 1 for k in range(2, targets + 1)], 1)
    return y


def base_of(generator, objective):
    if objective in LOGISTIC:
        return generator.choice([0.5, 0.1, 0.987654, 1e-5, 0.99999, 0.3333333])
    if objective in POSITIVE or objective.startswith("survival"):
        return generator.choice([0.5, 1.0, 1e-3, 123.456])
    return generator.choice([0.0, 0.5, -1.25, 1e-3, 12345.678])


def parameters(generator, number, columns):
    """(XGBoost's parameters, kind): every objective comes round, with one way or another to grow trees."""
    objective, kind = OBJECTIVES[number % len(OBJECTIVES)], "plain"
    if number % 7 == 3 and objective in TARGETS:
        kind = "targets"
    elif number % 5 == 1 and objective in VECTORS or objective in VECTORS and generator.random() < 0.3:
        kind = "vectors"
    given = {"nthread": 1, "seed": int(generator.integers(1 << 20)), "verbosity": 0,
             "tree_method": str(generator.choice(["hist", "exact", "approx"])),
             "max_depth": int(generator.choice([1, 2, 3, 4, 6, 8, 12])),
             "learning_rate": float(generator.choice([0.05, 0.3, 1.0])),
             "min_child_weight": float(generator.choice([0, 1, 5])), "gamma": float(generator.choice([0, 0, 0.1, 3])),
             "max_bin": int(generator.choice([2, 5, 64, 256])), "max_cat_to_onehot": int(generator.choice([1, 4, 1000])),
             "subsample": float(generator.choice([1, 0.7])), "reg_lambda": float(generator.choice([0, 1]))}
    if objective != "own":
        given["objective"] = objective
    if kind == "vectors":
        given.update(multi_strategy="multi_output_tree", tree_method="hist")
    elif generator.random() < 0.3:
        given.update(booster="dart", rate_drop=0.4, one_drop=1, sample_type=str(generator.choice(["uniform", "weighted"])),
                     normalize_type=str(generator.choice(["tree", "forest"])))
    if given["tree_method"] != "exact" and generator.random() < 0.4:
        given.update(grow_policy="lossguide", max_leaves=int(generator.choice([2, 7, 31, 255])))
    if generator.random() < 0.25 and kind != "vectors":
        given.update(num_parallel_tree=int(generator.integers(2, 5)), subsample=0.6, colsample_bynode=0.7)
    if objective.startswith("multi"):
        given["num_class"] = int(generator.choice([2, 3, 5]))
    if objective == "reg:quantileerror":
        given["quantile_alpha"] = [float(a) for a in ([0.5], [0.1, 0.5, 0.9], [0.9, 0.2])[generator.integers(3)]]
    if objective == "reg:expectileerror":
        given["expectile_alpha"] = [float(a) for a in ([0.5], [0.1, 0.5, 0.9])[generator.integers(2)]]
    if generator.random() < 0.5 and objective != "reg:expectileerror":
        given["base_score"] = float(base_of(generator, objective))
    return given, objective, kind


def matrix(x, categorical, y=None, objective=""):
    types = ["c" if j in categorical else "q" for j in range(x.shape[1])] if categorical else None
    data = xgb.DMatrix(x, label=y, feature_types=types, enable_categorical=bool(categorical), nthread=1)
    if y is not None and objective in RANK:
        data.set_group([20] * (len(x) // 20))
    if y is not None and objective == "survival:aft":
        low = np.exp(np.clip(y, -3, 3))
        data.set_float_info("label_lower_bound", low)
        data.set_float_info("label_upper_bound", np.where(low < 1, low, np.inf))
    return data


def train(generator, number):
    """(booster, rows it saw, columns of categories, objective)"""
    rows, columns = int(generator.choice([60, 300, 1000])), int(generator.integers(1, 9))
    given, objective, kind = parameters(generator, number, columns)
    categorical = [j for j in range(columns) if generator.random() < 0.3]
    if given["tree_method"] == "exact" or kind == "vectors" and VERSION < (3, 0):
        categorical = []
    x = features(generator, rows, columns, categorical)
    clean = np.nan_to_num(x, nan=0.5).astype(float)
    score = sum(np.sin(clean[:, j] * generator.standard_normal()) for j in range(columns))
    vectors = kind == "vectors" and not objective.startswith("multi")
    y = labels(generator, objective, score - np.median(score), given.get("num_class", 1),
               int(generator.integers(2, 5)) if kind == "targets" or vectors else 1)
    data = matrix(x, categorical, y, objective)
    booster = xgb.train(given, data, int(generator.integers(0 if number % 40 == 7 else 1, 20)),
                        obj=own_objective if objective == "own" else None)
    if number % 20 == 11 and kind == "plain" and "booster" not in given and booster.num_boosted_rounds() > 0:
        booster = xgb.train(dict(given, process_type="update", updater="refresh,prune", gamma=5.0, refresh_leaf=1),
                            data, booster.num_boosted_rounds(), xgb_model=booster,
                            obj=own_objective if objective == "own" else None)
    return booster, x, categorical, objective


def thresholds(booster, columns):
    """What each feature is compared with, over all trees: numbers, or the categories of a set."""
    model = json.loads(bytes(booster.save_raw("json")).decode())["learner"]["gradient_booster"]
    model = model.get("gbtree", model)["model"]
    found = [{0.0} for _ in range(columns)]
    for tree in model["trees"]:
        for left, feature, condition, kind in zip(tree["left_children"], tree["split_indices"], tree["split_conditions"],
                                                  tree["split_type"]):
            if left != -1 and feature < columns and not kind:
                found[feature].add(condition)
        for node, begin, size in zip(tree["categories_nodes"], tree["categories_segments"], tree["categories_sizes"]):
            if tree["split_indices"][node] < columns:
                found[tree["split_indices"][node]].update(float(c + d) for c in tree["categories"][begin:begin + size]
                                                          for d in (-1, -0.5, 0, 0.25, 1))
    return [np.array(sorted(f), np.float32) for f in found]


def queries(generator, booster, x, categorical):
    """Rows on and beside thresholds, special values, and rows like those of the training."""
    rows, columns = ROWS, x.shape[1]
    on = thresholds(booster, columns)
    q = x[generator.integers(len(x), size=rows)].copy()
    for j in range(columns):
        t = generator.choice(on[j], rows)
        ways = generator.choice(np.array([-np.inf, np.inf], np.float32), rows)
        beside = np.where(generator.random(rows) < 0.5, t, np.nextafter(t, ways))
        special = generator.choice(CODES if j in categorical or generator.random() < 0.2 else SPECIAL, rows)
        near = np.nan_to_num(np.round(q[:, j])) + generator.integers(-2, 3, rows)
        pick = generator.random(rows)
        if j in categorical:
            q[:, j] = np.select([pick < 0.3, pick < 0.5, pick < 0.8], [q[:, j], near, t], special)
        else:
            q[:, j] = np.select([pick < 0.6, pick < 0.7, pick < 0.75], [beside, q[:, j], near], special)
    q[~np.isfinite(q)] = np.nan
    return q


def answers(booster, data, objective):
    def shaped(values):
        return np.asarray(values).reshape(data.num_row(), -1)

    found = {"": shaped(booster.predict(data)), "margin": shaped(booster.predict(data, output_margin=True))}
    if booster.num_boosted_rounds() > 0:
        found["leaf"] = shaped(booster.predict(data, pred_leaf=True)).astype(np.int32)
    if objective == "reg:quantileerror" and VERSION < (3, 4):
        found[""] = np.sort(found[""], axis=1)  # as the library does since 3.4
    return found


def both_forms(generator, name, booster, x, categorical, objective):
    """The library answers from the same bytes."""
    for form in ("json", "ubj"):
        data = bytes(booster.save_raw(form))
        again = xgb.Booster({"nthread": 1}, model_file=bytearray(data))
        q = queries(generator, booster, x, categorical)
        yield TreeCase(FAMILY, f"{name}_{form}", data, [(q, answers(again, matrix(q, categorical), objective))])


def as_frame(x, categorical, order):
    """The same as a pandas frame whose categories are words, the word with index n for the code n."""
    frame = pandas.DataFrame({f"c{j}": x[:, j] for j in range(x.shape[1])})
    for j in categorical:
        codes = np.where((x[:, j] >= 0) & (x[:, j] < len(order)) & (x[:, j] == np.floor(x[:, j])), x[:, j], -1)
        frame[f"c{j}"] = pandas.Categorical.from_codes(codes.astype(int), order)
    return frame


def frame_case(generator, name):
    """Trained on a pandas frame and asked with one; the engine gets the codes that training used."""
    words, kind = [f"word {k}" for k in range(201)], generator.integers(3)
    order = words if kind == 0 else list(range(201)) if kind == 1 else [k / 4 for k in range(201)]
    x = features(generator, 600, 4, [0, 2])
    clean = np.nan_to_num(x)
    y = np.sin(clean[:, 0] * 2.0) + np.cos(clean[:, 2]) + clean[:, 1] / (1.0 + np.abs(clean[:, 1]).max())
    given = {"nthread": 1, "max_depth": 5, "tree_method": str(generator.choice(["hist", "approx"])),
             "max_cat_to_onehot": int(generator.choice([1, 1000]))}
    booster = xgb.train(given, xgb.DMatrix(as_frame(x, [0, 2], order), y, enable_categorical=True), 8)
    q = queries(generator, booster, x, [0, 2])
    for j in (0, 2):
        q[:, j] = np.where((q[:, j] >= 0) & (q[:, j] <= 200) & (q[:, j] == np.floor(q[:, j])), q[:, j], np.nan)
    asked = xgb.DMatrix(as_frame(q, [0, 2], order), enable_categorical=True)
    data = bytes(booster.save_raw("json" if generator.random() < 0.5 else "ubj"))
    return TreeCase(FAMILY, name, data, [(q, answers(booster, asked, ""))])


def stopped_case(generator, name):
    """Stopped early: Booster.predict uses all trees, also those after the best iteration, and so does the engine."""
    x = features(generator, 300, 4, [])
    y = generator.standard_normal(300)
    data, other = matrix(x, [], y), matrix(x, [], generator.standard_normal(300))
    booster = xgb.train({"nthread": 1, "max_depth": 3}, data, 30, evals=[(other, "other")], early_stopping_rounds=3,
                        verbose_eval=False)
    if booster.num_boosted_rounds() <= booster.best_iteration + 1:
        raise ValueError("it did not stop after its best iteration")
    q = queries(generator, booster, x, [])
    return TreeCase(FAMILY, name, bytes(booster.save_raw("ubj")), [(q, answers(booster, matrix(q, []), ""))])


def cases(seed=1, only=None, count=300):
    for number in range(count):
        name = f"xgboost_{seed}_{number:04d}"
        if only and not any(only in full for full in (name, name + "_json", name + "_ubj")):
            continue
        for attempt in range(10):
            generator = np.random.default_rng([seed, number, attempt])
            try:
                with warnings.catch_warnings(), np.errstate(all="ignore"):
                    warnings.simplefilter("ignore")
                    if number % 25 == 24:
                        made = [frame_case(generator, name)]
                    elif number % 100 == 50:
                        made = [stopped_case(generator, name)]
                    else:
                        booster, x, categorical, objective = train(generator, number)
                        made = list(both_forms(generator, name, booster, x, categorical, objective))
            except (xgb.core.XGBoostError, ValueError) as refused:
                last = refused
                continue  # some data make its training stop with an error of its own: drawn anew
            yield from made
            break
        else:
            raise last
