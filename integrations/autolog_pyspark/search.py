"""Records each param map of a search as a compact child run, made from the search's own results."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from autolog.integration import Run
from autolog_pyspark import about


def log(run: Run, estimator: Any, extra: Mapping[Any, Any], model: Any) -> None:
    """Log the candidates of a search, or of all searches among a pipeline's stages. Several get their names as prefixes."""
    found = list(_searches(estimator, extra, model))
    names = about.names_of(estimator)
    for search, fitted in found:
        prefix = "" if len(found) == 1 else f"{names[search.uid]}."
        _log(run, about.held(search, extra), fitted, names, prefix)


def _searches(estimator: Any, extra: Mapping[Any, Any], model: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each search with its fitted model."""
    if about.is_search(estimator):
        yield estimator, model
        return
    stages = about.parts(about.held(estimator, extra).get("stages"))
    for stage, fitted in zip(stages, getattr(model, "stages", ()), strict=False):
        yield from _searches(stage, extra, fitted)


def _log(run: Run, held: about.Held, model: Any, names: Mapping[str, str], prefix: str) -> None:
    """Log all param maps as children with their metrics, and the best one's params and metrics in the run itself."""
    maps, evaluator = held["estimatorParamMaps"], held["evaluator"]
    metric = about.held(evaluator).get("metricName") or type(evaluator).__name__
    if hasattr(model, "avgMetrics"):
        columns = {
            f"avg_{metric}": model.avgMetrics,
            f"std_{metric}": getattr(model, "stdMetrics", None) or [],
        }
    else:
        columns = {metric: model.validationMetrics}
    values = next(iter(columns.values()))
    larger = bool(evaluator.isLargerBetter())
    better: dict[str, Any] = {
        name: None if name.startswith("std_") else "higher" if larger else "lower" for name in columns
    }
    numpy = sys.modules["numpy"]  # Spark chooses by numpy, also among NaNs
    best = int((numpy.argmax if larger else numpy.argmin)(values))
    for number, params in enumerate(maps):
        named = {f"{names.get(param.parent, '')}.{param.name}".lstrip("."): v for param, v in params.items()}
        metrics = {name: column[number] for name, column in columns.items() if number < len(column)}
        run.record_child(
            f"{prefix}{number}", kind="candidate", params=named, metrics=metrics,
            tags={"best": "true"} if number == best else {}, directions=better,
        )  # fmt: skip
        if number == best:
            run.log_params({f"{prefix}best_{name}": value for name, value in named.items()})
            run.log_metrics({f"{prefix}best_{name}": value for name, value in metrics.items()}, step=0)
            run.describe_metrics({f"{prefix}best_{name}": better[name] for name in metrics})
