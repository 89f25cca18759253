"""Finds and removes our wrapper in a slot. A slot may hold a chain: a wrapper, what it wraps, what that wraps, and so on.

Our wrapper is recognised by its switch, and removed from under the wrappers that others have put around it.
"""

from __future__ import annotations

import sys
from types import FunctionType
from typing import Any, cast

from autolog.instrument.calls import Own, Switch
from autolog.instrument.slots import ABSENT, Slot, own, put


def switch_of(held: Any) -> Switch | None:
    # By exact type: a wrapper around a class method claims to be an instance of classmethod.
    kind = cast(Any, type(held))
    function: Any = held.__func__ if kind is classmethod else held
    if type(function) is FunctionType:
        mark = function.__dict__.get("_autolog_own")
        # `functools.wraps` copies a function's attributes: the mark may be a copy of another function's.
        return mark.switch if type(mark) is Own and mark.function() is function else None
    wrapper = sys.modules.get("autolog.instrument.wrapper")
    if wrapper is None or kind not in (wrapper.Wrapper, wrapper.BoundWrapper):
        return None
    return (held if kind is wrapper.Wrapper else held._self_parent)._self_autolog_switch


def _below(held: Any) -> Any:
    """Return what a wrapt proxy or a function with `__wrapped__` (as `functools.wraps` sets it) wraps, else ABSENT."""
    if type(held) is classmethod:
        return cast(Any, held).__func__.__dict__.get("__wrapped__", ABSENT)
    if type(held) is FunctionType:
        return held.__dict__.get("__wrapped__", ABSENT)
    wrapt = sys.modules.get("wrapt")
    # The root class of all wrapt proxies: since wrapt 2, ObjectProxy is no longer a base of FunctionWrapper.
    if wrapt is not None and issubclass(type(held), wrapt.FunctionWrapper.__mro__[-2]):
        return held.__wrapped__
    return ABSENT


def find(held: Any, switch: Switch) -> list[Any] | None:
    """Return the chain from `held` down to the wrapper with this switch, which comes last. Return None if it is not there."""
    chain: list[Any] = []
    while held is not ABSENT and len(chain) < 100:
        chain.append(held)
        if switch_of(held) is switch:
            return chain
        held = _below(held)
    return None


def restore(slot: Slot, switch: Switch) -> None:
    owner, name, absent = slot.owner, slot.name, slot.absent
    chain = find(own(owner, name), switch)
    if chain is None:
        return  # somebody replaced it
    ours = chain.pop()
    original = _below(ours)
    if chain:
        # Ours replaced nothing: it stays below the other wrapper, switched off, and calls the next class's method.
        if original is not ABSENT:
            _splice(chain[-1], ours, original)
    elif absent:
        delattr(owner, name)
    else:
        put(owner, name, original)


def put_back(owner: Any, name: str, switch: Switch) -> None:
    """Take the wrapper with this switch out of the chain in a slot."""
    restore(Slot.of(owner, name, absent=False), switch)


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
