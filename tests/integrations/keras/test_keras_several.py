"""The promise: optimizers that a model holds itself are recorded as its own, and what is tested is no training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import pytest
from small import X, Y, model

from autolog import RunRecord
from autolog.testing import Recorded

Points = Callable[[RunRecord, str], list[tuple[int, float]]]


class Pair(keras.Model):
    """As Keras's examples of a GAN: two models, each with an optimizer, and never called itself."""

    def __init__(self) -> None:
        super().__init__()
        self.maker = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
        self.judge = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])

    def compile(self, d_optimizer: Any, g_optimizer: Any) -> None:
        super().compile(run_eagerly=True)
        self.d_optimizer, self.g_optimizer = d_optimizer, g_optimizer

    def call(self, data: Any) -> Any:
        return self.judge(data)

    def train_step(self, data: Any) -> dict[str, Any]:
        told: dict[str, Any] = {}
        for name, part, optimizer in (
            ("d_loss", self.judge, self.d_optimizer), ("g_loss", self.maker, self.g_optimizer),
        ):  # fmt: skip
            variables = part.trainable_variables
            optimizer.apply([keras.ops.ones_like(one) for one in variables], variables)
            told[name] = keras.ops.mean(keras.ops.convert_to_tensor(variables[0]))
        return told


def test_optimizers_that_a_model_holds_itself_are_recorded_by_their_names(seen: Recorded) -> None:
    """By the user's names for them; the one that Keras compiles it with by default is not said to."""
    pair = Pair()
    pair.compile(keras.optimizers.Adam(0.002), keras.optimizers.SGD(0.001))
    pair.fit(X, epochs=2, batch_size=16, verbose=0)
    run = seen.run
    assert {name: run.params.get(name) for name in ("d_optimizer", "g_optimizer", "optimizer")} == {
        "d_optimizer": "Adam", "g_optimizer": "SGD", "optimizer": None,
    }  # fmt: skip
    assert (run.params["d_optimizer_learning_rate"], run.params["g_optimizer_learning_rate"]) == (
        0.002,
        0.001,
    )
    assert sorted(run.metrics) == [
        "d_loss", "epoch_time", "g_loss", "learning_rate_d_optimizer", "learning_rate_g_optimizer",
    ]  # fmt: skip


def test_a_model_that_was_never_called_is_not_saved_and_the_run_says_so(seen: Recorded) -> None:
    if keras.backend.backend() != "tensorflow":
        pytest.skip("this backend builds it before it trains")
    pair = Pair()
    pair.compile(keras.optimizers.Adam(0.002), keras.optimizers.SGD(0.001))
    pair.fit(X, epochs=1, batch_size=16, verbose=0)
    assert seen.run.notes == ["The model was not saved: the model was never called, only models inside it"]


def test_test_on_batch_is_no_training(seen: Recorded, points: Points) -> None:
    one = model(metrics=["mae"])
    told = []
    for i in range(3):
        told.append(one.train_on_batch(X[i * 8 : i * 8 + 8], Y[i * 8 : i * 8 + 8]))
        one.test_on_batch(X, Y)
    seen.client.disable()
    for number, name in enumerate(("loss", "mae")):
        assert points(seen.run, name) == [
            (n, round(float(values[number]), 6)) for n, values in enumerate(told)
        ]
