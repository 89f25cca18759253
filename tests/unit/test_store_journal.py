"""The promise: what was logged is read back as it was, and no byte in a journal can make a reader fail."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from autolog.store.journal import JournalWriter, decode, encode, process_start, read_from
from autolog.tracking import events as e

TEXT = st.text() | st.sampled_from(
    ["null", "NaN", "Infinity", "-Infinity", "true", "1", "", "2026-11-22", "\n", "\u2028", "\0"]
)
ANY_TEXT = TEXT | st.text(st.characters(codec=None))  # lone surrogates too
LONG = st.integers(-(2**63), 2**63 - 1)
PLAIN = st.recursive(
    st.none() | st.booleans() | LONG | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
WHOLE = st.integers(-(2**53), 2**53)  # a metric is read as a float
NUMBERS = st.dictionaries(TEXT, st.floats() | WHOLE, max_size=5)
TIME = st.integers(0, 2**53)


def events(
    text: st.SearchStrategy[str], numbers: st.SearchStrategy[dict[str, Any]]
) -> st.SearchStrategy[Any]:
    """Every kind of event, all its fields."""
    maybe = st.none() | text
    texts, values = st.dictionaries(text, text, max_size=3), st.dictionaries(text, PLAIN, max_size=3)
    return st.one_of(
        st.builds(e.JournalOpened, st.integers(0, 99), TIME, text, TIME, text),
        st.builds(e.EnvironmentLogged, values),
        st.builds(e.RunStarted, text, TIME, text, text, maybe, text, maybe, maybe, maybe, texts),
        st.builds(e.RunDescribed, text, text, maybe, maybe, maybe),
        st.builds(
            e.RunRecorded,
            text,
            text,
            text,
            text,
            TIME,
            TIME,
            text,
            maybe,
            maybe,
            maybe,
            text,
            values,
            numbers,
            texts,
        ),
        st.builds(e.ParamsLogged, text, values),
        st.builds(
            e.MetricsLogged,
            text,
            LONG,
            TIME,
            numbers,
            st.none() | st.floats(allow_nan=False, allow_infinity=False),
        ),
        st.builds(e.DatasetLogged, text, text, values),
        st.builds(e.ArtifactLogged, text, text, TIME),
        st.builds(
            e.ModelLogged, text, text, text, TIME, st.dictionaries(text, TIME, max_size=3), st.floats(0, 1e9)
        ),
        st.builds(e.TagsSet, text, texts),
        st.builds(e.NoteLogged, text, text, st.booleans()),
        st.builds(e.RunEnded, text, TIME, text, maybe, st.floats(0, 1e9), st.integers(0, 10**9)),
        st.builds(e.Heartbeat, TIME),
        st.builds(e.RunRemoved, text),
    )


def same(found: Any, expected: Any) -> bool:
    """Equal, a NaN being equal to itself and 1 to 1.0."""
    if isinstance(expected, dict):
        return (
            isinstance(found, dict)
            and list(found) == list(expected)
            and all(map(same, found.values(), expected.values()))
        )
    if isinstance(expected, float) and math.isnan(expected):
        return isinstance(found, float) and math.isnan(found)
    return bool(found == expected)


def fields(event: Any) -> tuple[type, list[Any]]:
    return type(event), [getattr(event, name) for name in event.__struct_fields__]


@given(st.lists(events(TEXT, NUMBERS), max_size=4))
@example(
    [
        e.MetricsLogged(
            "r", 0, 0, {"a": math.nan, "b": math.inf, "c": -math.inf, "d": -0.0, "e": 5e-324, "f": 1e308}
        )
    ]
)
@example(
    [e.RunEnded("null", 0, "null", "null"), e.RunStarted("1", 0, "null", "true", "null", estimator="NaN")]
)
def test_every_kind_of_event_is_read_back_as_it_was_written(written: Sequence[Any]) -> None:
    """Every kind of event, a line each; non-finite numbers exactly, texts that look like something else as texts."""
    lines = encode(written).splitlines(keepends=True)
    assert len(lines) == len(written)
    for line, event in zip(lines, written, strict=True):
        found = decode(line)
        kind, values = fields(found)
        assert kind is type(event)
        assert all(map(same, values, fields(event)[1])), (found, event)


@given(
    st.lists(
        events(ANY_TEXT, st.dictionaries(ANY_TEXT, st.floats() | st.integers() | st.just(10**400), max_size=5)),
        min_size=1, max_size=3,
    )
)  # fmt: skip
def test_values_that_json_cannot_hold_are_written_as_closely_as_possible(written: Sequence[Any]) -> None:
    """Lone surrogates, numbers beyond 64 bits and beyond a float: no line is missing, and all can be read."""
    lines = encode(written).splitlines(keepends=True)
    assert len(lines) == len(written)
    for line, event in zip(lines, written, strict=True):
        found = decode(line)
        assert type(found) is type(event)
        for name in ("v", "metrics"):
            if hasattr(event, name):
                assert len(getattr(found, name)) <= len(getattr(event, name))
                assert all(type(value) in (int, float) for value in getattr(found, name).values())


def test_a_number_that_is_too_large_costs_no_other_metric() -> None:
    values: dict[str, Any] = {f"m{number}": number for number in range(500)}
    values["huge"], values["huger"] = 10**30, -(10**400)
    found = decode(encode([e.MetricsLogged("r", 1, 2, values)]))
    assert isinstance(found, e.MetricsLogged)
    assert found.v == {**values, "huge": 1e30, "huger": -math.inf}


def test_a_name_that_is_no_text_costs_no_metric() -> None:
    values = {f"m{number}": number for number in range(500)}
    written = [
        e.MetricsLogged("r", 1, 2, {**values, "\udc80": 5}),
        e.RunRecorded("r", "p", "n", "x", 1, 2, "k", metrics={**values, "\udc80": 5}),
    ]
    first, second = map(decode, encode(written).splitlines())
    assert isinstance(first, e.MetricsLogged)
    assert isinstance(second, e.RunRecorded)
    assert first.v == second.metrics == {**values, "\\udc80": 5}


class Odd:
    pass


@pytest.mark.parametrize(
    "odd", [Odd(), 10**5000, {1: {2: Odd()}}, {"a": {Odd(): 1}}, "\udc80", b"\xff", 1j], ids=range(7)
)
def test_an_event_that_cannot_be_encoded_costs_no_other(odd: Any) -> None:
    before, after = e.Heartbeat(1), e.Heartbeat(2)
    lines = encode([before, e.ParamsLogged("r", {"a": 1, "odd": odd}), after]).splitlines()
    found = [decode(line) for line in lines]
    assert (found[0], found[2]) == (before, after)
    assert isinstance(found[1], e.ParamsLogged)
    assert found[1].values["a"] == 1


def test_a_line_is_short() -> None:
    line = encode([e.MetricsLogged("01JD0000000000000000000000", 12345, 1_790_000_000_000, {"loss": 0.25})])
    assert (
        line
        == b'{"e":"m","run":"01JD0000000000000000000000","step":12345,"t":1790000000000,"v":{"loss":0.25}}\n'
    )


# -- reading


@given(st.binary(max_size=300))
@example(b'{"e":"m","run":"r","step":' + b"1" * 5000 + b',"t":1,"v":{}}')
@example(b'{"e":"params","run":"r","values":' + b"[" * 100_000 + b"]" * 100_000 + b"}")
@example(b'{"e":"params","run":"r","values":{"a":1e999999}}')
@example(b'{"e":"m","run":"r","step":1,"t":1,"v":{"a":"' + b"9" * 10_000 + b'"}}')
@example(b'{"e":5}')
@example(b'{"e":"nothing"}')
@example(b"\xff\xfe")
@example(b'"\xed\xa0\x80"')
def test_reading_any_bytes_raises_nothing(line: bytes) -> None:
    decode(line)


@given(events(TEXT, NUMBERS), st.data())
def test_a_damaged_line_is_read_or_skipped(event: Any, data: st.DataObject) -> None:
    line = bytearray(encode([event]))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(line) - 1))
        damage = data.draw(st.sampled_from(["change", "cut", "insert", "delete"]))
        if damage == "change":
            line[place] = data.draw(st.integers(0, 255))
        elif damage == "cut" and place:
            del line[place:]
        elif damage == "insert":
            line[place:place] = data.draw(st.binary(max_size=5))
        elif len(line) > 1:
            del line[place]
    found = decode(bytes(line))
    assert found is None or isinstance(found, e.Event)


def test_a_journal_of_a_later_version_can_be_read() -> None:
    """Unknown fields are ignored, unknown events passed over, missing fields have their defaults."""
    assert decode(b'{"e":"alive","t":5,"later":[1]}') == e.Heartbeat(5)
    assert decode(b'{"e":"from the future","t":5}') is None
    assert decode(b'{"e":"start","run":"r","t":5,"name":"n","experiment":"x"}') == e.RunStarted(
        "r", 5, "n", "x"
    )


@given(st.lists(events(TEXT, NUMBERS), min_size=1, max_size=4), st.data())
def test_reading_stops_at_the_last_whole_line_and_goes_on_from_there(
    tmp_path_factory: pytest.TempPathFactory, written: list[Any], data: st.DataObject
) -> None:
    """A file that is still being written, cut anywhere: reading on from where it stopped gives each event once."""
    whole = encode(written)
    path = tmp_path_factory.mktemp("journal") / "x.jsonl"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=3)))
    found, offset = [], 0
    for cut in [*cuts, len(whole)]:
        path.write_bytes(whole[:cut])
        for start, end, event in read_from(path, offset):
            assert (start, whole[end - 1 : end]) == (offset, b"\n")
            found.append(event)
            offset = end
    assert offset == len(whole)
    assert [type(event) for event in found] == [type(event) for event in written]


def test_reading_stops_where_it_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(encode([e.Heartbeat(number) for number in range(10)]))
    half = len(encode([e.Heartbeat(number) for number in range(5)]))
    assert [event for *_, event in read_from(path, 0, half)] == [e.Heartbeat(number) for number in range(5)]


# -- writing


def read(path: Path) -> list[Any]:
    return [event for *_, event in read_from(path, 0)]


def test_a_journal_begins_with_the_process_that_writes_it(tmp_path: Path) -> None:
    journal = JournalWriter(tmp_path / "store" / "journal" / "x.jsonl")
    assert (journal.is_open, journal.unwritten) == (False, 0)
    journal.keep(encode([e.Heartbeat(1)]))
    assert not (tmp_path / "store").exists()
    journal.open()
    journal.drain()
    first, second = read(journal.path)
    assert (first.version, first.pid, first.started) == (
        e.FORMAT_VERSION,
        os.getpid(),
        process_start(os.getpid()),
    )
    assert second == e.Heartbeat(1)
    assert (journal.is_open, journal.unwritten) == (True, 0)
    journal.close()
    journal.close()
    assert not journal.is_open


class Disk:
    """Takes only so many bytes, at most so many at once, as `os.write` may."""

    def __init__(self, room: int, at_once: int = 10**9) -> None:
        self.room, self.at_once, self._write = room, at_once, os.write

    def write(self, fd: int, data: bytes) -> int:
        if self.room <= 0:
            raise OSError(28, "No space left on device")
        taken = self._write(fd, data[: min(self.room, self.at_once)])
        self.room -= taken
        return taken


@given(st.integers(0, 400), st.integers(1, 200), st.lists(st.integers(0, 200), max_size=5))
def test_lines_that_a_full_disk_refused_are_written_first_when_there_is_room(
    tmp_path_factory: pytest.TempPathFactory, room: int, at_once: int, more: list[int]
) -> None:
    """In order, nothing twice, no line torn in the end, wherever the disk was full."""
    path = tmp_path_factory.mktemp("full") / "x.jsonl"
    journal = JournalWriter(path)
    journal.open()
    disk = Disk(room, at_once)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", disk.write)
        for number in range(10):
            journal.keep(encode([e.Heartbeat(number)]))
            try:
                journal.drain()
            except OSError:
                assert journal.unwritten > 0
            disk.room += more[number] if number < len(more) else 0
    journal.drain()
    journal.close()
    assert read(path)[1:] == [e.Heartbeat(number) for number in range(10)]


def test_dropped_lines_are_counted_and_leave_whole_lines(tmp_path: Path) -> None:
    journal = JournalWriter(tmp_path / "x.jsonl")
    journal.open()
    journal.keep(encode([e.Heartbeat(number) for number in range(5)]))
    with pytest.MonkeyPatch.context() as patch, pytest.raises(OSError):
        patch.setattr(os, "write", Disk(journal.unwritten - 70).write)
        journal.drain()
    given_up = journal.forget_unwritten()
    journal.keep(encode([e.Heartbeat(100)]))
    journal.drain()
    found = read(journal.path)
    assert None not in found
    assert found[-1] == e.Heartbeat(100)
    assert found[1:-1] + given_up == [e.Heartbeat(number) for number in range(5)]


@pytest.mark.skipif(os.name == "nt", reason="an open file cannot be deleted there")
def test_a_deleted_journal_is_noticed(tmp_path: Path) -> None:
    journal = JournalWriter(tmp_path / "x.jsonl")
    assert not journal.is_deleted()
    journal.open()
    journal.drain()
    assert not journal.is_deleted()
    journal.path.unlink()
    assert journal.is_deleted()
    journal.close()


def test_the_start_time_tells_processes_with_the_same_pid_apart() -> None:
    assert process_start(os.getpid()) == process_start(os.getpid())
    assert process_start(2**22 + 5) == ""
    if os.path.exists("/proc/1/stat"):
        assert process_start(os.getpid()) != process_start(1) != ""


def test_the_encoder_writes_no_default_values() -> None:
    assert msgspec.json.decode(encode([e.RunEnded("r", 1, "finished")])) == {
        "e": "end", "run": "r", "t": 1, "status": "finished",
    }  # fmt: skip
