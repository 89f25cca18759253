"""The promise: which way a metric is better is what the callbacks say that watch it."""

from __future__ import annotations

from typing import Any

from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from regression import Regression, loader, trainer

from autolog.testing import Recorded


def test_a_metric_that_a_callback_watches_has_the_callbacks_direction(seen: Recorded, tmp_path: Any) -> None:
    callbacks = [
        EarlyStopping("val_loss", mode="max", patience=9),
        ModelCheckpoint(tmp_path, monitor="train_loss", mode="min"),
    ]
    trainer(max_epochs=2, callbacks=callbacks, enable_checkpointing=True).fit(
        Regression(), loader(), loader()
    )
    found = {name: (one["direction"], one.get("guess", False)) for name, one in seen.run.metrics.items()}
    assert found["val_loss"] == ("higher", False)
    assert found["train_loss"] == ("lower", False)
    assert found["best_score"] == ("higher", False)
    assert found["best_model_score"] == ("lower", False)
    assert [found[name] for name in ("epoch_time", "best_epoch")] == [(None, False)] * 2
