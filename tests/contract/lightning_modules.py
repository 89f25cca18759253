"""Modules for `test_lightning`, importable by name so that they can be pickled and loaded in another process: a class for each
of the two packages, made when it is asked for.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

import torch

NAMES = {"Regression": "lightning.pytorch", "PytorchRegression": "pytorch_lightning"}


@cache
def _class(name: str) -> type:
    package: Any = import_module(NAMES[name])

    class Regression(package.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = torch.nn.Sequential(
                torch.nn.Linear(3, 4), torch.nn.Dropout(0.1), torch.nn.Linear(4, 1)
            )

        def forward(self, x: Any) -> Any:
            return self.net(x)

        def training_step(self, batch: Any, number: int) -> Any:
            loss = torch.nn.functional.mse_loss(self(batch[0]), batch[1])
            self.log("loss", loss, on_step=True, on_epoch=True)
            return loss

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters(), lr=0.1)

    Regression.__name__ = Regression.__qualname__ = name
    return Regression


def __getattr__(name: str) -> Any:
    if name in NAMES:
        return _class(name)
    raise AttributeError(name)
