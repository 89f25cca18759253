"""Which run a model is from, and which model a prediction: what is measured after a training goes to that run.

Models, predictions and data are known by identity and held weakly, whatever framework they are of: an integration says what
it has trained (`Run.trained`) and has its predicting methods observed, and whoever measures a prediction, as a function of
another framework does, asks here. A prediction is also known through its views, as `probabilities[:, 1]` is one of
`probabilities`; what is computed from it, as `probabilities > 0.5`, is not.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Generator, Hashable, Iterable, Mapping
from itertools import count
from typing import Any, NamedTuple

from autolog.instrument import names
from autolog.instrument.calls import Call
from autolog.instrument.identity import IdentityMap
from autolog.recording.metric_names import Keys, Layout, Named, Names, layout_of, named, part_of
from autolog.recording.scope import current_run
from autolog.tracking.datasets import Fingerprint, fingerprint
from autolog.tracking.run import Run
from autolog.tracking.values import weakly


class Model(NamedTuple):
    """A trained model: its run, what it was trained on, the names of the test data that has been described there, None where
    none is to be; a number that tells it from other models of that run; and whether it has learnt all of that data.
    """

    run: Run
    data: Callable[[], Any]
    described: set[str] | None
    number: Hashable = 0
    learnt: bool = False


class Prediction(NamedTuple):
    """Of which model, on which data, and what the user called that; what the data is known by (None where the prediction is
    none for this data, as those of a cross-validation are not) and looks like; the method that made it, and where its values
    lie.
    """

    model: Model
    data: Callable[[], Any]
    name: str
    key: Hashable = None
    looks: Fingerprint | None = None
    method: str = ""
    whole: Layout | None = None


class Lineage:
    """See the module. `frameworks` are the top-level packages whose own calls are not the user's."""

    def __init__(self, frameworks: Container[str]) -> None:
        self._frameworks = frameworks
        self._models: IdentityMap[Model] = IdentityMap()
        self._predictions: IdentityMap[Prediction] = IdentityMap()
        self._names: IdentityMap[Names] = IdentityMap()
        self._numbers = count(1)
        self.keys = Keys()

    def trained(self, models: Iterable[Any], run: Run, data: Any, describe: bool = True) -> None:
        """These models are what `run` has made of `data`: one, and those that it delegates to. With `describe`, test data that
        they are measured on is logged.
        """
        models = list(models)
        held = (self._models.get(model) for model in models)
        known = next((one for one in held if one is not None and one.run is run), None)
        if known is None:
            known = Model(
                run, weakly(data), set() if describe else None, next(self._numbers), data is not None
            )
        elif (given := self._names.get(run)) is not None:
            given.trainings += 1
        for model in models:
            self._models.set(model, known)

    def model(self, instance: Any) -> Model | None:
        """What is known of a model."""
        return self._models.get(instance)

    def predicted(self, values: Any, run: Run, data: Any) -> None:
        """`run` itself has predicted these values for its own `data`."""
        held = weakly(data)
        self.belongs(values, Prediction(Model(run, held, None), held, ""))

    def find(self, values: Iterable[Any]) -> Prediction | None:
        """The prediction among these values, or what one of them is a view of."""
        return self._locate(values)[0]

    def _locate(self, values: Iterable[Any]) -> tuple[Prediction | None, Any]:
        """The first prediction, and which of the values it is, or is a view of it."""
        for given in values:
            value = given
            for _ in range(4):
                found = self._predictions.get(value)
                if found is not None:
                    return found, given
                value = getattr(value, "base", None)
                if value is None:
                    break
        return None, None

    def named(
        self, run: Run, metric: str, measured: Mapping[str, Any], settings: Mapping[str, Any] = {}
    ) -> Named:
        """What `metric` is called in `run`. `measured`: the arguments that it is computed of, by name, first what may be the
        prediction and then what that is measured by; `settings`: the others, where they are not the metric's defaults.
        """
        prediction, given = self._locate(measured.values())
        if prediction is None:  # what others have predicted differs each time
            by = tuple((name, self.keys.of(value)) for name, value in list(measured.items())[1:])
            return self._name(run, metric, None, settings=settings, by=by)
        part = part_of(given, prediction.whole, prediction.method.endswith("proba"))
        rest = tuple((name, self.keys.of(value)) for name, value in measured.items() if value is not given)
        by = (prediction.model.number, prediction.method, rest)
        return self._name(run, metric, prediction, part=part, settings=settings, by=by)

    def on(self, instance: Any, data: Any, run: Run) -> Prediction:
        """That `instance` is to be measured on `data`, as that is now, by the name that the script passes; into `run`, where
        nobody knows the model.
        """
        model = self._models.get(instance) or Model(run, _nowhere, None, self.keys.of(instance))
        looks = fingerprint(data)
        return Prediction(model, weakly(data), self.name_of_argument(), self.keys.of(data, looks), looks)

    def named_on(
        self, metric: str, on: Prediction, settings: Mapping[str, Any] = {}, by: Hashable = None
    ) -> Named:
        """What `metric` of a model on data is called. `settings`: those that are not the metric's defaults; `by`: what else
        tells it apart.
        """
        return self._name(on.model.run, metric, on, settings=settings, by=(on.model.number, by))

    def _name(self, run: Run, metric: str, of: Prediction | None, **how: Any) -> Named:
        given = self._names.get(run)
        if given is None:
            given = Names()
            self._names.set(run, given)
        data = None
        if of is not None and of.key is not None:
            data = self._context_of(of) or of.name, of.key, of.data
        return named(given, self.keys, metric, data=data, **how)

    def _context_of(self, prediction: Prediction) -> str:
        """In which role the model has seen the data already: `train`, `validation`; nothing if it has not."""
        context = self._seen(prediction)
        return "" if context == "train" and not prediction.model.learnt else context

    def knows(self, prediction: Prediction) -> bool:
        """Whether the data is what the run was trained on or validated with."""
        return bool(self._seen(prediction))

    def _seen(self, prediction: Prediction) -> str:
        data, model = prediction.data(), prediction.model
        for seen in model.run.seen_data:
            if seen.context != "test" and seen.is_same(data, prediction.looks):
                return seen.context
        trained = model.data()
        return (
            "train"
            if trained is not None and (trained is data or self.keys.of(trained) == prediction.key)
            else ""
        )

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

    def describe(self, prediction: Prediction, target: Any, name: str | None = None) -> None:
        """The data that the user measures on, once for each name, is a test set, unless the run knows it."""
        name = prediction.name if name is None else name
        model, data = prediction.model, prediction.data()
        if data is None or model.described is None or self._seen(prediction):
            return
        if name not in model.described:
            model.described.add(name)
            model.run.log_dataset(data, target, context="test", known={"name": name} if name else {})

    # -- observers

    def observe_prediction(self, call: Call) -> Generator[None, Any, None]:
        """Of a method that predicts for its first argument: the result is a prediction of this model."""
        model = self._models.get(call.instance)
        if model is None:
            return
        name, data = self.name_of_argument(), _first(call)
        looks = fingerprint(data)
        key = self.keys.of(data, looks)
        result = yield
        method = call.name.rpartition(".")[2]
        self.belongs(result, Prediction(model, weakly(data), name, key, looks, method, layout_of(result)))

    def observe_score(self, call: Call) -> Generator[None, Any, None]:
        """Of a method that measures the model on its first argument: one number. That of a model that is not known belongs to
        the run around it, if there is one.
        """
        instance = call.instance
        model = self._models.get(instance)
        run = current_run() if model is None else model.run
        if run is None:
            return
        if names.is_called_by(self._frameworks):
            return  # of permuted data, say: not what the user measures
        arguments = call.arguments
        on = self.on(instance, _first(call), run)
        settings = {
            name: value for name, value in list(arguments.items())[1:] if name != "y" and value is not None
        }
        metric = call.name.rpartition(".")[2]
        made = self.named_on(metric, on, settings, by=self.keys.of(arguments.get("y")))
        result = yield
        run.log_metrics({made.name: result})
        run.describe_metrics(
            {made.name: "higher"}, about={made.name: made.about}
        )  # what is called a score is
        if model is not None:
            self.describe(on, arguments.get("y"), made.data)


def _nowhere() -> None:
    return None


def _is_of(base: Any, data: Any) -> bool:
    """Whether an array is the data that was predicted, or what that is a view of: then so may be the targets."""
    return base is data or base is getattr(data, "base", None)


def _first(call: Call) -> Any:
    """What the method was given first, by position or under whatever name it has."""
    if call.args:
        return call.args[0]
    given = [call.kwargs[name] for name in names.DATA if name in call.kwargs]
    return given[0] if given else next(iter(call.kwargs.values()), None)
