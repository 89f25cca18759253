"""What can be told of an estimator without asking it to do anything."""

from __future__ import annotations

import sys
from typing import Any

from autolog import Run
from autolog.instrument.quiet import quiet


def is_estimator(instance: object) -> bool:
    return isinstance(instance, sys.modules["sklearn.base"].BaseEstimator)


def trains(estimator: Any) -> bool:
    """Whether fitting this is a training of its own: it predicts, clusters or scores, and does not only transform."""
    cls = type(estimator)
    try:
        if hasattr(estimator, "predict") or hasattr(estimator, "fit_predict"):
            return True
    except Exception:  # a property of the user's own
        return False
    if hasattr(cls, "transform") or hasattr(cls, "fit_transform"):
        return False
    return hasattr(cls, "score") or hasattr(cls, "score_samples")


_ESTIMATORS_IN = (
    "estimator",
    "base_estimator",
    "estimators",
    "regressor",
    "classifier",
    "final_estimator",
    "kernel_estimator",
)
_CONTRIBUTING = ("Pipeline", "TransformedTargetRegressor")


def trains_others(estimator: Any) -> bool:
    """Whether it fits other estimators, or copies of one, as a search, an ensemble or a one-against-rest does: their
    rounds are not the run's. A pipeline's steps are.
    """
    cls = type(estimator)
    if any(base.__name__ in _CONTRIBUTING for base in cls.__mro__):
        return False
    held = getattr(estimator, "__dict__", {})
    return any(name in held and not isinstance(held[name], (str, int, float)) for name in _ESTIMATORS_IN) or (
        "TransformerMixin" in {base.__name__ for base in cls.__mro__} and not hasattr(cls, "predict")
    )


def is_search(estimator: Any) -> bool:
    """Whether it tries candidates and holds their results in `cv_results_`."""
    cls = type(estimator)
    return hasattr(cls, "_run_search") or (
        "Search" in cls.__name__ and "estimator" in getattr(estimator, "__dict__", {})
    )


def last_step(estimator: Any) -> Any:
    """The estimator at the end of pipelines, searches and target transformers: the one that has learnt."""
    for _ in range(10):
        held = getattr(estimator, "__dict__", {})
        inner = held.get("best_estimator_", held.get("regressor_"))
        steps = held.get("steps")
        if inner is None and isinstance(steps, list) and steps and isinstance(steps[-1], tuple):
            inner = steps[-1][1]
        if inner is None or isinstance(inner, str):
            return estimator
        estimator = inner
    return estimator


def log_params(run: Run, estimator: Any, arguments: dict[str, Any]) -> dict[str, Any]:
    """The estimator's parameters, and what `fit` was given beside the data. Returns the former."""
    try:
        with quiet():
            params: dict[str, Any] = estimator.get_params(deep=True)
    except Exception as error:
        run.note(f"get_params() failed: {type(error).__name__}")
        params = {}
    said = dict(params)
    for name, value in arguments.items():
        if name not in ("X", "y", "self") and value is not None:
            said[f"fit.{name}"] = "given" if name.endswith("sample_weight") else value
    run.log_params(said)
    return params


def is_from_sklearn(params: dict[str, Any], estimator: Any) -> bool:
    """Whether no code of the user's or of a third party runs when the fitted model predicts."""
    if not _of_sklearn(type(estimator)):
        return False
    for value in params.values():
        kind = type(value)
        if kind.__module__ in ("builtins", "numpy") and kind.__name__ not in (
            "function",
            "type",
            "list",
            "tuple",
            "dict",
        ):
            continue
        if callable(value) and not _of_sklearn(value):
            return False
        if hasattr(value, "get_params") and not isinstance(value, type) and not _of_sklearn(kind):
            return False
        if kind.__name__ in ("RandomState", "Generator"):  # predicting may draw from it
            return False
    return True


def _of_sklearn(what: Any) -> bool:
    return str(getattr(what, "__module__", "")).partition(".")[0] in ("sklearn", "numpy", "scipy")
