"""Decides how many and which rows of the training data are predicted for its metrics, and takes them.

The decision depends only on the sizes of model and data, never on measured time: equal trainings record equal numbers on every
machine. This module knows numpy, but not runs and metrics.
"""

from __future__ import annotations

import math
from itertools import islice
from typing import Any

import numpy as np

from autolog_sklearn.about import rows_of, steps_of

MOST = ((2_000, 10_000), (20_000, 2_000), (math.inf, 500))
"""Pairs of a row's cost and the most rows to predict up to that cost. The unit is a visit of a tree's node, about 7 ns."""
UNKNOWN = 2_000.0 + 1
"""The cost of a row if code that is not scikit-learn's predicts: it allows 2,000 rows."""
COLUMNS = 2
"""The cost of each column of dense data, because taking rows of an array copies them: 10,000 rows may have 1,000 columns."""
CHARACTERS = 14
"""The cost of each character of a text: a vectorizer takes about 0.1 µs for it."""
SEED = 0x6175746F_6C6F67
"""autolog's own seed, so that the sample does not depend on the script's draws."""
_HELD = (
    ("support_vectors_", 0.2, 20),
    ("_fit_X", 0.1, 10),
    ("X_train_", 0.2, 20),
    ("X_fit_", 0.2, 20),
    ("X_", 0.1, 10),
)
"""Training data that models hold to compare rows with: the cost of a cell, and how many cells a comparison adds."""
_INNER = ("estimators_", "estimator_", "final_estimator_", "calibrated_classifiers_", "regressor_", "best_estimator_",
          "transformers_", "transformer_list", "calibrators")  # fmt: skip
_MOST_PARTS = 64
"""At most this many trees or estimators of a list are examined. The others are assumed to be alike."""


def most_rows(model: Any, X: Any, passes: int = 1) -> int:
    """Return the most rows that `model` should predict, if each needs `passes` predictions."""
    cost = passes * _cost_of(model) + _cost_of_data(X)
    return next(most for limit, most in MOST if cost <= limit)


def draw(rows: int, most: int) -> Any:
    """Return the indexes of `most` rows, drawn without replacement and sorted; None to use all rows.

    Equal arguments always give equal indexes, so runs on equally many rows are measured on the same ones.
    """
    if rows <= most:
        return None
    generator = np.random.default_rng([SEED, rows])
    return np.sort(generator.choice(rows, most, replace=False, shuffle=False))


def can_take(data: Any) -> bool:
    """Return whether rows can be taken from the data without a pass over all of it in Python."""
    return getattr(data, "format", "csr") in ("csr", "csc")


def take(data: Any, places: Any) -> Any:
    """Return the rows at these indexes, or all rows for None."""
    if places is None:
        return data
    if hasattr(data, "iloc"):
        return data.iloc[places]
    if type(data) in (list, tuple):
        return [data[place] for place in places.tolist()]
    return data[places]


def _cost_of(model: Any, depth: int = 0) -> float:
    """Return the cost of one row by the model's size: depths of trees, vectors to compare with, weights to multiply by."""
    if depth > 6:
        return 0.0
    if steps := steps_of(model):
        return sum(_cost_of(step, depth + 1) for _, step in steps)
    if not type(model).__module__.startswith("sklearn."):
        return UNKNOWN if hasattr(model, "predict") or hasattr(model, "transform") else 0.0
    held = vars(model) if hasattr(model, "__dict__") else {}
    tree = held.get("tree_")
    if hasattr(tree, "max_depth"):
        return float(tree.max_depth) + 1
    if isinstance(
        held.get("_predictors"), list
    ):  # histogram gradient boosting: one predictor per iteration and class
        return 8.0 * sum(map(len, held["_predictors"]))
    cost = 0.0
    for name, cell, more in _HELD:
        value = held.get(name)
        rows, *columns = getattr(value, "shape", ()) or (0,)
        if rows and len(columns) == 1:
            width = value.nnz / rows if hasattr(value, "nnz") else columns[0]
            cost += cell * rows * (width + more)
    for name in ("coef_", "components_"):
        cost += getattr(held.get(name), "size", 0) / 50
    for name in ("coefs_", "intercepts_"):
        if isinstance(held.get(name), list):
            cost += sum(getattr(one, "size", 0) for one in held[name]) / 50
    return cost + sum(_cost_of_parts(held[name], depth + 1) for name in _INNER if name in held)


def _cost_of_parts(value: Any, depth: int) -> float:
    """Return the cost of an estimator, or of several in a list, an array, or in tuples that begin with a name."""
    if isinstance(value, np.ndarray):
        value = value.ravel().tolist() if value.dtype.hasobject else []
    if type(value) is tuple:
        return sum(_cost_of(one, depth) for one in value if hasattr(one, "__dict__"))
    if type(value) is not list:
        return _cost_of(value, depth)
    some = value[:_MOST_PARTS]
    if not some:
        return 0.0
    cost = sum(_cost_of_parts(one, depth) if type(one) is tuple else _cost_of(one, depth) for one in some)
    if type(some[0]).__module__ == "sklearn.calibration":
        cost += sum(_cost_of(getattr(one, "estimator", None), depth) for one in some)
    return cost * len(value) / len(some)


def _cost_of_data(X: Any) -> float:
    """Return the cost of one row's data: an array's columns are copied, and the characters of texts are read."""
    shape = getattr(X, "shape", ())
    cost = float(COLUMNS * shape[1]) if len(shape) == 2 and not hasattr(X, "nnz") else 0.0
    if (rows_of(X) or 0) <= MOST[-1][1]:
        return cost
    return cost + CHARACTERS * _characters(X)


def _characters(X: Any) -> float:
    """Return the mean length of a row's texts, estimated from the first hundred rows."""
    if type(X) in (list, tuple):
        values: Any = list(islice(X, 100))
    elif hasattr(X, "iloc"):
        values = X.iloc[:100].to_numpy()
    elif isinstance(X, np.ndarray):
        values = X[:100]
    else:
        return 0.0
    if isinstance(values, np.ndarray):
        if values.dtype.kind not in "OUST":
            return 0.0
        rows, values = len(values), values.ravel().tolist()
    else:
        rows = len(values)
    return sum(len(one) for one in values if type(one) in (str, bytes)) / max(1, rows)
