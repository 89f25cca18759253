"""The promise: what is measured after a training goes to the run of the model that was measured, and to no other; and nothing
of the user's is kept alive for it.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Generator, Iterator
from types import ModuleType
from typing import Any

import pytest

from autolog import run
from autolog.integration import (
    Call,
    Integration,
    Patch,
    SubclassPatch,
    lineage,
    observe_prediction,
    observe_score,
)
from autolog.testing import Recorded, recorded


class Values(list[float]):
    """A prediction, as an array is: it has a shape, and may be a view of another."""

    def __init__(self, values: Any, base: Any = None) -> None:
        super().__init__(values)
        self.shape = (len(self),)
        self.base = base

    def __getitem__(self, part: Any) -> Any:
        found = super().__getitem__(part)
        return Values(found, self) if isinstance(part, slice) else found


class Data(list[float]):
    """Data that can be weakly held, and says how large it is."""

    @property
    def shape(self) -> tuple[int]:
        return (len(self),)


class Measuring(Integration):
    """Records trainings, predictions and scores, and what a function of another framework makes of a prediction."""

    name = "toy"
    supports = "toy>=1"

    def patches(self) -> Iterator[Patch | SubclassPatch]:
        yield SubclassPatch(base="toy:Slope", methods=("fit",), observer=self.fit)
        yield SubclassPatch(base="toy:Slope", methods=("predict",), observer=observe_prediction)
        yield SubclassPatch(base="toy:Slope", methods=("score",), observer=observe_score)
        yield Patch(target="toy:error", observer=self.error)

    def fit(self, call: Call) -> Generator[None, Any, None]:
        made = call.start_run()
        yield
        made.trained(call.instance, data=call.arguments["X"])

    def error(self, call: Call) -> Generator[None, Any, None]:
        value = yield
        prediction = lineage().find(call.args)
        if prediction is not None:
            prediction.model.run.log_metrics({f"error_{prediction.name}": value})
            lineage().describe(prediction, call.args[0])


@pytest.fixture
def model(toy: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A class of models of the made-up framework, whose predictions are `Values`; and its measure."""
    predict = toy.Slope.predict

    class Model(toy.Slope):  # type: ignore[name-defined,misc]
        def predict(self, X: Any) -> Any:
            return Values(predict(self, X))

        def score(self, X: Any, y: Any) -> float:
            return float(len(X))

    monkeypatch.setattr(toy, "error", lambda y, predicted: float(len(predicted)), raising=False)
    return Model


@pytest.fixture
def seen(model: Any) -> Iterator[Recorded]:
    with recorded(Measuring) as seen:
        yield seen


def metrics(record: Any) -> dict[str, float]:
    return {name: metric["last"] for name, metric in record.metrics.items()}


def test_what_is_measured_goes_to_the_run_of_the_model(seen: Recorded, toy: ModuleType, model: Any) -> None:
    """By the name that the user gave the data, by views of the prediction too; each model's to its own run."""
    X, y = Data([1.0, 2.0]), [2.0, 4.0]
    X_test, X_other = Data([1.0, 2.0, 3.0]), Data([1.0, 2.0, 3.0, 4.0])
    one, two = model().fit(X, y), model().fit(X, y)
    toy.error(y, one.predict(X_test))
    toy.error(y, two.predict(X_other)[:2])
    toy.error(y, Values(two.predict(X_test)))  # computed from a prediction
    two.score(X_other, y)
    model().score(X_test, y)  # a model that nobody has trained
    first, second = seen.runs
    assert metrics(first) == {"error_X_test": 3.0}
    assert metrics(second) == {"error_X_other": 2.0, "score_X_other": 4.0}
    assert [one["rows"] for one in first.datasets] == [3]
    assert [one["rows"] for one in second.datasets] == [4]


def test_a_model_trained_again_belongs_to_its_new_run(seen: Recorded, toy: ModuleType, model: Any) -> None:
    """What was predicted before stays with the old one."""
    X, y, X_test = Data([1.0, 2.0]), [2.0, 4.0], Data([1.0])
    one = model().fit(X, y)
    before = one.predict(X_test)
    one.fit(X, y)
    toy.error(y, one.predict(X))
    toy.error(y, before)
    first, second = seen.runs
    assert (metrics(first), metrics(second)) == ({"error_X_test": 1.0}, {"error_X": 2.0})
    assert second.datasets == []  # what a model has learnt is no test set


def test_a_score_of_an_unknown_model_belongs_to_the_run_around_it(seen: Recorded, model: Any) -> None:
    X_test, y_test = Data([1.0]), [2.0]
    with run("by hand"):
        model().score(X_test, y_test)
    assert metrics(seen.run) == {"score_X_test": 1.0}


def test_models_predictions_and_data_are_not_kept_alive(seen: Recorded, model: Any) -> None:
    X_test = Data([1.0, 2.0])
    one = model().fit(Data([1.0, 2.0]), [2.0, 4.0])
    predicted = one.predict(X_test)
    held = [weakref.ref(thing) for thing in (one, predicted, X_test)]
    assert lineage().find([predicted]) is not None
    del one, predicted, X_test
    gc.collect()
    assert [reference() for reference in held] == [None] * 3
    assert seen.runs
