# needs: xgboost; in CI: none; masked: times
"""An objective of the user's that fails, in `cv` and in `train`."""

import numpy as np
import xgboost as xgb

import autolog

autolog.autolog()

X = np.random.default_rng(0).normal(size=(100, 2))
data = xgb.DMatrix(X, X[:, 0])
calls = []


def squared(predicted, matrix):
    calls.append(len(predicted))
    if len(calls) == 4:
        raise ZeroDivisionError("the fourth round")
    return predicted - matrix.get_label(), np.ones_like(predicted)


print(xgb.cv({"nthread": 1, "max_depth": 2}, data, 3, nfold=3, seed=0, as_pandas=False)["test-rmse-mean"])
try:
    xgb.train({"nthread": 1}, data, 5, obj=squared)
except ZeroDivisionError as error:
    print(error, calls)
xgb.train({"nthread": 1, "objective": "no such objective"}, data, 5)
