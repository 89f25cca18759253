"""The promise: wherever work is done, the parent of what it trains is the block in which it was handed over. A model of blocks
and suspensions says which that is; it knows neither threads nor processes.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing.pool import ThreadPool
from typing import Any, NamedTuple

import pytest
from helpers import examples
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from trainings import train

import autolog
from autolog.testing import recorded

Work = Callable[[], Any]
PROCESSES: list[ProcessPoolExecutor] = []
"""One worker for all examples: it outlives everything."""


OLD = ThreadPoolExecutor(1)
OLD.submit(int).result()


class Block:
    """An explicit run or a suspension, as the model knows it."""

    def __init__(self, name: str, suspends: bool = False, children: bool = False) -> None:
        self.name = name
        self.suspends = suspends
        self.children = children
        self.claimed = False
        self.ended = False
        self.failed = False
        self.parent: str | None = None


class Held(NamedTuple):
    """Work that was handed over and waits."""

    go: threading.Event
    result: Work
    rate: float
    around: tuple[Block, ...]


def at_once(work: Work) -> Work:
    found = work()
    return lambda: found


def in_thread(work: Work, kind: Any = threading.Thread) -> Work:
    found: list[Any] = []
    thread = kind(0, lambda: found.append(work())) if kind is threading.Timer else kind(
        target=lambda: found.append(work())
    )  # fmt: skip
    thread.start()

    def result() -> Any:
        thread.join(60)
        return found[0]

    return result


def in_task(work: Work) -> Work:
    async def inner() -> Any:
        return work()

    async def main() -> Any:
        return await asyncio.create_task(inner())

    return at_once(lambda: asyncio.run(main()))


def to_thread(work: Work) -> Work:
    async def main() -> Any:
        return await asyncio.to_thread(work)

    return at_once(lambda: asyncio.run(main()))


def in_callback(work: Work) -> Work:
    """Added here, called by the thread of a pool that is older than every block."""
    found: list[Any] = []
    go, done = threading.Event(), threading.Event()
    future = OLD.submit(go.wait, 60)
    future.add_done_callback(lambda _: (found.append(work()), done.set()))
    go.set()
    done.wait(60)
    return lambda: found[0]


ELSEWHERE = {
    "here": at_once, "thread": in_thread, "timer": partial(in_thread, kind=threading.Timer), "task": in_task,
    "to_thread": to_thread, "callback": in_callback,
}  # fmt: skip


class Scopes(RuleBasedStateMachine):
    """Enters and leaves blocks, and trains in every place."""

    def __init__(self) -> None:
        super().__init__()
        self.recording = recorded("toy")
        self.seen = self.recording.__enter__()
        self.blocks: list[Block] = []
        self.managers: list[Any] = []
        self.known: list[Block] = []
        self.pools: list[Any] = [ThreadPoolExecutor(1), ThreadPool(1)]
        for pool in self.pools:
            self._hand_over(pool, int)()  # its thread is older than every block
        self.held: list[Held] = []
        self.over = threading.Event()
        self.others: list[threading.Thread] = []
        self.trained = 0
        self.expected: dict[float, tuple[str, str | None, str]] = {}
        """By rate: what the training is (`none`, `root`, `child` or the block itself), of which block, and its status."""

    # -- the model

    def expect(self, rate: float, around: tuple[Block, ...], elsewhere: bool, fails: bool) -> None:
        living = [block for block in around if not block.ended]
        status = "failed" if fails else "finished"
        block = next((one for one in reversed(living) if not one.suspends), None)
        if any(one.suspends for one in living):
            self.expected[rate] = ("none", None, status)
        elif block is None:
            self.expected[rate] = ("root", None, status)
        elif not (elsewhere or block.children or block.claimed):
            block.claimed = True
            self.expected[rate] = ("itself", block.name, status)
        else:
            self.expected[rate] = ("child", block.name, status)

    # -- what happens

    @rule(children=st.booleans())
    def enter(self, children: bool) -> None:
        block = Block(f"block {len(self.known)}", children=children)
        block.parent = next((one.name for one in reversed(self.blocks) if not one.suspends), None)
        self.known.append(block)
        self._enter(block, autolog.run(block.name, children=children))

    @rule(named=st.booleans())
    def suspend(self, named: bool) -> None:
        self._enter(Block("suspended", suspends=True), autolog.suspended(*["toy"] if named else []))

    def _enter(self, block: Block, manager: Any) -> None:
        manager.__enter__()
        self.blocks.append(block)
        self.managers.append(manager)

    @precondition(lambda self: self.blocks)
    @rule(fails=st.booleans())
    def leave(self, fails: bool) -> None:
        block, manager = self.blocks.pop(), self.managers.pop()
        error = ValueError("no") if fails else None
        manager.__exit__(type(error) if error else None, error, None)
        block.ended, block.failed = True, fails

    @rule(place=st.sampled_from(sorted(ELSEWHERE)), fails=st.booleans())
    def train(self, place: str, fails: bool) -> None:
        rate = self._next()
        self.expect(rate, tuple(self.blocks), False, fails)
        assert ELSEWHERE[place](partial(train, rate, fails))() is not None

    @rule(data=st.data(), fails=st.booleans())
    def train_in_a_pool(self, data: st.DataObject, fails: bool) -> None:
        pool, rate = data.draw(st.sampled_from(self.pools)), self._next()
        self.expect(rate, tuple(self.blocks), False, fails)
        self._hand_over(pool, partial(train, rate, fails))()

    @rule(fails=st.booleans())
    def train_in_a_process(self, fails: bool) -> None:
        rate = self._next()
        self.expect(rate, tuple(self.blocks), True, fails)
        PROCESSES[0].submit(train, rate, fails).result(60)

    @rule(kind=st.sampled_from([ThreadPoolExecutor, ThreadPool]))
    def make_a_pool(self, kind: Any) -> None:
        pool = kind(1)
        self._hand_over(pool, int)()  # its thread is started here
        self.pools.append(pool)

    @rule(kind=st.sampled_from([ThreadPoolExecutor, ThreadPool]))
    def make_a_pool_in_somebody_elses_block(self, kind: Any) -> None:
        """Of another thread's, which is in it to the end."""
        ready = threading.Event()

        def other() -> None:
            with autolog.run(f"of thread {len(self.pools)}"):
                pool = kind(1)
                self._hand_over(pool, int)()
                self.pools.append(pool)
                ready.set()
                self.over.wait(60)

        self.others.append(threading.Thread(target=other))
        self.others[-1].start()
        ready.wait(60)

    @rule(kind=st.sampled_from([None, ThreadPoolExecutor, ThreadPool]))
    def hold(self, kind: Any) -> None:
        """Hand work over that is done later."""
        go, rate = threading.Event(), self._next()

        def work() -> Any:
            go.wait(60)
            return train(rate)

        result = in_thread(work) if kind is None else self._hand_over(kind(1), work)
        self.held.append(Held(go, result, rate, tuple(self.blocks)))

    @precondition(lambda self: self.held)
    @rule()
    def release(self) -> None:
        go, result, rate, around = self.held.pop()
        self.expect(rate, around, False, False)
        go.set()
        result()

    def _next(self) -> float:
        self.trained += 1
        return self.trained / 1000

    @staticmethod
    def _hand_over(pool: Any, work: Work) -> Work:
        if isinstance(pool, ThreadPoolExecutor):
            return partial(pool.submit(work).result, 60)
        return partial(pool.apply_async(work).get, 60)

    # -- what must hold

    def teardown(self) -> None:
        try:
            while self.held:
                self.release()
            while self.blocks:
                self.leave(False)
            self.over.set()
            for thread in self.others:
                thread.join(60)
            self.check()
        finally:
            self.over.set()
            for pool in self.pools:
                pool.shutdown() if isinstance(pool, ThreadPoolExecutor) else pool.terminate()
            self.recording.__exit__(None, None, None)

    def check(self) -> None:
        runs = self.seen.all_runs
        names = {run.id: run.name for run in runs}
        by_rate = {run.params["rate"]: run for run in runs if "rate" in run.params}
        blocks = {block.name for block in self.known}
        found: dict[float, tuple[str, str | None, str]] = {}
        for rate, (_, _, status) in self.expected.items():
            run = by_rate.get(rate)
            if run is None:
                found[rate] = ("none", None, status)
            elif run.name in blocks:
                found[rate] = ("itself", run.name, status)  # its status is the block's
            else:
                parent = names[run.parent] if run.parent else None
                found[rate] = ("child" if parent else "root", parent, run.status)
        assert found == self.expected
        assert len(by_rate) == sum(what != "none" for what, _, _ in self.expected.values())
        assert {
            run.name: (names.get(run.parent or ""), run.status) for run in runs if run.name in blocks
        } == {block.name: (block.parent, "failed" if block.failed else "finished") for block in self.known}


def test_every_run_has_the_parent_of_the_block_in_which_its_work_was_handed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Blocks, suspensions, pools that outlive them, callbacks, tasks, processes, exceptions, in every order."""
    monkeypatch.setenv("AUTOLOG_STRICT", "1")
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        PROCESSES[:] = [pool]
        run_state_machine_as_test(
            Scopes,
            settings=settings(
                max_examples=examples(180), stateful_step_count=30, deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )  # fmt: skip
