"""The promise: a training is one run, whoever starts it: scikit-learn's pipeline, a search, the user's own estimator, Dask."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

import lightgbm as lgb
import numpy as np
import pytest
from joblib import parallel_backend
from lightgbm_small import API, BINARY, V, W, X, Y
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import VotingClassifier
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import autolog
from autolog import RunRecord
from autolog.testing import Recorded, recorded

Last = Callable[[RunRecord], dict[str, Any]]


def test_a_pipelines_run_holds_its_params_and_the_boosters_rounds(seen_both: Recorded, last: Last) -> None:
    """Once, complete: the run is scikit-learn's, the rounds, early stopping and importances are LightGBM's."""
    model = lgb.LGBMClassifier(n_estimators=30, early_stopping_round=2, **API)
    pipeline = make_pipeline(StandardScaler(), model)
    pipeline.fit(X, Y, lgbmclassifier__eval_set=[(V, W)], lgbmclassifier__eval_names=["held out"])
    [run] = seen_both.all_runs
    assert (run.framework, run.estimator) == ("sklearn", "sklearn.pipeline.Pipeline")
    assert run.params["lgbmclassifier__n_estimators"] == 30
    assert set(run.params) <= {
        *pipeline.get_params(),
        "fit.lgbmclassifier__eval_set",
        "fit.lgbmclassifier__eval_names",
    }
    ran = model.best_iteration_ + 2
    assert [point.step for point in run.history("held out-binary_logloss")] == list(range(ran))
    assert (last(run)["best_iteration"], last(run)["stopped_iteration"]) == (model.best_iteration_, ran)
    assert "feature_importances.json" in [one["path"] for one in run.artifacts]
    assert [(one["path"], one["flavor"]) for one in run.models] == [("model", "sklearn")]
    assert (autolog.load_model(run, trust=True).predict_proba(V) == pipeline.predict_proba(V)).all()


@pytest.mark.parametrize("jobs", [None, 2])
def test_a_search_has_only_its_candidates(seen_both: Recorded, jobs: int | None) -> None:
    """Nothing too much: the trainings inside, in threads too, are compact children made from the search's results."""
    search = GridSearchCV(
        lgb.LGBMClassifier(n_estimators=2, **API), {"num_leaves": [3, 7]}, cv=2, n_jobs=jobs
    )
    with parallel_backend("threading"):
        search.fit(X, Y, eval_set=[(V, W)])
    [run] = seen_both.runs
    assert (run.framework, run.kind) == ("sklearn", "search")
    assert [child.params["num_leaves"] for child in run.children] == [3, 7]
    assert len(seen_both.all_runs) == 3
    assert not [name for name in run.metrics if "binary_logloss" in name]


def test_a_cross_validation_and_an_ensemble_have_no_rounds_of_their_members(seen_both: Recorded) -> None:
    model = lgb.LGBMClassifier(n_estimators=2, **API)
    name = (
        "params" if "params" in signature(cross_validate).parameters else "fit_params"
    )  # scikit-learn before 1.4
    cross_validate(model, X, Y, cv=2, **{name: {"eval_set": [(V, W)]}})
    VotingClassifier([("one", model)]).fit(X, Y)
    assert [(run.framework, run.kind) for run in seen_both.all_runs] == [
        ("sklearn", "cv"),
        ("sklearn", "fit"),
    ]
    assert not [name for run in seen_both.runs for name in run.metrics if "binary_logloss" in name]


class Own(RegressorMixin, BaseEstimator):
    """A user's estimator that trains a booster inside."""

    def fit(self, X: Any, y: Any) -> Any:
        self.booster_ = lgb.train(
            {**BINARY, "objective": "l2"}, lgb.Dataset(X, y), 3, valid_sets=[lgb.Dataset(V, W)]
        )
        return self

    def predict(self, X: Any) -> Any:
        return self.booster_.predict(X)


def test_a_users_estimator_that_trains_a_booster_is_one_run_with_its_rounds(seen_both: Recorded) -> None:
    Own().fit(X, Y)
    [run] = seen_both.all_runs
    assert run.estimator == f"{__name__}.Own"
    assert len(run.history("valid_0-l2")) == 3
    assert run.params == {}


class Mine(lgb.LGBMClassifier):
    """A user's subclass."""


@pytest.mark.parametrize(
    "on", [("lightgbm",), ("lightgbm", "sklearn"), ("sklearn", "lightgbm"), ("sklearn",)]
)
@pytest.mark.parametrize("cls", [lgb.LGBMClassifier, Mine])
def test_an_estimator_alone_is_lightgbms_if_that_is_on(own_key: None, on: tuple[str, ...], cls: type) -> None:
    """Once: whichever integration was first; what is switched off claims nothing."""
    with recorded(*on) as seen:
        cls(n_estimators=2, **API).fit(X, Y)
    [run] = seen.all_runs
    framework = "lightgbm" if "lightgbm" in on else "sklearn"
    assert (run.framework, run.estimator) == (framework, f"{cls.__module__}.{cls.__qualname__}")


# -- Dask


@pytest.mark.parametrize("processes", [True, False])
def test_a_training_on_two_workers_is_one_run(seen: Recorded, processes: bool, last: Last) -> None:
    """Once, complete: with the rounds that the workers ran, where these are threads of this process too; nothing is computed
    to describe the data; the model loads where Dask is not.
    """
    distributed = pytest.importorskip("distributed")
    da = pytest.importorskip("dask.array")
    with (
        distributed.LocalCluster(
            2, threads_per_worker=1, processes=processes, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        data = da.from_array(X, chunks=(60, 4)), da.from_array(Y, chunks=60)
        model = lgb.DaskLGBMClassifier(n_estimators=4, client=client, tree_learner="data", **API)
        model.fit(*data, eval_set=[data], eval_names=["same"])
        predicted = model.predict_proba(data[0]).compute()
        history = model.evals_result_["same"]["binary_logloss"]
        [run] = seen.all_runs
    assert (run.kind, run.status, run.estimator) == ("fit", "finished", "lightgbm.dask.DaskLGBMClassifier")
    assert [point.value for point in run.history("same-binary_logloss")] == history
    assert len(history) == 4
    assert run.errors == []
    assert run.datasets[0]["rows"] == 120
    loaded = autolog.load_model(run, trust=True)
    assert type(loaded) is lgb.LGBMClassifier
    assert np.array_equal(loaded.predict_proba(X), predicted)


def test_dask_frames_are_not_computed_to_describe_them(seen: Recorded) -> None:
    """Transparent: how many rows they have is not known before they are computed, and is not asked."""
    dd = pytest.importorskip("dask.dataframe")
    import pandas as pd

    def compute(part: Any) -> Any:
        raise AssertionError("computed")

    frame = dd.from_pandas(pd.DataFrame(X, columns=list("abcd")), npartitions=2).map_partitions(
        compute, meta=dict.fromkeys("abcd", float)
    )
    with autolog.run() as run:
        run.log_dataset(frame)
    assert "rows" not in seen.run.datasets[0]
    assert seen.run.datasets[0]["columns"] == 4
