"""The promise: data is described without asking it for a batch, whatever it is; infinite data does not hang."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest
from small import X, Y, model

from autolog import RunRecord
from autolog.testing import Recorded

tf = pytest.importorskip("tensorflow")
Points = Callable[[RunRecord, str], list[tuple[int, float]]]


def test_nothing_is_taken_from_an_endless_dataset(seen: Recorded, points: Points) -> None:
    taken: list[int] = []

    def rows() -> Iterator[Any]:
        for number in range(10**9):
            taken.append(number)
            yield X[number % 48], Y[number % 48]

    spec = (tf.TensorSpec((3,), tf.float32), tf.TensorSpec((1,), tf.float32))
    endless = tf.data.Dataset.from_generator(rows, output_signature=spec).batch(8).repeat()
    plain = model()
    plain.fit(endless, steps_per_epoch=2, epochs=2, verbose=0)
    alone = len(taken)
    taken.clear()
    one = model()
    one.fit(endless, steps_per_epoch=2, epochs=2, verbose=0, validation_data=endless, validation_steps=1)
    run = seen.runs[-1]
    assert len(taken) <= alone * 2  # the validation's
    assert [step for step, _ in points(run, "val_loss")] == [0, 1]
    elements = ["float32 ? x 3", "float32 ? x 1"]
    assert [(one["context"], one["elements"]) for one in run.datasets] == [
        ("train", elements),
        ("validation", elements),
    ]
    assert "batch_size" not in run.params
    [model_] = run.models
    assert model_["flavor"] == "keras"


def test_no_batch_is_taken_from_a_generator(seen: Recorded) -> None:
    given: list[int] = []

    def batches() -> Iterator[Any]:
        for number in range(6):
            given.append(number)
            yield X[number * 8 : number * 8 + 8], Y[number * 8 : number * 8 + 8]

    model().fit(batches(), steps_per_epoch=3, epochs=2, verbose=0)
    assert given == list(range(6))
    assert seen.run.datasets == [{"context": "train", "kind": "generator"}]


class _Sequence(keras.utils.PyDataset):
    def __init__(self) -> None:
        super().__init__()
        self.asked: list[int] = []
        self.lengths = 0

    def __len__(self) -> int:
        self.lengths += 1
        return 3

    def __getitem__(self, index: int) -> Any:
        self.asked.append(index)
        return X[:16], Y[:16]


def test_a_pydataset_is_asked_as_often_as_without_autolog(seen: Recorded) -> None:
    counted: list[Any] = []
    from autolog import suspended

    for off in (True, False):
        one, data = model(), _Sequence()
        if off:
            with suspended():
                one.fit(data, verbose=0, shuffle=False)
        else:
            one.fit(data, verbose=0, shuffle=False)
        counted.append((sorted(data.asked), data.lengths))
    assert counted[0] == counted[1]
    assert seen.run.params["steps_per_epoch"] == 3
    assert (
        seen.run.datasets[0]["kind"] == "test_keras_data._Sequence"
        or "Sequence" in seen.run.datasets[0]["kind"]
    )


def test_class_weights_and_frames_are_recorded(seen: Recorded) -> None:
    """Complete: a frame with its columns; weights of classes as they were given."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=["a", "b", "c"])
    labels = (Y[:, 0] > 0).astype(int)
    one = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, "sigmoid")])
    one.compile("sgd", "binary_crossentropy", run_eagerly=True)
    one.fit(frame, pandas.Series(labels), verbose=0, class_weight={0: 1.0, 1: 2.0})
    run = seen.run
    assert run.params["class_weight.1"] == 2.0
    assert run.datasets[0]["schema"] == {"a": "float32", "b": "float32", "c": "float32"}


def test_a_strategy_and_its_replicas_are_params(seen: Recorded) -> None:
    # TensorFlow's collective operations remember the shapes of another strategy's in the same process.
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], tf.distribute.ReductionToOneDevice())
    with strategy.scope():
        one = model(run_eagerly=False)
        one.fit(X, Y, batch_size=16, verbose=0)
    run = seen.run
    assert (run.params["distribution_strategy"], run.params["replicas"]) == ("MirroredStrategy", 2)
    assert {"loss", "learning_rate"} <= set(run.metrics)
    assert run.models


def test_modes_of_execution_are_params(seen: Recorded, points: Points) -> None:
    """Complete: a graph, several steps in one, mixed precision with its scaled loss."""
    one = model(run_eagerly=False, steps_per_execution=3)
    one.fit(X, Y, batch_size=16, epochs=2, verbose=0)
    keras.config.set_dtype_policy("mixed_float16")
    try:
        mixed = model(optimizer=keras.optimizers.Adam(0.1))
    finally:
        keras.config.set_dtype_policy("float32")
    mixed.fit(X, Y, verbose=0)
    graph, half = seen.runs
    assert (graph.params["run_eagerly"], graph.params["steps_per_execution"]) == (False, 3)
    assert [step for step, _ in points(graph, "loss")] == [0, 1]
    assert (half.params["dtype_policy"], half.params["optimizer"]) == ("mixed_float16", "Adam")
    assert (half.params["optimizer_wrapper"], half.params["optimizer_learning_rate"]) == (
        "LossScaleOptimizer",
        0.1,
    )
    assert points(half, "learning_rate") == [(0, 0.1)]


def test_a_training_with_jit_compile_is_recorded(seen: Recorded, points: Points) -> None:
    one = model(run_eagerly=False, jit_compile=True)
    history = one.fit(X, Y, batch_size=16, epochs=2, verbose=0, sample_weight=np.ones(48)).history["loss"]
    run = seen.run
    assert (run.params["jit_compile"], run.params["sample_weight"]) == (True, "given")
    assert points(run, "loss") == [(step, round(value, 6)) for step, value in enumerate(history)]


def test_a_resumed_training_goes_on_counting_epochs(seen: Recorded, points: Points, tmp_path: Any) -> None:
    class Fails(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == 2:
                raise RuntimeError("power failure")

    backup = keras.callbacks.BackupAndRestore(str(tmp_path / "backup"))
    one = model()
    with pytest.raises(RuntimeError, match="power failure"):
        one.fit(X, Y, epochs=4, verbose=0, callbacks=[backup, Fails()])
    history = one.fit(X, Y, epochs=4, verbose=0, callbacks=[backup])
    failed, resumed = seen.runs
    assert (failed.status, failed.error) == ("failed", "RuntimeError: power failure")
    assert [step for step, _ in points(failed, "loss")] == [0, 1]
    assert [step for step, _ in points(resumed, "loss")] == history.epoch  # the oldest begin anew
    assert history.epoch in ([2, 3], [0, 1, 2, 3])


def test_ctrl_c_keeps_the_epochs_that_were_over(seen: Recorded, points: Points) -> None:
    class Stops(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if self.model.optimizer.iterations.numpy() >= 5:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model().fit(X, Y, batch_size=16, epochs=4, verbose=0, callbacks=[Stops()])
    run = seen.run
    assert run.status == "interrupted"
    assert [step for step, _ in points(run, "loss")] == [0]
    assert np.isfinite(run.metrics["loss"]["last"])
