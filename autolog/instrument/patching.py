"""The reversible installation of patches.

Removal restores exactly what was there: the same object in the same slot, and no slot where there was none. If somebody else
has wrapped our wrapper since, ours is spliced out from under theirs, or made inert where that cannot be done.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial
from types import ModuleType, SimpleNamespace
from typing import Any, Literal, cast

from autolog.instrument.calls import CallHandler, Own, Switch
from autolog.instrument.chain import find, restore
from autolog.instrument.fast import fast, guarded
from autolog.instrument.imports import ImportHooks
from autolog.instrument.modules import users_modules
from autolog.instrument.patches import AnyPatch, FastPatch, Hook, OnImport, Patch, SubclassPatch
from autolog.instrument.slots import ABSENT, Slot, can_wrap, hierarchy, own, put, resolve
from autolog.instrument.stacklevel import hide_from_stacklevel

State = Literal["waiting", "found", "missing", "removed"]


class Installation:
    """One patch, installed for a handler or waiting for its module."""

    def __init__(self, patch: AnyPatch, integration: str, handler: CallHandler, hooks: ImportHooks) -> None:
        self.patch = patch
        self.state: State = "waiting"
        self.switch = Switch()
        self.integration = integration
        self._handler = handler
        self._hooks = hooks
        self._watched: list[tuple[str, Callable[[ModuleType], None]]] = []
        self._slots: list[Slot] = []
        self._wrappers: list[Any] = []
        self._handles: list[Any] = []
        # Weak values: a list would keep the user's classes alive. Keyed by id: a metaclass may define equality.
        self._classes: weakref.WeakValueDictionary[int, type] = weakref.WeakValueDictionary()

    def install(self) -> None:
        """Patch what is imported now, and the rest when its modules are imported."""
        patch = self.patch
        if isinstance(patch, SubclassPatch):
            module, _, path = patch.base.partition(":")
            self._watch(module, partial(self._place_in_hierarchy, path=path))
        elif isinstance(patch, Hook):
            module, _, path = patch.target.partition(":")
            self._watch(module, partial(self._register, path=path, hook=patch))
        elif isinstance(patch, OnImport):
            self._watch(patch.target, self._imported)
        else:
            for place in (patch.target, *patch.aliases):
                module, _, path = place.partition(":")
                self._watch(module, partial(self._place_at, path=path, main=place == patch.target))

    def remove(self) -> None:
        """Restore what was there, whatever others did to the slots meanwhile. Raise what a framework's handle has raised."""
        for module, callback in self._watched:
            self._hooks.forget(module, callback)
        self.switch.on = False
        failure: Exception | None = None
        for handle in self._handles:
            try:
                handle.remove()
            except Exception as error:
                failure = error
        for slot in reversed(self._slots):
            restore(slot, self.switch)
        if isinstance(self.patch, SubclassPatch):
            for owner in list(self._classes.values()):
                for name in (*self.patch.methods, "__init_subclass__"):
                    restore(Slot.of(owner, name, absent=False), self.switch)
        self._watched.clear()
        self._slots.clear()
        self._wrappers.clear()
        self._handles.clear()
        self._classes.clear()
        self.state = "removed"
        if failure is not None:
            raise failure

    def _watch(self, module: str, place: Callable[[ModuleType], None]) -> None:
        self._watched.append((module, place))
        self._hooks.when_imported(module, place)

    def _wrap(self, original: Any, owner: Any, path: str, base: type | None = None) -> Any:
        """Return the wrapper of an original, the same one for a function's several names. See `interceptor` for `base`."""
        for wrapper in self._wrappers:
            if wrapper.__wrapped__ is original:
                return wrapper
        patch = self.patch
        name = path.rpartition(":")[2]
        if isinstance(patch, FastPatch):
            wrapper = fast(original, self._handler, self.integration, name, self.switch, patch)
            self._wrappers.append(wrapper)
            return wrapper
        assert isinstance(patch, (Patch, SubclassPatch))
        from autolog.instrument.wrapper import Wrapper, interceptor

        look = interceptor(
            self._handler, self.integration, name, patch.observer, patch.nested, self.switch, base
        )
        admitted = "records_nested" if patch.nested else "records"
        wrapper = Wrapper(original, look, owner, path, self.switch, admitted)
        if not isinstance(owner, type):
            self._wrappers.append(wrapper)
        return wrapper

    def _set(self, owner: Any, name: str, value: Any) -> None:
        self._slots.append(Slot.of(owner, name, absent=own(owner, name) is ABSENT))
        setattr(owner, name, value)

    def _imported(self, module: ModuleType) -> None:
        assert isinstance(self.patch, OnImport)
        self.state = "found"
        self.patch.call(module)

    # -- a framework's own hook

    def _register(self, module: ModuleType, path: str, hook: Hook) -> None:
        register = resolve(module, path)
        take_out = resolve(module, hook.undo) if hook.undo else None
        if hook.undo and take_out is None:
            register = None  # what could not be taken out is not put in
        self.state = "missing" if register is None else "found"
        if register is not None and not self._handles:
            own = guarded(hook.hook, self._handler, self.integration, path, self.switch, hook.unless)
            handle = register(own)
            if take_out is not None:
                handle = SimpleNamespace(remove=partial(take_out, own))
            if not callable(getattr(handle, "remove", None)):
                self.switch.on, self.state = False, "missing"  # it stays registered, and does nothing
                raise TypeError(
                    f"{hook.target} gives no handle with `remove()` but {handle!r}: its hooks could not be taken out. "
                    "Name the function that does it in `undo`, or observe what calls them, by a Patch."
                )
            self._handles.append(handle)

    # -- one attribute, and the user's own names for it

    def _place_at(self, module: ModuleType, path: str, main: bool) -> None:
        owner_path, _, name = path.rpartition(".")
        owner = resolve(module, owner_path)
        original = own(owner, name)
        if original is ABSENT and isinstance(owner, type):
            original = next((vars(c)[name] for c in owner.__mro__ if name in vars(c)), ABSENT)
        elif original is ABSENT and owner is not None:
            original = getattr(owner, name, ABSENT)  # served by a lazy module's __getattr__
        if original is not ABSENT and not can_wrap(original):
            original = ABSENT
        if main:
            self.state = "missing" if original is ABSENT else "found"
        if original is ABSENT or find(original, self.switch) is not None:
            return
        wrapper = self._wrap(original, owner, f"{module.__name__}:{path}")
        self._set(owner, name, wrapper)
        if not owner_path:
            # `from framework import function` before `autolog()` has bound the original in the user's modules.
            for users in users_modules(apart_from=module.__name__):
                for alias in [a for a, held in list(vars(users).items()) if held is original]:
                    self._set(users, alias, wrapper)

    # -- a hierarchy of classes

    def _place_in_hierarchy(self, module: ModuleType, path: str) -> None:
        base = resolve(module, path)
        if not isinstance(base, type):
            self.state = "missing"
            return
        self.state = "found"
        self._follow_subclasses(base)
        for cls in hierarchy(base):
            self._place_in_class(cls, base)

    def _place_in_class(self, cls: type, base: type) -> None:
        """Wrap each method in the class that `cls` gets it from: itself, a base, or a mixin outside of the hierarchy."""
        assert isinstance(self.patch, SubclassPatch)
        for name in self.patch.methods:
            owner = next((c for c in cls.__mro__ if name in vars(c) and c is not object), None)
            original = None if owner is None else own(owner, name)
            if owner is None or not can_wrap(original):
                continue
            self._classes[id(owner)] = owner
            if find(original, self.switch) is not None:
                continue
            try:
                path = f"{owner.__module__}:{owner.__qualname__}.{name}"
                put(owner, name, self._wrap(original, owner, path, base))
            except (TypeError, AttributeError):  # an extension type, or a metaclass that forbids it
                pass
        if "__init_subclass__" in vars(cls):
            try:
                self._follow_subclasses(cls)  # it may not call its base's
            except (TypeError, AttributeError):
                pass

    def _follow_subclasses(self, base: type) -> None:
        owner = next(c for c in base.__mro__ if "__init_subclass__" in vars(c))
        original = vars(owner)["__init_subclass__"]
        if find(original, self.switch) is not None:
            return

        if owner is object:

            @hide_from_stacklevel
            def __init_subclass__(cls: type, *args: Any, **kwargs: Any) -> None:
                __tracebackhide__ = True
                # Pass the call on to the next class in this subclass's MRO.
                super(base, cls).__init_subclass__(*args, **kwargs)
                self._place_in_new_class(cls, base)

            hook = cast(Any, classmethod(__init_subclass__))
            hook.__func__.__qualname__ = f"{base.__qualname__}.__init_subclass__"
            hook.__func__.__module__ = base.__module__
            hook.__func__._autolog_own = Own(self.switch, weakref.ref(hook.__func__))
            self._set(base, "__init_subclass__", hook)
            return
        from autolog.instrument.wrapper import Wrapper

        @hide_from_stacklevel
        def look(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
            __tracebackhide__ = True
            result = wrapped(*args, **kwargs)
            self._place_in_new_class(instance, base)
            return result

        # A Wrapper and not a function: it can be pickled by value with a user's class.
        path = f"{owner.__module__}:{owner.__qualname__}.__init_subclass__"
        cast(Any, owner).__init_subclass__ = Wrapper(original, look, owner, path, self.switch)
        self._classes[id(owner)] = owner

    def _place_in_new_class(self, cls: type, base: type) -> None:
        if self.switch.on and issubclass(cls, base):
            try:
                self._place_in_class(cls, base)
            except Exception as error:
                self._handler.failed(self.integration, f"patching {cls.__name__}", error)
