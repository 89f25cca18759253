"""Starts and ends the server of the page: its socket, its token, its browser. Knows nothing of what is served."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import socket
import threading
import webbrowser
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from autolog.page.guard import is_loopback
from autolog.store.records import Store
from autolog.userkey import NoUserKey, user_key

PORT = 8642
"""The port that is tried first, so that the page has the same address each time."""


class Server:
    """A server on a socket that is bound. `url` opens the page, token included."""

    def __init__(
        self, store: Store, host: str = "127.0.0.1", port: int | None = None, framed: bool = False
    ) -> None:
        self._store = store
        self._framed = framed
        self.host = host
        self._socket = _bind(host, port)
        self.port: int = self._socket.getsockname()[1]
        self.token = make_token(store, host, self.port)
        self._uvicorn: Any = None

    @property
    def url(self) -> str:
        return f"{self.address}?token={self.token}"

    @property
    def address(self) -> str:
        """The URL without the token."""
        name = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(self.host, self.host)
        return f"http://{f'[{name}]' if ':' in name else name}:{self.port}/"

    def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Serve until `stop`, or until Ctrl-C where this is the main thread. `ready` is called when requests are answered."""
        import uvicorn

        from autolog.page.app import make_app

        app = make_app(
            self._store, self.token, host=self.host, port=self.port, shell=_shell(), framed=self._framed
        )
        settings = uvicorn.Config(
            app, log_level="critical", access_log=False, lifespan="on", timeout_graceful_shutdown=1, server_header=False,
            ws_max_size=1 << 20, ws_ping_interval=20,
        )  # fmt: skip

        class _Server(uvicorn.Server):
            async def startup(self, sockets: list[socket.socket] | None = None) -> None:
                await super().startup(sockets)
                ready()

        self._uvicorn = _Server(settings)
        self._uvicorn.run(sockets=[self._socket])

    def stop(self) -> None:
        if self._uvicorn is not None:
            self._uvicorn.should_exit = True


def _shell() -> Any:
    """Return what adds the pages, if this release has it."""
    if find_spec("autolog.page.shell") is None:
        return None
    return import_module("autolog.page.shell").add_shell


def make_token(store: Store, host: str, port: int) -> str:
    """Return what a browser must hold. On this machine it is the same after a restart, so that open pages go on: it is made
    from the user's own key. Where others can connect, it is another one each time.
    """
    if is_loopback(host):
        try:
            said = f"autolog ui\0{os.path.realpath(store.layout.root)}\0{port}".encode()
            return hmac.new(user_key(), said, hashlib.sha256).hexdigest()[:32]
        except NoUserKey:
            pass
    return secrets.token_hex(16)


def _bind(host: str, port: int | None) -> socket.socket:
    """Return a socket that listens. Without a port it is `PORT`, or any if that is taken. Raises OSError."""
    for wanted in (port,) if port is not None else (PORT, 0):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_STREAM)
        try:
            if os.name != "nt":
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind((host.strip("[]"), wanted))
            bound.listen(128)
            return bound
        except (OSError, OverflowError) as error:
            bound.close()
            if port is None and wanted == PORT:
                continue
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise OSError(f"Port {wanted} of {host} cannot be used: {reason}.") from error
    raise AssertionError


def open_browser(url: str) -> None:
    """Open the page in the user's browser, without waiting for it."""
    threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()


_serving: dict[tuple[int, str], Server] = {}


def in_background(store: Store) -> Server:
    """Return the server of this store in this process: one in a thread of its own, started by the first call."""
    key = os.getpid(), os.path.realpath(store.layout.root)
    server = _serving.get(key)
    if server is None:
        server = _serving[key] = Server(store, "127.0.0.1", 0, framed=True)
        started = threading.Event()
        threading.Thread(target=server.run, args=(started.set,), name="autolog-ui", daemon=True).start()
        started.wait(10)
    return server
