"""The slots that patches replace: what an owner's own namespace holds, and what may be put there."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from functools import cached_property
from types import FunctionType, ModuleType
from typing import Any, NamedTuple, cast

ABSENT: Any = object()


class Slot(NamedTuple):
    """One replaced attribute; `absent`: the owner's own namespace did not hold it.

    A module is known weakly: the user's would else be taken apart later than without us, and its objects in another order.
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
    """What the owner's own namespace holds, descriptors as they are; of a conditional method, the function."""
    if not isinstance(owner, (type, ModuleType)):
        return ABSENT
    held: Any = vars(owner).get(name, ABSENT)
    return held.fn if _is_conditional(held) else held


def put(owner: Any, name: str, value: Any) -> None:
    """Let the owner hold `value` where `_own` has found something."""
    held: Any = cast(Any, vars(owner)).get(name)
    if _is_conditional(held):
        held.fn = value
    else:
        setattr(owner, name, value)


def _is_conditional(held: Any) -> bool:
    """Whether it is a descriptor that holds a method as `fn` and as `check` what decides whether there is one, as
    scikit-learn's `available_if` makes it. It stays where it is: other tools look for it, and patch the function within.
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
    """Whether this is a function or a method of some kind: not a property, which is not called, and not a class."""
    kind = cast(Any, type(original))
    if issubclass(kind, (type, cached_property)) or hasattr(kind, "__set__"):
        return False
    return callable(original) or hasattr(kind, "__get__")
