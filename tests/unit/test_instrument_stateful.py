"""The promise: whatever is imported, switched, suspended, nested, raised and threaded in whatever order, each training is
recorded exactly when it should be, gives the same result, and nothing stays patched when it is off.
"""

from __future__ import annotations

import importlib
import os
import queue
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import autolog
from autolog import session
from autolog.instrument.calls import current, innermost
from autolog.lifecycle import last_run

X, Y = [1.0, 2.0], [2.0, 4.0]
WEIGHT = 0.875
"""After two rounds."""


def names_of_toy() -> list[str]:
    return [name for name in sys.modules if name.partition(".")[0] in ("toy", "autolog_toy")]


class Worker:
    """A thread that was there before; it does one thing after the other."""

    def __init__(self) -> None:
        self._tasks: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            self._results.put(task())

    def do(self, task: Callable[[], Any]) -> Any:
        self._tasks.put(task)
        return self._results.get(timeout=30)

    def stop(self) -> None:
        self._tasks.put(None)
        self._thread.join(30)


class Machine(RuleBasedStateMachine):
    """Does things to autolog, and keeps account of what should be recorded."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp()
        os.environ["AUTOLOG_DIR"] = self.folder
        for name in names_of_toy():
            del sys.modules[name]
        self.before = session.get(), current.set(None), last_run.set(None)
        session.put(None)
        self.threads = vars(threading.Thread)["start"]
        self.worker = Worker()
        self.toy: Any = None
        self.on = False
        self.off_by_name = False
        self.blocks: list[
            list[Any]
        ] = []  # [context manager, "suspended" or the position of its run, claimed, all children]
        self.expected: list[
            tuple[str, str | None, str, int | None]
        ] = []  # kind, estimator, status, position of parent

    def teardown(self) -> None:
        try:
            while self.blocks:
                self.leave(None)
            autolog.flush(30)
            found = sorted(autolog.runs(children=True), key=lambda one: one.id)
            places = {one.id: place for place, one in enumerate(found)}
            assert [
                (one.kind, one.estimator, one.status, places.get(one.parent or "")) for one in found
            ] == self.expected
            assert [one.errors for one in found] == [[]] * len(found)
        finally:
            here = session.get()
            if here is not None:
                here.disable()
                here.at_exit()
            self.worker.stop()
            before, frame, last = self.before
            session.put(before)
            last_run.reset(last)
            current.reset(frame)
            shutil.rmtree(self.folder, ignore_errors=True)
        assert vars(threading.Thread)["start"] is self.threads

    @initialize(steps=st.permutations(["import_toy", "switch_on"]), number=st.sampled_from([2, 2, 2, 1, 0]))
    def at_first(self, steps: list[str], number: int) -> None:
        """Mostly, there is something to record."""
        for step in steps[:number]:
            getattr(self, step)()

    # -- importing

    @precondition(lambda self: self.toy is None)
    @rule()
    def import_toy(self) -> None:
        """For the first time."""
        import toy

        self.toy = toy
        importlib.import_module("toy.tuning")
        if not self.on:
            self.originals = self.slots()

    @precondition(lambda self: self.toy is not None)
    @rule()
    def reload(self) -> None:
        importlib.reload(self.toy)

    def slots(self) -> dict[str, int]:
        """Everything of toy's, by identity."""
        found: dict[str, int] = {}
        for name in ("toy", "toy.core", "toy.training", "toy.tuning"):
            for key, value in vars(sys.modules[name]).items():
                if key.startswith("__"):
                    continue
                found[f"{name}.{key}"] = id(value)
                if isinstance(value, type):
                    found.update(
                        {
                            f"{name}.{key}.{slot}": id(held)
                            for slot, held in vars(value).items()
                            if slot[:2] != "__"
                        }
                    )
        return found

    def wrappers(self) -> list[str]:
        """The slots of toy's that hold something of ours."""
        modules = [sys.modules[name] for name in ("toy", "toy.core", "toy.training", "toy.tuning")]
        held = [(name, value) for module in modules for name, value in vars(module).items()]
        held += [
            (name, value) for _, cls in held if isinstance(cls, type) for name, value in vars(cls).items()
        ]
        return [name for name, value in held if type(value).__module__.startswith("autolog")]

    # -- switching

    @rule()
    def switch_on(self) -> None:
        autolog.autolog(silent=True)
        self.on = not self.off_by_name

    @rule(log_rounds=st.booleans())
    def enable(self, log_rounds: bool) -> None:
        autolog.enable("toy", log_rounds=log_rounds)
        self.on, self.off_by_name = True, False

    @rule()
    def disable(self) -> None:
        autolog.disable()
        self.on = self.off_by_name = False

    @rule()
    def disable_by_name(self) -> None:
        autolog.disable("toy")
        self.on, self.off_by_name = False, True

    # -- blocks

    @precondition(lambda self: len(self.blocks) < 4)
    @rule(name=st.sampled_from([(), ("toy",)]))
    def suspend(self, name: tuple[str, ...]) -> None:
        self._enter(autolog.suspended(*name), "suspended")

    @precondition(lambda self: len(self.blocks) < 4)
    @rule(children=st.booleans())
    def begin(self, children: bool) -> None:
        self.expected.append(("run", None, "finished", self._parent()))
        self._enter(autolog.run(children=children), len(self.expected) - 1, children)

    def _enter(self, block: Any, what: Any, children: bool = False) -> None:
        block.__enter__()
        self.blocks.append([block, what, children])

    def _parent(self) -> int | None:
        return next((what for _, what, _ in reversed(self.blocks) if what != "suspended"), None)

    @precondition(lambda self: self.blocks)
    @rule(error=st.sampled_from([None, ValueError("x"), KeyboardInterrupt()]))
    def leave(self, error: BaseException | None) -> None:
        block, what, _ = self.blocks.pop()
        block.__exit__(type(error) if error else None, error, None)
        if what != "suspended" and error is not None:
            kind, estimator, _, parent = self.expected[what]
            status = "failed" if isinstance(error, Exception) else "interrupted"
            self.expected[what] = kind, estimator, status, parent

    # -- training

    def _expect(
        self, kind: str, estimator: str, status: str = "finished", *, elsewhere: bool = False
    ) -> int | None:
        """Note what a training now should become. Returns the position of its run."""
        blocks = [] if elsewhere else self.blocks
        if not self.on or any(what == "suspended" for _, what, _ in blocks):
            return None
        for block in reversed(blocks):
            if not block[2]:  # not claimed yet: the training is this run
                block[2] = True
                place = block[1]
                self.expected[place] = (kind, estimator, *self.expected[place][2:])
                return int(place)
            break
        self.expected.append((kind, estimator, status, blocks[-1][1] if blocks else None))
        return len(self.expected) - 1

    @precondition(lambda self: self.toy is not None)
    @rule(where=st.sampled_from(["here", "new thread", "other thread"]))
    def fit(self, where: str) -> None:
        self._expect("fit", "toy.core.Slope", elsewhere=where == "other thread")
        assert self._at(where, lambda: self.toy.Slope(rounds=2).fit(X, Y).weight) == WEIGHT

    def _at(self, where: str, work: Callable[[], Any]) -> Any:
        if where == "here":
            return work()
        if where == "other thread":
            return self.worker.do(work)
        results: list[Any] = []
        thread = threading.Thread(target=lambda: results.append(work()))
        thread.start()
        thread.join(30)
        return results[0]

    @precondition(lambda self: self.toy is not None)
    @rule(where=st.sampled_from(["here", "new thread", "other thread"]))
    def fit_that_fails(self, where: str) -> None:
        self._expect("fit", "toy.core.Slope", "failed", elsewhere=where == "other thread")

        def work() -> str:
            with pytest.raises(ValueError, match="2 values and 1 targets") as error:
                self.toy.Slope().fit(X, Y[:1])
            return repr(error.value.__context__)

        assert self._at(where, work) == "None"

    @precondition(lambda self: self.toy is not None)
    @rule()
    def fit_that_fits_others(self) -> None:
        self._expect("fit", "toy.core.Committee")
        assert len(self.toy.Committee().fit(X, Y).members) == 3

    @precondition(lambda self: self.toy is not None)
    @rule()
    def fit_a_subclass(self) -> None:
        class Late(self.toy.Careful):  # type: ignore[name-defined,misc]
            def fit(self, X: Any, y: Any, callbacks: Any = (), **more: Any) -> Any:
                return super().fit(X, y, callbacks, **more)

        self._expect("fit", f"{__name__}.{Late.__qualname__}")
        assert Late(rounds=2).fit(X, Y).weight == WEIGHT

    @precondition(lambda self: self.toy is not None)
    @rule(name=st.sampled_from(["toy", "toy.training"]))
    def train(self, name: str) -> None:
        self._expect("train", "toy.core.Slope")
        assert sys.modules[name].train({}, X, Y, rounds=2).weight == WEIGHT  # type: ignore[attr-defined]

    @precondition(lambda self: self.toy is not None)
    @rule()
    def tune(self) -> None:
        place = self._expect("search", "Slope")
        assert self.toy.tune(self.toy.Slope, [0.1, 0.2], X, Y).rate == 0.2
        if place is not None:
            self.expected += [("candidate", "Slope", "finished", place)] * 2

    @precondition(lambda self: self.toy is not None)
    @rule(switch=st.sampled_from(["switch_on", "disable", "disable_by_name"]))
    def switched_in_the_middle(self, switch: str) -> None:
        """A callback that switches autolog on or off while a training is under way."""
        machine = self

        class Switches:
            def after_round(self, number: int, loss: float) -> None:
                if number == 0:
                    getattr(machine, switch)()

        self._expect("fit", "toy.core.Slope")
        assert self.toy.Slope(rounds=2).fit(X, Y, [Switches()]).weight == WEIGHT

    # -- what always holds

    @invariant()
    def no_frame_is_left_behind(self) -> None:
        assert (innermost() is None) == (not self.blocks)
        assert self.worker.do(innermost) is None

    @invariant()
    def nothing_is_patched_when_it_is_off(self) -> None:
        if self.toy is not None and not self.on:
            assert not self.wrappers()
            if not hasattr(self, "originals"):
                self.originals = self.slots()
            now = self.slots()
            # A reload makes the names of `toy` itself anew.
            kept = [name for name in now if name.count(".") > 1]
            assert [now[name] for name in kept] == [self.originals[name] for name in kept]

    @invariant()
    def the_status_says_so(self) -> None:
        if session.get() is not None:
            [one] = [one for one in autolog.status() if one.name == "toy"]
            assert one.state == (
                "disabled" if not self.on else "active" if self.toy else "waiting for import"
            )


@pytest.mark.usefixtures("fresh")
def test_any_order_of_things(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every training is recorded exactly when it should be."""
    from hypothesis.stateful import run_state_machine_as_test

    monkeypatch.setenv("AUTOLOG_DIR", "")
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=int(os.environ.get("STATEFUL_EXAMPLES", "30")),
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            # Shrinking takes minutes, and twenty-five steps can be read.
            phases=[Phase.explicit, Phase.reuse, Phase.generate],
        ),
    )
