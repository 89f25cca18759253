"""The slots that patches replace: attributes in the namespace of a class or a module, and what may be put there."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from functools import cached_property
from types import FunctionType, ModuleType
from typing import Any, NamedTuple, cast

ABSENT: Any = object()


class Slot(NamedTuple):
    """One replaced attribute. `absent` says that the owner's own namespace did not hold it.

    A module is held weakly: otherwise Python would destroy the user's module later, and its objects in another order.
    """

    held: Any
    name: str
    absent: bool

    @classmethod
    def of(cls, owner: Any, name: str, absent: bool) -> Slot:
        return cls(weakref.ref(owner) if isinstance(owner, ModuleType) else owner, name, absent)

    @property
    def owner(self) -> Any:
        is_weak = type(self.held) is weakref.ref
        return self.held() if is_weak else self.held


def own(owner: Any, name: str) -> Any:
    """Return what the owner's own namespace holds: a raw descriptor, or the function of a conditional method; else ABSENT."""
    if not isinstance(owner, (type, ModuleType)):
        return ABSENT
    held: Any = vars(owner).get(name, ABSENT)
    return held.fn if _is_conditional(held) else held


def put(owner: Any, name: str, value: Any) -> None:
    """Store `value` where `own` has found something."""
    held: Any = cast(Any, vars(owner)).get(name)
    if _is_conditional(held):
        held.fn = value
    else:
        setattr(owner, name, value)


def _is_conditional(held: Any) -> bool:
    """Return whether this is a descriptor with a method as `fn` and its condition as `check`, like scikit-learn's
    `available_if`. It stays in its place: other tools look for it, and patch the function inside.
    """
    kind = cast("type[Any]", type(held))
    if kind in (FunctionType, classmethod, staticmethod, property) or not hasattr(kind, "__get__"):
        return False
    try:
        namespace: object = object.__getattribute__(held, "__dict__")
    except AttributeError:
        return False
    return type(namespace) is dict and "fn" in namespace and "check" in namespace


def resolve(module: ModuleType, path: str) -> Any:
    found: Any = module
    for part in path.split(".") if path else ():
        found = getattr(found, part, None)
    return found


def hierarchy(base: type) -> Iterator[type]:
    seen: set[int] = set()  # by id: a metaclass may forbid hashing
    waiting = [base]
    while waiting:
        cls = waiting.pop()
        if id(cls) not in seen:
            seen.add(id(cls))
            yield cls
            waiting.extend(type.__subclasses__(cls))


def can_wrap(original: Any) -> bool:
    """Return whether this is a function or a kind of method: not a property, which is not called, and not a class."""
    kind = cast(Any, type(original))
    if issubclass(kind, (type, cached_property)) or hasattr(kind, "__set__"):
        return False
    return callable(original) or hasattr(kind, "__get__")
