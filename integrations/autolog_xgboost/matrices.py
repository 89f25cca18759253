"""Inspects the data of DMatrices when they are created. They do not keep it, and their own columns tell less: they hold float64
as float32, and do not say whether integers were missing.
"""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

from autolog.integration import IdentityMap, Inside, ModelInput, Options, look_at

MAX_COLUMNS = 200
MAX_NAMED = 10_000
"""Getting the names of more columns from XGBoost takes long."""
FEW = 5
"""The number of rows to inspect of an array with separate names."""


class Made(NamedTuple):
    """The data that a matrix was made of, and the type of an array's values."""

    seen: ModelInput
    dtype: str


class Matrices:
    """The DMatrices of one integration."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._made: IdentityMap[Made] = IdentityMap()
        self.of_another = Inside()
        """Active while XGBoost makes matrices of data that is already inspected."""

    def is_made(self, _: Any, __: Any, matrix: Any, data: Any = None, *args: Any, **kwargs: Any) -> None:
        """Inspect the `data` of a new matrix."""
        if self.of_another or data is None:
            return
        dtype = getattr(data, "dtype", None)
        seen = look_at(_named(data, kwargs.get("feature_names")), self.options)
        self._made.set(matrix, Made(seen, "" if dtype is None else str(dtype)))

    def seen(self, matrix: Any) -> ModelInput:
        """Return the input of a model that is trained on this matrix. If its creation was not observed, use its columns if
        their types are certain.
        """
        made = self._made.get(matrix)
        if made is not None:
            return made.seen
        options = self.options
        unexampled = "a DMatrix does not keep its data" if options.log_input_examples else ""
        frame = _frame_like(matrix)
        if frame is not None:
            return look_at(frame, options)._replace(example=None, unexampled=unexampled)
        unsigned = "the data of the DMatrix is no longer known" if options.log_signatures else ""
        return ModelInput(unsigned=unsigned, unexampled=unexampled)

    def describe(self, matrix: Any) -> dict[str, Any]:
        """Return the shape of a matrix, and the names and types of its columns."""
        known: dict[str, Any] = {}
        if hasattr(matrix, "num_row"):
            known["rows"] = matrix.num_row()
        if not hasattr(matrix, "num_col"):
            return known
        known["columns"] = matrix.num_col()
        made = self._made.get(matrix)
        if made is not None and made.dtype:
            known["dtype"] = made.dtype
        names, types = _columns(matrix)
        if names and types:
            known["schema"] = dict(zip(names[:MAX_COLUMNS], types, strict=False))
        elif names:
            known["names"] = names[:MAX_COLUMNS]
        return known


def _named(data: Any, names: Any) -> Any:
    """Return the first rows of an array with separate names as a frame: the model knows the columns by name."""
    pandas = sys.modules.get("pandas")
    named = isinstance(names, (list, tuple)) and pandas is not None
    if not named or type(data).__name__ != "ndarray" or data.ndim != 2 or data.shape[1] != len(names):
        return data
    return pandas.DataFrame(data[:FEW].copy(), columns=list(names))


def _frame_like(matrix: Any) -> Any:
    """Return an empty frame of a DMatrix's columns if their types are certain, else None. Integers may have been missing, and
    an unnamed matrix may have been made of anything.
    """
    names, types = _columns(matrix)
    if not names or not types or set(types) != {"float"} or "pandas" not in sys.modules:
        return None
    return sys.modules["pandas"].DataFrame(columns=names, dtype="float64")


def _columns(matrix: Any) -> tuple[list[str] | None, list[str] | None]:
    if not hasattr(matrix, "num_col") or matrix.num_col() > MAX_NAMED:
        return None, None
    types = matrix.feature_types
    return matrix.feature_names, types if isinstance(types, list) else None
