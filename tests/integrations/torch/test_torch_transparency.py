"""The promise: a loop does bit for bit what it does without us; nothing of the user's is kept, waited for or changed."""

from __future__ import annotations

import gc
import math
import os
import pickle
import re
import sys
import textwrap
import weakref
from itertools import count
from pathlib import Path
from typing import Any

import loops
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import autolog
from autolog.testing import Recorded

sys.path.insert(0, str(Path(__file__).parents[2]))

from helpers import script

TEMPORARY = re.compile(r"(?<=/tmp)\w{8}\b")
"""What differs from one temporary folder's name to the next: old releases of torch warn of one."""

BENEATH = ("torch._dynamo",)
"""What the scripts find imported: torch, and what it imports with the first step of an optimizer."""

TRAIN = """
import hashlib, pickle, random, sys
import numpy, torch
from torch import nn
torch.set_num_threads(1)
torch.manual_seed(3); numpy.random.seed(3); random.seed(3)

class Noisy(torch.utils.data.Dataset):
    def __len__(self):
        return 48
    def __getitem__(self, index):
        return torch.randn(4) + numpy.random.rand() * 0 + index * 0.01, index % 3

if __name__ == "__main__":
    if "on" in sys.argv:
        import autolog
        autolog.autolog(silent=True)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.ReLU(), nn.Linear(8, 3))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=40)
    scaler = torch.amp.GradScaler("cpu")
    loader = torch.utils.data.DataLoader(Noisy(), batch_size=8, shuffle=True, num_workers=int(sys.argv[1]))
    for epoch in range(2):
        model.train()
        for x, y in loader:
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = nn.functional.cross_entropy(model(x), y)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            schedule.step()
        model.eval()
        with torch.no_grad():
            print(nn.CrossEntropyLoss()(model(torch.ones(4, 4)), torch.tensor([0, 1, 2, 0])).item())
    state = [t.numpy().tobytes() for t in model.state_dict().values()]
    state += [t.numpy().tobytes() for s in optimizer.state_dict()["state"].values() for t in s.values()]
    state += [torch.get_rng_state().numpy().tobytes(), pickle.dumps(numpy.random.get_state()), pickle.dumps(random.getstate())]
    print(hashlib.sha256(b"".join(state)).hexdigest())
"""


@pytest.mark.parametrize("workers", ["0", "2"])
def test_weights_optimizer_state_and_random_streams_are_the_same_bits(tmp_path: Path, workers: str) -> None:
    """Dropout, batch norm, AMP, a scaler, a schedule, random data, worker processes; and the same output."""
    pytest.importorskip("numpy")
    # Python anew: what is printed as it ends counts, too.
    plain = script(TRAIN, tmp_path, workers, timeout=240)
    done = script(TRAIN, tmp_path, workers, "on", timeout=240, AUTOLOG_STRICT="1")
    said, expected = (TEMPORARY.sub("/tmp", text) for text in (done.stderr, plain.stderr))
    assert (done.returncode, done.stdout, said) == (0, plain.stdout, expected)
    from autolog.store.records import Store

    (run,) = Store(tmp_path / ".autolog").runs()
    assert (run.status, run.metrics["train/loss"]["count"], run.errors) == ("finished", 2, [])


def test_nothing_of_the_users_is_kept(seen: Recorded) -> None:
    """Loss, output, model and optimizer are gone when the user lets go of them, without the garbage collector."""
    torch.optim.SGD(
        [torch.zeros(1)], lr=0.1
    )  # torch itself keeps a process's first one, in frames that refer to each other
    gc.collect()
    gc.disable()
    try:
        model = loops.Net()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        x, y = loops.xy(16)
        for _ in range(3):
            output = model(x)
            loss = F.cross_entropy(output, y)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        held = [weakref.ref(one) for one in (loss, output)]
        del loss, output
        assert [reference() for reference in held] == [None, None]
        held = [weakref.ref(one) for one in (model, optimizer, model.first)]
        del model, optimizer
        assert [reference() for reference in held] == [None, None, None]
    finally:
        gc.enable()
    assert seen.run.models[0]["path"] == "model"  # saved in the moment of its death


def test_a_model_that_refers_to_itself_is_not_kept_either(seen: Recorded) -> None:
    """A cycle is the garbage collector's, as ever; the run says what could not be saved."""
    model = loops.Net()
    model.first.__dict__["owner"] = model
    loops._steps(model, torch.optim.SGD(model.parameters(), lr=0.1))
    held = weakref.ref(model)
    del model
    gc.collect()
    assert held() is None
    seen.client.disable()
    assert (seen.run.models, len(seen.run.notes)) == ([], 1)


STEPS = int(os.environ.get("AUTOLOG_TEST_STEPS", "20000"))


def test_memory_does_not_grow_with_steps(seen: Recorded) -> None:
    """With a schedule by step: after the first 10,000 steps no tensor more, and no megabyte. AUTOLOG_TEST_STEPS=100000 takes
    its time.
    """
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))

    def steps(count: int) -> tuple[int, int, int]:
        for _ in range(count):
            optimizer.zero_grad()
            loss = (parameter * 2).sum()
            loss.backward()
            optimizer.step()
            schedule.step()
        autolog.flush()
        gc.collect()
        objects = gc.get_objects()
        ours = sum(str(type(one).__module__).startswith("autolog") for one in objects)
        return sum(type(one) is torch.Tensor for one in objects), ours, resident()

    steps(100)
    tensors, ours, bytes_before = steps(9_900)
    _, _, bytes_between = steps((STEPS - 10_000) // 2)
    tensors_after, ours_after, bytes_after = steps((STEPS - 10_000) // 2)
    assert tensors_after == tensors
    assert ours_after < ours + 300  # some points of steps wait for the next ones
    # What grows with steps grows in both halves; an allocator takes a few megabytes more when it pleases.
    assert min(bytes_between - bytes_before, bytes_after - bytes_between) < 1_000_000
    assert len(seen.run.history("train/loss_step")) < 1024 + 512 * math.log2(STEPS / 1024) + 2


@pytest.mark.parametrize("gradients", [True, False])
def test_memory_does_not_grow_where_nothing_is_trained(seen: Recorded, gradients: bool) -> None:
    """As in a service that takes its requests from an endless loader, reads numbers, and computes gradients of inputs."""
    from autolog_torch.tracker import MANY, Tracker

    class Endless(torch.utils.data.IterableDataset[Any]):
        def __iter__(self) -> Any:
            while True:
                yield torch.ones(2)

    x = torch.ones(2, requires_grad=True)
    most = 0
    for number, batch in enumerate(torch.utils.data.DataLoader(Endless(), batch_size=4)):
        if gradients and number % 2:
            (x * batch[0]).sum().backward()
            assert x.detach().sum().item() == 2
        trackers = [one for one in gc.get_objects() if type(one) is Tracker] if number % 500 == 499 else []
        most = max([most, *(len(one.log) + len(one.given) for one in trackers)])
        if number == 3000:
            break
    assert 0 < most <= 2 * MANY


@pytest.mark.parametrize("allowed", [True, False])
def test_points_of_steps_are_thinned_where_they_cost_too_much(
    seen: Recorded, monkeypatch: pytest.MonkeyPatch, allowed: bool
) -> None:
    """Nearly free: a run that has cost more than its budget has fewer points, each the mean of its steps, and says so; what it
    says of epochs is as ever. Here the budget is all of the time or nothing.
    """
    if not allowed:
        monkeypatch.setattr("autolog.tracking.run.FREE_SECONDS", 0)
        autolog.autolog(overhead_budget=0)
    monkeypatch.setattr("autolog_torch.recording.perf_counter", count(0, 0.03).__next__)
    parameter = nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([parameter], lr=0.0)
    for number in range(400):
        optimizer.zero_grad()
        loss = (parameter * number).sum()
        loss.backward()
        optimizer.step()
    seen.client.disable()
    points = seen.run.history("train/loss_step")
    assert [point.value for point in seen.run.history("train/loss")] == [199.5]
    if allowed:
        assert [point.value for point in points] == list(range(400))
        assert seen.run.notes == []
    else:
        ends = [*(point.step for point in points[1:]), 400]
        assert [point.value for point in points] == [
            (point.step + end - 1) / 2 for point, end in zip(points, ends, strict=True)
        ]
        assert len(points) < 200
        (note,) = seen.run.notes
        assert note.startswith("The losses of single steps are means of more steps than usual")


def resident() -> int:
    """Bytes of memory of this process, where the system says so."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else 0


def test_parameters_are_not_weakly_held(seen: Recorded) -> None:
    """torch refuses to swap tensors that are."""
    model = loops.Net()
    loops._steps(model, torch.optim.SGD(model.parameters(), lr=0.1))
    assert [weakref.getweakrefcount(p) for p in model.parameters()] == [0] * 6
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        model.to(torch.float64)
    finally:
        torch.__future__.set_swap_module_params_on_conversion(False)
    assert model.first.weight.dtype is torch.float64


def test_no_value_is_asked_of_a_device(seen: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the meta device whoever asks for a value gets an error. What we add to a step is a detach and a copy."""
    from torch.utils._python_dispatch import TorchDispatchMode

    from autolog_torch import values

    monkeypatch.setattr(values, "UNREADABLE", frozenset())
    monkeypatch.setattr(values.Reader, "read", _also_under_a_mode(values.Reader.read))
    monkeypatch.setattr(
        values.Batch, "arrived", lambda batch, wait: setattr(batch, "values", [0.5] * 256) or True
    )

    class Count(TorchDispatchMode):
        def __init__(self) -> None:
            super().__init__()
            self.calls: list[str] = []

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            self.calls.append(func.__name__.partition(".")[0])
            return func(*args, **(kwargs or {}))

    def train(steps: int) -> list[str]:
        model = nn.Sequential(nn.Linear(4, 3)).to("meta")
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        x, y = torch.empty(8, 4, device="meta"), torch.empty(8, 3, device="meta")
        criterion = nn.MSELoss()
        with Count() as count:
            for _ in range(steps):
                optimizer.zero_grad()
                criterion(model(x), y).backward()
                optimizer.step()
        return count.calls

    def added(steps: int) -> list[str]:
        with autolog.suspended():
            plain = train(steps)
        calls = train(steps)
        for call in plain:
            calls.remove(call)
        return sorted(calls)

    slot, loss = torch.empty((), device="meta"), torch.empty((), device="meta", requires_grad=True)
    with Count() as count:
        slot.copy_(loss.detach())  # of which a mode sees two in older versions
    autolog.enable("torch", log_models=False)
    added(1)  # each but the first also ends the training before it
    few, more = added(4), added(12)
    assert sorted(more[:]) == sorted([*few, *count.calls * 8])
    assert set(count.calls) == {"copy_", "detach"}
    assert not set(few) & {"_local_scalar_dense", "item", "_to_copy"}


def _also_under_a_mode(read: Any) -> Any:
    """A mode that counts would keep us from reading."""

    def reading(self: Any, tensor: Any) -> Any:
        self._dispatch_modes = lambda: 0
        return read(self, tensor)

    return reading


def test_what_a_mode_sees_is_what_it_sees_without_us(seen: Recorded) -> None:
    """Under a dispatch mode no value is read."""
    from torch.utils.flop_counter import FlopCounterMode

    model = loops.Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with FlopCounterMode(display=False) as counter:
        x, y = loops.xy(16)
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    assert counter.get_total_flops() > 0


def test_scripting_tracing_and_functional_transforms_work(seen: Recorded) -> None:
    """jit.script, jit.trace, fx, torch.func, tensor subclasses."""
    model, x = nn.Sequential(nn.Linear(4, 3), nn.ReLU()), torch.ones(2, 4)
    expected = model(x)
    assert (torch.jit.script(model)(x) == expected).all()
    assert (torch.jit.trace(model, x)(x) == expected).all()
    assert (torch.fx.symbolic_trace(model)(x) == expected).all()
    torch.jit.script(nn.CrossEntropyLoss())
    params = dict(model.named_parameters())

    def loss(params: Any) -> Any:
        return torch.func.functional_call(model, params, x).sum()

    assert set(torch.func.grad(loss)(params)) == set(params)

    class Own(torch.Tensor):
        pass

    assert torch.ones(1).as_subclass(Own).item() == 1.0


def test_a_backward_that_fails_leaves_nothing_behind(seen: Recorded) -> None:
    """And raises what it raises."""
    model = loops.Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, y = loops.xy(16)
    for _ in range(2):
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        with pytest.raises(RuntimeError, match="second time"):
            loss.backward()
    seen.client.disable()
    assert seen.run.metrics["train/loss_step"]["count"] == 2


def test_patched_functions_pickle_and_the_loop_goes_on_when_switched_off(seen: Recorded) -> None:
    """In the middle of a training, too."""
    assert pickle.loads(pickle.dumps(torch.autograd.backward)) is torch.autograd.backward
    model = loops.Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loops._steps(model, optimizer, 2)
    seen.client.disable()
    loops._steps(model, optimizer, 2)
    assert seen.run.metrics["train/loss_step"]["count"] == 2


def test_what_is_trained_in_a_forked_child_or_by_another_rank_is_not_recorded(tmp_path: Path) -> None:
    """One job, one run."""
    code = textwrap.dedent("""
        import os, sys
        import autolog; autolog.autolog(silent=True)
        import torch
        torch.set_num_threads(1)
        def train():
            model = torch.nn.Linear(2, 1)
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            for _ in range(3):
                model(torch.ones(1, 2)).sum().backward()
                optimizer.step()
        pid = os.fork()
        if pid == 0:
            train()
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        train()
    """)
    from autolog.store.records import Store

    done = script(code, tmp_path, timeout=200, beneath=BENEATH)
    assert done.returncode == 0, done.stderr
    assert [run.status for run in Store(tmp_path / ".autolog").runs()] == ["finished"]
    (tmp_path / "rank").mkdir()
    rank = {"RANK": "1", "WORLD_SIZE": "2", "AUTOLOG_DIR": str(tmp_path / "other")}
    done = script(code, tmp_path / "rank", timeout=200, beneath=BENEATH, **rank)
    assert done.returncode == 0, done.stderr
    assert list(Store(tmp_path / "other").runs()) == []
