"""The final model, though nobody says when a loop is over: saved when its run ends, or at the model's death if that is earlier.

Nothing is kept alive for it. A weak reference to the outermost module tells of its death while its parts still live; from
them, and from what is plain in it, it is put together once more for the time of saving. Parameters are never weakly held:
torch refuses to swap tensors that are.
"""

from __future__ import annotations

import sys
import weakref
from collections import OrderedDict
from collections.abc import Callable
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

from autolog.integration import Run
from autolog_torch.about import SHARDED
from autolog_torch.flavor import is_parametrized

_OWN = ("_parameters", "_buffers", "_modules")
# Plain as a whole: holding one keeps nothing else alive.
_SCALARS = (bool, int, float, complex, str, bytes, type(None))
_SMALL = 1 << 20
"""Bytes of a tensor that may be held."""


class FinalModel:
    """A model of one run, which is saved once, as `path`."""

    def __init__(
        self, run: Run, path: str, root: Any, wrappers: list[str], max_bytes: int,
        guarded: Callable[[Callable[..., Any], str], Callable[..., None]],
    ) -> None:  # fmt: skip
        self._run = run
        self._path = path
        self._max_bytes = max_bytes
        self._reason = _why_not(root, wrappers)
        self._class = type(root)
        # The tensors that it holds itself: in the moment of its death they cannot be had from it any more.
        self._tensors = {name: vars(root)[name] for name in ("_parameters", "_buffers")}
        self._parts: dict[str, weakref.ref[Any]] = {}
        self._rest: dict[str, Any] | None = None
        self.note(root)
        save = guarded(lambda _: self.save(), "saving a model")

        # While Python ends, the run has ended too, and what `save` needs is taken apart.
        def died(reference: Any, python_ends: Callable[[], bool] = sys.is_finalizing) -> None:
            if not python_ends():
                save(reference)

        self.root: weakref.ref[Any] | None = weakref.ref(root, died)

    def note(self, root: Any) -> None:
        """Remember what may have changed since: the parts, and what is plain."""
        self._parts = {name: weakref.ref(part) for name, part in root._modules.items() if part is not None}
        self._empty = [name for name, part in root._modules.items() if part is None]
        self._rest = _plain_part(root)

    def refresh(self) -> None:
        root = self.root() if self.root is not None else None
        if root is not None:
            self.note(root)

    def save(self) -> None:
        """Save it, alive or in the moment of its death."""
        reference, self.root = self.root, None
        if reference is None:
            return
        model = reference()
        if self._reason:
            self._run.model_not_saved(self._reason)
        else:
            if model is None:
                model = self._put_together()
            if model is None:
                self._run.model_not_saved("it was gone before it could be.")
            else:
                if is_parametrized(model):
                    self._run.note(
                        f"{self._path} is saved as its state_dict: torch does not save a module with parametrizations whole."
                    )
                self._run.save_model(model, _flavor(model), path=self._path, max_bytes=self._max_bytes)
        self._tensors, self._parts, self._rest = {}, {}, None

    def _put_together(self) -> Any:
        modules = {name: part() for name, part in self._parts.items()}
        if self._rest is None or None in modules.values():
            return None
        model = self._class.__new__(self._class)
        modules.update(dict.fromkeys(self._empty))
        vars(model).update({**self._rest, **self._tensors, "_modules": modules})
        return model


def _flavor(model: Any) -> str:
    """A model of Keras's is a module too, on this backend; its own format holds no pickle."""
    return (
        "keras"
        if any(cls.__module__.startswith("keras.src.models.") for cls in type(model).__mro__)
        else "pytorch"
    )


def _plain_part(root: Any) -> dict[str, Any] | None:
    """A module's attributes but for tensors and parts; None if one of them may hold on to anything."""
    found: dict[str, Any] = {}
    for name, value in vars(root).items():
        if name in _OWN:
            continue
        copied = _copied(value)
        if copied is _CANNOT:
            return None
        found[name] = copied
    return found


_CANNOT = object()


def _copied(value: Any, depth: int = 0) -> Any:
    kind = type(value)
    torch = sys.modules["torch"]
    if kind in _SCALARS or kind in (torch.dtype, torch.device, torch.Size):
        return value
    if kind is torch.Tensor:  # such as a mask: small, and without a graph
        is_plain = not value.requires_grad and value.numel() * value.element_size() <= _SMALL
        return value if is_plain else _CANNOT
    if depth > 3:
        return _CANNOT
    if kind in (list, tuple, set):
        if len(value) > 1000:
            return _CANNOT
        parts = [_copied(one, depth + 1) for one in value]
        return _CANNOT if any(one is _CANNOT for one in parts) else kind(parts)
    if kind in (dict, OrderedDict):
        if len(value) > 1000:
            return _CANNOT
        items = {key: _copied(one, depth + 1) for key, one in value.items()}
        if any(one is _CANNOT for one in items.values()) or any(_copied(key, 4) is _CANNOT for key in items):
            return _CANNOT
        return kind(items)
    # Functions and classes of modules are there anyway; those made inside functions may hold on to anything. Of other things,
    # which are the user's, nothing is asked: what they answer may be an error.
    if issubclass(kind, type) or kind is FunctionType:
        inside = "<locals>" in value.__qualname__ or (kind is FunctionType and value.__closure__ is not None)
        return _CANNOT if inside else value
    if kind is BuiltinFunctionType:
        owner = value.__self__
        return value if owner is None or type(owner) is ModuleType else _CANNOT
    return _CANNOT


def _why_not(root: Any, wrappers: list[str]) -> str:
    """Why this process does not hold the whole model, or nothing."""
    sharded = next((name for name in wrappers if name in SHARDED), "")
    for module in root.modules() if not sharded else ():
        if type(module).__name__.startswith("FSDP") or type(module).__name__ in SHARDED:
            sharded = type(module).__name__
    for param in root.parameters() if not sharded else ():
        if type(param).__name__ == "DTensor" or type(param.data).__name__ == "DTensor":
            sharded = "DTensor"
    return (
        f"its parameters are sharded over several processes ({sharded}); what the script saves is recorded"
        if sharded
        else ""
    )
