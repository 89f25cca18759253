"""State about the user's objects, stored outside of them. Objects are known by identity and held weakly, because their
`__eq__`, `__hash__` or `__slots__` may rule out anything else.
"""

from __future__ import annotations

import weakref
from typing import Any, Generic, TypeVar

V = TypeVar("V")


class IdentityMap(Generic[V]):
    """A mapping from objects to values that forgets an object when it dies. Objects that cannot be held weakly are ignored."""

    def __init__(self) -> None:
        self._held: dict[int, tuple[weakref.ref[Any], V]] = {}

    def get(self, key: object) -> V | None:
        held = self._held.get(id(key))
        # The id may belong to another object by now, if the weak reference's callback has not run yet.
        return held[1] if held is not None and held[0]() is key else None

    def set(self, key: object, value: V) -> None:
        number, held = id(key), self._held

        def forget(reference: weakref.ref[Any]) -> None:
            entry = held.get(number)
            if entry is not None and entry[0] is reference:
                held.pop(number, None)

        try:
            held[number] = (weakref.ref(key, forget), value)
        except TypeError:
            pass

    def pop(self, key: object) -> V | None:
        value = self.get(key)
        if value is not None:
            self._held.pop(id(key), None)
        return value

    def items(self) -> list[tuple[Any, V]]:
        """Return the living objects and their values, in insertion order."""
        pairs = [(reference(), value) for reference, value in tuple(self._held.values())]
        return [(key, value) for key, value in pairs if key is not None]

    def __len__(self) -> int:
        return len(self._held)
