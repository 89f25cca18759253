"""The promise: Lightning does the same, bit for bit, and nothing of ours can be seen on what the user holds."""

from __future__ import annotations

import copy
import gc
import hashlib
import pickle
import weakref
from typing import Any
from unittest import mock

import pytest
import torch
import torchmetrics
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from regression import Regression, loader, trainer

from autolog import disable, suspended
from autolog.testing import Recorded, recorded


class _Dropping(Regression):
    """Draws random numbers as it trains."""

    def forward(self, x: Any) -> Any:
        return torch.nn.functional.dropout(self.net(x), 0.2, self.training)

    def configure_optimizers(self) -> Any:
        return torch.optim.AdamW(self.parameters(), lr=0.1)


def trained() -> str:
    """A digest of weights, optimizer, checkpoint and random streams after a fit."""
    torch.manual_seed(3)
    one = trainer(max_epochs=2, enable_checkpointing=True, callbacks=[ModelCheckpoint(monitor="val_loss")])
    module = _Dropping()
    one.fit(module, loader(shuffle=True), loader())
    one.test(module, loader(), verbose=False)
    states = [
        module.state_dict(),
        one.optimizers[0].state_dict(),
        torch.get_rng_state(),
        one.callback_metrics,
    ]
    score = one.checkpoint_callback.best_model_score
    return hashlib.sha256(repr((states, score)).encode() + pickle.dumps(_arrays(states))).hexdigest()


def _arrays(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.numpy().tobytes()
    if isinstance(value, dict):
        return [(str(key), _arrays(item)) for key, item in value.items()]
    return [_arrays(item) for item in value] if isinstance(value, list) else value


def test_a_mock_of_torch_save_is_called_by_lightning_only(seen: Recorded) -> None:
    with mock.patch("torch.save") as save:
        trainer(max_epochs=2, enable_checkpointing=True).fit(Regression(), loader(), loader())
    with recorded("torch"), mock.patch("torch.save") as by_hand:
        module = Regression()
        optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
        for batch in loader():
            module.training_step(batch, 0).backward()
            optimizer.step()
        disable("torch")
    assert (save.call_count, by_hand.call_count) == (2, 0)
    assert [model["path"] for model in seen.run.models] == ["model"]


def test_weights_optimizer_and_random_streams_are_the_same_bits() -> None:
    """With and without, and suspended."""
    plain = trained()
    with recorded("lightning") as seen:
        assert trained() == plain
        with suspended("lightning"):
            assert trained() == plain
    assert len(seen.runs) == 1


class _Order(Callback):
    """Notes every hook, the callbacks there are, and the threads."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("on_") or name in ("setup", "teardown"):
            vars(self)["seen"].append(name)
        return super().__getattribute__(name)

    def on_train_start(self, trainer: Any, module: Any) -> None:
        vars(self)["seen"].append([type(one).__name__ for one in trainer.callbacks])
        vars(self)["seen"].append(sorted({**vars(trainer), **vars(module)}))


def hooks() -> list[Any]:
    order = _Order()
    one = trainer(max_epochs=2, callbacks=[order])
    one.fit(Regression(), loader(), loader())
    one.test(one.lightning_module, loader(), verbose=False)
    return [*vars(order)["seen"], one.callbacks == [order], sorted(vars(one))]


def test_callbacks_hooks_and_attributes_are_the_same() -> None:
    plain = hooks()
    with recorded("lightning"):
        assert hooks() == plain


def test_a_trainer_can_be_pickled_and_copied_during_a_fit(seen: Recorded) -> None:
    blobs: list[bytes] = []

    class Pickles(Callback):
        def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
            kept, trainer.callbacks = trainer.callbacks, []
            blobs.append(pickle.dumps((trainer, module)))
            copy.deepcopy(module)
            trainer.callbacks = kept

    trainer(max_epochs=1, callbacks=[Pickles()]).fit(Regression(), loader())
    [blob] = blobs
    assert b"autolog" not in blob.replace(b"enable_autolog_hparams", b"")  # an argument of Lightning's
    assert seen.run.errors == []


def test_trainer_and_module_are_not_kept_alive(seen: Recorded) -> None:
    one, module = trainer(max_epochs=1), Regression()
    one.fit(module, loader())
    one.test(module, loader(), verbose=False)
    held = [weakref.ref(one), weakref.ref(module)]
    del one, module
    gc.collect()
    assert [ref() for ref in held] == [None, None]


class _Measured(Regression):
    """Computes a metric of torchmetrics by itself."""

    def validation_step(self, batch: Any, number: int) -> None:
        error = torchmetrics.MeanSquaredError()
        error.update(self(batch[0]), batch[1])
        self.log("val_error", error.compute())


def test_raw_torch_records_nothing_inside_a_fit() -> None:
    """Once: Lightning owns the loop beneath it, what a logger writes and what torchmetrics computes."""
    pytest.importorskip("tensorboard")
    with recorded("lightning", "torch") as seen:
        trainer(max_epochs=1, logger=TensorBoardLogger(".")).fit(_Measured(), loader(), loader())
    assert [run.framework for run in seen.all_runs] == ["lightning"]
    assert sorted(seen.run.metrics) == ["epoch_time", "lr-SGD", "train_loss", "val_error"]


def test_a_loop_of_fabric_is_a_run_of_torch() -> None:
    from lightning.fabric import Fabric

    with recorded("lightning", "torch") as seen:
        fabric = Fabric(accelerator="cpu", devices=1)
        model = torch.nn.Linear(3, 1)
        model, optimizer = fabric.setup(model, torch.optim.SGD(model.parameters(), lr=0.1))
        data = fabric.setup_dataloaders(loader())
        for _ in range(2):
            for x, y in data:
                optimizer.zero_grad()
                fabric.backward(torch.nn.functional.mse_loss(model(x), y))
                optimizer.step()
        del model, optimizer, data
        disable("torch")  # which ends the run
    run = seen.run
    assert (run.framework, run.params["optimizer"], run.status) == ("torch", "SGD", "finished")
    assert any("loss" in name for name in run.metrics)
