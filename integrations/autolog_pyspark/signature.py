"""The signature of a model: the columns of the training frame that it needs to predict, by what its stages say they read."""

from __future__ import annotations

from typing import Any


def infer(model: Any, frame: Any) -> dict[str, Any] | None:
    return None
