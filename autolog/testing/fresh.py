"""Fresh processes for tests. Where a framework stands on something that takes seconds to import, they are forked from a process
that has imported that and nothing else, autolog neither.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

# Each line that it reads is a request; each that it writes, how the child ended that was forked to do it.
FORKS = """
import contextlib, importlib, json, os, signal, sys
for name in sys.argv[1:]:
    with contextlib.suppress(ModuleNotFoundError):
        importlib.import_module(name)
for line in iter(sys.stdin.readline, ""):
    asked = json.loads(line)
    if child := os.fork():
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        continue
    signal.alarm(asked["seconds"])
    for number, (name, flags) in enumerate([("in", os.O_RDONLY), ("out", os.O_WRONLY), ("err", os.O_WRONLY)]):
        os.dup2(os.open(os.path.join(asked["files"], name), flags), number)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    sys.argv[:], sys.path[:] = ["-c", *asked["arguments"]], asked["path"]
    exec(asked["code"], {"__name__": "__main__"})
    break
"""


def run(
    code: str, *arguments: str, environment: dict[str, str], folder: str, given: bytes = b"", seconds: int,
    beneath: tuple[str, ...] = (),
) -> str:  # fmt: skip
    """Run Python code that finds `arguments` in `sys.argv` and `given` on its standard input; what it printed. `beneath` are
    modules that it may find imported already, if they are installed. Raises AssertionError with what it said if it fails or
    takes longer.
    """
    path = list(filter(None, sys.path))
    if not beneath or not hasattr(os, "fork"):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], cwd=folder, input=given, capture_output=True, timeout=seconds,
            env={**environment, "PYTHONPATH": os.pathsep.join(path)},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()
    with tempfile.TemporaryDirectory() as files:
        for name, content in (("in", given), ("out", b""), ("err", b"")):
            Path(files, name).write_bytes(content)
        request = {"code": code, "arguments": arguments, "environment": environment, "folder": folder}
        ended = _ask(beneath, {**request, "files": files, "path": path, "seconds": seconds})
        out, err = (Path(files, name).read_text() for name in ("out", "err"))
    assert ended == "0", f"{ended}: {err}"
    return out


def _ask(beneath: tuple[str, ...], request: dict[str, Any]) -> str:
    server = _server(beneath)
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(json.dumps(request) + "\n")
    server.stdin.flush()
    return server.stdout.readline().strip()


@cache
def _server(beneath: tuple[str, ...]) -> subprocess.Popen[str]:
    server = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", FORKS, *beneath],
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # `beneath` may be a module that only the tests have.
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    atexit.register(server.communicate)  # which ends it
    return server
