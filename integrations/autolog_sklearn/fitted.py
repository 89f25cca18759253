"""Records what a fitted estimator holds: iterations, losses, early stopping, coefficients, importances.

It reads the estimator's `__dict__` and properties of scikit-learn's own classes. No code of the user runs.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from autolog.integration import Run, reraise_if_signal, suppress_warnings
from autolog_sklearn import directions
from autolog_sklearn.about import chain, is_search, steps_of

# Single numbers. They become metrics of the same name without the trailing underscore.
SCALARS = (
    "n_iter_", "n_estimators_", "n_trials_", "n_clusters_", "loss_", "best_loss_", "best_validation_score_", "best_score_",
    "best_threshold_", "oob_score_", "inertia_", "lower_bound_", "log_marginal_likelihood_value_", "dual_gap_",
    "alpha_", "lambda_", "C_", "l1_ratio_", "shrinkage_", "fit_status_",
)  # fmt: skip

# Attributes with one value per iteration, and the metrics that they become.
SERIES = {
    "loss_curve_": "loss", "validation_scores_": "validation_score", "validation_score_": "validation_score",
    "train_score_": "train_score", "oob_scores_": "oob_score", "oob_improvement_": "oob_improvement",
    "scores_": "score", "estimator_errors_": "estimator_error", "lower_bounds_": "lower_bound",
}  # fmt: skip
MAX_POINTS = 5_000
MAX_FEATURES = 1_000
MAX_NAMED = 10_000
"""Listing the names of more features, such as a vectorizer's, takes long."""
SECONDS_A_TREE = 50e-6
"""The approximate time to compute one tree's importances."""


def log(run: Run, estimator: Any, fit_seconds: float, harmless: bool) -> None:
    """Log what the fitted estimator holds, or the one inside it that learns. With `harmless`, all its parts are scikit-learn's,
    so computed attributes may be read.
    """
    learnt = chain(estimator)[-1]
    series = _series(learnt)
    numbers = {name: value for name, value in scalars(estimator).items() if name not in series}
    stopping = _early_stopping(learnt, series)
    numbers.update(stopping)
    if numbers:
        run.log_metrics(numbers, step=0)
    run.describe_metrics({name: directions.of_held(name, learnt) for name in (*numbers, *series)})
    for name, points in series.items():
        for step in range(0, len(points), -(-len(points) // MAX_POINTS)):
            run.log_metrics({name: points[step]}, step=step)
    if (
        "best_iteration" in stopping and _read(learnt, "_best_coefs") is not None
    ):  # the model has returned to these weights
        best = int(stopping["best_iteration"])
        run.describe_metrics(
            values={name: points[best] for name, points in series.items() if best < len(points)}
        )
    coefficients = _read(learnt, "coef_")
    importances = _importances(learnt, fit_seconds) if harmless else None
    for artifact, values in (("coefficients", coefficients), ("feature_importances", importances)):
        if type(values).__name__ == "ndarray" and values.ndim in (1, 2) and values.size:
            names = _feature_names(estimator, values.shape[-1], harmless)
            run.log_json(f"{artifact}.json", _by_feature(values, names))


def scalars(estimator: Any) -> dict[str, float]:
    """Return the single numbers of the estimator that learns."""
    learnt = chain(estimator)[-1]
    if is_search(learnt):  # a search without a refitted model
        return {}
    found: dict[str, float] = {}
    for name in SCALARS:
        value = _number(_read(learnt, name))
        if value is not None:
            found[name[:-1]] = value
    return found


def labels_like(estimator: Any) -> Any:
    """Return an array like the predictions if these are labels of classes or clusters, else None: the type of other predictions
    is not known.
    """
    learnt = chain(estimator)[-1]
    for name in ("classes_", "labels_"):
        labels = _read(learnt, name)
        if type(labels).__name__ == "ndarray" and labels.ndim == 1:
            return labels
    return None


def _read(learnt: Any, name: str) -> Any:
    """Return a fitted attribute or None. Properties, such as some `n_iter_`, are read only of scikit-learn's own classes."""
    held = getattr(learnt, "__dict__", {})
    if name in held:
        return held[name]
    cls = type(learnt)
    if cls.__module__.startswith("sklearn.") and _is_property(cls, name):
        try:
            with suppress_warnings():
                return getattr(learnt, name)
        except Exception as error:
            reraise_if_signal(error)
            return None
    return None


@lru_cache(maxsize=4096)
def _is_property(cls: type, name: str) -> bool:
    return isinstance(getattr(cls, name, None), property)


def _series(learnt: Any) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for attribute, name in SERIES.items():
        values = _read(learnt, attribute)
        values = values.tolist() if type(values).__name__ == "ndarray" else values
        if type(values) is list and values and {type(v) for v in values} <= {int, float}:
            found[name] = values
        elif type(values) is list and values and all(getattr(v, "size", 0) == 1 for v in values):
            found[name] = [float(v.item()) for v in values]
    return found


def _early_stopping(learnt: Any, series: dict[str, list[float]]) -> dict[str, float]:
    """Return where training stopped early and which iteration was best on the validation data. Return {} unless early stopping
    was on, by any of the params that scikit-learn's estimators have for it.
    """
    held = getattr(learnt, "__dict__", {})
    by_trees = "n_estimators_" in held and held.get("n_iter_no_change") is not None
    if not (by_trees or held.get("early_stopping") is True or held.get("do_early_stopping_")):
        return {}
    found: dict[str, float] = {}
    ran = _number(_read(learnt, "n_estimators_" if by_trees else "n_iter_"))
    most = _number(held.get("n_estimators" if by_trees else "max_iter"))
    scores = series.get("validation_score")
    if ran is not None and most is not None and ran < most:
        # The step at which the series ends: `best_iteration` is such a step, too.
        found["stopped_iteration"] = len(scores) - 1 if scores else ran - 1
    if scores:
        best = max(range(len(scores)), key=scores.__getitem__)
        found.update(best_iteration=best, best_validation_score=scores[best])
    return found


def _importances(learnt: Any, fit_seconds: float) -> Any:
    """Return the importances of trees and their ensembles if computing them is fast compared with the fit."""
    if not type(learnt).__module__.startswith(("sklearn.ensemble.", "sklearn.tree.")):
        return None
    trees = getattr(learnt, "__dict__", {}).get("estimators_", ())
    if getattr(trees, "size", len(trees)) * SECONDS_A_TREE > max(0.005, 0.05 * fit_seconds):
        return None
    from joblib import parallel_backend

    with parallel_backend("sequential"):  # forests would start threads
        return _read(learnt, "feature_importances_")


def _by_feature(values: Any, names: list[str] | None) -> dict[str, Any]:
    """Return at most the 1,000 features of the greatest absolute value, in the original order, and their total as `of`."""
    import numpy as np

    greatest = np.abs(values).max(axis=0) if values.ndim == 2 else np.abs(values)
    chosen = np.arange(greatest.size)
    if greatest.size > MAX_FEATURES:
        chosen = np.sort(np.argpartition(greatest, -MAX_FEATURES)[-MAX_FEATURES:])
    return {
        "features": chosen.tolist() if names is None else [names[i] for i in chosen],
        "values": values[..., chosen].tolist(),
        "of": int(greatest.size),
    }


def _feature_names(estimator: Any, count: int, harmless: bool) -> list[str] | None:
    """Return the names of the `count` features that reach the estimator that learns, or None if they are unknown."""
    names: Any = None
    try:
        for one in chain(estimator):
            seen = _read(one, "feature_names_in_")
            names = names if seen is None else seen
            if len(steps_of(one)) > 1:
                known = harmless and count <= MAX_NAMED
                names = one[:-1].get_feature_names_out(names) if known else None
    except Exception as error:  # a step does not know its features' names
        reraise_if_signal(error)
        return None
    return [str(name) for name in names] if names is not None and len(names) == count else None


def _number(value: Any) -> float | None:
    """Return a number or an array's only number. Of several integers, such as iterations per class, return the greatest."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    if type(value).__module__ != "numpy" or not 0 < value.size <= 100 or value.dtype.kind not in "iuf":
        return None
    return value.max().item() if value.size == 1 or value.dtype.kind in "iu" else None
