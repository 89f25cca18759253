# needs: xgboost; in CI: helpers, autolog, framework
"""Boosters, data and callbacks at module level; rounds are printed by XGBoost itself."""

import weakref

import numpy as np
import xgboost as xgb

import autolog

autolog.autolog()


class Counts(xgb.callback.TrainingCallback):
    rounds = 0

    def after_iteration(self, model, epoch, evals_log):
        self.rounds += 1
        return False

    def __del__(self):
        print("counted", self.rounds)


rng = np.random.default_rng(0)
X = rng.normal(size=(200, 3))
train = xgb.DMatrix(X[:150], X[:150, 0] > 0)
valid = xgb.DMatrix(X[150:], X[150:, 0] > 0)
params = {"objective": "binary:logistic", "eval_metric": ["logloss", "auc"], "max_depth": 2, "nthread": 1}
booster = xgb.train(params, train, 5, evals=[(valid, "valid")], callbacks=[Counts()])
print(booster.eval(valid), params)
weakref.finalize(booster, print, "the booster is gone")
