"""The first rows of what a model was trained on, as files for serving tools: an example of a request.

Imports no data library: it uses what an array or a frame itself offers.
"""

from __future__ import annotations

import base64
import json
import math
from typing import Any, cast

from autolog.models.signature import ArraySpec, is_frame

ROWS = 5
FILE = "input_example.json"
REQUEST = "serving_input_example.json"
UNREAD = f"the first {ROWS} rows are not known without a further pass over the data"

_PLAIN = ("builtins", "numpy", "pandas", "datetime", "decimal", "fractions", "uuid", "zoneinfo")
"""Packages of the types whose values are read; methods of other types may be the user's code."""

Example = tuple[dict[str, Any], dict[str, bytes]]


class NoExample(Exception):
    """There is no example of this data; the message is the reason, as the end of a sentence."""


def example_of(data: Any) -> Example:
    """Return what the MLmodel file says of the example, and its files: for a frame, an array, a sparse matrix of rows, or a
    dict of arrays by name. Raises NoExample for anything else. `serving_input_example.json` is the body of a request that the
    scoring server answers; there is none for a sparse matrix.
    """
    name = type(data).__name__
    if data is None or type(data) is ArraySpec:
        raise NoExample(UNREAD)
    info = {"artifact_path": FILE, "serving_input_path": REQUEST, "type": "ndarray"}
    if name == "csr_matrix" and type(data).__module__.startswith("scipy."):
        info = {"artifact_path": FILE, "type": "sparse_matrix_csr"}
        return info, {FILE: json.dumps(_sparse_rows(data)).encode()}
    content: Any = None
    if isinstance(data, dict):
        content = _named_rows(cast("dict[str, Any]", data))
    elif _is_array(data):
        content = _rows(data)
    elif is_frame(data):
        head = data.head(ROWS)
        values: list[Any] = head.rows() if hasattr(head, "rows") else head.to_numpy(dtype=object).tolist()
        content = {"columns": list(head.columns), "data": _plain(values)}
        info |= {"type": "dataframe", "pandas_orient": "split"}
    if content is None:
        raise NoExample(f"there is none for data of type {name}")
    request: dict[str, Any] = {"dataframe_split" if info["type"] == "dataframe" else "inputs": content}
    return info, {FILE: json.dumps(content).encode(), REQUEST: json.dumps(request).encode()}


def _named_rows(arrays: dict[str, Any]) -> dict[str, Any] | None:
    if any(type(array) is ArraySpec for array in arrays.values()):
        raise NoExample(UNREAD)
    if not arrays or not all(map(_is_array, arrays.values())):
        return None
    return {name: _rows(array) for name, array in arrays.items()}


def _is_array(data: Any) -> bool:
    return type(data).__name__ == "ndarray" and bool(getattr(data, "ndim", 0))


def _rows(array: Any) -> Any:
    return _plain(array[:ROWS].tolist())


def _sparse_rows(matrix: Any) -> dict[str, Any]:
    rows = min(ROWS, matrix.shape[0])
    starts = matrix.indptr[: rows + 1].tolist()
    return {
        "data": _plain(matrix.data[: starts[-1]].tolist()),
        "indices": matrix.indices[: starts[-1]].tolist(),
        "indptr": starts,
        "shape": [rows, matrix.shape[1]],
    }


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: None for what is missing, text for times and bytes."""
    kind = cast("type[Any]", type(value))
    if str(kind.__module__).partition(".")[0] not in _PLAIN:
        raise NoExample(f"its rows hold values of type {kind.__name__}")
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in cast("list[Any]", value)]
    if hasattr(value, "isoformat"):
        return value.isoformat() if (value == value) is True else None
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value) if (value == value) is True else None  # pandas' missing values do not equal themselves
