"""Any object to bounded plain data: what JSON can hold, of limited size, without running the user's code.

No `__repr__`, `__str__`, `__len__`, `__iter__` or property of an unknown object is called: they can be slow, wrong, or have
effects. Only exact built-in types and a few well-known ones are looked into; anything else is its class's name. Secrets are
replaced here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from autolog.tracking import redact

MAX_TEXT = 6_000
MAX_PARAMS = 2_000
MAX_ITEMS = 100
MAX_DEPTH = 6
MAX_NODES = 2_000
MAX_KEY = 250

Plain = None | bool | int | float | str | list["Plain"] | dict[str, "Plain"]


def text_of(text: str, limit: int = MAX_TEXT) -> str:
    """`text` cut to `limit` characters, said so, and encodable in UTF-8."""
    if len(text) > limit:
        text = f"{text[:limit]}… [cut: {len(text)} characters]"
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:  # a lone surrogate, as from a file name
            text = text.encode("utf-8", "backslashreplace").decode()
    return text


def number_of(value: float) -> float | str:
    """A float as JSON can hold it: non-finite ones as `"NaN"`, `"Infinity"`, `"-Infinity"` (as protobuf's JSON has them)."""
    if math.isfinite(value):
        return value
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"


def class_name(value: object) -> str:
    return type(value).__name__


def qualified_name(cls: type) -> str:
    """`package.module.Class`, as it can be imported."""
    return f"{cls.__module__}.{cls.__qualname__}"


def plain(value: Any, key: str = "", secrets: set[str] | None = None) -> Plain:
    """`value` as plain data. `key` is its name, which may say that it is a secret; found secrets go into `secrets`."""
    kind = type(value)
    if kind is str:
        return _text(value, key, secrets)
    if kind is bool or value is None:
        return value
    if kind is int:
        return _int(value, key, secrets)
    if kind is float:
        return number_of(value)
    return _Converter(secrets).convert(value, key, 0)


def plain_params(params: Mapping[Any, Any], secrets: set[str] | None = None) -> dict[str, Plain]:
    """Params as one flat mapping of text to plain data: nested dicts become dotted names; at most 2,000."""
    flat: dict[str, Plain] = {}
    _flatten(params, "", flat, secrets, 0)
    return flat


def _flatten(
    params: Mapping[Any, Any], prefix: str, flat: dict[str, Plain], secrets: set[str] | None, depth: int
) -> None:
    try:
        items = list(params.items())
    except Exception:
        return
    for key, value in items:
        if len(flat) >= MAX_PARAMS:
            return
        name = prefix + (key if type(key) is str else key_of(key))
        if type(value) is dict and value and depth < MAX_DEPTH:
            _flatten(value, f"{name}.", flat, secrets, depth + 1)
            continue
        name = text_of(name, MAX_KEY)
        try:
            flat[name] = plain(value, name, secrets)
        except Exception:
            flat[name] = _unreadable(value)


def key_of(key: object) -> str:
    """A mapping's key as text, without asking an unknown object for it."""
    if type(key) is str:
        return text_of(key, MAX_KEY)
    if isinstance(key, str):
        return text_of(str.__str__(key), MAX_KEY)
    if key is None or type(key) in (bool, int, float, bytes):
        return text_of(repr(key), MAX_KEY)
    if type(key) is tuple:
        return text_of("(" + ", ".join(key_of(part) for part in key[:8]) + ")", MAX_KEY)
    found = plain(key)
    return text_of(str(found), MAX_KEY) if isinstance(found, (int, float, str)) else class_name(key)


def _text(value: str, key: str, secrets: set[str] | None) -> str:
    if key and redact.is_secret_key(key) and value:
        if secrets is not None:
            secrets.add(value)
        return redact.mark(value)
    if len(value) >= 8:
        value = redact.redact_text(value[: MAX_TEXT * 2], secrets) if len(value) <= MAX_TEXT * 2 else (
            redact.redact_text(value[: MAX_TEXT * 2], secrets) + value[MAX_TEXT * 2 :]
        )  # fmt: skip
    return text_of(value)


def _int(value: int, key: str, secrets: set[str] | None) -> int | str:
    if -(2**63) <= value < 2**63:
        if key and value > 999 and redact.is_secret_key(key):  # a numeric password
            if secrets is not None:
                secrets.add(str(value))
            return redact.mark(str(value))
        return value
    return f"<int of {value.bit_length()} bits>" if value.bit_length() > 4096 else str(value)


def _unreadable(value: object) -> str:
    return f"<{class_name(value)}>"


class _Converter:
    """One conversion: it remembers where it is, so that cycles and size are bounded."""

    def __init__(self, secrets: set[str] | None) -> None:
        self.secrets = secrets
        self.nodes = 0
        self.path: set[int] = set()

    def convert(self, value: Any, key: str, depth: int) -> Plain:
        self.nodes += 1
        try:
            return self._convert(value, key, depth)
        except Exception:
            return _unreadable(value)

    def _convert(self, value: Any, key: str, depth: int) -> Plain:
        kind = type(value)
        if value is None or kind is bool:
            return value
        if kind is str:
            return _text(value, key, self.secrets)
        if kind is int:
            return _int(value, key, self.secrets)
        if kind is float:
            return number_of(value)
        if kind in (list, tuple, set, frozenset, dict):
            return self._container(value, key, depth)
        if kind is bytes or kind is bytearray:
            return f"<{kind.__name__} of {len(value)}>"
        if kind is complex or kind is range or kind is slice:
            return text_of(repr(value))
        return self._known(value, kind, key, depth)

    def _container(self, value: Any, key: str, depth: int) -> Plain:
        if id(value) in self.path:
            return "<cycle>"
        if depth >= MAX_DEPTH or self.nodes >= MAX_NODES:
            return f"<{class_name(value)} of {len(value)}>"
        self.path.add(id(value))
        try:
            if type(value) is dict:
                pairs: dict[str, Plain] = {}
                for name, item in list(value.items())[:MAX_ITEMS]:
                    text = key_of(name)
                    pairs[text] = self.convert(item, text, depth + 1)
                if len(value) > MAX_ITEMS:
                    pairs["…"] = f"{len(value) - MAX_ITEMS} more"
                return pairs
            items = [self.convert(item, key, depth + 1) for item in list(value)[:MAX_ITEMS]]
            if isinstance(value, (set, frozenset)):
                items.sort(key=str)  # a set's own order changes from process to process
            if len(value) > MAX_ITEMS:
                items.append(f"… {len(value) - MAX_ITEMS} more")
            return items
        finally:
            self.path.discard(id(value))

    def _known(self, value: Any, kind: type, key: str, depth: int) -> Plain:
        """Types outside the language's core that everybody uses, known by their module: none is imported for this."""
        import datetime
        import decimal
        import enum
        import fractions
        import functools
        import pathlib
        import types
        import uuid

        if isinstance(value, enum.Enum):
            return f"{kind.__name__}.{value._name_}"
        if isinstance(value, type):
            return value.__name__
        if kind in (types.FunctionType, types.BuiltinFunctionType, types.MethodType):
            return f"{value.__module__}.{value.__qualname__}"
        if kind is functools.partial:
            return f"partial({self.convert(value.func, '', depth + 1)})"
        if isinstance(value, pathlib.PurePath):
            return _text(str(value), key, self.secrets)
        if kind in (datetime.datetime, datetime.date, datetime.time):
            return value.isoformat()
        if kind in (datetime.timedelta, decimal.Decimal, fractions.Fraction, uuid.UUID):
            return str(value)
        package = kind.__module__.partition(".")[0]
        if package == "numpy":
            return self._numpy(value, kind, key, depth)
        if package == "pandas":
            return self._pandas(value, kind)
        # Subclasses of the plain types: their value, by the plain type's own method.
        if isinstance(value, str):
            return _text(str.__str__(value), key, self.secrets)
        if isinstance(value, bool | int):
            return _int(int.__int__(value), key, self.secrets)
        if isinstance(value, float):
            return number_of(float.__float__(value))
        return kind.__name__

    def _numpy(self, value: Any, kind: type, key: str, depth: int) -> Plain:
        if kind.__name__ == "ndarray":
            if value.size <= MAX_ITEMS and value.ndim <= 2 and value.dtype.kind in "biufUSM":
                return self.convert(value.tolist(), key, depth)
            return f"<ndarray {value.dtype} {'x'.join(map(str, value.shape))}>"
        if hasattr(kind, "dtype") and hasattr(kind, "item"):  # a scalar
            item = value.item()
            return number_of(float(item)) if type(item) is kind else self.convert(item, key, depth)
        if kind.__name__ == "dtype" or kind.__name__.endswith("DType"):
            return str(value)
        if isinstance(value, type(value)) and hasattr(value, "__name__") and type(value.__name__) is str:
            return f"{package_of(kind)}.{value.__name__}"  # a ufunc
        return kind.__name__

    def _pandas(self, value: Any, kind: type) -> Plain:
        name = kind.__name__
        if name in ("NAType", "NaTType"):
            return None
        if name in ("Timestamp", "Timedelta", "Period"):
            return str(value)
        if name in ("DataFrame", "Series", "Index"):
            return f"<{name} {'x'.join(map(str, value.shape))}>"
        return name


def package_of(kind: type) -> str:
    return kind.__module__.partition(".")[0]
