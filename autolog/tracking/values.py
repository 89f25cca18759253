"""Turns any object into bounded plain data: what JSON can hold, of limited size, without running the user's code.

No `__repr__`, `__str__`, `__len__`, `__iter__`, `__class__` or property of an unknown object is called: they can be slow,
wrong, or have effects. Only built-in types, by their own methods, and a few well-known types are looked into; any other object
becomes its class's name. Secrets are replaced here.
"""

from __future__ import annotations

import enum
import functools
import math
import re
import sys
import types
import weakref
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any

from autolog.instrument.interrupts import reraise_if_signal
from autolog.tracking import redact

MAX_TEXT = 6_000
MAX_PARAMS = 2_000
MAX_ITEMS = 100
MAX_DEPTH = 6
MAX_NODES = 2_000
MAX_ALL_NODES = 20_000
MAX_VALUE_TEXT = 20_000
MAX_KEY = 250

Plain = None | bool | int | float | str | list["Plain"] | dict[str, "Plain"]

# A class's own name and module, whatever its metaclass says.
name_of: Any = type.__dict__["__name__"].__get__
_module_of: Any = type.__dict__["__module__"].__get__

# Untyped: a strict checker would narrow these to types with unknown items.
_type: Any = type
_dict: Any = dict
_CONTAINERS: Any = (dict, list, tuple, set, frozenset)


def text_of(text: str, limit: int = MAX_TEXT) -> str:
    """Return `text` cut to `limit` characters, with a mark if it was cut, and encodable in UTF-8."""
    if len(text) > limit:
        text = f"{text[:limit]}… [cut: {len(text)} characters]"
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:  # a lone surrogate, as from a file name
            text = text.encode("utf-8", "backslashreplace").decode()
    return text


ACTS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that a terminal obeys, or that change the direction of writing. Recorded text may come from anywhere."""


def clean(text: str) -> str:
    """Return `text` on one line, with escapes for what acts on a terminal or changes the direction of writing."""
    return ACTS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def clean_lines(text: str) -> str:
    """Like `clean`, but keeps the line breaks."""
    return "\n".join(map(clean, text.split("\n")))


def number_of(value: float) -> float | str:
    """Return a float as JSON can hold it: non-finite ones as `"NaN"`, `"Infinity"`, `"-Infinity"`, like protobuf's JSON."""
    if math.isfinite(value):
        return value
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"


def class_name(value: object) -> str:
    return name_of(type(value))


def module_name(cls: type) -> str:
    """Return the module of a class, as the class itself says, without its metaclass."""
    name = _module_of(cls)
    return name if type(name) is str else ""


def qualified_name(cls: type) -> str:
    """Return `package.module.Class`, as it can be imported."""
    return f"{cls.__module__}.{cls.__qualname__}"


def plain(value: Any, key: str = "", secrets: set[str] | None = None) -> Plain:
    """Return `value` as plain data. `key` is its name, which may mark it as a secret; found secrets are added to `secrets`."""
    kind = _type(value)
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
    """Return params as one flat mapping of text to plain data, at most 2,000. Nested dicts become dotted names."""
    try:
        items = [(key, value) for key, value in islice(params.items(), MAX_PARAMS + 1)]
    except Exception as error:
        reraise_if_signal(error)
        return {}
    flat: dict[str, Plain] = {}
    converter = _Converter(secrets)
    converter.path.add(id(params))
    converter.flatten(items, "", flat, 0)
    return flat


def key_of(key: Any) -> str:
    """Return a mapping's key as text, without calling an unknown object."""
    kind = _type(key)
    if kind is str:
        return key if len(key) < 20 and key.isascii() else _long_key(key, redact.own())
    if kind is tuple:
        parts = [f"tuple of {len(part)}" if _type(part) is tuple else key_of(part) for part in key[:8]]
        return text_of(f"({', '.join(parts)})", MAX_KEY)
    if kind is bytes:
        return text_of(repr(key[:MAX_KEY]), MAX_KEY)
    if key is None or kind is bool or kind is float:
        return repr(key)
    found = plain(key)
    return text_of(str(found), MAX_KEY) if isinstance(found, (int, float, str)) else class_name(key)


@functools.lru_cache(maxsize=4096)  # each run has the same names again
def _long_key(key: str, rules: redact.Own) -> str:
    return text_of(redact.redact_text(key[:MAX_TEXT]), MAX_KEY)


def _text(value: str, key: str, secrets: set[str] | None) -> str:
    if key and redact.is_secret(value, key):
        return redact.replacement(value, secrets)
    if len(value) > 2 * MAX_TEXT:
        # The end of the part that is searched may be half a secret, so it is not shown.
        seen = redact.redact_text(value[: 2 * MAX_TEXT], secrets)
        return text_of(
            f"{seen[: min(MAX_TEXT, len(seen) - 1_000)]}… [cut: {len(value)} characters]", 2 * MAX_TEXT
        )
    return text_of(redact.redact_text(value, secrets) if len(value) >= 8 else value)


def _int(value: int, key: str, secrets: set[str] | None) -> int | str:
    if -(2**63) <= value < 2**63:
        if key and value > 999 and redact.is_secret_key(key):  # a numeric password
            return redact.replacement(str(value), secrets)
        return value
    return f"<int of {value.bit_length()} bits>" if value.bit_length() > 4096 else str(value)


_SCALARS = frozenset((str, bool, int, float, type(None)))
# Modules of types that everybody uses, known by name: none is imported for this.
_KNOWN = frozenset(("datetime", "decimal", "fractions", "uuid", "pathlib", "numpy", "pandas"))


class _Converter:
    """One conversion. It tracks its path and how much it has seen, which bounds cycles and size."""

    __slots__ = ("most", "nodes", "path", "room", "secrets")

    def __init__(self, secrets: set[str] | None) -> None:
        self.secrets = secrets
        self.nodes = 0
        self.most = MAX_NODES
        self.room = MAX_VALUE_TEXT
        self.path: set[int] = set()

    def flatten(
        self, items: Iterable[tuple[Any, Any]], prefix: str, flat: dict[str, Plain], depth: int
    ) -> None:
        called = _called(items)
        for key, value in items:
            self.nodes += 1
            if len(flat) >= MAX_PARAMS or self.nodes >= MAX_ALL_NODES:
                return
            name = text_of(prefix + key_of(key), MAX_KEY)
            kind = _type(value)
            if kind in _SCALARS:
                flat[name] = plain(
                    value,
                    called if called and _type(key) is str and key in _VALUE_KEYS else name,
                    self.secrets,
                )
            elif (
                issubclass(kind, _dict)
                and _dict.__len__(value)
                and depth < MAX_DEPTH
                and id(value) not in self.path
            ):
                self.path.add(id(value))
                self.flatten(list(islice(_dict.items(value), MAX_PARAMS)), f"{name}.", flat, depth + 1)
                self.path.discard(id(value))
            else:
                self.most = min(self.nodes + MAX_NODES, MAX_ALL_NODES)
                self.room = MAX_VALUE_TEXT
                flat[name] = self.convert(value, name, depth)

    def convert(self, value: Any, key: str, depth: int) -> Plain:
        self.nodes += 1
        try:
            kind = _type(value)
            if value is None or kind is bool:
                return value
            if kind is int:
                return _int(value, key, self.secrets)
            if kind is float:
                return number_of(value)
            if kind is str:
                return self._text(value, key)
            if issubclass(kind, _CONTAINERS):
                return self._container(value, kind, key, depth)
            return self._other(value, kind, key, depth)
        except Exception as error:
            reraise_if_signal(error)
            return f"<{class_name(value)}>"

    def _text(self, value: str, key: str) -> str:
        if self.room <= 0:
            return f"<str of {len(value)}>"
        text = _text(value, key, self.secrets)
        if len(text) > self.room:
            text = text_of(text, self.room)
        self.room -= len(text)
        return text

    def _container(self, value: Any, kind: Any, key: str, depth: int) -> Plain:
        # Call the built-in type's own methods: a subclass may have changed them.
        base = next(one for one in _CONTAINERS if issubclass(kind, one))
        size: int = base.__len__(value)
        if id(value) in self.path:
            return "<cycle>"
        if depth >= MAX_DEPTH or self.nodes >= self.most or self.room <= 0:
            return f"<{class_name(value)} of {size}>"
        self.path.add(id(value))
        try:
            if base is _dict:
                secret = bool(key) and redact.is_secret_key(key)
                pairs: dict[str, Plain] = {}
                entries = _first(_dict.items(value))
                called = _called(entries)
                for name, item in entries:
                    text = key_of(name)
                    self.room -= len(text)
                    # Pass on the whole name: `hf` below `tokens` may be a secret.
                    below = (
                        called
                        if called and _type(name) is str and name in _VALUE_KEYS
                        else f"{key}.{text}"
                        if key
                        else text
                    )
                    pairs[text] = self.convert(item, key if secret else below, depth + 1)
                if size > MAX_ITEMS:
                    pairs["…"] = f"{size - MAX_ITEMS} more"
                return pairs
            some: list[Any] = _first(base.__iter__(value))
            names = _names_of(some, key)
            items = [self.convert(item, name, depth + 1) for item, name in zip(some, names)]  # noqa: B905
            if base is set or base is frozenset:
                items.sort(key=str)  # a set's own order changes from process to process
            if size > MAX_ITEMS:
                items.append(f"… {size - MAX_ITEMS} more")
            return items
        finally:
            self.path.discard(id(value))

    def _other(self, value: Any, kind: Any, key: str, depth: int) -> Plain:
        name: str = name_of(kind)
        if kind is bytes or kind is bytearray:
            return f"<{name} of {len(value)}>"
        if kind is complex:
            return repr(value)
        if kind is range or kind is slice:
            parts = [self.convert(part, "", depth + 1) for part in (value.start, value.stop, value.step)]
            return f"{name}({', '.join(map(str, parts))})"
        if issubclass(kind, enum.Enum):
            member = object.__getattribute__(value, "_name_")
            return f"{name}.{member}" if type(member) is str else name
        if issubclass(kind, type):
            return name_of(value)
        if kind is types.MethodType:
            return self.convert(value.__func__, "", depth + 1)
        if kind is types.FunctionType or kind is types.BuiltinFunctionType:
            return ".".join([part for part in (value.__module__, value.__qualname__) if type(part) is str])
        if kind is functools.partial:
            return f"partial({self.convert(value.func, '', depth + 1)})"
        module = _module_of(kind)
        package = module.partition(".")[0] if type(module) is str else ""
        if package in _KNOWN:
            known = vars(sys.modules[package])
            if package == "numpy":
                return self._numpy(value, kind, known, key, depth)
            if package == "pandas":
                return _pandas(value, kind, known)
            if known.get(name) is kind:
                return self._text(_standard(value, name), key)
        # For subclasses of the plain types, their value, by the plain type's own method.
        if issubclass(kind, str):
            return self._text(str.__str__(value), key)
        if issubclass(kind, int):
            return _int(int.__int__(value), key, self.secrets)
        if issubclass(kind, float):
            return number_of(float.__float__(value))
        return name

    def _numpy(self, value: Any, kind: Any, numpy: dict[str, Any], key: str, depth: int) -> Plain:
        name: str = name_of(kind)
        if kind is numpy["ndarray"]:
            if value.size <= MAX_ITEMS and value.ndim <= 2 and value.dtype.kind in "biufUSM":
                return self.convert(value.tolist(), key, depth)
            return f"<ndarray {value.dtype} {'x'.join(map(str, value.shape))}>"
        if issubclass(kind, numpy["generic"]) and numpy.get(name) is kind:
            item = value.item()
            return number_of(float(item)) if type(item) is kind else self.convert(item, key, depth)
        if issubclass(kind, numpy["dtype"]):
            return str(value)
        return f"numpy.{value.__name__}" if kind is numpy["ufunc"] else name


_NAME_KEYS = frozenset(("name", "key", "id", "env", "header", "variable", "field"))
_VALUE_KEYS = frozenset(("value", "val", "default", "content"))


def _called(items: Iterable[tuple[Any, Any]]) -> str:
    """Return the name of an entry's value, as in `{"name": "password", "value": "x"}`, if that is a secret's name; else ""."""
    for key, value in items:
        if _type(key) is str and key in _NAME_KEYS and _type(value) is str and redact.is_secret_key(value):
            return value
    return ""


def _names_of(items: list[Any], key: str) -> list[str]:
    """Return a name for each item of a sequence: the sequence's own; for an item after a secret's name, as in a pair or a
    command line, that name; and `password` for the second item of a user and a password.
    """
    names = [key] * len(items)
    if len(items) == 2 and key and key.rpartition(".")[2].strip("_").lower() in _LOGINS:
        names[1] = "password"
    for at, item in enumerate(items[:-1]):
        if _type(item) is str and (item.startswith("--") or len(items) == 2) and redact.is_secret_key(item):
            names[at] = ""
            names[at + 1] = item
    return names


_LOGINS = frozenset(("auth", "login", "basic_auth", "http_auth", "user_password"))


def _first(items: Iterable[Any]) -> list[Any]:
    return list(islice(items, MAX_ITEMS))  # in one go: another thread may be changing it


def _pandas(value: Any, kind: Any, pandas: dict[str, Any]) -> Plain:
    name: str = name_of(kind)
    if value is pandas.get("NA") or value is pandas.get("NaT"):
        return None
    if pandas.get(name) is kind:
        if name in ("Timestamp", "Timedelta", "Period"):
            return str(value)
        if name in ("DataFrame", "Series", "Index"):
            return f"<{name} {'x'.join(map(str, value.shape))}>"
    return name


def _standard(value: Any, name: str) -> str:
    """Return an object of a standard library type as text."""
    if name in ("datetime", "time"):
        zone = _type(value.tzinfo)
        if zone is not type(None) and _module_of(zone) not in ("datetime", "zoneinfo"):
            value = value.replace(tzinfo=None)  # `isoformat` would call a user's class for its offset
        return value.isoformat()
    return str(value) if name in _AS_TEXT else name


_AS_TEXT = frozenset(
    (
        "date",
        "timedelta",
        "Decimal",
        "Fraction",
        "UUID",
        "PurePosixPath",
        "PureWindowsPath",
        "PosixPath",
        "WindowsPath",
    )
)


def weakly(value: object) -> Callable[[], Any]:
    """Return how to reach an object while it lives. For one that cannot be held weakly, such as a list, it returns None."""
    try:
        return weakref.ref(value)
    except TypeError:
        return _nothing


def _nothing() -> None:
    return None
