"""Threads: what they train is recorded where it belongs."""

from __future__ import annotations

import importlib
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from helpers import in_threads

import autolog
from autolog.testing import recorded

X, Y = [1.0, 2.0, 3.0], [2.0, 4.0, 6.5]

toy: Any = None


@pytest.fixture(autouse=True)
def _toy_as_it_is_now() -> None:
    """Other tests of this process may have imported it anew."""
    globals()["toy"] = importlib.import_module("toy")


def test_simultaneous_trainings_in_threads_are_complete_runs() -> None:
    together = threading.Barrier(8)

    class Meeting:
        def after_round(self, number: int, loss: float) -> None:
            if number == 2:
                together.wait(60)

    with recorded("toy") as seen:
        in_threads(*(partial(toy.Slope(rate / 100, 4).fit, X, Y, [Meeting()]) for rate in range(8)))
    runs = sorted(seen.runs, key=lambda run: run.params["rate"])
    assert [
        (run.status, run.params["rate"], len(run.history("loss")), len(run.artifacts)) for run in runs
    ] == [("finished", rate / 100, 4, 1) for rate in range(8)]


def test_trainings_of_a_thread_pool_inside_a_run_are_children() -> None:
    with recorded("toy") as seen:
        with autolog.run("sweep", children=True), ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda rate: toy.Slope(rate, 2).fit(X, Y), [0.01, 0.02, 0.03, 0.04]))
        toy.Mean().fit(X, Y)
    sweep, after = seen.runs
    assert (sweep.name, sweep.status, after.estimator) == ("sweep", "finished", "toy.core.Mean")
    children = sorted(sweep.children, key=lambda run: run.params["rate"])
    assert [(run.params["rate"], run.status, len(run.history("loss"))) for run in children] == [
        (rate, "finished", 2) for rate in (0.01, 0.02, 0.03, 0.04)
    ]
    assert len({run.name for run in children}) == 4


def test_of_two_threads_inside_a_run_one_is_the_run_and_the_other_its_child() -> None:
    together = threading.Barrier(2)

    def train() -> None:
        together.wait(60)
        toy.Slope(rounds=3).fit(X, Y)

    with recorded("toy") as seen, autolog.run("shared"):
        in_threads(*[train] * 2)
    (child,) = seen.run.children
    assert [len(one.history("loss")) for one in (seen.run, child)] == [3, 3]


def test_a_pool_that_outlives_its_run_makes_runs_of_its_own() -> None:
    with recorded("toy") as seen:
        pool = ThreadPoolExecutor(1)
        with autolog.run("first", children=True):
            pool.submit(toy.Mean().fit, X, Y).result(60)
        pool.submit(toy.Slope().fit, X, Y).result(60)
        pool.shutdown()
    first, second = seen.runs
    assert (first.name, [child.estimator for child in first.children]) == ("first", ["toy.core.Mean"])
    assert second.estimator == "toy.core.Slope"


def test_suspended_holds_in_this_thread_and_in_threads_that_it_starts() -> None:
    inside, leave = threading.Event(), threading.Event()

    def suspended() -> None:
        with autolog.suspended():
            inside.set()
            leave.wait(60)
            thread = threading.Thread(target=lambda: toy.Mean().fit(X, Y))
            thread.start()
            thread.join(60)

    with recorded("toy") as seen:
        thread = threading.Thread(target=suspended)
        thread.start()
        inside.wait(60)
        toy.Slope().fit(X, Y)
        leave.set()
        thread.join(60)
    assert seen.run.estimator == "toy.core.Slope"


def test_a_block_may_end_in_another_context_than_it_began_in() -> None:
    import contextvars

    with recorded("toy") as seen:
        for block in (autolog.run("apart"), autolog.suspended()):
            contextvars.copy_context().run(block.__enter__)
            block.__exit__(None, None, None)
        toy.Mean().fit(X, Y)
    assert [(run.name == "apart", run.status) for run in seen.runs] == [
        (True, "finished"),
        (False, "finished"),
    ]


def test_threads_that_begin_the_first_run_together_share_one_writer() -> None:
    from helpers import script

    code = """
        import sys, threading, autolog
        from autolog import process
        together = threading.Barrier(8)
        def work():
            together.wait(60)
            with autolog.run() as run:
                run.log_metrics({"m": 1})
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        names = process.get().output.writer.threads.names
        print([name for name in names if name != "autolog-environment"], len(sys._current_frames()) < 5)
        print(len(autolog.runs("metrics.m == 1")))
    """
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        done = script(code, folder)
    assert done.stdout.splitlines() == ["['autolog-files', 'autolog-journal'] True", "8"]


def test_joining_all_threads_does_not_wait_for_autologs(tmp_path: Path) -> None:
    """Harmless: as tutorials end a program. Also where a sink's client runs, on a thread that Python knows and that logs."""
    from helpers import script

    code = """
        import logging, threading, autolog, toy
        logging.basicConfig(level=logging.DEBUG, filename="log")
        autolog.autolog(silent=True, sinks="jsonl:sent")
        toy.Slope().fit([1.0], [2.0])
        assert autolog.flush(30, sinks=True)
        for thread in threading.enumerate():
            if thread is not threading.current_thread():
                thread.join()
        print("joined")
    """
    done = script(code, tmp_path)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "joined\n")
    assert (tmp_path / "sent").read_text().count('"e":"end"') == 1
