"""Describes data without a pass over it: kind, shape, columns, dtypes, and a digest of a bounded sample.

Data is never iterated, densified, copied whole or kept; generators, lazy frames and loaders are named and left alone. The cost
is bounded by construction: at most 1,000 rows and 200 columns are read, and some thousand cells for a fingerprint.
"""

from __future__ import annotations

from collections.abc import Hashable
from itertools import islice
from typing import Any, NamedTuple, cast

from autolog.instrument.interrupts import reraise_if_signal
from autolog.tracking.values import class_name, key_of, module_name, plain, qualified_name

# A class's own namespace and MRO, whatever its metaclass says.
_namespace_of: Any = type.__dict__["__dict__"].__get__
_bases_of: Any = type.__dict__["__mro__"].__get__

MAX_COLUMNS = 200
MAX_ROWS = 1_000
MAX_CELLS = 10_000
MAX_OBJECTS = 2_000
FEW_ROWS = 64
FEW_CELLS = 2_000


def describe(data: Any, target: Any = None) -> dict[str, Any]:
    """Return what can be said of `data` (and its `target`) at once.

    Keys, if known: `kind`, `rows`, `columns`, `dtype`, `schema` (column name to dtype), `sparse`, `target`
    (`kind`, `dtype`, `classes` as far as the sample shows), `digest` (32 hex digits of shape, dtypes and sample).
    """
    import hashlib  # OpenSSL takes milliseconds to load

    digest = hashlib.blake2b(digest_size=16)
    said = _describe(data, digest)
    if target is not None:
        said["target"] = _target(target, digest)
    if said.pop("sampled", False):
        said["digest"] = digest.hexdigest()
    return said


class Fingerprint(NamedTuple):
    """What data looks like: shape, dtypes and some of its cells. With `whole`, these are all: equal ones mean equal data."""

    cells: Hashable
    whole: bool


def fingerprint(data: Any) -> Fingerprint | None:
    """Return the fingerprint of data, for comparisons in this process, in some ten microseconds. None if it cannot be read."""
    package = module_name(cast("type[Any]", type(data))).partition(".")[0]
    try:
        if package == "numpy" and hasattr(data, "shape") and not data.dtype.hasobject:
            return _cells_of(data)
        if package == "pandas" and hasattr(data, "shape"):
            found = _cells_of_pandas(data)
            if found is not None:
                return found
        digest = describe(data).get("digest")
        return None if digest is None else Fingerprint(digest, False)
    except Exception as error:  # a subclass that behaves differently
        reraise_if_signal(error)
        return None


def _cells_of(array: Any) -> Fingerprint:
    kind = array.shape, str(array.dtype)
    if array.size <= FEW_CELLS:
        return Fingerprint((*kind, hash(array.tobytes())), True)
    length = array.shape[0]
    some = array[:: max(1, length * (array.size // length) // FEW_CELLS)]
    if some.size > 2 * FEW_CELLS:
        some = some.flat[:FEW_CELLS]
    last = array[-1:] if array.size // length <= FEW_CELLS else array[:0]
    return Fingerprint((*kind, hash(some.tobytes()), hash(last.tobytes())), False)


def _cells_of_pandas(data: Any) -> Fingerprint | None:
    if data.ndim == 1:
        return _cells_of(data.to_numpy()) if _is_numeric(data.dtype) else None
    blocks: Any = getattr(getattr(data, "_mgr", None), "blocks", None)
    if blocks is None or len(blocks) > MAX_COLUMNS:
        return None
    # Read the blocks as they lie in memory: each operation of pandas costs as much as all of this.
    parts: list[Fingerprint] = []
    for block in blocks:
        values = block.values.T if block.values.ndim == 2 else block.values
        if (
            module_name(cast("type[Any]", type(values))).partition(".")[0] == "numpy"
            and not values.dtype.hasobject
        ):
            parts.append(_cells_of(values))
            continue
        few = values[:: -(-len(values) // FEW_ROWS)] if len(values) else values
        texts = "\x1f".join(map(_object_text, few.ravel().tolist()))
        parts.append(Fingerprint((str(values.dtype), hash(texts)), len(values) <= FEW_ROWS))
    names = tuple(map(key_of, data.columns[:MAX_COLUMNS].tolist()))
    return Fingerprint(
        (data.shape, names, tuple(one.cells for one in parts)), all(one.whole for one in parts)
    )


def _describe(data: Any, digest: Any) -> dict[str, Any]:
    kind = cast("type[Any]", type(data))
    name, package = class_name(data), module_name(kind).partition(".")[0]
    said: dict[str, Any] = {"kind": name if package in ("", "builtins") else f"{package}.{name}"}
    try:
        if package == "numpy" and hasattr(data, "shape"):
            _array(data, said, digest)
        elif package == "pandas" and hasattr(data, "shape"):
            _pandas(data, said, digest)
        elif package == "scipy" and hasattr(data, "nnz"):
            _sparse(data, said, digest)
        elif package == "polars" and name in ("DataFrame", "Series"):
            _polars(data, said, digest)
        elif package == "pyarrow" and hasattr(data, "schema") and hasattr(data, "num_rows"):
            said["rows"], said["columns"] = data.num_rows, data.num_columns
            said["schema"] = {f.name: str(f.type) for f in list(data.schema)[:MAX_COLUMNS]}
        elif kind is list or kind is tuple:
            said["rows"] = len(data)
            if data and (type(data[0]) is list or type(data[0]) is tuple):
                said["columns"] = len(data[0])
            _feed_objects(data, said, digest)
        elif package != "pyspark":  # its tables count their rows when they are asked for their shape
            _shaped(data, said)
    except Exception as error:  # a subclass that behaves differently: what is known so far is still true
        reraise_if_signal(error)
        said["note"] = f"not fully described: {class_name(error)}"
    return said


def _shape(data: Any, said: dict[str, Any]) -> None:
    # Lazy frames count their rows when such a number is converted to an int: take only what is an int already.
    shape = [n if isinstance(n, int) else None for n in data.shape]
    if len(shape) > 2:
        said["shape"] = shape
    names = ("rows", "columns") if len(shape) == 2 else ("rows",)
    said.update((name, n) for name, n in zip(names, shape, strict=False) if n is not None)


def _shaped(data: Any, said: dict[str, Any]) -> None:
    """Describe other libraries' arrays (torch, jax, …), whose shape and dtype are attributes and cost no transfer."""
    if any("shape" in _namespace_of(cls) for cls in _bases_of(type(data))) and isinstance(data.shape, tuple):
        _shape(data, said)
        said["dtype"] = plain(str(data.dtype))


def _rows(n: int, width: int) -> slice:
    """Return evenly spaced rows: at most 1,000, and fewer of wide data."""
    most = max(1, min(MAX_ROWS, MAX_CELLS // max(1, width)))
    return slice(None, None, max(1, -(-n // most)))


def _feed(digest: Any, said: dict[str, Any], header: str, values: Any) -> None:
    digest.update(header.encode("utf-8", "backslashreplace"))
    if values is not None:
        digest.update(values)
    said["sampled"] = True


def _array(data: Any, said: dict[str, Any], digest: Any) -> None:
    _shape(data, said)
    said["dtype"] = str(data.dtype)
    header = f"{data.shape}{data.dtype}"
    if data.dtype.hasobject:
        flat = data.reshape(-1) if data.flags["C_CONTIGUOUS"] else data.flat
        _feed_objects(
            flat[: MAX_OBJECTS * 10 : 10] if data.size > MAX_OBJECTS else flat[:], said, digest, header
        )
        return
    if not data.ndim or not data.size:
        _feed(digest, said, header, None)
        return
    width = data.size // data.shape[0] if data.shape[0] else 1
    # Read only the start of a memory-mapped file: each evenly spaced row would fault a page.
    rows = _rows(data.shape[0], width)
    sample = data[: MAX_CELLS // max(1, width) // 10 + 1] if class_name(data) == "memmap" else data[rows]
    if sample.size > MAX_CELLS:
        sample = sample.flat[:MAX_CELLS]  # copies only these, in any memory layout
    _feed(digest, said, header, sample.tobytes())


def _feed_objects(values: Any, said: dict[str, Any], digest: Any, header: str = "") -> None:
    """Feed objects by value if they are plain, else by class name: no user code runs."""
    count = len(values)
    parts = [header, str(count)]
    for value in values[:: max(1, -(-count // (MAX_OBJECTS // 10)))]:
        if type(value) is list or type(value) is tuple:
            parts.append("[" + ",".join([_object_text(v) for v in cast("list[Any]", value)[:50]]) + "]")
        else:
            parts.append(_object_text(value))
    _feed(digest, said, "\x1f".join(parts), None)


def _object_text(value: Any) -> str:
    kind = cast("type[Any]", type(value))
    if kind is str:
        return f"'{value[:1000]}"
    if value is None or kind is int or kind is float or kind is bool:
        return repr(value)
    if module_name(kind) == "numpy" and hasattr(kind, "item") and class_name(value) != "ndarray":
        return repr(kind.item(value))
    return class_name(value)


def _pandas(data: Any, said: dict[str, Any], digest: Any) -> None:
    _shape(data, said)
    if data.ndim == 1:
        said["dtype"] = str(data.dtype)
        _column(data, said, digest, _rows(len(data), 1), key_of(data.name))
        return
    # Not a slice of the columns, for the reason of `pandas_dtypes`.
    names = [key_of(name) for name in islice(data.columns, MAX_COLUMNS)]
    dtypes = pandas_dtypes(data)[:MAX_COLUMNS]
    said["schema"] = {name: str(dtype) for name, dtype in zip(names, dtypes, strict=True)}
    digest.update(repr((data.shape, said["schema"])).encode("utf-8", "backslashreplace"))
    # A few operations for each dtype instead of each column: one costs pandas some 50 microseconds.
    places: dict[Any, list[int]] = {}
    for place, dtype in enumerate(dtypes):
        places.setdefault(dtype, []).append(place)
    rows = _rows(data.shape[0], data.shape[1])
    for dtype, columns in places.items():
        numeric = _is_numeric(dtype)
        # For strings, categories and extension types, a few values. Rows first: pandas 2 copies the columns that are taken.
        some = data.iloc[rows if numeric else _few(data.shape[0] * len(columns))]
        block = (some if len(columns) == data.shape[1] else some.iloc[:, columns]).to_numpy()
        if numeric:
            _feed(digest, said, str(dtype), block.tobytes())
        else:
            _feed_objects(block.ravel().tolist(), said, digest, str(dtype))


def pandas_dtypes(frame: Any) -> list[Any]:
    """Return one dtype for each column. `frame.dtypes` would make a Series, and on the way use `warnings.catch_warnings`, which
    makes Python forget which warnings it has shown.
    """
    manager: Any = getattr(frame, "_mgr", None)
    return list(manager.get_dtypes()) if hasattr(manager, "get_dtypes") else frame.dtypes.tolist()


def _few(count: int) -> slice:
    return slice(None, None, max(1, -(-count // (MAX_OBJECTS // 10))))


def _is_numeric(dtype: Any) -> bool:
    return type(dtype).__module__.startswith("numpy") and dtype.kind in "biufmM"


def _column(column: Any, said: dict[str, Any], digest: Any, rows: slice, name: str) -> None:
    dtype = column.dtype
    values = column.iloc if hasattr(column, "iloc") else column  # an Index is sliced by itself
    if _is_numeric(dtype):
        _feed(digest, said, f"{name}{dtype}", values[rows].to_numpy().tobytes())
    else:  # strings, categories, extension types: a few values
        some = values[:: max(1, -(-len(column) // 20))]
        _feed_objects(some.tolist(), said, digest, f"{name}{dtype}{len(column)}")


def _sparse(data: Any, said: dict[str, Any], digest: Any) -> None:
    _shape(data, said)
    said.update(sparse=data.format, dtype=str(data.dtype), stored=int(data.nnz))
    values: Any = getattr(data, "data", None)
    sample: bytes | None = None
    if hasattr(values, "tobytes") and not values.dtype.hasobject:
        sample = values[:: max(1, -(-values.size // MAX_CELLS))].tobytes()
    _feed(digest, said, f"{data.shape}{data.dtype}{data.nnz}", sample)


def _polars(data: Any, said: dict[str, Any], digest: Any) -> None:
    _shape(data, said)
    if type(data).__name__ == "DataFrame":
        said["schema"] = {name: str(dtype) for name, dtype in list(data.schema.items())[:MAX_COLUMNS]}
    step = max(1, -(-data.shape[0] // 100))
    columns = data.get_columns()[:MAX_COLUMNS] if type(data).__name__ == "DataFrame" else [data]
    for column in columns:
        _feed_objects(column.gather_every(step).to_list(), said, digest, f"{column.name}{column.dtype}")


def _target(target: Any, digest: Any) -> dict[str, Any]:
    said = _describe(target, digest)
    said.pop("sampled", None)
    said.pop("schema", None)
    return said


def class_path(value: object) -> str:
    """Return `package.module.Class` of an object."""
    return qualified_name(type(value))
