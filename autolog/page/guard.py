"""The guard in front of everything that the server answers, over HTTP and WebSocket. Nothing behind it decides who may ask.

A web page that the user visits can make the browser send requests here: by a name that suddenly means 127.0.0.1 (DNS
rebinding), or across sites. Other users of the machine can connect, too. The guard lets in what names this server as its host,
comes from this server's own pages or from the address bar, and holds the token. It knows nothing of runs.
"""

from __future__ import annotations

import hmac
import ipaddress
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

MOST_BYTES = 1 << 20
"""Of a request's body."""
HEADER = "x-autolog-token"

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


class Guard:
    """An ASGI application around another one. `host` is what the server listens on and `port` its port. `framed`: pages of this
    machine, such as a notebook, may show it in a frame.
    """

    def __init__(self, app: App, token: str, host: str, port: int, framed: bool = False) -> None:
        self._app = app
        self._token = token
        self._names = frozenset(
            {"127.0.0.1", "localhost", "[::1]"}
            if is_loopback(host)
            else {host.lower(), socket.gethostname().lower()}
        )
        self._local = is_loopback(host)
        self._port = port
        self._cookie = f"autolog_{port}"
        """Browsers send cookies to all ports of a host."""
        self._framed = framed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers: dict[str, str] = {}
        repeated: set[str] = set()
        for name, value in scope["headers"]:
            key = name.decode("latin-1").lower()
            repeated |= {key} & headers.keys()
            headers[key] = value.decode("latin-1")
        why = self._refusal(scope, headers, repeated)
        if scope["type"] == "websocket":
            if why is not None:
                await receive()
                await send({"type": "websocket.close", "code": 1008, "reason": why[1]})
                return
            await self._app(scope, receive, send)
            return
        host = headers.get("host", "")
        if why is not None:
            await self._answer(send, why[0], why[1], host)
            return
        where = self._entrance(scope)
        if where is not None:
            cookie = f"{self._cookie}={self._token}; Path=/; HttpOnly; SameSite=Strict"
            await self._answer(send, 303, "", host, [("location", where), ("set-cookie", cookie)])
            return
        await self._app(scope, receive, self._with_headers(send, host))

    # -- who is let in

    def _refusal(self, scope: Scope, headers: dict[str, str], repeated: set[str]) -> tuple[int, str] | None:
        """Return a status and a sentence if the request is not let in."""
        host = headers.get("host", "")
        if "host" in repeated or not self._is_ours(host):
            return 403, "This server does not have that name. Open the URL that `autolog ui` has printed."
        origin = headers.get("origin")
        if "origin" in repeated or (origin is not None and origin.lower() != f"http://{host.lower()}"):
            return 403, "This request comes from another site."
        method = scope.get("method", "GET")
        site = headers.get("sec-fetch-site", "none")
        if site in ("cross-site", "same-site") and not (
            scope["type"] == "http" and method in ("GET", "HEAD") and self._is_navigation(headers)
        ):
            return 403, "This request comes from another site."
        if scope["type"] == "websocket":
            if origin is None:
                return 403, "A WebSocket needs an Origin."
        elif method == "POST":
            if (refusal := self._refusal_of_change(headers, origin)) is not None:
                return refusal
        elif method not in ("GET", "HEAD"):
            return 405, "Only GET, HEAD and POST are answered."
        if not self._knows_token(scope, headers):
            return 403, "The token is missing or wrong. Open the URL that `autolog ui` has printed."
        return None

    def _is_ours(self, host: str) -> bool:
        name, _, port = host.lower().rpartition(":") if not host.endswith("]") else (host.lower(), "", "80")
        if not name:  # no port
            name, port = port, "80"
        if port != str(self._port):
            return False
        # Rebinding needs a name: an address is what the browser has connected to.
        return name in self._names or (not self._local and _is_address(name))

    def _is_navigation(self, headers: dict[str, str]) -> bool:
        places = ("document", "iframe") if self._framed else ("document",)
        return headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") in places

    def _refusal_of_change(self, headers: dict[str, str], origin: str | None) -> tuple[int, str] | None:
        if origin is None:
            return 403, "A change needs an Origin."
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return 415, "A change is JSON."
        if not self._is_token(headers.get(HEADER, "")):
            return 403, "A change needs the token in its header X-Autolog-Token."
        length = headers.get("content-length", "")
        if not length.isascii() or not length.isdigit():
            return 411, "A change needs a Content-Length."
        if len(length) > 9 or int(length) > MOST_BYTES:
            return 413, "A change has at most 1 MB."
        return None

    def _knows_token(self, scope: Scope, headers: dict[str, str]) -> bool:
        # Not by Python's own parser, which stops at the first cookie of another server that it cannot read.
        held = (part.strip().partition("=") for part in headers.get("cookie", "").split(";"))
        return (
            self._is_token(headers.get(HEADER, ""))
            or any(name == self._cookie and self._is_token(value) for name, _, value in held)
            or self._entrance(scope) is not None
        )

    def _is_token(self, text: str) -> bool:
        return hmac.compare_digest(text.encode(), self._token.encode())

    def _entrance(self, scope: Scope) -> str | None:
        """Return where a URL with the right token leads to: the same place, without the token."""
        query = scope.get("query_string", b"").decode("latin-1")
        if scope["type"] != "http" or scope["method"] != "GET" or "token=" not in query:
            return None
        asked = parse_qsl(query, keep_blank_values=True)
        if not any(name == "token" and self._is_token(value) for name, value in asked):
            return None
        rest = urlencode([(name, value) for name, value in asked if name != "token"])
        path = "/" + quote(scope["path"].lstrip("/\\"), safe="/")
        return f"{path}?{rest}" if rest else path

    # -- what goes out

    async def _answer(
        self, send: Send, status: int, text: str, host: str, headers: list[tuple[str, str]] | None = None
    ) -> None:
        body = f"{text}\n".encode() if text else b""
        given = [
            ("content-type", "text/plain; charset=utf-8"),
            ("content-length", str(len(body))),
            *(headers or []),
        ]
        encoded = [(name.encode(), value.encode("latin-1")) for name, value in given]
        guarded = self._with_headers(send, host)
        await guarded({"type": "http.response.start", "status": status, "headers": encoded})
        await guarded({"type": "http.response.body", "body": body})

    def _with_headers(self, send: Send, host: str) -> Send:
        """Return a `send` that adds the headers of every answer. An answer's own policy holds; no answer is for other sites."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = [(name.lower(), value) for name, value in message["headers"]]
                names = {name for name, _ in given}
                wanted = {
                    **_HEADERS,
                    "content-security-policy": self._policy(host),
                    "cache-control": "no-store",
                }
                if not self._framed:
                    wanted["x-frame-options"] = "DENY"
                more = [
                    (name.encode(), value.encode())
                    for name, value in wanted.items()
                    if name.encode() not in names
                ]
                kept = [(name, value) for name, value in given if not name.startswith(b"access-control-")]
                message = {**message, "headers": [*kept, *more]}
            await send(message)

        return guarded

    def _policy(self, host: str) -> str:
        own_socket = f" ws://{host}" if self._is_ours(host) else ""  # not every browser takes it for 'self'
        around = "http://localhost:* http://127.0.0.1:*" if self._framed else "'none'"
        return "; ".join(
            (
                "default-src 'self'",
                "style-src 'self' 'unsafe-inline'",  # AG Grid writes its own
                "img-src 'self' data: blob:",
                f"connect-src 'self'{own_socket}",
                "object-src 'none'",
                "base-uri 'none'",
                "form-action 'self'",
                f"frame-ancestors {around}",
            )
        )


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches a server that listens on this host."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
