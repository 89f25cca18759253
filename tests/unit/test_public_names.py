"""`import autolog` gives what the documentation names, again and again."""

from __future__ import annotations

from importlib.util import find_spec

from helpers import python

import autolog


def test_no_public_name_is_that_of_a_submodule() -> None:
    """A submodule's import would put the module in the place of the function of the same name."""
    assert [name for name in autolog.__all__ if find_spec(f"autolog.{name}") is not None] == []


def test_dir_and_all_list_exactly_the_public_names() -> None:
    code = "import autolog; print([n for n in autolog.__all__ if getattr(autolog, n, None) is None])"
    done = python(code)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
    assert set(autolog.__all__) <= set(dir(autolog))


def test_status_can_be_asked_twice() -> None:
    assert repr(autolog.status()).splitlines() == repr(autolog.status()).splitlines()
