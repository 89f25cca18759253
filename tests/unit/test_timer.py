"""The promise: a run says what autolog itself has cost its training, all of it and nothing twice; and what is optional is left
out where it would cost more than was asked for.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import autolog
from autolog import process
from autolog.config import Config
from autolog.integration import Call, FastPatch, Integration, Patch, SubclassPatch
from autolog.testing import recorded

pytestmark = pytest.mark.usefixtures("fresh")


class Clock:
    """Stands still but for what it is told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def spend(self, seconds: float) -> None:
        self.now += seconds


class Slow:
    """A callback that takes half a second a round."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def after_round(self, number: int, loss: float) -> None:
        self._clock.spend(0.5)


class Toy(Integration):
    """Takes 1 s before and 2 s after a training, and 0.25 s each time that a loss is computed."""

    name = "toy"
    supports = "toy>=1"
    clock: Clock
    fails = False

    def patches(self) -> Iterator[Patch | SubclassPatch | FastPatch]:
        yield SubclassPatch(base="toy.core:Model", methods=("fit",), observer=self.fit, nested=True)
        yield Patch(target="toy:train", aliases=("toy.training:train",), observer=self.train)
        yield FastPatch(target="toy.core:loss", after=lambda *_: self.clock.spend(0.25))

    def fit(self, call: Call) -> Any:
        self.clock.spend(1)
        if call.outermost:
            call.start_run()
        if call.takes("callbacks"):
            call.replace(callbacks=[call.guarded(Slow(self.clock))])
        try:
            yield
        finally:
            self.clock.spend(2)

    def train(self, call: Call) -> Any:
        self.clock.spend(10)
        call.start_run()
        yield
        self.clock.spend(20)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in ("instrument.calls", "instrument.intercept", "instrument.timer", "recording.recorder"):
        monkeypatch.setattr(f"autolog.{module}.perf_counter", clock)
    monkeypatch.setattr(Toy, "clock", clock, raising=False)
    return clock


DATA = [1.0, 2.0], [2.0, 4.0]


def test_overhead_counts_observers_callbacks_and_hooks_once(toy: ModuleType, clock: Clock) -> None:
    """Nearly free: three rounds with a callback and a loss each are 1 + 3 × (0.5 + 0.25) + 2 seconds."""
    with recorded(Toy) as seen:
        toy.Slope(rounds=3).fit(*DATA)
    assert seen.run.overhead == 5.25


def test_overhead_of_nested_calls_counts_for_the_run_around_them(toy: ModuleType, clock: Clock) -> None:
    """`toy.train` fits a model: both are observed, and there is one run."""
    with recorded(Toy) as seen:
        toy.train({"rate": 0.1}, *DATA, rounds=2)
    assert seen.run.overhead == 10 + (1 + 2 * 0.75 + 2) + 20


def test_a_failed_training_has_overhead_too(toy: ModuleType, clock: Clock) -> None:
    with recorded(Toy) as seen, pytest.raises(ValueError, match="targets"):
        toy.Slope().fit([1.0], [1.0, 2.0])
    assert (seen.run.status, seen.run.overhead) == ("failed", 3)


def test_the_overhead_of_a_run_includes_that_of_its_children(toy: ModuleType, clock: Clock) -> None:
    """A parent's time is that of its children, too; what another thread trains is not its."""
    with recorded(Toy) as seen:
        with autolog.run("all", children=True):
            toy.Slope(rounds=1).fit(*DATA)
            toy.Slope(rounds=2).fit(*DATA)
        thread = threading.Thread(target=toy.Slope(rounds=4).fit, args=DATA)
        thread.start()
        thread.join()
        toy.Slope(rounds=1).fit(*DATA)
    parent, threads, last = sorted(seen.runs, key=lambda run: run.id)
    assert [run.overhead for run in parent.children] == [3.75, 4.5]
    assert (parent.overhead, threads.overhead, last.overhead) == (8.25, 6, 3.75)


def test_optional_work_may_take_a_tenth_of_a_second_and_a_share_of_the_time() -> None:
    """The default is 1 % of the training's time beyond 100 ms. What comes after the end counts no more."""
    from autolog.tracking.run import Run

    account = SimpleNamespace(seconds=7.0)
    outlet: Any = SimpleNamespace(timer=SimpleNamespace(account=account), overhead_budget=0.01)
    run = Run(outlet, "brave-otter", "default")
    run.started, run.ended = 0, 20_000
    assert run.allowance == pytest.approx(0.3)
    account.seconds += 0.4
    run.settle()
    account.seconds += 1  # another run's
    assert run.overhead == pytest.approx(0.4)


@pytest.mark.parametrize("given", [0.2, 0])
def test_the_share_is_a_setting(given: float, toy: ModuleType) -> None:
    """Where all points are wanted, whatever they cost. It is a hundredth by default; a test's is all of the time."""
    assert Config().overhead_budget == 0.01
    with recorded(Toy):
        assert process.get_or_make().config.overhead_budget == 1
    with recorded(Toy, overhead_budget=given):
        assert process.get_or_make().config.overhead_budget == given


@pytest.mark.parametrize("wrong", [-0.1, "much", True])
def test_a_wrong_overhead_budget_is_an_error_that_says_what_is_valid(wrong: Any) -> None:
    with pytest.raises(
        ValueError, match=r"overhead_budget=.* must be a share of the training's time, as 0\.01"
    ):
        autolog.autolog(overhead_budget=wrong)
