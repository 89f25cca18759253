"""The promise: Keras does the same, bit for bit, and nothing of ours can be seen on what the user holds."""

from __future__ import annotations

import gc
import random
import sys
import weakref
from typing import Any

import keras
import numpy as np
import pytest
from small import X, Y, model

from autolog import suspended
from autolog.testing import Recorded, recorded


def trained(eagerly: bool) -> tuple[list[bytes], Any, Any]:
    """Weights, history and where the streams stand, of a training whose seeds are drawn from them."""
    keras.utils.set_random_seed(7)
    one = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(4), keras.layers.Dropout(0.5), keras.layers.Dense(1)]
    )
    one.compile("adam", "mse", run_eagerly=eagerly)
    stopping = keras.callbacks.EarlyStopping("loss", patience=1, restore_best_weights=True)
    first = one.fit(X, Y, epochs=2, verbose=0, callbacks=[stopping]).history
    # A second model: Keras takes its seeds from Python's stream, which must not have moved.
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4), keras.layers.Dense(1)])
    other.compile("sgd", "mse", run_eagerly=eagerly)
    other.fit(X, Y, verbose=0)
    weights = [w.tobytes() for w in (*one.get_weights(), *other.get_weights(), *_variables(one.optimizer))]
    return weights, first, (random.getstate(), repr(np.random.get_state()))


def _variables(optimizer: Any) -> list[Any]:
    return [np.asarray(keras.ops.convert_to_numpy(one)) for one in optimizer.variables]


@pytest.mark.parametrize("eagerly", [True, False])
def test_weights_and_random_streams_are_the_same_bits(eagerly: bool) -> None:
    """With and without, and suspended; eagerly and in a graph."""
    plain = trained(eagerly)
    with recorded("keras") as seen:
        assert trained(eagerly) == plain
        with suspended("keras"):
            assert trained(eagerly) == plain
    assert len(seen.runs) == 2


class _Sees(keras.callbacks.Callback):
    """Notes every hook, and what stands on the model."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("on_"):
            vars(self)["seen"].append(name)
        return super().__getattribute__(name)


def hooks() -> list[Any]:
    sees, one = _Sees(), model()
    given = [sees]
    history = one.fit(X, Y, epochs=2, verbose=0, callbacks=given, validation_split=0.25)
    one.evaluate(X, Y, verbose=0, callbacks=given)
    assert given == [sees]
    return [*sees.seen, sorted(vars(one)), sorted(vars(history)), history.params, sorted(vars(sees))]


def test_callback_hooks_and_attributes_are_the_same() -> None:
    """No callback of ours is there, and every hook is called as often and in the same order."""
    plain = hooks()
    with recorded("keras"):
        assert hooks() == plain


def test_saving_a_model_does_not_change_the_names_that_keras_gives() -> None:
    """Transparent: to save a model, Keras makes objects of its base classes, which are named and so counted."""

    def names() -> list[str]:
        keras.backend.clear_session()
        model().fit(X, Y, verbose=0)
        made = (
            keras.layers.Layer(),
            keras.metrics.Metric(),
            keras.Sequential(),
            keras.optimizers.Optimizer(0.1),
        )
        return [one.name for one in made]

    plain = names()
    with recorded("keras") as seen:
        assert names() == plain
    assert seen.run.models


def test_a_model_is_not_kept_alive(seen: Recorded) -> None:
    one = model()
    one.fit(X, Y, verbose=0)
    one.evaluate(X, Y, verbose=0)
    held = weakref.ref(one)
    del one
    keras.backend.clear_session()
    gc.collect()
    assert held() is None


def test_tensorboard_need_not_be_installed(seen: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "tensorboard"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)  # to import it fails
    model().fit(X, Y, verbose=0)
    assert (seen.run.status, seen.run.errors) == ("finished", [])


def test_every_patch_point_of_this_version_is_there(seen: Recorded) -> None:
    model().fit(X, Y, verbose=0)
    points = seen.client.manager.states["keras"].installations
    # Those of Keras 2 wait for modules that are not there.
    assert [one.patch.target for one in points if one.state == "missing"] == []
    waiting = [one.patch.target for one in points if one.state == "waiting"]
    assert [target for target in waiting if target.startswith("keras.src.trainers")] == []
    assert seen.run.framework_version == keras.__version__
