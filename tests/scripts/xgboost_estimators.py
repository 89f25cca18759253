# needs: xgboost, sklearn; in CI: none
"""Estimators in functions, with early stopping and a metric of the user's; each is gone when its function is over."""

import weakref

import numpy as np
from sklearn.metrics import mean_absolute_error
from xgboost import XGBClassifier, XGBRegressor

import autolog

autolog.autolog()


def train(kind, y, **params):
    model = kind(n_estimators=20, max_depth=2, n_jobs=1, early_stopping_rounds=2, **params)
    model.fit(X[:150], y[:150], eval_set=[(X[150:], y[150:])], verbose=5)
    weakref.finalize(model, print, kind.__name__, "is gone")
    return model.best_iteration, float(mean_absolute_error(y[150:], model.predict(X[150:])))


if __name__ == "__main__":
    X = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    print(train(XGBRegressor, X[:, 0], eval_metric=mean_absolute_error))
    print(train(XGBClassifier, (X[:, 1] > 0).astype(int)))
