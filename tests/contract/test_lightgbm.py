"""The promises, kept for LightGBM: its own interface, and its scikit-learn API."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest

from autolog.testing import Contract

if not find_spec("lightgbm"):
    pytest.skip("LightGBM is not installed", allow_module_level=True)

QUIET = {"verbose": -1, "num_threads": 1, "min_data_in_leaf": 5, "deterministic": True}


class LightGBM(Contract):
    integration = "lightgbm"
    packages = ("lightgbm",)
    beneath = ("scipy.stats", "pandas", "sklearn.model_selection", "sklearn.linear_model", "sqlite3")

    def data(self) -> Any:
        import numpy as np

        X = np.random.RandomState(0).normal(size=(60, 3))
        return X, (X[:, 0] + X[:, 1] > 0).astype(int)


class TestTrain(LightGBM):
    def train(self, data: Any) -> Any:
        import lightgbm

        X, y = data
        train = lightgbm.Dataset(X, y)
        valid = lightgbm.Dataset(X[:20], y[:20], reference=train)
        params = {"objective": "binary", "n_iter": 8, "early_stopping_round": 3, **QUIET}
        return lightgbm.train(params, train, valid_sets=[valid], callbacks=[lightgbm.record_evaluation({})])

    def outcome(self, model: Any, data: Any) -> Any:
        return model.model_to_string(), model.predict(data[0]), model.best_iteration, dict(model.best_score)

    def fail(self, data: Any) -> None:
        import lightgbm

        lightgbm.train({"objective": "binary", **QUIET}, lightgbm.Dataset(data[0], data[1][:3]))


@pytest.mark.skipif(find_spec("sklearn") is None, reason="its estimators take scikit-learn")
class TestScikitLearnAPI(LightGBM):
    @pytest.mark.slow
    def test_every_order_of_import_and_switch(self) -> None:
        """The same places are patched for both interfaces.

        Slow: many processes import the framework. `TestTrain` keeps the promise in every run.
        """
        super().test_every_order_of_import_and_switch()

    def train(self, data: Any) -> Any:
        from lightgbm import LGBMClassifier

        return LGBMClassifier(n_estimators=5, verbose=-1, n_jobs=1, min_child_samples=5).fit(*data)

    def outcome(self, model: Any, data: Any) -> Any:
        return (
            model.booster_.model_to_string(),
            model.predict_proba(data[0]),
            model.get_params(),
            model.evals_result_,
        )

    def fail(self, data: Any) -> None:
        from lightgbm import LGBMClassifier

        LGBMClassifier(verbose=-1).fit(data[0], data[1][:3])
