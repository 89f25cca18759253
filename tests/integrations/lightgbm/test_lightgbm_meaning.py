"""The promise: which way a metric is better is what LightGBM says, and its value is that of the model that is kept."""

from __future__ import annotations

from typing import Any

import lightgbm as lgb
import numpy as np
import pytest
from lightgbm_small import API, BINARY, QUIET, V, W, X, Y

from autolog.testing import Recorded, recorded
from autolog_lightgbm.rounds import direction_of

REGRESSION = (
    "l1 l2 rmse quantile mape huber fair poisson gamma gamma_deviance tweedie".split(),
    {"objective": "regression", **QUIET},
    np.abs(X[:, 0]) + 1,
    np.abs(V[:, 0]) + 1,
)
CLASSIFICATION = (
    (
        "auc average_precision binary_logloss binary_error cross_entropy cross_entropy_lambda kullback_leibler map ndcg"
    ).split(),
    {**BINARY, "eval_at": [3]},
    Y,
    W,
)


@pytest.mark.parametrize(
    ("metrics", "params", "y", "w"), [REGRESSION, CLASSIFICATION], ids=["regression", "classes"]
)
def test_directions_are_those_that_lightgbm_gives_its_callbacks(
    seen: Recorded, metrics: list[str], params: dict[str, Any], y: Any, w: Any
) -> None:
    """Of every metric of its own; so the table for what its workers have trained says the same."""
    told: dict[str, str] = {}

    def listen(env: Any) -> None:
        told.update(
            {f"{one[0]}-{one[1]}": "higher" if one[3] else "lower" for one in env.evaluation_result_list}
        )

    train = lgb.Dataset(X, y, group=[60, 60])
    lgb.train(
        {**params, "metric": metrics}, train, 2, valid_sets=[lgb.Dataset(V, w, group=[30, 30], reference=train)],
        valid_names=["v"], callbacks=[listen],
    )  # fmt: skip
    assert {name: metric["direction"] for name, metric in seen.run.metrics.items()} == told
    assert len(told) == len(metrics)
    assert {name: direction_of(name.removeprefix("v-")) for name in told} == told


def test_a_metric_of_the_users_has_the_users_direction(seen: Recorded) -> None:
    def my_loss(predictions: Any, data: Any) -> tuple[str, float, bool]:
        return "my_loss", float(np.mean((predictions > 0.5) == data.get_label())), True

    lgb.train(
        {**BINARY, "metric": "none"}, lgb.Dataset(X, Y), 2, valid_sets=[lgb.Dataset(V, W)], valid_names=["v"], feval=my_loss
    )  # fmt: skip
    assert seen.run.metrics["v-my_loss"]["direction"] == "higher"


def test_of_two_sets_or_metrics_with_one_name_the_last_is_recorded(seen: Recorded) -> None:
    def auc(predictions: Any, data: Any) -> tuple[str, float, bool]:
        return "auc", 0.25, False

    train = lgb.Dataset(X, Y)
    sets = [lgb.Dataset(V, W, reference=train), lgb.Dataset(V, W, reference=train)]
    lgb.train({**BINARY, "metric": "auc"}, train, 3, valid_sets=sets, valid_names=["v", "v"], feval=auc)
    metric = seen.run.metrics["v-auc"]
    assert (metric["value"], metric["count"], metric["direction"]) == (0.25, 3, "lower")
    assert (seen.run.errors, seen.run.notes) == ([], [])


def test_a_metrics_value_is_that_of_the_best_round(seen: Recorded) -> None:
    """With early stopping: the booster predicts with it, and is saved with it. The series stays as it was."""
    model = lgb.LGBMClassifier(n_estimators=50, early_stopping_round=2, **API).fit(X, Y, eval_set=[(V, W)])
    metric = seen.run.metrics["valid_0-binary_logloss"]
    rounds = model.evals_result_["valid_0"]["binary_logloss"]
    assert (metric["value"], metric["last"]) == (rounds[model.best_iteration_ - 1], rounds[-1])
    assert metric["value"] < metric["last"]
    assert {name: one["direction"] for name, one in seen.run.metrics.items()} == {
        "valid_0-binary_logloss": "lower", "best_score_valid_0-binary_logloss": "lower", "best_iteration": None,
        "stopped_iteration": None,
    }  # fmt: skip


def test_the_deviation_over_folds_has_no_direction(seen: Recorded) -> None:
    lgb.cv(
        {**BINARY, "metric": "auc"},
        lgb.Dataset(X, Y),
        3,
        nfold=2,
        callbacks=[lgb.early_stopping(2, verbose=False)],
    )
    assert {name: one["direction"] for name, one in seen.run.metrics.items() if "auc" in name} == {
        "valid-auc-mean": "higher", "valid-auc-stdv": None, "best_score_valid-auc-mean": "higher",
        "best_score_valid-auc-stdv": None,
    }  # fmt: skip


def test_of_two_regressors_the_better_model_is_kept(own_key: None) -> None:
    with recorded("lightgbm", log_models="best") as seen:
        scores = {}
        for rate in (0.3, 0.001, 0.2):
            model = lgb.LGBMRegressor(n_estimators=10, learning_rate=rate, **API)
            model.fit(X, X[:, 0], eval_set=[(V, V[:, 0])])
            scores[rate] = model.best_score_["valid_0"]["l2"]
        kept = [run.params["learning_rate"] for run in seen.runs if run.models]
    best = min(scores, key=scores.__getitem__)
    assert kept == [0.3] if best == 0.3 else kept == [0.3, best]
    assert 0.001 not in kept
