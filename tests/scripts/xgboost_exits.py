# needs: xgboost; in CI: framework, helpers, autolog
"""The program is left from within a round."""

import sys

import numpy as np
import xgboost as xgb

import autolog

autolog.autolog()

X = np.random.default_rng(0).normal(size=(100, 2))
data = xgb.DMatrix(X, X[:, 0])


def stops_at(last):
    class Stops(xgb.callback.TrainingCallback):
        def after_iteration(self, model, epoch, evals_log):
            print("round", epoch)
            if epoch == last:
                sys.exit(3)
            return False

    return Stops()


try:
    xgb.train({"nthread": 1}, data, 5, callbacks=[stops_at(1)])
finally:
    print("cleaned up")
