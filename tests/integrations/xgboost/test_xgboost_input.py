"""The promise: what a model's folder says of input and output is what the training was given and what the model predicts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xgboost
from data import THREE, X, Y
from helpers import columns_of, example_of, signature_of
from scipy import sparse

import autolog
from autolog.testing import Recorded, recorded

pytestmark = pytest.mark.usefixtures("own_key")
QUIET = {"nthread": 1}


def frame() -> Any:
    return pd.DataFrame(X, columns=list("abcd"))


KINDS: dict[str, tuple[Callable[[], Any], Any]] = {
    "array": (lambda: X, [("float64", [-1, 4])]),
    "float32": (lambda: X.astype("float32"), [("float32", [-1, 4])]),
    "frame": (frame, columns_of("double")),
    "frame of integers": (lambda: (frame() * 10).astype("int64"), columns_of("long")),
    "frame with integer columns": (lambda: pd.DataFrame(X), columns_of("double", range(4))),
    "sparse": (lambda: sparse.csr_matrix(X), [("float64", [-1, 4])]),
}
TRAININGS: dict[str, Callable[[Any], Any]] = {
    "estimator": lambda data: xgboost.XGBRegressor(n_estimators=2, n_jobs=1).fit(data, Y),
    "matrix": lambda data: xgboost.train(QUIET, xgboost.DMatrix(data, Y), 2),
    "quantile matrix": lambda data: xgboost.train(QUIET, xgboost.QuantileDMatrix(data, Y), 2),
}


def predicted(model: Any, data: Any) -> Any:
    return model.predict(xgboost.DMatrix(data) if isinstance(model, xgboost.Booster) else data)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("training", TRAININGS)
def test_the_predictor_takes_what_the_training_was_given(training: str, kind: str) -> None:
    """Complete: of every kind of data, of what a matrix was made from, and the matrix too; with signature and example."""
    make, inputs = KINDS[kind]
    with recorded("xgboost", log_input_examples=True) as seen:
        model = TRAININGS[training](make())
    assert (signature_of(seen.run, "inputs"), signature_of(seen.run, "outputs")) == (
        inputs,
        [("float32", [-1])],
    )
    found, few = example_of(seen.run), np.asarray(make()[:5] if kind != "sparse" else X[:5])
    np.testing.assert_array_equal(found["data"] if "frame" in kind else found, few)
    assert seen.run.notes == []
    predictor = autolog.load_model(seen.run, as_predictor=True)
    assert (predictor.predict(make()) == predicted(model, make())).all()
    if training != "estimator":
        assert (predictor.predict(xgboost.DMatrix(make())) == predicted(model, make())).all()


class Careless(xgboost.XGBRegressor):
    """A user's, which works in the caller's frame."""

    def fit(self, X: Any, y: Any, **more: Any) -> Any:
        X["sum"] = X.sum(axis=1)
        return super().fit(X, y, **more)

    def predict(self, X: Any, **more: Any) -> Any:
        return super().predict(X.assign(sum=X.sum(axis=1)), **more)


def test_the_record_is_of_the_data_before_the_fit_changed_it() -> None:
    """Right: three columns are three; what a class of the user's predicts is not known, and the run says so."""
    given = frame()
    with recorded("xgboost", log_input_examples=True) as seen:
        model = Careless(n_estimators=2, n_jobs=1).fit(given, Y)
    assert list(given) == [*"abcd", "sum"]
    assert (signature_of(seen.run, "inputs"), signature_of(seen.run, "outputs")) == (
        columns_of("double"),
        None,
    )
    assert example_of(seen.run) == {"columns": list("abcd"), "data": X[:5].tolist()}
    assert list(seen.run.datasets[0]["schema"]) == list("abcd")
    [note] = seen.run.notes
    assert note.startswith("The signature says nothing of the predictions")
    predictor = autolog.load_model(seen.run, as_predictor=True)
    assert (predictor.predict(frame()) == model.predict(frame())).all()


def test_the_record_is_of_the_data_as_the_matrix_copied_it() -> None:
    given, array = frame(), X.copy()
    with recorded("xgboost", log_input_examples=True) as seen:
        matrices = xgboost.DMatrix(given, Y), xgboost.DMatrix(array, Y)
        given["sum"], array[:] = 1.0, 0.0
        for matrix in matrices:
            xgboost.train(QUIET, matrix, 1)
    of_frame, of_array = seen.runs
    assert (signature_of(of_frame, "inputs"), example_of(of_frame)["data"]) == (
        columns_of("double"),
        X[:5].tolist(),
    )
    assert example_of(of_array) == X[:5].tolist()


@pytest.mark.parametrize("early", [True, False], ids=["at once", "afterwards"])
@pytest.mark.parametrize("kind", ["array", "sparse"])
def test_an_array_may_be_given_names(early: bool, kind: str) -> None:
    """Complete: the predictor takes the array, though the model asks for names; the data is described by them."""
    data = KINDS[kind][0]()
    with recorded("xgboost", log_input_examples=True) as seen:
        matrix = xgboost.DMatrix(data, Y, feature_names=list("abcd") if early else None)
        matrix.feature_names = list("abcd")
        model = xgboost.train(QUIET, matrix, 2)
    assert signature_of(seen.run, "inputs") == (
        columns_of("double") if early and kind == "array" else [("float64", [-1, 4])]
    )
    described = seen.run.datasets[0]
    assert (described["names"], described["dtype"], "schema" in described) == (list("abcd"), "float64", False)
    predictor = autolog.load_model(seen.run, as_predictor=True)
    assert (predictor.predict(data) == model.predict(matrix)).all()


def test_a_matrix_made_before_autolog_was_on_may_have_no_signature() -> None:
    known, unknown = xgboost.DMatrix(frame(), Y), xgboost.DMatrix(X, Y)
    with recorded("xgboost", log_input_examples=True) as seen:
        for matrix in (known, unknown):
            xgboost.train(QUIET, matrix, 1)
    assert [signature_of(run, "inputs") for run in seen.runs] == [columns_of("double"), None]
    no_example = "No example of the input was saved: a DMatrix does not keep its data."
    assert seen.runs[0].notes == [no_example]
    assert seen.runs[1].notes == [
        "The model has no signature: the data of the DMatrix is no longer known.", no_example
    ]  # fmt: skip


def test_an_example_does_not_need_a_signature() -> None:
    with recorded("xgboost", log_input_examples=True, log_signatures=False) as seen:
        xgboost.train(QUIET, xgboost.DMatrix(X, Y), 1)
        xgboost.XGBRegressor(n_estimators=1, n_jobs=1).fit(X, Y)
    for run in seen.runs:
        assert (signature_of(run, "inputs"), example_of(run), run.notes) == (None, X[:5].tolist(), [])


def test_a_ranker_with_a_qid_column_has_no_signature(seen: Recorded) -> None:
    """Honest: the predictor takes the frame with and without them."""
    ranked = frame().assign(qid=np.repeat([0, 1], 40))
    model = xgboost.XGBRanker(n_estimators=1, n_jobs=1).fit(ranked, Y)
    assert seen.run.notes == ["The model has no signature: the data to predict may lack the qid column."]
    predictor = autolog.load_model(seen.run, as_predictor=True)
    for data in (ranked, frame()):
        assert (predictor.predict(data) == model.predict(data)).all()


TWO_D = np.column_stack([Y, 1 - Y, Y])
OUTPUTS: dict[str, Callable[[], Any]] = {
    "binary": lambda: xgboost.XGBClassifier(n_estimators=2).fit(X, Y),
    "several classes": lambda: xgboost.XGBClassifier(n_estimators=2).fit(X, THREE),
    "softmax": lambda: xgboost.XGBClassifier(n_estimators=2, objective="multi:softmax").fit(X, THREE),
    "several labels": lambda: xgboost.XGBClassifier(n_estimators=2).fit(X, TWO_D),
    "several targets": lambda: xgboost.XGBRegressor(n_estimators=2).fit(X, X[:, :2]),
    "forest": lambda: xgboost.XGBRFRegressor(n_estimators=2).fit(X, Y),
    "quantiles": lambda: xgboost.XGBRegressor(
        n_estimators=2, objective="reg:quantileerror", quantile_alpha=np.array([0.1, 0.9])
    ).fit(X, X[:, 0]),
    "linear": lambda: xgboost.XGBRegressor(n_estimators=2, booster="gblinear").fit(X, Y),
    "booster": lambda: xgboost.train({"objective": "binary:logistic"}, xgboost.DMatrix(X, Y), 2),
    "probabilities": lambda: xgboost.train(
        {"objective": "multi:softprob", "num_class": 3}, xgboost.DMatrix(X, THREE), 2
    ),
    "classes": lambda: xgboost.train(
        {"objective": "multi:softmax", "num_class": 3}, xgboost.DMatrix(X, THREE), 2
    ),
    "targets": lambda: xgboost.train({}, xgboost.DMatrix(X, X[:, :2]), 2),
    "an objective of the user's": lambda: xgboost.train(
        {}, xgboost.DMatrix(X, Y), 2, obj=lambda p, m: (p - m.get_label(), np.ones_like(p))
    ),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_the_outputs_are_what_the_model_predicts(seen: Recorded, name: str) -> None:
    """Complete: known without asking the model to predict anything."""
    found = predicted(OUTPUTS[name](), X)
    assert signature_of(seen.run, "outputs") == [(found.dtype.name, [-1, *found.shape[1:]])]


def test_matrices_made_inside_a_fit_are_not_examined(monkeypatch: pytest.MonkeyPatch) -> None:
    import autolog_xgboost.matrices as matrices

    looked: list[Any] = []
    monkeypatch.setattr(matrices, "look_at", lambda data, options: looked.append(data))
    with recorded("xgboost"):
        xgboost.XGBRegressor(n_estimators=1).fit(X, Y, eval_set=[(X, Y)], verbose=False)
        assert looked == []
