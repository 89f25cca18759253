"""The promise: which way a metric is better is what XGBoost or the user says, and its value is the kept model's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xgboost
from data import TEST_X, TEST_Y, X, Y
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.pipeline import make_pipeline
from xgboost.callback import EarlyStopping

from autolog.testing import Recorded, recorded
from autolog_xgboost.rounds import HIGHER, LOWER, direction_of

QUIET = {"verbose_eval": False}
OTHERS = {
    "aft-nloglik": "survival:aft", "interval-regression-accuracy": "survival:aft", "cox-nloglik": "survival:cox",
    "merror": "multi:softprob", "mlogloss": "multi:softprob",
}  # fmt: skip
"""Those that another objective than a regression is needed for."""


def trained(metric: str, **more: Any) -> Any:
    """A booster that was measured by this metric, on a small test set."""
    objective = OTHERS.get(metric, "reg:squarederror")
    matrix, test = xgboost.DMatrix(X, Y + 1.0), xgboost.DMatrix(TEST_X, TEST_Y + 1.0)
    params: dict[str, Any] = {"objective": objective, "eval_metric": metric, "nthread": 1}
    if metric in ("quantile", "expectile"):
        params |= {"objective": f"reg:{metric}error", f"{metric}_alpha": 0.5}
    if objective == "survival:aft":
        for one in (matrix, test):
            one.set_float_info("label_lower_bound", one.get_label())
            one.set_float_info("label_upper_bound", one.get_label())
    if objective == "multi:softprob":
        params["num_class"] = 3
    if metric.partition("@")[0] in ("auc", "aucpr", "error", "logloss", "pre", "map", "ndcg"):
        matrix, test = xgboost.DMatrix(X, Y), xgboost.DMatrix(TEST_X, TEST_Y)
        params["objective"] = "binary:logistic"
    return xgboost.train(params, matrix, 4, evals=[(test, "v")], **QUIET, **more)


@pytest.mark.parametrize("metric", [*HIGHER, *LOWER, "ndcg@3", "map@3-", "error@0.7", "tweedie-nloglik@1.3"])
def test_directions_are_those_by_which_xgboost_stops_early(seen: Recorded, metric: str) -> None:
    """It makes out by the name whether more is better, and goes by that. Of one metric it is wrong: an accuracy."""
    stopping = EarlyStopping(rounds=50)
    try:
        trained(metric, callbacks=[stopping])
    except xgboost.core.XGBoostError as error:
        pytest.skip(f"not in this XGBoost: {str(error).splitlines()[0][-80:]}")
    (name,) = (name for name in seen.run.metrics if name.startswith("v-"))
    said = seen.run.metrics[name]["direction"]
    assert said == direction_of(name.removeprefix("v-"))
    if metric != "interval-regression-accuracy":
        assert said == ("higher" if stopping.maximize else "lower")


@pytest.mark.parametrize("maximize", [True, False])
def test_a_metric_of_the_users_has_the_direction_of_early_stopping(seen: Recorded, maximize: bool) -> None:
    def mine(predictions: Any, matrix: Any) -> tuple[str, float]:
        return "mine", float(np.mean(predictions))

    more = {"custom_metric": mine, "early_stopping_rounds": 50, "maximize": maximize}
    trained("rmse", **more)
    trained("rmse", custom_metric=mine)
    said = "higher" if maximize else "lower"
    told, untold = ({name: one["direction"] for name, one in run.metrics.items()} for run in seen.runs)
    assert told == {"v-rmse": "lower", "v-mine": said, "best_score": said, "best_iteration": None}
    assert untold == {"v-rmse": "lower", "v-mine": None}


def test_a_metrics_value_is_that_of_the_round_that_predicts(seen: Recorded) -> None:
    """An estimator predicts with its best round, `train` with all of them unless it is asked to keep the best; the series stays
    as it was.
    """
    sets = {
        "eval_set": [(TEST_X, 1 - TEST_Y)],
        "verbose": False,
    }  # not what is learnt: the loss on it soon rises
    model = xgboost.XGBClassifier(
        n_estimators=20, n_jobs=1, early_stopping_rounds=2, eval_metric=["auc", "logloss"]
    )
    model.fit(X, Y, **sets)
    matrices = {
        "dtrain": xgboost.DMatrix(X, Y),
        "evals": [(xgboost.DMatrix(TEST_X, 1 - TEST_Y), "validation_0")],
    }
    params = {"objective": "binary:logistic", "eval_metric": ["auc", "logloss"], "nthread": 1}
    xgboost.train(params, num_boost_round=20, early_stopping_rounds=2, **matrices, **QUIET)
    xgboost.train(
        params, num_boost_round=20, callbacks=[EarlyStopping(rounds=2, save_best=True)], **matrices, **QUIET
    )
    rounds = model.evals_result()["validation_0"]["logloss"]
    best, last = rounds[model.best_iteration], rounds[-1]
    assert best < last
    shown = [
        (run.metrics["validation_0-logloss"]["value"], run.metrics["validation_0-logloss"]["last"])
        for run in seen.runs
    ]
    assert shown == [(best, last), (last, last), (best, last)]


def test_an_estimator_of_the_users_that_trains_a_booster_predicts_with_all_rounds(own_key: None) -> None:
    """And one of XGBoost's inside a pipeline with its best, whose run the training is in either case."""

    class Own(ClassifierMixin, BaseEstimator):
        def fit(self, X: Any, y: Any) -> Own:
            sets = [(xgboost.DMatrix(TEST_X, 1 - TEST_Y), "v")]
            params = {"objective": "binary:logistic", "nthread": 1}
            self.booster_ = xgboost.train(
                params, xgboost.DMatrix(X, y), 20, evals=sets, early_stopping_rounds=2, **QUIET
            )
            return self

    inside = xgboost.XGBClassifier(n_estimators=20, n_jobs=1, early_stopping_rounds=2)
    with recorded("xgboost", "sklearn") as seen:
        Own().fit(X, Y)
        pipeline = make_pipeline(inside)
        pipeline.fit(X, Y, xgbclassifier__eval_set=[(TEST_X, 1 - TEST_Y)], xgbclassifier__verbose=False)
    own, piped = seen.runs
    rounds = inside.evals_result()["validation_0"]["logloss"]
    assert rounds[inside.best_iteration] < rounds[-1]
    assert (
        own.metrics["v-logloss"]["value"]
        == own.metrics["v-logloss"]["last"]
        > own.metrics["v-logloss"]["min"]
    )
    assert piped.metrics["validation_0-logloss"]["value"] == rounds[inside.best_iteration]


def test_the_deviation_over_folds_has_no_direction(seen: Recorded) -> None:
    params = {"objective": "binary:logistic", "eval_metric": "auc", "nthread": 1}
    found = xgboost.cv(params, xgboost.DMatrix(X, Y), 10, nfold=2, early_stopping_rounds=2, as_pandas=False)
    metrics = seen.run.metrics
    assert {name: one["direction"] for name, one in metrics.items()} == {
        "train-auc-mean": "higher", "train-auc-std": None, "test-auc-mean": "higher", "test-auc-std": None,
        "best_score": "higher", "best_iteration": None,
        **({"stopped_iteration": None} if "stopped_iteration" in metrics else {}),
    }  # fmt: skip
    assert metrics["test-auc-mean"]["value"] == pytest.approx(found["test-auc-mean"][-1])
