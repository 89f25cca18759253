"""The promises, kept for XGBoost: for a training with `xgboost.train`, and for one of an estimator."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest

from autolog.testing import Contract

pytestmark = pytest.mark.skipif(find_spec("xgboost") is None, reason="XGBoost is not installed")


class TestTrain(Contract):
    integration = "xgboost"
    packages = ("xgboost",)
    beneath = ("scipy.stats", "pandas", "sklearn.model_selection", "sklearn.linear_model", "sqlite3")

    def data(self) -> Any:
        import numpy as np

        X = np.random.RandomState(0).normal(size=(60, 3))
        return X, (X[:, 0] + X[:, 1] > 0).astype(int)

    def train(self, data: Any) -> Any:
        import xgboost

        matrix = xgboost.DMatrix(*data)
        params = {"objective": "binary:logistic", "nthread": 1, "subsample": 0.5}
        return xgboost.train(params, matrix, 3, evals=[(matrix, "train")], verbose_eval=False)

    def outcome(self, model: Any, data: Any) -> Any:
        import xgboost

        return bytes(model.save_raw()), model.save_config(), model.predict(xgboost.DMatrix(data[0]))

    def fail(self, data: Any) -> None:
        import xgboost

        def objective(predictions: Any, matrix: Any) -> Any:
            raise KeyError("mine")

        xgboost.train({"nthread": 1}, xgboost.DMatrix(*data), 2, obj=objective)


@pytest.mark.skipif(find_spec("sklearn") is None, reason="its estimators take scikit-learn")
class TestEstimator(TestTrain):
    @pytest.mark.slow
    def test_every_order_of_import_and_switch(self) -> None:
        """The same places are patched for both interfaces.

        Slow: many processes import the framework. `TestTrain` keeps the promise in every run.
        """
        super().test_every_order_of_import_and_switch()

    def train(self, data: Any) -> Any:
        import xgboost

        model = xgboost.XGBClassifier(n_estimators=3, n_jobs=1, subsample=0.5, eval_metric=["logloss", "auc"])
        return model.fit(*data, eval_set=[data], verbose=False)

    def outcome(self, model: Any, data: Any) -> Any:
        booster = bytes(model.get_booster().save_raw()), model.get_booster().save_config()
        return booster, model.predict_proba(data[0]), model.get_params(), model.evals_result()

    def fail(self, data: Any) -> None:
        import xgboost

        xgboost.XGBClassifier(n_jobs=1).fit(data[0], data[1][:3])

    def objects(self) -> list[Any]:
        import xgboost

        return [
            self.train(self.data()),
            xgboost.XGBRegressor(),
            xgboost.XGBRanker(),
            xgboost.XGBRFClassifier(),
        ]
