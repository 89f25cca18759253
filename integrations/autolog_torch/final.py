"""The final model, though nobody says when a loop is over: saved when its run ends, or at the model's death if that is earlier.

Nothing is kept alive for it. A weak reference to the outermost module tells of its death while all that it holds still
lives: parts and objects, which are weakly held, too, and what is plain. From these it is put together once more for the time
of saving. Parameters are never weakly held: torch refuses to swap tensors that are. What can be had in neither way, as a
large tensor that is no buffer, leaves the model's `state_dict`.
"""

from __future__ import annotations

import sys
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from enum import Enum
from gc import is_tracked
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

from autolog.integration import Run
from autolog_torch.about import SHARDED
from autolog_torch.flavor import is_parametrized

_OWN = ("_parameters", "_buffers", "_modules")
# Plain as a whole: holding one keeps nothing else alive.
_SCALARS = (bool, int, float, complex, str, bytes, type(None))
_SMALL = 1 << 20
"""Bytes of a tensor that is held: until the model's death, or the epoch after the script has replaced it."""


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
        self._rest: dict[str, Any] = {}
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
        self._rest = {name: _held(value) for name, value in vars(root).items() if name not in _OWN}

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
            model_format, why = None, "torch does not save a module with parametrizations whole"
            if model is None:
                model, lost = self._put_together()
                if lost:
                    model_format, why = "state_dict", f"it was gone before the run ended, and {lost} with it"
            if model is None:
                self._run.model_not_saved("it was gone before it could be.")
            else:
                if model_format is not None or is_parametrized(model):
                    self._run.note(f"{self._path} is saved as its state_dict: {why}.")
                self._run.save_model(
                    model,
                    _flavor(model),
                    path=self._path,
                    model_format=model_format,
                    max_bytes=self._max_bytes,
                )
        self._tensors, self._parts, self._rest = {}, {}, {}

    def _put_together(self) -> tuple[Any, str]:
        """The model, or a module with its tensors and parts and the name of an attribute that it lacks; None without those."""
        modules = {name: part() for name, part in self._parts.items()}
        if None in modules.values():
            return None, ""
        modules.update(dict.fromkeys(self._empty))
        found = {name: _given(value) for name, value in self._rest.items()}
        lost = next((name for name, value in found.items() if value is _GONE), "")
        if lost:
            model = sys.modules["torch"].nn.Module()
            found = {"_non_persistent_buffers_set": found["_non_persistent_buffers_set"]}
        else:
            model = self._class.__new__(self._class)
        vars(model).update({**found, **self._tensors, "_modules": modules})
        return model, lost


def _flavor(model: Any) -> str:
    """A model of Keras's is a module too, on this backend; its own format holds no pickle."""
    return (
        "keras"
        if any(cls.__module__.startswith("keras.src.models.") for cls in type(model).__mro__)
        else "pytorch"
    )


class _Weakly(weakref.ref[Any]):
    """Holds an object as long as the model does."""


_GONE = object()


def _held(value: Any, depth: int = 0) -> Any:
    """A module's attribute, so that nothing large is kept alive: what is plain as it is, objects weakly; or `_GONE`."""
    kind = type(value)
    torch = sys.modules["torch"]
    if kind in _SCALARS or kind in (torch.dtype, torch.device, torch.Size) or issubclass(kind, Enum):
        return value
    if issubclass(kind, torch.Tensor):
        return value if kind is torch.Tensor and _is_small(value) else _GONE
    if kind in (list, tuple, set, dict, OrderedDict):
        if depth > 3 or len(value) > 1000:
            return _GONE
        parts = [_held(part, depth + 1) for part in _parts_of(value)]
        hashed = parts[::2] if issubclass(kind, dict) else parts if kind is set else []
        # A hash is the object's own code.
        is_lost = any(part is _GONE for part in parts) or any(
            isinstance(one, (_Weakly, Enum)) for one in hashed
        )
        return _GONE if is_lost else _made_of(kind, parts)
    # Functions and classes of modules are there anyway; those made inside functions may hold on to anything. Of other things,
    # which are the user's, nothing is asked: what they answer may be an error.
    if issubclass(kind, type) or kind is FunctionType:
        is_inside = "<locals>" in value.__qualname__ or (
            kind is FunctionType and value.__closure__ is not None
        )
        return _weakly(value) if is_inside else value
    if kind is BuiltinFunctionType:
        owner = value.__self__
        return value if owner is None or type(owner) is ModuleType else _weakly(value)
    return _weakly(value)


def _is_small(tensor: Any) -> bool:
    """Whether holding it costs little memory: neither its own nor that of a graph."""
    return (
        not tensor.requires_grad
        and tensor.layout is sys.modules["torch"].strided
        and tensor.untyped_storage().nbytes() <= _SMALL
    )


def _weakly(value: Any) -> Any:
    try:
        return _Weakly(value)
    except TypeError:
        return _GONE if is_tracked(value) else value  # which refers to nothing, as a number of NumPy's


def _given(held: Any) -> Any:
    """What is held, while the model is dying; `_GONE` if it is not there any more."""
    kind = type(held)
    if kind is _Weakly:
        value = held()
        return _GONE if value is None else value
    if kind in (list, tuple, set, dict, OrderedDict):
        parts = [_given(part) for part in _parts_of(held)]
        return _GONE if any(part is _GONE for part in parts) else _made_of(kind, parts)
    return held


def _parts_of(value: Any) -> Iterator[Any]:
    """The parts of a list, tuple, set or dict: of a dict, keys and values in turn."""
    if isinstance(value, dict):
        for item in value.items():
            yield from item
    else:
        yield from value


def _made_of(kind: type[Any], parts: list[Any]) -> Any:
    return kind(zip(parts[::2], parts[1::2], strict=True)) if issubclass(kind, dict) else kind(parts)


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
        f"its parameters are sharded ({sharded}), and each process may hold a part of them. The checkpoints that the script "
        "writes are recorded."
        if sharded
        else ""
    )
