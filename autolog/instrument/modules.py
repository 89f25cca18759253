"""The modules of the process: which of them are the user's, and which hold wrappers of ours."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from autolog.instrument.calls import Switch
from autolog.instrument.chain import switch_of


def sweep_modules(switches: set[Switch]) -> None:
    """After a removal, put the originals back into every module that imported a wrapper while it was there."""
    functions = set[int]().union(*(switch.functions for switch in switches))
    kinds: set[type] = {classmethod}
    wrapper = sys.modules.get("autolog.instrument.wrapper")
    if wrapper is not None:
        kinds |= {wrapper.Wrapper, wrapper.BoundWrapper}
    for module in list(sys.modules.values()):
        kind: type[Any] = type(module)  # cffi's libraries only claim to be modules
        if issubclass(kind, ModuleType):
            # Bypass the `__getattribute__` of a lazy module, which would load it.
            namespace: dict[str, Any] = ModuleType.__getattribute__(module, "__dict__")
            # A framework's modules hold some 100,000 objects, and nearly all modules hold nothing of ours.
            values = list(namespace.values())
            if kinds.isdisjoint(map(type, values)) and functions.isdisjoint(map(id, values)):
                continue
            for name, held in list(namespace.items()):
                if switch_of(held) in switches:
                    namespace[name] = held.__wrapped__


def users_modules(apart_from: str = "") -> Iterator[ModuleType]:
    """Yield `__main__` and the modules outside of installed packages, of Python and of the package of `apart_from`."""
    others = {"autolog", apart_from.partition(".")[0]}
    # A framework has dozens of patches and thousands of modules: each module is examined once, not once for each patch.
    for name in set(sys.modules) - _installed:
        module = sys.modules.get(name)
        if type(module) is not ModuleType:
            continue
        file = vars(module).get("__file__")
        if name != "__main__":
            if not isinstance(file, str):
                continue
            if "site-packages" in file or "dist-packages" in file or file.startswith(_STDLIB):
                _installed.add(name)
                continue
        if name.partition(".")[0] not in others:
            yield module


_installed: set[str] = set()
"""The names of modules that belong to an installed package or to Python."""
_STDLIB = os.path.dirname(os.__file__) + os.sep
