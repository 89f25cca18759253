"""The promise: what a script records itself, by TensorBoard or torchmetrics, is recorded under its own names, once."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import loops
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from autolog import RunRecord
from autolog.testing import Recorded, recorded

sys.path.insert(0, str(Path(__file__).parents[2]))

from helpers import script


def points(run: RunRecord, name: str) -> list[tuple[int, float | None, float]]:
    return [(point.step, point.epoch, round(point.value, 6)) for point in run.history(name)]


def close(values: Any) -> Any:
    return [(step, epoch, pytest.approx(value, abs=1e-5)) for step, epoch, value in values]


def writer_of(module: str, folder: Any) -> Any:
    if not find_spec("tensorboard" if module.startswith("torch") else module):
        pytest.skip(f"{module} is not installed")
    return pytest.importorskip(module).SummaryWriter(str(folder))


@pytest.mark.parametrize("module", ["torch.utils.tensorboard", "tensorboardX"])
def test_what_is_written_to_tensorboard(seen: Recorded, tmp_path: Any, module: str) -> None:
    """At the script's own steps, whatever kind of number it is; the first value comes before the run, the last after it."""
    writer = writer_of(module, tmp_path)
    model = loops.Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, y = loops.xy(32)
    losses = []
    for step in range(4):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        writer.add_scalar("Loss/train", loss, step * 10)
        optimizer.step()
        losses.append(float(loss.detach()))
    writer.add_scalars("both", {"a": 1.5, "b": torch.tensor(2)}, 7)
    writer.add_scalar("plain", loss.detach().numpy(), global_step=3)
    writer.add_scalar("no step", 4)
    writer.add_hparams({"bsize": 32, "kind": "small"}, {"hparam/accuracy": 0.5}, global_step=1)
    writer.close()
    seen.client.disable()
    run = seen.run
    assert points(run, "Loss/train") == close((10 * n, 0, loss) for n, loss in enumerate(losses))
    assert points(run, "both/a") == [(7, 0, 1.5)]
    assert points(run, "both/b") == [(7, 0, 2)]
    assert points(run, "plain") == close([(3, 0, losses[-1])])
    assert points(run, "no step") == [(3, 0, 4)]
    assert points(run, "hparam/accuracy") == [(1, 0, 0.5)]
    assert (run.params["bsize"], run.params["kind"]) == (32, "small")
    assert run.errors == []


def test_a_name_of_ours_that_the_script_uses_is_its_own(seen: Recorded, tmp_path: Any) -> None:
    """No value of ours between those of the user, and what it reads to write it is not recorded once more."""
    writer = writer_of("torch.utils.tensorboard", tmp_path)
    model, criterion = loops.Net(), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    train, val, means, wanted = loops.data(), DataLoader(loops.data(20, 1), batch_size=10), [], []
    for epoch in range(2):
        model.train()
        losses = []
        for x, y in DataLoader(train, batch_size=16):
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        means.append(sum(losses) / 3)
        writer.add_scalar("train/loss", means[-1], epoch)
        model.eval()
        with torch.no_grad():
            guesses = torch.cat([model(x).argmax(1) == y for x, y in val])
        accuracy = guesses.float().mean().item()
        writer.add_scalar("val/accuracy", accuracy, epoch)
        writer.add_scalar("lr", optimizer.param_groups[0]["lr"], epoch)
        wanted.append(accuracy)
    writer.close()
    seen.client.disable()
    run = seen.run
    assert points(run, "train/loss") == close([(0, 0, means[0]), (1, 1, means[1])])
    assert points(run, "val/accuracy") == close([(0, 0, wanted[0]), (1, 1, wanted[1])])
    assert points(run, "lr")[-2:] == [(0, 0, 0.1), (1, 1, 0.1)]
    assert not [name for name in run.metrics if "reads" in name]


def test_each_training_has_what_was_written_in_it(seen: Recorded, tmp_path: Any) -> None:
    """Also what is written before its first step, when it is not known yet to be a training of its own."""
    writer = writer_of("torch.utils.tensorboard", tmp_path)
    for number in range(3):
        model = loops.Net()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(2):
            loss = model(loops.xy()[0]).pow(2).mean()
            loss.backward()
            writer.add_scalar("number", number, 0)
            optimizer.step()
    writer.close()
    seen.client.disable()
    assert [points(run, "number") for run in seen.runs] == [[(0, 0, n)] * 2 for n in range(3)]


def test_metrics_of_torchmetrics(seen: Recorded) -> None:
    """What the script computes, by its name, of training and of validation; not each batch, and no result twice."""
    torchmetrics = pytest.importorskip("torchmetrics")
    model = loops.Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    kind = {"task": "multiclass", "num_classes": 3}
    accuracy, val_acc = torchmetrics.Accuracy(**kind), torchmetrics.Accuracy(**kind)
    both = torchmetrics.MetricCollection(
        {"f1": torchmetrics.F1Score(**kind), "mean": torchmetrics.MeanMetric()}, prefix="of_"
    )
    told: dict[str, list[float]] = {"accuracy": [], "val_acc": [], "of_mean": [], "metric": []}
    for _ in range(2):
        model.train()
        for x, y in DataLoader(loops.data(), batch_size=16):
            optimizer.zero_grad()
            out = model(x)
            nn.functional.cross_entropy(out, y).backward()
            optimizer.step()
            accuracy(out, y)  # gives the batch's
        told["accuracy"].append(accuracy.compute().item())
        assert accuracy.compute().item() == told["accuracy"][-1]
        accuracy.reset()
        model.eval()
        with torch.no_grad():
            for x, y in DataLoader(loops.data(20, 1), batch_size=10):
                val_acc.update(model(x), y)
                both["mean"].update(model(x))
                both["f1"].update(model(x), y)
        told["val_acc"].append(float(val_acc.compute()))
        told["of_mean"].append(both.compute()["of_mean"].item())
        for metric in (torchmetrics.MinMetric(),):
            metric.update(3)
            told["metric"].append(float(metric.compute()))
    seen.client.disable()
    run = seen.run
    steps = (2, 5)
    for name, wanted in (
        ("train/accuracy", told["accuracy"]), ("val_acc", told["val_acc"]), ("val/of_mean", told["of_mean"]),
        ("val/MinMetric", told["metric"]),
    ):  # fmt: skip
        assert points(run, name) == close(zip(steps, range(2), wanted, strict=True))
    assert set(run.metrics) - {"train/loss", "train/loss_step", "lr", "data_wait", "samples_per_second"} == {
        "train/accuracy", "val_acc", "val/of_mean", "val/of_f1", "val/MinMetric",
    }  # fmt: skip


def test_metrics_are_left_as_they_are(seen: Recorded) -> None:
    """They pickle, copy and compute as before."""
    import pickle

    torchmetrics = pytest.importorskip("torchmetrics")
    metric = torchmetrics.MeanMetric()
    metric.update(2.0)
    metric.update(4.0)
    data = pickle.dumps(metric)
    assert b"autolog" not in data
    assert pickle.loads(data).compute() == metric.compute() == 3


BROKEN = """
import sys
sys.path.insert(0, {folder!r})
import autolog
autolog.autolog(silent=True)
import torch
for name in ("tensorboardX", "torchmetrics"):
    try:
        __import__(name)
    except RuntimeError as error:
        print(error)
model = torch.nn.Linear(2, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(2):
    model(torch.ones(4, 2)).sum().backward()
    optimizer.step()
print(sorted(name for name in sys.modules if name in ("tensorboard", "torchmetrics", "tensorboardX")))
"""


def test_packages_that_are_broken_or_not_used_do_no_harm(tmp_path: Path) -> None:
    """Their own exception reaches the user; nothing is imported by us."""
    for name in ("tensorboardX", "torchmetrics"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('broken: ' + __name__)")
    code = BROKEN.format(folder=str(tmp_path))
    done = script(code, tmp_path, timeout=200, beneath=("torch._dynamo",), AUTOLOG_STRICT="1")
    assert done.stdout.splitlines() == ["broken: tensorboardX", "broken: torchmetrics", "[]"], done.stderr


def test_what_lightning_computes_and_writes_is_not_recorded_twice(tmp_path: Any) -> None:
    """Inside its Trainer, metrics and writers are its own; the loop's names are not there."""
    pytest.importorskip("lightning")
    torchmetrics = pytest.importorskip("torchmetrics")
    from lightning.pytorch import LightningModule, Trainer
    from lightning.pytorch.loggers import TensorBoardLogger

    class Module(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 3)
            self.accuracy = torchmetrics.Accuracy(task="multiclass", num_classes=3)

        def training_step(self, batch: Any, number: int) -> Any:
            x, y = batch
            loss = nn.functional.cross_entropy(self.layer(x), y)
            self.accuracy.update(self.layer(x), y)
            self.log("loss", loss, on_epoch=True, on_step=False)
            self.logger.experiment.add_scalar("by_hand", loss.item(), number)
            return loss

        def on_train_epoch_end(self) -> None:
            self.log("accuracy", self.accuracy.compute())
            self.accuracy.reset()

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.1)

    with recorded("torch", "lightning") as seen:
        logger = TensorBoardLogger(str(tmp_path))
        trainer = Trainer(
            max_epochs=2, logger=logger, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, log_every_n_steps=1, accelerator="cpu",
        )  # fmt: skip
        trainer.fit(Module(), DataLoader(loops.data(), batch_size=16))
    run = seen.run
    assert (run.framework, run.metrics["accuracy"]["count"], run.metrics["loss"]["count"]) == (
        "lightning",
        2,
        2,
    )
    assert not [
        name for name in run.metrics if name.startswith(("train/", "val/", "reads/")) or "hand" in name
    ]
