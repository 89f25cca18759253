"""Which run a model is from, and which model a prediction: what is measured after a training goes to that run.

Models, predictions and data are known by identity and held weakly, whatever framework they are of: an integration says what
it has trained (`Run.trained`) and has its predicting methods observed, and whoever measures a prediction, as a function of
another framework does, asks here. A prediction is also known through its views, as `probabilities[:, 1]` is one of
`probabilities`; what is computed from it, as `probabilities > 0.5`, is not.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Container, Generator, Iterable
from typing import Any, NamedTuple

from autolog.instrument import names
from autolog.instrument.calls import Call
from autolog.instrument.identity import IdentityMap
from autolog.lifecycle import current_run
from autolog.tracking.run import Run


class Model(NamedTuple):
    """A trained model: its run, what it was trained on, and the names of the test data that has been described there, None
    where none is to be.
    """

    run: Run
    data: Callable[[], Any]
    described: set[str] | None


class Prediction(NamedTuple):
    """Of which model, on which data, and what the user called that."""

    model: Model
    data: Callable[[], Any]
    name: str


class Provenance:
    """See the module. `frameworks` are the top-level packages whose own calls are not the user's."""

    def __init__(self, frameworks: Container[str]) -> None:
        self._frameworks = frameworks
        self._models: IdentityMap[Model] = IdentityMap()
        self._predictions: IdentityMap[Prediction] = IdentityMap()

    def trained(self, models: Iterable[Any], run: Run, data: Any, describe: bool = True) -> None:
        """These models are what `run` has made of `data`: one, and those that it delegates to. With `describe`, test data that
        they are measured on is logged.
        """
        known: Model | None = None
        for model in models:
            if known is None:
                known = self._models.get(model)
                if known is None or known.run is not run:
                    known = Model(run, _weakly(data), set() if describe else None)
            self._models.set(model, known)

    def model(self, instance: Any) -> Model | None:
        """What is known of a model."""
        return self._models.get(instance)

    def predicted(self, values: Any, run: Run, data: Any) -> None:
        """`run` itself has predicted these values for its own `data`."""
        held = _weakly(data)
        self.belongs(values, Prediction(Model(run, held, None), held, ""))

    def find(self, values: Iterable[Any]) -> Prediction | None:
        """The prediction among these values, or what one of them is a view of."""
        for value in values:
            for _ in range(4):
                found = self._predictions.get(value)
                if found is not None:
                    return found
                value = getattr(value, "base", None)
                if value is None:
                    break
        return None

    def belongs(self, values: Any, prediction: Prediction) -> None:
        """What is measured of `values` is measured of this prediction."""
        if not getattr(values, "shape", None):
            return
        self._predictions.set(values, prediction)
        base = getattr(values, "base", None)  # the views of a view have its base as theirs
        if base is not None and not _is_of(base, prediction.data()):
            self._predictions.set(base, prediction)

    def name_of_argument(self) -> str:
        """The name of the variable that the user passed first, or nothing where it is none or where a framework calls."""
        return names.of_first_argument(self._frameworks)

    def describe(self, prediction: Prediction, target: Any) -> None:
        """The data that the user measures on, once for each name, is a test set, unless it is what the model has learnt."""
        model, data = prediction.model, prediction.data()
        if data is None or data is model.data() or model.described is None:
            return
        if prediction.name not in model.described:
            model.described.add(prediction.name)
            model.run.log_dataset(data, target, context="test")

    # -- observers

    def observe_prediction(self, call: Call) -> Generator[None, Any, None]:
        """Of a method that predicts for its first argument: the result is a prediction of this model."""
        model = self._models.get(call.instance)
        if model is None:
            return
        name = self.name_of_argument()
        result = yield
        self.belongs(result, Prediction(model, _weakly(_first(call)), name))

    def observe_score(self, call: Call) -> Generator[None, Any, None]:
        """Of a method that measures the model on its first argument: one number. That of a model that is not known belongs to
        the run around it, if there is one.
        """
        model = self._models.get(call.instance)
        run = current_run() if model is None else model.run
        if run is None:
            return
        if names.is_called_by(self._frameworks):
            return  # of permuted data, say: not what the user measures
        name = self.name_of_argument()
        result = yield
        metric = call.name.rpartition(".")[2]
        metric = f"{metric}_{name}" if name else metric
        run.log_metrics({metric: result})
        run.describe_metrics({metric: "higher"})  # what is called a score is
        if model is not None:
            self.describe(Prediction(model, _weakly(_first(call)), name), call.arguments.get("y"))


def _is_of(base: Any, data: Any) -> bool:
    """Whether an array is the data that was predicted, or what that is a view of: then so may be the targets."""
    return base is data or base is getattr(data, "base", None)


def _weakly(value: Any) -> Callable[[], Any]:
    try:
        return weakref.ref(value)
    except TypeError:  # a list
        return _nothing


def _nothing() -> None:
    return None


def _first(call: Call) -> Any:
    """What the method was given first, by position or under whatever name it has."""
    if call.args:
        return call.args[0]
    given = [call.kwargs[name] for name in names.DATA if name in call.kwargs]
    return given[0] if given else next(iter(call.kwargs.values()), None)
