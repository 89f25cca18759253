"""Infers a model's signature from what `fit` saw: names and types of columns, or type and shape of an array.

Tools that serve the model enforce it, so there is none for what is not certain: None is better than a wrong one. It is read
from the types, without a pass over the data, and without importing pandas, polars or NumPy here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple, cast

import msgspec

from autolog.tracking.datasets import pandas_dtypes

LOOKED_AT = 1000
"""Maximum number of values that are read in an object column, until SAMPLE of them are not missing."""
SAMPLE = 100

# By kind and width in bytes; the narrowest of the serving tools' types that holds it.
_NUMPY = {
    ("b", 1): "boolean",
    ("i", 1): "integer", ("i", 2): "integer", ("i", 4): "integer", ("i", 8): "long",
    ("u", 1): "integer", ("u", 2): "integer", ("u", 4): "long",
    ("f", 2): "float", ("f", 4): "float", ("f", 8): "double",
}  # fmt: skip
_POLARS = {
    "Boolean": "boolean",
    "Int8": "integer", "Int16": "integer", "Int32": "integer", "Int64": "long",
    "UInt8": "integer", "UInt16": "integer", "UInt32": "long",
    "Float32": "float", "Float64": "double",
    "String": "string", "Utf8": "string", "Binary": "binary",
}  # fmt: skip
_LIST: dict[type[Any], str] = {int: "int64", float: "float64", bool: "bool", str: "str"}
_ARRAYS = (("numpy", "ndarray"), ("numpy", "memmap"), ("scipy", "csr_matrix"), ("scipy", "csc_matrix"))
_CANNOT_MISS = ("boolean", "integer", "long")
# Those of pandas' own types that a serving tool turns into NumPy's.
_NULLABLE = {
    *(f"{sign}Int{bits}Dtype" for sign in ("", "U") for bits in (8, 16, 32, 64)),
    "BooleanDtype", "Float32Dtype", "Float64Dtype", "ArrowDtype",
}  # fmt: skip


class ArraySpec(NamedTuple):
    """Describes an array that is not at hand: its type by NumPy's name, and its shape. The first dimension, and others that are
    None, may have any length.
    """

    dtype: str
    shape: Sequence[int | None]


def infer_signature(x: Any, y_or_prediction: Any = None) -> dict[str, Any] | None:
    """Return the signature of a model fitted on `x`, as the MLmodel file holds it: `inputs` and `outputs` are JSON texts.

    Give a prediction if there is one; a classifier's `y` has the type of its predictions too. Other models' `y` may not (a
    regressor fitted on integers predicts floats): give None, and `outputs` is None. Both may be ArraySpecs, and dicts of these
    by name. Return None if no signature can describe `x`, or a part of it: see `why_none`.
    """
    try:
        inputs = _inputs(x)
        if inputs is None:
            return None
        signature = {"inputs": msgspec.json.encode(inputs).decode(), "outputs": None, "params": None}
    except UnicodeEncodeError:  # a column's name that is no text
        return None
    return with_output(signature, y_or_prediction)


def with_output(signature: dict[str, Any], y_or_prediction: Any) -> dict[str, Any]:
    """Return the same signature, with the outputs that `infer_signature` would give it."""
    if isinstance(y_or_prediction, dict):
        outputs = _named_tensors(cast("dict[Any, Any]", y_or_prediction))
    else:
        outputs = None if (output := _output(y_or_prediction)) is None else [output]
    return {**signature, "outputs": None if outputs is None else msgspec.json.encode(outputs).decode()}


def why_none(x: Any) -> str:
    """Return why `infer_signature` finds no signature for `x`, as the end of a sentence."""
    package, kind = _type_name(x)
    if is_frame(x):
        unknown = [name for name, known in (column_types(x) or {}).items() if known is None]
        if unknown:
            return f"the values of column {unknown[0]!r} have no type that it could name"
        return "the columns' names are not distinct texts or whole numbers"
    if (package, kind) in _ARRAYS:
        return f"there is none for an array of type {x.dtype} and shape {x.shape}"
    return f"there is none for data of type {kind}"


def is_frame(data: Any) -> bool:
    """Return whether this is a data frame of pandas or polars."""
    package, kind = _type_name(data)
    return kind == "DataFrame" and package in ("pandas", "polars")


def columns(frame: Any) -> list[dict[str, Any]] | None:
    """Return a pandas or polars frame's columns as {type, name}; None if the type of one of them is not certain.

    All are required, as readers assume; mlflow before 2.10 fails on the word itself.
    """
    types = column_types(frame)
    if not types or None in types.values():
        return None
    return [{"type": kind, "name": name} for name, kind in types.items()]


def column_types(frame: Any) -> dict[Any, str | None] | None:
    """Return the type of each column by name, None for one that has no certain type. Return None for anything but a frame, and
    for a frame whose column names are not distinct texts, or distinct whole numbers.
    """
    if not is_frame(frame):
        return None
    package = _type_name(frame)[0]
    names: list[Any] = frame.columns if package == "polars" else frame.columns.tolist()
    if set(map(type, names)) not in ({str}, {int}) or "" in names or len(set(names)) != len(names):
        return None
    return dict(zip(names, (_pandas_types if package == "pandas" else _polars_types)(frame), strict=True))


def _pandas_types(frame: Any) -> Iterator[str | None]:
    known: dict[Any, str | None] = {}
    for index, dtype in enumerate(pandas_dtypes(frame)):
        if dtype.kind == "O" and _type_name(dtype)[0] == "numpy":
            yield _object_type(_pandas_values(frame, index))
            continue
        if dtype not in known:
            known[dtype] = _pandas_type(dtype)
        kind = known[dtype]
        # For types that can miss a value, pandas knows which are missing without reading the values.
        if (
            kind in _CANNOT_MISS
            and _type_name(dtype)[0] != "numpy"
            and _pandas_values(frame, index).isna().any()
        ):
            # What mlflow itself turns into floats: no booleans, and no integers that floats could not hold.
            kind = "double" if dtype.kind in "iu" and dtype.itemsize <= 4 else None
        yield kind


def _pandas_type(dtype: Any) -> str | None:
    package, kind = _type_name(dtype)
    if package == "numpy" and dtype.kind == "M":
        return "datetime"
    if package == "numpy" or kind in _NULLABLE:
        return _NUMPY.get((dtype.kind, dtype.itemsize))
    return "string" if kind == "StringDtype" else None


def _pandas_values(frame: Any, index: int) -> Any:
    # The public ways build a Series, which is twenty times slower, and some keep it in the user's frame.
    fast = getattr(frame, "_get_column_array", None)
    return frame.iloc[:, index].array if fast is None else fast(index)


def _polars_types(frame: Any) -> Iterator[str | None]:
    for index, dtype in enumerate(frame.dtypes):
        name, _, details = str(dtype).partition("(")
        kind = _POLARS.get(name)
        if name == "Datetime" and "time_zone=None" in details:
            kind = "datetime"
        # polars knows the count without reading the values.
        elif kind in _CANNOT_MISS and frame.to_series(index).null_count():
            kind = None
        yield kind


def _object_type(values: Any) -> str | None:
    """Return `string` or `binary` if the first values are nothing else. Other Python objects cannot be told apart safely."""
    kinds: set[type[Any]] = set(map(type, values[:SAMPLE]))
    if not kinds <= {str, bytes}:
        present = (value for value in values[:LOOKED_AT] if not _missing(value))
        kinds = {type(value) for value in islice(present, SAMPLE)}
    if kinds == {str}:
        return "string"
    return "binary" if kinds == {bytes} else None


def _missing(value: Any) -> bool:
    return (
        value is None
        or (type(value) is float and value != value)
        or _type_name(value)[1] in ("NAType", "NaTType")
    )


def _inputs(x: Any) -> list[dict[str, Any]] | None:
    if type(x) is dict:
        return _named_tensors(x)  # pyright: ignore[reportUnknownArgumentType]
    tensor = _tensor(x)
    return columns(x) if tensor is None else [tensor]


def _named_tensors(arrays: dict[Any, Any]) -> list[dict[str, Any]] | None:
    tensors: list[dict[str, Any]] = []
    for name, array in arrays.items():
        tensor = _tensor(array)
        if type(name) is not str or not name or tensor is None:
            return None
        tensors.append({"name": name, **tensor})
    return tensors or None


def _tensor(x: Any) -> dict[str, Any] | None:
    if type(x) is ArraySpec:
        return _tensor_of(*x)
    if _type_name(x) in _ARRAYS:
        return _tensor_spec(x.dtype, x.shape)
    return None


def _tensor_spec(dtype: Any, shape: Sequence[int]) -> dict[str, Any] | None:
    # V: records; c, m: JSON has no form for these. A foreign byte order would be refused under its own name.
    if not shape or dtype.kind in "Vcm" or not dtype.isnative:
        return None
    name = {"U": "str", "S": "bytes"}.get(dtype.kind) or str(dtype.name)
    return _tensor_of(name, shape)


def _tensor_of(dtype: str, shape: Sequence[int | None]) -> dict[str, Any]:
    sizes = [-1 if size is None else size for size in shape[1:]]
    return {"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": [-1, *sizes]}}


def _output(y: Any) -> dict[str, Any] | None:
    """Return one array, whatever `y` is: that is what models predict, also when they were fitted on a Series or a list."""
    package, kind = _type_name(y)
    if kind == "list":
        return _list_output(y)
    if package == "pandas" and kind in ("Series", "DataFrame"):
        dtypes = set(pandas_dtypes(y)) if kind == "DataFrame" else {y.dtype}
        dtype: Any = dtypes.pop() if len(dtypes) == 1 else None
        if _type_name(dtype) == ("pandas", "StringDtype"):
            return _tensor_of("object", y.shape)
        return _tensor_spec(dtype, y.shape) if _type_name(dtype)[0] == "numpy" else None
    return _tensor(y)


def _list_output(values: list[Any]) -> dict[str, Any] | None:
    if not 0 < len(values) <= LOOKED_AT:
        return None
    kinds: set[type[Any]] = {type(value) for value in values}
    dtype = _LIST.get(kinds.pop()) if len(kinds) == 1 else None
    return _tensor_of(dtype, [-1]) if dtype else None


def _type_name(x: object) -> tuple[str, str]:
    """Return the package that a value's type is from, and the type's name."""
    of = type(x)
    return str(of.__module__).partition(".")[0], of.__name__
