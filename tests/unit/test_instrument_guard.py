"""The promise: an error of ours is said once, calmly, to the log, and to nobody else; strict, it is raised."""

from __future__ import annotations

import functools
import logging
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from helpers import in_threads

from autolog.instrument.guard import Guard


@pytest.fixture
def said() -> Iterator[list[logging.LogRecord]]:
    """What goes to the logger `autolog`."""
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign]
    logger = logging.getLogger("autolog")
    logger.addHandler(handler)
    yield records
    logger.removeHandler(handler)


def test_only_the_first_failure_of_a_place_is_logged(said: list[logging.LogRecord]) -> None:
    """By integration and place; each is described for the run's own record."""
    guard = Guard(strict=False)
    described = [
        guard.report(integration, place, error)
        for integration, place, error in (
            ("toy", "before fit", ValueError("one")), ("toy", "before fit", ValueError("two")), ("toy", "after fit", OSError()),
            ("other", "before fit", KeyError("k")),
        )
    ]  # fmt: skip
    assert described == [
        "before fit: ValueError: one", "before fit: ValueError: two", "after fit: OSError: ", "before fit: KeyError: 'k'",
    ]  # fmt: skip
    assert [record.getMessage().partition(" Later")[0] for record in said] == [
        "Your training goes on; autolog did not record all of it (toy, before fit: ValueError: one).",
        "Your training goes on; autolog did not record all of it (toy, after fit: OSError: ).",
        "Your training goes on; autolog did not record all of it (other, before fit: KeyError: 'k').",
    ]
    assert {(record.levelname, record.name, record.exc_info) for record in said} == {
        ("WARNING", "autolog", None)
    }


def test_one_culprit_in_many_places_is_logged_once(said: list[logging.LogRecord]) -> None:
    guard = Guard(strict=False)
    for number in range(5):
        guard.report("toy", f"before Model{number}.fit", ValueError(), "Toy.fit")
    assert len(said) == 1


def test_many_threads_that_fail_log_once(said: list[logging.LogRecord]) -> None:
    guard = Guard(strict=False)
    ready = threading.Barrier(8)

    def fail() -> None:
        ready.wait()
        for _ in range(200):
            guard.report("toy", "before fit", ValueError())

    in_threads(*[fail] * 8)
    assert len(said) == 1


@pytest.mark.parametrize(
    ("value", "strict"), [("1", True), ("yes", True), ("0", False), ("", False), (None, False)]
)
def test_autolog_strict_makes_it_strict(
    value: str | None, strict: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AUTOLOG_STRICT")
    if value is not None:
        monkeypatch.setenv("AUTOLOG_STRICT", value)
    assert Guard().strict is strict
    assert Guard(strict=not strict).strict is not strict


def test_strict_raises_the_error_but_not_on_background_threads(said: list[logging.LogRecord]) -> None:
    guard, error = Guard(strict=True), ValueError("one")
    with pytest.raises(ValueError) as raised:
        guard.report("toy", "before fit", error)
    assert raised.value is error
    assert said == []
    assert guard.report("store", "writing", error, background=True) == "writing: ValueError: one"
    assert len(said) == 1


def test_an_error_without_a_readable_text_is_described_by_its_class(said: list[logging.LogRecord]) -> None:
    """And a long text is cut."""

    class Rude(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    guard = Guard(strict=False)
    assert guard.report("toy", "x", Rude()) == "x: Rude: (its text could not be read)"
    assert len(guard.report("toy", "y", ValueError("z" * 10_000))) < 600


def test_autolog_debug_shows_the_traceback(
    said: list[logging.LogRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOLOG_DEBUG", "1")
    error = ValueError("one")
    Guard(strict=False).report("toy", "before fit", error)
    assert said[0].exc_info is not None
    assert said[0].exc_info[1] is error


def test_the_logging_settings_are_not_changed(capsys: pytest.CaptureFixture[str]) -> None:
    def state() -> list[Any]:
        loggers = logging.getLogger(), logging.getLogger("autolog")
        return [logging.lastResort, *((list(one.handlers), one.level, one.propagate) for one in loggers)]

    before = state()
    Guard(strict=False).report("toy", "before fit", ValueError())
    assert state() == before
    assert capsys.readouterr().out == ""


class TimeUp(Exception):
    pass


def end(signal: int, frame: object) -> None:
    raise TimeUp


class Handler:
    def __call__(self, signal: int, frame: object) -> None:
        raise TimeUp


@pytest.mark.parametrize(
    "handler", [end, functools.partial(end), Handler(), Handler().__call__], ids=["function", "partial", "object", "method"]
)  # fmt: skip
def test_exceptions_of_the_users_signal_handlers_reach_the_user(
    handler: Any, said: list[logging.LogRecord]
) -> None:
    """A time limit that is up while our code runs ends what the user has limited: it is not taken for an error of ours."""

    def ours() -> None:
        os.kill(os.getpid(), signal.SIGUSR1)
        for _ in range(1000):  # the handler runs between two instructions
            pass

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        with pytest.raises(TimeUp):
            try:
                ours()
            except Exception as error:
                Guard(strict=False).report("toy", "somewhere", error)
        with pytest.raises(TimeUp):
            Guard(strict=False).report("toy", "somewhere", raised_by(ours))
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert said == []
    Guard(strict=False).report("toy", "somewhere", raised_by(lambda: 1 / 0))
    assert len(said) == 1


def raised_by(function: Any) -> Exception:
    try:
        function()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")
