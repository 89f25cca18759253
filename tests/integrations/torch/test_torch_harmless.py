"""The promise: nothing of ours that fails, and nothing that a user's own code does in between, changes a training or is
mistaken for a part of it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from types import FunctionType, ModuleType
from typing import Any

import loops
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

import autolog
from autolog.testing import Recorded, recorded
from autolog_torch import (
    about,
    checkpoints,
    describer,
    final,
    hidden,
    hooks,
    losses,
    measures,
    naming,
    numbers,
    pass_names,
    passes,
    reads,
    recording,
    reducer,
    runs,
    sites,
    tracker,
    values,
)  # fmt: skip

PARTS = (
    about, checkpoints, describer, final, hidden, hooks, losses, measures, naming, numbers, pass_names, passes, reads,
    recording, reducer, runs, sites, tracker, values,
)  # fmt: skip


def functions(module: ModuleType) -> Iterator[tuple[Any, str]]:
    """All functions and methods of a part of the integration: where each is held, and its name."""
    for name, held in vars(module).items():
        if isinstance(held, FunctionType) and held.__module__ == module.__name__:
            yield module, name
        elif isinstance(held, type) and held.__module__ == module.__name__:
            yield from ((held, method) for method, one in vars(held).items() if type(one) is FunctionType)


def broken(*_: Any, **__: Any) -> Any:
    raise RuntimeError("ours")


def small() -> list[float]:
    """Two epochs of two steps with an evaluation, and a model that dies: all that the parts are there for."""
    torch.manual_seed(0)
    model, numbers = nn.Linear(4, 3), []
    optimizer, criterion = torch.optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss()
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    train, validation = DataLoader(loops.data(16), batch_size=8), DataLoader(loops.data(8, 1), batch_size=8)
    for _ in range(2):
        model.train()
        for x, y in train:
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()
            numbers.append(loss.item())
        schedule.step()
        model.eval()
        with torch.no_grad():
            numbers += [criterion(model(x), y).item() for x, y in validation]
    return numbers


@pytest.mark.parametrize("part", PARTS, ids=lambda module: module.__name__)
def test_a_fault_anywhere_costs_the_record_and_not_the_training(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, caplog: pytest.LogCaptureFixture, part: ModuleType
) -> None:
    """Each function of ours in turn fails whenever it is called: the numbers are the plain ones. All hooks that fail for it are
    told once; so is what fails at the end of the run, or at the model's death.
    """
    monkeypatch.setenv("AUTOLOG_CONFIG_DIR", str(tmp_path / "config"))
    plain = small()
    told: dict[str, list[str]] = {}
    for owner, name in functions(part):
        caplog.clear()
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, broken)
            with recorded("torch", strict=False):
                assert small() == plain, (owner, name)
        told[f"{owner.__name__}.{name}"] = [record.getMessage() for record in caplog.records]
    assert {place: said for place, said in told.items() if len(said) > 2 or len(set(said)) < len(said)} == {}
    assert any(told.values())


class AttrDict(dict[str, Any]):
    """As people write it: what it lacks is a KeyError."""

    __getattr__ = dict.__getitem__


class Rows(torch.utils.data.Dataset[Any]):
    def __init__(self) -> None:
        self.columns = {"x": torch.randn(8, 4)}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self.columns[name]

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> Any:
        return self.x[index]


class Lazy:
    """A batch whose shape cannot be asked for."""

    def __init__(self, x: Any) -> None:
        self.x = x

    @property
    def shape(self) -> Any:
        raise RuntimeError("not there yet")


class Configured(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 2)
        self.config = AttrDict(width=4)

    def forward(self, batch: Any) -> Any:
        return self.first(batch.x)


def _train_with(batch: Callable[[Any], Any]) -> list[float]:
    model, losses = Configured(), []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for rows in DataLoader(Rows(), batch_size=4, collate_fn=batch):
        optimizer.zero_grad()
        loss = model(rows).pow(2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_objects_that_raise_whatever_they_are_asked_are_recorded(seen: Recorded) -> None:
    """A data set, a batch and a model's setting whose `__getattr__` or property raises something else than AttributeError."""
    losses = [
        _train_with(lambda rows: AttrDict(x=torch.stack(rows))),
        _train_with(lambda rows: Lazy(torch.stack(rows))),
    ]
    seen.client.disable()
    assert [[p.value for p in run.history("train/loss_step")] for run in seen.runs] == losses
    assert [(run.params["data.dataset"], run.errors) for run in seen.runs] == [("Rows", [])] * 2
    assert ["samples_per_second" in run.metrics for run in seen.runs] == [True, False]


def test_a_run_that_cannot_be_described_costs_its_params_and_no_later_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """It says so itself, and has its metrics."""
    monkeypatch.setenv("AUTOLOG_CONFIG_DIR", str(tmp_path / "config"))
    with recorded("torch", strict=False) as seen:
        with monkeypatch.context() as patch:
            patch.setattr(about, "model_params", broken)
            small()
        small()
    first, second = seen.runs
    assert [len(run.history("train/loss_step")) for run in (first, second)] == [4, 4]
    assert first.errors == ["torch: in describing a run: RuntimeError: ours"]
    assert (second.errors, second.params["model"], len(second.models)) == ([], "Linear", 1)


def test_a_users_exception_and_ctrl_c_pass_through(seen: Recorded) -> None:
    """From a backward, an optimizer's closure, a data set and a loss; the training can go on after each."""

    class Failing(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x.sum()

        @staticmethod
        def backward(ctx: Any, gradient: Any) -> Any:
            raise KeyboardInterrupt

    class Rows(torch.utils.data.Dataset[Any]):
        def __len__(self) -> int:
            return 8

        def __getitem__(self, index: int) -> Any:
            if index == 5:
                raise KeyError("row 5")
            return torch.ones(4)

    class Picky(nn.modules.loss._Loss):
        def forward(self, x: Any) -> Any:
            raise ValueError("picky")

    def closure() -> Any:
        raise KeyboardInterrupt

    model = loops.Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    attempts: list[tuple[Any, Callable[[], Any]]] = [
        (KeyboardInterrupt, lambda: Failing.apply(model(torch.ones(2, 4))).backward()),
        (KeyError, lambda: [model(x) for x in DataLoader(Rows(), batch_size=4)]),
        (ValueError, lambda: Picky()(torch.ones(1))),
        (KeyboardInterrupt, lambda: optimizer.step(closure)),
        (RuntimeError, lambda: torch.ones(2).item()),
    ]
    for error, attempt in attempts:
        loops._steps(model, optimizer, 1)
        with pytest.raises(error) as raised:
            attempt()
        assert raised.value.__context__ is None
    seen.client.disable()
    assert (seen.run.status, seen.run.metrics["train/loss_step"]["count"]) == ("finished", len(attempts))


def test_a_backward_that_is_called_wrongly_is_torchs_to_complain_of(seen: Recorded) -> None:
    """The session is strict: an error of ours would be raised in place of torch's. The training goes on, and is recorded."""
    model = loops.Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loops._steps(model, optimizer, 1)
    wrong: list[tuple[Any, ...]] = [
        (),
        (None,),
        (3,),
        ("loss",),
        (torch.ones(2),),
        (torch.ones(1), 1, 2, 3, 4, 5, 6, 7),
    ]
    backward: Any = torch.autograd.backward
    for arguments in wrong:
        with pytest.raises(
            (TypeError, RuntimeError, AssertionError, AttributeError)
        ) as raised:  # the last in torch 2.3
            backward(*arguments)
        assert raised.value.__context__ is None
        assert "before_backward" not in str(raised.value)
    with pytest.raises(TypeError):
        backward(nothing=1)
    optimizer.zero_grad()
    backward(model(loops.xy()[0]).mean() for _ in range(1))  # torch takes any iterable, and is given it whole
    assert model.first.weight.grad is not None
    loops._steps(model, optimizer, 1)
    seen.client.disable()
    assert (seen.run.errors, seen.run.metrics["train/loss_step"]["count"]) == ([], 2)


def test_a_training_in_another_thread_is_recorded_and_what_this_one_does_is_not_its(seen: Recorded) -> None:
    """Numbers read and losses computed here, meanwhile, are nobody's."""
    trained: list[float] = []
    step, go_on = threading.Event(), threading.Event()

    def train() -> None:
        model = loops.Net()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        trained.extend(loops._steps(model, optimizer, 3))
        step.set()
        go_on.wait(60)
        trained.extend(loops._steps(model, optimizer, 3))

    thread = threading.Thread(target=train)
    thread.start()
    assert step.wait(60)
    other = torch.tensor(123.0).item()
    with torch.no_grad():
        nn.MSELoss()(torch.ones(3), torch.zeros(3))
    go_on.set()
    thread.join()
    seen.client.disable()
    assert [point.value for point in seen.run.history("train/loss_step")] == pytest.approx(trained)
    found = {point.value for name in seen.run.metrics for point in seen.run.history(name)}
    assert not {other, 1.0} & found


class Counting(torch.utils.data.Dataset[Any]):
    """Reads numbers and takes steps of its own while it makes a row: in a worker, that is nobody's training."""

    def __len__(self) -> int:
        return 16

    def __getitem__(self, index: int) -> Any:
        assert torch.tensor(77.0).item() == 77.0
        inner = nn.Linear(1, 1)
        loops_optimizer = torch.optim.SGD(inner.parameters(), lr=0.1)
        inner(torch.ones(1)).sum().backward()
        loops_optimizer.step()
        return torch.full((4,), float(index))


def test_what_a_loaders_workers_do_is_not_recorded(seen: Recorded) -> None:
    """One run, of the training that uses the data."""
    model = loops.Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x in DataLoader(Counting(), batch_size=8, num_workers=2):
        optimizer.zero_grad()
        model(x).pow(2).mean().backward()
        optimizer.step()
    seen.client.disable()
    run = seen.run
    assert (run.estimator, run.metrics["train/loss_step"]["count"]) == ("loops.Net", 2)
    assert not [name for name in run.metrics if "reads" in name]


class Tagged(torch.Tensor):
    """A subclass, as libraries for quantised or sharded parameters have them."""


def test_parameters_of_a_tensor_subclass_can_be_moved(seen: Recorded) -> None:
    """torch swaps them, and refuses if somebody holds them weakly."""
    model = nn.Linear(4, 3)
    model.weight = nn.Parameter(torch.randn(3, 4).as_subclass(Tagged))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):
        model(torch.ones(2, 4)).as_subclass(torch.Tensor).sum().backward()
        optimizer.step()
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        model.to(torch.float64)
    finally:
        torch.__future__.set_swap_module_params_on_conversion(False)
    assert (type(model.weight), model.weight.dtype) == (Tagged, torch.float64)


def test_what_counts_calls_of_torch_counts_the_same(seen: Recorded) -> None:
    """`__torch_function__` of a subclass and of a mode, and export: what they see is what they see without us."""

    class Logged(torch.Tensor):
        calls: list[str] = []

        @classmethod
        def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            cls.calls.append(func.__name__)
            return super().__torch_function__(func, types, args, kwargs)

    class Mode(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            Logged.calls.append(f"mode {func.__name__}")
            return func(*args, **(kwargs or {}))

    def calls() -> list[str]:
        Logged.calls = []
        model = nn.Linear(4, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(2):
            loss = nn.MSELoss()(model(torch.ones(2, 4).as_subclass(Logged)), torch.zeros(2, 1))
            loss.backward()
            optimizer.step()
            loss.item()
        with Mode():
            loss = F.mse_loss(model(torch.ones(2, 4)), torch.zeros(2, 1))
            loss.backward()
            optimizer.step()
            loss.item()
        return Logged.calls

    with autolog.suspended():
        plain = calls()
    assert calls() == plain
    assert "mode item" in plain
    module, x = loops.Net().eval(), torch.ones(2, 4)
    exported = torch.export.export(module, (x,))
    assert (exported.module()(x) == module(x)).all()


def _with_its_locals() -> list[str]:
    """As people keep their settings."""
    lr, epochs = 0.1, 2
    config = locals()
    model = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    x, y = loops.xy()
    for _ in range(epochs):
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        model.eval()
        with torch.no_grad():
            for split in ("train", "val"):
                print(split, F.cross_entropy(model(x), y).item())
        model.train()
    return sorted(config)


def test_what_a_script_has_kept_of_its_locals_stays_as_it_is(seen: Recorded) -> None:
    """Until Python 3.13 a function has one dictionary of them: to read a loop's variable there would change the script's."""
    with autolog.suspended():
        plain = _with_its_locals()
    assert _with_its_locals() == plain == ["epochs", "lr"]


def test_an_error_of_float_has_the_frames_that_it_has_without_us(seen: Recorded) -> None:
    """But for autolog's own, which are named as that."""

    def frames() -> list[str]:
        with pytest.raises((ValueError, RuntimeError)) as raised:
            float(torch.ones(2))
        return [one.name for one in raised.traceback if "autolog/instrument" not in str(one.path)]

    with autolog.suspended():
        plain = frames()
    assert frames() == plain
