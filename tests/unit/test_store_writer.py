"""The promise: what is logged is on the disk soon and in order; the caller waits for nothing but, once, a full queue, and then
only metric points are lost, and counted.
"""

from __future__ import annotations

import _thread
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from helpers import in_threads

from autolog.store import writer as module
from autolog.store.background import here
from autolog.store.journal import read_from
from autolog.store.layout import Layout
from autolog.store.writer import Writer
from autolog.tracking import events as e


class Store:
    """A store with a writer, and what the writer has reported."""

    def __init__(self, root: Path, queue_limit: int = 200_000) -> None:
        self.root = root
        self.reports: list[tuple[str, str]] = []
        self.writer = Writer(
            Layout(root), lambda place, error: self.reports.append((place, str(error))), queue_limit
        )

    @property
    def journals(self) -> list[Path]:
        return sorted((self.root / "journal").glob("*.jsonl"))

    def read(self) -> list[Any]:
        """The events on the disk, but for the journals' first lines."""
        events = [event for journal in self.journals for *_, event in read_from(journal, 0)]
        return [event for event in events if not isinstance(event, e.JournalOpened)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "store")
    yield made
    made.writer.close(10)
    wait_for(lambda: made.writer.threads.names == [])


def wait_for(condition: Callable[[], Any], seconds: float = 20) -> None:
    """Until it holds: nothing here has to happen at a certain time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.002)


def point(number: int, run: str = "r", **values: float) -> e.MetricsLogged:
    return e.MetricsLogged(run, number, 1, values or {"loss": 0.5})


def started(run: str = "r") -> e.RunStarted:
    return e.RunStarted(run, 1, "name", "default")


def ended(run: str = "r") -> e.RunEnded:
    return e.RunEnded(run, 2, "finished")


class Gate:
    """Stands before `os.write`: holds it, or lets it fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open = threading.Event()
        self.open.set()
        self.waiting = threading.Event()
        self.error: OSError | None = None
        write = os.write

        def gated(fd: int, data: bytes) -> int:
            if here.get() != "autolog-journal":
                return write(fd, data)
            self.waiting.set()
            assert self.open.wait(20)
            if self.error is not None:
                raise self.error
            return write(fd, data)

        monkeypatch.setattr(os, "write", gated)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    return Gate(monkeypatch)


# -- order and flush


def test_no_file_is_created_before_there_is_something_to_write(store: Store) -> None:
    store.writer.start()
    assert store.writer.flush(10)
    assert (store.writer.written, store.root.exists()) == (None, False)


def test_events_are_written_in_the_order_in_which_they_were_put(store: Store) -> None:
    store.writer.start()
    events: list[Any] = [started(), *(point(number) for number in range(5000)), ended()]
    for event in events:
        store.writer.put(event)
    assert store.writer.flush(20)
    assert store.read() == events
    assert (len(store.journals), store.writer.written, store.reports) == (1, store.journals[0], [])


def test_events_put_before_the_start_are_written_after_it(store: Store) -> None:
    store.writer.put(started())
    assert not store.writer.flush(0.01)
    store.writer.start()
    assert store.writer.flush(20)
    assert store.read() == [started()]


def test_events_are_written_without_a_flush(store: Store) -> None:
    store.writer.start()
    store.writer.put(started())
    wait_for(lambda: store.read() == [started()])
    store.writer.put(point(1))
    wait_for(lambda: store.read() == [started(), point(1)])


def test_threads_that_log_while_others_flush_lose_nothing_and_keep_their_order(store: Store) -> None:
    store.writer.start()
    ready = threading.Barrier(5)

    def log(run: str) -> None:
        ready.wait()
        for number in range(1000):
            store.writer.put(point(number, run))

    def flush() -> None:
        ready.wait()
        for _ in range(50):
            assert store.writer.flush(20)

    in_threads(flush, *(partial(log, f"r{i}") for i in range(4)))
    assert store.writer.flush(20)
    found = store.read()
    assert len(found) == 4000
    for run in ("r0", "r1", "r2", "r3"):
        assert [event.step for event in found if event.run == run] == list(range(1000))


def test_a_flush_returns_false_after_its_timeout(store: Store, gate: Gate) -> None:
    store.writer.start()
    gate.open.clear()
    store.writer.put(started())
    assert not store.writer.flush(0.05)
    gate.open.set()
    assert store.writer.flush(20)
    assert store.read() == [started()]


def test_listeners_are_called_after_each_write(store: Store) -> None:
    told: list[tuple[str, int]] = []
    store.writer.wrote = lambda: told.append((here.get(), len(store.read())))
    store.writer.start()
    store.writer.put(started())
    store.writer.flush(20)
    store.writer.put(point(1))
    store.writer.flush(20)
    assert told == [("autolog-journal", 1), ("autolog-journal", 2)]


# -- work


def test_deferred_work_is_done_in_order_on_a_thread_of_its_own(store: Store) -> None:
    """The events that it returns are written; a flush waits for both."""
    store.writer.start()
    names: list[str] = []

    def work(number: int) -> list[e.Event]:
        names.append(here.get())
        return [e.ArtifactLogged("r", f"{number}.txt", number)]

    for number in range(20):
        store.writer.defer(lambda number=number: work(number))  # type: ignore[misc]
    assert store.writer.flush(20)
    assert store.read() == [e.ArtifactLogged("r", f"{number}.txt", number) for number in range(20)]
    assert set(names) == {"autolog-files"}


def test_slow_deferred_work_does_not_delay_the_journal(store: Store) -> None:
    store.writer.start()
    goes_on, begun = threading.Event(), threading.Event()

    def work() -> list[e.Event]:
        begun.set()
        goes_on.wait(20)
        return [ended()]

    store.writer.defer(work)
    assert begun.wait(20)
    store.writer.put(started())
    wait_for(lambda: store.read() == [started()])
    assert not store.writer.flush(0.05)
    goes_on.set()
    assert store.writer.flush(20)
    assert store.read() == [started(), ended()]


def test_deferred_work_that_fails_is_reported_and_the_next_is_done(store: Store) -> None:
    store.writer.start()

    def fails() -> list[e.Event]:
        raise ZeroDivisionError("nothing there")

    def returns_nonsense() -> Any:
        return 5

    for work in (fails, returns_nonsense, lambda: [ended()]):
        store.writer.defer(work)
    assert store.writer.flush(20)
    assert store.read() == [ended()]
    assert [place for place, _ in store.reports] == ["writing files"] * 2
    assert store.reports[0][1] == "nothing there"


def test_deferred_work_may_log_and_defer(store: Store) -> None:
    store.writer.start()

    def work() -> list[e.Event]:
        store.writer.put(started())
        store.writer.defer(lambda: [ended()])
        return [point(1)]

    store.writer.defer(work)
    wait_for(lambda: len(store.read()) == 3)
    assert store.read() == [started(), point(1), ended()]


def test_the_environment_is_described_once_there_is_something_to_describe(store: Store) -> None:
    """Not for a process that records nothing; a short one waits for it at its end."""
    made: list[str] = []

    def describe() -> e.Event:
        made.append(here.get())
        return e.EnvironmentLogged({"python": "3"})

    store.writer.start(once_recording=describe)
    store.writer.flush(10)
    assert made == []
    store.writer.put(started())
    store.writer.put(ended())
    assert store.writer.close(20)
    assert made == ["autolog-environment"]
    assert store.read() == [started(), ended(), e.EnvironmentLogged({"python": "3"})]


def test_an_environment_that_cannot_be_described_is_reported(store: Store) -> None:
    def describe() -> e.Event:
        raise OSError("no /proc")

    store.writer.start(once_recording=describe)
    store.writer.put(started())
    assert store.writer.close(20)
    assert store.read() == [started()]
    assert store.reports == [("describing the environment", "no /proc")]


# -- back-pressure


def test_a_full_queue_drops_metric_points_only_and_counts_them(
    tmp_path: Path, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After one wait, however many calls there are; params and the rest of a run's life are kept."""
    monkeypatch.setattr(module, "WAIT_FOR_ROOM_SECONDS", 0.05)
    store = Store(tmp_path / "store", queue_limit=10)
    gate.open.clear()
    store.writer.start()
    store.writer.put(started())
    assert gate.waiting.wait(20)  # the thread is held, with the first event in its hand
    for number in range(50):
        store.writer.put(point(number, a=1.0, b=2.0))
    for event in (e.ParamsLogged("r", {"late": 1}), e.TagsSet("r", {"late": "1"}), ended()):
        store.writer.put(event)
    assert store.writer.dropped == {"r": 80}
    gate.open.set()
    assert store.writer.flush(20)
    assert store.read() == [
        started(), *(point(number, a=1.0, b=2.0) for number in range(10)), e.ParamsLogged("r", {"late": 1}),
        e.TagsSet("r", {"late": "1"}), ended(),
    ]  # fmt: skip
    assert store.writer.close(20)


def test_nothing_is_dropped_if_the_disk_goes_on_in_time(tmp_path: Path, gate: Gate) -> None:
    store = Store(tmp_path / "store", queue_limit=10)
    gate.open.clear()
    store.writer.start()
    store.writer.put(started())
    assert gate.waiting.wait(20)
    for number in range(10):
        store.writer.put(point(number))
    caller = threading.Thread(target=store.writer.put, args=(point(10),))
    caller.start()
    gate.open.set()
    caller.join(20)
    assert store.writer.close(20)
    assert store.read() == [started(), *(point(number) for number in range(11))]
    assert store.writer.dropped == {}


# -- a disk that fails


NO_SPACE = OSError(28, "No space left on device")


def test_events_that_a_full_disk_refused_are_written_when_there_is_room(
    store: Store, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a further event; in order, nothing twice."""
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.02)
    store.writer.start()
    gate.error = NO_SPACE
    for number in range(100):
        store.writer.put(point(number))
    assert not store.writer.flush(20)
    wait_for(lambda: len(store.reports) > 2)
    assert {place for place, _ in store.reports} == {f"writing to {store.root}"}
    gate.error = None
    wait_for(lambda: len(store.read()) == 100)
    store.writer.put(ended())
    assert store.writer.flush(20)
    assert store.read() == [*(point(number) for number in range(100)), ended()]


def test_a_flush_on_a_full_disk_returns_false_at_once(store: Store, gate: Gate) -> None:
    store.writer.start()
    gate.error = NO_SPACE
    store.writer.put(started())
    assert not store.writer.flush(20)
    assert not store.writer.close(20)


def test_memory_for_events_that_wait_for_the_disk_is_bounded(
    store: Store, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "UNWRITTEN_LIMIT", 10_000)
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.0)
    store.writer.start()
    gate.error = NO_SPACE
    store.writer.put(started())
    for number in range(300):
        store.writer.put(point(number))
        if number % 30 == 0:
            store.writer.flush(20)
    store.writer.flush(20)
    assert store.writer._unwritten <= 10_000
    gate.error = None
    store.writer.put(ended())
    assert store.writer.flush(20)
    found = store.read()
    assert None not in found
    assert (started() in found, found[-1]) == (True, ended())
    points = sum(event == point(0) or type(event) is type(point(0)) for event in found)
    assert store.writer.dropped == {started().run: 300 - points}


@pytest.mark.parametrize("obstacle", ["a file in the way", "no permission", "a link to nowhere"])
def test_a_folder_that_cannot_be_made_is_reported_and_tried_again(store: Store, obstacle: str) -> None:
    if obstacle == "a file in the way":
        store.root.write_text("")
    elif obstacle == "no permission":
        if os.geteuid() == 0:
            pytest.skip("root may write anywhere")
        store.root.mkdir(mode=0o500)
    else:
        store.root.symlink_to("/proc/nowhere/at/all")
    store.writer.start()
    store.writer.put(started())
    assert not store.writer.flush(20)
    assert store.reports
    if obstacle == "no permission":
        store.root.chmod(0o700)
    else:
        store.root.unlink()
    store.writer.put(ended())
    assert store.writer.flush(20)
    assert store.read() == [started(), ended()]


@pytest.mark.skipif(os.name == "nt", reason="an open file cannot be deleted there")
def test_a_deleted_store_is_begun_again_with_the_runs_in_progress(store: Store) -> None:
    store.writer.start()
    for event in (started("over"), ended("over"), started("going on"), point(1, "going on")):
        store.writer.put(event)
    assert store.writer.flush(20)
    shutil.rmtree(store.root)
    store.writer.put(point(2, "going on"))
    store.writer.put(ended("going on"))
    assert store.writer.flush(20)
    assert store.read() == [started("going on"), point(2, "going on"), ended("going on")]
    assert [place for place, _ in store.reports] == ["writing the journal"]


@pytest.mark.skipif(os.name == "nt", reason="an open file cannot be moved there")
def test_a_moved_store_is_written_on_where_it_is(store: Store, tmp_path: Path) -> None:
    store.writer.start()
    store.writer.put(started())
    store.writer.flush(20)
    store.root.rename(tmp_path / "moved")
    store.writer.put(ended())
    assert store.writer.flush(20)
    store.root = tmp_path / "moved"
    assert (store.read(), store.reports) == ([started(), ended()], [])


# -- life


def test_a_run_that_logs_nothing_has_heartbeats(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a run is open and nothing is logged; not before and not after."""
    monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 0.02)
    store.writer.start()
    store.writer.put(point(0))
    assert store.writer.flush(20)
    store.writer.put(started())
    wait_for(lambda: sum(isinstance(event, e.Heartbeat) for event in store.read()) >= 3)
    store.writer.put(ended())
    assert store.writer.flush(20)
    found = store.read()
    store.writer.put(point(9))
    assert store.writer.flush(20)
    assert [event for event in found if not isinstance(event, e.Heartbeat)] == [point(0), started(), ended()]
    assert store.read()[len(found) :] == [point(9)]


def test_a_closed_writer_takes_nothing_and_has_no_threads(store: Store) -> None:
    store.writer.start()
    store.writer.put(started())
    assert store.writer.close(20)
    wait_for(lambda: store.writer.threads.names == [])
    store.writer.put(ended())
    store.writer.defer(lambda: [ended()])
    assert not store.writer.flush(1)
    assert not store.writer.close(1)
    assert store.read() == [started()]


def test_events_are_written_though_the_writer_is_closed_at_once(tmp_path: Path) -> None:
    for number in range(30):
        store = Store(tmp_path / str(number))
        store.writer.start()
        store.writer.put(started())
        store.writer.defer(lambda: [ended()])
        assert store.writer.close(20)
        assert sorted(map(repr, store.read())) == sorted(map(repr, [started(), ended()]))


def test_an_abandoned_writer_does_nothing(store: Store) -> None:
    """In a forked child: it takes nothing, waits for nothing, writes nothing."""
    other = Store(store.root)
    other.writer.put(started())
    other.writer.abandon()
    other.writer.put(ended())
    other.writer.defer(lambda: [ended()])
    assert not other.writer.flush(10)
    assert not other.writer.close(10)
    assert not store.root.exists()


def test_its_threads_are_not_in_threading_enumerate(store: Store) -> None:
    """A program that waits for all threads but its own does not wait for ours, which end with the process."""
    before, running = set(threading.enumerate()), len(sys._current_frames())
    store.writer.start(once_recording=lambda: e.Heartbeat(1))
    store.writer.put(started())
    store.writer.defer(lambda: [ended()])
    assert store.writer.flush(20)
    assert {"autolog-files", "autolog-journal"} <= set(store.writer.threads.names)
    assert len(sys._current_frames()) >= running + 2
    assert set(threading.enumerate()) == before


def test_events_are_written_though_threads_can_no_longer_start(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are sent away for a fork, and Python 3.12 starts no thread once the interpreter has begun to end."""

    def start(function: Any, arguments: Any) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    store.writer.start()
    store.writer.put(started())
    assert store.writer.flush(10)
    monkeypatch.setattr(store.writer.threads, "could_leave", lambda: True)
    store.writer.before_fork()
    store.writer.after_fork()
    wait_for(lambda: store.writer.threads.names == [])
    monkeypatch.setattr(_thread, "start_new_thread", start)
    store.writer.put(point(1))
    store.writer.defer(lambda: [point(2)])
    store.writer.put(ended())
    assert store.writer.close(10)
    assert [type(event).__name__ for event in store.read()] == [
        "RunStarted", "MetricsLogged", "RunEnded", "MetricsLogged",
    ]  # fmt: skip
    assert store.reports == []
