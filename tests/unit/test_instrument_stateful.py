"""The promise: whatever is imported, switched, suspended, nested, raised and threaded in whatever order, each training is
recorded exactly when it should be, gives the same result, and nothing stays patched when it is off.
"""

from __future__ import annotations

import importlib
import os
import queue
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from helpers import run_machine
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import autolog
from autolog import process
from autolog.instrument.calls import current, innermost
from autolog.recording.scope import last_run

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


def forked(work: Callable[[], Any]) -> int:
    """Do it in a forked child. Returns its exit status; one that hangs is killed."""
    child = os.fork()
    if not child:
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return -1


class Machine(RuleBasedStateMachine):
    """Does things to autolog, and keeps account of what should be recorded."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp()
        os.environ["AUTOLOG_DIR"] = self.folder
        for name in names_of_toy():
            del sys.modules[name]
        self.before = process.get(), current.set(None), last_run.set(None)
        process.put(None)
        self.threads = vars(threading.Thread)["start"]
        self.worker = Worker()
        self.toy: Any = None
        self.on = False
        self.off_by_name = False
        self.others_on = False  # integrations of what is not imported here
        self.follows = False  # threads are in the blocks in which they begin
        self.blocks: list[
            list[Any]
        ] = []  # [context manager, "suspended" or the position of its run, claimed, all children]
        self.expected: list[
            tuple[str, str | None, str, int | None]
        ] = []  # kind, estimator, status, position of parent
        self.points: dict[int, int] = {}  # losses of the runs that have some, by position
        self.log_rounds = True
        self.last: int | None = None  # the position of the run that ended last in this thread
        self.answers: list[tuple[str, int]] = []  # ids of runs that the API gave, and the positions meant
        self.lasting: list[tuple[Worker, list[list[Any]]]] = []  # threads, and the blocks they began in

    def teardown(self) -> None:
        try:
            while self.blocks:
                self.leave(None)
            assert autolog.flush(30)
            found = sorted(autolog.runs(children=True), key=lambda one: one.id)
            places = {one.id: place for place, one in enumerate(found)}
            assert [
                (one.kind, one.estimator, one.status, places.get(one.parent or "")) for one in found
            ] == self.expected
            assert [one.errors for one in found] == [[]] * len(found)
            losses = {
                places[one.id]: one.metrics["loss"]["count"] for one in found if one.metrics.get("loss")
            }
            assert losses == self.points
            assert [places[run] for run, _ in self.answers] == [place for _, place in self.answers]
        finally:
            for worker, _ in self.lasting:
                worker.stop()
            here = process.get()
            if here is not None:
                here.disable()
                here.at_exit()
            self.worker.stop()
            before, frame, last = self.before
            process.put(before)
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
        self.others_on = self.follows = True

    @rule(log_rounds=st.booleans())
    def enable(self, log_rounds: bool) -> None:
        autolog.enable("toy", log_rounds=log_rounds)
        self.on, self.off_by_name, self.log_rounds = True, False, log_rounds
        self.follows = True

    @rule()
    def disable(self) -> None:
        autolog.disable()
        self.on = self.off_by_name = self.others_on = self.follows = False

    @rule()
    def disable_by_name(self) -> None:
        autolog.disable("toy")
        self.on, self.off_by_name = False, True
        self.follows = self.follows and self.others_on

    # -- blocks

    @precondition(lambda self: len(self.blocks) < 4)
    @rule(name=st.sampled_from([(), ("toy",)]))
    def suspend(self, name: tuple[str, ...]) -> None:
        self._enter(autolog.suspended(*name), "suspended")

    @precondition(lambda self: len(self.blocks) < 4)
    @rule(children=st.booleans())
    def begin(self, children: bool) -> None:
        self.expected.append(("run", None, "finished", self._parent()))
        self.follows = True
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
        if what != "suspended":
            self.last = what
        if what != "suspended" and error is not None:
            kind, estimator, _, parent = self.expected[what]
            status = "failed" if isinstance(error, Exception) else "interrupted"
            self.expected[what] = kind, estimator, status, parent

    # -- training

    def _expect(
        self, kind: str, estimator: str, status: str = "finished", *, where: str = "here", points: int = 2,
        blocks: list[list[Any]] | None = None,
    ) -> int | None:  # fmt: skip
        """Note what a training now should become, in this thread or another, inside the blocks that are open or these.
        Returns the position of its run.
        """
        blocks = [] if where == "other thread" else self.blocks if blocks is None else blocks
        if not self.on or any(what == "suspended" for _, what, _ in blocks):
            return None
        place = self._claimed(kind, estimator, blocks)
        if place is None:
            self.expected.append((kind, estimator, status, blocks[-1][1] if blocks else None))
            place = len(self.expected) - 1
            if where == "here":
                self.last = place
        if points and self.log_rounds:
            self.points[place] = self.points.get(place, 0) + points
        return place

    def _claimed(self, kind: str, estimator: str, blocks: list[list[Any]]) -> int | None:
        """The position of the explicit run that this training is, as the first one in its block."""
        if not blocks or blocks[-1][2]:
            return None
        blocks[-1][2] = True
        place: int = blocks[-1][1]
        self.expected[place] = (kind, estimator, *self.expected[place][2:])
        return place

    @precondition(lambda self: self.toy is not None)
    @rule(where=st.sampled_from(["here", "new thread", "other thread"]))
    def fit(self, where: str) -> None:
        self._expect("fit", "toy.core.Slope", where=where)
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
        self._expect("fit", "toy.core.Slope", "failed", where=where, points=0)

        def work() -> str:
            with pytest.raises(ValueError, match="2 values and 1 targets") as error:
                self.toy.Slope().fit(X, Y[:1])
            return repr(error.value.__context__)

        assert self._at(where, work) == "None"

    @precondition(lambda self: self.toy is not None)
    @rule()
    def fit_that_fits_others(self) -> None:
        self._expect("fit", "toy.core.Committee", points=0)
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
        place = self._expect("search", "Slope", points=0)
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

    @precondition(lambda self: self.toy is not None)
    @rule(error=st.sampled_from([KeyboardInterrupt, SystemExit, GeneratorExit]))
    def fit_that_is_interrupted(self, error: type[BaseException]) -> None:
        """By Ctrl-C after the first round."""

        class Interrupts:
            def after_round(self, number: int, loss: float) -> None:
                raise error

        self._expect("fit", "toy.core.Slope", "interrupted", points=0)
        with pytest.raises(error):
            self.toy.Slope(rounds=2).fit(X, Y, [Interrupts()])

    @precondition(lambda self: self.toy is not None)
    @rule(inner=st.sampled_from(["fit", "train", "tune", "begin"]))
    def nested(self, inner: str) -> None:
        """A training in the callback of another adds to that one's run, or begins its own in a block."""
        machine = self

        class Trains:
            def after_round(self, number: int, loss: float) -> None:
                if number:
                    return
                if inner == "begin":
                    with autolog.run():
                        machine.toy.Slope(rounds=2).fit(X, Y)
                elif inner == "tune":
                    machine.toy.tune(machine.toy.Slope, [0.1], X, Y)
                elif inner == "train":
                    machine.toy.train({}, X, Y, rounds=2)
                else:
                    machine.toy.Slope(rounds=2).fit(X, Y)

        place = self._expect("fit", "toy.core.Slope")
        if inner == "begin":
            self.follows = True
            suspended = any(what == "suspended" for _, what, _ in self.blocks)
            known = ("fit", "toy.core.Slope") if self.on and not suspended else ("run", None)
            self.expected.append((*known, "finished", self._parent()))
            if place is None or self.last != place:
                self.last = len(self.expected) - 1
            if known[0] == "fit" and self.log_rounds:
                self.points[len(self.expected) - 1] = 2
        elif place is not None and self.log_rounds:
            # Inside a fit the search is not looked at, so that it does not seal off its own fit, of five rounds.
            self.points[place] += 5 if inner == "tune" else 2
        assert self.toy.Slope(rounds=2).fit(X, Y, [Trains()]).weight == WEIGHT

    # -- threads that outlive what they began in

    @precondition(lambda self: self.toy is not None and len(self.lasting) < 2)
    @rule()
    def begin_a_thread(self) -> None:
        self.lasting.append((Worker(), list(self.blocks) if self.follows else []))

    @precondition(lambda self: self.lasting)
    @rule()
    def fit_in_an_older_thread(self) -> None:
        """It is in those blocks that it began in and that have not ended."""
        worker, blocks = self.lasting[-1]
        blocks[:] = [block for block in blocks if any(block is one for one in self.blocks)]
        self._expect("fit", "toy.core.Slope", where="older thread", blocks=blocks)
        assert worker.do(lambda: self.toy.Slope(rounds=2).fit(X, Y).weight) == WEIGHT

    # -- forked children

    @precondition(lambda self: self.toy is not None)
    @rule(switches_on=st.booleans(), inside=st.booleans())
    def fork(self, switches_on: bool, inside: bool) -> None:
        """A child trains, and records only if it has called `autolog()`; it never hangs, and leaves the parent's journal alone.
        With `inside`, it is forked in the middle of a fit.
        """
        assert autolog.flush(30)
        folder = Path(self.folder, "journal")
        before = {path: path.read_bytes() for path in folder.glob("*")}

        def in_child() -> None:
            assert autolog.flush(30) == (process.get() is None)
            assert self.toy.Slope(rounds=2).fit(X, Y).weight == WEIGHT
            with autolog.suspended():
                assert self.toy.train({}, X, Y, rounds=2).weight == WEIGHT
            if switches_on:
                autolog.autolog(silent=True)
                assert self.toy.Slope(rounds=2).fit(X, Y).weight == WEIGHT
                assert autolog.flush(30)
            here = process.get()
            if here is not None:
                here.at_exit()

        if inside:
            machine = self

            class Forks:
                def after_round(self, number: int, loss: float) -> None:
                    if number == 0:
                        assert forked(in_child) == 0
                        machine.unchanged(before, 1)

            self._expect("fit", "toy.core.Slope")
            task = partial(self.toy.Slope(rounds=2).fit, X, Y, [Forks()])
        else:
            task = partial(forked, in_child)
        here = len(self.expected)
        if switches_on and not self.off_by_name:
            while_on, self.on = self.on, True
            claims = [block[2] for block in self.blocks]
            for block in self.blocks:
                block[2] = True  # a child's training is never the parent's run itself
            self._expect("fit", "toy.core.Slope", where="child")
            for block, claimed in zip(self.blocks, claims, strict=True):
                block[2] = claimed
            self.on = while_on
        result = task()
        assert (result == 0) if not inside else (result.weight == WEIGHT)
        if not inside:
            self.unchanged(before)
        assert len(list(folder.glob("*"))) - len(before) <= (len(self.expected) > here) + inside

    def unchanged(self, before: dict[Path, bytes], starts: int = 0) -> None:
        """Nothing of a child's stands in a journal that there was: no more runs than so many have begun there since."""
        for path, content in before.items():
            now = path.read_bytes()
            assert now.startswith(content)
            assert now[len(content) :].count(b'"e":"start"') <= starts

    # -- asking

    @rule(sinks=st.booleans())
    def flush(self, sinks: bool) -> None:
        assert autolog.flush(30, sinks=sinks)

    @rule()
    def ask(self) -> None:
        """Which run it is, and which it was."""
        now, was = autolog.current_run(), autolog.last_run()
        assert (now is None) == (self._parent() is None)
        assert (was is None) == (self.last is None)
        for run, place in ((now, self._parent()), (was, self.last)):
            if run is not None and place is not None:
                self.answers.append((run.id, place))
        assert "toy" in str(autolog.status())

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
        if process.get() is not None:
            [one] = [one for one in autolog.status() if one.name == "toy"]
            assert one.state == (
                "disabled" if not self.on else "active" if self.toy else "waiting for import"
            )


@pytest.mark.usefixtures("fresh")
def test_any_order_of_imports_switches_and_trainings_is_recorded_correctly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every training is recorded exactly when it should be.

    Slow: in CI it makes three times as many examples as elsewhere.
    """
    monkeypatch.setenv("AUTOLOG_DIR", "")
    run_machine(Machine, 30)
