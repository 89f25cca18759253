"""Patches as data: what an integration wants to observe.

`Patch` replaces one function or method. `SubclassPatch` replaces methods in all classes of a hierarchy, present and future.
`FastPatch` is for functions that are called every few microseconds, and `Hook` uses a framework's own global hook; these two
only watch: they change nothing and make no Call. `patching` installs them.
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
    """One function or method to observe.

    `target` is `"package.module:function"` or `"package.module:Class.method"`; `aliases` are further places that hold the same
    function. Patch a public function where users find it, not where it is defined: the original then stays in the defining
    module, so that references taken earlier still pickle. With `nested`, the observer also runs inside another call that takes
    contributions. `optional` says that some supported versions do not have the target.
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
    """Raise TypeError if the observer is no generator function: its code for after the call would run before the call."""
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

    A plain Python function replaces it. `before(*args, **kwargs)` gets the original's arguments; `after(noted, result, *args,
    **kwargs)` also gets what `before` and the original returned; `raised(noted, error, *args, **kwargs)` gets the original's
    exception. Nothing that they return or raise reaches the caller, and the first failure turns the patch off. While `unless()`
    is true (a compiler is reading, say), only the original is called. With `as_caller`, the warnings of an original in C name
    its caller's line; it takes no keyword arguments. `target`, `aliases` and `optional` are those of a `Patch`.

    What is called at each step of a loop gives `around(original, watch)` instead: it returns the function that replaces the
    original, so that one frame does it all. That function calls the original as it was called, and nothing else unless
    `watch.recorded()`; it catches each `Exception` of its own code, and hands it to `watch.failed`.
    """

    target: str
    before: Callable[..., Any] | None = None
    after: Callable[..., Any] | None = None
    raised: Callable[..., Any] | None = None
    around: Callable[..., Callable[..., Any]] | None = None
    unless: Callable[[], bool] | None = None
    as_caller: bool = False
    aliases: tuple[str, ...] = ()
    optional: bool = False


class Hook(msgspec.Struct, frozen=True, kw_only=True):
    """A framework's own global hook. `target` is the function that registers a hook and returns a handle with `remove()`. If it
    returns none, `undo` is the name, in the same module, of the function that takes the hook out, such as `unsubscribe`.

    The framework calls `hook`, except while `unless()` is true. What the hook returns or raises does not reach the framework,
    and the first failure turns it off.
    """

    target: str
    hook: Callable[..., Any]
    undo: str = ""
    unless: Callable[[], bool] | None = None
    optional: bool = False


class OnImport(msgspec.Struct, frozen=True, kw_only=True):
    """Call `call(module)` each time the user's program has imported or reloaded `target`. Removal undoes nothing."""

    target: str
    call: Callable[[ModuleType], None]


AnyPatch = Patch | SubclassPatch | FastPatch | Hook | OnImport
