"""State about the user's objects, kept outside of them: by identity, weakly, whatever their `__eq__`, `__hash__` or
`__slots__` say.
"""

from __future__ import annotations

import weakref
from typing import Any, Generic, TypeVar

V = TypeVar("V")


class IdentityMap(Generic[V]):
    """A mapping from objects to values that forgets an object when it dies. Objects that cannot be weakly held are ignored."""

    def __init__(self) -> None:
        self._held: dict[int, tuple[weakref.ref[Any], V]] = {}

    def get(self, key: object) -> V | None:
        held = self._held.get(id(key))
        # The same id may be another object's, if the first one's death has not been told yet.
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
        """The objects that are alive, and their values, in the order in which they came."""
        pairs = [(reference(), value) for reference, value in tuple(self._held.values())]
        return [(key, value) for key, value in pairs if key is not None]

    def __len__(self) -> int:
        return len(self._held)
