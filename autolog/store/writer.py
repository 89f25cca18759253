"""Takes events from the training thread and writes them to the journal from a thread of its own.

The caller's side is an append to a queue. If the disk cannot keep up, the caller waits at most a second and then metric points
are dropped and counted; params, models and lifecycle are not. If the disk takes nothing, up to 32 MB wait for it; when more
waits, all of it is dropped. Work that is not encoding and writing (files, models, environment) has threads of its own, so that
it cannot hold up the journal.

`start()` starts the threads in `autolog()`, never in the middle of a training.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from autolog.store.background import Threads

if TYPE_CHECKING:
    from pathlib import Path

    from autolog.store.journal import JournalWriter
    from autolog.store.layout import Layout
    from autolog.tracking.events import AnyEvent, Deferred, Event, RunStarted

# The writing thread loads what encodes events, with the first of them: `autolog()` must cost next to nothing.

BATCH_SECONDS = 0.1
HEARTBEAT_SECONDS = 10.0
RETRY_SECONDS = 1.0
QUEUE_LIMIT = 200_000
WAIT_FOR_ROOM_SECONDS = 1.0
UNWRITTEN_LIMIT = 32_000_000

Report = Callable[[str, Exception], None]


class Writer:
    """The writing side of one process's store.

    `report(place, error)` is called on failures, on any thread; it decides who hears of them, and does not raise. After
    `abandon()` (in a forked child) nothing is accepted, waited for or written any more.
    """

    def __init__(self, layout: Layout, report: Report, queue_limit: int = QUEUE_LIMIT) -> None:
        self.layout = layout
        self.dropped: dict[str, int] = {}
        self.wrote: Callable[[], None] | None = None
        """Called after each write, on the thread that writes."""
        self._report = report
        self._limit = queue_limit
        self._events: deque[Any] = deque()
        self._works: deque[Any] = deque()
        self._work_waits = threading.Event()
        self._work_came = False
        self._waits = threading.Event()
        self._hurry = threading.Event()
        self._sleeping = False
        self._away = False
        self._alone = False
        """The threads could not be started again: the caller writes."""
        self._stopped = False
        self.threads = Threads()
        """The writer's threads, and those of others that must leave with them for a fork; `wrote` wakes these."""
        self._started = False
        self._journal_made: JournalWriter | None = None
        self._open_runs: dict[str, RunStarted] = {}
        self._retry_at = 0.0
        self._stuck = False  # the caller has waited once; the next wait comes after the next write
        self._first_event = threading.Event()
        self._describe_waits = threading.Event()
        self._described: threading.Event | None = None

    @property
    def path(self) -> Path:
        """This process's journal."""
        return self._journal.path

    @property
    def written(self) -> Path | None:
        """This process's journal, once there has been something to write."""
        return self._journal_made.path if self._journal_made is not None else None

    @property
    def refused(self) -> bool:
        """Whether the disk has refused the last write, which will be tried again."""
        return bool(self._retry_at)

    @property
    def _journal(self) -> JournalWriter:
        if self._journal_made is None:
            from autolog.store.journal import JournalWriter

            self._journal_made = JournalWriter(self.layout.new_journal())
        return self._journal_made

    def start(self, *, once_recording: Callable[[], Event] | None = None) -> None:
        """Start the threads. `once_recording` runs on its own thread after the first event; the event it returns is written."""

        def describe() -> bool:
            assert once_recording is not None
            while not (self._first_event.is_set() or self._stopped or self.threads.leaving):
                self._describe_waits.wait()
                self._describe_waits.clear()
            if self.threads.leaving:
                return False
            if not self._stopped:
                try:
                    self.put(once_recording())
                except Exception as error:
                    self._report("describing the environment", error)
            if self._described is not None:
                self._described.set()
            return True

        self._started = True
        self.threads.start("autolog-journal", self._write_loop)
        self.threads.start("autolog-files", self._work_loop)
        if once_recording is not None:
            self._described = threading.Event()
            self.threads.start("autolog-environment", describe)

    # -- the training thread's side

    def put(self, event: Event) -> None:
        """Take one event. Costs an append, unless the queue is full."""
        if self._stopped:
            return
        events = self._events
        if len(events) >= self._limit and not self._room_for(event):
            return
        events.append(event)
        if self._sleeping:
            if self._away:
                self._come_back()
            self._waits.set()

    def defer(self, work: Deferred) -> None:
        """Do `work` on the files thread, then write the events it returns."""
        if not self._stopped:
            # The journal's thread passes it on: waking another thread here would cost the caller its turn each time.
            self._works.append(work)
            self._work_came = True
            if self._sleeping:
                if self._away:
                    self._come_back()
                self._waits.set()

    def flush(self, timeout: float) -> bool:
        """Wait until everything that was put or deferred before is on disk. Return whether it was in time."""
        if self._stopped or not self._started:
            return False
        if self._away:
            self._come_back()
        if self._alone:
            return self._flush_here()
        deadline = time.monotonic() + timeout
        if self._works:
            done = threading.Event()
            self._works.append(_Barrier(done))
            self._work_waits.set()
            if not done.wait(timeout):
                return False
        barrier = _Barrier(threading.Event())
        self._events.append(barrier)
        self._hurry.set()
        self._waits.set()
        return barrier.done.wait(max(0.0, deadline - time.monotonic())) and barrier.written

    def hurry(self) -> None:
        """Write what there is now, without waiting for more. The caller does not wait either."""
        self._hurry.set()
        self._waits.set()

    def close(self, timeout: float) -> bool:
        """Flush, then stop the threads. Return whether everything was written in time."""
        deadline = time.monotonic() + timeout
        in_time = self.flush(timeout)
        if self._first_event.is_set() and self._described is not None and not self._alone:
            # A short script must not end before its environment is known.
            in_time = self._described.wait(max(0.0, deadline - time.monotonic()))
            in_time = self.flush(max(0.0, deadline - time.monotonic())) and in_time
        self._stop()
        self.threads.end()
        return in_time

    def abandon(self) -> None:
        """Drop everything, in a forked child: the threads belong to the parent, and so do the queued events."""
        self._stopped = True
        self._away = False
        self._events = deque()
        self._works = deque()
        self.threads.forget()
        # New ones: a lock that the parent held during the fork stays locked here forever.
        self._waits, self._hurry, self._work_waits = threading.Event(), threading.Event(), threading.Event()

    def before_fork(self) -> None:
        """Stop the threads if there are no others, so that Python does not warn of the fork because of them."""
        if self.threads.could_leave():
            self.threads.leave(self._wake)

    def after_fork(self) -> None:
        """Let the parent's next event start the threads again. Python 3.13 counts threads after this hook: not at once."""
        if self.threads.leaving:
            self._away = self._sleeping = True

    def _come_back(self) -> None:
        self._away = False
        try:
            self.threads.come_back()
        except RuntimeError:  # Python 3.12 starts no thread once the interpreter has begun to exit
            self._alone = True
        self._wake()

    def _flush_here(self) -> bool:
        while self._works:
            self._do(self._works[0])
        self._write_batch()
        return not self._unwritten

    def _stop(self) -> None:
        self._stopped = True
        self._wake()

    def _wake(self) -> None:
        for event in (self._waits, self._hurry, self._work_waits, self._describe_waits):
            event.set()
        if self.wrote is not None:
            self.wrote()

    def _room_for(self, event: Event) -> bool:
        self._hurry.set()
        self._waits.set()
        from autolog.tracking.events import MetricsLogged

        if not isinstance(event, MetricsLogged):
            return True
        deadline = time.monotonic() + WAIT_FOR_ROOM_SECONDS
        while not self._stuck and len(self._events) >= self._limit:
            self._stuck = time.monotonic() >= deadline or bool(self._retry_at)
            time.sleep(0.001)
        if len(self._events) < self._limit:
            return True
        self.dropped[event.run] = self.dropped.get(event.run, 0) + len(event.v)
        return False

    # -- the journal's thread

    def _write_loop(self) -> bool:
        last_write = time.monotonic()
        while not (self._stopped and not self._events):
            if self.threads.leaving and not self._events and not self._works:
                return False  # all is on the disk before the fork
            self._sleeping = True
            if not self._events and not self._work_came and not self._stopped:
                self._waits.wait(
                    RETRY_SECONDS if self._unwritten else HEARTBEAT_SECONDS if self._open_runs else None
                )
            self._sleeping = False
            self._waits.clear()
            if self._events and not self.threads.leaving:
                self._hurry.wait(BATCH_SECONDS)
            elif not self._events and self._open_runs and time.monotonic() - last_write >= HEARTBEAT_SECONDS:
                from autolog.tracking.events import Heartbeat, now

                self._events.append(Heartbeat(now()))
            self._hurry.clear()
            if self._work_came:
                self._work_came = False
                self._work_waits.set()
            if self._events or self._unwritten:
                try:
                    self._write_batch()
                except Exception as error:
                    self._report("writing the journal", error)
                last_write = time.monotonic()
        if self._journal_made is not None:
            self._journal_made.close()
        return True

    def _write_batch(self) -> None:
        self._stuck = False
        batch: list[Event] = []
        barriers: list[_Barrier] = []
        for _ in range(len(self._events)):
            item: Any = self._events.popleft()
            if type(item) is _Barrier:
                barriers.append(item)
            else:
                batch.append(item)
        try:
            if batch and not self._first_event.is_set():
                self._first_event.set()
                self._describe_waits.set()
            if batch or self._unwritten:
                self._append(batch, now=bool(barriers))
            if batch:
                self._follow_runs(batch)
        finally:
            for barrier in barriers:
                barrier.written = not self._unwritten
                barrier.done.set()

    @property
    def _unwritten(self) -> int:
        return self._journal_made.unwritten if self._journal_made is not None else 0

    def _follow_runs(self, batch: list[Event]) -> None:
        from autolog.tracking.events import RunEnded, RunStarted

        for event in batch:
            if type(event) is RunStarted:
                self._open_runs[event.run] = event
            elif type(event) is RunEnded:
                self._open_runs.pop(event.run, None)

    def _append(self, batch: list[Event], now: bool) -> None:
        from autolog.store.journal import encode

        journal = self._journal
        journal.keep(encode(batch))
        soon = self._retry_at and time.monotonic() < self._retry_at and journal.unwritten < UNWRITTEN_LIMIT
        if soon and not now:
            return
        try:
            if journal.is_deleted():
                journal.close()
                journal.put_first(encode(list(self._open_runs.values())))
                self._report(
                    "writing the journal", FileNotFoundError(f"{self.path} was deleted; it is begun anew")
                )
            if not journal.is_open:
                self.layout.make_root()
                journal.open()
            journal.drain()
            self._retry_at = 0.0
            if self.wrote is not None:
                self.wrote()
        except OSError as error:
            self._retry_at = time.monotonic() + RETRY_SECONDS
            if journal.unwritten > UNWRITTEN_LIMIT:
                self._count_dropped(journal.forget_unwritten())
            self._report(f"writing to {self.layout.root}", error)

    def _count_dropped(self, events: list[AnyEvent]) -> None:
        """Count by run what the disk did not take, and keep the beginnings and ends of runs, unless they alone are too much."""
        from autolog.store.journal import encode
        from autolog.tracking.events import MetricsLogged, RunEnded, RunStarted

        lifecycle = encode([event for event in events if type(event) in (RunStarted, RunEnded)])
        if len(lifecycle) < UNWRITTEN_LIMIT // 2:
            self._journal.keep(lifecycle)
        for event in events:
            run = getattr(event, "run", None)
            if run is not None and type(event) not in (RunStarted, RunEnded):
                values = len(event.v) if isinstance(event, MetricsLogged) else 1
                self.dropped[run] = self.dropped.get(run, 0) + values

    # -- the files' thread

    def _work_loop(self) -> bool:
        while not (self._stopped and not self._works):
            if self.threads.leaving and not self._works:
                self._waits.set()  # the journal's thread leaves last
                return False
            self._work_waits.wait()
            self._work_waits.clear()
            while self._works:
                self._do(self._works[0])
        return True

    def _do(self, work: Deferred) -> None:
        try:
            if self.written is None:  # files may come before any event
                self.layout.make_root()
            for event in work():
                self.put(event)
        except Exception as error:
            self._report("writing files", error)
        # It stays in the queue until it is done, so that `flush` sees that there is work.
        if self._works:
            self._works.popleft()


class _Barrier:
    """Stands in a queue; tells a waiting thread that everything before it is done, and whether it is `written`."""

    __slots__ = ("done", "written")

    def __init__(self, done: threading.Event) -> None:
        self.done = done
        self.written = True

    def __call__(self) -> tuple[Event, ...]:
        self.done.set()
        return ()
