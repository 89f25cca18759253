"""Records each candidate of a search as a compact child run, made from the search's own results."""

from __future__ import annotations

from typing import Any, cast

from autolog.integration import Run, reraise_if_signal, suppress_warnings
from autolog_sklearn import directions
from autolog_sklearn.about import is_search


def best(estimator: Any) -> Any:
    """Return the model: a search's refitted best estimator, or None if it has none; any other estimator itself."""
    held = getattr(estimator, "__dict__", {})
    if is_search(estimator) and ("refit" in held or "best_estimator_" in held):
        return held.get("best_estimator_")
    return estimator


def log(run: Run, estimator: Any) -> None:
    """Log the best candidate's params and score, and all candidates as children. The children have the durations that the
    search measured, and its start.
    """
    held = getattr(estimator, "__dict__", {})
    found, score = _told(estimator, "best_params_"), _told(estimator, "best_score_")
    if isinstance(found, dict):
        run.log_params({f"best_{name}": value for name, value in cast("dict[str, Any]", found).items()})
    if score is not None:
        run.log_metrics({"best_cv_score": score}, step=0)
        run.describe_metrics({"best_cv_score": "higher"})
    results = held.get("cv_results_")
    if not isinstance(results, dict) or "params" not in results:
        return
    columns = {name: _column(values) for name, values in results.items() if not name.startswith("param")}
    better = {name: directions.of_column(name) for name in columns}
    splits = int(held.get("n_splits_", 1))
    for number, params in enumerate(results["params"]):
        metrics = {name: values[number] for name, values in columns.items() if number < len(values)}
        seconds = sum(float(metrics.get(name) or 0) for name in ("mean_fit_time", "mean_score_time")) * splits
        run.record_child(
            str(number), kind="candidate", params=params, metrics=metrics,
            tags={"best": "true"} if number == held.get("best_index_") else {}, started=run.started,
            ended=run.started + int(seconds * 1000 if seconds == seconds else 0), directions=better,
        )  # fmt: skip


def _column(values: Any) -> list[Any]:
    return values.tolist() if hasattr(values, "tolist") else list(values)


def _told(search: Any, name: str) -> Any:
    """Return an attribute of a search, or None. In others' searches, such as Optuna's and Dask's, it may be a property."""
    try:
        with suppress_warnings():
            return getattr(search, name, None)
    except Exception as error:  # without a best candidate, a property may raise any error
        reraise_if_signal(error)
        return None
