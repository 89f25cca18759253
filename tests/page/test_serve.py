"""The command `autolog ui`, and the page in a notebook: how they start, what they print, how they end."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from serving import new_store

ROOT = Path(__file__).parents[2]
PRINTED = re.compile(r"http://(?P<host>[^/]+):(?P<port>\d+)/\?token=(?P<token>[0-9a-f]{32})\n")


@contextmanager
def started(store: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], re.Match[str], float]]:
    """The command, its first line, and the seconds after which it was printed."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "integrations"), *filter(None, sys.path)])
    began = time.monotonic()
    command = [sys.executable, "-m", "autolog", "ui", "--store", str(store), "--no-browser", *arguments]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        seconds = time.monotonic() - began
        found = PRINTED.fullmatch(line)
        assert found is not None, (line, process.stderr and process.stderr.read())
        yield process, found, seconds
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdout, process.stderr):
            assert pipe is not None
            pipe.close()


def get(url: str, token: str) -> bytes:
    with urllib.request.urlopen(
        urllib.request.Request(url, headers={"X-Autolog-Token": token}), timeout=20
    ) as answer:
        return answer.read()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    new_store(tmp_path / "store")
    return tmp_path / "store"


def test_it_prints_its_url_answers_and_ends_at_once_with_an_open_page(root: Path) -> None:
    from websockets.sync.client import connect

    with started(root, "--port", "0") as (process, printed, seconds):
        host, token = f"127.0.0.1:{printed['port']}", printed["token"]
        assert printed["host"] == "127.0.0.1"
        assert b"digits" in get(
            f"http://{host}/api/v1/experiments", token
        )  # the socket was bound already: it may be asked at once
        headers = {"Origin": f"http://{host}", "X-Autolog-Token": token}
        with connect(f"ws://{host}/api/v1/live", additional_headers=headers, proxy=None) as page:
            page.recv(timeout=10)
            began = time.monotonic()
            process.send_signal(signal.SIGINT)
            code = process.wait(10)
            ended = time.monotonic() - began
        assert process.stderr is not None
        assert (code, process.stderr.read()) == (130, "")
        assert ended < 4
        # A goal of one second on a quiet machine: shared ones take longer.
        assert seconds < 5


def test_the_address_is_the_same_after_a_restart(root: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    lines: list[str] = []
    for _ in range(2):
        with started(root, "--port", str(port)) as (process, printed, _):
            get(f"http://127.0.0.1:{port}/", printed["token"])
            lines.append(printed[0])
            process.send_signal(signal.SIGTERM)
            process.wait(10)
    assert lines[0] == lines[1]


def test_a_taken_port_is_an_error_only_if_it_was_asked_for(root: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run("ui", "--store", str(root), "--no-browser", "--port", port)
        assert (done.returncode, done.stdout) == (1, "")
        assert re.fullmatch(
            rf"autolog: OSError: Port {port} of 127.0.0.1 cannot be used: .+\.\n", done.stderr
        )


def test_another_host_is_warned_of(root: Path) -> None:
    with started(root, "--port", "0", "--host", "0.0.0.0") as (process, printed, _):
        assert printed["host"] == socket.gethostname()
        get(f"http://127.0.0.1:{printed['port']}/", printed["token"])
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert "Whoever can reach this machine" in process.stderr.read()


def run(
    *arguments: str, code: str = "from autolog.cli import main; main()"
) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "integrations"), *filter(None, sys.path)])
    command = [sys.executable, "-c", code, *arguments]
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)


def test_without_the_extra_it_says_what_to_install(root: Path) -> None:
    code = """
import importlib.util
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "fastapi" else real(name, *rest)
from autolog.cli import main
main()
"""
    done = run("ui", "--store", str(root), code=code)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "autolog: The page needs more packages: pip install 'autolog-ml[ui]'\n"


def test_an_absent_store_is_an_error(tmp_path: Path) -> None:
    done = run("ui", "--store", str(tmp_path / "absent"))
    assert (done.returncode, done.stderr) == (1, f"autolog: There is no store at {tmp_path / 'absent'}.\n")


def test_autolog_imports_nothing_of_the_page(root: Path) -> None:
    code = """
import sys
import autolog
autolog.autolog(); autolog.status(); dir(autolog)
print(sorted({"fastapi", "starlette", "uvicorn", "nicegui", "autolog.page"} & sys.modules.keys()))
"""
    assert run(code=code).stdout == "[]\n"


def test_a_notebook_shows_the_page_of_one_server(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import autolog

    first, again = autolog.ui(store=root), autolog.ui(store=root, height=300)
    try:
        assert first.url == again.url
        found = re.search(r'src="(http://localhost:\d+/)\?token=(\w+)"', first._repr_html_())
        assert found is not None
        assert b"digits" in get(f"{found[1]}api/v1/experiments", found[2])
        assert 'height="300"' in again._repr_html_()
        assert first.url in repr(first)
        new_store(tmp_path / "other")
        assert autolog.ui(store=tmp_path / "other").url != first.url
    finally:
        from autolog.page.serve import _serving

        for server in _serving.values():
            server.stop()
        _serving.clear()


def test_the_help_does_not_name_the_command_until_its_pages_are_there() -> None:
    done = run("--help")
    assert done.returncode == 0
    assert "export" in done.stdout
    assert " ui " not in done.stdout
