"""`jsonl:PATH`: the journal's lines, appended to a file or a named pipe."""

from __future__ import annotations

import itertools
import json
import os
import threading
from pathlib import Path

import pytest
from truth import TIMEOUT, Journal, points, started

from autolog.sinks import SinkError
from autolog.sinks.follower import Follower
from autolog.sinks.jsonl import JsonLinesSink
from autolog.sinks.live import Live
from autolog.store.background import Threads
from autolog.store.journal import decode
from autolog.tracking.events import Event, MetricsLogged, RunRecorded


def lines(path: Path) -> list[Event | None]:
    return [decode(line) for line in path.read_bytes().splitlines()]


@pytest.mark.parametrize(
    "url", ["jsonl:a/b.jsonl", "jsonl://a/b.jsonl", "jsonl:{here}/a/b.jsonl", "jsonl://{here}/a/b.jsonl"]
)
def test_a_path_may_be_written_in_several_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str):
    """Relative to where `autolog()` was called, wherever the program goes afterwards; missing folders are made."""
    sink = JsonLinesSink(url.format(here=tmp_path))
    assert sink.identity() == f"jsonl:{tmp_path}/a/b.jsonl"
    monkeypatch.chdir("/")
    sink.write([started()])
    assert lines(tmp_path / "a" / "b.jsonl") == [started()]


def test_each_line_is_standard_json(tmp_path: Path):
    """NaN and infinities have the journal's names, as JSON has none."""

    def refuse(name: str) -> None:
        raise AssertionError(name)

    sink = JsonLinesSink("jsonl:out.jsonl")
    nan, inf = float("nan"), float("inf")
    child = RunRecorded("c", "r", "n", "d", 0, 1, "candidate", metrics={"a": inf})
    sink.write([MetricsLogged("r", 0, 7, {"a": nan, "b": -inf, "c": 0.1}), child])
    assert [json.loads(line, parse_constant=refuse) for line in Path("out.jsonl").read_text().splitlines()] == [
        {"e": "m", "run": "r", "step": 0, "t": 7, "v": {"a": "NaN", "b": "-Infinity", "c": 0.1}},
        {
            "e": "record", "run": "c", "parent": "r", "name": "n", "experiment": "d", "t": 0, "ended": 1, "kind": "candidate",
            "metrics": {"a": "Infinity"},
        },
    ]  # fmt: skip


def test_a_torn_line_does_not_damage_the_next(tmp_path: Path):
    path = tmp_path / "out.jsonl"
    path.write_bytes(b'{"e":"m","run"')
    sink = JsonLinesSink("jsonl:out.jsonl")
    sink.write([started()])
    sink.write(points(0, 1))
    assert lines(path) == [None, started(), *points(0, 1)]


def test_a_file_that_is_rotated_away_is_begun_again(tmp_path: Path):
    sink = JsonLinesSink("jsonl:out.jsonl")
    sink.write([started()])
    os.rename("out.jsonl", "old.jsonl")
    sink.write(points(0, 1))
    assert lines(tmp_path / "old.jsonl") == [started()]
    assert lines(tmp_path / "out.jsonl") == points(0, 1)


def test_a_path_that_cannot_be_written_is_a_permanent_error(tmp_path: Path):
    sink = JsonLinesSink("jsonl:file/out.jsonl")
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError) as caught:
        sink.write([started()])
    assert str(caught.value) in (
        f"{tmp_path}/file/out.jsonl: {os.strerror(17)}",
        f"{tmp_path}/file/out.jsonl: {os.strerror(20)}",
    )


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_is_fed_when_somebody_reads_it(tmp_path: Path):
    """Nobody reads: an error to try again, and no waiting. A reader that leaves: the same, until the next one comes."""
    os.mkfifo("pipe")
    journal = Journal(tmp_path / ".autolog")
    written = [started(), *points(0, 20_000)]
    journal.append(written)
    sink = JsonLinesSink("jsonl:pipe")
    follower = Follower(sink, journal.path, journal.store)
    with pytest.raises(SinkError, match="pipe: ") as caught:
        follower.advance()
    assert caught.value.retryable

    everything = journal.events
    feeding = Live(lambda: journal.path, journal.store, Threads())
    first = Reader(1_000)
    feeding.replace([sink])
    feeding.wake()
    assert first.got() == everything[:1_000]

    second = Reader(None)
    assert feeding.flush(TIMEOUT)
    feeding.close(TIMEOUT)
    rest = second.got()
    # It may come so soon that the pipe still holds half of a line, of which the first one took the other half.
    rest = rest[1:] if rest[0] is None else rest
    start = everything.index(rest[0])
    assert (
        start < 15_000
    )  # what was in the pipe when its reader left is gone with it; what was being written comes again
    assert rest == everything[start:]


class Reader:
    """Reads the pipe, up to a number of lines, and leaves."""

    def __init__(self, count: int | None) -> None:
        self._count = count
        self._events: list[Event | None] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with open("pipe", "rb") as pipe:
            self._events = [decode(line) for line in itertools.islice(pipe, self._count)]

    def got(self) -> list[Event | None]:
        self._thread.join(TIMEOUT)
        assert not self._thread.is_alive()
        return self._events
