"""Reads what installed distributions announce by entry point; loads none of it. It must not know what that is."""

from __future__ import annotations

import os
import sys


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
