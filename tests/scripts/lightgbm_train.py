# needs: lightgbm; in CI: helpers, autolog, framework
"""A booster and its data at module level; LightGBM says on standard output what it does."""

import weakref

import lightgbm as lgb
import numpy as np

import autolog

autolog.autolog()

X = np.random.default_rng(0).normal(size=(300, 3))
train = lgb.Dataset(X[:200], X[:200, 0])
valid = lgb.Dataset(X[200:], X[200:, 0], reference=train)
params = {"objective": "l2", "num_threads": 1, "deterministic": True, "num_leaves": 5, "force_col_wise": True}
callbacks = [lgb.log_evaluation(2), lgb.early_stopping(3)]
booster = lgb.train(params, train, 8, valid_sets=[train, valid], valid_names=["t", "v"], callbacks=callbacks)
print(booster.best_iteration, booster.best_score["v"], params)
weakref.finalize(booster, print, "the booster is gone")
weakref.finalize(train, print, "the data is gone")
