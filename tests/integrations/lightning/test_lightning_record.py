"""The promise: a fit is one complete run, and what it holds is what the user has logged, each value in its place."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import lightning.pytorch as L
import pytest
import torch
import torchmetrics
from regression import Regression, X, Y, loader, regression_of, trainer

from autolog import RunRecord
from autolog.testing import Recorded

Points = Callable[[RunRecord, str], list[tuple[int, float]]]
TENSOR = {"kind": "torch.Tensor", "rows": 32, "dtype": "torch.float32"}


@pytest.mark.parametrize(
    "package",
    [
        "lightning.pytorch",
        pytest.param(
            "pytorch_lightning", marks=pytest.mark.skipif(not find_spec("pytorch_lightning"), reason="absent")
        ),
    ],
)
def test_a_fit_and_a_test_are_one_complete_run(
    seen: Recorded, visible: Callable[[RunRecord], dict[str, Any]], package: str
) -> None:
    """Complete: of either package's Trainer, with its own callbacks; and nothing that is not said here."""
    callbacks = import_module(f"{package}.callbacks")
    stopping = callbacks.EarlyStopping("val_loss", patience=2, min_delta=1e-5)
    keeping = callbacks.ModelCheckpoint(dirpath="kept", filename="{epoch}", monitor="val_loss", save_top_k=2)
    one = trainer(
        package, max_epochs=3, callbacks=[stopping, keeping], enable_checkpointing=True, log_every_n_steps=2
    )
    module = regression_of(package, lr=0.05)
    one.fit(module, loader(), loader())
    one.test(module, loader(), verbose=False)
    shown = visible(seen.run)
    optimizer = {
        name.removeprefix("optimizer."): value
        for name, value in shown["params"].items()
        if name.startswith("optimizer.")
    }
    assert {name: optimizer[name] for name in ("lr", "momentum", "weight_decay", "nesterov")} == {
        "lr": 0.05, "momentum": 0, "weight_decay": 0, "nesterov": False,
    }  # fmt: skip
    shown["params"] = {
        name: value
        for name, value in shown["params"].items()
        if not name.startswith(("optimizer.", "ModelCheckpoint.dirpath"))
    }
    scores = [point.value for point in seen.run.history("val_loss")]
    assert shown == {
        "experiment": "default", "status": "finished", "framework": "lightning", "kind": "fit",
        "estimator": "regression.Regression",
        "params": {
            "lr": 0.05,
            "trainer.max_epochs": 3, "trainer.accelerator": "cpu", "trainer.enable_checkpointing": True,
            "trainer.logger": False, "trainer.enable_progress_bar": False, "trainer.enable_model_summary": False,
            "trainer.log_every_n_steps": 2, "trainer.callbacks": ["EarlyStopping", "ModelCheckpoint"],
            "accelerator": "CPUAccelerator", "strategy": "SingleDeviceStrategy", "devices": 1, "num_nodes": 1,
            "world_size": 1, "precision": "32-true", "model.parameters": 4, "model.trainable_parameters": 4,
            "data.batch_size": 8, "data.batches": 4, "optimizer": "SGD",
            "scheduler": "StepLR", "scheduler.interval": "epoch", "scheduler.frequency": 1, "scheduler.step_size": 1,
            "scheduler.gamma": 0.5,
            "EarlyStopping.monitor": "val_loss", "EarlyStopping.mode": "min", "EarlyStopping.patience": 2,
            "EarlyStopping.min_delta": 1e-5, "EarlyStopping.check_finite": True,
            "ModelCheckpoint.monitor": "val_loss", "ModelCheckpoint.mode": "min", "ModelCheckpoint.save_top_k": 2,
            "ModelCheckpoint.save_weights_only": False, "ModelCheckpoint.filename": "{epoch}",
        },
        "metrics": {
            "train_loss": [0, 1, 2], "train_loss_step": [1, 3, 5, 7, 9, 11], "val_loss": [0, 1, 2], "lr-SGD": [0, 1, 2],
            "epoch_time": [0, 1, 2], "test_loss": [2], "best_epoch": [0], "best_score": [0], "best_model_score": [0],
        },
        "tags": {"best_model_path": f"{keeping.dirpath}/epoch=2.ckpt"}, "error": None, "errors": [], "notes": [],
        "datasets": [
            {"context": context, "columns": 3, **TENSOR, "target": {**TENSOR, "columns": 1}}
            for context in ("train", "validation", "test")
        ],
        "artifacts": ["checkpoints.json", "checkpoints/epoch=2.ckpt", *_MODEL], "models": [("model", "pytorch")],
    }  # fmt: skip
    assert min(scores) == scores[2] == seen.run.metrics["best_score"]["last"]


_MODEL = [
    f"model/{name}" for name in
    ("MLmodel", "code/regression.py", "conda.yaml", "data/model.pth", "data/pickle_module_info.txt", "python_env.yaml",
     "requirements.txt")
]  # fmt: skip


class _EveryForm(Regression):
    """Logs what its batches have as second column of the target: 0, 1, 2, 3."""

    def training_step(self, batch: Any, number: int) -> Any:
        value = torch.tensor(float(number))
        self.log("step", value, on_step=True, on_epoch=False)
        self.log("epoch", value, on_step=False, on_epoch=True)
        self.log("both", value, on_step=True, on_epoch=True)
        self.log("largest", value, on_step=False, on_epoch=True, reduce_fx="max")
        self.log("unlogged", value, on_epoch=True, on_step=False, logger=False)
        self.log_dict({"a": value, "b": value + 1}, on_step=False, on_epoch=True)
        return self.loss(batch)

    def validation_step(self, batch: Any, number: int) -> None:
        self.log("val_both", float(number), on_step=True, on_epoch=True)

    def on_train_epoch_end(self) -> None:
        self.log("at_the_end", 7.0)


def test_every_form_of_log_is_recorded(seen: Recorded, points: Points) -> None:
    """Complete: per step under `<name>_step` every n steps, per epoch under the name, reduced as Lightning does."""
    trainer(max_epochs=2, log_every_n_steps=2).fit(_EveryForm(), loader(), loader())
    run = seen.run
    assert {name: points(run, name) for name in run.metrics if name not in ("epoch_time", "lr-SGD")} == {
        "step": [(0, 3.0), (1, 3.0)], "step_step": [(1, 1.0), (3, 3.0), (5, 1.0), (7, 3.0)],
        "epoch": [(0, 1.5), (1, 1.5)], "largest": [(0, 3.0), (1, 3.0)], "unlogged": [(0, 1.5), (1, 1.5)],
        "a": [(0, 1.5), (1, 1.5)], "b": [(0, 2.5), (1, 2.5)],
        "both": [(0, 1.5), (1, 1.5)], "both_epoch": [(0, 1.5), (1, 1.5)],
        "both_step": [(1, 1.0), (3, 3.0), (5, 1.0), (7, 3.0)],
        "val_both": [(0, 1.5), (1, 1.5)], "val_both_epoch": [(0, 1.5), (1, 1.5)],
        "val_both_step": [(0, 0.0), (1, 1.0), (2, 2.0), (3, 3.0), (4, 0.0), (5, 1.0), (6, 2.0), (7, 3.0)],
        "at_the_end": [(0, 7.0), (1, 7.0)],
    }  # fmt: skip


class _HasOurNames(Regression):
    """Logs what has the names of metrics that are ours, in training and in validation."""

    def training_step(self, batch: Any, number: int) -> Any:
        self.log_dict({"lr-SGD": 0.25, "loss": 1.0})
        return self.loss(batch)

    def validation_step(self, batch: Any, number: int) -> None:
        self.log("epoch_time", 64.0)
        self.log("val_loss", self.loss(batch))

    def on_train_epoch_end(self) -> None:
        self.log("best_score", 32.0)


def test_a_metric_of_the_users_replaces_ours_of_the_same_name(seen: Recorded, points: Points) -> None:
    stopping = import_module("lightning.pytorch.callbacks").EarlyStopping("val_loss")
    trainer(max_epochs=2, callbacks=[stopping]).fit(_HasOurNames(), loader(), loader())
    expected = {"lr-SGD": 0.25, "epoch_time": 64.0, "best_score": 32.0}
    assert {name: points(seen.run, name) for name in expected} == {
        name: [(0, value), (1, value)] for name, value in expected.items()
    }


class _NamedAfterSteps(Regression):
    def training_step(self, batch: Any, number: int) -> Any:
        self.log("n_step", float(number))
        self.log("both", float(number), on_step=True, on_epoch=True)
        return self.loss(batch)


def test_a_users_metric_whose_name_ends_in_step_is_a_series_of_its_own(
    seen: Recorded, points: Points
) -> None:
    """In order: an epoch's value under the name, as in `callback_metrics`, and the batches' under `<name>_step`."""
    trainer(max_epochs=2, log_every_n_steps=2).fit(_NamedAfterSteps(), loader())
    batches = [(1, 1.0), (3, 3.0), (5, 1.0), (7, 3.0)]
    assert {name: points(seen.run, name) for name in seen.run.metrics if name.startswith(("n_", "both"))} == {
        "n_step": [(0, 3.0), (1, 3.0)], "n_step_step": batches,
        "both": [(0, 1.5), (1, 1.5)], "both_epoch": [(0, 1.5), (1, 1.5)], "both_step": batches,
    }  # fmt: skip


@pytest.mark.parametrize(
    "how",
    [
        {"num_sanity_val_steps": 0},
        {"fast_dev_run": 2},
        {"num_sanity_val_steps": 0, "check_val_every_n_epoch": 2},
    ],
    ids=["without a sanity check", "fast_dev_run", "only in the second epoch"],
)
def test_validation_data_that_is_there_later_is_described(seen: Recorded, how: dict[str, Any]) -> None:
    trainer(max_epochs=2, **how).fit(Regression(), loader(), loader())
    assert [(one["context"], one["rows"]) for one in seen.run.datasets] == [("train", 32), ("validation", 32)]


class _Measured(Regression):
    def __init__(self) -> None:
        super().__init__()
        self.error = torchmetrics.MeanSquaredError()

    def validation_step(self, batch: Any, number: int, dataloader_idx: int = 0) -> None:
        self.error(self(batch[0]), batch[1])
        self.log("val_error", self.error)


def test_torchmetrics_and_several_loaders_are_recorded_once_each(seen: Recorded, points: Points) -> None:
    """Complete: under the names that Lightning gives them, and computed by Lightning, not again."""
    module = _Measured()
    trainer(max_epochs=2).fit(module, loader(), [loader(), loader()])
    series = [points(seen.run, f"val_error/dataloader_idx_{number}") for number in (0, 1)]
    assert [step for step, _ in series[0]] == [step for step, _ in series[1]] == [0, 1]
    final = float(torch.nn.functional.mse_loss(module(X), Y))
    assert [one[-1] for one in series] == [(1, pytest.approx(final, abs=1e-6))] * 2


class _Gan(Regression):
    """Two optimizers, stepped by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.judge = torch.nn.Linear(1, 1)

    def training_step(self, batch: Any, number: int) -> None:
        for name, optimizer in zip("gd", self.optimizers(), strict=True):
            loss = self.judge(self(batch[0])).pow(2).mean()
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
            self.log(f"loss_{name}", loss, on_epoch=True, on_step=False)

    def configure_optimizers(self) -> Any:
        groups = [{"params": [self.judge.weight]}, {"params": [self.judge.bias], "lr": 0.5}]
        return [torch.optim.Adam(self.net.parameters(), lr=0.01), torch.optim.SGD(groups, lr=0.1)]


def test_manual_optimization_with_two_optimizers(seen: Recorded, points: Points) -> None:
    """Complete: each optimizer with its groups; steps are counted once, as Lightning's loggers count them."""
    trainer(max_epochs=1, log_every_n_steps=2).fit(_Gan(), loader())
    run = seen.run
    names = ("optimizer", "optimizer.lr", "optimizer2", "optimizer2.lr", "optimizer2.group1.lr")
    assert [run.params[name] for name in names] == ["Adam", 0.01, "SGD", 0.1, 0.5]
    assert {name: points(run, name) for name in run.metrics if name.startswith("lr")} == {
        "lr-Adam": [(0, 0.01)], "lr-SGD/pg1": [(0, 0.1)], "lr-SGD/pg2": [(0, 0.5)],
    }  # fmt: skip
    assert [step for step, _ in points(run, "loss_g")] == [0]


class _Loaders(L.LightningDataModule):
    """Has hparams of its own."""

    def __init__(self, folds: int) -> None:
        super().__init__()
        self.save_hyperparameters()

    def train_dataloader(self) -> Any:
        return loader()

    val_dataloader = train_dataloader


class _Plateau(Regression):
    """Has an hparam with a name that is also ours, one that is secret, and one that is no plain value."""

    def __init__(self, precision: str, api_key: str, layers: list[int], activation: Any) -> None:
        super().__init__()

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.Adam(self.parameters(), lr=0.1)
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=3)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": plateau, "monitor": "val_loss", "frequency": 2},
        }


def test_hparams_precision_and_schedule_are_params(seen: Recorded, points: Points) -> None:
    """Complete: those of a data module too, in whichever place it was given; a user's own name is the user's."""
    module = _Plateau(precision="mine", api_key="secret-123", layers=[3, 1], activation=torch.nn.ReLU())
    one = trainer(max_epochs=2, precision="bf16-mixed", accumulate_grad_batches=2, log_every_n_steps=1)
    one.fit(module, _Loaders(folds=5))
    run = seen.run
    expected = {
        "folds": 5, "layers": [3, 1], "activation": "ReLU", "precision": "mine", "trainer.precision": "bf16-mixed",
        "trainer.accumulate_grad_batches": 2, "optimizer": "Adam", "optimizer.betas": [0.9, 0.999],
        "scheduler": "ReduceLROnPlateau", "scheduler.patience": 3, "scheduler.monitor": "val_loss",
        "scheduler.frequency": 2, "scheduler.interval": "epoch", "data.batch_size": 8,
    }  # fmt: skip
    assert {name: run.params[name] for name in expected} == expected
    assert run.params["api_key"].startswith("<redacted:")
    # Lightning counts a step where the optimizer steps: after every second of the four batches.
    assert [step for step, _ in points(run, "train_loss_step")] == [0, 1, 2, 3]


class _Endless(torch.utils.data.IterableDataset):
    """Counts what is taken from it."""

    taken = 0

    def __iter__(self) -> Any:
        while True:
            self.taken += 1
            yield X[0], Y[0]


def test_no_row_of_endless_data_is_taken(seen: Recorded) -> None:
    data = _Endless()
    trainer(max_steps=5, max_epochs=-1, log_every_n_steps=1).fit(
        Regression(), torch.utils.data.DataLoader(data, batch_size=2)
    )
    run = seen.run
    assert data.taken <= 12  # a batch is fetched ahead
    assert (run.params["data.batch_size"], run.params["trainer.max_steps"]) == (2, 5)
    assert "data.batches" not in run.params
    assert [point.step for point in run.history("train_loss_step")] == [0, 1, 2, 3, 4]
    assert (run.status, [dataset["context"] for dataset in run.datasets]) == ("finished", ["train"])


class _Unoptimized(Regression):
    def configure_optimizers(self) -> None:
        return None


def test_a_module_without_optimizers_is_recorded(seen: Recorded, points: Points) -> None:
    trainer(max_epochs=2).fit(_Unoptimized(), loader(), loader())
    run = seen.run
    assert [name for name in run.params if name.startswith(("optimizer", "scheduler"))] == []
    assert {name: len(points(run, name)) for name in run.metrics} == {
        "train_loss": 2,
        "val_loss": 2,
        "epoch_time": 2,
    }


def test_several_validations_an_epoch_are_counted_in_steps(seen: Recorded, points: Points) -> None:
    """Complete and in order: an epoch is too coarse for them; what was not evaluated anew is not repeated."""
    trainer(max_epochs=2, val_check_interval=2).fit(Regression(), loader(), loader())
    trainer(max_epochs=4, check_val_every_n_epoch=2).fit(Regression(), loader(), loader())
    often, seldom = seen.runs
    assert [(p.step, p.epoch) for p in often.history("val_loss")] == [(1, 0), (3, 0), (5, 1), (7, 1)]
    assert [(p.step, p.epoch) for p in seldom.history("val_loss")] == [(1, 1), (3, 3)]
    assert [p.step for p in seldom.history("train_loss")] == [0, 1, 2, 3]


def test_learning_rates_are_those_that_an_epoch_began_with(seen: Recorded, points: Points) -> None:
    trainer(max_epochs=3).fit(Regression(lr=0.4), loader())
    assert points(seen.run, "lr-SGD") == [(0, 0.4), (1, 0.2), (2, 0.1)]


def test_a_trainer_made_before_the_switch_shows_its_settings(points: Points) -> None:
    """Complete: what was given is not known then, so all plain settings are shown."""
    from autolog.testing import recorded

    one = trainer(max_epochs=1, accumulate_grad_batches=2)
    with recorded("lightning") as seen:
        one.fit(Regression(), loader())
    assert seen.run.params["trainer.accumulate_grad_batches"] == 2
    assert seen.run.params["trainer.max_epochs"] == 1
