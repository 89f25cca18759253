"""Pickles a model, and finds out which modules are needed to load it.

For the flavors of every framework whose models are pickled; knows none of them.
"""

from __future__ import annotations

import pickle
from importlib import import_module
from types import ModuleType
from typing import Any

from autolog.models.by_value import script_by_value
from autolog.models.errors import ModelNotSaved
from autolog.models.staging import StagedFile

PROTOCOL = 5

_MAIN = ("__main__", "__mp_main__")


class _ByValue(Exception):
    """Raised for what can be pickled only with its code, as cloudpickle does."""


def _goes_by_name(obj: object) -> bool:
    """Return whether an object is pickled by its name: classes, functions of Python, C and Cython."""
    kind = type(obj)
    return issubclass(kind, type) or ("__qualname__" in kind.__dict__ and "__module__" in kind.__dict__)


class _Pickler(pickle.Pickler):
    def __init__(self, file: StagedFile, modules: set[str]) -> None:
        super().__init__(file, PROTOCOL)
        self._modules = modules

    def reducer_override(self, obj: Any, /) -> Any:
        if _goes_by_name(obj):
            module = obj.__module__
            # "<locals>", "<lambda>"
            if module in _MAIN or "<" in obj.__qualname__:
                raise _ByValue(f"{module}.{obj.__qualname__} is not in an importable module")
            self._modules.add(_top(module))
        return NotImplemented


def _top(module: object) -> str:
    return module.partition(".")[0] if isinstance(module, str) else ""


def dump(model: object, file: StagedFile, *, by_value: bool = False) -> tuple[str, set[str]]:
    """Write the model. Return the format that this took, `pickle` or `cloudpickle`, and the top-level modules referenced.

    It takes cloudpickle if plain pickle would make a file that loads nowhere else, and always with `by_value`. Raises what the
    model's own code raises, and PicklingError and TypeError if something cannot be pickled.
    """
    modules: set[str] = set()
    why = ""
    if not by_value:
        try:
            _Pickler(file, modules).dump(model)
            return "pickle", modules - {""}
        except (_ByValue, pickle.PicklingError, TypeError) as error:
            # Not found under its name, or of a type that pickle does not know, such as a module: cloudpickle knows more.
            why = str(error)
        file.restart()
        modules.clear()
    cloudpickle = _cloudpickle()
    if cloudpickle is None:
        raise ModelNotSaved(
            f"{why or 'cloudpickle is not installed'}; what may help: pip install cloudpickle"
        )
    with script_by_value(cloudpickle):
        _cloud_pickler(cloudpickle, file, modules).dump(model)
    return "cloudpickle", modules - {"", *_MAIN}


def _cloudpickle() -> Any:
    for name in ("cloudpickle", "joblib.externals.cloudpickle"):
        try:
            return import_module(name)
        except ImportError:
            continue
    return None


def _cloud_pickler(cloudpickle: Any, file: StagedFile, modules: set[str]) -> pickle.Pickler:
    base: Any = cloudpickle.CloudPickler

    class CloudPickler(base):
        def reducer_override(self, obj: Any) -> Any:
            if type(obj) is ModuleType:
                modules.add(_top(obj.__name__))
            elif _goes_by_name(obj):
                modules.add(_top(obj.__module__))
            return base.reducer_override(self, obj)

    return CloudPickler(file, PROTOCOL)
