# needs: lightgbm, sklearn, pandas; in CI: none
"""Estimators on frames, in functions, alone and in a search."""

import weakref

import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.model_selection import cross_val_score

import autolog

autolog.autolog()

PARAMS = {"n_estimators": 10, "num_leaves": 4, "n_jobs": 1, "deterministic": True, "verbose": -1}


def train(kind, X, y):
    model = kind(**PARAMS).fit(X, y, eval_set=[(X, y)], eval_metric="l1" if kind is LGBMRegressor else "auc")
    weakref.finalize(model, print, kind.__name__, "is gone")
    return model.score(X, y), cross_val_score(kind(**PARAMS), X, y, cv=2).tolist()


def main():
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(200, 3)), columns=["a", "b", "c"])
    print(train(LGBMRegressor, X, X["a"]))
    print(train(LGBMClassifier, X, (X["b"] > 0).astype(int)))
    print(list(X), X["c"].sum())


if __name__ == "__main__":
    main()
