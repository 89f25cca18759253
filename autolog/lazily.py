"""Loads a package's names when they are first used, so that importing the package costs next to nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def names(
    package: dict[str, Any], homes: Mapping[str, tuple[str, ...]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return `__getattr__` and `__dir__` for the package with these globals. `homes` are modules, each with the names that it
    holds; a module's own last name stands for the module itself.
    """
    home_of = {name: home for home, held in homes.items() for name in held}

    def get(name: str) -> Any:
        home = home_of.get(name)
        if home is None:
            raise AttributeError(f"module {package['__name__']!r} has no attribute {name!r}")
        module = import_module(home)
        value = module if home.endswith(f".{name}") and not hasattr(module, name) else getattr(module, name)
        package[name] = value
        return value

    return get, lambda: sorted({*home_of, *(name for name in package if not name.startswith("_"))})
