"""A call says what trainings inside of it are: parts of its run, child runs of it, or nothing that is recorded."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Generator, Iterable
from types import ModuleType
from typing import Any

import pytest

import autolog
from autolog.integration import Call, Integration, Patch
from autolog.testing import recorded

SWEEPER = """
import threading

def sweep(train, rates):
    return [train(rate) for rate in rates]

def in_threads(train, rates):
    threads = [threading.Thread(target=train, args=(rate,)) for rate in rates]
    for thread in threads:
        thread.start()
        thread.join()

async def awaited(train, rates):
    import asyncio
    for rate in rates:
        await asyncio.sleep(0)
        train(rate)

def stepwise(train, rates):
    for rate in rates:
        train(rate)
        yield rate
"""


class Sweeper(Integration):
    """Its observer reads what it is to say of the trainings inside."""

    name = "sweeper"
    supports = "sweeper>=0"
    inside: Any = "children"

    def patches(self) -> Iterable[Patch]:
        for name in ("sweep", "in_threads", "awaited", "stepwise"):
            yield Patch(target=f"sweeper:{name}", observer=self.observe)

    def observe(self, call: Call) -> Generator[None, Any, None]:
        run = call.start_run(kind="search", name="sweep", inside=self.inside)
        run.log_params({"rates": len(call.argument("rates"))})
        yield
        run.log_metrics({"over": 1})


@pytest.fixture
def sweeper(toy: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Any:
    module = ModuleType("sweeper")
    module.__version__ = "1"  # type: ignore[attr-defined]
    exec(SWEEPER, vars(module))
    monkeypatch.setitem(sys.modules, "sweeper", module)
    return module


def told(seen: Any) -> list[tuple[Any, ...]]:
    """Name, parent's name, kind and estimator of each run, in the order in which they began, and which metrics it has."""
    names = {run.id: run.name for run in seen.all_runs}
    return [
        (run.name, names.get(run.parent), run.kind, (run.estimator or "").rpartition(".")[2], sorted(run.metrics))
        for run in seen.all_runs
    ]  # fmt: skip


SEARCH = ("sweep", None, "search", "", ["over"])
CHILDREN = [("sweep/1", "sweep", "fit", "Slope", ["loss"]), ("sweep/2", "sweep", "fit", "Slope", ["loss"])]
WAYS = {
    "a function": lambda module, train: module.sweep(train, [0.1, 0.2]),
    "threads": lambda module, train: module.in_threads(train, [0.1, 0.2]),
    "a coroutine": lambda module, train: asyncio.run(module.awaited(train, [0.1, 0.2])),
    "a generator": lambda module, train: list(module.stepwise(train, [0.1, 0.2])),
}


@pytest.mark.parametrize("way", WAYS)
def test_trainings_inside_a_call_may_be_child_runs(toy: ModuleType, sweeper: Any, way: str) -> None:
    """Of the call's own run, wherever inside of the call they are; a training after it is none."""

    def train(rate: float) -> None:
        toy.Slope(rate=rate).fit([1, 2], [2, 4])

    with recorded("toy", Sweeper) as seen:
        WAYS[way](sweeper, train)
        train(0.3)
        assert autolog.current_run() is None
    after = seen.runs[-1].name
    assert told(seen) == [SEARCH, *CHILDREN, (after, None, "fit", "Slope", ["loss"])]


def test_trainings_between_the_steps_of_a_generator_are_not_inside_its_call(
    toy: ModuleType, sweeper: Any
) -> None:
    with recorded("toy", Sweeper) as seen:
        for _ in sweeper.stepwise(lambda rate: toy.Slope(rate=rate).fit([1, 2], [2, 4]), [0.1]):
            toy.Slope(rate=0.3).fit([1, 2], [2, 4])
    own = next(run.name for run in seen.runs if run.name != "sweep")
    assert told(seen) == [SEARCH, CHILDREN[0], (own, None, "fit", "Slope", ["loss"])]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("inside", "metrics"), [("parts", ["loss", "over"]), ("nothing", ["over"])])
def test_trainings_inside_a_call_may_be_parts_of_its_run_or_not_recorded(
    toy: ModuleType, sweeper: Any, monkeypatch: pytest.MonkeyPatch, way: str, inside: str, metrics: list[str]
) -> None:
    monkeypatch.setattr(Sweeper, "inside", inside)
    with recorded("toy", Sweeper) as seen:
        WAYS[way](sweeper, lambda rate: toy.Slope(rate=rate).fit([1, 2], [2, 4]))
    assert told(seen) == [("sweep", None, "search", "", metrics)]


def test_a_search_inside_an_explicit_run_is_that_run_with_children(toy: ModuleType, sweeper: Any) -> None:
    with recorded("toy", Sweeper) as seen, autolog.run("mine"):
        sweeper.sweep(lambda rate: toy.Slope(rate=rate).fit([1, 2], [2, 4]), [0.1])
    assert told(seen) == [
        ("mine", None, "search", "", ["over"]),
        ("mine/1", "mine", "fit", "Slope", ["loss"]),
    ]


def test_a_search_that_fails_has_failed_and_its_finished_children_have_not(
    toy: ModuleType, sweeper: Any
) -> None:
    def train(rate: float) -> None:
        toy.Slope(rate=rate).fit([1, 2], [2, 4])
        raise KeyError("mine")

    with recorded("toy", Sweeper) as seen:
        with pytest.raises(KeyError, match="mine"):
            sweeper.sweep(train, [0.1])
        toy.Slope().fit([1, 2], [2, 4])
    assert [(run.status, run.parent is None) for run in seen.all_runs] == [
        ("failed", True), ("finished", False), ("finished", True),
    ]  # fmt: skip


def test_argument_knows_defaults_however_the_others_were_passed() -> None:
    def train(data: Any, rounds: int = 5, *, rate: float = 0.1, **more: Any) -> None: ...

    class Handler:
        active = True
        timer = type("Timer", (), {"account": type("Account", (), {"seconds": 0.0})})

    call = Call(Handler(), "toy", "train", train, None, ([1], 7), {"seed": 3}, None)  # type: ignore[arg-type]
    assert [call.argument(name) for name in ("data", "rounds", "rate", "seed", "nowhere")] == [
        [1],
        7,
        0.1,
        3,
        None,
    ]
    assert (call.parameters, dict(call.defaults)) == (("data", "rounds", "rate"), {"rounds": 5, "rate": 0.1})
