"""Recognizes the labels that a script makes of a prediction: `p > 0.5`, `np.round(p)`, `probabilities.argmax(1)`.

Such labels are a new array, and the prediction is often gone by then. So the labels that follow from a prediction are computed
when it is made, and their digest is remembered. Knows NumPy's arrays, and no framework.
"""

from __future__ import annotations

import sys
from typing import Any, cast

FEWEST = 32
"""Number of labels; fewer agree by chance."""
FEWEST_OTHERS = 8
"""Number of labels that are not the most frequent one: of all zeros, nobody knows which prediction they are of. Of 32 labels,
there are ten million ways to choose 8.
"""
MOST = 100_000
"""Cells of a prediction whose labels are computed: less than a millisecond on the training thread."""


def following(prediction: Any) -> set[bytes]:
    """Return the digests of the labels that follow from a prediction of numbers.

    For several columns, these are the columns of the largest values. For one column: above 0.5, above 0 if there are negative
    values, and the nearest whole numbers.
    """
    np = _numpy()
    if np is None or type(prediction) is not np.ndarray or prediction.dtype.kind != "f":
        return set()
    if not (prediction.ndim in (1, 2) and len(prediction) >= FEWEST and 0 < prediction.size <= MOST):
        return set()
    with np.errstate(all="ignore"):
        values = _column(prediction)
        if values.ndim == 2:
            made = [values.argmax(axis=1)]
        else:
            made = [values > 0.5, np.rint(values)]
            made += [values > 0] if values.min() < 0 else []
        return {digest for labels in made if (digest := _digest(np, labels)) is not None}


def digest_of(labels: Any) -> bytes | None:
    """Return the digest of labels, the same for whole numbers of each type; None for anything else."""
    np = _numpy()
    if np is None or type(labels) not in (np.ndarray, list):
        return None
    if type(labels) is list:
        # Only NumPy's and Python's own numbers: others would have code of the user's run.
        given = cast("list[Any]", labels)
        kinds: set[type] = {type(one) for one in given} if len(given) <= MOST else {object}
        if not all(kind in (int, bool) or issubclass(kind, (np.integer, np.bool_)) for kind in kinds):
            return None
    with np.errstate(all="ignore"):
        values = _column(np.asarray(labels))
        if values.ndim != 1 or not FEWEST <= len(values) <= MOST or values.dtype.kind not in "biuf":
            return None
        return _digest(np, values)


def _numpy() -> Any:
    """Return NumPy if the program has loaded it: else there are no arrays of it."""
    return cast(Any, sys.modules.get("numpy"))


def _column(values: Any) -> Any:
    return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values


def _digest(np: Any, labels: Any) -> bytes | None:
    from hashlib import blake2b

    least, most = labels.min(), labels.max()
    if not (least >= -(2**31) and most < 2**31):  # nor is NaN
        return None
    small = labels.astype(np.int8 if least >= -128 and most <= 127 else np.int32)
    if labels.dtype.kind == "f" and not (small == labels).all():
        return None
    others = np.count_nonzero(small != small[0])
    varied = FEWEST_OTHERS <= others <= len(small) - FEWEST_OTHERS
    # The first may be a rare one. Each one that is not the most frequent makes two changes at most.
    if not varied and np.count_nonzero(small[1:] != small[:-1]) < 2 * FEWEST_OTHERS:
        return None
    return blake2b(small.tobytes(), digest_size=16, salt=str(small.itemsize).encode()).digest()
