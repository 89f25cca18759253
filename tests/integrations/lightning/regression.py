"""A small module, its data, and Trainers that say nothing: of `lightning.pytorch`, or of the package that a test names."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import lightning.pytorch as L
import torch
from torch.utils.data import DataLoader, TensorDataset

X = torch.linspace(-1, 1, 96).reshape(32, 3)
Y = X.sum(dim=1, keepdim=True)


class _Steps:
    """What a user writes, for the LightningModule of either package."""

    def __init__(self, lr: float = 0.1) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.net = torch.nn.Linear(3, 1)

    def forward(self, x: Any) -> Any:
        return self.net(x)

    def loss(self, batch: Any) -> Any:
        return torch.nn.functional.mse_loss(self(batch[0]), batch[1])

    def training_step(self, batch: Any, number: int) -> Any:
        loss = self.loss(batch)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: Any, number: int) -> None:
        self.log("val_loss", self.loss(batch))

    def test_step(self, batch: Any, number: int) -> None:
        self.log("test_loss", self.loss(batch))

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=self.hparams.lr)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)]


class Regression(_Steps, L.LightningModule):
    pass


def regression_of(package: str, **hparams: Any) -> Any:
    """The module, of a package."""
    if package == "lightning.pytorch":
        return Regression(**hparams)
    base: Any = import_module(package).LightningModule
    return type("Regression", (_Steps, base), {"__module__": __name__})(**hparams)


def loader(shift: float = 0, **more: Any) -> Any:
    """Four batches of eight."""
    return DataLoader(TensorDataset(X + shift, Y), batch_size=8, **more)


def trainer(package: str = "lightning.pytorch", **arguments: Any) -> Any:
    """A Trainer with nothing but what is given."""
    quiet = dict.fromkeys(("logger", "enable_progress_bar", "enable_model_summary"), False)
    given = {"max_epochs": 1, "accelerator": "cpu", "enable_checkpointing": False, **quiet, **arguments}
    return import_module(package).Trainer(**given)
