"""Scalars of any backend: which they are, and their numbers, without making a device wait."""

from __future__ import annotations

import sys
from typing import Any


def scalar(value: Any) -> Any:
    """A number, or a tensor that holds one, no part of any graph of gradients; None if it is none, or not known before a graph
    runs.
    """
    if type(value) in (float, int):
        return value
    if hasattr(value, "detach"):
        return value.detach() if value.numel() == 1 and value.device.type != "meta" else None
    # Tensors of a graph have no `numpy`.
    shape = getattr(value, "shape", None)
    if shape is None or not hasattr(value, "numpy") or getattr(shape, "rank", 0) is None or len(shape):
        return None
    return value


def is_on_device(value: Any) -> bool:
    """Whether to read it makes somebody wait."""
    device = getattr(value, "device", None)
    return device is not None and "cpu" not in str(device).lower()


def number(value: Any) -> Any:
    """Of what `scalar` has given; anything else as it is."""
    if hasattr(value, "detach") or hasattr(value, "numpy"):
        return float(value)
    return value


def executes_eagerly() -> bool:
    """Whether what is computed now has values, and is not a graph of TensorFlow's that is being made."""
    tensorflow = sys.modules.get("tensorflow")
    return tensorflow is None or bool(tensorflow.executing_eagerly())
