# SPDX-License-Identifier: Apache-2.0
"""Write tests/golden/lightgbm: small models as one version of LightGBM saves them, with what that version predicts.

    python3 make_lightgbm_golden.py DIRECTORY     (with any LightGBM from 2.2 on, and NumPy)

The files in the repository come from LightGBM 2.2.3, 2.3.1, 3.3.5, 4.0.0 and 4.7.0, each in an environment of its own:

    python3 -m venv old && old/bin/pip install lightgbm==2.3.1 numpy scipy scikit-learn
    old/bin/python tests/interop/make_lightgbm_golden.py tests/golden/lightgbm

NAME.txt is the model. NAME.bin holds int64 rows, features, outputs, trees; then in float64 the rows, the margins and the
predictions; then the leaves as int32. All row-major and little-endian.
"""

import os
import struct
import sys
import warnings

import lightgbm as lgb
import numpy as np

ROWS = 40
ZERO = float(np.float32(1e-35))
EDGES = [np.nan, np.inf, -np.inf, 0.0, -0.0, ZERO, -ZERO, np.nextafter(ZERO, 1), -np.nextafter(ZERO, 1), 5e-324, 1e300]
CODES = [-1.0, -0.5, 0.5, 1.5, 7.0, 8.0, 31.0, 32.0, 16777216.0, 2147483648.0, np.nan, np.inf]
COMMON = {"verbosity": -1, "verbose": -1, "num_threads": 1, "num_leaves": 6, "min_data_in_leaf": 5, "seed": 3,
          "min_data_per_group": 1, "cat_smooth": 1}
MODELS = {
    "regression": {"objective": "regression", "reg_sqrt": True, "max_cat_to_onehot": 1},
    "three": {"objective": "multiclass", "num_class": 3, "zero_as_missing": True},
    "forest": {"objective": "binary", "sigmoid": 0.7, "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.7,
               "use_missing": False},
    "linear": {"objective": "poisson", "linear_tree": True},  # since 3.2
}


def rows(generator, count):
    x = generator.standard_normal((count, 4))
    x[:, 1] *= generator.random(count) < 0.5
    x[:, 3] = generator.integers(0, 8, count)
    x[generator.random((count, 4)) < 0.08] = np.nan
    return x


def main(directory):
    version = lgb.__version__
    os.makedirs(directory, exist_ok=True)
    for name, given in MODELS.items():
        if name == "linear" and int(version.split(".")[0]) < 3:
            continue
        generator = np.random.default_rng(11)
        x = rows(generator, 300)
        score = np.nan_to_num(x[:, 0]) + np.nan_to_num(x[:, 1]) + np.isin(x[:, 3], [1, 4, 6])
        y = {"three": np.digitize(score, [0, 1]), "forest": score > 0.5, "linear": np.exp(score / 2)}.get(name, score)
        booster = lgb.train({**COMMON, **given}, lgb.Dataset(x, np.asarray(y, float), categorical_feature=[3]), 3)
        q = rows(generator, ROWS)
        q[:20, :3] = np.where(generator.random((20, 3)) < 0.6, generator.choice(EDGES, (20, 3)), q[:20, :3])
        q[:24, 3] = CODES + CODES
        path = os.path.join(directory, f"{version}_{name}")
        booster.save_model(path + ".txt")
        booster = lgb.Booster(model_file=path + ".txt")
        answers = [np.asarray(booster.predict(q, **what), float).reshape(ROWS, -1)
                   for what in ({"raw_score": True}, {}, {"pred_leaf": True})]
        with open(path + ".bin", "wb") as out:
            out.write(struct.pack("<4q", ROWS, 4, answers[0].shape[1], answers[2].shape[1]))
            for values in (q, answers[0], answers[1]):
                out.write(np.ascontiguousarray(values, "<f8").tobytes())
            out.write(np.ascontiguousarray(answers[2], "<i4").tobytes())
        print(path)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    warnings.simplefilter("ignore")
    main(sys.argv[1])
