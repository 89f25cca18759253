"""The promise: accelerate, Fabric, ignite and skorch, which drive a raw loop for the user, need nothing of their own."""

from __future__ import annotations

from typing import Any

import loops
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from autolog import RunRecord
from autolog.testing import Recorded, recorded


def values(run: RunRecord, name: str) -> list[float]:
    return [point.value for point in run.history(name)]


def test_accelerate(seen: Recorded) -> None:
    """It divides the loss, fetches a batch ahead and makes loaders of its own."""
    accelerate = pytest.importorskip("accelerate")
    helper = accelerate.Accelerator(gradient_accumulation_steps=2, cpu=True)
    model, criterion = loops.Net(), nn.CrossEntropyLoss()
    model, optimizer, loader, val = helper.prepare(
        model,
        torch.optim.AdamW(model.parameters(), lr=0.01),
        DataLoader(loops.data(), batch_size=8, shuffle=True),
        DataLoader(loops.data(20, 1), batch_size=10),
    )
    told: dict[str, list[float]] = {"train": [], "val": []}
    for _ in range(2):
        model.train()
        losses = []
        for x, y in loader:
            with helper.accumulate(model):
                loss = criterion(model(x), y)
                losses.append(loss.item())
                helper.backward(loss)
                optimizer.step()
                optimizer.zero_grad()
        told["train"].append(sum(losses) / len(losses))
        model.eval()
        with torch.no_grad():
            losses = [criterion(model(x), y).item() for x, y in val]
        told["val"].append(sum(losses) / len(losses))
    seen.client.disable()
    run = seen.run
    assert values(run, "train/loss") == pytest.approx(told["train"])
    assert values(run, "val/loss") == pytest.approx(told["val"])
    assert (run.params["backwards_per_step"], run.params["data.batch_size"]) == (2, 8)
    assert run.metrics["train/loss_step"]["count"] == 6


def test_ignite(seen: Recorded) -> None:
    """Its accuracy is what it reads: a count, of so many samples."""
    pytest.importorskip("ignite")
    from ignite.engine import Events, create_supervised_evaluator, create_supervised_trainer
    from ignite.metrics import Accuracy, Loss

    model, criterion = loops.Net(), nn.CrossEntropyLoss()
    trainer = create_supervised_trainer(model, torch.optim.SGD(model.parameters(), lr=0.1), criterion)
    evaluator = create_supervised_evaluator(model, metrics={"acc": Accuracy(), "nll": Loss(criterion)})
    losses: list[float] = []
    told: list[Any] = []
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: losses.append(engine.state.output))

    def evaluate(_: Any) -> None:
        evaluator.run(DataLoader(loops.data(20, 1), batch_size=10))
        told.append(dict(evaluator.state.metrics))

    trainer.add_event_handler(Events.EPOCH_COMPLETED, evaluate)
    trainer.run(DataLoader(loops.data(), batch_size=16), max_epochs=2)
    seen.client.disable()
    run = seen.run
    assert values(run, "train/loss") == pytest.approx([sum(losses[:3]) / 3, sum(losses[3:]) / 3])
    assert values(run, "val/loss") == pytest.approx([one["nll"] for one in told])
    assert values(run, "val/acc") == pytest.approx([one["acc"] for one in told])


def test_skorch(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an estimator of scikit-learn, whose run its loop's losses are added to."""
    skorch = pytest.importorskip("skorch")
    monkeypatch.setenv("AUTOLOG_CONFIG_DIR", str(tmp_path))
    x, y = loops.xy(60)
    net = skorch.NeuralNetClassifier(
        loops.Net, criterion=nn.CrossEntropyLoss, max_epochs=3, lr=0.1, batch_size=16, verbose=0
    )
    with recorded("torch", "sklearn") as seen:
        net.fit(x.numpy(), y.numpy())
    run = seen.run
    assert run.estimator == "skorch.classifier.NeuralNetClassifier"
    assert values(run, "train/loss") == pytest.approx(net.history[:, "train_loss"])
    assert values(run, "val/loss") == pytest.approx(net.history[:, "valid_loss"])


def test_fabric(seen: Recorded) -> None:
    """Its wrapped model is the user's, with what it is wrapped in; precision as mixed."""
    fabric_of = pytest.importorskip("lightning.fabric").Fabric
    fabric = fabric_of(accelerator="cpu", devices=1, precision="bf16-mixed")
    fabric.launch()
    model = loops.Net()
    model, optimizer = fabric.setup(model, torch.optim.AdamW(model.parameters(), lr=0.01))
    loader, val = fabric.setup_dataloaders(
        DataLoader(loops.data(), batch_size=16), DataLoader(loops.data(20, 1), batch_size=10)
    )
    criterion = nn.CrossEntropyLoss()
    told: dict[str, list[float]] = {"train": [], "val": []}
    for _ in range(2):
        model.train()
        losses = []
        for x, y in loader:
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            losses.append(loss.item())
            fabric.backward(loss)
            optimizer.step()
        told["train"].append(sum(losses) / len(losses))
        model.eval()
        with torch.no_grad():
            losses = [criterion(model(x), y).item() for x, y in val]
        told["val"].append(sum(losses) / len(losses))
    seen.client.disable()
    run = seen.run
    assert (run.estimator, run.params["model.wrappers"], run.params["amp"]) == (
        "loops.Net", ["_FabricModule"], "bfloat16",
    )  # fmt: skip
    assert values(run, "train/loss") == pytest.approx(told["train"])
    assert values(run, "val/loss") == pytest.approx(told["val"])
