"""The wrapper that stands in for a patched function or method. Loaded only when there is something to wrap: wrapt is slow to
import.

It looks like the original in every way that wrapt can give (`isinstance`, `inspect`, `__code__`), it pickles by name so that
what is pickled loads where autolog is not installed, and it can be made inert where it cannot be taken out.
"""

# wrapt ships no usable types: its classes are Any to a strict checker.
# pyright: reportUnknownMemberType=false, reportUntypedBaseClass=false, reportMissingTypeArgument=false
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any, cast

import wrapt
from wrapt.wrappers import PartialCallableObjectProxy  # pyright: ignore[reportMissingImports]

from autolog.instrument.calls import CallHandler, Observer, Switch, current
from autolog.instrument.intercept import intercept
from autolog.instrument.stacklevel import hide_from_stacklevel

# Until Python 3.13, whoever asks a class for its annotations leaves an empty dict in it, which would stand before those of the
# function that is wrapped: tools that look at every class do so. Without its C code, wrapt has them in each wrapper itself.
_ANNOTATIONS: Any = next(
    (vars(cls)["__annotations__"] for cls in wrapt.FunctionWrapper.__mro__ if "__annotations__" in vars(cls)),
    None,
)


class BoundWrapper(wrapt.BoundFunctionWrapper):
    """A patched method as found on an instance or a class."""

    if _ANNOTATIONS is not None:
        __annotations__ = _ANNOTATIONS

    def __repr__(self) -> str:
        return repr(self.__wrapped__)

    def __reduce_ex__(self, protocol: Any) -> Any:
        # As a plain bound method pickles: its owner, and its name there.
        wrapped: Any = self.__wrapped__
        return getattr, (_bound_to(self, self._self_parent._self_autolog_owner), wrapped.__name__)

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: Any) -> Any:
        # As Python copies methods: one found on a class is itself, a bound one is that of the copied instance.
        owner = _bound_to(self, None)
        if owner is None or isinstance(owner, type):
            return self
        from copy import deepcopy

        return getattr(deepcopy(owner, memo), self.__wrapped__.__name__)


_bind = wrapt.FunctionWrapper.__get__


def _bound_to(bound: BoundWrapper, default: Any) -> Any:
    owner = getattr(bound.__wrapped__, "__self__", None)
    return default if owner is None else owner


class Wrapper(wrapt.FunctionWrapper):
    """A patched function, or the slot of a patched method.

    `owner` is the class or module it stands in, `path` its public name as `pkgutil.resolve_name` reads it, `admitted` the
    attribute of a scope that says whether a call inside is looked at, nothing where each is.
    """

    if _ANNOTATIONS is not None:
        __annotations__ = _ANNOTATIONS
    __bound_function_wrapper__ = BoundWrapper

    def __init__(
        self,
        wrapped: Any,
        wrapper: Callable[..., Any],
        owner: Any,
        path: str,
        switch: Switch,
        admitted: str = "",
    ) -> None:
        super().__init__(wrapped, wrapper)
        self._self_autolog_owner = owner if isinstance(owner, type) else None
        self._self_autolog_path = path
        self._self_autolog_switch = switch
        # Found on a class, a plain function is always the same object: `Class.method is Class.method` must stay true.
        plain = isinstance(owner, type) and isinstance(wrapped, (FunctionType, staticmethod))
        self._self_autolog_found = _bind(self, None, owner) if plain else None
        self._self_autolog_plain = (
            (wrapped, admitted) if isinstance(wrapped, FunctionType) and admitted else None
        )

    # What it needs of this module are arguments: the user's objects use methods while Python ends, and its names may be None.
    def __get__(
        self, instance: Any, owner: Any = None, innermost: Any = current.get, bind: Any = _bind, method: Any = MethodType
    ) -> Any:  # fmt: skip
        if instance is None:
            if self._self_autolog_found is not None:
                return self._self_autolog_found
        elif (
            (scope := innermost()) is not None
            and (plain := self._self_autolog_plain) is not None
            and not getattr(scope, plain[1])
        ):
            # Nobody would look at the call: the method itself is found, in half the time that wrapt takes to bind. Kept and
            # called later, when somebody would, it is not seen: the price of a search's thousands of fits.
            return method(plain[0], instance)
        return bind(self, instance, owner)

    def __repr__(self) -> str:
        return repr(self.__wrapped__)

    def __reduce_ex__(self, protocol: Any) -> Any:
        if self._self_autolog_owner is not None:
            # A slot is pickled only as part of a class pickled by value: then the original belongs there.
            # `typing.cast` is the standard library's function that returns its argument.
            return cast, (None, self.__wrapped__)
        import pkgutil

        return pkgutil.resolve_name, (self._self_autolog_path,)

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: Any) -> Any:
        return self


def interceptor(
    handler: CallHandler,
    integration: str,
    name: str,
    observer: Observer,
    nested: bool,
    switch: Switch,
    base: type | None = None,
) -> Callable[..., Any]:
    """The function that a Wrapper calls; its first lines are the whole cost of a call that nobody looks at. With a `base`, only
    calls on its instances are: a mixin's method is other classes' too.
    """
    get = current.get

    @hide_from_stacklevel
    def look(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        __tracebackhide__ = True
        scope = get()
        if scope is not None and not (scope.records_nested if nested else scope.records):
            return wrapped(*args, **kwargs)
        if not (handler.active and switch.on):
            return wrapped(*args, **kwargs)
        if base is not None:
            if instance is None and args:  # somebody's wrapper around the slot calls it as a plain function
                instance, bound = args[0], args[1:]
                if _is_instance(instance, base):
                    wrapped, args = MethodType(wrapped, instance), bound
            if not _is_instance(instance, base):
                return wrapped(*args, **kwargs)
        if type(wrapped) is PartialCallableObjectProxy:  # called as Class.method(instance, ...)
            wrapped = MethodType(wrapped.__wrapped__, instance)
        return intercept(handler, integration, name, observer, nested, wrapped, instance, args, kwargs)

    return look


def _is_instance(instance: object, base: type) -> bool:
    """Whether it is an instance of `base`, or a class below it, without asking anybody's `__instancecheck__` or `__eq__`."""
    kind = type(instance)
    mro = cast(type, instance).__mro__ if issubclass(kind, type) else kind.__mro__
    return any(cls is base for cls in mro)
