"""The promise: what the user measures after the fit goes to the run of the model that made the prediction, and to no other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn import metrics
from sklearn.base import BaseEstimator
from sklearn.cluster import KMeans
from sklearn.datasets import make_classification, make_regression
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeClassifier, SGDClassifier
from sklearn.metrics import (
    accuracy_score,
    auc,
    classification_report,
    confusion_matrix,
    f1_score,
    fbeta_score,
    mean_squared_error,
    precision_recall_curve,
    precision_recall_fscore_support,
    precision_score,
    r2_score,
    roc_auc_score,
    roc_curve,
    silhouette_score,
)
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import autolog
from autolog import RunRecord
from autolog.testing import Recorded

pd = pytest.importorskip("pandas")

Last = Callable[[RunRecord], dict[str, Any]]
Artifact = Callable[[RunRecord, str], Any]

X, Y = make_classification(300, 5, flip_y=0.2, random_state=0)
X_train, X_test, y_train, y_test = train_test_split(X, Y, random_state=0)


def measured(record: RunRecord) -> dict[str, Any]:
    """The last values of what was measured after the fit."""
    training = ("training_", "n_iter", "inertia", "best_cv_score")
    return {name: m["last"] for name, m in record.metrics.items() if not name.startswith(training)}


def fitted(**params: Any) -> GaussianNB:
    return GaussianNB(**params).fit(X_train, y_train)


# -- names


def test_a_metric_is_named_by_its_function_and_its_data(seen: Recorded) -> None:
    """Complete: `train` where the model knows the data, else what the script calls it, `accuracy_score_X_test`."""
    model = fitted()
    accuracy = accuracy_score(y_test, model.predict(X_test))
    on_training = accuracy_score(y_train, model.predict(X_train))
    predicted = model.predict(X=X_test)
    f1 = metrics.f1_score(y_test, predicted)
    unnamed = precision_score(y_test[:50], model.predict(X_test[:50]))
    scored = model.score(X_test, y_test), model.score(X=X_train, y=y_train)
    assert measured(seen.run) == {
        "accuracy_score_X_test": accuracy, "accuracy_score_train": on_training, "f1_score_X_test": f1,
        "precision_score": unnamed, "score_X_test": scored[0], "score_train": scored[1],
    }  # fmt: skip
    assert len(seen.all_runs) == 1


def test_settings_other_than_the_defaults_are_part_of_a_metrics_name(seen: Recorded) -> None:
    predicted = fitted().predict(X_test)
    f1_score(y_test, predicted)
    f1_score(y_test, predicted, average="binary", zero_division=0, pos_label=1)
    f1_score(y_test, predicted, average="macro")
    f1_score(y_test, predicted, pos_label=0)
    fbeta_score(y_test, predicted, beta=2)
    accuracy_score(y_test, predicted, normalize=False)
    roc_auc_score(y_test, predicted, average="weighted", multi_class="ovr", sample_weight=np.ones(75))
    assert set(measured(seen.run)) == {
        "f1_score_X_test", "f1_score_macro_X_test", "f1_score_pos_label_0_X_test", "fbeta_score_beta_2_X_test",
        "accuracy_score_normalize_False_X_test", "roc_auc_score_weighted_ovr_sample_weight_X_test",
    }  # fmt: skip
    assert [point.step for point in seen.run.history("f1_score_X_test")] == [0, 1]


# -- which prediction is whose


def test_views_of_predictions_are_known(seen: Recorded) -> None:
    """Complete: a column of the probabilities, which some models return as a view already; a raveled, a reshaped one."""
    models = [
        LogisticRegression(), LogisticRegression(solver="liblinear"), GaussianNB(), KNeighborsClassifier(),
        SGDClassifier(loss="log_loss"), RandomForestClassifier(n_estimators=3), HistGradientBoostingClassifier(max_iter=3),
        make_pipeline(StandardScaler(), LogisticRegression()),
        GridSearchCV(LogisticRegression(), {"C": [1.0]}, cv=2),
    ]  # fmt: skip
    for model in models:
        model.fit(X_train, y_train)
        probabilities = model.predict_proba(X_test)
        expected = roc_auc_score(y_test, probabilities[:, 1])
        metrics.average_precision_score(y_test, model.predict_proba(X_test)[:, 1])
        accuracy_score(y_test, model.predict(X_test).reshape(-1, 1).ravel())
        found = measured(seen.runs[-1])
        assert found["roc_auc_score_X_test"] == expected, model
        assert {"average_precision_score_X_test", "accuracy_score_X_test"} <= set(found), model
    assert len(seen.runs) == len(models)


def test_all_ways_of_predicting_are_known(seen: Recorded) -> None:
    """Complete: `decision_function`, log probabilities, a search's best estimator, a pipeline's last step."""
    linear = RidgeClassifier().fit(X_train, y_train)
    roc_auc_score(y_test, linear.decision_function(X_test))
    nb = fitted()
    roc_auc_score(y_test, nb.predict_log_proba(X_test)[:, 1])
    search = GridSearchCV(make_pipeline(StandardScaler(), GaussianNB()), {}, cv=2).fit(X_train, y_train)
    accuracy_score(y_test, search.best_estimator_.predict(X_test))
    search.score(X_test, y_test)
    scaled = search.best_estimator_[0].transform(X_test)
    f1_score(y_test, search.best_estimator_[-1].predict(scaled))
    assert [set(measured(run)) for run in seen.runs] == [
        {"roc_auc_score_X_test"}, {"roc_auc_score_X_test"},
        {"accuracy_score_X_test", "score_X_test", "f1_score_scaled"},
    ]  # fmt: skip


def test_each_models_metrics_go_to_its_own_run(seen: Recorded) -> None:
    first, second = fitted(), fitted(priors=[0.999, 0.001])
    of_second, of_first = second.predict(X_test), first.predict(X_test)
    expected = accuracy_score(y_test, of_first), accuracy_score(y_test, of_second)
    assert [measured(run) for run in seen.runs] == [{"accuracy_score_X_test": value} for value in expected]
    assert expected[0] != expected[1]


def test_a_prediction_made_before_a_second_fit_belongs_to_the_first(seen: Recorded) -> None:
    model = fitted()
    before = model.predict(X_test)
    model.fit(X_train, y_train)
    accuracy_score(y_test, before)
    model.score(X_test, y_test)
    assert [set(measured(run)) for run in seen.runs] == [{"accuracy_score_X_test"}, {"score_X_test"}]


def test_regressors_clusterings_and_online_models_are_measured(seen: Recorded) -> None:
    data, target = make_regression(80, 3, random_state=0)
    ridge = Ridge().fit(data, target)
    mean_squared_error(target, ridge.predict(data))
    r2_score(target, LinearRegression().fit(data, target).predict(data))
    clusters = KMeans(2, n_init=1)
    silhouette_score(data, clusters.fit_predict(data))
    silhouette_score(data, clusters.labels_)
    online = SGDClassifier().partial_fit(X_train, y_train, classes=[0, 1])
    accuracy_score(y_test, online.predict(X_test))
    assert [set(measured(run)) - {"rows"} for run in seen.runs] == [
        {"mean_squared_error_train"}, {"r2_score_train"}, {"silhouette_score"}, {"accuracy_score_X_test"},
    ]  # fmt: skip
    assert seen.runs[2].metrics["silhouette_score"]["count"] == 2


def test_metrics_of_unknown_predictions_are_not_recorded(seen: Recorded) -> None:
    """Nothing wrong: computed values, another tool's predictions, a model loaded or fitted unseen."""
    model = fitted()
    with autolog.suspended():
        unseen = fitted()
        unseen_too = model.predict(X_test)
    accuracy_score(y_test, 1 - model.predict(X_test))
    accuracy_score(y_test, np.zeros(75))
    accuracy_score(y_test, unseen.predict(X_test))
    accuracy_score(y_test, unseen_too)
    unseen.score(X_test, y_test)
    accuracy_score(y_test, autolog.load_model(seen.run, trust=True).predict(X_test))
    assert measured(seen.run) == {}
    assert len(seen.all_runs) == 1


def test_metrics_of_unknown_models_belong_to_the_explicit_run_around_them(seen: Recorded) -> None:
    known = fitted()
    with autolog.run("evaluation"):
        f1_score(y_test, np.zeros(75, dtype=int), zero_division=0)
        with autolog.suspended():
            unseen = fitted()
        unseen.score(X_test, y_test)
        accuracy_score(y_test, known.predict(X_test))
    fit, evaluation = seen.runs
    assert set(measured(fit)) == {"accuracy_score_X_test"}
    assert set(measured(evaluation)) == {"f1_score", "score_X_test"}


def test_inside_an_explicit_run_a_fit_and_its_metrics_are_one_run(seen: Recorded) -> None:
    with autolog.run("baseline"):
        model = fitted()
        accuracy_score(y_test, model.predict(X_test))
        model.score(X_test, y_test)
    assert (seen.run.name, set(measured(seen.run))) == ("baseline", {"accuracy_score_X_test", "score_X_test"})


def test_metrics_inside_a_fit_or_a_score_are_not_recorded(seen: Recorded) -> None:
    class Measuring(BaseEstimator):
        def fit(self, X: Any, y: Any) -> Any:
            self.inner_ = GaussianNB().fit(X, y)
            self.accuracy_ = accuracy_score(y, self.inner_.predict(X))
            return self

        def predict(self, X: Any) -> Any:
            return self.inner_.predict(X)

        def score(self, X: Any, y: Any) -> float:
            return f1_score(y, self.predict(X))

    Measuring().fit(X_train, y_train).score(X_test, y_test)
    assert set(measured(seen.run)) == {"score_X_test"}


# -- what is no number


def test_matrices_curves_and_reports_are_json_artifacts(seen: Recorded, artifact: Artifact) -> None:
    model = fitted()
    predicted, scores = model.predict(X_test), model.predict_proba(X_test)[:, 1]
    matrix = confusion_matrix(y_test, predicted)
    normalized = confusion_matrix(y_test, predicted, labels=[1, 0], normalize="true")
    fpr, tpr, thresholds = roc_curve(y_test, scores)
    area = auc(fpr, tpr)
    precision, recall, cuts = precision_recall_curve(y_test, scores)
    report = classification_report(y_test, predicted)
    details = classification_report(y_test, predicted, output_dict=True)
    support = precision_recall_fscore_support(y_test, predicted, average="macro")
    f1_score(y_test, predicted, average=None)
    run = seen.run
    assert artifact(run, "confusion_matrix_X_test") == {"labels": [0, 1], "matrix": matrix.tolist()}
    assert artifact(run, "confusion_matrix_labels_1_0_true_X_test") == {
        "labels": [1, 0],
        "matrix": normalized.tolist(),
    }
    roc = artifact(run, "roc_curve_X_test")
    assert (roc["fpr"], roc["tpr"]) == (fpr.tolist(), tpr.tolist())
    assert roc["thresholds"][1:] == thresholds.tolist()[1:]
    assert artifact(run, "precision_recall_curve_X_test") == {
        "precision": precision.tolist(), "recall": recall.tolist(), "thresholds": cuts.tolist(),
    }  # fmt: skip
    assert artifact(run, "classification_report_X_test") in ({"text": report}, details)
    assert artifact(run, "precision_recall_fscore_support_macro_X_test") == [*support[:3], None]
    assert measured(run) == {"auc_X_test": area}


def test_a_display_is_recorded_as_the_data_that_it_draws(seen: Recorded, artifact: Artifact) -> None:
    pytest.importorskip("matplotlib").use("Agg")
    model = fitted()
    metrics.ConfusionMatrixDisplay.from_predictions(y_test, model.predict(X_test))
    metrics.RocCurveDisplay.from_estimator(model, X_test, y_test)
    assert artifact(seen.run, "confusion_matrix_X_test")["labels"] == [0, 1]
    assert artifact(seen.run, "roc_curve_X_test")["tpr"][-1] == 1.0


# -- the data that was measured on


def test_the_data_of_a_metric_is_described_once(seen: Recorded) -> None:
    """Complete: as a test set, with its target; what the model was fitted on is none."""
    frame, labels = pd.DataFrame(X_test, columns=list("abcde")), pd.Series(y_test)
    model = GaussianNB().fit(pd.DataFrame(X_train, columns=list("abcde")), y_train)
    for _ in range(3):
        accuracy_score(labels, model.predict(frame))
        model.score(frame, labels)
    other = frame * 2
    model.score(other, labels)
    described = [(d["context"], d["kind"], d["rows"], d["target"]["kind"]) for d in seen.run.datasets]
    assert described == [
        ("train", "pandas.DataFrame", 225, "numpy.ndarray"),
        ("test", "pandas.DataFrame", 75, "pandas.Series"),
        ("test", "pandas.DataFrame", 75, "pandas.Series"),
    ]

    again = fitted()
    again.score(X_train, y_train)
    accuracy_score(y_train, again.predict(X_train))
    assert [d["context"] for d in seen.runs[1].datasets] == ["train"]


def test_log_post_training_metrics_false_records_no_metric_and_no_test_data(seen: Recorded) -> None:
    autolog.enable("sklearn", log_post_training_metrics=False)
    model = fitted()
    metrics.accuracy_score(y_test, model.predict(X_test))
    model.score(X_test, y_test)
    assert measured(seen.run) == {}
    assert [d["context"] for d in seen.run.datasets] == ["train"]


def test_scores_that_scikit_learn_computes_for_itself_are_not_recorded(
    seen: Recorded, binary: tuple[Any, Any]
) -> None:
    """`permutation_importance` scores shuffled data again and again, `bic` asks for a score: neither is the run's."""
    from sklearn.inspection import permutation_importance
    from sklearn.mixture import GaussianMixture

    X, y = binary
    model = LogisticRegression().fit(X, y)
    score = model.score(X, y)
    permutation_importance(model, X, y, n_repeats=3, random_state=0)
    GaussianMixture().fit(X).bic(X)
    run, mixture = seen.runs
    assert [name for name in mixture.metrics if name.startswith("score")] == []
    assert run.metrics["score_train"]["last"] == score
    assert "score" not in run.metrics


def test_targets_beside_the_data_are_no_prediction(seen: Recorded) -> None:
    """X and y cut from one array, and a baseline that gives back a column of X: what is measured of another model later is that
    one's.
    """
    from sklearn.base import BaseEstimator, RegressorMixin
    from sklearn.linear_model import Lasso
    from sklearn.metrics import mean_absolute_error

    class Naive(RegressorMixin, BaseEstimator):  # type: ignore[misc]
        def fit(self, X: Any, y: Any) -> Naive:
            return self

        def predict(self, X: Any) -> Any:
            return X[:, -1]

    data = np.random.default_rng(0).random((60, 4))
    X, y = data[:, :-1], data[:, -1]
    naive = mean_absolute_error(y, Naive().fit(X, y).predict(X))
    lasso = mean_absolute_error(y, Lasso().fit(X, y).predict(X))
    assert [run.metrics["mean_absolute_error_train"]["last"] for run in seen.runs] == [naive, lasso]


def test_a_metric_on_pseudo_labels_belongs_to_the_student(seen: Recorded, binary: tuple[Any, Any]) -> None:
    from sklearn.metrics import accuracy_score

    X, y = binary
    pseudo = LogisticRegression(C=0.01).fit(X, y).predict(X)
    student = LogisticRegression().fit(X, pseudo)
    found = accuracy_score(pseudo, student.predict(X))
    teacher, own = seen.runs
    assert own.metrics["accuracy_score_train"]["last"] == found
    assert "accuracy_score_train" not in teacher.metrics
