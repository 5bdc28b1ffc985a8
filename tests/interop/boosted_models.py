# SPDX-License-Identifier: Apache-2.0
"""XGBoost and LightGBM as onnxmltools writes them. ONNX Runtime judges, and so does the library itself, as far as a
graph in float can follow it (LightGBM's thresholds are doubles: rows are floats that lie on none of them)."""

import warnings

import lightgbm
import numpy as np
import onnxmltools
import xgboost
from onnxmltools.convert import convert_lightgbm, convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType

from cases import Case

ROWS, FEATURES = 300, 6


def data(generator, holes, categories):
    x = (generator.standard_normal((ROWS, FEATURES)) * 2).astype(np.float32)
    if categories:
        x[:, 0] = generator.integers(0, 9, ROWS)
    y = np.sin(x[:, 1]) + 0.5 * x[:, 2] - 0.3 * (x[:, 0] % 3)
    if holes:
        x[generator.random(x.shape) < 0.15] = np.nan
    return x, y.astype(np.float32)


def models():
    """(name, library, estimator, kind, options)"""
    few, listed = {"n_estimators": 8, "max_depth": 4, "random_state": 1}, []
    few_lgb = {"n_estimators": 8, "num_leaves": 15, "random_state": 1, "verbose": -1}

    def add(name, estimator, kind, **options):
        listed.append((name, estimator, kind, options))

    for objective in ("reg:squarederror", "count:poisson", "reg:gamma", "reg:tweedie", "reg:absoluteerror"):
        add(f"xgb_{objective.split(':')[1]}", xgboost.XGBRegressor(objective=objective, **few), "positive")
    add("xgb_holes", xgboost.XGBRegressor(**few), "regress", holes=True)
    add("xgb_base", xgboost.XGBRegressor(base_score=3.0, **few), "regress")
    add("xgb_forest", xgboost.XGBRFRegressor(**few), "regress")
    add("xgb_two", xgboost.XGBClassifier(**few), "two")
    add("xgb_two_base", xgboost.XGBClassifier(base_score=0.3, **few), "two")
    add("xgb_three", xgboost.XGBClassifier(**few), "three", holes=True)
    add("xgb_categories", xgboost.XGBRegressor(enable_categorical=True, feature_types=["c"] + ["q"] * (FEATURES - 1),
                                               max_cat_to_onehot=2, **few), "regress", categories=True)
    for objective in ("regression", "poisson", "huber", "quantile"):
        add(f"lgb_{objective}", lightgbm.LGBMRegressor(objective=objective, **few_lgb), "positive")
    add("lgb_holes", lightgbm.LGBMRegressor(**few_lgb), "regress", holes=True)
    add("lgb_split", lightgbm.LGBMRegressor(**few_lgb), "regress", split=3)
    add("lgb_forest", lightgbm.LGBMRegressor(boosting_type="rf", bagging_freq=1, bagging_fraction=0.7, **few_lgb), "regress",
        library=False)
    for kind in ("two", "three"):
        for zipmap in (True, False):
            add(f"lgb_{kind}_{'map' if zipmap else 'array'}", lightgbm.LGBMClassifier(**few_lgb), kind, zipmap=zipmap)
    add("lgb_categories", lightgbm.LGBMRegressor(min_data_per_group=5, cat_smooth=1, **few_lgb), "regress", categories=True)
    return listed


def convert(estimator, options):
    types = [("X", FloatTensorType([None, FEATURES]))]
    if isinstance(estimator, xgboost.XGBModel):
        return convert_xgboost(estimator, initial_types=types, target_opset=15)
    named = {"zipmap": options["zipmap"]} if "zipmap" in options else {}
    return convert_lightgbm(estimator, initial_types=types, target_opset=15, split=options.get("split"), **named)


def library_outputs(estimator, kind, x):
    if kind in ("two", "three"):
        return [estimator.predict(x).astype(np.int64), estimator.predict_proba(x).astype(np.float32)]
    return [estimator.predict(x).astype(np.float32).reshape(-1, 1)]


def cases(seed=1, only=None, wanted=None):
    made_by = (f"xgboost {xgboost.__version__}, lightgbm {lightgbm.__version__}, "
               f"onnxmltools {onnxmltools.__version__}")
    for name, estimator, kind, options in models():
        full = f"boosted_{name}"
        if (only and only not in full) or (wanted is not None and full not in wanted):
            continue
        generator = np.random.default_rng([seed, len(name), 5])
        x, y = data(generator, options.get("holes"), options.get("categories"))
        target = {"regress": y, "positive": np.exp(y), "two": (y > 0.2).astype(np.int64), "three": np.digitize(y, [-0.5, 0.8])}[kind]
        queries = [data(generator, options.get("holes"), options.get("categories"))[0] for _ in range(2)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            estimator.fit(x, target, **(
                {"categorical_feature": [0]} if options.get("categories") and "lgb" in name else {}))
            model = convert(estimator, options)
            outputs = None
            if options.get("library", True) and not options.get("zipmap"):
                outputs = library_outputs(estimator, kind, queries[0])
        tolerance = 1e-5 * max(1.0, float(np.abs(outputs[-1]).max()) if outputs else 1.0)
        yield Case("onnxmltools", full, model, {"X": queries[0]}, made_by, tolerance, outputs=outputs,
                   more_inputs=[{"X": queries[1]}, {"X": queries[1][:1]}])
