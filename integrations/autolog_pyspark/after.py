"""What is measured after a fit goes to the run of the model that made the predictions: by evaluators, by `model.evaluate`, and
by a training summary, whose numbers Spark computes when the script reads them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Generator
from typing import Any, NamedTuple

from autolog import Call, IdentityMap, Options, Run, provenance
from autolog_pyspark import about, data

MAX_COLUMNS_KNOWN = 10_000
PREDICTING = ("predictionCol", "rawPredictionCol", "probabilityCol")


class Measured(NamedTuple):
    """Whose, and what the script called the data."""

    run: Run
    name: str


class After:
    def __init__(self, options: Options) -> None:
        self.options = options
        self._summaries: IdentityMap[Measured] = IdentityMap()

    def observe_transform(self, call: Call) -> Generator[None, Any, None]:
        return
        yield

    def observe_evaluate(self, call: Call) -> Generator[None, Any, None]:
        """`model.evaluate(data)` gives a summary."""
        known = provenance().model(call.instance)
        if known is None:
            return
        name = provenance().name_of_argument()
        summary = yield
        self._summaries.set(getattr(summary, "_java_obj", None), Measured(known.run, name))

    def observe_evaluator(self, call: Call) -> Generator[None, Any, None]:
        return
        yield

    def called(self, _: None, result: Any, wrapper: Any, name: str, *args: Any) -> None:
        """A method in the JVM has been called on behalf of an object of PySpark's."""
        if name == "summary":
            known = provenance().model(wrapper)
            if known is not None:
                self._summaries.set(result, Measured(known.run, ""))
        elif self._summaries and type(result) in (int, float):
            found = self._summaries.get(wrapper._java_obj)
            if found is not None:
                found.run.log_metrics({f"{name}_{found.name}" if found.name else name: result}, step=0)
