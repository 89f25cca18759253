"""Turns what Keras passes to its callbacks during a fit into metrics. It computes nothing itself."""

from __future__ import annotations

import os
from time import perf_counter
from typing import Any

from autolog.integration import Run, of_kind
from autolog_keras import about, outcome


class Watch:
    """One fit in progress. `whole` says that the run is this fit's own, not that of a training around it. Batches are logged
    `every` so many; 0: never. `checkpoints` maps file names of checkpoints to epochs.
    """

    def __init__(self, run: Run, *, whole: bool, every: int) -> None:
        self.run = run
        self.whole = whole
        self.every = every
        self.epoch = 0
        self.logs: Any = None
        self.callbacks: list[Any] = []
        self.checkpoints: dict[str, int] = {}
        self.best: dict[str, Any] = {}
        """The metrics of the epoch whose weights early stopping restores."""
        self.told: set[str] = set()
        """Names of metrics that Keras reported. autolog's own metrics must not take these names from the user."""
        self._rates: dict[str, float] = {}
        self._batches = self._batch = 0
        self._began = perf_counter()
        self._took = 0.0
        self._sized = False

    def begin(self, callbacks: Any) -> None:
        """Log params that are known when the training begins."""
        self.callbacks = list(callbacks.callbacks)
        if self.whole:
            self.run.log_params({**about.training_params(callbacks), **outcome.settings(self.callbacks)})

    def epoch_begins(self) -> None:
        self._began = perf_counter()
        self._batch = 0
        self.logs = None

    def batch(self, batch: int, logs: Any) -> None:
        """Log values after a batch, or after several batches of one execution. `batch` counts within the epoch."""
        before = self._batches
        self._batches += batch + 1 - self._batch
        self._batch = batch + 1
        if before // self.every != self._batches // self.every and isinstance(logs, dict):
            self.run.log_metrics(
                {f"{name}_step": value for name, value in logs.items()}, step=self._batches - 1
            )

    def epoch_is_over(self, model: Any) -> None:
        """Read the learning rates at the end of the epoch, before callbacks change them."""
        self._took = perf_counter() - self._began
        self._rates = about.learning_rates_of(model)
        self.log_size(model)

    def epoch_ends(self, epoch: int, logs: Any) -> None:
        """Log an epoch's values after all callbacks ran: those that History got, else those of the callback list."""
        self.epoch = epoch
        told = self.logs if isinstance(self.logs, dict) else about.flat(logs)
        self.told |= told.keys()
        # Keras's callbacks report a learning rate, too, but after they changed it. Ours was read before.
        values = {**self.without_told({"epoch_time": self._took}), **told, **self._rates}
        self.run.log_metrics(values, step=epoch, epoch=epoch)
        self.run.describe_metrics(
            {
                **dict.fromkeys(("epoch_time", *self._rates)),
                **{name: "lower" for name in told if name in ("loss", "val_loss")},
                **outcome.directions(self.callbacks, told),
            },
            about={
                name: {"data": "validation" if name.startswith("val_") else "train"}
                for name in told
                if name not in self._rates
            },
        )
        if outcome.restores(self.callbacks, epoch):
            self.best = dict(told)

    def without_told(self, ours: dict[str, Any]) -> dict[str, Any]:
        """Return autolog's own metrics without those whose names the user has taken."""
        return {name: value for name, value in ours.items() if name not in self.told}

    def log_size(self, model: Any) -> None:
        """Log the model's size once it is built. Many models are built by their first batch."""
        if self.whole and not self._sized and getattr(model, "built", False):
            self._sized = True
            self.run.log_params(about.size_params(model))

    def fit_ends(self, finished: bool) -> None:
        """Log the best epoch, the epoch of stopping and that of the restored weights, and the checkpoints by path."""
        metrics: dict[str, Any] = {}
        better: dict[str, Any] = {}
        for one in of_kind(self.callbacks, "EarlyStopping"):
            best, score = getattr(one, "best_epoch", None), getattr(one, "best", None)
            if best is None or score is None or "best_epoch" in metrics:
                continue
            stopped = one.stopped_epoch
            metrics |= {"best_epoch": best, "best_score": score}
            better["best_score"] = outcome.direction(one)
            if stopped:
                metrics["stopped_epoch"] = stopped
            if finished and one.best_weights is not None and (stopped or outcome.goes_back_at_the_end(one)):
                metrics["restored_epoch"] = best
        for one in of_kind(self.callbacks, "ModelCheckpoint"):
            if one.save_best_only and one.best is not None:
                metrics.setdefault("best_model_score", one.best)
                better.setdefault("best_model_score", outcome.direction(one))
        metrics = self.without_told(metrics)
        self.run.log_metrics(metrics, step=self.epoch)
        self.run.describe_metrics(
            {name: better.get(name) for name in metrics},
            values=self.best if "restored_epoch" in metrics else {},
        )
        kept = [
            {"path": path, "epoch": epoch} for path, epoch in self.checkpoints.items() if os.path.exists(path)
        ]
        if kept:
            self.run.log_json("checkpoints.json", kept)
