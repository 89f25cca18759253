"""What can be told of a training's arguments without asking data or model to do anything."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

MAX_COLUMNS = 200
MAX_NAMED = 10_000
"""Of more columns, the names take long to get from XGBoost."""

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


def describe_matrix(matrix: Any) -> dict[str, Any]:
    """The shape, names and types of a DMatrix's columns, as XGBoost holds them."""
    known: dict[str, Any] = {}
    if hasattr(matrix, "num_row"):
        known["rows"] = matrix.num_row()
    if hasattr(matrix, "num_col"):
        known["columns"] = matrix.num_col()
        names, types = _columns(matrix)
        if names:
            known["schema"] = dict(zip(names[:MAX_COLUMNS], types or [""] * MAX_COLUMNS, strict=False))
    return known


def frame_like(matrix: Any) -> Any:
    """An empty frame of a DMatrix's columns where their types are sure: of integers it is not known whether some were missing,
    of an unnamed matrix not what it was made from.
    """
    names, types = _columns(matrix)
    if not names or not types or set(types) != {"float"} or "pandas" not in sys.modules:
        return None
    return sys.modules["pandas"].DataFrame(columns=names, dtype="float64")


def _columns(matrix: Any) -> tuple[list[str] | None, list[str] | None]:
    if matrix.num_col() > MAX_NAMED:
        return None, None
    types = matrix.feature_types
    return matrix.feature_names, types if isinstance(types, list) else None
