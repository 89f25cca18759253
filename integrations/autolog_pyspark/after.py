"""What is measured after a fit goes to the run of the model that made the predictions: by evaluators, by `model.evaluate`, and
by a training summary, whose numbers Spark computes when the script reads them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Generator
from typing import Any, NamedTuple

from autolog import Call, IdentityMap, Options, Run, current_run, provenance
from autolog_pyspark import about, data, directions, plans

MAX_KNOWN = 2_000
"""Columns of predictions that are remembered; the oldest are forgotten first."""
PREDICTED = ("predictionCol", "rawPredictionCol", "probabilityCol")
"""The params of evaluators that name what a model has predicted."""


class Measured(NamedTuple):
    """Whose predictions, and what the script called the data; `described` holds the names of the data that has been described
    in the run, and is None where none is to be.
    """

    run: Run
    name: str
    described: set[str] | None


class After:
    def __init__(self, options: Options) -> None:
        self.options = options
        self._summaries: IdentityMap[Measured] = IdentityMap()
        self._columns: OrderedDict[Any, Measured] = OrderedDict()
        self._plans: IdentityMap[Measured] = IdentityMap()

    def observe_transform(self, call: Call) -> Generator[None, Any, None]:
        """The columns that a known model adds to a frame are its predictions, in whatever is made of that frame."""
        model = provenance().model(call.instance)
        if model is None:
            return
        name = provenance().name_of_argument()
        frame = _frame(call)
        result = yield
        described = None if frame is model.data() else model.described
        measured = Measured(model.run, name, described)
        before = set(plans.columns(frame).values())
        for column in set(plans.columns(result).values()) - before:
            self._columns[column] = measured
        while len(self._columns) > MAX_KNOWN:
            self._columns.popitem(last=False)
        for plan in plans.steps(result):
            self._plans.set(plan, measured)
            break

    def observe_evaluator(self, call: Call) -> Generator[None, Any, None]:
        """`evaluator.evaluate(predictions)` is one number."""
        evaluator, frame = call.instance, _frame(call)
        extra = call.arguments.get("params")
        held = about.held(evaluator, extra if isinstance(extra, dict) else {})
        measured = self._find(frame, held)
        # Inside an explicit run, what the user measures belongs to it, whatever model it is of.
        run = current_run() if measured is None else measured.run
        if run is None:
            return
        value = yield
        metric = held.get("metricName") or type(evaluator).__name__
        name = metric if measured is None else _named(metric, measured)
        run.log_metrics({name: value})
        run.describe_metrics({name: directions.of(metric)})
        if measured is not None:
            self._describe(measured, frame)

    def remember_summary(self, run: Run, model: Any) -> None:
        """Spark Connect keeps the training summary with the model; otherwise each look at it makes one."""
        self._summaries.set(getattr(model, "__dict__", {}).get("_summary"), Measured(run, "", None))

    def observe_evaluate(self, call: Call) -> Generator[None, Any, None]:
        """`model.evaluate(data)` gives a summary."""
        model = provenance().model(call.instance)
        if model is None:
            return
        name = provenance().name_of_argument()
        summary = yield
        frame = _frame(call)
        measured = Measured(model.run, name, None if frame is model.data() else model.described)
        self._summaries.set(summary, measured)
        self._describe(measured, frame)

    def observe_measure(self, call: Call) -> Generator[None, Any, None]:
        """`model.logLikelihood(data)` is one number."""
        model = provenance().model(call.instance)
        if model is None:
            return
        name, frame = provenance().name_of_argument(), _frame(call)
        value = yield
        measured = Measured(model.run, name, None if frame is model.data() else model.described)
        metric = call.name.rpartition(".")[2]
        model.run.log_metrics({_named(metric, measured): value}, step=0)
        model.run.describe_metrics({_named(metric, measured): directions.of(metric)})
        self._describe(measured, frame)

    def called(self, _: None, result: Any, wrapper: Any, name: str, *args: Any) -> None:
        """A method in the JVM has been called on behalf of an object of PySpark's: a summary's numbers are metrics."""
        if name == "summary":
            model = provenance().model(wrapper)
            if model is not None:
                self._summaries.set(result, Measured(model.run, "", None))
        elif type(result) in (int, float) and name != "k" and len(self._summaries):  # k is a param
            measured = self._summaries.get(wrapper) or self._summaries.get(wrapper._java_obj)
            if measured is not None:
                measured.run.log_metrics({_named(name, measured): result}, step=0)
                measured.run.describe_metrics({_named(name, measured): directions.of(name)})

    def _find(self, frame: Any, held: dict[str, Any]) -> Measured | None:
        """Whose predictions an evaluator with these params measures."""
        columns = plans.columns(frame) if self._columns else {}
        found = [self._columns.get(columns.get(held.get(param, ""))) for param in PREDICTED]
        found += [self._plans.get(plan) for plan in plans.steps(frame)]
        return next((measured for measured in found if measured is not None), None)

    def _describe(self, measured: Measured, frame: Any) -> None:
        """Data that is measured on is a test set, once for each name, unless it is what the model has learnt."""
        described = measured.described
        if described is not None and measured.name not in described:
            described.add(measured.name)
            data.log(measured.run, frame, "test")


def _named(metric: str, measured: Measured) -> str:
    return f"{metric}_{measured.name}" if measured.name else metric


def _frame(call: Call) -> Any:
    arguments = call.arguments
    return arguments.get("dataset", next(iter(arguments.values()), None))
