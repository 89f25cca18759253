"""Calls back after a module has been imported, so that a framework is patched when, and only when, the user loads it.

Three rules come from failures seen in other tools: a callback's failure never reaches the user's `import`; a callback never
sees a half-imported module; no lock is held while a module loads or a callback runs. `sys.modules` is read anew each time,
because a module may replace itself there.

The finder does not load anything itself. It asks the finders behind it for the spec, and shadows `exec_module` on that one
loader object for that one execution, so that `__spec__` and `__loader__` stay what they would have been.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

Callback = Callable[[ModuleType], None]


class ImportHooks:
    """The post-import callbacks of one owner. It is on `sys.meta_path` only while there are any.

    `on_error(module_name, error)` is called when a callback fails.
    """

    def __init__(self, on_error: Callable[[str, Exception], None]) -> None:
        self._on_error = on_error
        self._callbacks: dict[str, list[Callback]] = {}
        self._half_imported: set[str] = set()
        self._executed: list[str] = []
        self._asking: set[tuple[int, str]] = set()
        """The threads that ask the other finders for a module: another one of our hooks among them asks us in turn."""

    def when_imported(self, name: str, callback: Callback) -> None:
        """Call `callback(module)` now if `name` is fully imported, and after each later execution of it (a reload too)."""
        self._callbacks.setdefault(name, []).append(callback)
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)
        module = sys.modules.get(name)
        if module is None:
            return
        if _is_unloaded(module):
            self._shadow_exec_module(name, _spec_of(module).loader)
        elif _is_initializing(module) and name not in self._executed:
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
        """Run the callbacks of modules that were half imported when the callbacks were registered and have finished since."""
        for name in tuple(self._half_imported):
            module = sys.modules.get(name)
            if module is not None and not _is_initializing(module) and not _is_unloaded(module):
                self._half_imported.discard(name)
                self.fire(name)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a module that has callbacks, with its loader shadowed; None for any other module."""
        if self._half_imported:
            self.settle()
        asking = threading.get_ident(), name
        if name not in self._callbacks or asking in self._asking:
            return None
        self._asking.add(asking)
        try:
            spec = self._spec_from_the_others(name, path, target)
        finally:
            self._asking.discard(asking)
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
        if isinstance(loader, type) or not hasattr(loader, "exec_module") or not hasattr(loader, "__dict__"):
            # A built-in or extension module, or a namespace package: `settle` notices when it is complete.
            self._half_imported.add(name)
            return
        shadow = loader.__dict__.get("exec_module")
        if not isinstance(shadow, _Shadow):
            shadow = _Shadow(loader)
        hooks = shadow.waiting.setdefault(name, [])
        if self not in hooks:
            hooks.append(self)
        shadow.put()

    def fire(self, name: str) -> None:
        """Run the callbacks of a module that has been executed."""
        # The module is complete, although the import system calls it initializing until this function returns: a callback
        # may itself ask for this module.
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


class _Shadow:
    """Replaces a loader's `exec_module` until the modules that somebody waits for have been executed. One loader may load many
    modules, imported by several threads at once, as that of a zip file does.
    """

    def __init__(self, loader: Any) -> None:
        self._namespace: dict[str, Any] = loader.__dict__
        self._before: Any = self._namespace.get("exec_module")
        self._original = loader.exec_module
        self.waiting: dict[str, list[ImportHooks]] = {}

    def put(self) -> None:
        self._namespace["exec_module"] = self

    def __call__(self, module: ModuleType) -> None:
        name = module.__name__
        hooks = self.waiting.pop(name, ())
        if not self.waiting:
            if self._before is None:
                self._namespace.pop("exec_module", None)
            else:
                self._namespace["exec_module"] = self._before
            if self.waiting:  # another thread has registered meanwhile
                self.put()
        self._original(module)
        for one in hooks:
            one.fire(name)


# Reading any attribute of a lazy module in the ordinary way loads it.


def _spec_of(module: ModuleType) -> Any:
    try:
        return object.__getattribute__(module, "__spec__")
    except AttributeError:
        return None


def _is_initializing(module: ModuleType) -> bool:
    return bool(getattr(_spec_of(module), "_initializing", False))


def _is_unloaded(module: ModuleType) -> bool:
    """Return whether this is a module of `importlib.util.LazyLoader` that has not been used yet."""
    util = sys.modules.get("importlib.util")
    return util is not None and type(module) is getattr(util, "_LazyModule", None)
