"""Describes a training's arguments without making data or model compute anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_OBJECTS = ("client", "params", "dtrain", "evals", "evals_result", "callbacks", "coll_cfg")
_DATA = ("X", "y", "eval_set")


def train_params(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the booster's params and the other given arguments."""
    params: Any = arguments.get("params")
    if isinstance(params, (list, tuple)):  # pairs; a name, such as eval_metric, may occur several times
        pairs: dict[Any, Any] = {}
        for name, value in params:
            pairs[name] = [*pairs[name], value] if name in pairs else [value]
        params = {name: values[0] if len(values) == 1 else values for name, values in pairs.items()}
    rest = {k: v for k, v in arguments.items() if k not in _OBJECTS and v is not None}
    return {**(params or {}), **rest}


def settings_of(estimator: Any) -> dict[str, Any]:
    """Return an estimator's given settings. `get_params` would draw from a `random_state` that is a generator."""
    held = {**vars(estimator), **(vars(estimator).get("kwargs") or {})}
    return {
        name: value
        for name, value in held.items()
        if value is not None
        and name not in ("kwargs", "coll_cfg")
        and not name.startswith("_")
        and not name.endswith("_")
    }


def flavor_of(estimator: Any) -> str:
    """Return "xgboost" if XGBoost's format keeps everything that predictions depend on, else "sklearn". It does not keep
    `missing` and the additions of a user's subclass.
    """
    missing = vars(estimator).get("missing")
    return (
        "xgboost" if type(estimator).__module__.startswith("xgboost.") and missing != missing else "sklearn"
    )


def fit_params(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments of `fit` other than the data as `fit.<name>`. Values per row become the text "given"."""
    return {
        f"fit.{name}": value if isinstance(value, (bool, int, str)) else "given"
        for name, value in arguments.items()
        if name not in _DATA and value is not None
    }


def pairs(evals: Any) -> list[Any]:
    """Return the given eval sets as pairs. Iterators are not read, because that would consume them."""
    found = evals if isinstance(evals, (list, tuple)) else ()
    return [one for one in found if isinstance(one, (list, tuple)) and len(one) == 2]
