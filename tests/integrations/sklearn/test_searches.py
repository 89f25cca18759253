"""The promise: a search is one run that has its best candidate's params, score and model; every candidate is a small child run
with its own params and all its scores.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.datasets import make_classification
from sklearn.decomposition import PCA
from sklearn.ensemble import BaggingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_selection import RFECV
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    HalvingRandomSearchCV,
    ParameterGrid,
    RandomizedSearchCV,
    cross_val_score,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

import autolog
from autolog import RunRecord
from autolog.testing import Recorded

Last = Callable[[RunRecord], dict[str, Any]]

X = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [3.0, 0.0], [4.0, 1.0], [5.0, 0.0], [6.0, 1.0], [7.0, 0.0]])
Y = np.array([0, 0, 0, 0, 1, 1, 1, 1])
MANY, LABELS = make_classification(200, 5, random_state=0)


def test_a_search_is_one_run_and_a_child_for_each_candidate(
    seen: Recorded, visible: Callable[[RunRecord], dict[str, Any]]
) -> None:
    """Complete: nothing of a candidate goes into another one's place, nor into the search's."""
    search = GridSearchCV(
        GaussianNB(), {"var_smoothing": [10.0, 1e-9]}, cv=2, scoring="accuracy", return_train_score=True
    )
    search.fit(X[::-1], Y[[7, 0, 6, 1, 5, 2, 4, 3]])
    shown, children = visible(seen.run), [visible(child) for child in seen.run.children]
    results = search.cv_results_
    assert shown["datasets"][0].pop("target") == {"kind": "numpy.ndarray", "rows": 8, "dtype": "int64"}
    assert shown == {
        "experiment": "default", "status": "finished", "framework": "sklearn", "kind": "search",
        "estimator": "sklearn.model_selection._search.GridSearchCV",
        "params": {
            "cv": 2, "error_score": "NaN", "estimator": "GaussianNB", "estimator__priors": None,
            "estimator__var_smoothing": 1e-9, "n_jobs": None, "param_grid.var_smoothing": [10.0, 1e-9],
            "pre_dispatch": "2*n_jobs", "refit": True, "return_train_score": True, "scoring": "accuracy", "verbose": 0,
            "best_var_smoothing": search.best_params_["var_smoothing"],
        },
        "metrics": {"best_cv_score": search.best_score_, **{
            name: value for name, value in shown["metrics"].items() if name.startswith("training_")
        }},
        "tags": {}, "error": None, "errors": [], "notes": [],
        "datasets": [{"context": "train", "kind": "numpy.ndarray", "rows": 8, "columns": 2, "dtype": "float64"}],
        "artifacts": ["model/MLmodel", "model/conda.yaml", "model/model.pkl", "model/python_env.yaml",
                      "model/requirements.txt", "training_confusion_matrix.json",
                      "training_precision_recall_curve.json", "training_roc_curve.json"],
        "models": [("model", "sklearn")],
    }  # fmt: skip
    assert len([name for name in shown["metrics"] if name.startswith("training_")]) == 7
    for number, child in enumerate(children):
        assert child == {
            "experiment": "default", "status": "finished", "framework": "sklearn", "kind": "candidate",
            "estimator": "sklearn.model_selection._search.GridSearchCV", "params": results["params"][number],
            "metrics": {name: values[number] for name, values in results.items() if not name.startswith("param")},
            "tags": {"best": "true"} if number == search.best_index_ else {}, "error": None, "errors": [], "notes": [],
            "datasets": [], "artifacts": [], "models": [],
        }  # fmt: skip
    assert [child.name for child in seen.run.children] == [f"{seen.run.name}/0", f"{seen.run.name}/1"]
    assert len(seen.all_runs) == 3
    assert joblib.hash(seen.run.model(trust=True)) == joblib.hash(search.best_estimator_)


SEARCHES = [
    GridSearchCV(DecisionTreeClassifier(), {"max_depth": [1, 2], "criterion": ["gini", "entropy"]}, cv=3),
    GridSearchCV(DecisionTreeClassifier(), [{"max_depth": [1, 2]}, {"min_samples_leaf": [5]}], cv=2),
    RandomizedSearchCV(DecisionTreeClassifier(), {"max_depth": range(1, 9)}, n_iter=3, cv=2, random_state=0),
    HalvingGridSearchCV(DecisionTreeClassifier(), {"max_depth": [1, 2, 3, 4]}, cv=2, random_state=0),
    HalvingRandomSearchCV(
        DecisionTreeClassifier(), {"max_depth": range(1, 9)}, cv=2, random_state=0, n_candidates=4
    ),
    GridSearchCV(
        make_pipeline(StandardScaler(), PCA(), Ridge()), {"pca__n_components": [1, 2], "ridge__alpha": [1.0]}
    ),
    GridSearchCV(
        make_pipeline(Ridge()), {"ridge": [Ridge(), GaussianNB()]}, cv=2, scoring="accuracy", error_score=0
    ),
    GridSearchCV(
        DecisionTreeClassifier(), {"max_depth": [1, 2]}, scoring=["accuracy", "f1"], refit="f1", cv=2
    ),
    GridSearchCV(DecisionTreeClassifier(), {"max_depth": [1, 2]}, cv=2, n_jobs=2),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("search", SEARCHES, ids=lambda s: type(s).__name__)
def test_every_candidate_of_every_search_is_a_child(seen: Recorded, last: Last, search: Any) -> None:
    """Complete: all of them, in the search's order, with all that it says of each."""
    with joblib.parallel_backend("threading"):
        search = clone(search).fit(MANY, LABELS)
    results = search.cv_results_
    columns = [name for name in results if not name.startswith("param")]
    children = seen.run.children
    assert len(children) == len(results["params"]) > 1
    for number, child in enumerate(children):
        numbers = {name: float(results[name][number]) for name in columns}
        assert last(child) == pytest.approx(numbers, nan_ok=True)
        assert set(child.params) == set(results["params"][number])
    assert [child.tags for child in children].count({"best": "true"}) == 1
    assert children[search.best_index_].tags == {"best": "true"}
    assert last(seen.run)["best_cv_score"] == pytest.approx(search.best_score_)
    assert {f"best_{name}" for name in search.best_params_} <= set(seen.run.params)
    assert len(seen.all_runs) == 1 + len(children)


def test_a_search_of_several_metrics_that_refits_nothing_has_all_scores(seen: Recorded, last: Last) -> None:
    """Complete as far as it goes: no best candidate, no model, and a note that says so."""
    search = GridSearchCV(
        DecisionTreeClassifier(),
        {"max_depth": [1, 2]},
        scoring={"acc": "accuracy", "f": "f1"},
        refit=False,
        cv=2,
    ).fit(MANY, LABELS)
    assert not hasattr(search, "best_index_")
    assert (seen.run.metrics, seen.run.models) == ({}, [])
    assert seen.run.notes == ["The model was not saved: the search has no refitted model (refit=False)."]
    assert [child.tags for child in seen.run.children] == [{}, {}]
    assert {"mean_test_acc", "rank_test_f", "split1_test_f", "std_test_acc"} <= set(
        last(seen.run.children[0])
    )


def test_a_search_that_refits_nothing_has_its_best_candidate(seen: Recorded, last: Last) -> None:
    search = GridSearchCV(GaussianNB(), {"var_smoothing": [1e-9, 10.0]}, refit=False, cv=2).fit(MANY, LABELS)
    assert last(seen.run) == {"best_cv_score": search.best_score_}
    assert seen.run.params["best_var_smoothing"] == search.best_params_["var_smoothing"]
    assert seen.run.children[search.best_index_].tags == {"best": "true"}


def test_a_search_that_chooses_by_a_function_is_recorded(seen: Recorded, last: Last) -> None:
    """Complete: `refit` that is a function has an index and a model, but no best score."""
    GridSearchCV(GaussianNB(), {"var_smoothing": [1e-9, 10.0]}, refit=lambda results: 1, cv=2).fit(
        MANY, LABELS
    )
    assert "best_cv_score" not in last(seen.run)
    assert [child.tags for child in seen.run.children] == [{}, {"best": "true"}]
    assert len(seen.run.models) == 1


@pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.FitFailedWarning", "ignore:One or more of the test scores"
)
def test_failed_candidates_have_nan_as_scores(seen: Recorded, last: Last) -> None:
    search = GridSearchCV(Ridge(), {"alpha": [-1.0, 1.0]}, cv=2)
    search.fit(MANY, LABELS)
    bad, good = seen.run.children
    assert np.isnan(last(bad)["mean_test_score"])
    assert np.isnan(last(bad)["split0_test_score"])
    assert last(bad)["rank_test_score"] == 2
    assert np.isfinite(last(good)["mean_test_score"])
    assert (good.tags, seen.run.status) == ({"best": "true"}, "finished")


def test_a_search_of_which_all_fails_is_a_failed_run(seen: Recorded) -> None:
    with pytest.raises(ValueError, match="All the 4 fits failed"):
        GridSearchCV(Ridge(), {"alpha": [-1.0, -2.0]}, cv=2).fit(MANY, LABELS)
    assert (seen.run.status, len(seen.run.children)) == ("failed", 0)
    assert str(seen.run.error).startswith("ValueError: \nAll the 4 fits failed.")


class ThirdPartySearch(BaseEstimator):
    """A search that shares nothing with scikit-learn's but its conventions."""

    def __init__(self, estimator: Any, grid: Any) -> None:
        self.estimator = estimator
        self.grid = grid

    def fit(self, X: Any, y: Any) -> Any:
        candidates = list(ParameterGrid(self.grid))
        models = [clone(self.estimator).set_params(**params).fit(X, y) for params in candidates]
        scores = [model.score(X, y) for model in models]
        self.cv_results_ = {"params": candidates, "mean_test_score": scores, "note": ["fine"] * len(scores)}
        self.best_index_ = int(np.argmax(scores))
        self.best_estimator_ = models[self.best_index_]
        self.best_params_, self.best_score_ = candidates[self.best_index_], max(scores)
        return self


def test_a_third_partys_search_is_a_search(seen: Recorded, last: Last) -> None:
    """Complete: whatever has `cv_results_`; what is no number there is left out."""
    search = ThirdPartySearch(DecisionTreeClassifier(), {"max_depth": [1, 3]}).fit(MANY, LABELS)
    assert (seen.run.kind, seen.run.params["best_max_depth"]) == ("search", 3)
    assert [(child.params, last(child)) for child in seen.run.children] == [
        ({"max_depth": 1}, {"mean_test_score": search.cv_results_["mean_test_score"][0]}),
        ({"max_depth": 3}, {"mean_test_score": search.cv_results_["mean_test_score"][1]}),
    ]
    assert type(seen.run.model(trust=True)) is DecisionTreeClassifier
    assert len(seen.all_runs) == 3


class SearchOfTrials(BaseEstimator):
    """A search as Optuna's: it has trials of its own kind and no `cv_results_`; what was best are properties."""

    def __init__(self, estimator: Any, fails: bool = False) -> None:
        self.estimator = estimator
        self.fails = fails

    @property
    def best_params_(self) -> dict[str, Any]:
        return {"max_depth": 3}

    @property
    def best_score_(self) -> float:
        if self.fails:
            raise ValueError("there is no score")
        return 0.75

    def fit(self, X: Any, y: Any) -> Any:
        self.best_estimator_ = clone(self.estimator).set_params(**self.best_params_).fit(X, y)
        return self


@pytest.mark.parametrize("fails", [False, True])
def test_a_search_without_cv_results_has_its_best_params(seen: Recorded, last: Last, fails: bool) -> None:
    """Complete: the params that were found are nowhere else in the record; what a search cannot tell is left out."""
    SearchOfTrials(DecisionTreeClassifier(max_depth=1), fails).fit(MANY, LABELS)
    assert (seen.run.kind, seen.run.params["best_max_depth"], seen.run.errors) == ("search", 3, [])
    assert last(seen.run).get("best_cv_score") == (None if fails else 0.75)
    assert len(seen.all_runs) == 1


@pytest.mark.filterwarnings("ignore")
def test_parts_of_a_search_in_dask_threads_are_no_runs(seen: Recorded) -> None:
    """Nothing too much: a Dask cluster's threads in this process are older than the search that sends its parts there. What the
    user sends there himself is a training of his.
    """
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        with joblib.parallel_config("dask"):
            GridSearchCV(GaussianNB(), {"var_smoothing": [1e-9, 1.0]}, cv=2).fit(MANY, LABELS)
            cross_val_score(GaussianNB(), MANY, LABELS, cv=2)
            BaggingClassifier(GaussianNB(), 2, n_jobs=2).fit(MANY, LABELS)
        assert sorted(run.kind for run in seen.runs) == ["cv", "fit", "search"]
        client.submit(GaussianNB().fit, MANY, LABELS).result()
    assert sorted(run.kind for run in seen.runs) == ["cv", "fit", "fit", "search"]


def test_a_metric_inside_a_scorer_is_not_recorded(seen: Recorded) -> None:
    def score(model: Any, X: Any, y: Any) -> float:
        return accuracy_score(y, model.predict(X)) + model.score(X, y)

    GridSearchCV(GaussianNB(), {"var_smoothing": [1e-9]}, scoring=score, cv=2).fit(MANY, LABELS)
    GridSearchCV(GaussianNB(), {"var_smoothing": [1e-9]}, scoring=make_scorer(accuracy_score), cv=2).fit(
        MANY, LABELS
    )
    names = {name for run in seen.all_runs for name in run.metrics}
    assert not [name for name in names if name.startswith(("accuracy_score", "score"))]


def test_a_search_in_a_search_is_part_of_the_outer_candidates(seen: Recorded) -> None:
    inner = GridSearchCV(GaussianNB(), {"var_smoothing": [1e-9, 1.0]}, cv=2)
    with autolog.run("nested"):
        GridSearchCV(make_pipeline(inner), {"gridsearchcv__cv": [2, 3]}, cv=2).fit(MANY, LABELS)
    assert (seen.run.name, seen.run.kind) == ("nested", "search")
    assert [child.name for child in seen.run.children] == ["nested/0", "nested/1"]
    assert len(seen.all_runs) == 3


def test_rfecv_is_a_plain_fit(seen: Recorded, last: Last) -> None:
    RFECV(LogisticRegression(), cv=2).fit(MANY, LABELS)
    assert (seen.run.kind, len(seen.run.children), len(seen.all_runs)) == ("fit", 0, 1)
    assert last(seen.run)["training_accuracy_score"] > 0.5


def test_the_children_of_a_search_can_be_filtered_and_sorted(seen: Recorded) -> None:
    GridSearchCV(DecisionTreeClassifier(), {"max_depth": [1, 2, 3]}, cv=2).fit(MANY, LABELS)
    found = autolog.runs(
        f"parent == '{seen.run.id}' and params.max_depth > 1", order_by="-metrics.mean_test_score",
        store=seen.client.layout.root,
    )  # fmt: skip
    assert sorted(run.params["max_depth"] for run in found) == [2, 3]
