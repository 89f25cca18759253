"""The promise: the model that a fit leaves is in the run, and predicts the same wherever it is loaded."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from regression import Regression, X, loader, trainer

import autolog
from autolog.testing import Recorded


class _Local(Regression):
    """Says nothing as it trains: compiled code cannot call `log`."""

    def training_step(self, batch: Any, number: int) -> Any:
        return self.loss(batch)


def test_the_model_is_loaded_natively_and_as_a_predictor(seen: Recorded) -> None:
    module = Regression(lr=0.2)
    trainer(max_epochs=1).fit(module, loader())
    loaded = autolog.load_model(seen.run, trust=True)
    assert type(loaded) is Regression
    assert dict(loaded.hparams) == {"lr": 0.2}
    with torch.no_grad():
        expected = module(X).numpy()
        assert (loaded(X).numpy() == expected).all()
    predictor = autolog.load_model(seen.run, trust=True, as_predictor=True)
    np.testing.assert_array_equal(predictor.predict(X.numpy()), expected)
    assert predictor.predict(loader()).shape == expected.shape


def test_the_requirements_name_torch_and_lightning(seen: Recorded) -> None:
    trainer(max_epochs=1).fit(Regression(), loader())
    lines = (seen.run.folder / "model" / "requirements.txt").read_text()
    assert "torch==" in lines
    assert "lightning==" in lines


def test_a_compiled_module_is_saved_without_the_compiler(seen: Recorded) -> None:
    """Its functions cannot be pickled; the module is left compiled, and is found again by what is measured after."""
    module = _Local()
    compiled = torch.compile(module, backend="eager")
    trainer(max_epochs=1).fit(compiled, loader())
    assert module._compiler_ctx is not None
    assert seen.run.estimator == "test_lightning_model._Local"
    with torch.no_grad():
        assert torch.equal(autolog.load_model(seen.run, trust=True)(X), module(X))


class _Unpicklable(Regression):
    def __init__(self) -> None:
        super().__init__()
        self.rows = (row for row in X)


def test_a_module_that_cannot_be_pickled_is_a_note(seen: Recorded) -> None:
    trainer(max_epochs=1).fit(_Unpicklable(), loader())
    assert (seen.run.status, seen.run.models, seen.run.errors) == ("finished", [], [])
    assert seen.run.notes[0].startswith("The model was not saved:")


def test_no_model_is_saved_if_it_is_not_wanted_or_too_large(seen: Recorded) -> None:
    autolog.enable("lightning", log_models=False)
    trainer(max_epochs=1).fit(Regression(), loader())
    autolog.enable("lightning", log_models=True, max_model_bytes=1000)
    trainer(max_epochs=1).fit(Regression(), loader())
    none, large = seen.runs
    assert (none.models, none.notes, large.models) == ([], [], [])
    assert "limit of 1,000 bytes" in large.notes[0]
