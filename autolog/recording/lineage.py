"""Which run a model is from, and which model a prediction is from: what is measured after a training goes to that run.

Models, predictions and data are known by identity and held weakly, whatever their framework. An integration says what it has
trained (`Run.trained`) and has its predicting methods observed. Code that measures a prediction, such as a function of another
framework, looks it up here. A prediction is also recognized by its views, such as `probabilities[:, 1]`, and by the labels that
follow from it, such as `probabilities > 0.5`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Container, Generator, Hashable, Iterable, Mapping
from itertools import count
from typing import Any, NamedTuple

from autolog.instrument import names
from autolog.instrument.calls import Call
from autolog.instrument.identity import IdentityMap
from autolog.recording.metric_names import LABELS, Keys, Layout, Named, Names, Part, layout_of, named, part_of
from autolog.recording.scope import current_run
from autolog.tracking import labels
from autolog.tracking.datasets import Fingerprint, fingerprint
from autolog.tracking.run import Run
from autolog.tracking.values import weakly

MOST_LABELS = 100
"""Number of predictions whose labels are remembered."""


class Model(NamedTuple):
    """A trained model: its run, and what it was trained on. `described` are the names of the test data that has been described
    there; None if none is to be described. `number` tells it from other models of that run. `learnt` says whether it has learnt
    all of the data.
    """

    run: Run
    data: Callable[[], Any]
    described: set[str] | None
    number: Hashable = 0
    learnt: bool = False


class Prediction(NamedTuple):
    """A prediction: its model, its data, and the user's name for that data. `key` is what the data is known by (None if the
    prediction is not of this data as such, like those of a cross-validation), and `looks` its fingerprint. `method` is the
    method that made the prediction, and `whole` says where its values lie.
    """

    model: Model
    data: Callable[[], Any]
    name: str
    key: Hashable = None
    looks: Fingerprint | None = None
    method: str = ""
    whole: Layout | None = None


class Lineage:
    """See the module. `frameworks` are the top-level packages whose own calls do not count as the user's."""

    def __init__(self, frameworks: Container[str]) -> None:
        self._frameworks = frameworks
        self._models: IdentityMap[Model] = IdentityMap()
        self._predictions: IdentityMap[Prediction] = IdentityMap()
        self._labels: OrderedDict[bytes, Prediction | None] = OrderedDict()
        """Predictions by the labels that follow from them; None for labels of different data: nobody knows which."""
        self._names: IdentityMap[Names] = IdentityMap()
        self._numbers = count(1)
        self.keys = Keys()

    def trained(self, models: Iterable[Any], run: Run, data: Any, describe: bool = True) -> None:
        """Remember that `run` has trained these models on `data`: one model, and those that it delegates to. With `describe`,
        test data on which they are measured is logged.
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
        """Return what is known of a model."""
        return self._models.get(instance)

    def predicted(self, values: Any, run: Run, data: Any) -> None:
        """Remember that `run` itself has predicted these values for its own `data`."""
        held = weakly(data)
        self.belongs(values, Prediction(Model(run, held, None), held, ""))

    def find(self, values: Iterable[Any]) -> Prediction | None:
        """Return the prediction among these values, the one that a value is a view of, or whose labels the first value is."""
        return self._locate(list(values))[0]

    def _locate(self, values: list[Any]) -> tuple[Prediction | None, Any, Part | None]:
        """Return the prediction, the one of the values that it is known by, and which part that is, if it is no view."""
        for given in values:
            value = given
            for _ in range(4):
                found = self._predictions.get(value)
                if found is not None:
                    return found, given, None
                value = getattr(value, "base", None)
                if value is None:
                    break
        digest = labels.digest_of(values[0]) if values and self._labels else None
        made = self._labels.get(digest) if digest is not None else None
        return made, values[0] if made is not None else None, LABELS

    def named(
        self, run: Run, metric: str, measured: Mapping[str, Any], settings: Mapping[str, Any] = {}
    ) -> Named:
        """Return the name of `metric` in `run`. `measured` are the arguments from which it is computed, by name: first the
        possible prediction, then what that is measured by. `settings` are the others that differ from the metric's defaults.
        """
        prediction, given, part = self._locate(list(measured.values()))
        if prediction is None:  # the predictions of other code differ each time
            by = tuple((name, self.keys.of(value)) for name, value in list(measured.items())[1:])
            return self._name(run, metric, None, settings=settings, by=by)
        if part is None:
            part = part_of(given, prediction.whole, prediction.method.endswith("proba"))
        rest = tuple((name, self.keys.of(value)) for name, value in measured.items() if value is not given)
        by = (prediction.model.number, prediction.method, rest)
        return self._name(run, metric, prediction, part=part, settings=settings, by=by)

    def on(self, instance: Any, data: Any, run: Run) -> Prediction:
        """Return a Prediction for measuring `instance` on `data` in its present state, under the name that the script passes.
        `run` stands in for an unknown model's run.
        """
        model = self._models.get(instance) or Model(run, _nowhere, None, self.keys.of(instance))
        looks = fingerprint(data)
        return Prediction(model, weakly(data), self.name_of_argument(), self.keys.of(data, looks), looks)

    def named_on(
        self, metric: str, on: Prediction, settings: Mapping[str, Any] = {}, by: Hashable = None
    ) -> Named:
        """Return the name of a model's `metric` on data. `settings` are those that differ from the metric's defaults; `by` is
        whatever else distinguishes it.
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
        """Return the role in which the model has seen the data already, `train` or `validation`; "" if it has not."""
        context = self._seen(prediction)
        return "" if context == "train" and not prediction.model.learnt else context

    def knows(self, prediction: Prediction) -> bool:
        """Return whether the run was trained on the data, or validated with it."""
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
        """Remember that measurements of `values` are measurements of this prediction."""
        if not getattr(values, "shape", None):
            return
        self._predictions.set(values, prediction)
        base = getattr(values, "base", None)  # a view of a view has the same base
        if base is not None and not _is_of(base, prediction.data()):
            self._predictions.set(base, prediction)

    def name_of_argument(self) -> str:
        """Return the name of the variable that the user passed first; "" if it is no variable, or if a framework calls."""
        return names.of_first_argument(self._frameworks)

    def describe(self, prediction: Prediction, target: Any, name: str | None = None) -> None:
        """Log the data that the user measures on as a test set, once for each name, unless the run knows it."""
        name = prediction.name if name is None else name
        model, data = prediction.model, prediction.data()
        if data is None or model.described is None or self._seen(prediction):
            return
        if name not in model.described:
            model.described.add(name)
            model.run.log_dataset(data, target, context="test", known={"name": name} if name else {})

    # -- observers

    def observe_prediction(self, call: Call) -> Generator[None, Any, None]:
        """Observe a method that predicts for its first argument: remember its result as a prediction of this model."""
        model = self._models.get(call.instance)
        if model is None:
            return
        name, data = self.name_of_argument(), _first(call)
        looks = fingerprint(data)
        key = self.keys.of(data, looks)
        result = yield
        method = call.name.rpartition(".")[2]
        made = Prediction(model, weakly(data), name, key, looks, method, layout_of(result))
        self.belongs(result, made)
        for digest in labels.following(result):
            known = self._labels.get(digest, made)
            # Of two models with the same labels, a number is true of both.
            same = known is not None and known.key == key
            self._labels[digest] = made if same else None
            self._labels.move_to_end(digest)
            if len(self._labels) > MOST_LABELS:
                self._labels.popitem(last=False)

    def observe_score(self, call: Call) -> Generator[None, Any, None]:
        """Observe a method that measures the model on its first argument and returns one number. For an unknown model, the
        number goes to the run around the call, if there is one.
        """
        instance = call.instance
        model = self._models.get(instance)
        run = current_run() if model is None else model.run
        if run is None:
            return
        if names.is_called_by(self._frameworks):
            return  # on permuted data, say: not what the user measures
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
        )  # higher is better for anything called a score
        if model is not None:
            self.describe(on, arguments.get("y"), made.data)


def _nowhere() -> None:
    return None


def _is_of(base: Any, data: Any) -> bool:
    """Return whether an array is the data of the prediction, or what that is a view of: the targets may be a view of it too."""
    return base is data or base is getattr(data, "base", None)


def _first(call: Call) -> Any:
    """Return the method's first argument, passed by position or under any of its names."""
    if call.args:
        return call.args[0]
    given = [call.kwargs[name] for name in names.DATA if name in call.kwargs]
    return given[0] if given else next(iter(call.kwargs.values()), None)
