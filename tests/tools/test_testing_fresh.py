"""The promise: a process of a fork server does what a Python does that is started anew; it only finds modules imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from autolog.testing import fresh

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
BENEATH = ("sqlite3", "nowhere_to_be_found")
SCRIPT = """
import __main__, multiprocessing, os, sys, warnings

def square(x):
    return x * x

if __name__ == "__main__":
    print(sys.argv, os.getcwd(), os.environ["COLOUR"], sys.stdin.read(), __main__.square is square, __file__)
    print("autolog" in sys.modules, sys.path[0], warnings.filters[0][0], sys.warnoptions)
    warnings.warn("a warning", DeprecationWarning)
    POOL
    import atexit
    atexit.register(print, "bye")
    END
"""


POOL = """with multiprocessing.get_context("spawn").Pool(1) as pool: print(pool.map(square, [2, 3]))"""


@pytest.fixture
def how(tmp_path: Path) -> dict[str, Any]:
    variables = {**os.environ, "COLOUR": "blue", "PYTHONWARNINGS": "default"}
    return {"environment": variables, "folder": str(tmp_path), "given": b"word", "seconds": 60}


@pytest.mark.parametrize(
    "end", ["", "sys.exit(3)", "sys.exit('no')", "os._exit(4)", "os.abort()", "os.kill(os.getpid(), 9)"]
)
def test_a_forked_script_does_what_a_script_does(tmp_path: Path, how: dict[str, Any], end: str) -> None:
    """Arguments, folder, variables, input, output, warnings, exit handlers, spawned workers, exit status."""
    file = tmp_path / "script.py"
    dies = end.startswith("os.")  # then a pool's semaphores would be missed, or not
    file.write_text(SCRIPT.replace("POOL", "" if dies else POOL).replace("END", end))
    plain = fresh.run("", "a", "--b", file=str(file), **how)
    forked = fresh.run("", "a", "--b", file=str(file), beneath=BENEATH, **how)
    said = [(done.returncode, done.stdout, done.stderr) for done in (plain, forked)]
    assert said[0] == said[1]
    assert plain.stdout.splitlines()[0] == f"{[str(file), 'a', '--b']} {tmp_path} blue word True {file}"
    assert ("[4, 9]" in plain.stdout) == (not dies)


def test_a_fresh_process_finds_the_modules_imported_and_nothing_of_autolog(how: dict[str, Any]) -> None:
    code = "import sys; print('sqlite3' in sys.modules, [one for one in sys.modules if one.startswith('autolog')])"
    assert fresh.output(code, **how) == "False []\n"
    assert fresh.output(code, beneath=BENEATH, **how) == "True []\n"


def test_fresh_processes_do_not_affect_each_other(how: dict[str, Any]) -> None:
    assert (
        fresh.output("import sqlite3; sqlite3.mark = 1; print(sqlite3.mark)", beneath=BENEATH, **how) == "1\n"
    )
    assert (
        fresh.output("import sqlite3; print(hasattr(sqlite3, 'mark'))", beneath=BENEATH, **how) == "False\n"
    )


def test_several_run_at_once_and_wait_for_each_other(how: dict[str, Any], tmp_path: Path) -> None:
    """As ranks of a distributed training do: each opens its end of a pipe that the other opens, too."""
    os.mkfifo(tmp_path / "pipe")
    del how["given"], how["seconds"]
    reads = fresh.start("import pathlib; print(pathlib.Path('pipe').read_text())", beneath=BENEATH, **how)
    writes = fresh.start("import pathlib; pathlib.Path('pipe').write_text('hello')", beneath=BENEATH, **how)
    assert [reads.communicate(60), writes.communicate(60)] == [("hello\n", ""), ("", "")]
    assert (reads.returncode, writes.returncode) == (0, 0)


def test_a_fresh_process_that_hangs_is_killed(how: dict[str, Any], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    how["seconds"] = 2
    with pytest.raises(subprocess.TimeoutExpired) as error:
        code = (
            "import threading; file = open('pipe', 'w'); print('here', flush=True); threading.Event().wait()"
        )
        reader = subprocess.Popen([sys.executable, "-c", "open('pipe').read()"], cwd=tmp_path)
        fresh.run(code, beneath=BENEATH, **how)
    assert error.value.stdout == "here\n"
    assert reader.wait(60) == 0


def test_a_failure_shows_the_output_of_the_process(how: dict[str, Any]) -> None:
    with pytest.raises(AssertionError, match=r"1: Traceback[\s\S]*ValueError: no"):
        fresh.output("raise ValueError('no')", beneath=BENEATH, **how)
