"""Describes the data of a training. It never reads from iterators of batches, because that would consume data."""

from __future__ import annotations

import json
import sys
from typing import Any

from autolog.integration import ArraySpec, ModelInput, Options, Run, infer_signature, look_at

TENSORS = ("tensorflow", "torch", "jax", "jaxlib")
FEW = 5
"""The number of rows in an input example."""


def log(run: Run, x: Any, y: Any, context: str, name: str = "") -> None:
    """Describe arrays by shape and a sample, and a TensorFlow data set by its specification, with a `name` if there is one."""
    if x is None:  # the user's `fit` has another name for it
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
    """Describe the argument `validation_data`: x and y, perhaps with weights, or a data set."""
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
    """Return an array's type and shape, such as `float32 64 x 3`."""
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


# -- for the model's input and output


def look(x: Any, options: Options) -> ModelInput:
    """Return the model's input as it is before the training. For data sets of batches, use their specification, if any."""
    if hasattr(type(x), "element_spec"):
        spec = x.element_spec
        return look_at(_described(spec[0] if isinstance(spec, (list, tuple)) else spec), options)
    return look_at(_rows(x, options), options)


def _rows(x: Any, options: Options) -> Any:
    """Return tensors as arrays of their first rows, or only by type and shape if no example is wanted; other data unchanged."""
    if isinstance(x, dict):
        return {name: _rows(one, options) for name, one in x.items()}
    if type(x).__module__.partition(".")[0] not in TENSORS or not _is_array(x):
        return x
    described = _described(x)
    if not options.log_input_examples or described is None:
        return described
    few = x[:FEW]
    few = few.detach().cpu() if hasattr(few, "detach") else few
    return sys.modules["numpy"].asarray(few)


def completed(seen: ModelInput, model: Any, x: Any) -> ModelInput:
    """Return `seen` with the model's own input types and sizes. Keras casts data to these types, and the sizes of one
    training's data `x` need not be fixed.
    """
    inputs = _specs(model, "inputs")
    if seen.signature is None:
        if not seen.unsigned or isinstance(x, (list, tuple, dict)) or len(inputs) != 1:
            return seen
        return seen._replace(signature=infer_signature(*inputs.values()), unsigned="")
    given: list[dict[str, Any]] = json.loads(seen.signature["inputs"])
    if given[0]["type"] != "tensor":
        return seen
    if "name" not in given[0]:
        known = _fitting(given[0], *inputs.values()) if len(inputs) == 1 else None
    else:
        known = {one["name"]: _fitting(one, inputs.get(one["name"])) for one in given}
    return seen if known is None else seen._replace(signature=infer_signature(known))


def _fitting(given: dict[str, Any], known: ArraySpec | None) -> ArraySpec:
    """Return a tensor of the model's type. Its shape is the model's if that has as many dimensions, else the data's: Keras adds
    and removes dimensions of size one.
    """
    found = given["tensor-spec"]
    if known is None:
        return ArraySpec(found["dtype"], found["shape"])
    return ArraySpec(known.dtype, known.shape if len(known.shape) == len(found["shape"]) else found["shape"])


def output_of(model: Any) -> Any:
    """Return the type and shape of the predictions, or several by name. None for subclassed models: theirs are unknown."""
    outputs = _specs(model, "outputs", getattr(model, "output_names", None))
    return next(iter(outputs.values())) if len(outputs) == 1 else outputs or None


def input_of(model: Any) -> Any:
    """Return the type and shape of the model's input if it has exactly one, else None."""
    inputs = _specs(model, "inputs")
    return next(iter(inputs.values())) if len(inputs) == 1 else None


def _specs(model: Any, which: str, names: Any = None) -> dict[str, ArraySpec]:
    """Return the model's inputs or outputs by name; {} if one of them is unknown."""
    try:
        found = list(getattr(model, which))
    except (AttributeError, TypeError):  # unknown in a subclassed model
        return {}
    names = [one.name for one in found] if names is None else names
    specs = dict(zip(names, map(_described, found), strict=False))
    told = len(specs) == len(found) and all(isinstance(one, ArraySpec) for one in specs.values())
    return specs if told else {}


def _described(spec: Any) -> Any:
    """Return a tensor's specification as an ArraySpec, or several by name; None if type or shape is unknown."""
    if isinstance(spec, dict):
        return {name: _described(one) for name, one in spec.items()}
    shape, dtype = getattr(spec, "shape", None), getattr(spec, "dtype", None)
    if shape is None or dtype is None or getattr(shape, "rank", 1) is None:
        return None
    name = str(getattr(dtype, "name", dtype)).rpartition(".")[2]
    if name != "bool" and not hasattr(sys.modules["numpy"], name):  # text, or floats that NumPy does not have
        return None
    return ArraySpec(name, tuple(shape))
