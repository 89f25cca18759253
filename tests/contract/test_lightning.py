"""The promises, kept for Lightning: for its two packages, whose Trainers are two classes."""

from __future__ import annotations

import copy
import importlib
import importlib.util
import pickletools
import re
from typing import Any

import pytest

from autolog.testing import Contract

# The framework is imported inside the methods: fresh processes import this module first.


class _Lightning(Contract):
    integration = "lightning"
    beneath = ("torch._dynamo", "torchmetrics")
    module = ""

    def data(self) -> Any:
        import numpy as np

        X = np.random.RandomState(0).normal(size=(32, 3)).astype("float32")
        return X, X.sum(axis=1, keepdims=True)

    def train(self, data: Any) -> Any:
        import torch

        torch.manual_seed(0)
        trainer = self._trainer()
        trainer.fit(_module(self.module), _loader(data))
        return trainer

    def outcome(self, model: Any, data: Any) -> Any:
        """`model` is the Trainer, whose methods are patched; it has the module."""
        import torch

        module = copy.deepcopy(model.lightning_module).eval()
        with torch.no_grad():
            predicted = module(torch.as_tensor(data[0])).numpy()
        return predicted, {name: one.numpy() for name, one in module.state_dict().items()}

    def fail(self, data: Any) -> None:
        model = _module(self.module)
        model.training_step = _fails
        self._trainer().fit(model, _loader(data))

    def comparable(self, pickled: bytes) -> bytes:
        # torch names storages by where they are, in a number of more or fewer digits.
        # Sets of texts have an order of their own in each process and copy: so what is in it counts, not where.
        operations = [
            one for one in pickletools.genops(pickled) if one[0].name != "FRAME" and "GET" not in one[0].name
        ]
        address = re.compile(r"X\\(x0.|r)\\x00\\x00\\x00\d{12,}")
        return "\n".join(sorted(address.sub("address", repr(said)) for _, said, _ in operations)).encode()

    def objects(self) -> list[Any]:
        return [self.train(self.data())]

    def _trainer(self) -> Any:
        return importlib.import_module(self.module).Trainer(
            max_epochs=2, logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, log_every_n_steps=2, accelerator="cpu",
        )  # fmt: skip


@pytest.mark.skipif(not importlib.util.find_spec("lightning"), reason="lightning is not installed")
class TestLightning(_Lightning):
    packages = ("lightning",)
    module = "lightning.pytorch"


@pytest.mark.skipif(
    not importlib.util.find_spec("pytorch_lightning"), reason="pytorch_lightning is not installed"
)
class TestPytorchLightning(_Lightning):
    packages = ("pytorch_lightning",)
    module = "pytorch_lightning"


def _loader(data: Any) -> Any:
    import torch

    tensors = [torch.as_tensor(one) for one in data]
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*tensors), batch_size=8, shuffle=True)


def _fails(*_: Any) -> None:
    raise ValueError("no such loss")


def _module(package: str) -> Any:
    import lightning_modules as made

    return getattr(made, next(name for name, known in made.NAMES.items() if known == package))()
