"""The wrapper that replaces a patched function or method. Imported only when there is something to wrap: wrapt is slow to
import.

It looks like the original as far as wrapt can (`isinstance`, `inspect`, `__code__`). It pickles by name, so that pickles load
where autolog is not installed. It can be made inert where it cannot be removed.
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

# Until Python 3.13, reading a class's annotations leaves an empty dict in the class, which would hide those of the wrapped
# function; tools that inspect every class do so. wrapt without its C code stores them in each wrapper itself.
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
        # Like a plain bound method: its owner, and its name there.
        wrapped: Any = self.__wrapped__
        return getattr, (_bound_to(self, self._self_parent._self_autolog_owner), wrapped.__name__)

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: Any) -> Any:
        # Like Python: a method found on a class is copied as itself, a bound one as that of the copied instance.
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

    `owner` is the class or module that holds it. `path` is its public name as `pkgutil.resolve_name` reads it. `admitted` is
    the attribute of a scope that says whether calls inside it are recorded; "" if every call is.
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
        # A plain function found on a class is always the same object: `Class.method is Class.method` must stay true.
        plain = isinstance(owner, type) and isinstance(wrapped, (FunctionType, staticmethod))
        self._self_autolog_found = _bind(self, None, owner) if plain else None
        self._self_autolog_plain = (
            (wrapped, admitted) if isinstance(wrapped, FunctionType) and admitted else None
        )

    # Arguments bind what this needs of the module: the user's objects use methods while Python exits, when globals may be None.
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
            # Nobody would record the call: return the plain method, in half the time that wrapt takes to bind. If it is kept
            # and called later, that call is not recorded either: the price of a search's thousands of fits.
            return method(plain[0], instance)
        return bind(self, instance, owner)

    def __repr__(self) -> str:
        return repr(self.__wrapped__)

    def __reduce_ex__(self, protocol: Any) -> Any:
        if self._self_autolog_owner is not None:
            # A slot is pickled only as part of a class that is pickled by value: it becomes the original there.
            # `typing.cast` is a standard library function that returns its second argument.
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
    """Return the function that a Wrapper calls. Its first lines are the whole cost of a call that is not recorded. With `base`,
    only calls on its instances are recorded: a mixin's method belongs to other classes too.
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
    """Return whether this is an instance or a subclass of `base`, without calling anybody's `__instancecheck__` or `__eq__`."""
    kind = type(instance)
    mro = cast(type, instance).__mro__ if issubclass(kind, type) else kind.__mro__
    return any(cls is base for cls in mro)
