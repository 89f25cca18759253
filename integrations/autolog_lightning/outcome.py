"""Reads the settings and results of early stopping and checkpoints."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from autolog.integration import BY_MODE, Run, callback_settings, of_kind

SETTINGS = {
    "EarlyStopping": ("monitor", "mode", "patience", "min_delta", "stopping_threshold", "divergence_threshold", "check_finite"),
    "ModelCheckpoint": ("monitor", "mode", "save_top_k", "save_last", "save_weights_only", "dirpath", "filename"),
}  # fmt: skip


def is_early_stopping(callback: Any) -> bool:
    return bool(of_kind([callback], "EarlyStopping"))


def keepers(trainer: Any) -> Iterator[Any]:
    """Return the callbacks that know the best epoch, with early stopping first."""
    monitoring = (one for one in of_kind(trainer.callbacks, "ModelCheckpoint") if one.monitor is not None)
    return chain(of_kind(trainer.callbacks, "EarlyStopping"), monitoring)


def score_of(keeper: Any) -> Any:
    """Return a callback's best score so far. It becomes another object when it improves."""
    return keeper.best_score if is_early_stopping(keeper) else keeper.best_model_score


def directions(trainer: Any, names: Iterable[str]) -> dict[str, Any]:
    """Return the directions of the metrics that early stopping and checkpoints monitor."""
    return {one.monitor: BY_MODE.get(one.mode) for one in keepers(trainer) if one.monitor in names}


def settings(trainer: Any) -> dict[str, Any]:
    """Return the callbacks' settings as params."""
    return callback_settings(trainer.callbacks, SETTINGS)


def checkpoints(trainer: Any) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for one in of_kind(trainer.callbacks, "ModelCheckpoint"):
        scores = dict(one.best_k_models)
        for path in dict.fromkeys(filter(None, (one.best_model_path, *scores, one.last_model_path))):
            score = scores.get(path)
            entry = {
                "path": str(path),
                "score": None if score is None or one.monitor is None else float(score),
            }
            found.setdefault(str(path), entry | {"best": path == one.best_model_path})
    return list(found.values())


def copy(run: Run, path: str, most: int) -> None:
    if not os.path.exists(path):  # not on a disk
        return
    parts = [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names]
    if sum(map(os.path.getsize, parts or [path])) > most:
        run.note(f"The checkpoint {path} was not copied: it is larger than the limit of {most:,} bytes")
        return
    run.log_artifact(path, f"checkpoints/{os.path.basename(path)}")
