"""The promise: which way a metric is better is what Keras's callbacks have made out, and its value is the kept model's."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from small import X, Y, model

from autolog.testing import Recorded


def my_score(truth: Any, predicted: Any) -> Any:
    return (
        keras.ops.mean(keras.ops.abs(truth - predicted)) if hasattr(keras, "ops") else abs(truth - predicted)
    )


@pytest.mark.parametrize("restore", [True, False])
def test_a_metrics_value_is_that_of_the_epoch_whose_weights_are_kept(seen: Recorded, restore: bool) -> None:
    stopping = keras.callbacks.EarlyStopping("val_loss", patience=2, restore_best_weights=restore)
    made = model(optimizer=keras.optimizers.SGD(1.2))  # too fast: the loss soon rises
    history = made.fit(
        X, Y, epochs=8, batch_size=48, verbose=0, validation_data=(X[:9], Y[:9] + 3), callbacks=[stopping]
    ).history
    best = int(np.nanargmin(history["val_loss"]))
    assert best < len(history["val_loss"]) - 1
    kept = best if restore else -1
    for name in ("loss", "val_loss"):
        metric = seen.run.metrics[name]
        assert metric["value"] == pytest.approx(history[name][kept])
        assert metric["last"] == pytest.approx(history[name][-1], nan_ok=True)
        assert metric["direction"] == "lower"


def test_a_metric_that_a_callback_watches_has_the_callbacks_direction(seen: Recorded) -> None:
    made = model(metrics=[my_score])
    made.fit(
        X, Y, epochs=2, verbose=0, validation_data=(X, Y),
        callbacks=[keras.callbacks.EarlyStopping("val_my_score", mode="min", patience=9)],
    )  # fmt: skip
    found = seen.run.metrics
    assert {name: (one["direction"], one.get("guess", False)) for name, one in found.items()} == {
        "loss": ("lower", False), "val_loss": ("lower", False), "my_score": ("higher", True), "val_my_score": ("lower", False),
        "best_score": ("lower", False), "best_epoch": (None, False), "epoch_time": (None, False),
        "learning_rate": (None, False),
    }  # fmt: skip
