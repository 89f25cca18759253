"""The promise: the model that was trained is in the run, and loads with autolog and with mlflow to predict the same."""

from __future__ import annotations

import json
import sys
import zipfile
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from small import X, Y, model

import autolog
from autolog import RunRecord, UntrustedModel
from autolog.models.errors import ModelNotLoaded
from autolog.testing import Recorded, recorded


def folder(record: RunRecord) -> Path:
    """The model folder of a run."""
    return Path(record.folder, "model")


def test_a_model_loads_back_and_predicts_the_same(seen: Recorded) -> None:
    """As Keras's own object, compiled, and as a predictor of any framework's."""
    one = model()
    one.fit(X, Y, verbose=0)
    expected = one.predict(X, verbose=0)
    loaded = autolog.load_model(folder(seen.run))
    assert (loaded.predict(X, verbose=0) == expected).all()
    assert loaded.optimizer is not None
    assert (autolog.load_model(folder(seen.run), as_predictor=True).predict(X) == expected).all()


@keras.saving.register_keras_serializable(package="tests")
class Doubled(keras.layers.Layer):
    """A layer of the user's."""

    def call(self, inputs: Any) -> Any:
        return inputs * 2


class NoConfig(keras.layers.Layer):
    """One that cannot say what it was made with."""

    def __init__(self, factor: Any) -> None:
        super().__init__()
        self.factor = factor

    def call(self, inputs: Any) -> Any:
        return inputs * self.factor.value


class _Factor:
    value = 2.0


def test_layers_of_the_users_are_saved_or_the_run_says_why_not(seen: Recorded) -> None:
    """Clear: registered ones load; one without a configuration is not saved, with the reason."""
    for layer in (Doubled(), NoConfig(_Factor())):
        one = keras.Sequential([keras.Input((3,)), layer, keras.layers.Dense(1)])
        one.compile("sgd", "mse", run_eagerly=True)
        one.fit(X, Y, verbose=0)
    saved, refused = seen.runs
    assert autolog.load_model(folder(saved)).layers[0].name.startswith("doubled")
    assert not refused.models
    [note] = refused.notes
    assert note.startswith("The model was not saved: NotImplementedError")
    assert (refused.status, refused.errors) == ("finished", [])


def squared(y_true: Any, y_pred: Any) -> Any:
    """A loss of the user's, which another program can import."""
    return keras.ops.mean(keras.ops.square(y_true - y_pred))


def halved(x: Any) -> Any:
    """An activation of the user's."""
    return x / 2


class Own(keras.Model):
    """A model of the user's, registered nowhere."""

    def __init__(self, **known: Any) -> None:
        super().__init__(**known)
        self.dense = keras.layers.Dense(1, activation=halved)

    def call(self, inputs: Any) -> Any:
        return self.dense(inputs)


def test_unregistered_classes_and_functions_load_where_they_can_be_imported(seen: Recorded) -> None:
    layered = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, activation=halved)])
    for one in (Own(), layered):
        one.compile("sgd", squared, metrics=[squared], run_eagerly=True)
        one.fit(X, Y, verbose=0)
        loaded = autolog.load_model(folder(seen.runs[-1]))
        assert (type(loaded), loaded.loss) == (type(one), squared)
        assert (loaded.predict(X, verbose=0) == one.predict(X, verbose=0)).all()


THEIRS = """
import keras

class Theirs(keras.layers.Layer):
    def call(self, inputs):
        return inputs * 2
"""


def test_loading_a_model_of_another_user_imports_none_of_its_modules(
    seen: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "theirs.py").write_text(THEIRS)
    monkeypatch.syspath_prepend(str(tmp_path))
    one = keras.Sequential([keras.Input((3,)), import_module("theirs").Theirs(), keras.layers.Dense(1)])
    one.compile("sgd", "mse", run_eagerly=True)
    one.fit(X, Y, verbose=0)
    place = folder(seen.run)
    monkeypatch.setenv("AUTOLOG_CONFIG_DIR", str(tmp_path / "another"))
    imported: list[bool] = []
    for load in (
        lambda: keras.saving.load_model(place / "data/model.keras"),
        lambda: autolog.load_model(place),
    ):
        monkeypatch.delitem(sys.modules, "theirs")
        with suppress(ModelNotLoaded, TypeError):
            load()
        imported.append("theirs" in sys.modules)
        import_module("theirs")
    assert imported[0] == imported[1]
    assert type(autolog.load_model(place, trust=True).layers[0]).__name__ == "Theirs"


def test_an_error_names_the_local_object_that_a_model_lacks(seen: Recorded) -> None:
    """Clear: it is saved by name; the error says which name, and Keras's own scope gives it."""

    class Tripled(keras.layers.Layer):
        def call(self, inputs: Any) -> Any:
            return inputs * 3

    one = keras.Sequential([keras.Input((3,)), Tripled(), keras.layers.Dense(1)])
    one.compile("sgd", "mse", run_eagerly=True)
    one.fit(X, Y, verbose=0)
    with pytest.raises(ModelNotLoaded, match="Tripled"):
        autolog.load_model(folder(seen.run))
    with keras.saving.custom_object_scope({"Tripled": Tripled}):
        loaded = autolog.load_model(folder(seen.run))
    assert (loaded.predict(X, verbose=0) == one.predict(X, verbose=0)).all()


def test_a_lambda_of_another_user_is_loaded_only_with_trust(seen: Recorded, tmp_path: Path) -> None:
    one = keras.Sequential([keras.Input((3,)), keras.layers.Lambda(lambda x: x * 2), keras.layers.Dense(1)])
    one.compile("sgd", "mse", run_eagerly=True)
    one.fit(X, Y, verbose=0)
    place = folder(seen.run)
    assert (autolog.load_model(place).predict(X, verbose=0) == one.predict(X, verbose=0)).all()
    foreign = json.loads((place / "MLmodel").read_text())
    foreign["metadata"]["autolog"]["signature"] = None
    (place / "MLmodel").write_text(json.dumps(foreign))
    with pytest.raises(UntrustedModel, match="lambda"):
        autolog.load_model(place)
    assert autolog.load_model(place, trust=True).layers


def test_the_saved_weights_are_those_that_early_stopping_restored(seen: Recorded) -> None:
    one = model(optimizer=keras.optimizers.SGD(5.0))
    stopping = keras.callbacks.EarlyStopping("loss", patience=2, restore_best_weights=True)
    one.fit(X, Y, epochs=5, verbose=0, callbacks=[stopping])
    loaded = autolog.load_model(folder(seen.run))
    for left, right in zip(loaded.get_weights(), one.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)
    assert seen.run.metrics["restored_epoch"]["last"] == seen.run.metrics["best_epoch"]["last"]


def test_a_model_may_be_left_out_or_too_large() -> None:
    for options, notes in (({"log_models": False}, 0), ({"max_model_bytes": 100}, 1)):
        with recorded("keras", **options) as seen:
            model().fit(X, Y, verbose=0)
        assert not seen.run.models
        assert len(seen.run.notes) == notes


def test_the_model_file_is_keras_own_format(seen: Recorded) -> None:
    model().fit(X, Y, verbose=0)
    path = folder(seen.run) / "data" / "model.keras"
    assert zipfile.is_zipfile(path)
    assert keras.saving.load_model(path).name == "small"
