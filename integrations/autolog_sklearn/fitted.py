"""What a fitted estimator already holds: iterations, losses, importances. Only its own `__dict__` is read, so that no property
computes anything.
"""

from __future__ import annotations

from typing import Any

from autolog import Run
from autolog_sklearn.about import last_step

SCALARS = (
    "n_iter_", "loss_", "best_loss_", "best_validation_score_", "oob_score_", "inertia_", "lower_bound_", "n_clusters_",
    "log_marginal_likelihood_value_", "reconstruction_err_", "dual_gap_", "alpha_", "lambda_", "l1_ratio_", "noise_variance_",
    "n_estimators_", "best_score_", "fit_status_", "shrinkage_",
)  # fmt: skip

# A series of one value per iteration, and the metric it becomes.
SERIES = {
    "loss_curve_": "loss", "validation_scores_": "validation_score", "train_score_": "train_score",
    "validation_score_": "validation_score", "oob_improvement_": "oob_improvement", "oob_scores_": "oob_score",
    "scores_": "score", "estimator_errors_": "estimator_error", "lower_bounds_": "lower_bound", "objective_": "objective",
}  # fmt: skip
MAX_POINTS = 5_000
MAX_FEATURES = 1_000


def scalars(estimator: Any) -> dict[str, float]:
    """Single numbers of the estimator that has learnt, by their names without the underscore."""
    held = getattr(last_step(estimator), "__dict__", {})
    found: dict[str, float] = {}
    for name in SCALARS:
        value = _number(held.get(name))
        if value is not None:
            found[name[:-1]] = value
    return found


def log(run: Run, estimator: Any) -> None:
    """Scalars, series and importances."""
    learnt = last_step(estimator)
    held = getattr(learnt, "__dict__", {})
    numbers = scalars(estimator)
    if "best_score_" in getattr(estimator, "__dict__", {}):
        numbers.pop("best_score", None)
    if numbers:
        run.log_metrics(numbers, step=0)
    for attribute, name in SERIES.items():
        values = held.get(attribute)
        if values is None or isinstance(values, dict):
            continue
        points = _series(values)
        for step in range(0, len(points), max(1, -(-len(points) // MAX_POINTS))):
            run.log_metrics({name: points[step]}, step=step)
    names = _feature_names(estimator, learnt)
    coefficients = held.get("coef_")
    if getattr(coefficients, "ndim", 0) in (1, 2) and type(coefficients).__name__ == "ndarray":
        run.log_json("coefficients.json", _by_feature(coefficients, names))
    importances = _importances(learnt, held)
    if importances is not None:
        run.log_json("feature_importances.json", _by_feature(importances, names))


def _importances(learnt: Any, held: dict[str, Any]) -> Any:
    """Tree ensembles compute theirs when asked, some 30 microseconds a tree: few enough trees, or none."""
    trees = held.get("estimators_")
    count = getattr(trees, "size", None) or (len(trees) if isinstance(trees, list) else 1)
    if type(learnt).__module__.startswith(("sklearn.ensemble", "sklearn.tree")) and count <= 500:
        try:
            return learnt.feature_importances_
        except AttributeError:
            return None
    return None


def _by_feature(values: Any, names: list[str] | None) -> dict[str, Any]:
    """The 1,000 features of the greatest absolute value at most, in their own order."""
    import numpy as np

    flat = np.abs(values).max(axis=0) if values.ndim == 2 else np.abs(values)
    chosen = np.arange(flat.size)
    if flat.size > MAX_FEATURES:
        chosen = np.sort(np.argpartition(flat, -MAX_FEATURES)[-MAX_FEATURES:])
    return {
        "features": [names[i] for i in chosen]
        if names is not None and len(names) == flat.size
        else chosen.tolist(),
        "values": values[..., chosen].tolist(),
        "of": int(flat.size),
    }


def _feature_names(estimator: Any, learnt: Any) -> list[str] | None:
    for one in (learnt, estimator):
        names = getattr(one, "__dict__", {}).get("feature_names_in_")
        if names is not None:
            return [str(name) for name in names.tolist()]
    return None


def _series(values: Any) -> list[float]:
    try:
        plain = values.tolist() if hasattr(values, "tolist") else list(values)
        return [float(value) for value in plain] if isinstance(plain, list) else []
    except (TypeError, ValueError):
        return []


def _number(value: Any) -> float | None:
    if value is None or isinstance(value, (str, bytes, bool)):
        return None
    if isinstance(value, (int, float)):
        return value
    size = getattr(value, "size", None)
    if size is not None and getattr(value, "ndim", 1) <= 1 and 0 < size <= 100 and hasattr(value, "max"):
        try:
            return value.max().item() if size > 1 else value.item() if hasattr(value, "item") else None
        except (TypeError, ValueError):
            return None
    return None
