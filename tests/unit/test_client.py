"""What is switched on is switched off whole, whatever fails on the way."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Generator, Iterator
from types import ModuleType
from typing import Any

import pytest
from helpers import in_threads

from autolog import process
from autolog.client import Client
from autolog.integration import Call, Hook, Integration, Patch
from autolog.testing import recorded


class Stubborn(Integration):
    """Its framework's hook cannot be taken out."""

    name = "stubborn"
    supports = "toy>=0"

    class Handle:
        def remove(self) -> None:
            raise RuntimeError("never")

    def patches(self) -> Iterator[Any]:
        yield Hook(target="toy:register_forever", hook=lambda: None)
        yield Patch(target="toy:train", observer=self.observe)

    def observe(self, call: Call) -> Generator[None, Any, None]:
        yield


@pytest.fixture
def stubborn(toy: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(toy, "register_forever", lambda hook: Stubborn.Handle(), raising=False)
    for name in ("stubborn", "half"):  # what an integration that is not installed waits for
        monkeypatch.setitem(sys.modules, name, toy)
    return toy


def test_a_hook_that_cannot_be_removed_keeps_no_other_patch(stubborn: ModuleType) -> None:
    """All attributes are put back, then the failure is told; and the next session begins anew."""
    before = process.get()
    slots = vars(stubborn)["train"], vars(stubborn.Slope)["fit"], vars(threading.Thread)["start"]
    with pytest.raises(RuntimeError, match="never"), recorded(Stubborn, "toy") as seen:
        assert vars(stubborn)["train"] is not slots[0]
    assert (vars(stubborn)["train"], vars(stubborn.Slope)["fit"], vars(threading.Thread)["start"]) == slots
    assert process.get() is before
    assert seen.client.manager.switched_on == []
    with recorded("toy") as seen:
        stubborn.Slope().fit([1.0, 2.0], [2.0, 4.0])
    assert seen.run.status == "finished"


def test_an_integration_that_fails_while_it_is_installed_is_removed(
    stubborn: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    """Half of its patches would record half of its trainings."""

    class Half(Stubborn):
        name = "half"

        def patches(self) -> Iterator[Any]:
            yield Patch(target="toy:train", observer=self.observe)
            raise OSError("the second")

    train = vars(stubborn)["train"]
    with recorded(Half, strict=False) as seen:
        assert vars(stubborn)["train"] is train
        active = seen.client.manager.states["half"]
        assert (active.state, active.reason) == ("failed", "OSError: the second")
    assert "the second" in caplog.text


def test_threads_are_followed_until_the_last_integration_is_off(toy: ModuleType) -> None:
    start = vars(threading.Thread)["start"]
    with recorded() as seen:
        names = seen.client.manager.switched_on
        for name in names:
            assert vars(threading.Thread)["start"] is not start
            seen.client.disable([name])
        assert vars(threading.Thread)["start"] is start


@pytest.mark.parametrize("what", ["recorder", "lineage", "sender"])
def test_threads_that_ask_at_the_same_time_get_the_same_object(what: str) -> None:
    """What is made when it is first needed is one for all: else a run of one thread would be unknown to another."""
    client = Client()
    client.active = False
    ask: dict[str, Callable[[], Any]] = {
        "recorder": lambda: client.recorder,
        "lineage": lambda: client.recorder.lineage,
        "sender": lambda: client.handover.sender,
    }
    together, found = threading.Barrier(8), list[Any]()

    def come() -> None:
        together.wait()
        found.append(ask[what]())

    in_threads(*[come] * 8)
    assert len({id(one) for one in found}) == 1
