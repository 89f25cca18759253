"""Finds the integrations that are installed, built-in and third-party alike, by entry point; loads none of them.

The entry point's name is the module whose import wakes the integration. One integration may have several.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

from autolog.instrument.integration import Integration

GROUP = "autolog.integrations"


class Entry(NamedTuple):
    """One installed integration: `name` as users say it, `modules` that wake it, `value` as the entry point has it."""

    name: str
    modules: tuple[str, ...]
    value: str

    def load(self) -> type[Integration]:
        """Import the integration's class. Raises ImportError or TypeError."""
        from importlib import import_module

        module, _, attribute = self.value.partition(":")
        loaded: Any = getattr(import_module(module), attribute)
        if not (isinstance(loaded, type) and issubclass(loaded, Integration)):
            raise TypeError(f"{self.value} is not a subclass of autolog.Integration")
        return loaded


def installed() -> dict[str, Entry]:
    """The installed integrations by name."""
    from importlib.metadata import entry_points

    modules: dict[str, list[str]] = {}
    for point in entry_points(group=GROUP):
        found = modules.setdefault(point.value.replace(" ", ""), [])
        if point.name not in found:
            found.append(point.name)
    entries = [Entry(_name(value, names), tuple(names), value) for value, names in modules.items()]
    return {entry.name: entry for entry in sorted(entries)}


def _name(value: str, modules: list[str]) -> str:
    """`keras` of `autolog_keras:KerasIntegration`, whatever modules wake it; else the first module's name."""
    package = value.partition(":")[0].partition(".")[0].removeprefix("autolog_")
    return package if package in modules else cast(str, min(modules))
