"""Patches as data: what an integration wants to have observed.

`Patch` replaces one function or method; `SubclassPatch` methods wherever a class hierarchy defines them, in classes that
exist and in those that come. What is called every few microseconds has a `FastPatch`, and where a framework offers a global
hook of its own, a `Hook` uses it: these two watch, they neither change anything nor make a Call. How they are installed is in
`patching`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any, cast

import msgspec

from autolog.instrument.calls import CO_GENERATOR, Observer
from autolog.instrument.slots import own


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
        code = getattr(own(cast(Any, type(function)), "__call__"), "__code__", None)
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
