"""Feeds sinks from the journal of this process, each in its own daemon thread.

A sink that fails, hangs or is slow never delays the training. It is tried again with growing pauses, and undelivered events
stay in the journal. Only `flush` and `close` wait for sinks, up to a timeout.
"""

from __future__ import annotations

import logging
import math
import random
import shlex
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from autolog.sinks.address import LONG_ENOUGH, Address
from autolog.sinks.base import Sink, SinkError
from autolog.sinks.follower import Follower
from autolog.store.background import Threads
from autolog.store.layout import Layout

FIRST_RETRY_SECONDS = 0.5
LONGEST_RETRY_SECONDS = 300.0
SHORT_SECONDS = 0.05
"""A fork waits for a sink whose call began less than this ago, but not for one that is busy for longer."""
BACKING_OFF_AFTER = 6
"""Failures in a row. The sixth comes about ten seconds after the first."""

Written = Callable[[], "Path | None"]


class SinkState(NamedTuple):
    """The state of one sink: `active`, `retrying`, or `backing off` after repeated or permanent failures. `error` is its last
    failure.

    `url` and `error` contain no credentials. `delivered` counts this process's events.
    """

    url: str
    state: str
    delivered: int
    error: str


class Feed:
    """One sink and its thread."""

    def __init__(
        self, sink: Sink, written: Written, store: Layout, threads: Threads, met_client: Callable[[], None] = lambda: None
    ) -> None:  # fmt: skip
        self.sink = sink
        self.name = sink.identity()
        self.address = Address(sink.url)
        self._written = written
        self._store = store
        self._start = None if sink.lasting else _size(written())
        self._follower: Follower | None = None
        self._random = random.Random()  # the global one is the user's
        self._signal = threading.Event()
        self._changed = threading.Condition()
        self._failures = 0
        self._error = ""
        self._retry_at = 0.0
        self._hurry = False
        self._finishing = False
        self._warned = False
        self._busy_since = 0.0
        self._ended = threading.Event()
        self._threads = threads
        self._met_client = met_client
        threads.start(
            f"autolog-sink-{self.address.scheme}-{id(self)}", self._loop, self._is_stuck, of_others=True
        )

    @property
    def state(self) -> SinkState:
        word = "active" if not self._failures else "backing off" if self._is_backing_off else "retrying"
        follower = self._follower
        return SinkState(self.name, word, follower.delivered if follower is not None else 0, self._error)

    def wake(self) -> None:
        """Tell the thread that the journal may have new events."""
        self._signal.set()

    def flush(self, deadline: float) -> bool:
        """Wait until everything on the disk now is delivered. Return whether it is; False at once after a permanent failure."""
        end = _size(self._written())
        self._hurry = True
        self._signal.set()
        with self._changed:
            self._changed.wait_for(
                lambda: self._position >= end or self._retry_at == math.inf or self._ended.is_set(),
                max(0.0, deadline - time.monotonic()),
            )
        return self._position >= end

    def finish(self) -> None:
        """Deliver what is on the disk now, then end. A sink that is backing off ends without another try."""
        self._hurry = True
        self._finishing = True
        self._signal.set()

    def join(self, deadline: float) -> bool:
        """Wait until the thread has ended. Return whether it did before the deadline."""
        return self._ended.wait(max(0.0, deadline - time.monotonic()))

    def left(self) -> str:
        """Return how many events still have to be delivered, such as `1,204 events`; "" if there are none."""
        path = self._written()
        if not self.sink.lasting or path is None:
            return ""
        return (self._follower or Follower(self.sink, path, self._store)).left()

    # -- the thread

    @property
    def _position(self) -> int:
        return self._follower.position if self._follower is not None else 0

    @property
    def _is_backing_off(self) -> bool:
        return self._failures >= BACKING_OFF_AFTER or self._retry_at == math.inf

    def _is_stuck(self) -> bool:
        return bool(self._busy_since) and time.monotonic() - self._busy_since > SHORT_SECONDS

    def _loop(self) -> bool:
        while not self._threads.leaving:
            self._signal.wait(self._until_retry())
            self._signal.clear()
            finishing = self._finishing  # read before the journal, so that the last events are not missed
            done = self._feed() if not (finishing and self._is_backing_off) else False
            with self._changed:
                self._changed.notify_all()
            if finishing and (done or self._is_backing_off):
                self._close()
                return True
        return False

    def _close(self) -> None:
        self._busy_since = time.monotonic()
        try:
            if self._follower is not None:
                self._follower.close()
        except BaseException:  # `close` is the last call, and nobody is left to report to
            pass
        self._busy_since = 0.0
        self._ended.set()
        with self._changed:
            self._changed.notify_all()

    def _until_retry(self) -> float | None:
        if not self._retry_at or self._retry_at == math.inf:
            return None
        return max(0.0, self._retry_at - time.monotonic())

    def _feed(self) -> bool:
        """Deliver new events, unless it is too early for another try. Return whether nothing is left."""
        if time.monotonic() < self._retry_at and not (self._hurry and self._retry_at != math.inf):
            return False
        self._hurry = False
        try:
            if self._follower is None:
                path = self._written()
                if path is None:
                    return True
                self._follower = Follower(self.sink, path, self._store, start=self._start)
            while not self._threads.leaving:
                self._busy_since = time.monotonic()
                if not self._follower.advance():
                    return True
                if self.sink.delivers_at_close and self._follower.delivered:
                    self._met_client()
                self._failures, self._error, self._retry_at = 0, "", 0.0
                with self._changed:
                    self._changed.notify_all()
        except BaseException as error:  # also a sink's SystemExit, which ends the thread without a message
            self._failed(error)
        finally:
            self._busy_since = 0.0
        return False

    def _failed(self, error: BaseException) -> None:
        self._failures += 1
        self._error = describe(error, self.address)
        self._retry_at = time.monotonic() + pause_after(self._failures, self._random)
        if isinstance(error, SinkError) and not error.retryable:
            self._retry_at = math.inf
        if self._is_backing_off and not self._warned and not self._finishing:
            self._warned = True
            logging.getLogger("autolog").warning(
                "Delivery to %s fails (%s). Your training goes on, and all events are kept in %s%s.",
                self.name, self._error, self._written(),
                "" if self._retry_at == math.inf else "; autolog tries again from time to time",
            )  # fmt: skip


class Live:
    """The sinks of this process. `written` returns the journal's path once it exists. `met_client` is called when a sink that
    delivers at close has started: its client may have registered its own exit function.
    """

    def __init__(
        self, written: Written, store: Layout, threads: Threads, met_client: Callable[[], None] = lambda: None
    ) -> None:
        self._written = written
        self._threads = threads
        self._store = store
        self._met_client = met_client
        self._feeds: tuple[Feed, ...] = ()
        self._ending: tuple[Feed, ...] = ()

    @property
    def sinks(self) -> tuple[Sink, ...]:
        return tuple(feed.sink for feed in self._feeds)

    @property
    def states(self) -> tuple[SinkState, ...]:
        return tuple(feed.state for feed in self._feeds)

    def replace(self, sinks: Sequence[Sink]) -> None:
        """Feed only these sinks. Known ones continue. A new one gets this process's whole journal, unless it is a live view. A
        removed one gets what is on the disk now, and ends.
        """
        same = {feed.sink.url: feed for feed in self._feeds}
        wanted = {sink.url for sink in sinks}
        leaving = tuple(feed for feed in self._feeds if feed.sink.url not in wanted)
        self._feeds = tuple(
            same.get(sink.url) or Feed(sink, self._written, self._store, self._threads, self._met_client)
            for sink in sinks
        )
        for feed in leaving:
            feed.finish()
        self._ending = (*(feed for feed in self._ending if not feed.join(0.0)), *leaving)

    def hide(self, value: Any) -> Any:
        """Return plain data without the credentials of these sinks. Command lines and code may contain them."""
        if isinstance(value, str):
            for feed in self._feeds:
                value = feed.address.hide(value, LONG_ENOUGH)
            return value
        if isinstance(value, list):
            return [self.hide(one) for one in cast("list[Any]", value)]
        if isinstance(value, dict):
            return {key: self.hide(one) for key, one in cast("dict[str, Any]", value).items()}
        return value

    def wake(self) -> None:
        """Wake all threads: the journal has grown, or they must end before a fork."""
        for feed in (*self._feeds, *self._ending):
            feed.wake()

    def flush(self, timeout: float) -> bool:
        """Wait until everything on the disk is delivered. Return whether it was within `timeout` seconds."""
        deadline = time.monotonic() + timeout
        in_time = [
            feed.flush(deadline) for feed in self._feeds
        ]  # a list: a late sink must not keep the others from being flushed
        return all(in_time)

    def close_clients(self, timeout: float) -> None:
        """Deliver what is on the disk to sinks that deliver at close, and close them, in at most `timeout` seconds."""
        deadline = time.monotonic() + timeout
        feeds = [feed for feed in (*self._feeds, *self._ending) if feed.sink.delivers_at_close]
        for feed in feeds:
            feed.finish()
        for feed in feeds:
            feed.join(deadline)

    def close(self, timeout: float) -> None:
        """Deliver what is on the disk, in at most `timeout` seconds for all sinks together. Warn about what is left."""
        deadline = time.monotonic() + timeout
        feeds = (*self._feeds, *self._ending)
        for feed in feeds:
            feed.finish()
        for feed in feeds:
            feed.join(deadline)
        left = {feed: what for feed in feeds if (what := feed.left())}
        if left:
            logging.getLogger("autolog").warning(
                "Not yet delivered: %s. The events are kept in %s. Deliver them with: autolog sync%s",
                ", ".join(f"{what} for {feed.name}" for feed, what in left.items()),
                self._written(),
                "".join(f" --to {shlex.quote(feed.address.safe)}" for feed in left),
            )


def pause_after(failures: int, stream: random.Random) -> float:
    """Return the seconds to wait before the next try, after this many failures in a row."""
    wait = min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2.0 ** min(failures - 1, 30))
    # Jitter: many processes that lost the same server must not return to it together.
    return wait * stream.uniform(0.5, 1.0)


def _size(path: Path | None) -> int:
    try:
        return path.stat().st_size if path is not None else 0
    except OSError:
        return 0


def describe(error: BaseException, address: Address) -> str:
    """Return an error as one line, without the URL's credentials."""
    try:
        text = address.scrub(str(error))
    except Exception:
        text = "(its text could not be read)"
    if isinstance(error, SinkError):
        return text[:300]
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__
