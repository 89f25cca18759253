"""The promise: which way a metric is better is what scikit-learn says, and what is called the score is what `score` says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import metrics
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.cluster import KMeans
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.feature_selection import RFECV
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    PoissonRegressor,
    TweedieRegressor,
)
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate, permutation_test_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from autolog.testing import Recorded
from autolog_sklearn import directions

X, Y = load_iris(return_X_y=True)
XD, YD = load_diabetes(return_X_y=True)


def said(run: Any) -> dict[str, str | None]:
    assert not any(one.get("guess") for one in run.metrics.values())
    return {name: one["direction"] for name, one in run.metrics.items()}


@pytest.mark.parametrize("name", metrics.get_scorer_names())
def test_directions_of_functions_are_those_of_their_scorers(name: str) -> None:
    scorer: Any = metrics.get_scorer(name)
    assert directions.of_function(scorer._score_func) == ("higher" if scorer._sign > 0 else "lower")


def test_directions_of_functions_that_no_scorer_has() -> None:
    """As their documentation has them; a function of the user's, or one whose result is no score, has none."""
    names = [
        "davies_bouldin_score", "calinski_harabasz_score", "silhouette_score", "hamming_loss", "zero_one_loss",
        "hinge_loss", "coverage_error", "label_ranking_loss", "label_ranking_average_precision_score",
        "mean_pinball_loss", "d2_log_loss_score", "mean_tweedie_deviance", "cohen_kappa_score", "dcg_score", "auc",
        "mean_absolute_percentage_error",
    ]  # fmt: skip
    names = [
        name for name in names if hasattr(metrics, name)
    ]  # some are younger than the oldest scikit-learn
    higher = (
        "calinski_harabasz_score", "silhouette_score", "label_ranking_average_precision_score", "d2_log_loss_score",
        "cohen_kappa_score", "dcg_score", "auc",
    )  # fmt: skip
    assert {name: directions.of_function(getattr(metrics, name)) for name in names} == {
        name: "higher" if name in higher else "lower" for name in names
    }
    assert directions.of_function(lambda: 1) is None
    assert directions.of_function(metrics.confusion_matrix) is None


def test_the_name_of_the_users_variable_does_not_affect_the_direction(seen: Recorded) -> None:
    model = LogisticRegression(max_iter=500).fit(X, Y)
    X_time, territory, y_time = X[:50], X[50:], Y[:50]
    metrics.accuracy_score(y_time, model.predict(X_time))
    metrics.f1_score(Y[50:], model.predict(territory), average="macro")
    metrics.log_loss(Y, model.predict_proba(X))
    model.score(X_time, y_time)
    found = said(seen.run)
    assert {name: found[name] for name in found if not name.startswith("training_")} == {
        "n_iter": None, "accuracy_score_X_time": "higher", "f1_score_macro_territory": "higher", "log_loss_train": "lower",
        "score_X_time": "higher",
    }  # fmt: skip
    assert {name for name, better in found.items() if better == "lower"} == {
        "training_log_loss",
        "log_loss_train",
    }


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (
            GradientBoostingClassifier(n_estimators=3, subsample=0.5),
            {"train_score": "lower", "oob_improvement": "higher", "oob_score": "lower"},
        ),
        (RandomForestClassifier(10, oob_score=True, bootstrap=True), {"oob_score": "higher"}),
        (RandomForestClassifier(10, oob_score=metrics.zero_one_loss, bootstrap=True), {"oob_score": None}),
        (
            HistGradientBoostingClassifier(max_iter=3, early_stopping=True),
            {"train_score": "higher", "validation_score": "higher"},
        ),
        (MLPClassifier((3,), max_iter=3, early_stopping=True), {"loss": "lower", "validation_score": "higher"}),
        (KMeans(2, n_init=1), {"inertia": "lower", "training_score": "higher"}),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
@pytest.mark.filterwarnings("ignore")
def test_what_an_estimator_holds_means_what_its_class_says(
    seen: Recorded, model: Any, expected: dict[str, str]
) -> None:
    """Gradient boosting's `train_score_` is a loss, histogram gradient boosting's a score."""
    model.fit(X, Y)
    found = said(seen.run)
    assert {name: found.get(name) for name in expected} == expected
    if "train_score" in expected:  # the more rounds, the better
        series = [point.value for point in seen.run.history("train_score")]
        assert (series[-1] > series[0]) == (expected["train_score"] == "higher")


def test_scores_of_searches_and_folds_have_the_direction_of_their_scorer(seen: Recorded) -> None:
    """More is better, an error's with its sign changed too; times and ranks are better small; spreads say nothing."""
    GridSearchCV(LogisticRegression(max_iter=500), {"C": [0.1, 1]}, scoring="neg_log_loss", cv=2).fit(X, Y)
    cross_validate(LogisticRegression(max_iter=500), X, Y, scoring=["neg_log_loss"], cv=2)
    cross_val_score(LinearRegression(), XD, YD, scoring="neg_mean_squared_error", cv=2)
    permutation_test_score(LinearRegression(), XD, YD, cv=2, n_permutations=2)
    search, validation, scores, permutation = seen.runs
    assert said(search)["best_cv_score"] == "higher"
    columns = {
        "mean_fit_time": "lower", "std_fit_time": None, "mean_score_time": "lower", "std_score_time": None,
        "split0_test_score": "higher", "split1_test_score": "higher", "mean_test_score": "higher", "std_test_score": None,
        "rank_test_score": "lower",
    }  # fmt: skip
    assert [said(child) for child in search.children] == [columns, columns]
    assert said(validation) == {
        "fit_time": "lower", "mean_fit_time": "lower", "std_fit_time": None, "score_time": "lower",
        "mean_score_time": "lower", "std_score_time": None, "test_neg_log_loss": "higher",
        "mean_test_neg_log_loss": "higher", "std_test_neg_log_loss": None,
    }  # fmt: skip
    assert said(scores) == {"test_score": "higher", "mean_test_score": "higher", "std_test_score": None}
    assert said(permutation) == {
        "score": "higher", "pvalue": None, "permutation_score": None, "mean_permutation_score": None,
        "std_permutation_score": None,
    }  # fmt: skip


class Own(RegressorMixin, BaseEstimator):
    """Has a score of its own."""

    def fit(self, X: Any, y: Any) -> Own:
        self.n_features_in_ = X.shape[1]
        return self

    def predict(self, X: Any) -> Any:
        return np.zeros(len(X))

    def score(self, X: Any, y: Any) -> float:
        return 42.0


WITH = [
    LogisticRegression(max_iter=500),
    make_pipeline(StandardScaler(), LogisticRegression()),
    GridSearchCV(LogisticRegression(max_iter=500), {"C": [0.1, 1]}, cv=2),
    LinearRegression(),
]
WITHOUT = [
    PoissonRegressor(),
    TweedieRegressor(power=1.5),
    LogisticRegressionCV(Cs=2, cv=2, scoring="neg_log_loss", max_iter=500),
    GridSearchCV(LogisticRegression(max_iter=500), {"C": [0.1, 1]}, cv=2, scoring="neg_log_loss"),
    RFECV(LinearRegression(), scoring="neg_mean_squared_error", cv=2),
    make_pipeline(StandardScaler(), PoissonRegressor()),
    Own(),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("model", [*WITH, *WITHOUT], ids=lambda model: type(model).__name__)
def test_the_training_score_is_what_score_says_or_is_left_out(seen: Recorded, model: Any) -> None:
    """Deviances, other scorings and scores of the user's own are no accuracy and no R²."""
    model.fit(X, Y)
    found = next(run for run in seen.runs if run.parent is None).metrics
    assert ("training_score" in found) == (model in WITH)
    if model in WITH:
        assert found["training_score"]["value"] == pytest.approx(model.score(X, Y), abs=1e-12)
