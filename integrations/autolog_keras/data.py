"""The data of a training. What gives batches one after the other is never asked for one."""

from __future__ import annotations

import sys
from typing import Any

from autolog import Run


def log(run: Run, x: Any, y: Any, context: str, name: str = "") -> None:
    """Describe arrays by their shapes and a sample, a data set of TensorFlow's by its specification, by a `name`
    where they have one.
    """
    if x is None:  # a `fit` of the user's that calls it otherwise
        return
    known: dict[str, Any] = {}
    if _is_several(x):
        arrays = _by_name(x)
        known = {
            "kind": type(x).__name__, "rows": next(iter(arrays.values())).shape[0],
            "inputs": {name: _short(one) for name, one in arrays.items()},
        }  # fmt: skip
    elif hasattr(type(x), "element_spec"):
        known = {"elements": _specification(x.element_spec)}
    if _is_several(y):
        known["outputs"] = {name: _short(one) for name, one in _by_name(y).items()}
        y = None
    if name:
        known["name"] = name
    run.log_dataset(None if "inputs" in known else x, y, context=context, known=known)


def log_validation(run: Run, given: Any) -> None:
    """What was given as `validation_data`: x and y, perhaps with weights, or a data set."""
    if given is None:
        return
    if isinstance(given, (list, tuple)) and given:
        log(run, given[0], given[1] if len(given) > 1 else None, "validation")
    else:
        log(run, given, None, "validation")


def _is_several(x: Any) -> bool:
    parts = x.values() if isinstance(x, dict) else x if isinstance(x, (list, tuple)) else ()
    return any(_is_array(one) for one in parts)


def _is_array(one: Any) -> bool:
    return bool(getattr(one, "shape", None))


def _by_name(x: Any) -> dict[str, Any]:
    parts = x.items() if isinstance(x, dict) else enumerate(x)
    return {str(name): one for name, one in parts if _is_array(one)}


def _short(one: Any) -> str:
    """`float32 64 x 3`"""
    shape = " x ".join("?" if size is None else str(size) for size in tuple(one.shape))
    return f"{getattr(one.dtype, 'name', one.dtype) if hasattr(one, 'dtype') else type(one).__name__} {shape}"


def _specification(spec: Any) -> Any:
    if isinstance(spec, dict):
        return {name: _specification(one) for name, one in spec.items()}
    if isinstance(spec, (list, tuple)):
        return [_specification(one) for one in spec]
    shape = getattr(spec, "shape", None)
    if shape is None or not hasattr(spec, "dtype") or getattr(shape, "rank", 1) is None:
        return type(spec).__name__
    return _short(spec)


# -- for the model's signature


def example(x: Any) -> Any:
    """Something of the type and shape of the model's input: the arrays themselves, or what a data set says of its own."""
    if not hasattr(type(x), "element_spec"):
        return x
    spec = x.element_spec
    return _empty(spec[0] if isinstance(spec, (list, tuple)) else spec)


def like(x: Any) -> Any:
    """An empty array of a batch's kind, which keeps none of it alive."""
    return _empty(x) if _is_array(x) else None


def input_of(model: Any) -> Any:
    """An empty array like the model's input, where it has one of known shape."""
    return _only(model, "inputs")


def output_of(model: Any) -> Any:
    """An empty array like the model's predictions, where it has one output of known shape."""
    return _only(model, "outputs")


def _only(model: Any, name: str) -> Any:
    try:
        found = getattr(model, name)
    except AttributeError:  # a subclass's are not known
        return None
    return _empty(found[0]) if isinstance(found, (list, tuple)) and len(found) == 1 else None


def _empty(spec: Any) -> Any:
    """An array of no rows."""
    shape, dtype = getattr(spec, "shape", None), getattr(spec, "dtype", None)
    if isinstance(spec, dict):
        return {name: _empty(one) for name, one in spec.items()}
    if shape is None or dtype is None or getattr(shape, "rank", 1) is None:
        return None
    sizes = list(shape)[1:]
    numpy = sys.modules["numpy"]
    if None in sizes or not hasattr(numpy, name := str(getattr(dtype, "name", dtype))):
        return None
    return numpy.empty((0, *sizes), dtype=name)
