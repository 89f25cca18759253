"""The promise: a cross-validation is one run with each fold, their mean and spread; the fits inside are nobody's."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn import model_selection
from sklearn.cluster import KMeans
from sklearn.datasets import make_classification
from sklearn.dummy import DummyClassifier
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.model_selection import (
    KFold,
    LearningCurveDisplay,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
    permutation_test_score,
    validation_curve,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import autolog
from autolog import RunRecord
from autolog.testing import Recorded, recorded

Last = Callable[[RunRecord], dict[str, Any]]
Artifact = Callable[[RunRecord, str], Any]

X, Y = make_classification(120, 5, random_state=0)


def steps(record: RunRecord, metric: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in record.history(metric)]


def test_cross_val_score_is_one_complete_run(
    seen: Recorded, visible: Callable[[RunRecord], dict[str, Any]]
) -> None:
    """Complete: a step a fold, the mean, the spread; and nothing that is not said here."""
    scores = cross_val_score(GaussianNB(), X, Y, cv=3, scoring="roc_auc")
    shown = visible(seen.run)
    assert shown == {
        "experiment": "default", "status": "finished", "framework": "sklearn", "kind": "cv",
        "estimator": "sklearn.naive_bayes.GaussianNB",
        "params": {"priors": None, "var_smoothing": 1e-9, "cross_val_score.cv": 3, "cross_val_score.scoring": "roc_auc"},
        "metrics": {"test_score": scores[-1], "mean_test_score": scores.mean(), "std_test_score": scores.std()},
        "tags": {"function": "cross_val_score"}, "error": None, "errors": [], "notes": [],
        "datasets": [{"context": "train", "kind": "numpy.ndarray", "rows": 120, "columns": 5, "dtype": "float64",
                      "target": {"kind": "numpy.ndarray", "rows": 120, "dtype": "int64"}}],
        "artifacts": [], "models": [],
    }  # fmt: skip
    assert steps(seen.run, "test_score") == list(enumerate(scores.tolist()))
    assert len(seen.all_runs) == 1


def test_cross_validate_has_all_its_scores_and_times(seen: Recorded, last: Last) -> None:
    """Complete: each metric, on training data too where asked for; and its estimators are known afterwards."""
    results = cross_validate(
        make_pipeline(StandardScaler(), GaussianNB()), X, Y, cv=KFold(4), scoring=["accuracy", "f1"],
        return_train_score=True, return_estimator=True,
    )  # fmt: skip
    accuracy_score(Y, results["estimator"][0].predict(X))
    names = ("fit_time", "score_time", "test_accuracy", "train_accuracy", "test_f1", "train_f1")
    for name in names:
        assert steps(seen.run, name) == list(enumerate(results[name].tolist()))
    expected = (
        {f"{how}_{name}" for name in names for how in ("mean", "std")} | set(names) | {"accuracy_score_X"}
    )
    assert set(last(seen.run)) == expected
    assert last(seen.run)["mean_test_f1"] == results["test_f1"].mean()
    assert seen.run.params["cross_validate.cv"] == "KFold"
    assert len(seen.all_runs) == 1


def test_metrics_of_cross_validated_predictions_belong_to_their_run(seen: Recorded, last: Last) -> None:
    predicted = cross_val_predict(GaussianNB(), X, Y, cv=3)
    accuracy = accuracy_score(Y, predicted)
    probabilities = cross_val_predict(GaussianNB(), X, Y, cv=3, method="predict_proba")
    auc = roc_auc_score(Y, probabilities[:, 1])
    first, second = seen.runs
    assert (last(first), last(second)) == ({"accuracy_score": accuracy}, {"roc_auc_score": auc})
    assert [len(run.datasets) for run in seen.runs] == [1, 1]


def test_a_learning_curve_is_a_series_and_data(seen: Recorded, last: Last, artifact: Artifact) -> None:
    """Complete: a step a size of the training set."""
    sizes, train, test = learning_curve(GaussianNB(), X, Y, cv=3, train_sizes=[0.25, 0.5, 1.0])
    assert steps(seen.run, "mean_test_score") == list(enumerate(test.mean(axis=1).tolist()))
    assert steps(seen.run, "std_train_score") == list(enumerate(train.std(axis=1).tolist()))
    expected = {"places": sizes.tolist(), "train": train.tolist(), "test": test.tolist()}
    assert artifact(seen.run, "learning_curve") == expected
    assert set(last(seen.run)) == {"mean_test_score", "std_test_score", "mean_train_score", "std_train_score"}


def test_a_validation_curve_is_a_series_and_data(seen: Recorded, artifact: Artifact) -> None:
    """Complete: a step a value of the param."""
    values = [1e-9, 1e-3, 1.0]
    train, test = validation_curve(GaussianNB(), X, Y, param_name="var_smoothing", param_range=values, cv=3)
    assert steps(seen.run, "mean_train_score") == list(enumerate(train.mean(axis=1).tolist()))
    assert artifact(seen.run, "validation_curve") == {
        "places": values,
        "train": train.tolist(),
        "test": test.tolist(),
    }
    assert seen.run.params["validation_curve.param_name"] == "var_smoothing"
    assert seen.run.params["validation_curve.param_range"] == values


def test_a_permutation_test_has_its_p_value(seen: Recorded, last: Last) -> None:
    """Complete: the score, the permuted scores, how probable that is."""
    score, permuted, p = permutation_test_score(GaussianNB(), X, Y, cv=2, n_permutations=5, random_state=0)
    assert steps(seen.run, "permutation_score") == list(enumerate(permuted.tolist()))
    assert (last(seen.run)["score"], last(seen.run)["pvalue"]) == (score, p)


def test_a_display_that_trains_is_recorded(seen: Recorded) -> None:
    pytest.importorskip("matplotlib").use("Agg")
    LearningCurveDisplay.from_estimator(GaussianNB(), X, Y, cv=2, train_sizes=[0.5, 1.0])
    assert (seen.run.kind, seen.run.tags) == ("cv", {"function": "learning_curve"})


def test_cross_validations_without_a_target_and_with_failing_folds_are_recorded(seen: Recorded) -> None:
    cross_val_score(KMeans(2, n_init=1), X, cv=2)
    with pytest.raises(ValueError, match="failed"):
        cross_val_score(DummyClassifier(strategy="constant", constant=5), X, Y, cv=2)
    clustered, failed = seen.runs
    assert (clustered.status, clustered.metrics["test_score"]["count"]) == ("finished", 2)
    assert (failed.status, failed.metrics) == ("failed", {})


def test_a_cross_validation_inside_an_explicit_run_is_that_run(seen: Recorded) -> None:
    with autolog.run("folds"):
        cross_val_score(GaussianNB(), X, Y, cv=2)
        GaussianNB().fit(X, Y)
    assert (seen.run.kind, seen.run.tags) == ("cv", {"function": "cross_val_score"})
    assert [child.kind for child in seen.run.children] == ["fit"]


def test_names_imported_before_switching_on_are_recorded() -> None:
    users = types.ModuleType("users_module")
    users.__file__ = "/home/someone/users_module.py"
    sys.modules["users_module"] = users
    users.validate = original = model_selection.cross_val_score  # type: ignore[attr-defined]
    try:
        with recorded("sklearn") as seen:
            users.validate(GaussianNB(), X, Y, cv=2)  # type: ignore[attr-defined]
            cross_val_score(GaussianNB(), X, Y, cv=2)
            assert len(seen.runs) == 2
        assert users.validate is original  # type: ignore[attr-defined]
        assert cross_val_score is original
    finally:
        del sys.modules["users_module"]


@pytest.mark.parametrize("backend", ["threading", "loky"])
def test_parallel_folds_are_still_one_run(seen: Recorded, backend: str) -> None:
    import joblib

    with joblib.parallel_backend(backend):
        scores = cross_val_score(GaussianNB(), X, Y, cv=3, n_jobs=2)
    assert steps(seen.run, "test_score") == list(enumerate(scores.tolist()))
    assert len(seen.all_runs) == 1
    assert np.isfinite(scores).all()
