"""Sinks of a third party, as `pip install` would leave them: one that does everything right, and some that do not."""

import os
import sqlite3
import threading

import msgspec

from autolog.sinks import Sink, SinkError

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
