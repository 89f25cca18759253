"""Patches as data, and their reversible installation.

`Patch` replaces one function or method; `SubclassPatch` methods wherever a class hierarchy defines them, in classes that
exist and in those that come. What is called every few microseconds has a `FastPatch`, and where a framework offers a global
hook of its own, a `Hook` uses it: these two watch, they neither change anything nor make a Call. Taking out puts back exactly
what was there: the same object in the same slot, and no slot where there was none. Where somebody else has wrapped our wrapper
since, it is spliced out from under theirs, and inert where that cannot be done.
"""

from __future__ import annotations

import os
import sys
import weakref
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from types import FunctionType, ModuleType
from typing import Any, Literal, NamedTuple, cast

import msgspec

from autolog.instrument.calls import CO_GENERATOR, CallHandler, Observer, Own, Switch
from autolog.instrument.fast import fast, guarded
from autolog.instrument.imports import ImportHooks
from autolog.instrument.stacklevel import hide_from_stacklevel

_ABSENT: Any = object()

State = Literal["waiting", "found", "missing", "removed"]


class Patch(msgspec.Struct, frozen=True, kw_only=True):
    """One function or method to be observed.

    `target` is `"package.module:function"` or `"package.module:Class.method"`; `aliases` are further places that hold the
    same function. A public function is best patched where users find it and not where it is defined: there the original
    stays, so that references taken earlier still pickle. With `nested`, the observer is also asked inside another call
    that takes contributions. `optional` says that some supported versions do not have the target.
    """

    target: str
    observer: Observer
    aliases: tuple[str, ...] = ()
    nested: bool = False
    optional: bool = False

    def __post_init__(self) -> None:
        check_observer(self.observer)


class SubclassPatch(msgspec.Struct, frozen=True, kw_only=True):
    """Methods of every present and future subclass of `base`, in each class that defines them (mixins too)."""

    base: str
    methods: tuple[str, ...]
    observer: Observer
    nested: bool = False
    optional: bool = False

    def __post_init__(self) -> None:
        check_observer(self.observer)

    @property
    def target(self) -> str:
        return f"{self.base}.{{{','.join(self.methods)}}}"


def check_observer(observer: Any) -> None:
    """Raises TypeError for one that is no generator function: what should run after the call would run before it."""
    function = observer
    while isinstance(function, partial):
        function = function.func
    code = getattr(function, "__code__", None)
    if code is None:  # an object that can be called
        code = getattr(_own(cast(Any, type(function)), "__call__"), "__code__", None)
    if code is not None and not code.co_flags & CO_GENERATOR:
        name = getattr(function, "__qualname__", repr(function))
        raise TypeError(
            f"The observer {name} has no `yield`: what stands before it runs before the call, what stands after it, after."
        )


class FastPatch(msgspec.Struct, frozen=True, kw_only=True):
    """One function or method that is called too often for a `Patch`, or whose code compilers read.

    A plain Python function takes its place. `before(*args, **kwargs)` sees what the original is called with;
    `after(noted, result, *args, **kwargs)` also what `before` and the original returned; `raised(noted, error, *args,
    **kwargs)` what it raised. Nothing that they return or raise reaches the caller: after a first failure the patch is off.
    Where `unless()` is true, as it may be while a compiler reads, the original is called and nothing else. `target`,
    `aliases` and `optional` are those of a `Patch`.
    """

    target: str
    before: Callable[..., Any] | None = None
    after: Callable[..., Any] | None = None
    raised: Callable[..., Any] | None = None
    unless: Callable[[], bool] | None = None
    aliases: tuple[str, ...] = ()
    optional: bool = False


class Hook(msgspec.Struct, frozen=True, kw_only=True):
    """A framework's own global hook: `target` is its function that registers one and returns a handle with `remove()`.

    `hook` is called as the framework does, but where `unless()` is true; what it returns or raises does not reach it, and after
    a first failure it is off.
    """

    target: str
    hook: Callable[..., Any]
    unless: Callable[[], bool] | None = None
    optional: bool = False


class OnImport(msgspec.Struct, frozen=True, kw_only=True):
    """Something to be done once a module has been imported by the user's program: `call(module)`. Nothing is put back."""

    target: str
    call: Callable[[ModuleType], None]


AnyPatch = Patch | SubclassPatch | FastPatch | Hook | OnImport


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
        self._slots: list[_Slot] = []
        self._wrappers: list[Any] = []
        self._handles: list[Any] = []
        # Weakly: a list of classes would keep the user's own alive. By id: a metaclass may define equality.
        self._classes: weakref.WeakValueDictionary[int, type] = weakref.WeakValueDictionary()

    def install(self) -> None:
        """Replace what is there now, and the rest as its modules are imported."""
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
        """Put back what was there, whatever others did to the slots meanwhile. Raises what a framework's handle has raised."""
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
            _put_back(slot, self.switch)
        if isinstance(self.patch, SubclassPatch):
            for owner in list(self._classes.values()):
                for name in (*self.patch.methods, "__init_subclass__"):
                    _put_back(_Slot.of(owner, name, absent=False), self.switch)
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
        """The wrapper around an original: one and the same for a function's several names. See `interceptor` for `base`."""
        for wrapper in self._wrappers:
            if wrapper.__wrapped__ is original:
                return wrapper
        patch = self.patch
        name = path.rpartition(":")[2]
        if isinstance(patch, FastPatch):
            wrapper = fast(
                original, self._handler, self.integration, name, self.switch, before=patch.before, after=patch.after,
                raised=patch.raised, unless=patch.unless,
            )  # fmt: skip
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
        self._slots.append(_Slot.of(owner, name, absent=_own(owner, name) is _ABSENT))
        setattr(owner, name, value)

    def _imported(self, module: ModuleType) -> None:
        assert isinstance(self.patch, OnImport)
        self.state = "found"
        self.patch.call(module)

    # -- a framework's own hook

    def _register(self, module: ModuleType, path: str, hook: Hook) -> None:
        register = _resolve(module, path)
        self.state = "missing" if register is None else "found"
        if register is not None and not self._handles:
            own = guarded(hook.hook, self._handler, self.integration, path, self.switch, hook.unless)
            handle = register(own)
            if not callable(getattr(handle, "remove", None)):
                self.switch.on, self.state = False, "missing"  # it stays in, and does nothing
                raise TypeError(
                    f"{hook.target} gives no handle with `remove()` but {handle!r}: its hooks could not be taken out. "
                    "Observe what calls them, by a Patch."
                )
            self._handles.append(handle)

    # -- one attribute, and the user's own names for it

    def _place_at(self, module: ModuleType, path: str, main: bool) -> None:
        owner_path, _, name = path.rpartition(".")
        owner = _resolve(module, owner_path)
        original = _own(owner, name)
        if original is _ABSENT and isinstance(owner, type):
            original = next((vars(c)[name] for c in owner.__mro__ if name in vars(c)), _ABSENT)
        elif original is _ABSENT and owner is not None:
            original = getattr(owner, name, _ABSENT)  # served by a lazy module's __getattr__
        if original is not _ABSENT and not _can_wrap(original):
            original = _ABSENT
        if main:
            self.state = "missing" if original is _ABSENT else "found"
        if original is _ABSENT or _find(original, self.switch) is not None:
            return
        wrapper = self._wrap(original, owner, f"{module.__name__}:{path}")
        self._set(owner, name, wrapper)
        if not owner_path:
            # `from framework import function` above `autolog()` has bound the original in the user's modules.
            for users in users_modules(apart_from=module.__name__):
                for alias in [a for a, held in list(vars(users).items()) if held is original]:
                    self._set(users, alias, wrapper)

    # -- a hierarchy of classes

    def _place_in_hierarchy(self, module: ModuleType, path: str) -> None:
        base = _resolve(module, path)
        if not isinstance(base, type):
            self.state = "missing"
            return
        self.state = "found"
        self._follow_subclasses(base)
        for cls in _hierarchy(base):
            self._place_in_class(cls, base)

    def _place_in_class(self, cls: type, base: type) -> None:
        """Wrap each method where the class gets it from: from itself, or from a mixin outside the hierarchy."""
        assert isinstance(self.patch, SubclassPatch)
        for name in self.patch.methods:
            owner = next((c for c in cls.__mro__ if name in vars(c) and c is not object), None)
            original = None if owner is None else _own(owner, name)
            if owner is None or not _can_wrap(original):
                continue
            self._classes[id(owner)] = owner
            if _find(original, self.switch) is not None:
                continue
            try:
                path = f"{owner.__module__}:{owner.__qualname__}.{name}"
                _put(owner, name, self._wrap(original, owner, path, base))
            except (TypeError, AttributeError):  # an extension type, or a metaclass that forbids it
                pass
        if "__init_subclass__" in vars(cls):
            try:
                self._follow_subclasses(cls)  # it may keep to itself what its base was to be told
            except (TypeError, AttributeError):
                pass

    def _follow_subclasses(self, base: type) -> None:
        owner = next(c for c in base.__mro__ if "__init_subclass__" in vars(c))
        original = vars(owner)["__init_subclass__"]
        if _find(original, self.switch) is not None:
            return

        if owner is object:

            @hide_from_stacklevel
            def __init_subclass__(cls: type, *args: Any, **kwargs: Any) -> None:
                __tracebackhide__ = True
                # Passed on to whoever comes next in this subclass's order.
                super(base, cls).__init_subclass__(*args, **kwargs)
                self._place_in_new_class(cls, base)

            hook = cast(Any, classmethod(__init_subclass__))
            hook.__func__.__qualname__ = f"{base.__qualname__}.__init_subclass__"
            hook.__func__.__module__ = base.__module__
            hook.__func__.autolog_switch = self.switch
            self._set(base, "__init_subclass__", hook)
            return
        from autolog.instrument.wrapper import Wrapper

        @hide_from_stacklevel
        def look(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
            __tracebackhide__ = True
            result = wrapped(*args, **kwargs)
            self._place_in_new_class(instance, base)
            return result

        # A Wrapper and not a function: it can be pickled by value with a class of the user's.
        path = f"{owner.__module__}:{owner.__qualname__}.__init_subclass__"
        cast(Any, owner).__init_subclass__ = Wrapper(original, look, owner, path, self.switch)
        self._classes[id(owner)] = owner

    def _place_in_new_class(self, cls: type, base: type) -> None:
        if self.switch.on and issubclass(cls, base):
            try:
                self._place_in_class(cls, base)
            except Exception as error:
                self._handler.failed(self.integration, f"patching {cls.__name__}", error)


def sweep_modules(switches: set[Switch]) -> None:
    """After a removal: give every module the originals of what it imported while it was patched."""
    functions = set[int]().union(*(switch.functions for switch in switches))
    kinds: set[type] = {classmethod}
    wrapper = sys.modules.get("autolog.instrument.wrapper")
    if wrapper is not None:
        kinds |= {wrapper.Wrapper, wrapper.BoundWrapper}
    for module in list(sys.modules.values()):
        kind: type[Any] = type(module)  # cffi's libraries only say that they are modules
        if issubclass(kind, ModuleType):
            # Read past a lazy module's own way of giving attributes, which would load it.
            namespace: dict[str, Any] = ModuleType.__getattribute__(module, "__dict__")
            # A framework's modules hold some 100,000 things: in nearly all of them there is nothing of ours.
            values = list(namespace.values())
            if kinds.isdisjoint(map(type, values)) and functions.isdisjoint(map(id, values)):
                continue
            for name, held in list(namespace.items()):
                if _switch_of(held) in switches:
                    namespace[name] = held.__wrapped__


def users_modules(apart_from: str = "") -> Iterator[ModuleType]:
    """`__main__` and the modules that neither an installed package, nor Python, nor `apart_from`'s package brought."""
    others = {"autolog", apart_from.partition(".")[0]}
    # A framework has dozens of patches and thousands of modules: each of these is looked at once, not once a patch.
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
"""The names of modules that were found to be an installed package's or Python's."""
_STDLIB = os.path.dirname(os.__file__) + os.sep


class _Slot(NamedTuple):
    """One replaced attribute; `absent`: the owner's own namespace did not hold it.

    A module is known weakly: the user's would else be taken apart later than without us, and its objects in another order.
    """

    held: Any
    name: str
    absent: bool

    @classmethod
    def of(cls, owner: Any, name: str, absent: bool) -> _Slot:
        return cls(weakref.ref(owner) if isinstance(owner, ModuleType) else owner, name, absent)

    @property
    def owner(self) -> Any:
        is_weak = type(self.held) is weakref.ref
        return self.held() if is_weak else self.held


def _own(owner: Any, name: str) -> Any:
    """What the owner's own namespace holds, descriptors as they are; of a conditional method, the function."""
    if not isinstance(owner, (type, ModuleType)):
        return _ABSENT
    held: Any = vars(owner).get(name, _ABSENT)
    return held.fn if _is_conditional(held) else held


def _put(owner: Any, name: str, value: Any) -> None:
    """Let the owner hold `value` where `_own` has found something."""
    held: Any = cast(Any, vars(owner)).get(name)
    if _is_conditional(held):
        held.fn = value
    else:
        setattr(owner, name, value)


def _is_conditional(held: Any) -> bool:
    """Whether it is what scikit-learn's `available_if` makes, which holds the method and what decides whether there is one. It
    stays where it is: other tools look for it, and patch the function within.
    """
    if type(held).__name__ != "_AvailableIfDescriptor":
        return False
    namespace: dict[str, Any] = cast(Any, vars(held))
    return "fn" in namespace and "check" in namespace


def _resolve(module: ModuleType, path: str) -> Any:
    found: Any = module
    for part in path.split(".") if path else ():
        found = getattr(found, part, None)
    return found


def _hierarchy(base: type) -> Iterator[type]:
    seen: set[int] = set()  # by id: a metaclass may forbid hashing
    waiting = [base]
    while waiting:
        cls = waiting.pop()
        if id(cls) not in seen:
            seen.add(id(cls))
            yield cls
            waiting.extend(type.__subclasses__(cls))


def _can_wrap(original: Any) -> bool:
    """Whether this is a function or a method of some kind: not a property, which is not called, and not a class."""
    kind = cast(Any, type(original))
    if issubclass(kind, (type, cached_property)) or hasattr(kind, "__set__"):
        return False
    return callable(original) or hasattr(kind, "__get__")


# What stands in a slot is a chain: a wrapper, what it wraps, what that wraps. Ours is known by its switch.


def _switch_of(held: Any) -> Switch | None:
    if type(held) is FunctionType:
        own = held.__dict__.get("_autolog_own")
        # `functools.wraps` copies a function's attributes: those of another one are not its own.
        return own.switch if type(own) is Own and own.function() is held else None
    # By exact type: a wrapper around a class method says that it is an instance of classmethod.
    if type(held) is classmethod:
        return getattr(cast(Any, held).__func__, "autolog_switch", None)
    wrapper = sys.modules.get("autolog.instrument.wrapper")
    if wrapper is None or type(held) not in (wrapper.Wrapper, wrapper.BoundWrapper):
        return None
    return (held if type(held) is wrapper.Wrapper else held._self_parent)._self_autolog_switch


def _below(held: Any) -> Any:
    """What a wrapper wraps: a wrapt proxy, or a function that says so in `__wrapped__` as `functools.wraps` does."""
    if type(held) is classmethod:
        return cast(Any, held).__func__.__dict__.get("__wrapped__", _ABSENT)
    if type(held) is FunctionType:
        return held.__dict__.get("__wrapped__", _ABSENT)
    wrapt = sys.modules.get("wrapt")
    # The root of all its proxies: since wrapt 2, ObjectProxy is no longer a base of FunctionWrapper.
    if wrapt is not None and issubclass(type(held), wrapt.FunctionWrapper.__mro__[-2]):
        return held.__wrapped__
    return _ABSENT


def _find(held: Any, switch: Switch) -> list[Any] | None:
    """The chain from `held` down to the wrapper with this switch, which is last; None if it is not there."""
    chain: list[Any] = []
    while held is not _ABSENT and len(chain) < 100:
        chain.append(held)
        if _switch_of(held) is switch:
            return chain
        held = _below(held)
    return None


def _put_back(slot: _Slot, switch: Switch) -> None:
    owner, name, absent = slot.owner, slot.name, slot.absent
    chain = _find(_own(owner, name), switch)
    if chain is None:
        return  # somebody replaced it
    ours = chain.pop()
    original = _below(ours)
    if chain:
        _splice(chain[-1], ours, original)
    elif absent:
        delattr(owner, name)
    else:
        _put(owner, name, original)


def put_back(owner: Any, name: str, switch: Switch) -> None:
    """Take the wrapper with this switch out of a chain that stands in a slot."""
    _put_back(_Slot.of(owner, name, absent=False), switch)


def _splice(above: Any, ours: Any, original: Any) -> None:
    """Make `above`, somebody else's wrapper around ours, wrap the original."""
    target: Any = cast(Any, above).__func__ if type(above) is classmethod else above
    if type(target) is FunctionType:
        for cell in target.__closure__ or ():
            try:
                if cell.cell_contents is ours:
                    cell.cell_contents = original
            except ValueError:  # an empty cell
                pass
    cast(Any, target).__wrapped__ = original
