"""Records metrics after a fit in the run of the model that made the predictions. They come from evaluators, from
`model.evaluate`, and from training summaries, whose numbers Spark computes when the script reads them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Generator
from typing import Any, NamedTuple

from autolog.integration import Call, IdentityMap, Options, Run, current_run, lineage
from autolog_pyspark import about, data, directions, plans

MAX_KNOWN = 2_000
"""The number of prediction columns to remember. The oldest are dropped first."""
PREDICTED = ("predictionCol", "rawPredictionCol", "probabilityCol")
"""The params of evaluators that name columns of predictions."""


class Measured(NamedTuple):
    """The run to which metrics belong, and the data they are measured on; None for a training summary."""

    run: Run
    on: Any = None


class MetricObserver:
    def __init__(self, options: Options) -> None:
        self.options = options
        self._summaries: IdentityMap[Measured] = IdentityMap()
        self._columns: OrderedDict[Any, Measured] = OrderedDict()
        self._plans: IdentityMap[Measured] = IdentityMap()
        self._whole: IdentityMap[Measured] = IdentityMap()
        """Frames as a model made them, with all rows."""

    def observe_transform(self, call: Call) -> Generator[None, Any, None]:
        """Remember the columns that a known model adds to a frame: they are its predictions, also in derived frames."""
        model = lineage().model(call.instance)
        if model is None:
            return
        frame = _frame(call)
        on = lineage().on(call.instance, frame, model.run)
        result = yield
        measured = Measured(model.run, on)
        before = set(plans.columns(frame).values())
        for column in set(plans.columns(result).values()) - before:
            self._columns[column] = measured
        while len(self._columns) > MAX_KNOWN:
            self._columns.popitem(last=False)
        for plan in plans.steps(result):
            self._plans.set(plan, measured)
            break
        self._whole.set(result, measured)

    def observe_evaluator(self, call: Call) -> Generator[None, Any, None]:
        """Log the number that `evaluator.evaluate(predictions)` returns."""
        evaluator, frame = call.instance, _frame(call)
        extra = call.arguments.get("params")
        held = about.held(evaluator, extra if isinstance(extra, dict) else {})
        measured = self._find(frame, held)
        # Inside an explicit run, a measurement without a known model belongs to that run.
        run = current_run() if measured is None else measured.run
        if run is None:
            return
        value = yield
        metric = held.get("metricName") or type(evaluator).__name__
        if measured is None:
            run.log_metrics({metric: value})
            run.describe_metrics({metric: directions.of(metric)})
            return
        part = None
        if self._whole.get(frame) is not measured:  # a part of the rows, or additional ones
            part = plans.meaning(frame) or lineage().keys.of(frame)
        elif measured.on is not None and (given := measured.on.data()) is not None:
            frame = given  # the user's data without the columns that the model added
        self._log(metric, value, measured, frame, by=(_settings(held), part))

    def remember_summary(self, run: Run, model: Any) -> None:
        """Remember the training summary that Spark Connect keeps with the model. Without Connect, each read makes a new one."""
        self._summaries.set(getattr(model, "__dict__", {}).get("_summary"), Measured(run))

    def observe_evaluate(self, call: Call) -> Generator[None, Any, None]:
        """Remember the summary that `model.evaluate(data)` returns."""
        model = lineage().model(call.instance)
        if model is None:
            return
        frame = _frame(call)
        measured = Measured(model.run, lineage().on(call.instance, frame, model.run))
        summary = yield
        self._summaries.set(summary, measured)
        self._describe(measured, frame)

    def observe_measure(self, call: Call) -> Generator[None, Any, None]:
        """Log the number that `model.logLikelihood(data)` returns."""
        model = lineage().model(call.instance)
        if model is None:
            return
        frame = _frame(call)
        measured = Measured(model.run, lineage().on(call.instance, frame, model.run))
        value = yield
        self._log(call.name.rpartition(".")[2], value, measured, frame)

    def called(self, _: None, result: Any, wrapper: Any, name: str, *args: Any) -> None:
        """Log the result of a JVM call if it is a summary's number. PySpark has just made the call for one of its objects."""
        if name == "summary":
            model = lineage().model(wrapper)
            if model is not None:
                self._summaries.set(result, Measured(model.run))
        elif type(result) in (int, float) and name != "k" and len(self._summaries):  # k is a param
            measured = self._summaries.get(wrapper) or self._summaries.get(wrapper._java_obj)
            if measured is not None:
                self._log(name, result, measured, step=0)

    def _find(self, frame: Any, held: dict[str, Any]) -> Measured | None:
        """Return the model whose predictions an evaluator with these params measures, or None."""
        columns = plans.columns(frame) if self._columns else {}
        found = [self._columns.get(columns.get(held.get(param, ""))) for param in PREDICTED]
        found += [self._plans.get(plan) for plan in plans.steps(frame)]
        return next((measured for measured in found if measured is not None), None)

    def _log(
        self, metric: str, value: Any, measured: Measured, frame: Any = None, *, step: int | None = None, by: Any = None
    ) -> None:  # fmt: skip
        if measured.on is None:
            measured.run.log_metrics({metric: value}, step=step)
            measured.run.describe_metrics({metric: directions.of(metric)})
            return
        made = lineage().named_on(metric, measured.on, by=by)
        measured.run.log_metrics({made.name: value}, step=step)
        measured.run.describe_metrics({made.name: directions.of(metric)}, about={made.name: made.about})
        if frame is not None:
            self._describe(measured, frame, made.data)

    def _describe(self, measured: Measured, frame: Any, name: str = "") -> None:
        """Describe the measured data as a test set, once for each name, unless it is the model's training data."""
        on = measured.on
        if on is None or on.model.described is None or lineage().knows(on):
            return
        name = name or on.name
        if name not in on.model.described:
            on.model.described.add(name)
            data.log(measured.run, frame, "test", name)


def _settings(held: dict[str, Any]) -> tuple[Any, ...]:
    """Return an evaluator's params without the metric's name. They distinguish its numbers."""
    return tuple((name, repr(value)) for name, value in sorted(held.items()) if name != "metricName")


def _frame(call: Call) -> Any:
    arguments = call.arguments
    return arguments.get("dataset", next(iter(arguments.values()), None))
