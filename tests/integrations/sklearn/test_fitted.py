"""The promise: what a fitted estimator holds of its own training is recorded: losses and scores an iteration, where it stopped,
coefficients and importances by the features' names; and what the user's own callbacks have measured.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sklearn
from sklearn.base import BaseEstimator
from sklearn.cluster import KMeans
from sklearn.compose import make_column_transformer
from sklearn.datasets import make_classification, make_regression
from sklearn.ensemble import (
    AdaBoostClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.feature_selection import SelectKBest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import (
    BayesianRidge,
    ElasticNetCV,
    LinearRegression,
    LogisticRegression,
    Ridge,
    RidgeCV,
    SGDClassifier,
)
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from autolog import RunRecord
from autolog.testing import Recorded

pd = pytest.importorskip("pandas")

Last = Callable[[RunRecord], dict[str, Any]]
Artifact = Callable[[RunRecord, str], Any]

X, Y = make_classification(200, 5, random_state=0)
XR, YR = make_regression(100, 5, noise=5.0, random_state=0)


def series(record: RunRecord, metric: str) -> list[float]:
    points = record.history(metric)
    assert [point.step for point in points] == list(range(len(points)))
    return [point.value for point in points]


# -- iterations


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_losses_and_scores_of_each_iteration_are_series(seen: Recorded) -> None:
    models = [
        MLPClassifier((4,), max_iter=20, early_stopping=True, n_iter_no_change=50, random_state=0),
        GradientBoostingClassifier(n_estimators=8, subsample=0.5, random_state=0),
        HistGradientBoostingClassifier(max_iter=8, early_stopping=True, n_iter_no_change=50, random_state=0),
        AdaBoostClassifier(n_estimators=5, random_state=0),
        BayesianRidge(compute_score=True),
    ]
    for model in models:
        model.fit(X, Y)
    mlp, gradient, histogram, boosted, bayesian = seen.runs
    assert series(mlp, "loss") == models[0].loss_curve_
    assert series(mlp, "validation_score") == models[0].validation_scores_
    assert series(gradient, "train_score") == models[1].train_score_.tolist()
    assert series(gradient, "oob_improvement") == models[1].oob_improvement_.tolist()
    assert series(gradient, "oob_score") == models[1].oob_scores_.tolist()
    assert series(histogram, "train_score") == models[2].train_score_.tolist()
    assert series(histogram, "validation_score") == models[2].validation_score_.tolist()
    assert series(boosted, "estimator_error") == models[3].estimator_errors_.tolist()
    assert series(bayesian, "score") == models[4].scores_.tolist()


def test_iterations_of_the_last_step_of_a_pipeline_or_a_search_are_series(seen: Recorded) -> None:
    boosting = GradientBoostingRegressor(n_estimators=4)
    make_pipeline(StandardScaler(), boosting).fit(XR, YR)
    search = GridSearchCV(
        make_pipeline(boosting), {"gradientboostingregressor__max_depth": [1, 2]}, cv=2
    ).fit(XR, YR)
    piped, searched = seen.runs
    assert series(piped, "train_score") == boosting.train_score_.tolist()
    assert series(searched, "train_score") == search.best_estimator_[-1].train_score_.tolist()


def test_single_fitted_numbers_are_metrics(seen: Recorded, last: Last) -> None:
    """Complete: iterations, chosen strengths, inertia, likelihoods, out-of-bag scores; of several iterations the most."""
    models = {
        "n_iter": LogisticRegression(), "alpha": RidgeCV(), "l1_ratio": ElasticNetCV(l1_ratio=[0.5], cv=2),
        "inertia": KMeans(2, n_init=1), "lower_bound": GaussianMixture(2),
        "log_marginal_likelihood_value": GaussianProcessRegressor(optimizer=None), "fit_status": SVC(),
        "oob_score": RandomForestClassifier(40, oob_score=True, random_state=0),
    }  # fmt: skip
    for model in models.values():
        model.fit(X, Y)
    for (name, model), run in zip(models.items(), seen.runs, strict=True):
        assert last(run)[name] == np.max(getattr(model, f"{name}_")), name


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_numbers_within_arrays_are_numbers(seen: Recorded) -> None:
    """Harmless: the bounds of a tied Bayesian mixture are arrays of one number each, which NumPy does not convert."""
    model = BayesianGaussianMixture(covariance_type="tied", max_iter=3).fit(X)
    bounds = getattr(model, "lower_bounds_", model.lower_bound_)
    assert series(seen.run, "lower_bound") == np.ravel(bounds).tolist()


# -- early stopping


def test_early_stopping_is_recorded_in_every_form(seen: Recorded, last: Last) -> None:
    """Complete: at which step it stopped, and which was best on the validation data. True: a network goes back to its best
    weights, so that these are what its metrics' values are of.
    """
    models: list[Any] = [
        MLPClassifier((4,), max_iter=200, early_stopping=True, n_iter_no_change=2, random_state=0),
        HistGradientBoostingClassifier(max_iter=200, early_stopping=True, n_iter_no_change=2, random_state=0),
        GradientBoostingClassifier(n_estimators=200, n_iter_no_change=2, random_state=0),
        SGDClassifier(early_stopping=True, n_iter_no_change=2, random_state=0),
        SGDClassifier(random_state=0),
    ]
    for model in models:
        model.fit(X, Y)
    names = ("best_iteration", "stopped_iteration", "best_validation_score")
    told = [{name: last(run)[name] for name in names if name in last(run)} for run in seen.runs]
    mlp, histogram, gradient, sgd, _ = models
    assert told == [
        {
            "best_iteration": int(np.argmax(mlp.validation_scores_)), "stopped_iteration": mlp.n_iter_ - 1,
            "best_validation_score": mlp.best_validation_score_,
        },
        {
            "best_iteration": int(np.argmax(histogram.validation_score_)), "stopped_iteration": histogram.n_iter_,
            "best_validation_score": histogram.validation_score_.max(),
        },
        {"stopped_iteration": gradient.n_estimators_ - 1},
        {"stopped_iteration": sgd.n_iter_ - 1},
        {},
    ]  # fmt: skip
    best = int(np.argmax(mlp.validation_scores_))
    network, boosting = seen.runs[:2]
    assert {name: network.metrics[name]["value"] for name in ("loss", "validation_score")} == {
        "loss": mlp.loss_curve_[best], "validation_score": mlp.best_validation_score_,
    }  # fmt: skip
    assert network.metrics["validation_score"]["last"] == mlp.validation_scores_[-1]
    assert boosting.metrics["validation_score"]["value"] == histogram.validation_score_[-1]


# -- coefficients and importances


def test_coefficients_are_kept_by_feature(seen: Recorded, artifact: Artifact) -> None:
    """Complete: as numbers that a page can draw; a row a class."""
    model = LinearRegression().fit(XR, YR)
    named = Ridge().fit(pd.DataFrame(XR, columns=list("abcde")), YR)
    several = LogisticRegression().fit(X, Y + (X[:, 0] > 1))
    SVC(kernel="linear").fit(X, Y)
    SVC(kernel="rbf").fit(X, Y)
    first, second, third, linear, radial = seen.runs
    assert artifact(first, "coefficients") == {
        "features": [0, 1, 2, 3, 4],
        "values": model.coef_.tolist(),
        "of": 5,
    }
    assert artifact(second, "coefficients") == {
        "features": list("abcde"),
        "values": named.coef_.tolist(),
        "of": 5,
    }
    assert artifact(third, "coefficients")["values"] == several.coef_.tolist()
    assert len(artifact(linear, "coefficients")["values"][0]) == 5
    assert "coefficients.json" not in [a["path"] for a in radial.artifacts]


def test_importances_are_kept_by_feature(seen: Recorded, artifact: Artifact) -> None:
    """Complete: of trees and their ensembles, with the names that the columns have when they reach the model."""
    frame = pd.DataFrame({"age": X[:, 0], "town": np.where(X[:, 1] > 0, "Rome", "Oslo"), "noise": X[:, 2]})
    prepare = make_column_transformer((OneHotEncoder(), ["town"]), (StandardScaler(), ["age", "noise"]))
    forest = RandomForestClassifier(n_estimators=5, n_jobs=2, random_state=0)
    make_pipeline(prepare, forest).fit(frame, Y)
    GridSearchCV(
        make_pipeline(prepare, SelectKBest(k=2), GradientBoostingClassifier(n_estimators=3)), {}, cv=2
    ).fit(frame, Y)
    piped, searched = seen.runs
    assert artifact(piped, "feature_importances") == {
        "features": ["onehotencoder__town_Oslo", "onehotencoder__town_Rome", "standardscaler__age",
                     "standardscaler__noise"],
        "values": pytest.approx(forest.feature_importances_.tolist()), "of": 4,
    }  # fmt: skip
    assert artifact(searched, "feature_importances")["of"] == 2
    assert set(artifact(searched, "feature_importances")["features"]) < set(
        artifact(piped, "feature_importances")["features"]
    )


def test_features_without_certain_names_are_numbered(seen: Recorded, artifact: Artifact) -> None:
    frame = pd.DataFrame(X, columns=list("abcde"))
    make_pipeline(FunctionTransformer(lambda X: np.asarray(X)[:, ::-1]), LogisticRegression()).fit(frame, Y)
    assert artifact(seen.run, "coefficients")["features"] == [0, 1, 2, 3, 4]


def test_of_many_features_the_thousand_largest_are_kept(seen: Recorded, artifact: Artifact) -> None:
    texts = [" ".join(f"w{i}x{j}" for j in range(30)) for i in range(50)]
    model = make_pipeline(CountVectorizer(), Ridge()).fit(texts, np.arange(50.0))
    kept = artifact(seen.run, "coefficients")
    greatest = np.sort(np.abs(model[-1].coef_))[-1000:]
    assert (kept["of"], len(kept["features"])) == (1500, 1000)
    assert sorted(np.abs(kept["values"])) == pytest.approx(greatest.tolist())
    names = model[0].get_feature_names_out().tolist()
    assert kept["features"] == [name for name in names if name in set(kept["features"])]


def test_importances_that_take_long_to_compute_are_left_out(seen: Recorded) -> None:
    RandomForestClassifier(n_estimators=2, max_depth=1).fit(X, Y)
    model = RandomForestClassifier(n_estimators=1, max_depth=1)
    model.set_params(n_estimators=400, warm_start=True)
    model.fit(X[:10], Y[:10])
    model.set_params(n_estimators=401)
    model.fit(X[:10], Y[:10])  # one tree is fitted, 401 would have to be asked
    kept = ["feature_importances.json" in [a["path"] for a in run.artifacts] for run in seen.runs]
    assert (kept[0], kept[2]) == (True, False)


def test_properties_of_a_users_class_are_not_computed(seen: Recorded) -> None:
    class Costly(GaussianNB):
        asked = 0

        @property
        def feature_importances_(self) -> Any:
            type(self).asked += 1
            return np.ones(5)

        coef_ = loss_curve_ = n_iter_ = feature_importances_

    Costly().fit(X, Y)
    assert Costly.asked == 0
    assert seen.run.errors == []


def test_odd_values_of_known_attributes_are_skipped(seen: Recorded) -> None:
    class Odd(BaseEstimator):
        def fit(self, X: Any, y: Any = None) -> Any:
            self.n_iter_, self.loss_curve_, self.coef_ = "many", [1.0, "two"], np.array("a")
            self.train_score_, self.scores_, self.inertia_ = {1: 2}, [], np.array([])
            self.oob_scores_, self.best_score_, self.steps = np.array([[1.0]]), float("nan"), "none"
            self.loss_, self.cv_results_, self.best_estimator_ = True, "no", None
            self._skl_callbacks, self.labels_, self.feature_names_in_ = (), "none", 3
            return self

        def predict(self, X: Any) -> Any:
            return X

    Odd().fit(X, Y)
    assert (seen.run.status, seen.run.errors) == ("finished", [])
    assert (list(seen.run.metrics), len(seen.run.models)) == (["best_score"], 1)


# -- curves


def test_confusion_matrix_and_curves_are_data(seen: Recorded, artifact: Artifact) -> None:
    """Complete: as numbers, at most 200 points of a curve with its ends."""
    many, labels = make_classification(900, 5, flip_y=0.3, random_state=0)
    model = GaussianNB().fit(many, np.array(["no", "yes"])[labels])
    scores = model.predict_proba(many)[:, 1]
    matrix = artifact(seen.run, "training_confusion_matrix")
    assert matrix["labels"] == ["no", "yes"]
    assert np.sum(matrix["matrix"]) == 900
    assert np.trace(matrix["matrix"]) / 900 == seen.run.metrics["training_accuracy_score"]["last"]
    for name, columns in (
        ("training_roc_curve", ["fpr", "tpr", "thresholds"]),
        ("training_precision_recall_curve", ["precision", "recall", "thresholds"]),
    ):
        curve = artifact(seen.run, name)
        assert list(curve) == columns
        assert {len(values) for values in curve.values()} == {200}
        assert (curve["thresholds"][0], curve["thresholds"][-1]) == (scores.max(), scores.min())
    roc = artifact(seen.run, "training_roc_curve")
    assert (roc["fpr"][-1], roc["tpr"][-1]) == (1.0, 1.0)
    area = np.sum(np.diff(roc["fpr"]) * (np.array(roc["tpr"][1:]) + roc["tpr"][:-1]) / 2)
    assert area == pytest.approx(seen.run.metrics["training_roc_auc"]["last"], abs=0.01)


# -- the user's own callbacks


callbacks = pytest.mark.skipif(
    tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 9),
    reason="callbacks came with scikit-learn 1.9",
)


@callbacks
@pytest.mark.parametrize("inside", ["nothing", "a pipeline", "a search"])
def test_what_a_scoring_monitor_measures_is_a_series(seen: Recorded, inside: str) -> None:
    """Complete: a step an iteration, of the model that is kept; and the user's list of callbacks is left alone."""
    from sklearn.callback import ScoringMonitor

    monitor = ScoringMonitor(scoring=["accuracy", "neg_log_loss"])
    model = LogisticRegression(max_iter=5, tol=1e-12).set_callbacks(monitor)
    mine = vars(model)["_skl_callbacks"]
    around = {
        "nothing": model,
        "a pipeline": make_pipeline(StandardScaler(), model),
        "a search": GridSearchCV(model, {"C": [0.1, 1.0]}, cv=2),
    }[inside]
    with pytest.warns(Warning, match="converge"):
        around.fit(X, Y)
    rows = [row for row in monitor.get_logs().data if row["task_name"] == "lbfgs-iter"][:5]
    assert series(seen.run, "accuracy") == [row["accuracy"] for row in rows]
    assert series(seen.run, "neg_log_loss") == [row["neg_log_loss"] for row in rows]
    assert vars(model)["_skl_callbacks"] is mine
    assert mine == [monitor]


@callbacks
def test_a_monitor_used_twice_gives_each_run_its_own(seen: Recorded) -> None:
    from sklearn.callback import ScoringMonitor

    monitor = ScoringMonitor(scoring="accuracy")
    for iterations in (2, 4):
        with pytest.warns(Warning, match="converge"):
            LogisticRegression(max_iter=iterations, tol=1e-12).set_callbacks(monitor).fit(X, Y)
    assert [len(series(run, "accuracy")) for run in seen.runs] == [2, 4]
