"""Pickles a model, and learns on the way which modules whoever loads it will need.

For the flavors of every framework whose models are pickled; knows none of them.
"""

from __future__ import annotations

import pickle
from importlib import import_module
from types import ModuleType
from typing import Any

from autolog.models.payload import SpooledFile

PROTOCOL = 5

_MAIN = ("__main__", "__mp_main__")


class _ByValue(Exception):
    """Something was met that can be pickled only with its code, as cloudpickle does."""


def _goes_by_name(obj: object) -> bool:
    """Whether an object is pickled by its name: classes, functions of Python, C and Cython."""
    kind = type(obj)
    return issubclass(kind, type) or ("__qualname__" in kind.__dict__ and "__module__" in kind.__dict__)


def _forewarn(obj: Any, file: SpooledFile) -> None:
    """Stops in time: the bytes of an array are copied before they reach `file.write`."""
    if type(obj).__name__ == "ndarray" and type(obj).__module__ == "numpy" and not obj.dtype.hasobject:
        file.expect(obj.nbytes)


class _Pickler(pickle.Pickler):
    def __init__(self, file: SpooledFile, modules: set[str]) -> None:
        super().__init__(file, PROTOCOL)
        self._file = file
        self._modules = modules

    def reducer_override(self, obj: Any, /) -> Any:
        if _goes_by_name(obj):
            module = obj.__module__
            # "<locals>", "<lambda>"
            if module in _MAIN or "<" in obj.__qualname__:
                raise _ByValue
            self._modules.add(_top(module))
        else:
            _forewarn(obj, self._file)
        return NotImplemented


def _top(module: object) -> str:
    return module.partition(".")[0] if isinstance(module, str) else ""


def dump(model: object, file: SpooledFile, *, by_value: bool = False) -> tuple[str, set[str]]:
    """Writes the model. Returns `pickle` or `cloudpickle`, whichever it took, and the top-level modules referenced.

    cloudpickle is taken where plain pickle would make a file that loads nowhere else, and always if `by_value`.
    Raises what the model's own code raises, PicklingError and TypeError where something cannot be pickled.
    """
    modules: set[str] = set()
    if not by_value:
        try:
            _Pickler(file, modules).dump(model)
            return "pickle", modules - {""}
        except (_ByValue, pickle.PicklingError, TypeError):
            # Not found under its name, or of a type that pickle does not know, as modules are: cloudpickle knows more.
            file.restart()
            modules.clear()
    _cloud_pickler(file, modules).dump(model)
    return "cloudpickle", modules - {"", *_MAIN}


def _cloud_pickler(file: SpooledFile, modules: set[str]) -> pickle.Pickler:
    try:
        cloudpickle: Any = import_module("cloudpickle")
    except ImportError:
        cloudpickle = import_module("joblib.externals.cloudpickle")
    base: Any = cloudpickle.CloudPickler

    class CloudPickler(base):
        def reducer_override(self, obj: Any) -> Any:
            if type(obj) is ModuleType:
                modules.add(_top(obj.__name__))
            elif _goes_by_name(obj):
                modules.add(_top(obj.__module__))
            else:
                _forewarn(obj, file)
            return base.reducer_override(self, obj)

    return CloudPickler(file, PROTOCOL)
