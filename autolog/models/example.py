"""The first rows of what a model was trained on, as files that serving tools read: an example of a request.

Imports no data library: what is asked of an array or a frame is what it offers itself.
"""

from __future__ import annotations

import base64
import json
import math
from typing import Any, cast

ROWS = 5
FILE = "input_example.json"
REQUEST = "serving_input_example.json"


def example_of(data: Any) -> tuple[dict[str, Any], dict[str, bytes]] | None:
    """What the MLmodel file says of the example, and the files: of a frame, an array, or a dict of arrays by name. None for
    anything else. `serving_input_example.json` is the body of a request that the scoring server answers.
    """
    info = {"artifact_path": FILE, "serving_input_path": REQUEST, "type": "ndarray"}
    content: Any = None
    if type(data) is dict:
        named = cast("dict[str, Any]", data)
        if named and all(map(_is_array, named.values())):
            content = {name: _rows(array) for name, array in named.items()}
    elif _is_array(data):
        content = _rows(data)
    elif type(data).__name__ == "DataFrame" and hasattr(data, "columns"):
        head = data.head(ROWS)
        values: list[Any] = head.rows() if hasattr(head, "rows") else head.to_numpy(dtype=object).tolist()
        content = {"columns": list(head.columns), "data": _plain(values)}
        info |= {"type": "dataframe", "pandas_orient": "split"}
    if content is None:
        return None
    request = {"dataframe_split" if info["type"] == "dataframe" else "inputs": content}
    return info, {FILE: json.dumps(content).encode(), REQUEST: json.dumps(request).encode()}


def _is_array(data: Any) -> bool:
    return type(data).__name__ == "ndarray" and bool(getattr(data, "ndim", 0))


def _rows(array: Any) -> Any:
    return _plain(array[:ROWS].tolist())


def _plain(value: Any) -> Any:
    """A value as JSON has it: nothing for what is missing, text for times and bytes."""
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
    return str(value) if (value == value) is True else None  # not so of what pandas has for missing
