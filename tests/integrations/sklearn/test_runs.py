"""The promise: every fit of an estimator that predicts is one complete run, whoever wrote the class; nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, ClusterMixin, RegressorMixin, TransformerMixin, clone
from sklearn.cluster import DBSCAN, FeatureAgglomeration, KMeans
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import BaggingClassifier, IsolationForest, RandomForestClassifier, StackingClassifier
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.feature_selection import RFE, SelectFromModel, mutual_info_classif
from sklearn.impute import IterativeImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, SGDClassifier
from sklearn.manifold import SpectralEmbedding
from sklearn.mixture import GaussianMixture
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KernelDensity, LocalOutlierFactor, NearestNeighbors
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import LabelEncoder, StandardScaler
from sklearn.utils.metaestimators import available_if

import autolog
from autolog import RunRecord
from autolog.testing import Recorded

X = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [3.0, 0.0], [4.0, 1.0], [5.0, 0.0]])
Y = np.array([0, 0, 0, 1, 1, 1])


def test_a_pipeline_is_one_complete_run(
    seen: Recorded, visible: Callable[[RunRecord], dict[str, Any]]
) -> None:
    """Complete: params of every step, training metrics, curves, the data, the model; and nothing that is not said here."""
    pipeline = make_pipeline(StandardScaler(), GaussianNB()).fit(X, Y)
    shown = visible(seen.run)
    params = {
        "memory": None, "verbose": False, "steps": [["standardscaler", "StandardScaler"], ["gaussiannb", "GaussianNB"]],
        "standardscaler": "StandardScaler", "standardscaler__copy": True, "standardscaler__with_mean": True,
        "standardscaler__with_std": True, "gaussiannb": "GaussianNB", "gaussiannb__priors": None,
        "gaussiannb__var_smoothing": 1e-9,
    }  # fmt: skip
    if "transform_input" in pipeline.get_params():  # scikit-learn 1.6 and later
        params["transform_input"] = None
    assert shown == {
        "experiment": "default", "status": "finished", "framework": "sklearn", "kind": "fit",
        "estimator": "sklearn.pipeline.Pipeline", "params": params,
        "metrics": {
            "training_accuracy_score": 1.0, "training_precision_score": 1.0, "training_recall_score": 1.0,
            "training_f1_score": 1.0, "training_roc_auc": 1.0, "training_score": 1.0,
            "training_log_loss": pytest.approx(0.017023, abs=1e-6),
        },
        "tags": {}, "error": None, "errors": [], "notes": [],
        "datasets": [
            {"context": "train", "kind": "numpy.ndarray", "rows": 6, "columns": 2, "dtype": "float64",
             "target": {"kind": "numpy.ndarray", "rows": 6, "dtype": "int64"}},
        ],
        "artifacts": [
            "model/MLmodel", "model/conda.yaml", "model/model.pkl", "model/python_env.yaml", "model/requirements.txt",
            "training_confusion_matrix.json", "training_precision_recall_curve.json", "training_roc_curve.json",
        ],
        "models": [("model", "sklearn")],
    }  # fmt: skip


# -- what is a run


PREDICTING = [
    LogisticRegression(), Ridge(), GaussianNB(), KMeans(2, n_init=1), DBSCAN(), GaussianMixture(2), KernelDensity(),
    IsolationForest(n_estimators=2), LocalOutlierFactor(2), LinearDiscriminantAnalysis(), DummyClassifier(),
    RFE(LogisticRegression()),
    OneVsRestClassifier(LogisticRegression()), BaggingClassifier(n_estimators=2), RandomForestClassifier(n_estimators=2),
    StackingClassifier([("a", GaussianNB())], cv=2), TransformedTargetRegressor(LinearRegression()),
    make_pipeline(StandardScaler(), KernelDensity()), make_pipeline(PCA(1), KMeans(2, n_init=1)),
    make_pipeline(StandardScaler(), make_pipeline(PCA(1), LogisticRegression())),
]  # fmt: skip


def test_a_fit_of_any_estimator_that_predicts_is_one_run(seen: Recorded) -> None:
    for estimator in PREDICTING:
        fitted = clone(estimator)
        assert fitted.fit(X, Y) is fitted
    paths = [f"{type(one).__module__}.{type(one).__qualname__}" for one in PREDICTING]
    assert [(run.kind, run.estimator) for run in seen.all_runs] == [("fit", path) for path in paths]


PREPARING = [
    StandardScaler(), PCA(1), SelectFromModel(RandomForestClassifier(n_estimators=2)), IterativeImputer(max_iter=1),
    ColumnTransformer([("a", StandardScaler(), [0])]), FeatureUnion([("a", PCA(1))]), make_pipeline(StandardScaler(), PCA(1)),
    SpectralEmbedding(1, n_neighbors=2), FeatureAgglomeration(2), NearestNeighbors(),
    Pipeline([("scale", StandardScaler()), ("as it is", "passthrough")]),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_fit_of_a_transformer_is_no_run(seen: Recorded) -> None:
    for estimator in PREPARING:
        clone(estimator).fit(X, Y)
        if hasattr(estimator, "fit_transform"):
            clone(estimator).fit_transform(X, Y)
    LabelEncoder().fit_transform(["a", "b"])
    mutual_info_classif(X, Y, n_neighbors=1)
    assert list(seen.all_runs) == []


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_model_inside_a_transformer_of_a_pipeline_is_no_run(seen: Recorded) -> None:
    select = SelectFromModel(RandomForestClassifier(n_estimators=2), threshold=-np.inf)
    make_pipeline(IterativeImputer(max_iter=1), select, LogisticRegression()).fit(X, Y)
    assert [run.estimator for run in seen.all_runs] == ["sklearn.pipeline.Pipeline"]


def test_fit_predict_and_fit_transform_are_one_run(seen: Recorded) -> None:
    estimators = [
        KMeans(2, n_init=1),
        DBSCAN(),
        GaussianMixture(2),
        make_pipeline(StandardScaler(), KMeans(2, n_init=1)),
    ]
    for estimator in estimators:
        estimator.fit_predict(X)
    KMeans(2, n_init=1).fit_transform(X)
    LinearDiscriminantAnalysis().fit_transform(X, Y)
    assert [run.kind for run in seen.all_runs] == ["fit"] * 6


def test_a_search_that_does_not_refit_and_one_over_transformers_are_runs(seen: Recorded) -> None:
    from sklearn.model_selection import GridSearchCV

    GridSearchCV(GaussianNB(), {"var_smoothing": [1e-9]}, cv=2, refit=False).fit(X, Y)
    GridSearchCV(PCA(), {"n_components": [1]}, cv=2).fit(X)
    assert [run.kind for run in seen.runs] == ["search", "search"]


# -- whose class it is


HAS_SECRETS = "The model needs test_runs.py, which is not kept with it: there is a secret in it."
"""Of this file: other tests of it have made-up ones."""


class Mean(RegressorMixin, BaseEstimator):
    """A user's estimator."""

    def __init__(self, shift: float = 0.0) -> None:
        self.shift = shift

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Mean:
        self.mean_ = float(np.mean(y)) + self.shift
        return self

    def predict(self, X: Any) -> Any:
        return np.full(len(X), self.mean_)


def test_a_users_estimator_is_recorded_and_its_code_not_run_again(
    seen: Recorded, visible: Callable[[RunRecord], dict[str, Any]]
) -> None:
    """Complete and transparent: params, data and model; no training metrics, for which its `predict` would run once more."""
    model = Mean(shift=1.0).fit(X, Y)
    assert visible(seen.run) == {
        "experiment": "default", "status": "finished", "framework": "sklearn", "kind": "fit",
        "estimator": f"{__name__}.Mean", "params": {"shift": 1.0}, "metrics": {}, "tags": {}, "error": None, "errors": [],
        "notes": [
            'Training metrics were left out: Mean is not scikit-learn\'s. log_training_metrics="always" computes them anyway.',
            "The signature says nothing of the predictions: what these are like only the model itself could tell.",
            HAS_SECRETS,
        ],
        "datasets": [
            {"context": "train", "kind": "numpy.ndarray", "rows": 6, "columns": 2, "dtype": "float64",
             "target": {"kind": "numpy.ndarray", "rows": 6, "dtype": "int64"}},
        ],
        "artifacts": ["model/MLmodel", "model/conda.yaml", "model/model.pkl", "model/python_env.yaml",
                      "model/requirements.txt"],
        "models": [("model", "sklearn")],
    }  # fmt: skip
    assert vars(model) == {"shift": 1.0, "mean_": 1.5}


def test_classes_defined_after_switching_on_are_recorded(seen: Recorded) -> None:
    """Complete: subclasses, those that inherit `fit`, and those that have it from a mixin that is no estimator."""

    class Later(Mean):
        pass

    class FitMixin:
        def fit(self, X: Any, y: Any = None) -> Any:
            return self

    class Mixed(FitMixin, BaseEstimator):
        def predict(self, X: Any) -> Any:
            return X

    class Calling(Mean):
        def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
            return super().fit(X, y)

    for cls in (Later, Mixed, Calling):
        cls().fit(X, Y)
    assert [run.estimator.rpartition(".")[2] for run in seen.all_runs] == ["Later", "Mixed", "Calling"]


def test_a_class_with_a_mixin_of_scikit_learns_only_is_no_estimator(seen: Recorded) -> None:
    class OnlyClusters(ClusterMixin):
        def fit(self, X: Any, y: Any = None) -> Any:
            self.labels_ = KMeans(2, n_init=1).fit(X).labels_
            return self

    OnlyClusters().fit_predict(X)
    assert [run.estimator for run in seen.all_runs] == ["sklearn.cluster._kmeans.KMeans"]


class Awkward(ClassifierMixin, BaseEstimator):
    """Equal to nothing, unhashable, without room for attributes, false, and with a `predict` that is there sometimes."""

    __slots__ = ("answer",)

    def __init__(self, answer: int = 1) -> None:
        self.answer = answer

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("do not compare")

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        raise RuntimeError("neither true nor false")

    def __len__(self) -> int:
        return 0

    def fit(self, X: Any, y: Any = None) -> Any:
        return self

    @available_if(lambda self: self.answer > 0)
    def predict(self, X: Any) -> Any:
        return np.full(len(X), self.answer)


@pytest.mark.parametrize("answer", [0, 1])
def test_awkward_estimators_are_recorded(seen: Recorded, answer: int) -> None:
    """Transparent: no comparison, hash, truth or attribute is asked of the user's objects."""
    model = Awkward(answer).fit(X, Y)
    assert seen.run.params == {"answer": answer}
    assert hasattr(model, "predict") == bool(answer)
    if answer:
        assert model.score(X, Y) == 0.5
        assert seen.run.metrics["score_train"]["last"] == 0.5


def test_an_estimator_whose_get_params_fails_is_recorded_without_them(seen: Recorded) -> None:
    """Harmless: a class that breaks scikit-learn's rules trains all the same, and the run says what is missing."""

    class Varargs(BaseEstimator):
        def __init__(self, *args: int) -> None:
            self.args = args

        def fit(self, X: Any, y: Any = None) -> Any:
            return self

        def predict(self, X: Any) -> Any:
            return X

    Varargs(1, 2).fit(X)
    assert [note for note in seen.run.notes if "signature" not in note] == [
        "get_params() failed: RuntimeError", HAS_SECRETS,
    ]  # fmt: skip
    assert (seen.run.status, seen.run.params) == ("finished", {})


def test_third_party_estimators_are_recorded(seen: Recorded) -> None:
    """Complete: imbalanced-learn's classifiers and pipelines are runs; its samplers, which prepare data, are none."""
    imblearn = pytest.importorskip("imblearn")
    from imblearn.ensemble import BalancedBaggingClassifier
    from imblearn.over_sampling import SMOTE
    from imblearn.pipeline import make_pipeline as make_resampling_pipeline

    assert imblearn
    many, labels = np.random.RandomState(0).normal(size=(60, 3)), np.arange(60) % 3 == 0
    SMOTE(random_state=0).fit_resample(many, labels)
    SMOTE(random_state=0).fit(many, labels)
    assert list(seen.all_runs) == []
    BalancedBaggingClassifier(n_estimators=2, random_state=0).fit(many, labels)
    make_resampling_pipeline(SMOTE(random_state=0), LogisticRegression()).fit(many, labels)
    bagging, pipeline = seen.all_runs
    assert bagging.estimator == "imblearn.ensemble._bagging.BalancedBaggingClassifier"
    assert pipeline.params["smote__random_state"] == 0
    assert [run.models for run in (bagging, pipeline)] == [
        [{"path": "model", "flavor": "sklearn", **{key: run.models[0][key] for key in ("bytes", "seconds")}}]
        for run in (bagging, pipeline)
    ]


# -- partial_fit


def test_successive_partial_fits_are_one_run_with_a_step_each(seen: Recorded, binary: Any) -> None:
    """Once: an online training is one run, as long as it goes on; a `fit` begins another."""
    model, coefficients = SGDClassifier(random_state=0), []
    for start in range(0, 120, 40):
        model.partial_fit(binary[0][start : start + 40], binary[1][start : start + 40], classes=[0, 1])
        coefficients.append(model.coef_.copy())
    run = seen.run
    assert (run.kind, run.status, run.params["fit.classes"]) == ("partial_fit", "finished", [0, 1])
    assert [(p.step, p.value) for p in run.history("rows")] == [(0, 40), (1, 40), (2, 40)]
    assert [p.step for p in run.history("n_iter")] == [0, 1, 2]
    saved = coefficients[int(run.tags["model_step"])]
    assert (run.model(trust=True).coef_ == saved).all()

    other = SGDClassifier(random_state=0).partial_fit(*binary, classes=[0, 1])
    model.fit(*binary)
    model.partial_fit(*binary)
    other.partial_fit(*binary)
    assert [run.kind for run in seen.runs] == ["partial_fit", "partial_fit", "fit", "partial_fit"]
    assert [run.metrics["rows"]["count"] for run in seen.runs if run.kind == "partial_fit"] == [3, 2, 1]


def test_a_failed_partial_fit_fails_the_run_until_one_succeeds(seen: Recorded, binary: Any) -> None:
    model = SGDClassifier()
    with pytest.raises(ValueError, match="classes must be passed"):
        model.partial_fit(*binary)
    assert seen.run.status == "failed"
    model.partial_fit(*binary, classes=[0, 1])
    assert seen.run.status == "finished"


def test_partial_fits_inside_an_explicit_run_are_that_run(seen: Recorded, binary: Any) -> None:
    with autolog.run("online") as run:
        model = SGDClassifier()
        for _ in range(3):
            model.partial_fit(*binary, classes=[0, 1])
            assert seen.run.status == "running"
        assert autolog.current_run() is run
    assert (seen.run.name, seen.run.status, seen.run.metrics["rows"]["count"]) == ("online", "finished", 3)
    assert len(seen.all_runs) == 1


# -- arguments


def test_arguments_beside_the_data_are_params(seen: Recorded, binary: Any) -> None:
    """Complete: that weights were given, not which; other arguments as they are; positional ones by their name."""
    SGDClassifier().fit(*binary, None, None, np.ones(120))
    LogisticRegression().fit(*binary, sample_weight=list(np.ones(120)))
    make_pipeline(StandardScaler(), SGDClassifier()).fit(
        *binary, sgdclassifier__sample_weight=np.ones(120), sgdclassifier__coef_init=np.zeros((1, 5))
    )
    given = [{k: v for k, v in run.params.items() if k.startswith("fit.")} for run in seen.runs]
    assert given == [
        {"fit.sample_weight": "given"},
        {"fit.sample_weight": "given"},
        {"fit.sgdclassifier__sample_weight": "given", "fit.sgdclassifier__coef_init": [[0.0] * 5]},
    ]


def test_a_fit_without_X_and_y_is_recorded(seen: Recorded) -> None:
    """Complete: a user's `fit` need not take X and y; what it iterates over is left alone."""

    class Streaming(BaseEstimator):
        def fit(self, batches: Any, *, epochs: int = 1, **more: Any) -> Any:
            self.batches_ = len(list(batches))
            self.steps = [1, 2]  # no pipeline's
            return self

        def predict(self, X: Any) -> Any:
            return X

    model = Streaming().fit((batch for batch in (X, X)), epochs=3, verbose=None, rate=0.5)
    assert model.batches_ == 2
    assert seen.run.params == {"fit.epochs": 3, "fit.rate": 0.5}
    assert seen.run.datasets == [{"context": "train", "kind": "generator"}]
    assert (seen.run.status, seen.run.errors) == ("finished", [])


def test_secrets_in_params_are_not_stored(seen: Recorded, tmp_path: Any) -> None:
    """Honest and harmless: a user's estimator that holds a token; neither the params nor the model give it away."""

    class Remote(BaseEstimator):
        def __init__(self, api_key: str = "") -> None:
            self.api_key = api_key

        def fit(self, X: Any, y: Any = None) -> Any:
            return self

        def predict(self, X: Any) -> Any:
            return X

    secret = "correct-horse-battery-staple"
    Remote(api_key=secret).fit(X)
    assert seen.run.params["api_key"].startswith("<redacted:")
    assert seen.run.models == []
    files = [path for path in seen.run.folder.parent.parent.rglob("*") if path.is_file()]
    assert files
    assert not any(secret.encode() in path.read_bytes() for path in files)


class Holds(BaseEstimator):
    """An estimator that keeps whatever it is given."""

    def __init__(
        self, settings: Any = None, texts: Any = None, oov_token: str = "", cookie: str = ""
    ) -> None:
        self.settings = settings
        self.texts = texts
        self.oov_token = oov_token
        self.cookie = cookie

    def fit(self, X: Any, y: Any = None) -> Holds:
        self.vocabulary_ = {word: number for number, word in enumerate(self.texts)}
        return self

    def predict(self, X: Any) -> Any:
        return X


def test_texts_that_look_like_secrets_do_not_keep_a_model_from_being_saved(seen: Recorded) -> None:
    texts = [
        "941d1021ed5edc638fdb1bcdefae5124df1654cd", "550e8400-e29b-41d4-a716-446655440000", "-p 8080", "max_tokens=512",
        "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", "pad_token='<pad>'", "distilbert-base-uncased-finetuned-sst-2",
    ]  # fmt: skip
    names = {
        "password_policy": "strict-12",
        "pwd": "/home/ann",
        "tokens": ["the", "fox"],
        "auth": "basic",
        "n_keys": 3,
    }
    Holds(names, texts, oov_token="unknown", cookie="chocolate").fit(X)
    assert [model["path"] for model in seen.run.models] == ["model"]
    assert seen.run.params["oov_token"] == "unknown"
    assert seen.run.params["texts"] == texts
    assert {key: seen.run.params[f"settings.{key}"] for key in names if key != "pwd"} == {
        key: value for key, value in names.items() if key != "pwd"
    }


# -- explicit runs, outcomes, threads


def test_the_first_fit_inside_an_explicit_run_is_that_run_and_the_second_a_child(seen: Recorded) -> None:
    with autolog.run("baseline", tags={"team": "blue"}):
        encoded = LabelEncoder().fit_transform(Y)
        StandardScaler().fit(X)
        GaussianNB().fit(X, encoded)
        Ridge(alpha=2.0).fit(X, encoded)
        GaussianNB(var_smoothing=1e-8).fit(X, encoded)
    run = seen.run
    assert (run.name, run.tags, run.estimator, run.kind) == (
        "baseline", {"team": "blue"}, "sklearn.naive_bayes.GaussianNB", "fit",
    )  # fmt: skip
    assert run.params == {"priors": None, "var_smoothing": 1e-9}
    assert type(run.model(trust=True)) is GaussianNB
    assert [(c.name, c.estimator.rpartition(".")[2]) for c in run.children] == [
        ("baseline/1", "Ridge"), ("baseline/2", "GaussianNB"),
    ]  # fmt: skip
    assert run.children[0].params["alpha"] == 2.0


@pytest.mark.parametrize(
    ("error", "status"),
    [(ValueError("bad"), "failed"), (KeyboardInterrupt(), "interrupted"), (SystemExit(3), "interrupted")],
)
def test_a_fit_that_raises_is_a_run_that_says_so(seen: Recorded, error: BaseException, status: str) -> None:
    """Honest: an exception passes through as it is, and the run keeps what was known before."""

    class Breaking(Mean):
        def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
            raise error

    with pytest.raises(type(error)) as caught:
        make_pipeline(StandardScaler(), Breaking(shift=2.0)).fit(X, Y)
    assert caught.value is error
    run = seen.run
    said = type(error).__name__ + (f": {error}" if str(error) else "")
    assert (run.status, run.error, run.params["breaking__shift"]) == (status, said, 2.0)
    assert (run.models, run.metrics, run.datasets[0]["rows"]) == ([], {}, 6)


def test_an_estimator_fitted_again_is_another_run(seen: Recorded, last: Any) -> None:
    """What is measured goes to the newer run, not to the first, ended one."""
    model = GaussianNB().fit(X, Y)
    model.fit(X, 1 - Y)
    model.score(X, Y)
    first, second = seen.runs
    assert "score_train" not in first.metrics
    assert last(second)["score_train"] == 0.0


def test_a_users_transformer_that_fits_a_model_is_no_run(seen: Recorded) -> None:
    class Residuals(TransformerMixin, BaseEstimator):
        def fit(self, X: Any, y: Any = None) -> Any:
            self.model_ = Ridge().fit(X, y)
            return self

        def transform(self, X: Any) -> Any:
            return self.model_.predict(X).reshape(-1, 1)

    Residuals().fit(X, Y)
    Residuals().fit_transform(X, Y)
    assert list(seen.all_runs) == []
    make_pipeline(Residuals(), GaussianNB()).fit(X, Y)
    assert len(seen.all_runs) == 1
