"""What DMatrices were made of. They do not keep it, and their own columns are less: a double is a float in there, and whether
integers were missing is not told. So it is looked at when they are made.
"""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

from autolog.integration import IdentityMap, Inside, ModelInput, Options, look_at

MAX_COLUMNS = 200
MAX_NAMED = 10_000
"""Of more columns, the names take long to get from XGBoost."""
FEW = 5
"""Rows that are looked at where an array has been given names."""


class Made(NamedTuple):
    """What a matrix was made of, and the type of an array's values."""

    seen: ModelInput
    dtype: str


class Matrices:
    """The DMatrices of one session."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._made: IdentityMap[Made] = IdentityMap()
        self.of_another = Inside()
        """In there, XGBoost makes matrices of data that has been looked at."""

    def is_made(self, _: Any, __: Any, matrix: Any, data: Any = None, *args: Any, **kwargs: Any) -> None:
        """One has been made of `data`."""
        if self.of_another or data is None:
            return
        dtype = getattr(data, "dtype", None)
        seen = look_at(_named(data, kwargs.get("feature_names")), self.options)
        self._made.set(matrix, Made(seen, "" if dtype is None else str(dtype)))

    def seen(self, matrix: Any) -> ModelInput:
        """What a model has for its input that is trained on it: of one that was made out of our sight, its columns where their
        types are sure.
        """
        made = self._made.get(matrix)
        if made is not None:
            return made.seen
        options = self.options
        unexampled = "a DMatrix does not keep what it was made of" if options.log_input_examples else ""
        frame = _frame_like(matrix)
        if frame is not None:
            return look_at(frame, options)._replace(example=None, unexampled=unexampled)
        unsigned = "what the DMatrix was made of is not known any more" if options.log_signatures else ""
        return ModelInput(unsigned=unsigned, unexampled=unexampled)

    def describe(self, matrix: Any) -> dict[str, Any]:
        """The shape, names and types of its columns."""
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
    """The first rows of an array as a frame, where it was given names: by these its model knows the columns."""
    pandas = sys.modules.get("pandas")
    named = isinstance(names, (list, tuple)) and pandas is not None
    if not named or type(data).__name__ != "ndarray" or data.ndim != 2 or data.shape[1] != len(names):
        return data
    return pandas.DataFrame(data[:FEW].copy(), columns=list(names))


def _frame_like(matrix: Any) -> Any:
    """An empty frame of a DMatrix's columns where their types are sure: of integers it is not known whether some were missing,
    of an unnamed matrix not what it was made from.
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
