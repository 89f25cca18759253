"""The promise: what a model's folder says of input and output is what the training was given and what the model predicts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
from helpers import columns_of, example_of, signature_of
from lightgbm_small import API, BINARY, X, Y
from scipy import sparse

import autolog
from autolog.testing import recorded

pytestmark = pytest.mark.usefixtures("own_key")


def frame() -> Any:
    return pd.DataFrame(X, columns=list("abcd"))


KINDS: dict[str, tuple[Callable[[], Any], Any]] = {
    "array": (lambda: X, [("float64", [-1, 4])]),
    "float32": (lambda: X.astype("float32"), [("float32", [-1, 4])]),
    "frame": (frame, columns_of("double")),
    "frame with integer columns": (lambda: pd.DataFrame(X), columns_of("double", range(4))),
    "sparse": (lambda: sparse.csr_matrix(X), [("float64", [-1, 4])]),
}


def twice(data: Any) -> Any:
    """The second time LightGBM has let go of the table."""
    dataset = lgb.Dataset(data, Y)
    lgb.train(BINARY, dataset, 2)
    return lgb.train(BINARY, dataset, 2)


TRAININGS: dict[str, Callable[[Any], Any]] = {
    "estimator": lambda data: lgb.LGBMRegressor(n_estimators=2, **API).fit(data, Y),
    "dataset": lambda data: lgb.train(BINARY, lgb.Dataset(data, Y), 2),
    "dataset that was read before": lambda data: lgb.train(
        BINARY, lgb.Dataset(data, Y, params=BINARY).construct(), 2
    ),
    "dataset that is used again": twice,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("training", TRAININGS)
def test_the_predictor_takes_what_the_training_was_given(training: str, kind: str) -> None:
    """Complete: of every kind of data, of what a Dataset was made from; with signature and example."""
    make, inputs = KINDS[kind]
    with recorded("lightgbm", log_input_examples=True) as seen:
        model = TRAININGS[training](make())
    run = seen.runs[-1]
    assert (signature_of(run, "inputs"), signature_of(run, "outputs"), run.notes) == (
        inputs,
        [("float64", [-1])],
        [],
    )
    found, few = example_of(run), np.asarray(make()[:5] if kind != "sparse" else X[:5]).tolist()
    assert (found["data"] if "frame" in kind else found) == few
    predictor = autolog.load_model(run, as_predictor=True)
    assert (predictor.predict(make()) == model.predict(make())).all()


class Careless(lgb.LGBMRegressor):
    """A user's, which works in the caller's frame."""

    def fit(self, X: Any, y: Any, **more: Any) -> Any:
        X["sum"] = X.sum(axis=1)
        return super().fit(X, y, **more)

    def predict(self, X: Any, **more: Any) -> Any:
        return super().predict(X.assign(sum=X.sum(axis=1)), **more)


def test_the_record_is_of_the_data_before_the_fit_changed_it() -> None:
    """Right: four columns are four; what a class of the user's predicts is not known, and the run says so."""
    given = frame()
    with recorded("lightgbm", log_input_examples=True) as seen:
        model = Careless(n_estimators=2, **API).fit(given, Y)
    assert list(given) == [*"abcd", "sum"]
    assert (signature_of(seen.run, "inputs"), signature_of(seen.run, "outputs")) == (
        columns_of("double"),
        None,
    )
    assert example_of(seen.run)["data"] == X[:5].tolist()
    assert list(seen.run.datasets[0]["schema"]) == list("abcd")
    [note] = seen.run.notes
    assert note.startswith("The signature says nothing of the predictions")
    predictor = autolog.load_model(seen.run, as_predictor=True)
    assert (predictor.predict(frame()) == model.predict(frame())).all()


def test_the_record_is_of_the_data_as_the_dataset_read_it() -> None:
    given = frame()
    with recorded("lightgbm", log_input_examples=True) as seen:
        dataset = lgb.Dataset(given, Y, params=BINARY, free_raw_data=False).construct()
        given["sum"] = 1.0
        lgb.train(BINARY, dataset, 1)
    assert (signature_of(seen.run, "inputs"), example_of(seen.run)["data"]) == (
        columns_of("double"),
        X[:5].tolist(),
    )


def test_an_example_does_not_need_a_signature() -> None:
    with recorded("lightgbm", log_input_examples=True, log_signatures=False) as seen:
        lgb.train(BINARY, lgb.Dataset(X, Y), 1)
        lgb.LGBMRegressor(n_estimators=1, **API).fit(X, Y)
    for run in seen.runs:
        assert (signature_of(run, "inputs"), example_of(run), run.notes) == (None, X[:5].tolist(), [])


def test_the_run_says_why_there_is_no_signature_or_example() -> None:
    """Honest: of a part of a Dataset's rows the columns are known, of one that was read before autolog was on nothing."""
    before = lgb.Dataset(X, Y, params=BINARY).construct()
    with recorded("lightgbm", log_input_examples=True) as seen:
        lgb.train(BINARY, before, 1)
        whole = lgb.Dataset(frame(), Y, params=BINARY, free_raw_data=False).construct()
        lgb.train(BINARY, whole.subset(list(range(60))), 1)
    nothing, of_a_part = seen.runs
    no_example = "No example of the input was saved: the Dataset holds no table."
    assert (signature_of(nothing, "inputs"), signature_of(of_a_part, "inputs")) == (
        None,
        columns_of("double"),
    )
    assert nothing.notes == ["The model has no signature: the Dataset holds no table.", no_example]
    assert of_a_part.notes == [no_example]
