"""Reads the settings of a framework's own callbacks, as params. Recognises callbacks by their classes' names: a framework may
have several packages, and users make subclasses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

BY_MODE: Mapping[str | None, Literal["higher", "lower"]] = {"min": "lower", "max": "higher"}
"""Which way the monitored metric is better, by the `mode` of the callback that watches it."""


def of_kind(callbacks: Iterable[Any], kind: str) -> list[Any]:
    """Return the callbacks whose class, or a base class of it, has this name."""
    return [one for one in callbacks if any(cls.__name__ == kind for cls in type(one).__mro__)]


def callback_settings(callbacks: Sequence[Any], settings: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return params `<kind>.<setting>` for each callback of these kinds, and `<kind>2.<setting>` for a second one. `settings`
    are attributes by kind; None is left out. `min_delta` loses the sign that frameworks give it for the mode.
    """
    params: dict[str, Any] = {}
    for kind, names in settings.items():
        for number, one in enumerate(of_kind(callbacks, kind), 1):
            prefix = kind if number == 1 else f"{kind}{number}"
            found = {name: value for name in names if (value := getattr(one, name, None)) is not None}
            if "min_delta" in found:
                found["min_delta"] = abs(found["min_delta"])
            params |= {f"{prefix}.{name}": value for name, value in found.items()}
    return params
