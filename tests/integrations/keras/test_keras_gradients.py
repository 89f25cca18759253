"""The promise: a loop that applies gradients itself is one run, complete, whether it is traced or not."""

from __future__ import annotations

import gc
import random
import weakref
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from small import MODEL_FILES, X, Y

import autolog
from autolog import RunRecord
from autolog.testing import Recorded, recorded

tf = pytest.importorskip("tensorflow")
Points = Callable[[RunRecord, str], list[tuple[int, float]]]
Visible = Callable[[RunRecord], dict[str, Any]]


@pytest.fixture(autouse=True)
def _data() -> None:
    """The same object for a whole test, made when TensorFlow may be started."""
    global BATCHES
    BATCHES = tf.data.Dataset.from_tensor_slices((X, Y)).batch(16)


class Net:
    """A model and how it is trained: each step as its user would write it."""

    def __init__(self, name: str = "net") -> None:
        self.model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)], name=name)
        self.optimizer = keras.optimizers.SGD(0.01)
        self.mean = keras.metrics.Mean(name="train_loss")

    def step(self, x: Any, y: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((self.model(x, training=True) - y) ** 2)
        variables = self.model.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        self.mean.update_state(loss)
        return loss


def trained(net: Net, step: Any, epochs: int = 2) -> tuple[list[float], list[float]]:
    """The losses, and what the user's metric says after each epoch."""
    losses, means = [], []
    for _ in range(epochs):
        net.mean.reset_state()
        losses += [float(step(x, y)) for x, y in BATCHES]
        means.append(float(net.mean.result()))
    return losses, means


@pytest.mark.parametrize("traced", [False, True])
def test_a_loop_with_a_tape_is_one_complete_run(visible: Visible, points: Points, traced: bool) -> None:
    """Complete: the loss of each step, the user's metric as he reads it, the data, the optimizer, the model as it is last."""
    with recorded("keras") as seen:
        net = Net()
        losses, means = trained(net, tf.function(net.step) if traced else net.step)
        expected = net.model.predict(X, verbose=0)
    run = seen.run
    assert visible(run) == {
        "experiment": "default", "status": "finished", "framework": "keras", "kind": "train",
        "estimator": "keras.src.models.sequential.Sequential",
        "params": {
            "backend": "tensorflow", "dtype_policy": "float32", "optimizer": "SGD", "optimizer_learning_rate": 0.01,
            "optimizer_momentum": 0.0, "optimizer_nesterov": False, "optimizer_use_ema": False,
            "optimizer_ema_momentum": 0.99, "model.layers": 1, "model.parameters": 4, "model.trainable_parameters": 4,
        },
        "metrics": {"loss": [0, 1, 2, 3, 4, 5], "learning_rate": [0], "train_loss": [2, 5]},
        "tags": {}, "error": None, "errors": [], "notes": [],
        "datasets": [
            {"context": "train", "kind": "tensorflow._BatchDataset", "elements": ["float32 ? x 3", "float32 ? x 1"]}
        ],
        "artifacts": MODEL_FILES, "models": [("model", "keras")],
    }  # fmt: skip
    assert points(run, "loss") == [(step, round(loss, 6)) for step, loss in enumerate(losses)]
    assert points(run, "train_loss") == [(2, round(means[0], 6)), (5, round(means[1], 6))]
    assert [point.epoch for point in run.history("loss")] == [0, 0, 0, 1, 1, 1]
    assert (autolog.load_model(run).predict(X, verbose=0) == expected).all()


@pytest.mark.parametrize("traced", [False, True])
def test_two_models_that_are_trained_together_are_one_run(points: Points, traced: bool) -> None:
    """Complete: each one's loss under its name, as of a GAN's two; both are saved."""

    class Pair:
        def __init__(self) -> None:
            self.first, self.second = Net("first"), Net("second")

        def step(self, x: Any, y: Any) -> Any:
            with tf.GradientTape() as one, tf.GradientTape() as other:
                own = tf.reduce_mean((self.first.model(x) - y) ** 2)
                loss = tf.reduce_mean((self.second.model(x) + y) ** 2)
            # Both are differentiated before either is applied.
            variables = [net.model.trainable_variables for net in (self.first, self.second)]
            grads = one.gradient(own, variables[0]), other.gradient(loss, variables[1])
            self.first.optimizer.apply(grads[0], variables[0])
            self.second.optimizer.apply(grads[1], variables[1])
            return own, loss

    with recorded("keras") as seen:
        pair = Pair()
        step = tf.function(pair.step) if traced else pair.step
        told = [[float(value) for value in step(x, y)] for x, y in BATCHES]
    run = seen.run
    # What is traced is named as the function's own text names what it returns.
    names = ("own", "loss") if traced else ("loss", "second_loss")
    for number, name in enumerate(names):
        assert points(run, name) == [(step, round(values[number], 6)) for step, values in enumerate(told)]
    assert sorted(one["path"] for one in run.models) == ["model", "second_model"]
    assert run.params["second_model.parameters"] == 4


def test_another_model_is_another_run_and_another_optimizer_is_not() -> None:
    """Complete: a sweep is a run each; fine-tuning goes on in the one that there is."""
    with recorded("keras") as seen:
        net = Net()
        trained(net, net.step, 1)
        net.optimizer = keras.optimizers.SGD(0.001)
        trained(net, net.step, 1)
        other = Net()
        trained(other, other.step, 1)
    both, later = seen.runs
    assert both.metrics["loss"]["count"] == 6
    assert [both.params[f"{which}optimizer_learning_rate"] for which in ("", "next_")] == [0.01, 0.001]
    assert later.metrics["loss"]["count"] == 3
    assert [len(run.models) for run in (both, later)] == [1, 1]


def test_metrics_after_a_loop_belong_to_its_run(points: Points) -> None:
    """Complete: the block's run, `evaluate`, and a second metric of the same name under a name of its own."""
    with recorded("keras") as seen, autolog.run("mine") as run:
        net = Net()
        net.model.compile(loss="mse")
        trained(net, net.step, 1)
        for _ in range(2):
            metric = keras.metrics.MeanSquaredError()
            metric.update_state(Y, net.model(X))
            metric.result()
        loss = net.model.evaluate(X, Y, verbose=0)
        run.log_metrics({"own": 1.0})
    run = seen.run
    assert (run.name, run.kind, run.status) == ("mine", "train", "finished")
    assert run.metrics["evaluate_loss_X"]["last"] == pytest.approx(loss)
    assert {"mean_squared_error", "mean_squared_error_2", "own"} <= set(run.metrics)


def test_an_exception_ends_the_run_as_failed() -> None:
    with recorded("keras") as seen, pytest.raises(KeyError), autolog.run("mine"):
        net = Net()
        trained(net, net.step, 1)
        raise KeyError("mine")
    assert (seen.run.status, seen.run.metrics["loss"]["count"]) == ("failed", 3)


def test_a_train_step_of_the_users_is_no_loop_of_its_own(seen: Recorded) -> None:
    class Mine(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = keras.layers.Dense(1)

        def call(self, x: Any) -> Any:
            return self.dense(x)

        def train_step(self, data: Any) -> Any:
            x, y, *_ = data
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((self(x) - y) ** 2)
            variables = self.trainable_variables
            self.optimizer.apply(tape.gradient(loss, variables), variables)
            return {"loss": loss}

    one = Mine()
    one.compile("sgd", run_eagerly=True)
    one.fit(X, Y, verbose=0)
    one.train_on_batch(X, Y, return_dict=True)
    assert [run.kind for run in seen.all_runs] == ["fit", "train_on_batch"]


def test_gradients_of_a_strategys_replicas_are_one_run(points: Points) -> None:
    """Complete: the graphs of two virtual devices are made in threads of their own."""
    with recorded("keras") as seen:
        # TensorFlow's collective operations remember the shapes of another strategy's in the same process.
        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], tf.distribute.ReductionToOneDevice())
        with strategy.scope():
            net = Net()

        @tf.function
        def step(x: Any, y: Any) -> Any:
            losses = strategy.run(net.step, args=(x, y))
            return strategy.reduce("MEAN", losses, axis=None)

        told = [float(step(x, y)) for x, y in BATCHES]
    run = seen.run
    assert points(run, "loss") == [(number, round(loss, 6)) for number, loss in enumerate(told)]
    assert (run.params["distribution_strategy"], run.params["replicas"]) == ("MirroredStrategy", 2)


@pytest.mark.parametrize("traced", [False, True])
def test_a_loop_has_the_same_bits_and_its_function_is_traced_as_often(traced: bool) -> None:
    def results() -> Any:
        keras.utils.set_random_seed(5)
        net = Net()
        step: Any = tf.function(net.step) if traced else net.step
        told = trained(net, step)
        count = step.experimental_get_tracing_count() if traced else 0
        weights = [w.tobytes() for w in net.model.get_weights()]
        return told, weights, count, random.getstate(), repr(np.random.get_state())

    plain = results()
    with recorded("keras") as seen:
        assert results() == plain
    assert len(seen.runs) == 1


@pytest.mark.parametrize("small", [True, False])
def test_a_model_that_a_function_releases_is_saved_if_it_is_small(
    monkeypatch: pytest.MonkeyPatch, small: bool
) -> None:
    """Complete and harmless: what a function lets go of is there for its run's end if it is small, and never after it."""
    monkeypatch.setattr("autolog_keras.loops.SMALL", 1000 if small else 0)
    with recorded("keras") as seen:
        net = Net()
        trained(net, net.step, 1)
        held = weakref.ref(net.model)
        del net
        gone(held, wanted=not small)
        seen.client.disable()
        gone(held, wanted=True)
    notes = [] if small else ["The model was not saved: it no longer existed at the end of its run."]
    assert ([one["path"] for one in seen.run.models], seen.run.notes) == (["model"] if small else [], notes)


def gone(held: Any, wanted: bool) -> None:
    keras.backend.clear_session()
    gc.collect()
    assert (held() is None) == wanted


def test_the_values_of_a_step_have_the_names_of_its_own_last_return() -> None:
    """Not those of an early return or of a function within it; none where one of them has no name."""
    from types import SimpleNamespace

    from autolog_keras.applied import _returned

    def step(x: Any) -> Any:
        def forward(hidden: Any, logits: Any) -> Any:
            return hidden, logits

        loss, accuracy = forward(x, x)
        if x is None:
            return x, step
        return loss, accuracy

    def unnamed(x: Any) -> Any:
        return x, x + 1

    assert _returned(SimpleNamespace(python_function=step)) == ["loss", "accuracy"]
    assert _returned(SimpleNamespace(python_function=unnamed)) == []
