"""The promise: a run's token is plain text that brings another process to the run's store and nowhere else; what is no token is
refused with a word on what to give.
"""

from __future__ import annotations

import copy
import pickle
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import autolog
from autolog.config import Config
from autolog.recording import token as tokens

pytestmark = pytest.mark.usefixtures("fresh")


def test_a_token_is_text_that_shells_urls_and_file_names_take() -> None:
    """It travels as an argument, in a variable or in a closure; it says where, under which run, and with which options."""
    autolog.autolog(experiment="Nächte", silent=True, sinks="memory:secret-password", log_models=False)
    with autolog.run("swéep") as run:
        token = run.token
    assert re.fullmatch(r"autolog:1:[A-Za-z0-9_-]+", token)
    said = tokens.read(token)
    assert (said.run, said.name, said.experiment) == (run.id, "swéep", "Nächte")
    assert said.store == str(Path(".autolog").absolute())
    assert said.config == Config(experiment="Nächte", options={"log_models": False}, silent=True)
    assert said.integrations == sorted(said.integrations) or said.integrations


def test_a_run_under_a_token_is_named_after_its_parent() -> None:
    """Tasks cannot be counted across processes: each has a name of its own below the parent's."""
    with autolog.run("sweep") as run:
        pass
    for _ in range(2):
        with autolog.run(parent=run.token) as child:
            child.log_metrics({"loss": 0.5})
    [sweep] = autolog.runs()
    names = [child.name for child in sweep.children]
    assert len(set(names)) == 2
    assert all(name.startswith("sweep/") for name in names)


def test_a_token_of_a_child_makes_grandchildren() -> None:
    with (
        autolog.run("top") as top,
        autolog.run("middle") as middle,
        autolog.run("x", parent=middle.token) as run,
    ):
        assert (middle.parent, run.parent) == (top.id, middle.id)


@pytest.mark.parametrize("wrong", ["", "autolog:1:", "brave-otter", 7, b"autolog:1:e30", ["autolog:1:e30"]])
def test_a_text_that_is_no_token_is_refused_before_the_block_runs(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"^parent must be a run's token: `run\.token`, as text\.$"):
        autolog.run(parent=wrong)  # type: ignore[arg-type]


@given(st.text() | st.binary().map(repr) | st.from_regex(r"autolog:1:[A-Za-z0-9_-]*", fullmatch=True))
def test_any_text_is_refused_or_read_as_a_token(text: str) -> None:
    """A token may come from anywhere: nothing but ValueError, and no id that leads out of the store."""
    try:
        said = tokens.read(text)
    except ValueError:
        return
    assert said.run.replace("-", "").replace("_", "").isalnum()


def test_a_token_whose_run_id_is_a_path_is_refused() -> None:
    import base64

    for run in ("../../etc", "", "a/b"):
        text = f'{{"run": "{run}", "name": "x", "experiment": "x", "store": "/tmp"}}'
        with pytest.raises(ValueError, match="must be a run's token"):
            tokens.read(tokens.PREFIX + base64.urlsafe_b64encode(text.encode()).decode().rstrip("="))


@pytest.mark.parametrize("how", [pickle.dumps, copy.copy, copy.deepcopy])
def test_pickling_a_run_is_an_error_that_says_to_use_its_token(how: object) -> None:
    with autolog.run("sweep") as run, pytest.raises(TypeError, match=r"Hand `run\.token`, a text"):
        how(run)  # type: ignore[operator]


def test_a_worker_reports_what_it_could_not_record_without_secrets(tmp_path: Path) -> None:
    """The reason is kept in a file of the store until the sender reads it."""
    token = tokens.Token("", "", "default", str(tmp_path / "store"), sender="0123")
    tokens.report(token)
    tokens.report_failure(tokens._text(token), OSError("no\nlogin with password=hunter22"))
    [here, [run, what, why]] = tokens.reports(tokens.Layout(tmp_path / "store"), "0123")
    assert (here, run, what) == (["-", "here", ""], "-", "failed")
    assert why.startswith("OSError: no login with password=<redacted:")
    assert "hunter22" not in why
