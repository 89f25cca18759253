"""The promise: what a model's folder says of its input is what `fit` was given, as it was then; the predictor takes that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers import columns_of, example_of, signature_of
from scipy import sparse
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin
from sklearn.cluster import KMeans
from sklearn.linear_model import LinearRegression, LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

import autolog
from autolog.testing import Recorded, recorded

pd = pytest.importorskip("pandas")
pytestmark = pytest.mark.usefixtures("own_key")

ARRAY = np.random.default_rng(0).normal(size=(40, 3))
Y = (ARRAY[:, 0] > 0).astype(int)


def frame() -> Any:
    return pd.DataFrame(ARRAY, columns=["a", "b", "c"])


# -- what changes the caller's frame in place


def add(X: Any) -> None:
    X["sum"] = X.sum(axis=1)


def sort(X: Any) -> None:
    X.sort_values("a", inplace=True)


def fill(X: Any) -> None:
    X["a"] = 0.0


def retype(X: Any) -> None:
    X["a"] = X["a"].astype("float32")


CHANGES = (add, sort, fill, retype)


class Changes(TransformerMixin, BaseEstimator):
    """A step of the user's that works in the caller's frame."""

    def __init__(self, change: Callable[[Any], None]) -> None:
        self.change = change

    def fit(self, X: Any, y: Any = None) -> Any:
        return self

    def transform(self, X: Any) -> Any:
        if "sum" not in X:
            self.change(X)
        return X


class Careless(RegressorMixin, BaseEstimator):
    """A model of the user's that does."""

    def __init__(self, change: Callable[[Any], None]) -> None:
        self.change = change

    def fit(self, X: Any, y: Any) -> Any:
        self.change(X)
        self.mean_ = y.mean()
        return self

    partial_fit = fit

    def predict(self, X: Any) -> Any:
        return np.full(len(X), self.mean_)


TRAININGS: dict[str, Callable[[Any, Any], Any]] = {
    "a pipeline": lambda change, X: make_pipeline(Changes(change), LinearRegression()).fit(X, Y),
    "fit": lambda change, X: Careless(change).fit(X, Y),
    "partial_fit": lambda change, X: Careless(change).partial_fit(X, Y),
    "a search": lambda change, X: GridSearchCV(
        make_pipeline(Changes(change), LinearRegression()), {"linearregression__fit_intercept": [True]}, cv=2
    ).fit(X, Y),
}


@pytest.mark.parametrize("training", TRAININGS)
@pytest.mark.parametrize("change", CHANGES)
def test_the_record_is_of_the_data_before_the_fit_changed_it(training: str, change: Any) -> None:
    """Right: columns, types and the example are those of the frame that was given, and the predictor takes that frame."""
    given = frame()
    with recorded("sklearn", log_input_examples=True) as seen:
        model = TRAININGS[training](change, given)
    if (
        training != "a search"
    ):  # its candidates and its best estimator work on rows of the frame, or on itself
        assert not given.equals(frame())
    assert signature_of(seen.run, "inputs") == columns_of("double", "abc")
    assert example_of(seen.run) == {"columns": ["a", "b", "c"], "data": ARRAY[:5].tolist()}
    assert seen.run.datasets[0]["schema"] == dict.fromkeys("abc", "float64")
    predictor = autolog.load_model(seen.run, as_predictor=True)
    np.testing.assert_array_equal(predictor.predict(frame()), model.predict(frame()))


def test_training_metrics_are_left_out_if_the_fit_has_changed_the_data(seen: Recorded) -> None:
    autolog.enable("sklearn", log_training_metrics="always")
    Careless(add).fit(frame(), Y)
    Careless(lambda _: None).fit(frame(), Y)
    changed, same = seen.runs
    assert "Training metrics were left out: the fit has changed the data." in changed.notes
    measured = [any(name.startswith("training_") for name in run.metrics) for run in (changed, same)]
    assert measured == [False, True]


# -- every kind of data


def integers() -> Any:
    return pd.DataFrame(ARRAY)


KINDS: dict[str, tuple[Callable[[], Any], Any]] = {
    "array": (lambda: ARRAY, [("float64", [-1, 3])]),
    "float32": (lambda: ARRAY.astype("float32"), [("float32", [-1, 3])]),
    "integers": (lambda: (ARRAY * 10).astype("int64"), [("int64", [-1, 3])]),
    "frame": (frame, columns_of("double", "abc")),
    "frame of float32": (
        lambda: frame().astype("float32"),
        columns_of("float", "abc"),
    ),
    "frame with integer columns": (integers, columns_of("double", range(3))),
    "csr_matrix": (lambda: sparse.csr_matrix(ARRAY), [("float64", [-1, 3])]),
    "csc_matrix": (lambda: sparse.csc_matrix(ARRAY), [("float64", [-1, 3])]),
    "csr_array": (lambda: sparse.csr_array(ARRAY), None),
    "lists": (ARRAY.tolist, None),
    "tuple": (lambda: tuple(map(tuple, ARRAY.tolist())), None),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_predictor_takes_what_fit_was_given(seen: Recorded, kind: str) -> None:
    """Complete: of every kind of data, with its signature, or a note that says why there is none."""
    make, inputs = KINDS[kind]
    model = LogisticRegression().fit(make(), Y)
    assert signature_of(seen.run, "inputs") == inputs
    assert [note for note in seen.run.notes if "has no signature" in note] == (
        [] if inputs else [f"The model has no signature: there is none for data of type {kind.removesuffix('s')}."]
    )  # fmt: skip
    predictor = autolog.load_model(seen.run, as_predictor=True)
    assert (predictor.predict(make()) == model.predict(make())).all()


def test_integer_columns_may_come_as_they_stand_in_a_file(seen: Recorded) -> None:
    """Complete: as text, in any order, and as rows; one that is missing is named."""
    model = LinearRegression().fit(integers(), ARRAY[:, 0])
    predictor, expected = autolog.load_model(seen.run, as_predictor=True), model.predict(integers())
    texts = integers().set_axis(["0", "1", "2"], axis=1)
    for data in (integers()[[2, 0, 1]], texts[["2", "0", "1"]], ARRAY, ARRAY.tolist()):
        # The sums of columns that lie otherwise in memory are rounded otherwise.
        np.testing.assert_allclose(predictor.predict(data), expected, rtol=1e-12)
    with pytest.raises(ValueError, match="lacks column 1"):
        predictor.predict(integers()[[0, 2]])


def test_mlflow_takes_a_frame_with_integer_columns(seen: Recorded) -> None:
    mlflow = pytest.importorskip("mlflow")
    model = LinearRegression().fit(integers(), ARRAY[:, 0])
    served = mlflow.pyfunc.load_model(str(seen.run.folder / "model"))
    assert (served.predict(integers()) == model.predict(integers())).all()


# -- examples


def test_an_example_does_not_need_a_signature() -> None:
    with recorded("sklearn", log_input_examples=True, log_signatures=False) as seen:
        LinearRegression().fit(ARRAY, Y)
    assert (signature_of(seen.run, "inputs"), example_of(seen.run)) == (None, ARRAY[:5].tolist())
    assert seen.run.notes == []


def test_a_sparse_example_is_the_first_rows_as_mlflow_reads_them() -> None:
    with recorded("sklearn", log_input_examples=True) as seen:
        LinearRegression().fit(sparse.csr_matrix(np.where(ARRAY > 0, ARRAY, 0)), Y)
    rows = example_of(seen.run)
    assert rows == np.where(ARRAY > 0, ARRAY, 0)[:5].tolist()
    mlflow = pytest.importorskip("mlflow", minversion="3")
    folder = str(seen.run.folder / "model")
    read = mlflow.models.Model.load(folder).load_input_example(folder)
    assert read.toarray().tolist() == rows


class Own:
    """A value of the user's, whose code is not to run."""

    def __str__(self) -> str:
        raise AssertionError("asked")

    __eq__ = __hash__ = __str__  # type: ignore[assignment]


class Indifferent(LinearRegression):
    """Takes anything."""

    def fit(self, X: Any, y: Any) -> Any:
        return super().fit(ARRAY, y)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (sparse.csc_matrix(ARRAY), "there is none for data of type csc_matrix"),
        (["some text"] * 40, "there is none for data of type list"),
        (pd.DataFrame({"a": [Own()] * 40}), "its rows hold values of type Own"),
    ],
)
def test_where_there_is_no_example_the_run_says_why(data: Any, reason: str) -> None:
    """Honest: and no code of the user's runs for one."""
    with recorded("sklearn", log_input_examples=True) as seen:
        Indifferent().fit(data, Y)
    assert f"No example of the input was saved: {reason}." in seen.run.notes
    assert not (seen.run.folder / "model" / "input_example.json").exists()


# -- outputs


OUTPUTS: dict[str, tuple[Callable[[], Any], Any]] = {
    "labels": (lambda: LogisticRegression().fit(ARRAY, Y), [("int64", [-1])]),
    "texts": (lambda: LogisticRegression().fit(ARRAY, np.where(Y, "yes", "no")), [("str", [-1])]),
    "labels of a user's pipeline": (
        lambda: make_pipeline(Changes(add), LogisticRegression()).fit(frame(), Y),
        [("int64", [-1])],
    ),
    "labels, bit by bit": (
        lambda: SGDClassifier().partial_fit(ARRAY, Y, classes=[0, 1]),
        [("int64", [-1])],
    ),
    "numbers": (lambda: LinearRegression().fit(ARRAY, Y), [("float64", [-1])]),
    "several numbers": (lambda: LinearRegression().fit(ARRAY, ARRAY[:, :2]), [("float64", [-1, 2])]),
    "clusters": (lambda: KMeans(2, n_init=1, random_state=0).fit(ARRAY), [("int32", [-1])]),
    "numbers of a user's pipeline": (lambda: make_pipeline(Changes(add), LinearRegression()).fit(frame(), Y), None),
}  # fmt: skip


@pytest.mark.parametrize("name", OUTPUTS)
def test_the_outputs_are_what_the_model_predicts_or_the_run_says_that_they_are_not_known(
    seen: Recorded, name: str
) -> None:
    """Right: integers that a regression was fitted on are not what it predicts."""
    train, outputs = OUTPUTS[name]
    model = train()
    predicted = model.predict(frame() if "pipeline" in name else ARRAY)
    assert signature_of(seen.run, "outputs") == outputs
    if outputs is None:
        assert any(
            note.startswith("The signature says nothing of the predictions") for note in seen.run.notes
        )
    else:
        kind = {"U": "str"}.get(predicted.dtype.kind, predicted.dtype.name)
        assert outputs == [(kind, [-1, *predicted.shape[1:]])]
        assert [note for note in seen.run.notes if "metrics were left out" not in note] == []
