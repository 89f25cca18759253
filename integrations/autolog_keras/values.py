"""Recognises scalars of any backend without making a device wait, and reads their numbers."""

from __future__ import annotations

import sys
from typing import Any


def scalar(value: Any) -> Any:
    """Return a number, or a tensor that holds one, detached from the gradient graph. Return None for other values, and for
    tensors without a value before their graph runs.
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
    """Return whether reading the value waits for a device."""
    device = getattr(value, "device", None)
    return device is not None and "cpu" not in str(device).lower()


def number(value: Any) -> Any:
    """Return the number of a result of `scalar`; other values unchanged."""
    if hasattr(value, "detach") or hasattr(value, "numpy"):
        return float(value)
    return value


def executes_eagerly() -> bool:
    """Return whether tensors have values now, and TensorFlow is not building a graph."""
    tensorflow = sys.modules.get("tensorflow")
    return tensorflow is None or bool(tensorflow.executing_eagerly())
