"""The promise: a fit is one complete run, and what it holds is what Keras has told, each value once and in its place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from small import ARRAY, MODEL_FILES, X, Y, model

from autolog import RunRecord, enable
from autolog.testing import Recorded, recorded

Points = Callable[[RunRecord, str], list[tuple[int, float]]]
Visible = Callable[[RunRecord], dict[str, Any]]


def test_a_fit_and_an_evaluation_are_one_complete_run(
    seen: Recorded, visible: Visible, tmp_path: Path
) -> None:
    """Complete: with Keras's own callbacks; nothing else is recorded."""
    one = model(metrics=["mae"])
    stopping = keras.callbacks.EarlyStopping(min_delta=100.0, patience=2, restore_best_weights=True)
    keeping = keras.callbacks.ModelCheckpoint(str(tmp_path / "{epoch}.keras"), save_best_only=True)
    reducing = keras.callbacks.ReduceLROnPlateau(factor=0.5, patience=1, min_delta=100.0)
    one.fit(
        X, Y, epochs=9, verbose=0, validation_data=(X[:8], Y[:8]), sample_weight=np.ones(48),
        callbacks=[stopping, keeping, reducing],
    )  # fmt: skip
    x_test, y_test = X[8:20], Y[8:20]
    loss, _ = one.evaluate(x_test, y_test, verbose=0)
    run = seen.run
    assert visible(run) == {
        "experiment": "default", "status": "finished", "framework": "keras", "kind": "fit",
        "estimator": "keras.src.models.sequential.Sequential",
        "params": {
            "epochs": 9, "batch_size": 32, "verbose": 0, "validation_split": 0.0, "shuffle": True, "initial_epoch": 0,
            "validation_freq": 1, "sample_weight": "given", "steps_per_epoch": 2,
            "callbacks": ["EarlyStopping", "ModelCheckpoint", "ReduceLROnPlateau"],
            "loss": "mse", "metrics": ["mae"], "run_eagerly": True, "jit_compile": False, "steps_per_execution": 1,
            "backend": keras.backend.backend(), "dtype_policy": "float32",
            "optimizer": "SGD", "optimizer_learning_rate": 0.01, "optimizer_momentum": 0.0, "optimizer_nesterov": False,
            "optimizer_use_ema": False, "optimizer_ema_momentum": 0.99,
            "EarlyStopping.monitor": "val_loss", "EarlyStopping.mode": "auto", "EarlyStopping.min_delta": 100.0,
            "EarlyStopping.patience": 2, "EarlyStopping.restore_best_weights": True, "EarlyStopping.start_from_epoch": 0,
            "ModelCheckpoint.filepath": f"{tmp_path}/{{epoch}}.keras", "ModelCheckpoint.monitor": "val_loss",
            **({"ModelCheckpoint.mode": "auto"} if hasattr(keeping, "mode") else {}),  # the oldest does not keep it
            "ModelCheckpoint.save_best_only": True,
            "ModelCheckpoint.save_weights_only": False, "ModelCheckpoint.save_freq": "epoch",
            "ReduceLROnPlateau.monitor": "val_loss", "ReduceLROnPlateau.mode": "auto", "ReduceLROnPlateau.min_delta": 100.0,
            "ReduceLROnPlateau.factor": 0.5, "ReduceLROnPlateau.patience": 1, "ReduceLROnPlateau.cooldown": 0,
            "ReduceLROnPlateau.min_lr": 0.0,
            "model.layers": 2, "model.parameters": 21, "model.trainable_parameters": 21,
        },
        "metrics": {
            **{name: [0, 1, 2] for name in ("loss", "mae", "val_loss", "val_mae", "learning_rate", "epoch_time")},
            "best_epoch": [2], "best_score": [2], "stopped_epoch": [2], "restored_epoch": [2], "best_model_score": [2],
            "evaluate_loss_x_test": [0], "evaluate_mae_x_test": [0],
        },
        "tags": {}, "error": None, "errors": [], "notes": [],
        "datasets": [
            {"context": "train", "columns": 3, **ARRAY, "target": {**ARRAY, "columns": 1}},
            {"context": "validation", "columns": 3, **ARRAY, "rows": 8, "target": {**ARRAY, "columns": 1, "rows": 8}},
            {"context": "test", "name": "x_test", "columns": 3, **ARRAY, "rows": 12,
             "target": {**ARRAY, "columns": 1, "rows": 12}},
        ],
        "artifacts": ["checkpoints.json", *MODEL_FILES, "model_summary.txt"], "models": [("model", "keras")],
    }  # fmt: skip
    assert run.metrics["evaluate_loss_x_test"]["last"] == loss


def test_metrics_are_the_values_of_history(seen: Recorded, points: Points) -> None:
    """Complete and once each; callbacks may add to them, and change the learning rate, which is that of the epoch's steps."""

    class Adds(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            logs["f1"] = epoch / 2

    halving = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2 if epoch else rate)
    history = (
        model().fit(X, Y, epochs=3, verbose=0, validation_split=0.25, callbacks=[halving, Adds()]).history
    )
    run = seen.run
    assert sorted(run.metrics) == ["epoch_time", "f1", "learning_rate", "loss", "val_loss"]
    for name in ("loss", "val_loss", "f1", "learning_rate"):
        assert points(run, name) == [
            (step, round(float(value), 6)) for step, value in enumerate(history[name])
        ]
    assert points(run, "learning_rate") == [(0, 0.01), (1, 0.005), (2, 0.0025)]


def test_a_metric_of_the_users_replaces_ours_of_the_same_name(seen: Recorded, points: Points) -> None:
    class Tells(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            logs.update(epoch_time=42.0, best_epoch=7.0)

    callbacks = [Tells(), keras.callbacks.EarlyStopping("loss", patience=3)]
    model().fit(X, Y, epochs=2, verbose=0, callbacks=callbacks)
    for name, value in (("epoch_time", 42.0), ("best_epoch", 7.0)):
        assert points(seen.run, name) == [(0, value), (1, value)]


class _Once(keras.callbacks.Callback):
    def __init__(self) -> None:
        super().__init__()
        self.began = 0

    def on_train_begin(self, logs: Any = None) -> None:
        self.began += 1


@pytest.mark.parametrize("form", ["positional", "none", "one", "list", "tuple", "nested", "nothing"])
def test_every_form_of_the_arguments_is_recorded_and_left_alone(
    seen: Recorded, points: Points, form: str
) -> None:
    """Complete: callbacks given by position too, or as one object; what was given is as it was, and was told once."""
    own = _Once()
    forms: dict[str, Any] = {
        "positional": [own],
        "one": own,
        "list": [own],
        "tuple": (own,),
        "nested": [[own], []],
    }
    given = forms.get(form)
    if form == "positional":
        model().fit(X, Y, 16, 2, 0, given)
        assert given == [own]
    elif form == "nothing":
        model().fit(X, Y, batch_size=16, epochs=2, verbose=0)
    else:
        model().fit(X, Y, batch_size=16, epochs=2, verbose=0, callbacks=given)
    run = seen.run
    assert (run.params["batch_size"], run.params["epochs"], run.params["verbose"]) == (16, 2, 0)
    assert [step for step, _ in points(run, "loss")] == [0, 1]
    assert own.began == (0 if form in ("none", "nothing") else 1)
    assert run.params.get("callbacks") == (["_Once"] if own.began else None)


def test_nothing_is_added_to_a_callback_list_of_the_users(seen: Recorded, points: Points) -> None:
    for add_history in (True, False):
        one = model()
        made = keras.callbacks.CallbackList([_Once()], add_history=add_history, model=one, epochs=2, steps=2)
        before = list(made.callbacks)
        one.history = None
        one.fit(X, Y, epochs=2, verbose=0, callbacks=made)
        assert made.callbacks == before
    for run in seen.runs:
        assert [step for step, _ in points(run, "loss")] == [0, 1]


def test_callbacks_that_are_used_twice_give_two_complete_runs(seen: Recorded, points: Points) -> None:
    callbacks = [keras.callbacks.EarlyStopping("loss", patience=5)]
    one = model()
    first = one.fit(X, Y, epochs=2, verbose=0, callbacks=callbacks).history["loss"]
    second = one.fit(X, Y, epochs=4, initial_epoch=2, verbose=0, callbacks=callbacks).history["loss"]
    runs = seen.runs
    assert [points(run, "loss") for run in runs] == [
        [(step, round(value, 6)) for step, value in enumerate(first)],
        [(step, round(value, 6)) for step, value in enumerate(second, 2)],
    ]
    assert [run.params["EarlyStopping.patience"] for run in runs] == [5, 5]


def test_batches_are_recorded_if_asked_for(points: Points) -> None:
    with recorded("keras") as seen:
        enable("keras", log_every_n_steps=2)
        model().fit(X, Y, batch_size=16, epochs=2, verbose=0)
    assert [step for step, _ in points(seen.run, "loss_step")] == [1, 3, 5]
    assert [step for step, _ in points(seen.run, "loss")] == [0, 1]


def test_several_inputs_and_outputs_are_recorded_by_name(seen: Recorded) -> None:
    a, b = keras.Input((3,), name="a"), keras.Input((1,), name="b")
    both = keras.layers.Concatenate()([a, b])
    one = keras.Model([a, b], [keras.layers.Dense(1, name="u")(both), keras.layers.Dense(1, name="v")(both)])
    one.compile("sgd", loss={"u": "mse", "v": keras.losses.Huber()}, metrics={"u": ["mae"]}, run_eagerly=True)
    history = one.fit({"a": X, "b": Y}, {"u": Y, "v": Y}, verbose=0).history
    run = seen.run
    assert {name: run.params[name] for name in run.params if name.startswith(("loss", "metrics"))} == {
        "loss.u": "mse", "loss.v": "huber_loss", "metrics.u": ["mae"],
    }  # fmt: skip
    # Versions before 3.5 say no loss of each output.
    assert set(run.metrics) == {"epoch_time", "learning_rate", *history}
    assert {"loss", "u_mae"} <= set(history) <= {"loss", "u_loss", "u_mae", "v_loss"}
    assert run.datasets == [
        {
            "context": "train", "kind": "dict", "rows": 48, "inputs": {"a": "float32 48 x 3", "b": "float32 48 x 1"},
            "outputs": {"u": "float32 48 x 1", "v": "float32 48 x 1"},
        }
    ]  # fmt: skip


class _OfMine(keras.Model):
    """Not built before its first batch."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = keras.layers.Dense(1)

    def call(self, inputs: Any) -> Any:
        return self.dense(inputs)

    def summary(self, *_: Any, **__: Any) -> None:
        raise AssertionError("the user's own")

    def fit(self, *args: Any, **kwargs: Any) -> Any:
        return super().fit(*args, **kwargs)


def test_a_subclass_that_calls_its_parents_fit_is_one_complete_run(seen: Recorded) -> None:
    one = _OfMine()
    one.compile("sgd", "mse", run_eagerly=True)
    one.fit(X, Y, verbose=0)
    run = seen.run
    assert (run.estimator, run.params["model.parameters"]) == ("test_keras_record._OfMine", 4)
    assert [artifact["path"] for artifact in run.artifacts][-1] == "model_summary.txt"


def test_a_learning_rate_schedule_is_params_and_a_series(seen: Recorded, points: Points) -> None:
    class Mine(keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step: Any) -> Any:
            return 0.1

    decaying = keras.optimizers.schedules.InverseTimeDecay(0.5, decay_steps=2, decay_rate=1.0)
    for schedule in (decaying, Mine()):
        model(optimizer=keras.optimizers.SGD(schedule)).fit(X, Y, epochs=2, verbose=0)
    known, mine = seen.runs
    assert {name: known.params[name] for name in known.params if "learning_rate" in name} == {
        "optimizer_learning_rate": "InverseTimeDecay", "optimizer_learning_rate.initial_learning_rate": 0.5,
        "optimizer_learning_rate.decay_steps": 2, "optimizer_learning_rate.decay_rate": 1.0,
        "optimizer_learning_rate.staircase": False,
    }  # fmt: skip
    assert points(known, "learning_rate") == [(0, 0.25), (1, round(0.5 / 3, 6))]
    assert mine.params["optimizer_learning_rate"] == "Mine"
    assert points(mine, "learning_rate") == [(0, 0.1), (1, 0.1)]


def test_an_evaluation_of_a_model_that_was_not_fitted_is_no_run(seen: Recorded) -> None:
    model().evaluate(X, Y, verbose=0)
    assert not seen.runs


def test_what_scikit_learn_measures_of_a_prediction_is_in_the_run() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    with recorded("keras", "sklearn") as seen:
        one = model()
        one.fit(X, Y, verbose=0)
        x_test = X[:8]
        metrics.r2_score(Y[:8], one.predict(x_test, verbose=0))
    assert "r2_score_x_test" in seen.run.metrics
