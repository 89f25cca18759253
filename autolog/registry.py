"""Finds the integrations and sinks that are installed, built-in and third-party alike, by entry point; loads none of them.

The entry point's name is the module whose import wakes the integration, and one integration may have several; or it is the
scheme of the sink's URL.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from autolog.instrument.integration import Integration

GROUP = "autolog.integrations"
SINKS = "autolog.sinks"
UNRECORDED = "autolog.unrecorded"
"""Entry points whose name is a framework's module and whose value what people call it: one that nobody records yet."""


class Entry(NamedTuple):
    """One installed integration: `name` as users say it, `modules` that wake it, `value` as the entry point has it (or the
    class itself).
    """

    name: str
    modules: tuple[str, ...]
    value: str = ""
    loaded: type[Integration] | None = None

    def load(self) -> type[Integration]:
        """Import the integration's class. Raises ImportError or TypeError."""
        if self.loaded is not None:
            return self.loaded
        from autolog.instrument.integration import Integration

        loaded: Any = load(self.value)
        if not (isinstance(loaded, type) and issubclass(loaded, Integration)):
            raise TypeError(f"{self.value} is not a subclass of autolog.integration.Integration")
        return loaded


def installed() -> dict[str, Entry]:
    """The installed integrations by name."""
    modules: dict[str, list[str]] = {}
    for name, value in entry_points(GROUP):
        found = modules.setdefault(value, [])
        if name not in found:
            found.append(name)
    entries = [Entry(_name(value, names), tuple(names), value) for value, names in modules.items()]
    return {entry.name: entry for entry in sorted(entries)}


def unrecorded() -> dict[str, str]:
    """The frameworks that are known and not recorded: their module, and what people call them."""
    names = {module for entry in installed().values() for module in entry.modules}
    return {module: title for module, title in sorted(entry_points(UNRECORDED)) if module not in names}


def sinks() -> dict[str, str]:
    """The installed sinks: the scheme of their URLs, and the entry point's value. Of two of one scheme, the first found."""
    return dict(reversed(entry_points(SINKS)))


def entry_points(group: str) -> list[tuple[str, str]]:
    """Names and values of a group. `importlib.metadata` takes longer to load than all of autolog, so where distributions
    are plain folders, their `entry_points.txt` is read here; it is asked wherever anything is unusual.
    """
    from importlib.machinery import PathFinder

    unusual = any(
        hasattr(finder, "find_distributions") for finder in sys.meta_path if finder is not PathFinder
    )
    folders = [folder for folder in sys.path if type(folder) is str]  # programs put other things there, too
    if unusual or any(os.path.isfile(folder) and not folder.endswith(_STDLIB_ZIP) for folder in folders):
        from importlib import metadata

        try:
            return [(point.name, _place(point.value)) for point in metadata.entry_points(group=group)]
        except Exception:
            pass  # one damaged distribution stops it
    found: dict[str, list[tuple[str, str]]] = {}
    for folder in folders:
        try:
            names = os.listdir(folder or ".")
        except OSError:
            continue
        for name in names:
            if name.endswith((".dist-info", ".egg-info")):
                # Of two versions on the path, the first is the one that is imported.
                distribution = name.partition("-")[0].lower()
                if distribution not in found:
                    found[distribution] = _points_of(os.path.join(folder, name, "entry_points.txt"), group)
    return [point for points in found.values() for point in points]


_STDLIB_ZIP = f"python{sys.version_info[0]}{sys.version_info[1]}.zip"


def _points_of(path: str, group: str) -> list[tuple[str, str]]:
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError):
        return []
    if f"[{group}]" not in text:
        return []
    lines = text.partition(f"[{group}]")[2].partition("\n[")[0].splitlines()
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith(("#", ";")))
    return [(name.strip(), _place(value)) for name, _, value in pairs]


def _place(value: str) -> str:
    """`module:name` of an entry point's value, without spaces and extras."""
    return value.replace(" ", "").partition("[")[0]


def load(place: str) -> object:
    """The object at `module:name`, or the module itself where there is no name. Raises what its import raises."""
    from importlib import import_module

    module, _, attribute = place.partition(":")
    found: object = import_module(module)
    return getattr(found, attribute) if attribute else found


def _name(value: str, modules: list[str]) -> str:
    """`keras` of `autolog_keras:KerasIntegration`, whatever modules wake it; else the first module's name."""
    package = value.partition(":")[0].partition(".")[0].removeprefix("autolog_")
    return package if package in modules else min(modules)
