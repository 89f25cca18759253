"""The promise: LightGBM alone is enough, without pandas and scikit-learn: a training is recorded, and its model loads back."""

from __future__ import annotations

import lightgbm
import numpy as np

import autolog
from autolog.testing import recorded

X = np.random.RandomState(0).normal(size=(60, 3))
Y = (X[:, 0] > 0).astype(int)


def test_a_training_with_nothing_else_installed_is_recorded(own_key: None) -> None:
    """Complete: params, rounds, data, importances, a model that predicts the same."""
    train = lightgbm.Dataset(X, Y)
    params = {"objective": "binary", "verbose": -1, "min_data_in_leaf": 5, "num_threads": 1}
    with recorded("lightgbm") as seen:
        booster = lightgbm.train(
            params, train, 3, valid_sets=[lightgbm.Dataset(X[:20], Y[:20], reference=train)]
        )
    run = seen.run
    assert (run.status, run.kind, run.params["objective"], run.errors) == ("finished", "train", "binary", [])
    assert run.metrics["valid_0-binary_logloss"]["count"] == 3
    assert [(one["context"], one["rows"], one["columns"]) for one in run.datasets] == [
        ("train", 60, 3),
        ("validation", 20, 3),
    ]
    assert {"feature_importances.json", "model/MLmodel"} <= {one["path"] for one in run.artifacts}
    assert np.array_equal(autolog.load_model(run).predict(X), booster.predict(X))
    assert np.array_equal(autolog.load_model(run, as_predictor=True).predict(X), booster.predict(X))
