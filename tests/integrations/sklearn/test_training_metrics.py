"""The promise: what is recorded of a model on its training data is what scikit-learn's own functions say, to 1e-12; it is asked
for only where that is cheap and runs nobody's code but scikit-learn's; and it leaves no trace.
"""

from __future__ import annotations

import copy
import json
import random
import threading
import warnings
from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import joblib
import numpy as np
import pytest
from scipy import sparse
from sklearn import metrics
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, TransformerMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.datasets import make_classification, make_multilabel_classification, make_regression
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    BaggingClassifier,
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.impute import IterativeImputer
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeClassifier, SGDClassifier
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.semi_supervised import LabelPropagation, LabelSpreading
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier

import autolog
from autolog import RunRecord
from autolog.testing import Recorded
from autolog_sklearn import formulas, sampled, sampling, scores

pd = pytest.importorskip("pandas")

Last = Callable[[RunRecord], dict[str, Any]]


def of_classifier(model: Any, X: Any, y: Any, weight: Any = None) -> dict[str, float]:
    """The training metrics by scikit-learn's own functions."""
    with autolog.suspended(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        predicted = model.predict(X)
        averaged = {"average": "weighted", "sample_weight": weight, "zero_division": 0}
        expected = {
            "accuracy_score": metrics.accuracy_score(y, predicted, sample_weight=weight),
            "precision_score": metrics.precision_score(y, predicted, **averaged),
            "recall_score": metrics.recall_score(y, predicted, **averaged),
            "f1_score": metrics.f1_score(y, predicted, **averaged),
            "score": model.score(X, y) if weight is None else model.score(X, y, sample_weight=weight),
        }
        if hasattr(model, "predict_proba"):
            scores = model.predict_proba(X)
            expected["log_loss"] = metrics.log_loss(y, scores, sample_weight=weight)
            if scores.shape[1] == 2:
                expected["roc_auc"] = metrics.roc_auc_score(y, scores[:, 1], sample_weight=weight)
            elif weight is None:
                expected["roc_auc"] = metrics.roc_auc_score(y, scores, multi_class="ovo", average="weighted")
    return {f"training_{name}": value for name, value in expected.items()}


def of_regressor(model: Any, X: Any, y: Any, weight: Any = None) -> dict[str, float]:
    with autolog.suspended():
        predicted = model.predict(X)
        weighted = {"sample_weight": weight}
        squared = metrics.mean_squared_error(y, predicted, **weighted)
        return {
            "training_r2_score": metrics.r2_score(y, predicted, **weighted),
            "training_mean_absolute_error": metrics.mean_absolute_error(y, predicted, **weighted),
            "training_mean_squared_error": squared,
            "training_root_mean_squared_error": squared**0.5,
            "training_score": model.score(X, y, **weighted),
        }


def training(recorded: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in recorded.items() if name.startswith("training_")}


def exactly(expected: dict[str, float]) -> Any:
    return pytest.approx(expected, rel=1e-12, abs=1e-12)


# -- equal to scikit-learn's


X2, Y2 = make_classification(300, 6, flip_y=0.3, random_state=0)
X3, Y3 = make_classification(300, 6, n_informative=4, n_classes=3, flip_y=0.3, random_state=1)
WEIGHT = np.random.RandomState(0).uniform(0.1, 3.0, 300)
TEXTS = np.array(["left", "middle", "right"])

CLASSIFICATION = {
    "binary": (GaussianNB(), X2, Y2),
    "binary, with texts": (GaussianNB(), X2, TEXTS[Y2]),
    "binary, with booleans": (GaussianNB(), X2, Y2.astype(bool)),
    "binary, many equal scores": (DecisionTreeClassifier(max_depth=2), X2, Y2),
    "binary, without probabilities": (RidgeClassifier(), X2, Y2),
    "three classes": (LogisticRegression(max_iter=1000), X3, Y3),
    "three classes, as Series of texts": (GaussianNB(), pd.DataFrame(X3).add_prefix("c"), pd.Series(TEXTS[Y3])),
    "three classes, in lists": (GaussianNB(), X3.tolist(), TEXTS[Y3].tolist()),
    "three classes, floats": (GaussianNB(), X3, Y3 * 2.0),
    "a class never predicted": (DummyClassifier(), X3, Y3),
    "probabilities of 0 and 1": (DecisionTreeClassifier(), X3, Y3),
    "probabilities of 32 bits": (LogisticRegression(max_iter=1000), X3.astype(np.float32), Y3),
    "a column": (DecisionTreeClassifier(max_depth=3), X3, Y3.reshape(-1, 1)),
    "sparse": (LogisticRegression(), sparse.csr_matrix(X2), Y2),
    "pipeline": (make_pipeline(StandardScaler(), SGDClassifier(loss="log_loss", random_state=0)), X3, Y3),
    "search": (GridSearchCV(GaussianNB(), {"var_smoothing": [1e-9, 1e-3]}, cv=2), X3, Y3),
}  # fmt: skip


def test_classifiers_metrics_are_scikit_learns(seen: Recorded, last: Last) -> None:
    """Right: accuracy, weighted precision, recall and F1, log loss and AUC as `sklearn.metrics` computes them."""
    for name, (model, X, y) in CLASSIFICATION.items():
        model.fit(X, y)
        assert training(last(seen.runs[-1])) == exactly(of_classifier(model, X, np.ravel(y))), name


@pytest.mark.parametrize("classes", [2, 3])
def test_weighted_classifiers_metrics_are_scikit_learns(seen: Recorded, last: Last, classes: int) -> None:
    X, y = (X2, Y2) if classes == 2 else (X3, Y3)
    model = GaussianNB().fit(X, y, sample_weight=WEIGHT)
    assert training(last(seen.run)) == exactly(of_classifier(model, X, y, WEIGHT))


def test_unlabelled_rows_count_as_scikit_learn_counts_them(seen: Recorded, last: Last) -> None:
    y = np.where(np.arange(300) % 3 == 0, -1, Y2)
    model = LabelSpreading().fit(X2, y)
    expected = of_classifier(KnownLabels(model), X2, y)
    assert training(last(seen.run)) == exactly(expected)


class KnownLabels:
    """A model without its probabilities, which are not defined for what is no class."""

    def __init__(self, model: Any) -> None:
        self.predict, self.score = model.predict, model.score


REGRESSION = make_regression(300, 5, noise=20.0, random_state=0)


def test_regressors_metrics_are_scikit_learns(seen: Recorded, last: Last) -> None:
    """Right: R², mean absolute, squared and root of the squared error; whatever the target is."""
    X, y = REGRESSION
    trainings: list[tuple[Any, Any]] = [
        (Ridge(), y),
        (LinearRegression(), y.astype(int)),
        (LinearRegression(), y.reshape(-1, 1)),
        (LinearRegression(), pd.Series(y)),
        (LinearRegression(), y.tolist()),
        (DummyRegressor(), np.ones(300)),
        (TransformedTargetRegressor(Ridge(), transformer=StandardScaler()), y),
    ]
    for model, target in trainings:
        model.fit(X, target)
        assert training(last(seen.runs[-1])) == exactly(of_regressor(model, X, target)), model


def test_weighted_regressors_metrics_are_scikit_learns(seen: Recorded, last: Last) -> None:
    model = Ridge().fit(*REGRESSION, sample_weight=WEIGHT)
    assert training(last(seen.run)) == exactly(of_regressor(model, *REGRESSION, WEIGHT))


def test_other_models_have_their_score(seen: Recorded, last: Last) -> None:
    for model in (KMeans(2, n_init=1, random_state=0), GaussianMixture(2, random_state=0)):
        model.fit(X2)
        recorded = training(last(seen.runs[-1]))
        with autolog.suspended():
            assert recorded == {"training_score": model.score(X2)}


def test_several_targets_have_no_metrics(seen: Recorded, last: Last) -> None:
    X, y = make_multilabel_classification(60, 4, n_classes=3, random_state=0)
    RandomForestClassifier(n_estimators=3).fit(X, y)
    Ridge().fit(X, y.astype(float))
    assert [training(last(run)) for run in seen.runs] == [{}, {}]
    note = "Training metrics were left out: the target is not one class or number per row."
    assert [[note for note in run.notes if "signature" not in note] for run in seen.runs] == [[note], [note]]


def test_a_text_classifier_has_its_metrics(seen: Recorded, last: Last) -> None:
    texts, y = ["good film", "bad film", "good book", "bad book"] * 5, [1, 0] * 10
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, y)
    assert training(last(seen.run)) == exactly(of_classifier(model, texts, y))


# -- of many rows, a sample


def wave(rows: int) -> tuple[Any, Any]:
    """A load by the hour, with a daily rhythm that every twenty-fourth row does not show."""
    draw = np.random.default_rng(0)
    hours = np.arange(rows)
    load = np.sin(hours * 2 * np.pi / 24) + 0.1 * draw.normal(size=rows)
    return np.c_[hours % 168 // 24, draw.normal(size=rows)], load + (hours % 24 == 0)


def alternating(rows: int, classes: int) -> tuple[Any, Any]:
    draw = np.random.default_rng(0)
    y = np.arange(rows) % classes
    return np.c_[y + draw.normal(size=rows), draw.normal(size=rows)], y


def rare(rows: int) -> tuple[Any, Any]:
    draw = np.random.default_rng(0)
    y = (draw.uniform(size=rows) < 0.001).astype(int) + (draw.uniform(size=rows) < 0.3)
    return np.c_[y + draw.normal(size=rows)], y


def ordered(rows: int) -> tuple[Any, Any]:
    draw = np.random.default_rng(0)
    X = np.sort(draw.normal(size=rows))
    return X.reshape(-1, 1), X**2 + X + draw.normal(size=rows)


LARGE: dict[str, tuple[Any, Callable[[], tuple[Any, Any]]]] = {
    "two classes in turn": (GaussianNB(), lambda: alternating(20_000, 2)),
    "three classes in turn": (LogisticRegression(), lambda: alternating(20_000, 3)),
    "never wrong": (DecisionTreeClassifier(), lambda: alternating(20_000, 3)),
    "periodic": (DecisionTreeRegressor(max_depth=5, random_state=0), lambda: wave(24 * 1_000)),
    "sorted": (LinearRegression(), lambda: ordered(100_000)),
    "a rare class": (GaussianNB(), lambda: rare(200_000)),
    "sparse": (LogisticRegression(), lambda: (sparse.csc_matrix(alternating(30_000, 2)[0]), np.arange(30_000) % 2)),
    "a frame": (
        make_pipeline(StandardScaler(), GaussianNB()),
        lambda: (lambda X, y: (pd.DataFrame(X).add_prefix("c"), pd.Series(TEXTS[y])))(*alternating(50_000, 3)),
    ),
    "a million rows": (GaussianNB(), lambda: alternating(1_000_000, 2)),
}  # fmt: skip


@pytest.mark.parametrize("what", LARGE)
def test_metrics_of_a_sample_are_within_their_stated_error(seen: Recorded, what: str) -> None:
    """Right: whatever order the rows have, what 10,000 of them show is within three of the standard errors that are said with
    it of what all of them show; the rows of a second, equal training are the same.
    """
    make, data = LARGE[what]
    model, (X, y) = clone(make), data()
    model.fit(X, y)
    first = training(seen.run.metrics)
    whole = (of_classifier if hasattr(model, "classes_") else of_regressor)(model, X, y)
    assert set(first) == set(whole)
    for name, metric in first.items():
        assert (metric["data"], metric["sample"]["rows"], metric["sample"]["of"]) == (
            "train",
            10_000,
            X.shape[0],
        )
        assert 0 <= metric["sample"]["error"] < 0.5, name
        assert metric["value"] == pytest.approx(
            whole[name], rel=0, abs=3 * metric["sample"]["error"] + 1e-12
        ), name
    clone(make).fit(X, y)
    assert training(seen.runs[-1].metrics) == first
    assert (
        f"The training metrics are computed on 10,000 of the {X.shape[0]:,} rows, drawn at random."
        in seen.runs[0].notes
    )


WEIGHTS = np.random.default_rng(0).uniform(0.1, 3.0, 6_000)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["alike", "weighted"])
@pytest.mark.parametrize("classes", [0, 2, 3])
def test_stated_errors_are_the_deviation_over_many_samples(classes: int, weights: Any) -> None:
    rows, most, times = 6_000, 2_000, 300
    if classes:
        X, truth = make_classification(
            rows,
            6,
            n_informative=4,
            n_classes=classes,
            flip_y=0.2,
            random_state=0,
            weights=[0.5] * (classes - 1),
        )
        model = GaussianNB().fit(X, truth)
        predicted, probabilities = model.predict(X), model.predict_proba(X)
    else:
        X, truth = make_regression(rows, 4, noise=30.0, random_state=0)
        predicted = LinearRegression().fit(X, truth).predict(X)
    values: list[dict[str, float]] = []
    said: list[dict[str, float]] = []
    for seed in range(times):
        some = np.random.default_rng(seed).choice(rows, most, replace=False)
        weight = None if weights is None else weights[some]
        errors = sampled.Errors(most, rows, weight)
        if not classes:
            values.append(formulas.regression_scores(truth[some], predicted[some], weight))
            said.append(errors.of_regression(truth[some], predicted[some]))
            continue
        matrix = formulas.confusion(truth[some], predicted[some], classes, weight)
        value, error = (
            formulas.confusion_scores(matrix),
            errors.of_confusion(truth[some], predicted[some], classes),
        )
        value["log_loss"] = formulas.log_loss(truth[some], probabilities[some], weight)
        error["log_loss"] = errors.of_log_loss(truth[some], probabilities[some])
        if classes == 2:
            positive, scores_ = truth[some] == 1, probabilities[some, 1]
            value["roc_auc"] = formulas.area(*formulas.ranking(positive, scores_, weight)[:2])
            error["roc_auc"] = errors.of_area(positive, scores_)
        elif weights is None:
            value["roc_auc"] = formulas.auc_one_vs_one(truth[some], probabilities[some])
            error["roc_auc"] = errors.of_areas(truth[some], probabilities[some])
        values.append(value)
        said.append(error)
    for name in values[0]:
        scattered = np.std([value[name] for value in values])
        assert np.mean([error[name] for error in said]) == pytest.approx(scattered, rel=0.15), name


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_size_of_the_sample_depends_only_on_model_and_data() -> None:
    X, y = make_classification(5_000, 20, random_state=0)
    wide = np.zeros((2, 6_000))
    with autolog.suspended():
        cases = [
            (LogisticRegression().fit(X, y), X, 1, 10_000),
            (RandomForestClassifier(50, random_state=0).fit(X[:1_000], y[:1_000]), X, 1, 10_000),
            (RandomForestClassifier(500, random_state=0).fit(X[:1_000], y[:1_000]), X, 1, 2_000),
            (HistGradientBoostingClassifier(max_iter=300).fit(X[:500], y[:500]), X, 2, 2_000),
            (KNeighborsClassifier().fit(X[:500], y[:500]), X, 1, 10_000),
            (KNeighborsClassifier().fit(X, y), X, 1, 2_000),
            (KNeighborsClassifier().fit(np.tile(X, (2, 1)), np.tile(y, 2)), X, 1, 500),
            (make_pipeline(StandardScaler(), SVC(C=0.01)).fit(X[:2_000], y[:2_000]), X, 1, 2_000),
            (VotingClassifier([("svc", SVC(C=0.01)), ("nb", GaussianNB())]).fit(X[:2_000], y[:2_000]), X, 1, 2_000),
            (MLPClassifier((300, 300), max_iter=1, solver="sgd").fit(X[:100], y[:100]), X, 2, 2_000),
            (BaggingClassifier(KNeighborsClassifier(), 30).fit(X[:1_000], y[:1_000]), X, 1, 500),
            (CalibratedClassifierCV(SVC(C=0.01), cv=2).fit(X[:2_000], y[:2_000]), X, 1, 2_000),
            (GaussianProcessRegressor().fit(X[:1_000], y[:1_000]), X, 1, 2_000),
            (KernelRidge().fit(X[:1_000], y[:1_000]), X, 1, 2_000),
            (Slow().fit(X[:100], y[:100]), X, 1, 2_000),
            (GaussianNB(), wide, 1, 2_000),
            (GaussianNB(), ["a short text"] * 501, 1, 10_000),
            (GaussianNB(), ["a longer text " * 20] * 501, 1, 2_000),
            (GaussianNB(), pd.Series(["a long text " * 200] * 501), 1, 500),
        ]  # fmt: skip
        assert [sampling.most_rows(model, data, passes) for model, data, passes, _ in cases] == [
            most for *_, most in cases
        ]


def test_a_busy_machine_does_not_change_the_metrics(seen: Recorded) -> None:
    X, y = make_classification(12_000, 8, random_state=0)
    over = threading.Event()

    def keep_busy() -> None:
        while not over.is_set():
            pass

    RandomForestClassifier(10, random_state=0).fit(X, y)
    busy = threading.Thread(target=keep_busy)
    busy.start()
    try:
        RandomForestClassifier(10, random_state=0).fit(X, y)
    finally:
        over.set()
        busy.join()
    first, second = (training(run.metrics) for run in seen.runs)
    assert len(first) == 7
    assert first == second


class Slow(ClassifierMixin, BaseEstimator):
    """A user's model, of which nobody knows how long it predicts."""

    asked = 0

    def fit(self, X: Any, y: Any) -> Any:
        self.classes_ = np.unique(y)
        return self

    def predict(self, X: Any) -> Any:
        self.asked += len(X)
        return np.zeros(len(X), dtype=int)


def test_a_users_model_is_asked_for_2000_rows(seen: Recorded) -> None:
    autolog.enable("sklearn", log_training_metrics="always")
    X, y = make_classification(5_000, 4, random_state=0)
    model = Slow().fit(X, y)
    assert model.asked == 2_000
    assert seen.run.metrics["training_accuracy_score"]["sample"]["rows"] == 2_000


def test_the_confusion_matrix_of_a_sample_says_so(seen: Recorded) -> None:
    X, y = alternating(20_000, 2)
    GaussianNB().fit(X, y)
    kept = json.loads((seen.run.folder / "training_confusion_matrix.json").read_text())
    assert (np.sum(kept["matrix"]), kept["rows"], kept["of"]) == (10_000, 10_000, 20_000)


def test_a_sparse_matrix_without_row_access_has_no_training_metrics(seen: Recorded) -> None:
    X, y = alternating(20_000, 2)
    LogisticRegression().fit(sparse.coo_matrix(X), y)
    assert training(seen.run.metrics) == {}
    assert seen.run.notes == [
        "Training metrics were left out: a sparse matrix of format coo gives no single rows. Use CSR.",
        "The model has no signature: there is none for data of type coo_matrix.",
    ]


def test_a_score_that_sums_over_all_rows_is_not_computed_of_a_sample(seen: Recorded) -> None:
    KMeans(2, n_init=1, random_state=0).fit(alternating(20_000, 2)[0])
    assert "training_score" not in seen.run.metrics
    assert seen.run.notes == [
        "training_score was left out: it is computed only on data of at most 10,000 rows."
    ]


# -- nobody's code but scikit-learn's


class Counting(RegressorMixin, BaseEstimator):
    """A user's regressor that counts what it is asked."""

    def fit(self, X: Any, y: Any) -> Any:
        self.asked_ = 0
        return self

    def predict(self, X: Any) -> Any:
        self.asked_ += 1
        return np.zeros(len(X))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        self.asked_ += 1
        return 0.0


class CountingTransformer(TransformerMixin, BaseEstimator):
    def fit(self, X: Any, y: Any = None) -> Any:
        self.asked_ = 0
        return self

    def transform(self, X: Any) -> Any:
        self.asked_ += 1
        return X


class DuckTransformer:
    """Has `fit` and `transform` and nothing else of scikit-learn's."""

    asked = 0

    def fit(self, X: Any, y: Any = None) -> Any:
        return self

    def transform(self, X: Any) -> Any:
        self.asked += 1
        return X


class Forest(RandomForestClassifier):
    """A user's subclass, of which scikit-learn knows nothing."""


def users_function(X: Any) -> Any:
    users_function.asked += 1  # type: ignore[attr-defined]
    return X


users_function.asked = 0  # type: ignore[attr-defined]


def test_users_code_is_not_run_for_training_metrics(seen: Recorded, last: Last) -> None:
    X, y = REGRESSION
    counting, transformer, duck = Counting(), CountingTransformer(), DuckTransformer()
    counting.fit(X, y)
    make_pipeline(transformer, Ridge()).fit(X, y)
    make_pipeline(duck, Ridge()).fit(X, y)
    make_pipeline(FunctionTransformer(users_function), Ridge()).fit(X, y)
    make_pipeline(make_column_transformer((FunctionTransformer(users_function), [0])), Ridge()).fit(X, y)
    KNeighborsClassifier(metric=lambda a, b: float(((a - b) ** 2).sum())).fit(X2[:20], Y2[:20])
    search = GridSearchCV(make_pipeline(Ridge()), {"ridge": [Counting()]}, cv=2).fit(X, y)
    Forest(n_estimators=2).fit(X2, Y2)
    assert counting.asked_ == 0
    assert (transformer.asked_, duck.asked, users_function.asked) == (1, 1, 2)  # type: ignore[attr-defined]
    assert search.best_estimator_[0].asked_ == 0
    assert [training(last(run)) for run in seen.runs] == [{}] * 8


def test_callables_of_scikit_learn_and_numpy_are_not_users_code(seen: Recorded, last: Last) -> None:
    X, y = np.abs(X2), Y2
    make_pipeline(FunctionTransformer(np.log1p), GaussianNB()).fit(X, y)
    RandomForestClassifier(n_estimators=2, random_state=np.random.RandomState(0)).fit(X, y)
    GridSearchCV(GaussianNB(), {}, cv=2, scoring=lambda model, X, y: 0.5).fit(X, y)
    assert ["training_accuracy_score" in last(run) for run in seen.runs] == [True] * 3


def test_log_training_metrics_always_asks_users_models(seen: Recorded, last: Last) -> None:
    autolog.enable("sklearn", log_training_metrics="always")
    model = Counting().fit(*REGRESSION)
    assert model.asked_ == 1
    # Its `score` is its own, and not the R² that is recorded.
    assert set(training(last(seen.run))) == set(of_regressor(model, *REGRESSION)) - {"training_score"}


def test_a_model_that_fails_on_its_own_data_gets_a_note(seen: Recorded) -> None:
    autolog.enable("sklearn", log_training_metrics="always")

    class Failing(Counting):
        def predict(self, X: Any) -> Any:
            raise FloatingPointError("cannot")

    Failing().fit(*REGRESSION)
    assert (seen.run.status, seen.run.errors) == ("finished", [])
    assert [note for note in seen.run.notes if "signature" not in note] == [
        "Training metrics were left out: computing them raised FloatingPointError."
    ]


# -- no trace


@pytest.mark.parametrize("state", [None, 3, np.random.RandomState(3)])
def test_models_that_draw_random_numbers_when_they_predict_are_not_asked(seen: Recorded, state: Any) -> None:
    np.random.seed(0)
    random.seed(0)
    before = joblib.hash((np.random.get_state(), random.getstate()))
    for strategy in ("stratified", "uniform"):
        model = DummyClassifier(strategy=strategy, random_state=copy.deepcopy(state)).fit(X2, Y2)
        own = joblib.hash(model.random_state)
        make_pipeline(StandardScaler(), model).fit(X2, Y2)
        assert joblib.hash(model.random_state) == own == joblib.hash(state)
    assert joblib.hash((np.random.get_state(), random.getstate())) == before
    assert [run.metrics for run in seen.runs] == [{}] * 4


def test_an_imputer_that_draws_when_it_transforms_is_not_asked(seen: Recorded) -> None:
    X = np.where(np.random.RandomState(0).uniform(size=REGRESSION[0].shape) < 0.1, np.nan, REGRESSION[0])
    imputer = IterativeImputer(sample_posterior=True, max_iter=1, random_state=0)

    def predicted() -> Any:
        return make_pipeline(clone(imputer), Ridge()).fit(X, REGRESSION[1]).predict(X)

    with autolog.suspended():
        plain = predicted()
    assert (predicted() == plain).all()
    assert training(seen.run.metrics) == {}


def test_training_metrics_cause_no_warning(seen: Recorded, last: Last) -> None:
    autolog.enable("sklearn", log_training_metrics="always")

    class Warning_(Counting):
        def predict(self, X: Any) -> Any:
            warnings.warn("not asked", stacklevel=1)
            return np.full(len(X), 1e308) * 10

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Warning_().fit(*REGRESSION)
        GaussianNB().fit(pd.DataFrame(X2).add_prefix("c"), Y2)
    assert [len(training(last(run))) for run in seen.runs] == [4, 7]


def test_the_users_data_is_not_changed(seen: Recorded) -> None:
    data = [X3.copy(), Y3.copy(), WEIGHT.copy()]
    before = joblib.hash(data)
    GaussianNB().fit(data[0], data[1], sample_weight=data[2])
    HistGradientBoostingClassifier(max_iter=2).fit(data[0], data[1], sample_weight=data[2])
    assert joblib.hash(data) == before


def test_log_training_metrics_false_records_none(seen: Recorded) -> None:
    autolog.enable("sklearn", log_training_metrics=False)
    GaussianNB().fit(X2, Y2)
    assert seen.run.metrics == {}
    assert not [a for a in seen.run.artifacts if a["path"].startswith("training")]


@pytest.mark.parametrize("rows", [300, 3_000])
def test_small_data_is_predicted_once(seen: Recorded, monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    asked: list[tuple[str, int]] = []
    for name in ("predict", "predict_proba", "score"):
        original = getattr(GaussianNB, name)

        def counted(self: Any, X: Any, name: str = name, original: Any = original) -> Any:
            asked.append((name, len(X)))
            return original(self, X)

        monkeypatch.setattr(GaussianNB, name, counted)
    GaussianNB().fit(*make_classification(rows, 4, random_state=0))
    assert asked == [("predict", rows), ("predict_proba", rows)]


# Few, coarse values and short trees: many rows have several likeliest classes.
TIED: list[Any] = [
    BaggingClassifier(DecisionTreeClassifier(max_depth=2), n_estimators=2, random_state=0),
    BaggingClassifier(LinearSVC(), n_estimators=2, random_state=0),
    CalibratedClassifierCV(GaussianNB(), cv=2),
    DecisionTreeClassifier(max_depth=1, random_state=0),
    ExtraTreeClassifier(max_depth=1, random_state=0),
    ExtraTreesClassifier(2, max_depth=1, random_state=0),
    KNeighborsClassifier(4),
    KNeighborsClassifier(4, algorithm="brute"),
    LabelPropagation(),
    LabelSpreading(kernel="knn", n_neighbors=4),
    RandomForestClassifier(2, max_depth=1, random_state=0),
]


@pytest.mark.parametrize("model", TIED, ids=lambda model: type(model).__name__)
@pytest.mark.parametrize("classes", [2, 3])
def test_labels_are_derived_from_probabilities_where_that_is_what_predict_does(
    seen: Recorded, last: Last, monkeypatch: pytest.MonkeyPatch, model: Any, classes: int
) -> None:
    """Nearly free and right: these are asked for probabilities alone, and what is derived from them is what they predict."""
    draw = np.random.RandomState(1)
    X, y = draw.randint(0, 3, (200, 3)).astype(float), TEXTS[draw.randint(0, classes, 200)]
    asked: list[Any] = []
    with monkeypatch.context() as patch:
        patch.setattr(type(model), "predict", lambda self, X: asked.append(X))
        model = clone(model).fit(X, y)
    assert not asked
    with autolog.suspended():
        assert scores._predicts_the_likeliest(model)
        probabilities = model.predict_proba(X)
        assert (model.classes_.take(probabilities.argmax(axis=1)) == model.predict(X)).all()
    assert training(last(seen.run)) == exactly(of_classifier(model, X, y))


def test_neighbours_of_different_weights_are_asked_twice() -> None:
    """Right: `predict` adds their weights in another order than `predict_proba`, so a tie may be none; and
    a class of the user's predicts what it wants.
    """
    assert not scores._predicts_the_likeliest(KNeighborsClassifier(weights="distance"))
    assert not scores._predicts_the_likeliest(type("RandomForestClassifier", (RandomForestClassifier,), {})())


def test_a_pipelines_transformers_run_once_for_the_metrics(seen: Recorded, last: Last) -> None:
    autolog.enable("sklearn", log_training_metrics="always")
    counting = CountingTransformer()
    model = make_pipeline(counting, "passthrough", StandardScaler(), GaussianNB()).fit(X2, Y2)
    asked = counting.asked_
    assert asked == 2, "once in the fit, once for the metrics"
    assert training(last(seen.run)) == pytest.approx(of_classifier(model, X2, Y2))


@pytest.mark.parametrize("replaced", ["a method", "a param"])
def test_a_model_with_a_mock_is_not_asked(seen: Recorded, replaced: str) -> None:
    def calls() -> tuple[int, int]:
        """Of a method and of a scorer, in one fit."""
        scorer = Mock(side_effect=metrics.get_scorer("neg_median_absolute_error"))
        scoring = scorer if replaced == "a param" else "neg_median_absolute_error"
        model = HistGradientBoostingRegressor(
            max_iter=2, early_stopping=True, random_state=0, scoring=scoring
        )
        predict = model._raw_predict = Mock(side_effect=model._raw_predict)
        model.fit(*make_regression(random_state=0))
        return predict.call_count, scorer.call_count

    with autolog.suspended():
        plain = calls()
    assert calls() == plain
    assert [note for note in seen.run.notes if "not scikit-learn's" in note] != []
    assert [name for name in seen.run.metrics if name.startswith("training_")] == []
