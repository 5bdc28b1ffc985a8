# SPDX-License-Identifier: Apache-2.0
"""Models as scikit-learn writes them through skl2onnx: scalers, linear models, small nets, trees, pipelines."""

import warnings

import numpy as np
import sklearn
import skl2onnx
from skl2onnx import to_onnx
from sklearn import decomposition, ensemble, feature_selection, impute, linear_model, neural_network, pipeline
from sklearn import preprocessing, svm, tree

from cases import Case


def data(generator, rows=200, features=5):
    x = generator.standard_normal((rows, features)).astype(np.float32) * 3 + 1
    y = (np.sin(x[:, 0]) + 0.5 * x[:, 1] - 0.1 * x[:, 2] ** 2).astype(np.float32)
    return x, y


def nets():
    """(name, estimator, kind, options). Kind: regress, many (two targets), two or three (classes), none."""
    pre, lin, net = preprocessing, linear_model, neural_network
    listed = []

    def add(name, estimator, kind="regress", **options):
        listed.append((name, estimator, kind, options))

    add("standard", pre.StandardScaler(), "none")
    add("standard_nomean", pre.StandardScaler(with_mean=False), "none")
    add("minmax", pre.MinMaxScaler(), "none")
    add("minmax_range_clip", pre.MinMaxScaler((-1, 1), clip=True), "none")
    add("robust", pre.RobustScaler(), "none")
    add("maxabs", pre.MaxAbsScaler(), "none")
    for norm in ("l1", "l2", "max"):
        add(f"normalizer_{norm}", pre.Normalizer(norm), "none")
    add("binarizer", pre.Binarizer(threshold=0.5), "none")
    add("polynomial", pre.PolynomialFeatures(2), "none")
    add("polynomial_interactions", pre.PolynomialFeatures(3, interaction_only=True, include_bias=False), "none",
        tolerance=1e-4)
    add("pca", decomposition.PCA(3), "none")
    add("pca_whiten", decomposition.PCA(2, whiten=True), "none")
    add("svd", decomposition.TruncatedSVD(3), "none")
    add("imputer_mean", impute.SimpleImputer(), "none", holes=True)
    add("imputer_constant", impute.SimpleImputer(strategy="constant", fill_value=-1.0), "none", holes=True)
    add("variance", feature_selection.VarianceThreshold(), "none")
    add("linear", lin.LinearRegression())
    add("linear_two", lin.LinearRegression(), "many")
    add("ridge", lin.Ridge(0.5))
    add("lasso", lin.Lasso(0.01))
    add("elastic", lin.ElasticNet(0.01))
    add("huber", lin.HuberRegressor())
    add("sgd_regressor", pipeline.make_pipeline(pre.StandardScaler(), lin.SGDRegressor(random_state=1)))
    for kind in ("two", "three"):
        for zipmap in (True, False):
            add(f"logistic_{kind}_{'map' if zipmap else 'array'}", lin.LogisticRegression(), kind, zipmap=zipmap)
        add(f"mlp_classifier_{kind}", net.MLPClassifier(hidden_layer_sizes=(8,), max_iter=80, random_state=1), kind)
        add(f"mlp_classifier_{kind}_tanh", net.MLPClassifier(hidden_layer_sizes=(8, 5), activation="tanh", max_iter=60, random_state=1), kind)
        add(f"tree_classifier_{kind}", tree.DecisionTreeClassifier(max_depth=4, random_state=1), kind)
        add(f"forest_classifier_{kind}", ensemble.RandomForestClassifier(5, max_depth=4, random_state=1), kind)
        add(f"boost_classifier_{kind}", ensemble.GradientBoostingClassifier(n_estimators=5, random_state=1), kind)
    add("logistic_raw", lin.LogisticRegression(), "three", raw=True)
    for activation in ("relu", "tanh", "logistic", "identity"):
        add(f"mlp_regressor_{activation}",
            net.MLPRegressor(hidden_layer_sizes=(8, 6), activation=activation, max_iter=80, random_state=1))
    add("mlp_regressor_two", net.MLPRegressor(hidden_layer_sizes=(8,), max_iter=80, random_state=1), "many")
    add("tree_regressor", tree.DecisionTreeRegressor(max_depth=5, random_state=1))
    add("tree_regressor_two", tree.DecisionTreeRegressor(max_depth=4, random_state=1), "many")
    add("forest_regressor", ensemble.RandomForestRegressor(6, max_depth=5, random_state=1))
    add("extra_regressor", ensemble.ExtraTreesRegressor(6, max_depth=5, random_state=1))
    add("boost_regressor", ensemble.GradientBoostingRegressor(n_estimators=8, random_state=1))
    add("pipe_standard_linear", pipeline.make_pipeline(pre.StandardScaler(), lin.Ridge()))
    add("pipe_standard_mlp", pipeline.make_pipeline(pre.StandardScaler(), net.MLPRegressor(hidden_layer_sizes=(8,), max_iter=80,
                                                                                            random_state=1)))
    add("pipe_impute_minmax_logistic", pipeline.make_pipeline(impute.SimpleImputer(), pre.MinMaxScaler(),
                                                              lin.LogisticRegression()), "two", holes=True)
    add("pipe_robust_pca_ridge", pipeline.make_pipeline(pre.RobustScaler(), decomposition.PCA(3), lin.Ridge()))
    add("pipe_poly_standard_linear", pipeline.make_pipeline(pre.PolynomialFeatures(2), pre.StandardScaler(),
                                                            lin.LinearRegression()), tolerance=1e-4)
    add("pipe_standard_forest", pipeline.make_pipeline(pre.StandardScaler(), ensemble.RandomForestClassifier(
        4, max_depth=3, random_state=1)), "three")
    add("union", pipeline.make_pipeline(pipeline.make_union(pre.StandardScaler(), decomposition.PCA(2)), lin.Ridge()))
    add("linear_svc", svm.LinearSVC(random_state=1), "two")
    return listed


def cases(seed=1, only=None, wanted=None):
    made_by = f"scikit-learn {sklearn.__version__}, skl2onnx {skl2onnx.__version__}"
    for name, estimator, kind, options in nets():
        full = f"sklearn_{name}"
        if (only and only not in full) or (wanted is not None and full not in wanted):
            continue
        generator = np.random.default_rng([seed, len(name)])
        x, y = data(generator)
        target = {"regress": y, "many": np.stack([y, x[:, 3] - y], 1), "two": (y > 0.2).astype(np.int64),
                  "three": np.digitize(y, [-0.5, 0.8]), "none": None}[kind]
        queries = [data(generator, rows)[0] for rows in (7, 1, 40)]
        if options.get("holes"):
            for block in [x] + queries:
                block[generator.random(block.shape) < 0.15] = np.nan
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            estimator.fit(x) if target is None else estimator.fit(x, target)
            extra = {}
            if kind in ("two", "three") and not isinstance(estimator, svm.LinearSVC):
                extra["options"] = {id(estimator): {"zipmap": options.get("zipmap", False)}}
                if options.get("raw"):
                    extra["options"][id(estimator)]["raw_scores"] = True
            model = to_onnx(estimator, x[:1], target_opset={"": 21, "ai.onnx.ml": 3}, **extra)
        yield Case("scikit-learn", full, model, {"X": queries[0]}, made_by, options.get("tolerance", 1e-5),
                   more_inputs=[{"X": q} for q in queries[1:]])
