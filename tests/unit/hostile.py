"""Objects that do harm when anything is asked of them; every answer is noted in `CALLED`."""

from __future__ import annotations

import datetime
import functools
import pathlib
import types
from typing import Any


class Names(dict):
    pass


class Items(list):
    pass


class Trap(Exception):
    pass


CALLED: list[str] = []
TRAPS = [
    "__repr__", "__str__", "__eq__", "__hash__", "__len__", "__iter__", "__getattr__", "__getattribute__", "__bool__",
    "__int__", "__float__", "__index__", "__format__", "__contains__", "__getitem__", "__call__", "__reduce_ex__",
    "__fspath__", "__array__", "__dir__", "__sizeof__", "__lt__", "__next__", "__bytes__", "__complex__", "__round__",
    "items", "keys", "item", "tolist", "isoformat", "__del__", "__instancecheck__",
    "__subclasscheck__", "__copy__", "__deepcopy__",
]  # fmt: skip


def trap(name: str) -> Any:
    def spring(*_args: Any, **_kwargs: Any) -> Any:
        CALLED.append(name)
        raise Trap(name)

    return spring


class Meta(type):
    """A metaclass whose every answer is a trap, too."""

    __name__ = property(trap("meta __name__"))
    __getattribute__ = trap("meta __getattribute__")
    __instancecheck__ = trap("__instancecheck__")
    __subclasscheck__ = trap("__subclasscheck__")
    __eq__ = trap("meta __eq__")
    __hash__ = type.__hash__
    __repr__ = trap("meta __repr__")


def hostile(*bases: type, meta: type = type) -> Any:
    names = {name: trap(name) for name in TRAPS if name != "__del__"}
    if bases and issubclass(bases[0], (dict, list, tuple, set, frozenset, str, int, float)):
        names.pop("__getattribute__")
    names |= {
        "__class__": property(trap("__class__")),
        "size": property(trap("size")),
        "__hash__": object.__hash__,
    }
    return meta("Hostile", bases or (object,), names)


def hostile_objects() -> dict[str, Any]:
    made: dict[str, Any] = {
        "object": object.__new__(hostile()),
        "with metaclass": object.__new__(hostile(meta=Meta)),
        "exception": BaseException.__new__(hostile(Exception)),
        "path": object.__new__(hostile(pathlib.PurePosixPath)),
        "class": hostile(meta=Meta),
        "method": types.MethodType(object.__new__(hostile()), 1),
        "partial": functools.partial(lambda: None, object.__new__(hostile())),
        "slice": slice(object.__new__(hostile()), None),
        "iterator": iter([object.__new__(hostile())]),
    }
    for base, content in (
        (dict, {"a": 1}), (list, [1]), (tuple, (1,)), (set, {1}), (frozenset, {1}), (str, "abc"), (int, 5), (float, 0.5),
    ):  # fmt: skip
        cls = hostile(base)
        value = (
            base.__new__(cls, content) if base in (tuple, frozenset, str, int, float) else base.__new__(cls)
        )
        if base is dict:
            dict.__setitem__(value, "a", 1)
        elif base is list:
            list.append(value, 1)
        elif base is set:
            set.add(value, 1)
        made[base.__name__] = value
    named = types.FunctionType((lambda: None).__code__, {})
    named.__module__ = object.__new__(hostile())
    made["function"] = named

    class Zone(datetime.tzinfo):
        utcoffset = tzname = dst = trap("utcoffset")

    made["time"] = datetime.datetime(2026, 1, 1, tzinfo=Zone())
    return made


class Planted:
    """Stands for a hostile object while hypothesis, which prints and compares, has it in hand."""

    def __init__(self, kind: str) -> None:
        self.kind = kind


def planted(value: Any) -> Any:
    """The value with its hostile objects in place."""
    if type(value) is Planted:
        return hostile_objects()[value.kind]
    if isinstance(value, dict):
        return type(value)({key: planted(item) for key, item in value.items()})
    if type(value) in (list, tuple, Items):
        return type(value)(planted(item) for item in value)
    return value
