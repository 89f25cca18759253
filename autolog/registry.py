"""Finds the installed integrations and sinks by entry point, built-in and third-party alike, without loading any of them.

The name of an integration's entry point is the module whose import wakes it; an integration may have several. The name of a
sink's entry point is the scheme of its URLs.
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
"""Entry points for known frameworks that nobody records yet. The name is the framework's module, the value its usual name."""


class Entry(NamedTuple):
    """One installed integration: its name for users, the modules that wake it, and the entry point's value or the class."""

    name: str
    modules: tuple[str, ...]
    value: str = ""
    loaded: type[Integration] | None = None

    def load(self) -> type[Integration]:
        """Import the integration's class. Raises TypeError if it is no Integration, and whatever the import raises."""
        if self.loaded is not None:
            return self.loaded
        from autolog.instrument.integration import Integration

        loaded: Any = load(self.value)
        if not (isinstance(loaded, type) and issubclass(loaded, Integration)):
            raise TypeError(f"{self.value} is not a subclass of autolog.integration.Integration")
        return loaded


def installed() -> dict[str, Entry]:
    """Return the installed integrations by name."""
    modules: dict[str, list[str]] = {}
    for name, value in entry_points(GROUP):
        found = modules.setdefault(value, [])
        if name not in found:
            found.append(name)
    entries = [Entry(_name(value, names), tuple(names), value) for value, names in modules.items()]
    return {entry.name: entry for entry in sorted(entries)}


def unrecorded() -> dict[str, str]:
    """Return the known frameworks that are not recorded: their modules, with their usual names."""
    names = {module for entry in installed().values() for module in entry.modules}
    return {module: title for module, title in sorted(entry_points(UNRECORDED)) if module not in names}


def sinks() -> dict[str, str]:
    """Return the installed sinks: the scheme of their URLs, and the entry point's value. The first one of a scheme counts."""
    return dict(reversed(entry_points(SINKS)))


def entry_points(group: str) -> list[tuple[str, str]]:
    """Return the names and values of a group. `importlib.metadata` takes longer to load than all of autolog. So this reads
    `entry_points.txt` itself where distributions are plain folders, and uses `importlib.metadata` wherever anything is unusual.
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
                # If two versions are on the path, the first is the one that is imported.
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
    """Return the `module:name` of an entry point's value, without spaces and extras."""
    return value.replace(" ", "").partition("[")[0]


def load(place: str) -> object:
    """Return the object at `module:name`, or the module itself if there is no name. Raises what the import raises."""
    from importlib import import_module

    module, _, attribute = place.partition(":")
    found: object = import_module(module)
    return getattr(found, attribute) if attribute else found


def _name(value: str, modules: list[str]) -> str:
    """Return `keras` for `autolog_keras:KerasIntegration` if that is one of its modules, else the first module by name."""
    package = value.partition(":")[0].partition(".")[0].removeprefix("autolog_")
    return package if package in modules else min(modules)
