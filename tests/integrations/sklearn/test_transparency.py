"""The promise: a program that trains with scikit-learn does exactly what it does without autolog: same bits, same random
streams, same warnings, same output; nothing of the user's is changed, copied, asked or kept alive.
"""

from __future__ import annotations

import contextlib
import copy
import gc
import os
import pickle
import random
import re
import subprocess
import sys
import textwrap
import warnings
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import make_classification
from sklearn.decomposition import NMF, PCA, DictionaryLearning
from sklearn.ensemble import BaggingClassifier, RandomForestClassifier, StackingClassifier, VotingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, SGDClassifier
from sklearn.metrics import accuracy_score, f1_score, make_scorer
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_validate
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
)
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier
from sklearn.utils import all_estimators

import autolog
from autolog.testing import Recorded, recorded

X, Y = make_classification(60, 6, random_state=0)
X = np.abs(X)  # some take no negative numbers

# -- the same bits


def outcome(estimator: Any, y: Any = Y) -> tuple[str, dict[str, str], str]:
    """The fitted estimator with all its attributes, its predictions, and where the global random streams stand, as hashes."""
    np.random.seed(0)
    random.seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator.fit(X, y)
        fitted = joblib.hash(estimator)
        streams = joblib.hash((np.random.get_state(), random.getstate()))
        predicted = {
            name: joblib.hash(getattr(estimator, name)(X))
            for name in ("predict", "predict_proba", "decision_function", "score_samples")
            if hasattr(estimator, name)
        }
    return fitted, predicted, streams


def plainly(make: Callable[[], Any], y: Any = Y) -> tuple[str, dict[str, str], str]:
    """The outcome without autolog. Trees of scikit-learn 1.3 hold bytes that nobody has set: where two plain fits differ in
    what they hold, that is not compared.
    """
    one, again = outcome(make(), y), outcome(make(), y)
    return one if one == again else ("", *one[1:])


def assert_as(
    plain: tuple[str, dict[str, str], str], found: tuple[str, dict[str, str], str], what: Any
) -> None:
    assert (found if plain[0] else ("", *found[1:])) == plain, what


def small(cls: Any) -> Any:
    """An estimator of this class that is soon fitted. Raises TypeError for one that wants an argument."""
    estimator = cls()
    most = {
        "n_estimators": 3,
        "max_iter": 10,
        "n_init": 1,
        "cv": 2,
        "max_subpopulation": 50,
        "n_components": 2,
    }
    given = estimator.get_params(deep=False)
    return estimator.set_params(**{name: value for name, value in most.items() if name in given})


@pytest.mark.filterwarnings("ignore:Class PassiveAggressive:FutureWarning")
def test_every_estimator_of_scikit_learns_is_fitted_to_the_same_bits() -> None:
    """Transparent: fitted attributes, predictions and global random streams, for all that can be fitted so."""
    plain: dict[Any, Any] = {}
    for _, cls in all_estimators():
        with contextlib.suppress(Exception):  # wants an argument, or other data
            plain[cls] = plainly(lambda cls=cls: small(cls))
    assert len(plain) > 120
    with recorded("sklearn") as seen:
        for cls, expected in plain.items():
            assert_as(expected, outcome(small(cls)), cls)
    runs = seen.runs
    assert len(runs) > 90
    assert {(run.status, len(run.errors), len(run.models)) for run in runs} == {("finished", 0, 1)}
    assert sum(any(name.startswith("training_") for name in run.metrics) for run in runs) > 80


COMPOSED = [
    make_pipeline(StandardScaler(), PCA(2), LogisticRegression()),
    make_pipeline(StandardScaler(), KNeighborsClassifier()),
    make_pipeline(SplineTransformer(), Ridge()),
    BaggingClassifier(KNeighborsClassifier(), n_estimators=2),
    CalibratedClassifierCV(GaussianNB(), cv=2),
    OneVsRestClassifier(LogisticRegression()),
    SelfTrainingClassifier(GaussianNB()),
    StackingClassifier([("nb", GaussianNB()), ("knn", KNeighborsClassifier())], cv=2),
    TransformedTargetRegressor(KNeighborsClassifier(), transformer=StandardScaler()),
    TransformedTargetRegressor(LinearRegression(), transformer=StandardScaler()),
    VotingClassifier([("nb", GaussianNB()), ("forest", RandomForestClassifier(n_estimators=2))]),
    ClassifierChain(LogisticRegression()),
    MultiOutputClassifier(SGDClassifier()),
]


def test_composed_estimators_are_fitted_to_the_same_bits() -> None:
    """Transparent: for pipelines, ensembles and meta-estimators, each of which is one run."""

    def several(estimator: Any) -> Any:
        return np.c_[Y, 1 - Y] if isinstance(estimator, (ClassifierChain, MultiOutputClassifier)) else Y

    plain = [plainly(lambda one=one: clone(one), several(one)) for one in COMPOSED]
    with recorded("sklearn") as seen:
        for estimator, expected in zip(COMPOSED, plain, strict=True):
            assert_as(expected, outcome(clone(estimator), several(estimator)), estimator)
    assert len(seen.all_runs) == len(COMPOSED)


def test_searches_and_cross_validations_give_the_same_bits() -> None:
    """Transparent: the best model, all scores, all predictions."""

    def outcomes() -> str:
        np.random.seed(0)
        search = GridSearchCV(SGDClassifier(), {"alpha": [1e-4, 1e-2]}, cv=3, return_train_score=True).fit(
            X, Y
        )
        scores = {k: v for k, v in search.cv_results_.items() if k.startswith(("split", "mean_t", "std_t"))}
        validated = cross_validate(SGDClassifier(), X, Y, cv=3)["test_score"]
        predicted = cross_val_predict(SGDClassifier(), X, Y, cv=3)
        return joblib.hash((search.best_estimator_, scores, validated, predicted, np.random.get_state()))

    plain = outcomes()
    with recorded("sklearn") as seen:
        assert outcomes() == plain
    assert [run.kind for run in seen.runs] == ["search", "cv", "cv"]


# -- nothing stays


def test_models_predictions_and_data_are_not_kept_alive(seen: Recorded) -> None:
    def train() -> list[weakref.ref[Any]]:
        data, target = X.copy(), Y.copy()
        model = make_pipeline(StandardScaler(), SGDClassifier())
        model.fit(data, target)
        online = SGDClassifier().partial_fit(data, target, classes=[0, 1])
        search = GridSearchCV(GaussianNB(), {"var_smoothing": [1e-9]}, cv=2).fit(data, target)
        predicted = model.predict(data)
        accuracy_score(target, predicted)
        model.score(data, target)
        with contextlib.suppress(ValueError):
            LogisticRegression(C=-1).fit(data, target)
        held = [data, target, model, model[-1], online, search, search.best_estimator_, predicted]
        return [weakref.ref(one) for one in held]

    references = train()
    autolog.flush()
    gc.collect()
    assert [reference() for reference in references] == [None] * len(references)
    assert len(seen.runs) == 4


def test_a_prediction_writes_nothing(seen: Recorded) -> None:
    model = GaussianNB().fit(X, Y)
    journals = Path(seen.folder) / ".autolog" / "journal"

    def lines_of_the_run() -> int:
        return sum(
            seen.run.id in line for path in journals.iterdir() for line in path.read_text().splitlines()
        )

    before = lines_of_the_run()
    for _ in range(50):
        model.predict(X)
        model.predict_proba(X)
    assert lines_of_the_run() == before > 0


def test_sparse_data_is_neither_densified_nor_copied(seen: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise MemoryError("would not fit")

    data = sparse.csr_matrix(X)
    for method in ("toarray", "todense", "__deepcopy__"):
        monkeypatch.setattr(type(data), method, refuse, raising=False)
    model = LogisticRegression().fit(data, Y)
    accuracy_score(Y, model.predict(data))
    assert (seen.run.datasets[0]["sparse"], seen.run.datasets[0]["stored"]) == ("csr", data.nnz)
    assert (seen.run.errors, seen.run.notes, len(seen.run.models)) == ([], [], 1)
    assert seen.run.metrics["training_accuracy_score"]["count"] == 1


def test_patched_functions_pickle_copy_and_run_in_other_processes(seen: Recorded) -> None:
    scorer = pickle.loads(pickle.dumps(make_scorer(f1_score, average="macro")))
    model = GaussianNB().fit(X, Y)
    assert scorer(model, X, Y) == f1_score(Y, model.predict(X), average="macro")
    assert copy.deepcopy(accuracy_score)(Y, Y) == pickle.loads(pickle.dumps(accuracy_score))(Y, Y) == 1.0
    fitted = joblib.Parallel(n_jobs=2)(joblib.delayed(clone(model).fit)(X, Y) for _ in range(2))
    assert [joblib.hash(one) for one in fitted] == [joblib.hash(model)] * 2


# -- the same warnings and output


PROGRAM = """
    import faulthandler, sys, warnings
    faulthandler.dump_traceback_later(200, exit=True)
    if len(sys.argv) > 1:
        import autolog
        autolog.autolog(silent=True)
    import numpy as np
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.datasets import make_classification
    from sklearn.dummy import DummyClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import precision_score
    from sklearn.model_selection import GridSearchCV, cross_val_score
    from sklearn.naive_bayes import GaussianNB
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    np.random.seed(0)
    X, y = make_classification(80, 5, n_informative=3, random_state=0)
    y[0] = 2
    for _ in range(3):
        LogisticRegression(max_iter=2).fit(X, y)
    LogisticRegression(max_iter=2).fit(X, y)
    make_pipeline(StandardScaler(), LogisticRegression(max_iter=2)).fit(X, y)
    GridSearchCV(LogisticRegression(max_iter=2), {"C": [1.0, -1.0]}, cv=2).fit(X, y)
    cross_val_score(LogisticRegression(max_iter=2), X, y, cv=3)
    precision_score(y, DummyClassifier().fit(X, y).predict(X), average="macro")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        LogisticRegression(max_iter=2).fit(X, y)
        print(len(caught), [str(warning.category) for warning in caught])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GaussianNB().fit(X, y)
        try:
            LogisticRegression(max_iter=2).fit(X, y)
        except Warning as warning:
            print(type(warning))
    LogisticRegression(max_iter=2).fit(X, y)

    class Mine(ClassifierMixin, BaseEstimator):
        def fit(self, X, y):
            self.classes_, self.answer_ = np.unique(y), np.random.choice(y)
            return self

        def predict(self, X):
            print("asked")
            return np.full(len(X), self.answer_)

    print(Mine().fit(X, y).score(X, y), np.random.random())
"""


@pytest.mark.parametrize("filters", ["default", "error"])
def test_a_program_warns_and_prints_the_same(tmp_path: Path, filters: str) -> None:
    """Transparent: the same warnings from the same places, each as often as it would be shown, and the same end."""
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(PROGRAM))
    said = []
    for arguments in ([], ["with autolog"]):
        done = subprocess.run(
            [sys.executable, "-W", filters, str(program), *arguments],
            capture_output=True, text=True, timeout=250, cwd=tmp_path,
            env={**os.environ, "AUTOLOG_DIR": str(tmp_path / "store"), "AUTOLOG_STRICT": "1",
                 "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )  # fmt: skip
        # A traceback shows our frames: wrapping cannot be without them.
        errors = re.sub(r'  File ".*/autolog/(?:instrument|recording)/.*\n(    .*\n)*', "", done.stderr)
        said.append((done.returncode, done.stdout, errors))
    assert said[0] == said[1]
    assert "ConvergenceWarning" in said[0][2]
    assert said[0][0] == (1 if filters == "error" else 0)
    runs = autolog.runs(order_by="started", store=str(tmp_path / "store"))
    assert runs[0].status == ("failed" if filters == "error" else "finished")
    if filters == "default":  # what was defined in the program itself is saved with its code
        assert (runs[-1].estimator, runs[-1].metrics["score_train"]["count"]) == ("__main__.Mine", 1)
        assert runs[-1].model(trust=True).predict(np.zeros((3, 5))).shape == (3,)


def test_an_ended_run_stays_ended(seen: Recorded) -> None:
    model = GaussianNB().fit(X, Y)
    ended = seen.run.ended
    accuracy_score(Y, model.predict(X))
    assert (seen.run.ended, seen.run.status, len(seen.all_runs)) == (ended, "finished", 1)
    assert autolog.current_run() is None


# -- what a second look at the data would do


@pytest.mark.parametrize(
    "make",
    [
        lambda: make_pipeline(StandardScaler(copy=False), LogisticRegression()),
        lambda: make_pipeline(MinMaxScaler(copy=False), RobustScaler(copy=False), LogisticRegression()),
        lambda: LinearRegression(copy_X=False),
        lambda: GridSearchCV(make_pipeline(StandardScaler(copy=False), Ridge(copy_X=False)), {"ridge__alpha": [1]}, cv=2),
    ],
    ids=["pipeline", "two scalers", "regression", "search"],
)  # fmt: skip
@pytest.mark.parametrize("wanted", [True, "always"])
def test_data_of_a_model_with_copy_false_is_not_used_again(make: Any, wanted: Any) -> None:
    """`copy=False` lets a model change the caller's array: it is not asked for training metrics, which would change it again
    and be those of other data; the run says so.
    """
    plain, data = X.copy(), X.copy()
    make().fit(plain, Y)
    with recorded("sklearn", sklearn={"log_training_metrics": wanted}) as seen:
        make().fit(data, Y)
        run = seen.run
    assert data.tobytes() == plain.tobytes()
    assert [name for name in run.metrics if name.startswith("training_")] == []
    assert [str(note) for note in run.notes if "copy=False" in str(note)]


@pytest.mark.parametrize(
    "wrap", [np.vectorize, lambda f: np.frompyfunc(f, 1, 1)], ids=["vectorize", "frompyfunc"]
)
def test_a_users_function_inside_numpys_is_not_called_again(wrap: Any, seen: Recorded) -> None:
    calls: list[float] = []

    def own(value: float) -> float:
        calls.append(value)
        return value

    def fit() -> int:
        calls.clear()
        make_pipeline(
            FunctionTransformer(np.sqrt), FunctionTransformer(wrap(own)), StandardScaler(), Ridge()
        ).fit(X, Y)
        return len(calls)

    recorded_calls = fit()
    autolog.disable()
    assert recorded_calls == fit()


@pytest.mark.parametrize(
    "step",
    [NMF(2, init="nndsvda", shuffle=True, max_iter=20), DictionaryLearning(2, max_iter=2, transform_algorithm="lasso_cd")],
    ids=lambda step: type(step).__name__,
)  # fmt: skip
def test_transformers_do_not_draw_random_numbers_again(step: Any, seen: Recorded) -> None:
    def fit() -> float:
        np.random.seed(1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            make_pipeline(clone(step), LogisticRegression()).fit(X, Y)
        return np.random.rand()

    drawn = fit()
    autolog.disable()
    assert drawn == fit()


@pytest.mark.parametrize(
    "model",
    [
        RandomForestClassifier(3, verbose=1),
        RandomForestClassifier(3, verbose=60),
        make_pipeline(StandardScaler(), RandomForestClassifier(3, verbose=1)),
        BaggingClassifier(RandomForestClassifier(2, verbose=1), 2, verbose=1),
    ],
    ids=["forest", "much", "pipeline", "nested"],
)
def test_a_verbose_model_prints_the_same(model: Any, seen: Recorded, capfd: Any) -> None:
    def said() -> list[str]:
        clone(model).fit(X, Y)
        both = capfd.readouterr()
        return [re.sub(r"[\d.]+(s|min)", "", line) for line in (both.out + both.err).splitlines()]

    with_autolog = said()
    autolog.disable()
    assert with_autolog == said()


class Odd(LinearRegression):  # type: ignore[misc]
    def __init__(self, copy: Any = None) -> None:
        super().__init__()
        self.copy = copy


def test_a_copy_param_that_is_an_array_is_not_taken_for_false(own_key: None) -> None:
    with recorded("sklearn", sklearn={"log_training_metrics": "always"}) as seen:
        Odd(copy=np.zeros(3)).fit(X, Y)
        assert "training_r2_score" in seen.run.metrics


def test_the_counters_of_a_label_propagation_are_the_same(seen: Recorded) -> None:
    some = np.where(np.arange(len(Y)) % 3, Y, -1)
    model = LabelSpreading(kernel="knn", n_neighbors=5).fit(X, some)
    autolog.disable()
    plain = LabelSpreading(kernel="knn", n_neighbors=5).fit(X, some)
    assert joblib.hash(model) == joblib.hash(plain)


def test_a_conditional_method_stays_a_descriptor_of_scikit_learns(seen: Recorded) -> None:
    """`available_if` makes descriptors that other tools look for, MLflow among them, to patch the function in them."""
    GridSearchCV(LogisticRegression(), {"C": [1, 2]}, cv=2).fit(X, Y).predict(X)
    held = vars(GridSearchCV.__mro__[1])["predict"]
    assert type(held).__name__ == "_AvailableIfDescriptor"
    assert callable(object.__getattribute__(held, "fn"))
    autolog.disable()
    assert type(held.fn).__name__ == "function"
