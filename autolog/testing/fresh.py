"""Starts fresh Python processes for tests in milliseconds, although a framework takes seconds to import.

A *fork server* has imported only the modules that the test names, and never autolog. It forks a process for each request. A
test of import order names no modules, so that Python starts anew.

This module does not use autolog.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
import weakref
from functools import cache
from pathlib import Path
from typing import Any

# Each line that the server reads is a request. The server forks a keeper for it, and the keeper forks the child and reports its
# exit status. So several children run at once, and a child that hangs does not block the others.
SERVER = """
import contextlib, gc, importlib, json, os, signal, sys, types, warnings

# Hide warnings of the imports from the tests. Keep the filters that the frameworks add, as an ordinary process does.
quiet = ("ignore", None, Warning, None, 0)
warnings.filters.insert(0, quiet)
warnings._filters_mutated()
# At exit, Polars waits for a thread that a forked process does not have. Its users work without it.
sys.modules["polars"] = None
for name in sys.argv[1:]:
    with contextlib.suppress(ModuleNotFoundError):
        importlib.import_module(name)
del sys.modules["polars"]
# Otherwise each child collects garbage among all imported modules, and again at exit: a second for torch.
gc.collect()
gc.freeze()
signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system removes ended keepers

def keep(asked):
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with contextlib.suppress(KeyboardInterrupt), open(os.path.join(asked["files"], "status"), "w") as status:
        if child := os.fork():
            print(child, flush=True, file=status)
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True, file=status)
            os._exit(0)
    become(asked)

def become(asked):
    for number, (name, flags) in enumerate([("in", os.O_RDONLY), ("out", os.O_WRONLY), ("err", os.O_WRONLY)]):
        file = os.open(os.path.join(asked["files"], name), flags | os.O_APPEND)
        os.dup2(file, number)
        os.close(file)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    sys.path[:] = asked["path"]
    sys.argv[:] = [asked["file"] or "-c", *asked["arguments"]]
    sys.warnoptions[:] = [one for one in os.environ.get("PYTHONWARNINGS", "").split(",") if one]
    place = warnings.filters.index(quiet)
    before, after = warnings.filters[:place], warnings.filters[place + 1:]
    warnings.filters[:] = []
    for one in sys.warnoptions:
        warnings._setoption(one)
    warnings.filters[:] = [*before, *warnings.filters, *after]
    warnings._filters_mutated()
    main = types.ModuleType("__main__")
    main.__dict__.update(__builtins__=__builtins__, __spec__=None)
    code = asked["code"]
    if asked["file"]:
        main.__file__ = asked["file"]
        sys.path.insert(0, os.path.dirname(asked["file"]))
        with open(asked["file"], "rb") as source:
            code = source.read()
    sys.modules["__main__"] = main
    exec(compile(code, asked["file"] or "<string>", "exec", dont_inherit=True), main.__dict__)

child = False
with contextlib.suppress(KeyboardInterrupt):
    for line in iter(sys.stdin.readline, ""):
        if child := not os.fork():
            break
if child:
    keep(json.loads(line))
"""


class Process:
    """A running process, with the few parts of `subprocess.Popen` that tests use."""

    def __init__(self, beneath: tuple[str, ...], given: bytes, request: dict[str, Any]) -> None:
        self._files = tempfile.mkdtemp(prefix="autolog-fresh-")
        self._remove_files = weakref.finalize(self, shutil.rmtree, self._files, ignore_errors=True)
        for name, content in (("in", given), ("out", b""), ("err", b"")):
            Path(self._files, name).write_bytes(content)
        pipe = os.path.join(self._files, "status")
        os.mkfifo(pipe)
        self._status = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        self._said = b""
        self.returncode: int | None = None
        server = _server(beneath)
        assert server.stdin is not None
        try:
            server.stdin.write(json.dumps({**request, "files": self._files}) + "\n")
            server.stdin.flush()
        except BrokenPipeError:
            raise AssertionError(f"the fork server ended: {server.wait()}") from None

    def communicate(self, timeout: float) -> tuple[str, str]:
        """Wait for the end and return (stdout, stderr). After `timeout` seconds, kill the process and raise
        subprocess.TimeoutExpired.
        """
        deadline = time.monotonic() + timeout
        while self._said.count(b"\n") < 2:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._status], [], [], left)[0]:
                if b"\n" in self._said:
                    os.kill(int(self._said.split()[0]), 9)
                raise subprocess.TimeoutExpired("a fresh process", timeout, *self._end())
            part = os.read(self._status, 4096)
            if not part:  # the keeper has not opened the pipe yet
                time.sleep(0.001)
            self._said += part
        self.returncode = int(self._said.split()[1])
        return self._end()

    def _end(self) -> tuple[str, str]:
        """Return (stdout, stderr), and delete the process's files."""
        out, err = (Path(self._files, name).read_text(errors="replace") for name in ("out", "err"))
        os.close(self._status)
        self._remove_files()
        return out, err


def start(
    code: str, *arguments: str, environment: dict[str, str], folder: str, given: bytes = b"",
    beneath: tuple[str, ...], file: str = "",
) -> Process:  # fmt: skip
    """Start a process that is forked from one that has imported `beneath`.

    Args:
        code: the code to run, unless `file` names a script.
        arguments: the process's `sys.argv[1:]`.
        environment: all its variables. Of PYTHON… variables, only PYTHONPATH and PYTHONWARNINGS have an effect.
        folder: its working directory.
        given: its standard input.
        beneath: modules that are already imported, if they are installed.
        file: a script to run, as `python FILE` does.
    """
    request = {
        "code": code,
        "file": file,
        "arguments": arguments,
        "environment": environment,
        "folder": folder,
    }
    return Process(beneath, given, {**request, "path": _path(environment)})


def run(
    code: str, *arguments: str, environment: dict[str, str], folder: str, given: bytes = b"", seconds: float,
    beneath: tuple[str, ...] = (), file: str = "",
) -> subprocess.CompletedProcess[str]:  # fmt: skip
    """Like `start`, but wait for the end, as `subprocess.run` does. Without `beneath` or fork, start Python anew."""
    if not beneath or not hasattr(os, "fork"):
        done = subprocess.run(
            [sys.executable, *([file] if file else ["-c", code]), *arguments], cwd=folder, input=given, timeout=seconds,
            capture_output=True, env={**environment, "PYTHONPATH": os.pathsep.join(_path(environment))},
        )  # fmt: skip
        return subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
        )
    process = start(
        code, *arguments, environment=environment, folder=folder, given=given, beneath=beneath, file=file
    )
    out, err = process.communicate(seconds)
    assert process.returncode is not None
    return subprocess.CompletedProcess([file or code, *arguments], process.returncode, out, err)


def output(code: str, *arguments: str, **how: Any) -> str:
    """Run a process and return its standard output. Raises AssertionError with its standard error if it fails."""
    done = run(code, *arguments, **how)
    assert done.returncode == 0, f"{done.returncode}: {done.stderr}"
    return done.stdout


def _path(environment: dict[str, str]) -> list[str]:
    """Return the process's `sys.path`: its environment's PYTHONPATH, then this process's path."""
    given = environment.get("PYTHONPATH", "").split(os.pathsep)
    return list(dict.fromkeys(one for one in (*given, *sys.path) if one))


@cache
def _server(beneath: tuple[str, ...]) -> subprocess.Popen[str]:
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, *beneath],
        text=True,
        stdin=subprocess.PIPE,
        # `beneath` may name a module of the tests.
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONWARNINGS": ""},
    )
    atexit.register(server.communicate)  # closes its standard input, which ends the server
    return server
