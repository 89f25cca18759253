"""Calls back after a module has been imported, so that a framework is patched when, and only when, the user loads it.

Three rules, each from a failure seen in other tools: a callback's failure never reaches the user's `import`; a callback
never sees a half-imported module; no lock is held while a module loads or a callback runs. `sys.modules` is read anew each
time, because a module may replace itself there.

The finder does not load anything itself. It asks the finders behind it for the spec, and shadows `exec_module` on that one
loader object for the time of that one execution, so that `__spec__` and `__loader__` stay what they would have been.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

Callback = Callable[[ModuleType], None]


class ImportHooks:
    """The post-import callbacks of one owner; on `sys.meta_path` only while there are any.

    `on_error(module_name, error)` is told of a callback's failure.
    """

    def __init__(self, on_error: Callable[[str, Exception], None]) -> None:
        self._on_error = on_error
        self._callbacks: dict[str, list[Callback]] = {}
        self._half_imported: set[str] = set()
        self._executed: list[str] = []

    def when_imported(self, name: str, callback: Callback) -> None:
        """Call `callback(module)` now if `name` is fully imported, and after each later execution of it (a reload too)."""
        self._callbacks.setdefault(name, []).append(callback)
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)
        module = sys.modules.get(name)
        if module is None:
            return
        if _is_initializing(module) and name not in self._executed:
            self._half_imported.add(name)
        else:
            self._call(name, callback, module)

    def forget(self, name: str, callback: Callback) -> None:
        """Undo one `when_imported`; unknown pairs are ignored."""
        callbacks = self._callbacks.get(name, [])
        if callback in callbacks:
            callbacks.remove(callback)
        if not callbacks:
            self._callbacks.pop(name, None)
        if not self._callbacks and self in sys.meta_path:
            sys.meta_path.remove(self)

    def settle(self) -> None:
        """Fire for modules that were half imported when they were asked for and have finished since."""
        for name in tuple(self._half_imported):
            module = sys.modules.get(name)
            if module is not None and not _is_initializing(module):
                self._half_imported.discard(name)
                self._fire(name)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The import system's question; answers only for modules that somebody waits for."""
        if self._half_imported:
            self.settle()
        if name not in self._callbacks:
            return None
        spec = self._spec_from_the_others(name, path, target)
        if spec is not None:
            self._shadow_exec_module(name, spec.loader)
        return spec

    def _spec_from_the_others(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None
    ) -> ModuleSpec | None:
        for finder in tuple(sys.meta_path):
            find_spec = getattr(finder, "find_spec", None)
            if finder is not self and find_spec is not None:
                spec = find_spec(name, path, target)
                if spec is not None:
                    return spec
        return None

    def _shadow_exec_module(self, name: str, loader: Any) -> None:
        original = getattr(loader, "exec_module", None)
        if original is None:
            return  # a namespace package: nothing is executed

        def exec_module(module: ModuleType) -> None:
            if module.__name__ != name:  # a loader shared by several modules, as zipimport's
                return original(module)
            loader.__dict__.pop("exec_module", None)
            original(module)
            return self._fire(name)

        if isinstance(loader, type) or "exec_module" in getattr(loader, "__dict__", {"exec_module": None}):
            self._half_imported.add(name)  # cannot be shadowed here: noticed when it has finished
        else:
            loader.exec_module = exec_module

    def _fire(self, name: str) -> None:
        # The module is complete, though the import system goes on to call it initializing until we return: a callback may
        # itself ask for this module.
        self._executed.append(name)
        try:
            self._call_all(name)
        finally:
            self._executed.remove(name)

    def _call_all(self, name: str) -> None:
        for callback in tuple(self._callbacks.get(name, ())):
            module = sys.modules.get(name)
            if module is not None:
                self._call(name, callback, module)

    def _call(self, name: str, callback: Callback, module: ModuleType) -> None:
        try:
            callback(module)
        except Exception as error:
            self._on_error(name, error)


def _is_initializing(module: ModuleType) -> bool:
    return bool(getattr(getattr(module, "__spec__", None), "_initializing", False))
