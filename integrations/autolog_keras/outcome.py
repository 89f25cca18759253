"""What Keras's own callbacks were asked for, and what came of them."""

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
    """Params of what was asked for."""
    return callback_settings(callbacks, SETTINGS)


def directions(callbacks: list[Any], names: Iterable[str]) -> dict[str, Any]:
    """Which way what callbacks watch is better: they know it, or have made it out by now."""
    found: dict[str, Any] = {}
    for one in callbacks:
        monitor, better = getattr(one, "monitor", None), direction(one)
        if better is not None and monitor in names:
            found[monitor] = better
    return found


def direction(callback: Any) -> Any:
    """Of one that has a `monitor_op`, numpy's `greater` or `less`."""
    name = getattr(getattr(callback, "monitor_op", None), "__name__", "")
    return {"greater": "higher", "less": "lower"}.get(name)


def restores(callbacks: list[Any], epoch: int) -> bool:
    """Whether this is the epoch whose weights early stopping would go back to, as far as it knows by now."""
    return any(
        one.best_epoch == epoch and one.restore_best_weights
        for one in of_kind(callbacks, "EarlyStopping")
        if getattr(one, "best", None) is not None
    )


def goes_back_at_the_end(callback: Any) -> bool:
    """Whether it goes back to the best weights, too, where it has not stopped the training: not all versions do."""
    ends = (vars(cls).get("on_train_end") for cls in type(callback).__mro__)
    return any("best_weights" in getattr(getattr(end, "__code__", None), "co_names", ()) for end in ends)
