"""The promise: warnings of code that we call are not shown, and everybody else's are, as often as without us."""

from __future__ import annotations

import threading
import warnings
from typing import Any

import pytest

from autolog.instrument.quiet import suppress_warnings


def warn(text: str = "old") -> None:
    warnings.warn(text, DeprecationWarning, stacklevel=1)


def test_warnings_are_suppressed_only_inside() -> None:
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        with suppress_warnings():
            warn("inside")
            with suppress_warnings():
                warn("deeper")
            warn("inside again")
        warn("after")
        with pytest.raises(ZeroDivisionError), suppress_warnings():
            raise ZeroDivisionError
        warn("after an exception")
    assert [str(one.message) for one in shown] == ["after", "after an exception"]


def test_a_warning_is_suppressed_inside_though_filters_make_it_an_error() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with suppress_warnings():
            warn()
        with pytest.raises(DeprecationWarning):
            warn()


def test_warnings_of_other_threads_are_not_suppressed() -> None:
    goes_on, warned = threading.Event(), threading.Event()

    def other() -> None:
        goes_on.wait(10)
        warn("other thread")
        warned.set()

    thread = threading.Thread(target=other)
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        thread.start()
        with suppress_warnings():
            goes_on.set()
            assert warned.wait(10)
        thread.join()
    assert [str(one.message) for one in shown] == ["other thread"]


def test_a_warning_that_is_shown_once_is_not_shown_again() -> None:
    """Python forgets what it has shown when its filters change in the ordinary way."""
    registry: dict[str, Any] = {}

    def once() -> None:
        warnings.warn_explicit("seen", UserWarning, "file.py", 1, registry=registry)

    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("default")
        once()
        with suppress_warnings():
            warn("inside")
        once()
    assert len(shown) == 1


def test_the_warning_filters_are_restored() -> None:
    """The list itself, and what is in it, whatever the code inside did to it."""
    before, held = warnings.filters, list(warnings.filters)
    with suppress_warnings():
        warnings.filterwarnings("ignore", "added inside")
    assert warnings.filters is before
    assert [one for one in warnings.filters if one not in held] == [warnings.filters[0]]
    warnings.filters.remove(warnings.filters[0])  # type: ignore[attr-defined]
    with suppress_warnings(), warnings.catch_warnings():
        warnings.resetwarnings()
    assert list(warnings.filters) == held
