"""What Keras's own callbacks were asked for, and what came of them."""

from __future__ import annotations

import os
from typing import Any

from autolog import Run
from autolog_keras.watch import Watch

SETTINGS = {
    "EarlyStopping": (
        "monitor", "mode", "min_delta", "patience", "baseline", "restore_best_weights", "start_from_epoch",
    ),
    "ModelCheckpoint": (
        "filepath", "monitor", "mode", "save_best_only", "save_weights_only", "save_freq",
    ),
    "ReduceLROnPlateau": ("monitor", "mode", "min_delta", "factor", "patience", "cooldown", "min_lr"),
}  # fmt: skip


def _is(callback: object, kind: str) -> bool:
    """By name, of a subclass too."""
    return any(cls.__name__ == kind for cls in type(callback).__mro__)


def _of(callbacks: list[Any], kind: str) -> list[Any]:
    return [one for one in callbacks if _is(one, kind)]


def settings(callbacks: list[Any]) -> dict[str, Any]:
    """Params of what was asked for."""
    params: dict[str, Any] = {}
    for kind, names in SETTINGS.items():
        for number, one in enumerate(_of(callbacks, kind), 1):
            prefix = kind if number == 1 else f"{kind}{number}"
            found = {name: value for name in names if (value := getattr(one, name, None)) is not None}
            if "min_delta" in found:  # Keras gives it the sign of the mode
                found["min_delta"] = abs(found["min_delta"])
            params |= {f"{prefix}.{name}": value for name, value in found.items()}
    return params


def log(run: Run, watch: Watch, finished: bool) -> None:
    """The best epoch, where the training stopped, whose weights it went back to; and the checkpoints, by path."""
    metrics: dict[str, Any] = {}
    for one in _of(watch.callbacks, "EarlyStopping"):
        best, score = getattr(one, "best_epoch", None), getattr(one, "best", None)
        if best is None or score is None or "best_epoch" in metrics:
            continue
        stopped = one.stopped_epoch
        metrics |= {"best_epoch": best, "best_score": score}
        if stopped:
            metrics["stopped_epoch"] = stopped
        if finished and one.best_weights is not None:
            metrics["restored_epoch"] = best
    for one in _of(watch.callbacks, "ModelCheckpoint"):
        if one.save_best_only and one.best is not None:
            metrics.setdefault("best_model_score", one.best)
    run.log_metrics(watch.without_told(metrics), step=watch.epoch)
    kept = [
        {"path": path, "epoch": epoch} for path, epoch in watch.checkpoints.items() if os.path.exists(path)
    ]
    if kept:
        run.log_json("checkpoints.json", kept)
