"""What can be told of a training's arguments without asking data or model to do anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_OBJECTS = ("client", "params", "dtrain", "evals", "evals_result", "callbacks", "coll_cfg")
_DATA = ("X", "y", "eval_set")


def train_params(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The booster's params, and the other arguments that were given."""
    params: Any = arguments.get("params")
    if isinstance(params, (list, tuple)):  # pairs; a name may come several times, as eval_metric does
        pairs: dict[Any, Any] = {}
        for name, value in params:
            pairs[name] = [*pairs[name], value] if name in pairs else [value]
        params = {name: values[0] if len(values) == 1 else values for name, values in pairs.items()}
    rest = {k: v for k, v in arguments.items() if k not in _OBJECTS and v is not None}
    return {**(params or {}), **rest}


def settings_of(estimator: Any) -> dict[str, Any]:
    """An estimator's settings, those that are set. `get_params` would draw from a `random_state` that is a generator."""
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
    """XGBoost's own format, where it keeps all that predictions depend on: neither what a subclass of the user's adds nor
    `missing`.
    """
    missing = vars(estimator).get("missing")
    return (
        "xgboost" if type(estimator).__module__.startswith("xgboost.") and missing != missing else "sklearn"
    )


def fit_params(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What `fit` was given beside the data, as `fit.<name>`; of values for each row, only that they were given."""
    return {
        f"fit.{name}": value if isinstance(value, (bool, int, str)) else "given"
        for name, value in arguments.items()
        if name not in _DATA and value is not None
    }


def pairs(evals: Any) -> list[Any]:
    """The eval sets that were given, as pairs: an iterator is left for XGBoost to use up."""
    found = evals if isinstance(evals, (list, tuple)) else ()
    return [one for one in found if isinstance(one, (list, tuple)) and len(one) == 2]
