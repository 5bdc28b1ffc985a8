# SPDX-License-Identifier: Apache-2.0
"""How the models in this folder were made: make.py FOLDER, which holds LightGBM's examples/binary_classification files
binary.train and binary.test (MIT licence, LICENSE.lightgbm; a label and 28 columns, tab separated)."""

import sys

import lightgbm
import numpy as np
import xgboost

folder = sys.argv[1]
train, test = (np.loadtxt(f"{folder}/binary.{part}") for part in ("train", "test"))
names = [f"f{k}" for k in range(28)]

booster = lightgbm.train({"objective": "binary", "num_leaves": 15, "learning_rate": 0.2, "seed": 1, "verbose": -1,
                          "num_threads": 1},
                         lightgbm.Dataset(train[:, 1:], train[:, 0], feature_name=names), 30)
booster.save_model("lightgbm.txt")
print("lightgbm", lightgbm.__version__, booster.predict(test[:3, 1:]))

booster = xgboost.train({"objective": "binary:logistic", "max_depth": 4, "eta": 0.2, "seed": 1, "nthread": 1},
                        xgboost.DMatrix(train[:, 1:], train[:, 0], feature_names=names), 30)
booster.save_model("xgboost.ubj")
print("xgboost", xgboost.__version__, booster.predict(xgboost.DMatrix(test[:3, 1:], feature_names=names)))

np.savetxt("rows.csv", test[:20, 1:], "%g", ",", header=",".join(names), comments="")
