"""The promise: a run of a raw loop says all that can be told of it, under names that a reader understands. Whole records."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from typing import Any

import loops
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import autolog
from autolog import RunRecord
from autolog.testing import Recorded

Visible = Callable[[RunRecord], dict[str, Any]]

SGD = {
    "optimizer": "SGD", "optimizer.lr": 0.1, "optimizer.momentum": 0, "optimizer.dampening": 0,
    "optimizer.weight_decay": 0, "optimizer.nesterov": False, "optimizer.maximize": False,
    "optimizer.differentiable": False,
}  # fmt: skip
NET = {
    "model": "Net", "model.parameters": 83, "model.trainable_parameters": 83, "model.dtype": "float32",
    "model.device": "cpu",
}  # fmt: skip
MODEL = ["model/data/model.pth", "model/data/pickle_module_info.txt"]


def near(values: Any) -> Any:
    return [(step, epoch, pytest.approx(value, abs=1e-4)) for step, epoch, value in values]


def test_epochs_over_a_loader(seen: Recorded, visible: Visible) -> None:
    """A whole record: what every such loop has."""
    (means,) = loops.epochs_over_a_loader().values()
    seen.client.disable()
    shown = visible(seen.run)
    each = shown["metrics"].pop("train/loss_step")
    assert [(step, epoch) for step, epoch, _ in each] == [(step, step // 3) for step in range(9)]
    assert shown == {
        "status": "finished", "framework": "torch", "kind": "train", "estimator": "loops.Net",
        "params": {
            **SGD, **NET, "loss": "CrossEntropyLoss", "data.batch_size": 16, "data.dataset": "TensorDataset", "data.size": 48,
            "data.sampler": "RandomSampler", "data.workers": 0, "data.drop_last": False, "data.pin_memory": False,
        },
        "metrics": {
            "train/loss": near([(2, 0, means[0]), (5, 1, means[1]), (8, 2, means[2])]),
            "lr": [(0, 0, 0.1), (2, 0, 0.1), (5, 1, 0.1), (8, 2, 0.1)],
        },
        "tags": {}, "error": None, "errors": [], "notes": [],
        "datasets": [
            {"context": "train", "kind": "torch.Tensor", "rows": 48, "columns": 4, "dtype": "torch.float32",
             "target": {"kind": "torch.Tensor", "rows": 48, "dtype": "torch.int64"}},
        ],
        "artifacts": MODEL, "models": [("model", "pytorch")],
    }  # fmt: skip
    assert 0 < seen.run.metrics["data_wait"]["last"] <= 1
    assert seen.run.metrics["samples_per_second"]["count"] == 3


def test_training_and_validation(seen: Recorded, visible: Visible) -> None:
    """The schedule, the validation's loss weighted by samples, and the accuracy that the script counts."""
    numbers = loops.training_and_validation()
    seen.client.disable()
    shown = visible(seen.run)
    steps = (2, 5, 8)
    del shown["metrics"]["train/loss_step"]
    assert shown["metrics"] == {
        "train/loss": near(zip(steps, range(3), numbers["train"], strict=True)),
        "val/loss": near(zip(steps, range(3), numbers["validation"], strict=True)),
        "val/reads/correct": near(zip(steps, range(3), numbers["accuracy"], strict=True)),
        "lr": near(
            [(0, 0, 0.01), (2, 0, 0.01), (3, 1, 0.005), (5, 1, 0.005), (6, 2, 0.0025), (8, 2, 0.0025)]
        ),
    }
    params = {name: value for name, value in shown["params"].items() if name.startswith("scheduler")}
    assert params == {"scheduler": "StepLR", "scheduler.gamma": 0.5, "scheduler.step_size": 1}


def test_a_schedule_that_is_made_of_others_is_recorded_as_such(seen: Recorded) -> None:
    """Not as the one of them that was made last."""
    from torch.optim import lr_scheduler

    def train(schedule: Callable[[Any], Any]) -> None:
        model = nn.Linear(4, 3)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        scheduler = schedule(optimizer)
        loops._steps(model, optimizer, 2)
        scheduler.step()

    def parts(optimizer: Any) -> list[Any]:
        return [lr_scheduler.LinearLR(optimizer, total_iters=2), lr_scheduler.ExponentialLR(optimizer, 0.9)]

    train(lambda optimizer: lr_scheduler.SequentialLR(optimizer, parts(optimizer), milestones=[2]))
    train(lambda optimizer: lr_scheduler.ChainedScheduler(parts(optimizer)))
    seen.client.disable()
    names = ["LinearLR", "ExponentialLR"]
    found = [{k: v for k, v in run.params.items() if k.startswith("scheduler")} for run in seen.runs]
    assert found == [
        {"scheduler": "SequentialLR", "scheduler.schedulers": names, "scheduler.milestones": [2]},
        {"scheduler": "ChainedScheduler", "scheduler.schedulers": names},
    ]


def test_two_optimizers_are_one_run(seen: Recorded, visible: Visible) -> None:
    """A GAN: each loss by its name, both optimizers, both models."""
    numbers = loops.gan()
    seen.client.disable()
    shown = visible(seen.run)
    assert {name for name in shown["metrics"] if name.startswith(("train", "reads"))} == {
        *(f"train/loss.{name}{end}" for name in ("errD_real", "errD_fake", "errG") for end in ("", "_step")),
        "reads/D_x",
    }  # fmt: skip
    each = [value for _, _, value in shown["metrics"]["train/loss.errG_step"]]
    assert each == pytest.approx(numbers["errG"], abs=1e-5)
    assert (shown["params"]["optimizer.lr"], shown["params"]["optimizer2.lr"]) == (0.002, 0.001)
    assert (shown["params"]["model.parameters"], shown["params"]["model2.parameters"]) == (5, 12)
    assert shown["models"] == [("model", "pytorch"), ("model2", "pytorch")]


def test_accumulated_gradients_are_one_step(seen: Recorded) -> None:
    """The division by four is undone: the loss is the loss."""
    loops.accumulation_with_amp()
    seen.client.disable()
    params = seen.run.params
    assert (params["backwards_per_step"], params["amp"], params["scheduler"]) == (4, "bfloat16", "OneCycleLR")
    assert len(seen.run.history("train/loss_step")) == 12


@pytest.mark.parametrize("keep", [False, True])
def test_accumulated_gradients_are_one_step_in_each_training(seen: Recorded, keep: bool) -> None:
    """Of the second run of a helper, too, whether or not the first one's optimizer is alive."""
    kept: list[Any] = []
    told: list[list[float]] = []

    def train() -> None:
        model = nn.Sequential(nn.Linear(4, 3))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        losses = []
        for number in range(8):
            x, y = loops.xy(8, number)
            loss = F.cross_entropy(model(x), y)
            losses.append(loss.detach().item())
            (loss / 2).backward()
            if number % 2:
                optimizer.step()
                optimizer.zero_grad()
        told.append([(a + b) / 2 for a, b in zip(losses[::2], losses[1::2], strict=True)])
        kept.extend([optimizer] if keep else [])

    for _ in range(3):
        train()
    seen.client.disable()
    found = [[p.value for p in run.history("train/loss_step")] for run in seen.runs]
    assert found == [pytest.approx(losses) for losses in told]


def test_a_sweep_is_twenty_runs_each_with_its_own_model(seen: Recorded) -> None:
    """Params, losses and the very weights, though no model outlives its function."""
    weights = []

    def train(lr: float) -> None:
        model = loops.Net()
        loops._steps(model, torch.optim.SGD(model.parameters(), lr=lr), 3)
        weights.append({name: tensor.clone() for name, tensor in model.state_dict().items()})

    for number in range(20):
        train(0.01 * (number + 1))
    seen.client.disable()
    runs = seen.runs
    assert [run.params["optimizer.lr"] for run in runs] == pytest.approx([0.01 * (n + 1) for n in range(20)])
    for run, expected in zip(runs, weights, strict=True):
        model = autolog.load_model(run.folder / "model", trust=True)
        assert type(model) is loops.Net
        assert all((tensor == expected[name]).all() for name, tensor in model.state_dict().items())


def test_two_stages_are_one_run(seen: Recorded) -> None:
    """The second optimizer shares the first one's model."""
    loops.two_stages()
    seen.client.disable()
    assert (seen.run.params["optimizer"], seen.run.params["optimizer2"]) == ("SGD", "Adam")
    assert seen.run.estimator == "loops.Net"
    assert len(seen.run.history("lr")) == 3  # at the first step, at the second stage's, at the end


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("last", ["last.pt"]),
        ("all", ["a/model.pt", "first.pt", "last.pt", "model.pt"]),
        (True, ["a/model.pt", "first.pt", "last.pt", "model.pt"]),
        (False, []),
    ],
)
def test_checkpoints_are_copied_as_they_are_when_the_run_ends(
    seen: Recorded, tmp_path: Any, choice: Any, expected: list[str]
) -> None:
    """The last one, or all of them: two of one name are two. Data and predictions are no checkpoints."""
    autolog.enable("torch", log_checkpoints=choice)
    model = loops.Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    for path in ("b/model.pt", "a/model.pt", "first.pt", "last.pt", "last.pt"):
        loops._steps(model, optimizer, 1)
        torch.save({"epoch": 1, "model": model.state_dict()}, tmp_path / path)
    torch.save(torch.ones(3), tmp_path / "predictions.pt")
    torch.save({"x": torch.ones(3), "y": [torch.ones(1)]}, tmp_path / "data.pt")
    seen.client.disable()
    kept = seen.run.folder / "checkpoints"
    assert sorted(one.relative_to(kept).as_posix() for one in kept.rglob("*.pt")) == expected
    if choice:
        saved = torch.load(kept / "last.pt")["model"]
        assert (saved["first.weight"] == model.first.weight).all()
    assert seen.run.notes == []


def test_checkpoints_beyond_the_limit_are_left_out_and_said(seen: Recorded, tmp_path: Any) -> None:
    autolog.enable("torch", log_checkpoints="all", log_models=False, max_model_bytes=5000)
    model = loops.Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for name in ("1.pt", "2.pt", "3.pt"):
        loops._steps(model, optimizer, 1)
        torch.save(model.state_dict(), tmp_path / name)
    size = (tmp_path / "1.pt").stat().st_size
    seen.client.disable()
    kept = sorted(one.name for one in (seen.run.folder / "checkpoints").iterdir())
    assert len(kept) == 5000 // size < 3
    assert len(seen.run.notes) >= 1
    assert "with it, checkpoints would exceed max_model_bytes, 5,000." in seen.run.notes[0]


def test_options_switch_off_what_they_say(seen: Recorded, tmp_path: Any) -> None:
    """No model, no reads, no checkpoints, no data."""
    autolog.enable("torch", log_models=False, log_datasets=False, capture_reads=False, log_checkpoints=False)
    loops.training_and_validation()
    torch.save({}, tmp_path / "a.pt")
    seen.client.disable()
    run = seen.run
    assert (run.models, run.datasets, run.artifacts) == ([], [], [])
    assert not [name for name in run.metrics if "reads" in name]


def test_a_model_that_is_too_large_is_not_saved(seen: Recorded) -> None:
    """The run says so."""
    autolog.enable("torch", max_model_bytes=1000)
    loops.ema()
    seen.client.disable()
    assert seen.run.models == []
    assert "1,000" in seen.run.notes[0]


# -- whose run it is


def test_a_training_that_follows_while_the_first_optimizer_lives_is_not_in_the_first_run(
    seen: Recorded, visible: Visible
) -> None:
    """Neither its losses, nor its optimizer, nor its model; its own run has all of them, and says what it reads."""
    x, y = loops.xy()
    told: list[list[float]] = []
    kept: list[Any] = []
    for kind in (torch.optim.SGD, torch.optim.Adam):
        model = nn.Sequential(nn.Linear(4, 3))
        optimizer = kind(model.parameters(), lr=0.1)
        kept.append(optimizer)
        losses: list[float] = []
        for _ in range(4):
            optimizer.zero_grad()
            out = model(x)
            loss = F.cross_entropy(out, y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            share = (out.argmax(1) == y).float().mean().item()
            kept.append(share)
        told.append(losses)
    seen.client.disable()
    for number, run in enumerate(seen.runs):
        losses = told[number]
        shown = visible(run)
        assert [(m[0], m[1]) for m in shown["models"]] == [("model", "pytorch")]
        assert not [name for name in shown["params"] if name.startswith(("optimizer2", "model2"))]
        assert shown["metrics"]["train/loss_step"] == near((n, 0, one) for n, one in enumerate(losses))
        assert shown["metrics"]["train/loss"] == near([(3, 0, sum(losses) / 4)])
        assert set(shown["metrics"]) == {
            "train/loss",
            "train/loss_step",
            "lr",
            "reads/share",
            "reads/share_step",
        }


def test_a_run_is_described_by_what_its_own_training_is_made_with(seen: Recorded) -> None:
    """Loss, autocast, loader and data set of the training before say nothing of this one, nor does what was evaluated after
    it; in whichever order they come.
    """

    def train(criterion: Any, loader: Any = None, amp: bool = False) -> None:
        model = nn.Linear(4, 3)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for x, y in loader or [loops.xy(), loops.xy()]:
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=amp):
                loss = criterion(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            for x, y in torch.utils.data.DataLoader(loops.data(8), batch_size=4):
                criterion(model(x), y)

    def described() -> list[Any]:
        names = ("loss", "amp", "data.batch_size")
        return [
            [*(run.params.get(name) for name in names), [one["rows"] for one in run.datasets]]
            for run in seen.runs
        ]

    train(nn.CrossEntropyLoss(), torch.utils.data.DataLoader(loops.data(), batch_size=16), amp=True)
    train(nn.MultiMarginLoss())
    train(nn.CrossEntropyLoss(), torch.utils.data.DataLoader(loops.data(24), batch_size=12))
    train(nn.CrossEntropyLoss(), amp=True)
    seen.client.disable()
    assert described() == [
        ["CrossEntropyLoss", "bfloat16", 16, [48]], ["MultiMarginLoss", None, None, []],
        ["CrossEntropyLoss", None, 12, [24]], ["CrossEntropyLoss", "bfloat16", None, []],
    ]  # fmt: skip


def test_such_a_training_over_a_loader_has_its_first_epoch(seen: Recorded) -> None:
    """As a sweep in a notebook that keeps what it has made; in `test_torch_loops` there is one in which nothing is read."""
    means: list[list[float]] = []
    kept = []
    for lr in (0.1, 0.01):
        model = loops.Net()
        optimizer = torch.optim.SGD(model.parameters(), lr=lr)
        kept.append(optimizer)
        means.append([])
        for _ in range(2):
            running = 0.0
            for x, y in torch.utils.data.DataLoader(loops.data(), batch_size=16):
                optimizer.zero_grad()
                loss = F.cross_entropy(model(x), y)
                loss.backward()
                optimizer.step()
                running += loss.item()
            means[-1].append(running / 3)
    seen.client.disable()
    for run, (first, second) in zip(seen.runs, means, strict=True):
        assert [(p.step, p.epoch, p.value) for p in run.history("train/loss")] == near(
            [(2, 0, first), (5, 1, second)]
        )
        assert {name for name in run.metrics if "train" in name} == {"train/loss", "train/loss_step"}


def test_inside_a_block_a_loop_is_its_run(seen: Recorded) -> None:
    """And ends with it, complete."""
    with autolog.run("mine") as run:
        loops.epochs_over_a_loader()
        assert autolog.current_run() is run
    assert (seen.run.name, seen.run.status, seen.run.models[0]["path"]) == ("mine", "finished", "model")
    assert seen.run.metrics["train/loss"]["count"] == 3


def test_inside_another_frameworks_training_it_only_adds_its_metrics(seen: Recorded) -> None:
    """A call that takes contributions has the loop's metrics in its run; in a sealed one there is nothing to add."""
    from autolog.instrument.calls import Call, current

    for sealed in (False, True):
        call = Call(seen.client.recorder, "sklearn", "Net.fit", len, None, (), {}, None)
        token = current.set(call)
        run = call.start_run(kind="fit", estimator="skorch.NeuralNet")
        if sealed:
            call.suppress_nested()
        loops.epochs_over_a_loader()
        current.reset(token)
        call.end()
        seen.client.recorder.close(call)
        assert run.status == "finished"
    first, second = seen.runs
    assert first.metrics["train/loss"]["count"] == 3
    assert (first.params, first.models) == ({}, [])
    assert (second.metrics, second.params) == ({}, {})


def test_metrics_after_the_last_step_are_still_the_runs(seen: Recorded) -> None:
    """The final test comes after the training."""
    model = loops.Net()
    loops._steps(model, torch.optim.SGD(model.parameters(), lr=0.1))
    x, y = loops.xy(16, 3)
    model.eval()
    with torch.no_grad():
        value = nn.CrossEntropyLoss()(model(x), y)
    seen.client.disable()
    assert seen.run.metrics["val/loss"]["last"] == pytest.approx(float(value))


def test_validation_and_test_data_have_their_own_names(seen: Recorded) -> None:
    """The first data that is evaluated is `val`; other data is called by its name."""
    model, criterion = loops.Net(), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    train_loader, val_loader, test_loader = (
        torch.utils.data.DataLoader(loops.data(rows, rows), batch_size=8) for rows in (32, 16, 24)
    )

    def evaluate(loader: Any) -> None:
        model.eval()
        with torch.no_grad():
            for x, y in loader:
                criterion(model(x), y)

    for _ in range(2):
        model.train()
        for x, y in train_loader:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        evaluate(val_loader)
    model.eval()
    with torch.no_grad():
        for x, y in test_loader:
            criterion(model(x), y)
    seen.client.disable()
    assert {name: metric["count"] for name, metric in seen.run.metrics.items() if name.endswith("/loss")} == {
        "train/loss": 2, "val/loss": 2, "test/loss": 1,
    }  # fmt: skip


def test_a_final_test_by_a_model_that_was_loaded_is_an_evaluation_of_its_own(
    seen: Recorded, tmp_path: Any
) -> None:
    """As pytorch/examples/word_language_model does it, without a loader: its loss is not mixed with the last validation's."""
    model, criterion, told = loops.Net(), nn.CrossEntropyLoss(), []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def evaluate(seed: int) -> None:
        model.eval()
        x, y = loops.xy(16, seed)
        with torch.no_grad():
            told.append(criterion(model(x), y).item())

    loops._steps(model, optimizer)
    evaluate(1)
    torch.save(model, tmp_path / "model.pt")
    model = torch.load(tmp_path / "model.pt", weights_only=False)
    evaluate(2)
    seen.client.disable()
    assert [point.value for point in seen.run.history("val/loss")] == pytest.approx(told)


@pytest.mark.parametrize("of_other_data", [True, False])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_loss_after_an_evaluation_is_not_mixed_with_it(
    seen: Recorded, reduction: str, of_other_data: bool
) -> None:
    """As that of averaged weights, also of the same data. The loss of all batches together is the evaluation's own."""
    model, criterion = loops.Net(), nn.CrossEntropyLoss(reduction=reduction)
    averaged = torch.optim.swa_utils.AveragedModel(model)
    train_set, validation = loops.data(16), loops.data(12, 1)
    loader = torch.utils.data.DataLoader(validation, batch_size=5)
    optimizer, told = torch.optim.SGD(model.parameters(), lr=0.1), []
    for _ in range(2):
        model.train()
        for x, y in torch.utils.data.DataLoader(train_set, batch_size=8):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            for x, y in loader:
                criterion(model(x), y)
            x, y = validation.tensors
            criterion(model(x), y)
            told.append(float(F.cross_entropy(model(x), y)))
    x, y = (train_set if of_other_data else validation).tensors
    with torch.no_grad():
        criterion(averaged(x), y)
    seen.client.disable()
    assert {
        name: [p.value for p in seen.run.history(name)] for name in seen.run.metrics if "val" in name
    } == {
        "val/loss": pytest.approx(told),
        "val2/loss": pytest.approx([float(F.cross_entropy(averaged(x), y))]),
    }


def test_a_layer_that_is_updated_by_hand_is_the_model(seen: Recorded) -> None:
    """There is neither an optimizer nor a module around it that would tell of it."""
    loops.regression_example()
    seen.client.disable()
    run = seen.run
    assert (run.estimator, run.params["optimizer"], run.params["model.parameters"]) == (
        "torch.nn.modules.linear.Linear", "by hand", 5,
    )  # fmt: skip
    assert [model["path"] for model in run.models] == ["model"]


def test_a_copy_and_a_model_from_a_file_are_whole_models(seen: Recorded, tmp_path: Any) -> None:
    """Their parts were not registered while we could see it, and an optimizer that is given a list does not know its model."""

    def train(model: Any, params: Any) -> None:
        loops._steps(model, torch.optim.SGD(params, lr=0.1), 2)

    model = loops.Net()
    torch.save(model, tmp_path / "model.pt")
    copied = copy.deepcopy(model)
    train(copied, filter(lambda p: p.requires_grad, copied.parameters()))
    nested = copy.deepcopy(nn.Sequential(nn.Sequential(loops.Net())))
    train(nested, [{"params": [p for p in nested.parameters() if p.ndim == n]} for n in (1, 2)])
    loaded = torch.load(tmp_path / "model.pt", weights_only=False)
    train(loaded, list(loaded.parameters()))
    alone = copy.deepcopy(nn.Linear(4, 3))
    train(alone, list(alone.parameters()))
    seen.client.disable()
    assert [(str(run.estimator).rpartition(".")[2], run.params["model.parameters"]) for run in seen.runs] == [
        ("Net", 83), ("Sequential", 83), ("Net", 83), ("Linear", 15),
    ]  # fmt: skip


def test_validation_data_that_is_made_anew_each_time_is_the_same_data(seen: Recorded) -> None:
    """Its name does not count on with each evaluation."""
    model, criterion = loops.Net(), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        model.train()
        for x, y in torch.utils.data.DataLoader(loops.data(), batch_size=16):
            optimizer.zero_grad()
            criterion(model(x), y).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            for x, y in torch.utils.data.DataLoader(loops.data(20, 1), batch_size=10):
                criterion(model(x), y)
    seen.client.disable()
    assert {name: metric["count"] for name, metric in seen.run.metrics.items() if name.endswith("/loss")} == {
        "train/loss": 3, "val/loss": 3,
    }  # fmt: skip


def test_loaders_that_take_different_samples_of_one_data_set_are_different_data(seen: Recorded) -> None:
    """The test's loss is not mixed with the validation's."""
    numbers = loops.samplers_of_one_data_set()
    seen.client.disable()
    for name, expected in (("val/loss", numbers["val"]), ("test/loss", numbers["test"])):
        assert [point.value for point in seen.run.history(name)] == pytest.approx(expected)


def test_what_is_read_is_called_as_the_user_calls_it(seen: Recorded) -> None:
    """By whatever way he comes to the number."""
    model = loops.Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    correct, told = 0, []
    for x, y in torch.utils.data.DataLoader(loops.data(), batch_size=16):
        optimizer.zero_grad()
        out = model(x)
        losses = {"classifier": F.cross_entropy(out, y), "norm": out.pow(2).mean()}
        (losses["classifier"] + losses["norm"]).backward()
        optimizer.step()
        correct += torch.sum(out.argmax(1) == y).item()
        penalty = out.abs().mean()
        told.append(
            {
                "share": (out.argmax(1) == 0).float().mean().item(), "by name": losses["norm"].item(),
                "penalty": [penalty.data.item()],
            }
        )  # fmt: skip
        told.append(losses["classifier"].item())
    model.eval()
    train_total = torch.tensor(2.5).item()
    seen.client.disable()
    values = {name: metric["last"] for name, metric in seen.run.metrics.items() if "reads" in name}
    assert values == {
        "reads/correct": pytest.approx(correct / 48),
        **{
            f"reads/{name}": pytest.approx(sum(value) / 3)
            for name, value in {
                "share": [one["share"] for one in told[::2]], "by name": [one["by name"] for one in told[::2]],
                "penalty": [one["penalty"][0] for one in told[::2]], "classifier": told[1::2],
            }.items()
        },
        "reads/train_total": train_total,
    }  # fmt: skip


def test_a_loader_that_is_looked_at_before_is_trained_on_for_whole_epochs(seen: Recorded) -> None:
    """A batch to look at, kept or dropped; statistics of all data; an evaluation or an epoch of which no batch was used: what
    comes after it is one epoch.
    """
    loader = torch.utils.data.DataLoader(loops.data(), batch_size=16)

    def look() -> None:
        next(iter(loader))

    def read() -> None:
        list(loader)

    means = []

    def train(between: Callable[[], Any]) -> None:
        model = loops.Net()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        kept = []
        for _ in range(2):
            kept.append(between())
            losses = []
            for x, y in loader:
                optimizer.zero_grad()
                loss = F.cross_entropy(model(x), y)
                loss.backward()
                optimizer.step()
                losses.append(float(loss))
            means.append(sum(losses) / 3)

    def keep() -> Any:
        iterator = iter(loader)
        next(iterator)
        return iterator

    for between in (look, read, keep):
        train(between)
    seen.client.disable()
    found = [[(p.step, p.epoch, p.value) for p in run.history("train/loss")] for run in seen.runs]
    wanted = [[(2, 0, first), (5, 1, second)] for first, second in zip(means[::2], means[1::2], strict=True)]
    assert [near(one) for one in wanted] == found


def test_a_loss_that_is_no_number_is_the_loss_all_the_same(seen: Recorded) -> None:
    """It is not recorded a second time where it is read, by the step or as the epoch's mean."""
    model, running, told = nn.Linear(4, 3), 0.0, []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x, y in torch.utils.data.DataLoader(loops.data(), batch_size=16):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x) * float("nan"), y)
        loss.backward()
        optimizer.step()
        running += loss.item()
        told.append(f"{loss.item():.3f}")
        told.append((loss * 1).item())
    seen.client.disable()
    assert set(seen.run.metrics) == {"train/loss", "train/loss_step", "lr", "samples_per_second", "data_wait"}


@pytest.mark.parametrize("first", [True, False])
def test_data_that_is_fetched_beside_the_epochs_is_no_validation(seen: Recorded, first: bool) -> None:
    """As unlabelled data, by next() of an iterator that is begun before the epoch or within it, and again when it is over."""
    model, criterion, told = nn.Linear(4, 3), nn.CrossEntropyLoss(), []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    labelled = torch.utils.data.DataLoader(loops.data(), batch_size=16)
    unlabelled = torch.utils.data.DataLoader(loops.data(20, 1), batch_size=10)
    iterator = iter(unlabelled) if first else iter(())
    for _ in range(3):
        running = 0.0
        for x, y in labelled:
            try:
                u, _ = next(iterator)
            except StopIteration:
                iterator = iter(unlabelled)
                u, _ = next(iterator)
            supervised = criterion(model(x), y)
            total = supervised + model(u).pow(2).mean()
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
            running += supervised.item()
        told.append(running / 3)
    seen.client.disable()
    run = seen.run
    assert [name for name in run.metrics if name.startswith(("val", "train_eval"))] == []
    assert [(p.step, p.epoch, p.value) for p in run.history("reads/supervised")] == near(
        [(2, 0, told[0]), (5, 1, told[1]), (8, 2, told[2])]
    )
    assert (run.params["data.batch_size"], run.datasets[0]["rows"]) == (16, 48)


CELL = """
for epoch in range({epochs}):
    for x, y in loader:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
"""


def test_a_notebooks_cell_that_is_changed_and_run_again_goes_on(seen: Recorded) -> None:
    """The same loss under the same name, though it is computed at another place of the code."""
    model = loops.Net()
    names: dict[str, Any] = {
        "model": model, "optimizer": torch.optim.SGD(model.parameters(), lr=0.1), "criterion": nn.CrossEntropyLoss(),
        "loader": torch.utils.data.DataLoader(loops.data(), batch_size=16), "losses": [],
    }  # fmt: skip
    for number, epochs in enumerate((2, 2, 1)):
        exec(compile(CELL.format(epochs=epochs), f"<cell {number}>", "exec"), names)
    seen.client.disable()
    losses = names["losses"]
    means = [sum(losses[start : start + 3]) / 3 for start in range(0, 15, 3)]
    assert [p.value for p in seen.run.history("train/loss")] == pytest.approx(means)
    assert [p.value for p in seen.run.history("train/loss_step")] == pytest.approx(losses)
    assert {name for name in seen.run.metrics if "loss" in name} == {"train/loss", "train/loss_step"}


def test_a_cell_that_fails_between_two_stages_ends_no_training(
    seen: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only an exception that came out of the training itself has interrupted it."""
    model = loops.Net()
    loops._steps(model, torch.optim.SGD(model.parameters(), lr=0.1), 2)
    try:
        undefined  # type: ignore[name-defined]
    except NameError as error:
        monkeypatch.setattr(sys, "last_value", error, raising=False)
    loops._steps(model, torch.optim.Adam(model.parameters(), lr=0.1), 2)
    seen.client.disable()
    assert (seen.run.status, seen.run.params["optimizer2"]) == ("finished", "Adam")


def test_a_helper_that_reads_losses_and_scores_gives_the_scores(seen: Recorded) -> None:
    """Whichever it reads first: the losses are known, and in no mean with others."""

    def number_of(t: Any) -> float:
        return t.item()

    model = loops.Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, y = loops.xy()
    told = []
    for _ in range(3):
        out = model(x)
        loss = F.cross_entropy(out, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        told.append(number_of((out.argmax(1) == y).float().mean()))
        number_of(loss)
    seen.client.disable()
    assert [p.value for p in seen.run.history("reads/t_step")] == pytest.approx(told)


def test_two_places_that_read_by_one_name_are_two_metrics(seen: Recorded) -> None:
    """Without a DataLoader, too."""
    model = loops.Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, y = loops.xy()
    told: dict[str, list[float]] = {"reads/score_step": [], "reads/score_2_step": []}
    for _ in range(3):
        out = model(x)
        optimizer.zero_grad()
        F.cross_entropy(out, y).backward()
        optimizer.step()
        score = (out.argmax(1) == y).float().mean()
        told["reads/score_step"].append(score.item())
        score = out.softmax(1).max(1).values.mean()
        told["reads/score_2_step"].append(score.item())
    seen.client.disable()
    assert {name: [p.value for p in seen.run.history(name)] for name in told} == {
        name: pytest.approx(values) for name, values in told.items()
    }
