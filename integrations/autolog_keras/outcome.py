"""Reads the settings and results of Keras's own callbacks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from autolog.integration import callback_settings, of_kind

SETTINGS = {
    "EarlyStopping": (
        "monitor", "mode", "min_delta", "patience", "baseline", "restore_best_weights", "start_from_epoch",
    ),
    "ModelCheckpoint": (
        "filepath", "monitor", "mode", "save_best_only", "save_weights_only", "save_freq",
    ),
    "ReduceLROnPlateau": ("monitor", "mode", "min_delta", "factor", "patience", "cooldown", "min_lr"),
}  # fmt: skip


def settings(callbacks: list[Any]) -> dict[str, Any]:
    """Return the callbacks' settings as params."""
    return callback_settings(callbacks, SETTINGS)


def directions(callbacks: list[Any], names: Iterable[str]) -> dict[str, Any]:
    """Return the directions of the metrics that callbacks monitor, as the callbacks know them."""
    found: dict[str, Any] = {}
    for one in callbacks:
        monitor, better = getattr(one, "monitor", None), direction(one)
        if better is not None and monitor in names:
            found[monitor] = better
    return found


def direction(callback: Any) -> Any:
    """Return the direction of a callback's `monitor_op`, which is numpy's `greater` or `less`."""
    name = getattr(getattr(callback, "monitor_op", None), "__name__", "")
    return {"greater": "higher", "less": "lower"}.get(name)


def restores(callbacks: list[Any], epoch: int) -> bool:
    """Return whether early stopping would restore this epoch's weights, as of now."""
    return any(
        one.best_epoch == epoch and one.restore_best_weights
        for one in of_kind(callbacks, "EarlyStopping")
        if getattr(one, "best", None) is not None
    )


def goes_back_at_the_end(callback: Any) -> bool:
    """Return whether it restores the best weights even if it did not stop the training. Not all versions do."""
    ends = (vars(cls).get("on_train_end") for cls in type(callback).__mro__)
    return any("best_weights" in getattr(getattr(end, "__code__", None), "co_names", ()) for end in ends)
