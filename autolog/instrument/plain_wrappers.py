"""Plain functions as wrappers around what belongs to no framework: threads, pools, executors.

A wrapper may change the arguments of the original; it makes no Call and opens no run. It is installed when its module is
imported and removed as a `Patch` is, even from under somebody else's wrapper. It does without wrapt, which is slow to import,
because `autolog()` installs these wrappers.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial, update_wrapper
from types import ModuleType
from typing import Any, NamedTuple, cast

from autolog.instrument.calls import Own, Switch
from autolog.instrument.imports import ImportHooks

Make = Callable[[Any, Switch], Callable[..., Any]]
"""Makes the wrapper for an original. Once the switch is off, the wrapper only calls the original."""


class _Slot(NamedTuple):
    owner: Any
    name: str
    original: Any
    ours: Any


class PlainWrappers:
    """A set of wrappers that are installed and removed together."""

    def __init__(self, hooks: ImportHooks) -> None:
        self._hooks = hooks
        self._switch = Switch()
        self._slots: list[_Slot] = []
        self._watched: list[tuple[str, Callable[[ModuleType], None]]] = []

    def put(self, place: str, make: Make) -> None:
        """Replace the function at `place` (`"package.module:Class.method"`), now or when its module is imported. Do nothing if
        the version has no such function.
        """
        module, _, path = place.partition(":")
        replace = partial(self._replace, path=path, make=make)
        self._watched.append((module, replace))
        self._hooks.when_imported(module, replace)

    def remove(self) -> None:
        """Put the originals back."""
        self._switch.on = False
        for module, replace in self._watched:
            self._hooks.forget(module, replace)
        for slot in reversed(self._slots):
            if _held(slot.owner, slot.name) is slot.ours:
                setattr(slot.owner, slot.name, slot.original)
            else:  # somebody has wrapped it since
                from autolog.instrument.chain import put_back

                put_back(slot.owner, slot.name, self._switch)
        self._watched.clear()
        self._slots.clear()

    def _replace(self, module: ModuleType, path: str, make: Make) -> None:
        *classes, name = path.split(".")
        owner: Any = module
        for part in classes:
            owner = getattr(owner, part, None)
        original: Any = None if owner is None else _held(owner, name)
        if not callable(original) or any(slot.ours is original for slot in self._slots):
            return
        ours: Any = make(original, self._switch)
        update_wrapper(ours, original)
        ours.__dict__["_autolog_own"] = Own(self._switch, weakref.ref(ours))
        self._switch.functions.add(id(ours))
        setattr(owner, name, ours)
        self._slots.append(_Slot(owner, name, original, ours))


def _held(owner: Any, name: str) -> Any:
    namespace: dict[str, Any] = cast(Any, vars(owner))
    return namespace.get(name)
