"""The promise: a loop that a user has written is one run, from its first step to its end, though no call is around it; whatever
ends it ends it once, and it belongs to the call or block that it stands in.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

import autolog
from autolog.integration import Call, FastPatch, Integration, Patch
from autolog.testing import Recorded, recorded

pytestmark = pytest.mark.usefixtures("fresh")


class Loops(Integration):
    """Opens a run by hand; `toy.train` is a call around, which is sealed if its `rounds` are 1."""

    name = "toy"
    supports = "toy>=1"
    here: Any = None

    def patches(self) -> Iterator[Patch | FastPatch]:
        type(self).here = self
        yield Patch(target="toy:train", observer=self.train)

    def train(self, call: Call) -> Any:
        call.start_run(kind="train")
        if call.arguments.get("rounds") == 1:
            call.suppress_nested()
        yield


class Closing:
    """What an integration does before its run ends: here, count, and log what is left."""

    def __init__(self) -> None:
        self.count = 0
        self.run: Any = None

    def __call__(self) -> None:
        self.count += 1
        self.run.log_metrics({"left": self.count})


def start(**about: Any) -> Closing:
    closing = Closing()
    closing.run = Loops.here.start_run(closing, **about)
    return closing


@pytest.fixture
def seen(toy: ModuleType) -> Iterator[Recorded]:
    with recorded(Loops) as seen:
        yield seen


def test_a_loop_is_a_run_until_it_is_ended(seen: Recorded) -> None:
    loop = start(kind="train", estimator="mine.Net")
    assert autolog.current_run() is loop.run
    assert (seen.run.status, seen.run.framework, seen.run.kind, seen.run.estimator) == (
        "running", "toy", "train", "mine.Net",
    )  # fmt: skip
    for _ in range(2):
        Loops.here.end_run(loop.run)
    assert (autolog.current_run(), autolog.last_run()) == (None, loop.run)
    assert (seen.run.status, seen.run.metrics["left"]["count"], loop.count) == ("finished", 1, 1)


def test_a_loop_ends_with_the_error_it_is_given(seen: Recorded) -> None:
    Loops.here.end_run(start().run, ValueError("bad"))
    assert (seen.run.status, seen.run.error) == ("failed", "ValueError: bad")


def test_disable_ends_a_loop_after_its_last_values_are_logged(seen: Recorded) -> None:
    loop = start()
    seen.client.disable()
    assert (seen.run.status, loop.count) == ("finished", 1)


def test_the_first_loop_of_a_block_is_its_run_and_the_next_are_children(seen: Recorded) -> None:
    """They end with the block, before its own run does."""
    with autolog.run("block") as run:
        first, second = start(), start()
        assert first.run is run
        assert second.run.parent == run.id
    assert [(one.name, one.status) for one in seen.all_runs] == [
        ("block", "finished"),
        ("block/1", "finished"),
    ]
    assert (first.count, second.count) == (1, 1)


def test_a_block_that_raises_fails_the_loops_inside(seen: Recorded) -> None:
    with pytest.raises(ValueError, match="bad"), autolog.run("block", children=True):
        start()
        raise ValueError("bad")
    assert [one.status for one in seen.all_runs] == ["failed", "failed"]


def test_sys_exit_is_wrapped_only_while_there_may_be_loops(seen: Recorded) -> None:
    own = sys.exit
    assert not hasattr(own, "__wrapped__")
    start()
    assert sys.exit.__wrapped__ is own  # pyright: ignore[reportFunctionMemberAccess]
    assert hasattr(type(exit).__call__, "__wrapped__")
    with pytest.raises(SystemExit, match="why"):
        sys.exit("why")
    seen.client.disable()
    assert sys.exit is own
    assert not hasattr(type(exit).__call__, "__wrapped__")


def test_a_loop_before_a_block_goes_on_after_it(seen: Recorded) -> None:
    loop = start()
    with autolog.run("other"):
        pass
    assert loop.count == 0
    assert [one.status for one in seen.runs] == ["running", "finished"]


def test_a_loop_inside_a_call_adds_to_the_calls_run(
    seen: Recorded, toy: ModuleType, monkeypatch: Any
) -> None:
    """And is over with the call; ending it by hand leaves the call's run alone."""
    loops: list[Closing] = []
    monkeypatch.setattr("toy.core.loss", lambda *_: loops.append(start()) or 0.0)
    toy.train({}, [1.0], [2.0], callbacks=[type("Ask", (), {"after_round": lambda *_: None})()])
    assert seen.run.status == "finished"
    assert len(loops) == 5
    assert {(loop.run.id, loop.count) for loop in loops} == {(seen.run.id, 1)}


def test_there_is_no_loop_inside_a_call_with_suppress_nested(
    seen: Recorded, toy: ModuleType, monkeypatch: Any
) -> None:
    loops: list[Closing] = []
    monkeypatch.setattr("toy.core.loss", lambda *_: loops.append(start()) or 0.0)
    toy.train({}, [1.0], [2.0], rounds=1, callbacks=[type("Ask", (), {"after_round": lambda *_: None})()])
    assert [loop.run for loop in loops] == [None]
    assert len(seen.runs) == 1


def test_a_loop_is_none_where_nothing_is_recorded(seen: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    """Suspended, by name or altogether; another rank; switched off in a forked child."""
    with autolog.suspended():
        assert start().run is None
    with autolog.suspended("toy"):
        assert start().run is None
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert start().run is None
    monkeypatch.undo()
    seen.client.active = False
    assert start().run is None
    seen.client.active = True
    assert list(seen.all_runs) == []


def test_threads_have_loops_of_their_own(seen: Recorded) -> None:
    found: list[Any] = []

    def train() -> None:
        loop = start()
        found.append(autolog.current_run() is loop.run)
        Loops.here.end_run(loop.run)

    loop = start()
    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert found == [True]
    assert autolog.current_run() is loop.run
    assert [one.status for one in seen.runs] == ["running", "finished"]


def test_an_error_while_a_loop_is_closed_is_reported_and_the_loop_ends(toy: ModuleType) -> None:
    with recorded(Loops, strict=False) as seen:
        loop = start()
        loop.run = None  # closing will fail
        seen.client.disable()
    assert (seen.run.status, len(seen.run.errors)) == ("finished", 1)
