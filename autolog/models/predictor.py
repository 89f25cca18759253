"""One way to get predictions from any model, with data checked against the signature that was saved with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any, cast

from autolog.models.errors import InputMismatch, ModelError
from autolog.models.signature import column_types

# The types that are accepted for a type seen in training. Data whose type cannot be told (a category, say) is accepted.
_ACCEPTED = {
    "boolean": ("boolean",),
    "integer": ("integer",),
    "long": ("integer", "long"),
    "float": ("integer", "float", "double", "long"),
    "double": ("integer", "float", "double", "long"),
    "string": ("string",),
    "binary": ("binary",),
    "datetime": ("datetime",),
}


class Predictor:
    """A loaded model. `native` is the framework's object; `signature` is what it was trained on, as {inputs, outputs}: lists of
    columns or tensors, None where unknown.
    """

    def __init__(self, native: Any, predict: Callable[[Any], Any], signature: dict[str, Any]) -> None:
        self.native = native
        self.signature = signature
        self._predict = predict

    def predict(self, data: Any) -> Any:
        """Return the model's predictions for rows of data: a data frame, a dict of columns (or one row of scalars), a list of
        rows or of dicts, or an array. The framework's own kinds of data, such as a loader, are passed on as they are.

        Columns are put into the order of training. Raises InputMismatch if a column is missing, unknown or of another type.
        """
        inputs: list[dict[str, Any]] | None = self.signature["inputs"]
        if inputs is not None and _is_the_frameworks(data):
            return self._predict(data)
        if not inputs:
            return self._predict(_frame(data, None) if isinstance(data, dict) else data)
        if inputs[0].get("type") != "tensor":
            return self._predict(_as_columns(data, inputs))
        if "name" in inputs[0]:
            return self._predict(_as_named_tensors(data, inputs))
        return self._predict(_as_tensor(data, inputs[0]["tensor-spec"], "the data"))

    def __repr__(self) -> str:
        return f"Predictor({self.native!r})"


def _as_columns(data: Any, inputs: list[dict[str, Any]]) -> Any:
    names = [column["name"] for column in inputs if "name" in column]
    if len(names) != len(inputs):
        return data  # a signature without names says too little for any check
    frame = data if _is_frame(data) else _frame(data, names)
    given = list(frame.columns)
    if {type(name) for name in names} == {int} and set(map(str, names)) >= set(given):
        frame = frame.set_axis([int(name) for name in given], axis=1)  # in a file, numbers are texts
        given = list(frame.columns)
    missing = [
        column["name"] for column in inputs if column.get("required", True) and column["name"] not in given
    ]
    extra = [name for name in given if name not in names]
    if missing or extra:
        problems = [f"lacks {_list(missing)}"] * bool(missing) + [f"has {_list(extra)} too many"] * bool(
            extra
        )
        raise InputMismatch(f"The data {' and '.join(problems)}; the model was trained on {_list(names)}")
    frame = frame[[name for name in names if name in given]]
    types: Mapping[str, str | None] = column_types(frame) or {}
    for column in inputs:
        found = types.get(column["name"])
        expected: Any = column["type"]
        if found is not None and isinstance(expected, str) and found not in _ACCEPTED.get(expected, (found,)):
            raise InputMismatch(
                f"Column {column['name']!r} holds {found} values; the model was trained on {expected} ones"
            )
    return frame


def _as_named_tensors(data: Any, inputs: list[dict[str, Any]]) -> dict[str, Any]:
    names = [tensor["name"] for tensor in inputs]
    if not isinstance(data, dict):
        raise InputMismatch(f"The model takes a dict of arrays: {_list(names)}")
    given = cast("dict[Any, Any]", data)
    if given.keys() != set(names):
        raise InputMismatch(f"The data has {_list(list(given))}; the model was trained on {_list(names)}")
    return {
        tensor["name"]: _as_tensor(given[tensor["name"]], tensor["tensor-spec"], repr(tensor["name"]))
        for tensor in inputs
    }


def _as_tensor(data: Any, spec: dict[str, Any], what: str) -> Any:
    if isinstance(data, dict):
        raise InputMismatch(
            "The model was trained on an array without column names: give rows, not named columns"
        )
    if isinstance(data, (list, tuple)):
        data = import_module("numpy").asarray(data)
    elif _is_frame(data):
        data = data.to_numpy()
    shape, expected = list(data.shape), list(spec["shape"])
    fits = len(shape) == len(expected) and all(
        want in (-1, have) for have, want in zip(shape, expected, strict=True)
    )
    if not fits:
        raise InputMismatch(
            f"The shape of {what} is {_shape(shape)}; the model was trained on {_shape(expected)}"
        )
    given, kind = getattr(data.dtype, "kind", "O"), import_module("numpy").dtype(spec["dtype"]).kind
    if (given in "biuf") != (kind in "biuf") and "O" not in (given, kind):
        raise InputMismatch(f"The type of {what} is {data.dtype}; the model was trained on {spec['dtype']}")
    return data


def _is_frame(data: Any) -> bool:
    return type(data).__name__ == "DataFrame" and hasattr(data, "columns")


def _is_the_frameworks(data: Any) -> bool:
    """Return whether this is neither plain data nor an array or a table whose rows are in memory."""
    kind = cast("type[Any]", type(data))
    if isinstance(data, Iterator):
        return True
    return kind.__module__ != "builtins" and not (
        (hasattr(data, "shape") and hasattr(data, "dtype")) or (_is_frame(data) and hasattr(kind, "__len__"))
    )


def _frame(data: Any, names: list[str] | None) -> Any:
    """Return a pandas frame made from a dict of columns or scalars, from rows, or from dicts."""
    try:
        pandas: Any = import_module("pandas")
    except ImportError:
        raise ModelError(
            "The model was trained on named columns, which takes pandas: pip install pandas"
        ) from None
    if isinstance(data, dict):
        columns = cast("dict[Any, Any]", data)
        one_row = not any(
            hasattr(value, "__len__") and not isinstance(value, (str, bytes)) for value in columns.values()
        )
        return pandas.DataFrame([columns] if one_row else columns)
    if isinstance(data, list) and all(isinstance(row, dict) for row in cast("list[Any]", data)):
        return pandas.DataFrame(data)
    width = _width(data)
    if names is None or width != len(names):
        found = "no rows of values" if width is None else f"{width} columns"
        raise InputMismatch(f"The data has {found}; the model was trained on {_list(names or [])}")
    return pandas.DataFrame(data, columns=names)


def _width(rows: Any) -> int | None:
    if getattr(rows, "ndim", 0) == 2:
        return rows.shape[1]
    first: Any = next(iter(cast("list[Any]", rows)), None) if isinstance(rows, list) else None
    return len(first) if hasattr(first, "__len__") else None


def _list(names: list[Any]) -> str:
    shown = ", ".join(map(repr, names[:10]))
    return f"{'column' if len(names) == 1 else 'columns'} {shown}{f' and {len(names) - 10} more' if len(names) > 10 else ''}"


def _shape(shape: list[int]) -> str:
    return "×".join("any" if length == -1 else str(length) for length in shape)
