"""The promise: ids sort by time and never collide, names can be said, and the user's random numbers stay his."""

from __future__ import annotations

import random
import re
import subprocess
import sys
import time

import pytest
from helpers import in_threads

from autolog.tracking import ids
from autolog.tracking.ids import ADJECTIVES, ANIMALS, new_id, new_name

_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def _milliseconds(identifier: str) -> int:
    number = 0
    for character in identifier[:10]:
        number = number * 32 + _DIGITS.index(character)
    return number


def test_an_id_is_a_ulid_of_its_time() -> None:
    """26 characters of Crockford's base 32, the first ten of them the milliseconds since the epoch."""
    before = time.time_ns() // 1_000_000
    identifier = new_id()
    after = time.time_ns() // 1_000_000
    assert re.fullmatch(f"[{_DIGITS}]{{26}}", identifier)
    assert before <= _milliseconds(identifier) <= after


def test_ids_sort_in_the_order_in_which_they_were_made() -> None:
    made = [new_id() for _ in range(20_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_ids_keep_their_order_when_the_count_starts_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ids, "_counter", iter(range(2**24 - 3, 2**24 + 3)))
    made = [new_id() for _ in range(6)]
    assert len(set(made)) == 6
    assert [_milliseconds(identifier) for identifier in made] == sorted(_milliseconds(i) for i in made)


def test_threads_at_once_get_different_ids() -> None:
    made: list[str] = []
    in_threads(*[lambda: made.extend([new_id() for _ in range(2000)])] * 4)
    assert len(set(made)) == 8000


def test_processes_at_once_get_different_ids() -> None:
    code = "from autolog.tracking.ids import new_id; print(*[new_id() for _ in range(500)])"
    processes = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    made = [identifier for process in processes for identifier in process.communicate()[0].split()]
    assert len(made) == len(set(made)) == 1000


def test_a_name_is_two_words_that_need_no_quotes_in_a_shell() -> None:
    assert all(re.fullmatch(r"[a-z]+-[a-z]+", new_name()) for _ in range(200))
    for words in (ADJECTIVES, ANIMALS):
        assert len(words) == len(set(words)) > 100
        assert all(re.fullmatch(r"[a-z]{2,12}", word) for word in words)


def test_names_rarely_repeat() -> None:
    assert len({new_name() for _ in range(100)}) > 95


def test_pythons_random_numbers_are_left_alone() -> None:
    """Keras draws its seeds from them: a moved state would change the weights."""
    before = random.getstate()
    new_id()
    new_name()
    assert random.getstate() == before
