"""Sinks of a third party, as `pip install` would leave them: one that does everything right, and some that do not."""

import os
import random
import sqlite3
import threading
import time

import msgspec

from autolog.sinks import Sink, SinkError
from autolog.store.journal import encode

FOR_EVER = threading.Event()


class LedgerSink(Sink):
    """`ledger:PATH`: a table with a row an event, in which a repeat changes nothing."""

    def __init__(self, url):
        super().__init__(url)
        self.path = os.path.abspath(url.partition(":")[2])

    def identity(self):
        return f"ledger:{self.path}"

    def open(self, origin):
        self.origin = origin
        self.table = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        self.table.execute(
            "CREATE TABLE IF NOT EXISTS events (no INTEGER PRIMARY KEY, journal, event UNIQUE)"
        )
        self.rows = []

    def write(self, events):
        # msgpack, as JSON has no NaN
        self.rows = [(self.origin.journal, msgspec.msgpack.encode(event)) for event in events]

    def flush(self):
        self.table.execute("BEGIN")
        self.table.executemany("INSERT OR IGNORE INTO events (journal, event) VALUES (?, ?)", self.rows)
        self.table.execute("COMMIT")
        self.rows = []

    def close(self):
        self.table.close()


class HangingSink(Sink):
    """Accepts, and never answers."""

    def write(self, events):
        FOR_EVER.wait()


class HaltingSink(LedgerSink):
    """`halting:PATH`: takes two batches, says so on standard output, and then takes nothing any more, for ever."""

    batches = 0

    def write(self, events):
        self.batches += 1
        if self.batches == 3:
            os.write(1, b"halted\n")
            FOR_EVER.wait()
        super().write(events)


class RefusingSink(Sink):
    """Refuses everything for good, and says its whole URL when it does, and for `refusing:key` somebody's key too."""

    def write(self, events):
        key = " with hf_" + "a" * 30 if self.url == "refusing:key" else ""
        raise SinkError(f"403 from {self.url}{key}", retryable=False)


class RudeSink(Sink):
    """Says its URL when it is made."""

    def __init__(self, url):
        raise RuntimeError(f"no such place as {url}")


class FaultySink(Sink):
    """`faulty:PATH?after=N`: appends what comes to a file, one event a line, with `#write` before each write and `#flushed`
    after a flush; and fails at random, in every way: before, after and in the middle. At the write number `after` it refuses
    for good. With `FAULTY_IS_WELL` in the environment it is well.
    """

    def __init__(self, url):
        super().__init__(url)
        self.path, _, after = url.partition(":")[2].partition("?after=")
        self.after = int(after or 0)
        self.chance = random.Random()
        self.writes = 0
        self.back_at = 0.0
        self.file = -1

    def identity(self):
        return f"faulty:{os.path.abspath(self.path)}"

    def open(self, origin):
        self._trouble(0.5)
        self.file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, events):
        self.writes += 1
        if self.after and self.writes >= self.after:
            self._refuse()
        self._trouble(0.1)
        lines = b"\n#write\n" + encode(events)
        half = self.chance.randrange(len(lines))
        os.write(self.file, lines[:half])
        self._trouble(0.1)
        os.write(self.file, lines[half:])

    def flush(self):
        self._trouble(0.1)
        os.write(self.file, b"#flushed\n")
        self._trouble(0.1)

    def close(self):
        os.close(self.file)
        self._trouble(0.5)

    def _refuse(self):
        if "FAULTY_IS_WELL" not in os.environ:
            raise SinkError("413 too large", retryable=False)

    def _trouble(self, often):
        if "FAULTY_IS_WELL" in os.environ:
            return
        if time.monotonic() < self.back_at:
            raise ConnectionRefusedError("nobody there")
        if self.chance.random() >= often:
            return
        kind = self.chance.choice(
            ("answers 503", "resets", "is slow", "hangs", "exits", "has no memory", "dies")
        )
        if kind == "is slow":
            time.sleep(0.1)
        elif kind == "hangs":
            time.sleep(self.chance.uniform(0.5, 2))
        elif kind == "dies":
            self.back_at = time.monotonic() + self.chance.choice((0.5, 0.5, 5, 20))
            raise ConnectionResetError("died")
        else:
            raise {
                "answers 503": SinkError,
                "resets": OSError,
                "exits": SystemExit,
                "has no memory": MemoryError,
            }[kind](kind)
