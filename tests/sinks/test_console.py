"""`console:`: one line a step with all its metrics, on standard error and nowhere else."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest
from helpers import running, script
from truth import TIMEOUT

from autolog.sinks.console import ConsoleSink
from autolog.tracking.events import (
    Event,
    MetricsLogged,
    ParamsLogged,
    RunDescribed,
    RunEnded,
    RunRecorded,
    RunStarted,
)


def printed(capfd: pytest.CaptureFixture[str], *events: Event) -> str:
    sink = ConsoleSink("console:")
    sink.write(events)
    sink.flush()
    out, err = capfd.readouterr()
    assert out == ""
    return err


START = RunStarted("r", 1_000, "brave-otter", "default", kind="fit", estimator="sklearn.svm._classes.SVC")


def test_a_run_is_printed_as_lines(capfd: pytest.CaptureFixture[str]):
    """Start, each step with all its metrics however they were logged, end; a child recorded whole is one line."""
    assert printed(
        capfd,
        START,
        ParamsLogged("r", {"C": 1.0}),
        MetricsLogged("r", 0, 2_000, {"loss": 0.123456789}),
        MetricsLogged("r", 0, 2_000, {"val_loss": math.nan}, 0.0),
        MetricsLogged("r", 1, 3_000, {"loss": 1e-12}, 0.5),
        MetricsLogged("r", 1, 3_000, {"loss": 2.0}),
        RunRecorded("c", "r", "brave-otter/1", "default", 1_000, 1_500, "candidate", metrics={"score": 0.5}),
        RunEnded("r", 1_001_000, "failed", "ValueError: no\nsuch\x1b[31m column"),
        RunDescribed("unknown", "fit", estimator="a.B"),
    ) == (
        "autolog: brave-otter · SVC · started\n"
        "autolog: brave-otter · step 0 · loss 0.123457 · val_loss nan\n"
        "autolog: brave-otter · epoch 0.5 · step 1 · loss 1e-12\n"
        "autolog: brave-otter · step 1 · loss 2\n"
        "autolog: brave-otter/1 · finished · score 0.5 · 0.5 s\n"
        "autolog: brave-otter · failed · ValueError: no such\\x1b[31m column · 1000 s\n"
        "autolog: unknown · B\n"
    )


def test_a_step_after_an_error_is_printed_once(capfd: pytest.CaptureFixture[str]):
    """What was kept back when a write failed is forgotten, as it comes again."""
    sink = ConsoleSink("console:")
    sink.write([START, MetricsLogged("r", 0, 2_000, {"loss": 1.0})])
    sink.write([START, MetricsLogged("r", 0, 2_000, {"loss": 1.0})])
    sink.flush()
    sink.flush()
    assert capfd.readouterr().err.count("\n") == 2


REDIRECTED = """
    import contextlib, io, sys, autolog
    autolog.autolog(sinks=["console:"], silent=True)
    caught = io.StringIO()
    with contextlib.redirect_stderr(caught), contextlib.redirect_stdout(caught):
        with autolog.run("hidden") as run:
            run.log_metrics({"loss": 1.0}, step=0)
        assert autolog.flush(60, sinks=True)
    print(repr(caught.getvalue()))
"""


def test_nothing_is_printed_into_redirected_streams(tmp_path: Path):
    done = script(REDIRECTED, tmp_path, timeout=TIMEOUT)
    assert (done.returncode, done.stdout) == (0, "''\n")
    assert "autolog: hidden · step 0 · loss 1\n" in done.stderr


@pytest.mark.parametrize(
    "before", ["sys.stderr.close()", "sys.stderr = sys.__stderr__ = None", "os.close(2)"]
)
def test_a_program_without_standard_error_goes_on(tmp_path: Path, before: str):
    code = REDIRECTED.replace("import contextlib", f"import os, sys; {before}; import contextlib").replace(
        "assert autolog.flush(60, sinks=True)", "autolog.flush(60)"
    )
    done = script(code, tmp_path, AUTOLOG_EXIT_TIMEOUT="0.5", timeout=TIMEOUT)
    assert (done.returncode, done.stdout) == (0, "''\n")


FULL = """
    import os, sys, autolog
    autolog.autolog(sinks=["console:"], silent=True)
    with autolog.run("loud") as run:
        for step in range(20_000):
            run.log_metrics({"loss": 1.0}, step=step)
    assert autolog.flush(60)
    print("trained")
    sys.exit(3)
"""


@pytest.mark.skipif(os.name != "posix", reason="pipes block otherwise elsewhere")
def test_a_full_pipe_as_standard_error_does_not_delay_the_process(tmp_path: Path):
    """Standard error is a full pipe that nobody reads: the process trains, ends in bounded time, and with its own exit code."""
    with running(FULL, tmp_path, AUTOLOG_EXIT_TIMEOUT="0.5") as process:
        assert process.wait(TIMEOUT) == 3
        assert process.stdout.read() == "trained\n"
        lines = process.stderr.read().splitlines()
    assert lines[:3] == [
        "autolog: loud · run · started",
        "autolog: loud · step 0 · loss 1",
        "autolog: loud · step 1 · loss 1",
    ]
    assert 500 < len(lines) < 20_000
