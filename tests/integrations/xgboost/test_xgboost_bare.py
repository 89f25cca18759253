"""The promise: XGBoost alone is enough, without pandas and scikit-learn: a training is recorded, and its model loads back."""

from __future__ import annotations

import numpy as np
import xgboost

import autolog
from autolog.testing import recorded

X = np.random.RandomState(0).normal(size=(40, 3))
Y = (X[:, 0] > 0).astype(int)


def test_a_training_with_nothing_else_installed_is_recorded(own_key: None) -> None:
    """Complete: params, rounds, data, importances, a model that predicts the same."""
    matrix = xgboost.DMatrix(X, Y)
    with recorded("xgboost") as seen:
        booster = xgboost.train(
            {"objective": "binary:logistic"}, matrix, 3, evals=[(matrix, "train")], verbose_eval=False
        )
    run = seen.run
    assert (run.status, run.kind, run.params["num_boost_round"], run.errors) == ("finished", "train", 3, [])
    assert run.metrics["train-logloss"]["count"] == 3
    assert [(one["context"], one["rows"], one["columns"]) for one in run.datasets] == [("train", 40, 3)]
    assert {"feature_importances.json", "model/MLmodel"} <= {one["path"] for one in run.artifacts}
    assert np.array_equal(autolog.load_model(run).predict(matrix), booster.predict(matrix))
    assert np.array_equal(autolog.load_model(run, as_predictor=True).predict(X), booster.predict(matrix))
