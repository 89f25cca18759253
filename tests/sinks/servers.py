"""Real servers on loopback, started once for all tests that ask: MLflow 3 on SQLite and on PostgreSQL, MLflow 2, and a proxy
that breaks what goes through it.

The Python of an environment with the server is named by `MLFLOW3_PYTHON` (without it, the tests' own) and `MLFLOW2_PYTHON`.
What is not there is skipped with a reason.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

STARTED_WITHIN = 240.0


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextlib.contextmanager
def mlflow_server(python: str, folder: Path, store: str) -> Iterator[str]:
    """A tracking server; its URL."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command = [
        python, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", store, "--artifacts-destination", str(folder / "artifacts"),
    ]  # fmt: skip
    variables = {
        **os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "PYTHONPATH": "",
    }  # fmt: skip
    log = open(folder / "log", "wb")  # noqa: SIM115
    server = subprocess.Popen(
        command, cwd=folder, env=variables, stdout=log, stderr=log, start_new_session=True
    )
    try:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + STARTED_WITHIN
        while not _answers(f"{url}/health"):
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"mlflow did not start: {(folder / 'log').read_text()[-3000:]}")
            time.sleep(0.1)
        yield url
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()
        log.close()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def postgres_programs() -> Path | None:
    """Where PostgreSQL's programs are; None where it is not installed, or could not be run."""
    found = [
        *Path("/usr/lib/postgresql").glob("*/bin/initdb"),
        *filter(None, [shutil.which("initdb") and Path(shutil.which("initdb") or "")]),
    ]
    if not found or (os.geteuid() == 0 and _postgres_user() is None):
        return None
    return found[0].parent


def _postgres_user() -> int | None:
    import pwd

    try:
        return pwd.getpwnam("postgres").pw_uid
    except KeyError:
        return None


@contextlib.contextmanager
def postgres(programs: Path) -> Iterator[str]:
    """A database of its own; its URI. Not among pytest's folders: other sessions of pytest close these to other users."""
    folder = Path(tempfile.mkdtemp(prefix="autolog-postgres-"))
    user: dict[str, object] = {}
    if os.geteuid() == 0:  # initdb does not run as root
        os.chown(folder, _postgres_user() or 0, -1)
        user = {"user": "postgres"}
    port = free_port()
    data = folder / "data"
    subprocess.run(
        [programs / "initdb", "-D", data, "-A", "trust", "-U", "mlflow", "--no-sync"],
        check=True, capture_output=True, **user,
    )  # type: ignore[call-overload]  # fmt: skip
    server = subprocess.Popen(
        [programs / "postgres", "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", folder, "-F"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **user,
    )  # type: ignore[call-overload]  # fmt: skip
    try:
        deadline = time.monotonic() + STARTED_WITHIN
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("PostgreSQL did not start")
            time.sleep(0.05)
        yield f"postgresql+psycopg2://mlflow@127.0.0.1:{port}/postgres"
    finally:
        server.send_signal(signal.SIGINT)
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)


def mlflow3_python() -> str:
    """The Python that has the server of MLflow 3."""
    python = os.environ.get("MLFLOW3_PYTHON", sys.executable)
    if python == sys.executable and not _has("mlflow.server"):
        pytest.skip("not the whole of MLflow is installed, and MLFLOW3_PYTHON does not name a Python with it")
    return python


@contextlib.contextmanager
def mlflow3(folder: Path) -> Iterator[str]:
    with mlflow_server(mlflow3_python(), folder / "mlflow3", "sqlite:///runs.db") as url:
        yield url


@contextlib.contextmanager
def mlflow3_on_postgres(folder: Path) -> Iterator[str]:
    programs = postgres_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed, or there is no user `postgres` to run it as")
    python = mlflow3_python()
    if subprocess.run([python, "-c", "import psycopg2"], capture_output=True, check=False).returncode:
        pytest.skip(f"{python} has no psycopg2")
    with postgres(programs) as store, mlflow_server(python, folder / "mlflow3-postgres", store) as url:
        yield url


@contextlib.contextmanager
def mlflow2(folder: Path) -> Iterator[str]:
    if "MLFLOW2_PYTHON" not in os.environ:
        pytest.skip("MLFLOW2_PYTHON does not name a Python with MLflow 2")
    with mlflow_server(os.environ["MLFLOW2_PYTHON"], folder / "mlflow2", "sqlite:///runs.db") as url:
        yield url


def _has(module: str) -> bool:
    from importlib.util import find_spec

    return find_spec(module) is not None and find_spec("sqlalchemy") is not None


# -- trouble

Trouble = Callable[[int, bytes], "str | tuple[int, bytes] | float | None"]


class Proxy:
    """Between a client and a server, one request a connection. `trouble(number, head)` is asked at each request, and says what
    becomes of it:

    None: it goes through · `"hang"`: it is taken, and never answered · `"drop"`: the connection is closed without an answer
    · `"deaf"`: it goes through, but its answer is dropped · `(status, body)`: it gets this for an answer · a number: it goes
    through, and is answered so many seconds later.
    """

    def __init__(self, target: str, trouble: Trouble = lambda number, head: None) -> None:
        self.target = ("127.0.0.1", int(target.rpartition(":")[2]))
        self.trouble = trouble
        self.requests = 0
        self._lock = threading.Lock()
        self._held: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        for one in self._held:
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            head, body = _read(client)
            if not head:
                client.close()
                return
            with self._lock:
                self.requests += 1
                number = self.requests
            fate = self.trouble(number, head)
            if fate == "hang":
                self._held.append(client)
                return
            if isinstance(fate, tuple):
                status, text = fate
                start = b"HTTP/1.1 %d Trouble\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
                client.sendall(start % (status, len(text)) + text)
            elif fate != "drop":
                lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
                with socket.create_connection(self.target) as server:
                    server.sendall(b"\r\n".join([*lines[:-2], b"Connection: close", b"", b""]) + body)
                    answer = b"".join(iter(lambda: server.recv(65536), b""))
                if isinstance(fate, float):
                    time.sleep(fate)
                if fate != "deaf":
                    client.sendall(answer)
            client.close()


def _read(client: socket.socket) -> tuple[bytes, bytes]:
    """A whole request: its head, with the empty line, and its body."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = client.recv(65536)
        if not part:
            return b"", b""
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        (
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length:")
        ),
        0,
    )
    while len(body) < length:
        part = client.recv(65536)
        if not part:
            return b"", b""
        body += part
    return head + b"\r\n\r\n", body
