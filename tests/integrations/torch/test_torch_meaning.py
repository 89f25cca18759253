"""The promise: what a loop makes small is better small; what the user names is better as its words say, as a guess."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import autolog
from autolog.testing import Recorded

X = torch.linspace(-1, 1, 24).reshape(8, 3)
DATA = TensorDataset(X, X.sum(dim=1, keepdim=True))


def test_losses_are_better_small_and_own_names_are_guessed(seen: Recorded) -> None:
    """The loss of the training and that of an evaluation, whatever the variables are called."""
    torch.manual_seed(0)
    model, score = nn.Linear(3, 1), nn.MSELoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loader, held_out = DataLoader(DATA, batch_size=4), DataLoader(TensorDataset(*DATA[:4]), batch_size=4)
    for _ in range(3):
        for x, y in loader:
            optimizer.zero_grad()
            accuracy = score(model(x), y)
            accuracy.backward()
            optimizer.step()
        with torch.no_grad():
            for x, y in held_out:
                score(model(x), y)
        run = autolog.current_run()
        assert run is not None
        run.log_metrics({"my_accuracy": 0.5})
    del model, optimizer
    found = {name: (one["direction"], one.get("guess", False)) for name, one in seen.run.metrics.items()}
    assert {name: said for name, said in found.items() if "loss" in name} == {
        "train/loss": ("lower", False), "train/loss_step": ("lower", False), "val/loss": ("lower", False),
    }  # fmt: skip
    assert found["my_accuracy"] == ("higher", True)
    assert found["lr"] == (None, False)
