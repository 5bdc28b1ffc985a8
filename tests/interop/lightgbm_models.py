# SPDX-License-Identifier: Apache-2.0
"""Random models of LightGBM, read from the text that it saves: every objective, kind of boosting, missing type,
categories, linear leaves. Rows stand on the models' own thresholds and one unit beside them, on the edges of what
LightGBM takes for zero, and on categories at, between and beyond the known ones."""

import warnings

import lightgbm as lgb
import numpy as np
import pandas

from tree_check import TreeCase

FAMILY = "LightGBM, in ulps"
ROWS = 160  # of each set of queries
ONE = ["regression", "regression_l1", "huber", "fair", "poisson", "quantile", "mape", "gamma", "tweedie", "binary",
       "cross_entropy", "cross_entropy_lambda", "multiclass", "multiclassova", "lambdarank", "rank_xendcg", "own"]
BOOSTING = ["gbdt", "gbdt", "dart", "rf", "goss"]
ZERO = float(np.float32(1e-35))
TINY = [0.0, -0.0, 5e-324, -5e-324, 1e-310, 1e-40, -1e-40, 1e-36, 1e-35, -1e-35, 2e-35, -2e-35]
TINY += [sign * value for sign in (1, -1) for value in (ZERO, np.nextafter(ZERO, 0), np.nextafter(ZERO, 1))]
SPECIAL = TINY + [np.nan, np.nan, np.inf, -np.inf, 1e300, -1e300, 1.7976931348623157e308, -1.7976931348623157e308, 1e38]
CODES = [-1.0, -0.5, np.nextafter(-1, 0), -1e-30, 0.0, -0.0, 0.5, np.nextafter(1, 0), 1.0, 1.5, 31.0, 32.0, 33.0, 2.0 ** 24,
         2.0 ** 31 - 1, 2.0 ** 31 - 0.5, 2.0 ** 31, 2.0 ** 32 + 1, 2.0 ** 63, 1e300, -2.0 ** 31, np.nan, np.inf, -np.inf]


class Silence:
    def info(self, text):
        pass

    warning = info


lgb.register_logger(Silence())


def own_objective(predictions, data):
    return predictions - data.get_label(), np.ones_like(predictions)


def features(generator, rows, columns, categorical):
    """Columns of several kinds: real, integers, mostly zero, tiny, a few values; categories as codes; NaN in some."""
    x = np.empty((rows, columns))
    for j in range(columns):
        kind = generator.integers(6)
        if j in categorical:
            x[:, j] = np.minimum(generator.geometric(generator.choice([0.5, 0.1, 0.02]), rows) - 1, 300)
        elif kind == 0:
            x[:, j] = generator.integers(-3, 9, rows)
        elif kind == 1:
            x[:, j] = generator.standard_normal(rows) * (generator.random(rows) < 0.4)
        elif kind == 2:
            x[:, j] = generator.standard_normal(rows) * 3e-35
        elif kind == 3:
            x[:, j] = generator.choice(generator.standard_normal(4), rows)
        else:
            x[:, j] = generator.standard_normal(rows) * 10.0 ** generator.integers(-3, 6)
        if generator.random() < 0.5:
            x[generator.random(rows) < generator.choice([0.02, 0.3]), j] = np.nan
    return x


def labels(generator, objective, score, classes):
    score = score + 0.3 * generator.standard_normal(len(score))
    if objective in ("binary",):
        return (score > 0).astype(float)
    if objective in ("cross_entropy", "cross_entropy_lambda"):
        return 1 / (1 + np.exp(-score))
    if objective in ("multiclass", "multiclassova"):
        y = np.digitize(score, np.quantile(score, np.linspace(0, 1, classes + 1)[1:-1])).astype(float)
        y[:classes] = np.arange(classes)
        return y
    if objective in ("lambdarank", "rank_xendcg"):
        return np.clip(np.round(score + 2), 0, 4)
    if objective in ("poisson", "gamma", "tweedie"):
        return np.exp(np.clip(score, -3, 3)) + 0.01
    return score * generator.choice([1e-3, 1, 100])


def parameters(generator, number):
    """LightGBM's parameters; every objective with every kind of boosting comes round."""
    objective = ONE[number % len(ONE)]
    boosting = BOOSTING[number // len(ONE) % len(BOOSTING)]
    given = {"objective": objective, "verbosity": -1, "num_threads": 1, "seed": int(generator.integers(1 << 20)),
             "deterministic": True, "force_row_wise": True,
             "num_leaves": int(generator.choice([2, 3, 4, 7, 15, 31, 63, 127, 255])),
             "max_bin": int(generator.choice([2, 5, 15, 63, 255])),
             "min_data_in_leaf": int(generator.choice([1, 2, 5, 20])),
             "min_sum_hessian_in_leaf": float(generator.choice([0, 1e-3])),
             "min_data_in_bin": int(generator.choice([1, 3])),
             "learning_rate": float(generator.choice([0.05, 0.1, 0.7])),
             "use_missing": bool(generator.random() < 0.8), "zero_as_missing": bool(generator.random() < 0.4),
             "max_cat_to_onehot": int(generator.choice([1, 4, 64])), "min_data_per_group": 1,
             "cat_smooth": float(generator.choice([0, 10])), "max_cat_threshold": int(generator.choice([4, 32, 256])),
             "boost_from_average": bool(generator.random() < 0.7), "feature_pre_filter": False}
    if boosting == "goss":
        given["data_sample_strategy"] = "goss"
    elif boosting != "gbdt" and not (boosting == "rf" and objective == "own"):
        given["boosting"] = boosting
        if boosting == "rf":
            given.update(bagging_freq=1, bagging_fraction=0.7)
        else:
            given.update(drop_rate=0.4)
    if objective in ("binary", "multiclassova", "lambdarank"):
        given["sigmoid"] = float(generator.choice([1.0, 0.7, 2.34567, 0.123456789, 13.1]))
    if objective in ("multiclass", "multiclassova"):
        given["num_class"] = int(generator.choice([2, 3, 5]))
    if objective == "own":
        given["num_class"] = int(generator.choice([1, 3]))
    if objective in ("regression", "regression_l1", "quantile", "mape", "fair") and generator.random() < 0.4:
        given["reg_sqrt"] = True
    if generator.random() < 0.2:
        given["extra_trees"] = True
    if generator.random() < 0.2:
        given["path_smooth"] = 1.0
    if generator.random() < 0.2:
        given["max_depth"] = int(generator.integers(1, 6))
    # LightGBM has no linear leaves for these.
    if objective not in ("regression_l1", "mape", "quantile") and boosting in ("gbdt", "goss") and generator.random() < 0.3:
        given.update(linear_tree=True, zero_as_missing=False, linear_lambda=float(generator.choice([0, 0.1])))
    return given


def train(generator, number):
    """(booster, rows it saw, columns of categories)"""
    given = parameters(generator, number)
    rows, columns = int(generator.choice([60, 300, 1200])), int(generator.integers(1, 9))
    categorical = [j for j in range(columns) if generator.random() < 0.25]
    x = features(generator, rows, columns, categorical)
    clean = np.nan_to_num(x, nan=0.5)
    score = sum(np.sin(clean[:, j] * generator.standard_normal()) for j in range(columns))
    y = labels(generator, given["objective"], score - np.median(score), given.get("num_class", 1))
    group = np.full(rows // 20, 20) if given["objective"] in ("lambdarank", "rank_xendcg") else None
    if given["objective"] == "own":
        if given["num_class"] > 1:
            shape = given["num_class"]
            given["objective"] = lambda p, data: (p - data.get_label()[:, None] * np.arange(1, shape + 1),
                                                  np.ones_like(p))
        else:
            given["objective"] = own_objective
    data = lgb.Dataset(x, y, group=group, categorical_feature=categorical, params=given, free_raw_data=False)
    return lgb.train(given, data, int(generator.integers(1, 25))), x, categorical


def lists(text, key):
    for line in text.splitlines():
        if line.startswith(key + "="):
            yield line[len(key) + 1:].split()


def thresholds(text, columns):
    """What each feature is compared with, over all trees: numbers, or the largest category and those next to it."""
    found = [set() for _ in range(columns)]
    for feature, threshold, kind in zip(lists(text, "split_feature"), lists(text, "threshold"), lists(text, "decision_type")):
        for f, t, d in zip(feature, threshold, kind):
            if not int(d) & 1:
                found[int(f)].add(float(t))
    for words in lists(text, "cat_boundaries"):
        for f in found:
            f.update(32.0 * (int(b) - int(a)) + d for a, b in zip(words, words[1:]) for d in (-1, 0, 1))
    return [np.array(sorted(f)) if f else np.zeros(1) for f in found]


def queries(generator, text, x, categorical):
    """Rows on and beside thresholds, special values, and rows like those of the training."""
    rows, columns = ROWS, x.shape[1]
    on = thresholds(text, columns)
    q = x[generator.integers(len(x), size=rows)].copy()
    for j in range(columns):
        t = generator.choice(on[j], rows)
        beside = np.where(generator.random(rows) < 0.5, t, np.nextafter(t, generator.choice([-np.inf, np.inf], rows)))
        special = generator.choice(CODES if j in categorical or generator.random() < 0.2 else SPECIAL, rows)
        near = np.nan_to_num(np.round(q[:, j])) + generator.integers(-2, 3, rows)
        pick = generator.random(rows)
        if j in categorical:
            q[:, j] = np.select([pick < 0.4, pick < 0.6, pick < 0.8], [q[:, j], near, t], special)
        else:
            q[:, j] = np.select([pick < 0.6, pick < 0.7, pick < 0.75], [beside, q[:, j], near], special)
    return q


def answers(booster, x):
    def shaped(values):
        return np.asarray(values).reshape(len(x), -1)

    return {"": shaped(booster.predict(x)), "margin": shaped(booster.predict(x, raw_score=True)),
            "leaf": shaped(booster.predict(x, pred_leaf=True))}


def as_frame(x, categorical):
    """The same as a pandas frame whose categories are words; the n-th word is the code n. What is no code is missing."""
    frame = pandas.DataFrame({f"c{j}": x[:, j] for j in range(x.shape[1])})
    for j in categorical:
        codes = np.where((x[:, j] >= 0) & (x[:, j] <= 300) & (x[:, j] == np.floor(x[:, j])), x[:, j], -1)
        frame[f"c{j}"] = pandas.Categorical.from_codes(codes.astype(int), [f"word {k}" for k in range(301)])
    return frame


def frame_case(generator, name):
    """Trained on a pandas frame and asked with one; the engine gets the codes."""
    given = {"objective": "regression", "verbosity": -1, "num_threads": 1, "min_data_per_group": 1, "cat_smooth": 1,
             "min_data_in_leaf": 3, "num_leaves": 31, "max_cat_to_onehot": int(generator.choice([1, 64]))}
    x = features(generator, 600, 4, [0, 2])
    clean = np.nan_to_num(x)
    y = np.sin(clean[:, 0] * 2) + np.cos(clean[:, 2]) + clean[:, 1] / (1 + np.abs(clean[:, 1]).max())
    booster = lgb.train(given, lgb.Dataset(as_frame(x, [0, 2]), y), 10)
    text = booster.model_to_string()
    q = queries(generator, text, x, [0, 2])
    for j in (0, 2):
        q[:, j] = np.where((q[:, j] >= 0) & (q[:, j] <= 300) & (q[:, j] == np.floor(q[:, j])), q[:, j], np.nan)
    return TreeCase(FAMILY, name, text.encode(), [(q, answers(booster, as_frame(q, [0, 2])))])


def case_of(generator, name, text, x, categorical):
    """LightGBM answers from the same file."""
    booster = lgb.Booster(model_str=text)
    wide = queries(generator, text, x, categorical)
    narrow = queries(generator, text, x, categorical).astype(np.float32)
    return TreeCase(FAMILY, name, text.encode(), [(q, answers(booster, q)) for q in (wide, narrow)])


def cases(seed=1, only=None, count=300):
    for number in range(count):
        name = f"lightgbm_{seed}_{number:04d}"
        if only and only not in name:
            continue
        for attempt in range(10):
            generator = np.random.default_rng([seed, number, attempt])
            try:
                with warnings.catch_warnings(), np.errstate(over="ignore"):
                    warnings.simplefilter("ignore")
                    if number % 25 == 24:
                        case = frame_case(generator, name)
                    else:
                        booster, x, categorical = train(generator, number)
                        case = case_of(generator, name, booster.model_to_string(), x, categorical)
            except lgb.basic.LightGBMError:
                continue  # some data make its training stop with an error of its own: drawn anew
            yield case
            break
