# SPDX-License-Identifier: Apache-2.0
"""Models as scikit-learn writes them through skl2onnx: scalers, linear models, small nets, trees, pipelines. ONNX
Runtime judges; scikit-learn itself where its score is computed in double and the graph's in float (isolation forests).
"""

import warnings

import numpy as np
import sklearn
import skl2onnx
from skl2onnx import to_onnx
from sklearn import compose, decomposition, ensemble, feature_selection, impute, linear_model, neural_network, pipeline
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
    ensembles(add)
    add("linear_svc", svm.LinearSVC(random_state=1), "two")
    return listed


def ensembles(add):
    """Trees in every form: classes by numbers and by words, maps or columns, holes, whatever may stand around them."""
    pre, few = preprocessing, {"random_state": 1, "max_depth": 4}
    for kind in ("two", "three"):
        for name, estimator in (
                ("tree", tree.DecisionTreeClassifier(**few)),
                ("extra", ensemble.ExtraTreesClassifier(6, **few)),
                ("boost", ensemble.GradientBoostingClassifier(n_estimators=6, **few)),
                ("hist", ensemble.HistGradientBoostingClassifier(max_iter=6, **few)),
                ("bagging", ensemble.BaggingClassifier(n_estimators=3, random_state=1)),
                ("ada", ensemble.AdaBoostClassifier(n_estimators=4, random_state=1)),
                ("voting", ensemble.VotingClassifier([("a", tree.DecisionTreeClassifier(**few)), (
                    "b", ensemble.RandomForestClassifier(3, **few))], voting="soft", flatten_transform=False))):
            add(f"{name}_{kind}_map", estimator, kind, zipmap=True)
            add(f"{name}_{kind}_array", estimator, kind, tolerance=1e-4 if name == "ada" else 1e-5)
            add(f"{name}_{kind}_words", estimator, kind, words=True, tolerance=1e-4 if name == "ada" else 1e-5)
    for name in ("boost", "hist"):
        for kind in ("two", "three"):
            estimator = (ensemble.GradientBoostingClassifier if name == "boost" else
                         ensemble.HistGradientBoostingClassifier)(**few)
            add(f"{name}_{kind}_raw", estimator, kind, raw=True, tolerance=2e-5)
    add("logistic_words", linear_model.LogisticRegression(), "three", words=True)
    add("mlp_words", neural_network.MLPClassifier(hidden_layer_sizes=(8,), max_iter=80, random_state=1), "three", words=True)
    for loss in ("squared_error", "huber", "quantile"):
        add(f"boost_{loss}", ensemble.GradientBoostingRegressor(loss=loss, n_estimators=8, **few))
    for loss in ("squared_error", "absolute_error"):
        add(f"hist_{loss}", ensemble.HistGradientBoostingRegressor(loss=loss, max_iter=8, **few))
    add("hist_holes", ensemble.HistGradientBoostingRegressor(max_iter=20, random_state=1), holes=True)
    add("hist_classifier_holes", ensemble.HistGradientBoostingClassifier(max_iter=20, random_state=1), "two", holes=True)
    add("forest_many", ensemble.RandomForestRegressor(5, **few), "many")
    add("forest_deep", ensemble.RandomForestRegressor(20, random_state=1))
    add("bagging_regressor", ensemble.BaggingRegressor(n_estimators=3, random_state=1))
    add("ada_regressor", ensemble.AdaBoostRegressor(n_estimators=4, random_state=1), refused="CumSum")
    add("voting_regressor", ensemble.VotingRegressor([("a", ensemble.ExtraTreesRegressor(3, **few)), (
        "b", linear_model.Ridge())]))
    add("pipe_impute_forest", pipeline.make_pipeline(impute.SimpleImputer(), pre.MinMaxScaler(),
                                                     ensemble.RandomForestRegressor(4, **few)), holes=True)
    add("pipe_union_boost", pipeline.make_pipeline(pipeline.make_union(pre.StandardScaler(), decomposition.PCA(2)),
                                                   ensemble.GradientBoostingRegressor(n_estimators=5, **few)))
    hot = pre.OneHotEncoder(sparse_output=False, handle_unknown="ignore")
    add("one_hot_ints", hot, "none", codes="ints")
    add("one_hot_floats", hot, "none", codes="floats")
    add("one_hot_drop", pre.OneHotEncoder(sparse_output=False, drop="first"), "none", codes="known")
    columns = compose.ColumnTransformer([("codes", pre.OneHotEncoder(handle_unknown="ignore"), [0, 1])], remainder="passthrough")
    add("pipe_one_hot_forest", pipeline.make_pipeline(columns, ensemble.RandomForestRegressor(5, **few)), codes="beside")
    add("pipe_one_hot_boost", pipeline.make_pipeline(columns, ensemble.GradientBoostingClassifier(n_estimators=5, **few)), "two",
        codes="beside")
    add("isolation", ensemble.IsolationForest(n_estimators=100, random_state=1), "none", isolation=True, tolerance=2e-7)
    add("isolation_few", ensemble.IsolationForest(n_estimators=3, contamination=0.1, random_state=1), "none", isolation=True,
        tolerance=2e-7)
    add("isolation_whole", ensemble.IsolationForest(n_estimators=5, max_samples=1.0, bootstrap=True, random_state=1), "none",
        isolation=True, tolerance=2e-7)
    add("isolation_samples", ensemble.IsolationForest(n_estimators=7, random_state=1), "none", isolation=True, samples=True,
        tolerance=2e-7)
    add("pipe_isolation", pipeline.make_pipeline(pre.StandardScaler(), ensemble.IsolationForest(n_estimators=9, random_state=1)),
        "none", isolation=True, tolerance=1e-5)


def with_codes(x, generator, kind, count):
    """Categories as codes in the first two columns; beside: and numbers in the others."""
    codes = generator.integers(0, count, (len(x), 2))
    if kind == "beside":
        return np.concatenate([codes.astype(np.float32), x[:, 2:]], 1)
    return codes.astype(np.float32 if kind == "floats" else np.int64)


def isolation_outputs(estimator, x, samples):
    """What scikit-learn answers, in double."""
    outputs = [estimator.predict(x)[:, None].astype(np.int64), estimator.decision_function(x)[:, None].astype(np.float32)]
    return outputs + ([estimator.score_samples(x)[:, None].astype(np.float32)] if samples else [])


def accept_booleans():
    """skl2onnx 1.20 puts booleans into lists of integers, which protobuf no longer takes."""
    from skl2onnx.common import tree_ensemble

    add_node = tree_ensemble.add_node
    if getattr(add_node, "accepts_booleans", False):
        return

    def add_number(*positional, nodes_missing_value_tracks_true=0, **named):
        return add_node(*positional, nodes_missing_value_tracks_true=int(nodes_missing_value_tracks_true), **named)

    add_number.accepts_booleans = True
    tree_ensemble.add_node = add_number


def cases(seed=1, only=None, wanted=None):
    accept_booleans()
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
        if options.get("codes"):
            kind_of = options["codes"]
            x = with_codes(x, generator, kind_of, 4)
            queries = [with_codes(q, generator, kind_of, 4 if kind_of == "known" else 6) for q in queries]
        if options.get("words"):
            target = np.array(["low", "mid \"2\"", "élevé"])[target]
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
            if options.get("samples"):
                extra["options"] = {id(estimator): {"score_samples": True}}
            model = to_onnx(estimator, x[:1], target_opset={"": 21, "ai.onnx.ml": 3}, **extra)
        outputs = None
        if options.get("isolation"):
            queries = [data(generator, 40)[0]]
            outputs = isolation_outputs(estimator, queries[0], options.get("samples"))
        yield Case("scikit-learn", full, model, {"X": queries[0]}, made_by, options.get("tolerance", 1e-5), outputs=outputs,
                   judged=outputs is None, refused=options.get("refused"), more_inputs=[{"X": q} for q in queries[1:]])
