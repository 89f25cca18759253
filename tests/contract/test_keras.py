"""The promises, kept for Keras, on the backend that KERAS_BACKEND names."""

from __future__ import annotations

import io
import os
import random
import re
import zipfile
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import pytest
from packaging.version import Version

from autolog.testing import Contract

pytestmark = [
    pytest.mark.skipif(find_spec("keras") is None, reason="Keras is not installed"),
    pytest.mark.timeout(900),  # TensorFlow takes seconds to import, and some tests have six processes
]

BACKEND = os.environ.get("KERAS_BACKEND", "tensorflow")


class TestKeras(Contract):
    """Slow: each order of import and switch starts a process that imports Keras anew and trains."""

    integration = "keras"
    packages = ("keras",)
    # Keras imports Matplotlib and Rich where they are installed.
    beneath = (
        "tensorflow_alone" if BACKEND == "tensorflow" else BACKEND,
        "matplotlib.pyplot",
        "rich.console",
    )
    without = ("autolog",)  # TensorFlow needs wrapt

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _train_once(cls) -> None:
        """What Keras and its backend import with the first training draws from the random streams."""
        cls().train(cls().data())

    def data(self) -> Any:
        """Imports Keras, which draws from the random streams as it is imported."""
        import numpy as np

        streams = random.getstate(), np.random.get_state()
        import_module("keras")
        random.setstate(streams[0])
        np.random.set_state(streams[1])
        X = np.random.RandomState(0).normal(size=(32, 3)).astype("float32")
        return X, X.sum(axis=1, keepdims=True)

    def train(self, data: Any) -> Any:
        """Keras takes the seeds of initial weights and dropout from Python's global stream: only the backend's is set here."""
        model = self.model()
        model.fit(*data, batch_size=16, epochs=2, verbose=0, validation_split=0.25)
        return model

    def model(self) -> Any:
        import keras

        _seed_backend(keras.backend.backend())
        layers = keras.layers
        # Named: else their names are numbered.
        parts = [
            keras.Input((3,), name="in"), layers.Dense(4, "relu", name="hidden"), layers.Dropout(0.2, name="drop"),
            layers.Dense(1, name="out"),
        ]  # fmt: skip
        model = keras.Sequential(parts, name="small")
        # To trace a graph takes longer than these trainings; what is traced is in tests/integrations.
        model.compile(keras.optimizers.Adam(name="adam"), "mse", metrics=["mae"], run_eagerly=True)
        return model

    def outcome(self, model: Any, data: Any) -> Any:
        return model.get_weights(), model.predict(data[0], verbose=0), model.history.history

    def fail(self, data: Any) -> None:
        import keras

        class Fails(keras.callbacks.Callback):
            def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
                raise KeyError("mine")

        self.model().fit(*data, verbose=0, callbacks=[Fails()])

    def test_pickles_are_the_same_and_load_without_autolog(self) -> None:
        _skip_where_pickles_do_not_load()
        super().test_pickles_are_the_same_and_load_without_autolog()

    def test_patched_functions_and_methods_pickle_and_copy(self) -> None:
        _skip_where_pickles_do_not_load()
        super().test_patched_functions_and_methods_pickle_and_copy()

    def comparable(self, pickled: bytes) -> bytes:
        """A model's pickle is an archive, with times and ids in it."""
        if b"PK\x03\x04" not in pickled:
            return pickled
        archive = zipfile.ZipFile(io.BytesIO(pickled[pickled.index(b"PK\x03\x04") :]))
        parts = [name.encode() + archive.read(name) for name in sorted(archive.namelist())]
        return re.sub(rb'"(date_saved|shared_object_id)": ("[^"]*"|\d+)', b"", b"\n".join(parts))


def _skip_where_pickles_do_not_load() -> None:
    known = Version(version("keras"))
    if known < Version("2.13"):
        pytest.skip("Keras 2.12 does not load its own pickles of compiled models")
    if Version("3") <= known < Version("3.3"):
        pytest.skip("Keras 3.0 to 3.2 do not pickle models")


def _seed_backend(backend: str) -> None:
    if backend == "tensorflow":
        import tensorflow as tf

        tf.random.set_seed(0)
    elif backend == "torch":
        import torch

        torch.manual_seed(0)
