"""One WebSocket a page: says that runs have changed, and sends the new points of the curves that the page shows.

The store is asked for its version twice a second, once for all pages, and only while a page is open.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, cast

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.websockets import WebSocket, WebSocketDisconnect

from autolog.page.table import version
from autolog.store.curves import Curves
from autolog.store.layout import is_run_id
from autolog.store.records import Store
from autolog.tracking.events import now
from autolog.version import __version__

SECONDS = 0.5
MOST_WATCHED = 500
MOST_POINTS = 5000
"""Of one curve in one message; the rest follows in the next."""

Watched = dict[tuple[str, str], int]


class Live:
    """The open pages of one server."""

    def __init__(self, store: Store, curves: Curves) -> None:
        self._store = store
        self._curves = curves
        self._started = now()
        self._pages = 0
        self._version = 0
        self._looking: asyncio.Task[None] | None = None
        self._grown = asyncio.Event()
        """Set when the version grows; then the next one takes its place."""

    async def serve(self, socket: WebSocket) -> None:
        """Serve one page until it leaves."""
        await socket.accept()
        self._pages += 1
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        if not self._version:
            self._version = await run_in_threadpool(version, self._store)
        watched: Watched = {}
        asked = asyncio.Event()
        sending = asyncio.create_task(self._send(socket, watched, asked))
        try:
            await self._receive(socket, watched, asked)
        finally:
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await sending
            self._pages -= 1
            if not self._pages:
                self._stop()

    def _stop(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None

    async def _look(self) -> None:
        """Wake the pages each time that the store has changed."""
        while True:
            await asyncio.sleep(SECONDS)
            try:
                found = await run_in_threadpool(version, self._store)
            except Exception:  # the disk is full or gone: it may come back
                continue
            if found != self._version:
                self._version = found
                grown, self._grown = self._grown, asyncio.Event()
                grown.set()

    async def _receive(self, socket: WebSocket, watched: Watched, asked: asyncio.Event) -> None:
        while True:
            try:
                message = await socket.receive_text()
                wanted = _watched(message)
            except (WebSocketDisconnect, KeyError):  # it sent bytes, or left
                return
            if wanted is None:
                await socket.close(1003, 'Watch curves by {"watch": [[run, metric, count], …]}.')
                return
            watched.clear()
            watched.update(wanted)
            asked.set()

    async def _send(self, socket: WebSocket, watched: Watched, asked: asyncio.Event) -> None:
        hello = {"type": "hello", "version": self._version, "started": self._started, "autolog": __version__}
        await _say(socket, hello)
        said = self._version
        while True:
            more = await self._send_points(socket, watched)
            if self._version != said:
                said = self._version
                await _say(socket, {"type": "changed", "version": said})
            grown = self._grown
            if more or self._version != said:
                continue
            waits = [asyncio.create_task(grown.wait()), asyncio.create_task(asked.wait())]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for one in waits:
                    one.cancel()
            asked.clear()

    async def _send_points(self, socket: WebSocket, watched: Watched) -> bool:
        """Send what is new of the watched curves. Return whether there is more."""
        more = False
        runs = {run for run, _ in watched}
        for run in runs:
            names = [metric for one, metric in watched if one == run]
            curves = await run_in_threadpool(self._curves.of, run, names)
            for metric, curve in curves.items():
                known = watched.get((run, metric))
                if known is None or known >= len(curve):
                    continue
                part = curve[known : known + MOST_POINTS]
                points = [
                    list(point) for point in zip(part.step, part.epoch, part.time, part.value, strict=True)
                ]
                await _say(
                    socket, {"type": "points", "run": run, "metric": metric, "from": known, "points": points}
                )
                watched[run, metric] = known + len(part)
                more = more or watched[run, metric] < len(curve)
        return more


async def _say(socket: WebSocket, message: dict[str, Any]) -> None:
    await socket.send_text(msgspec.json.encode(message).decode())


def _watched(message: str) -> Watched | None:
    """Return what a page asks for; None if it is not understood."""
    checks: tuple[Callable[[Any], bool], ...] = (
        lambda run: isinstance(run, str) and is_run_id(run),
        lambda metric: isinstance(metric, str),
        lambda count: type(count) is int and 0 <= count < 2**53,
    )
    try:
        said: Any = msgspec.json.decode(message)
    except (msgspec.MsgspecError, RecursionError):
        return None
    wanted = cast("dict[str, Any]", said).get("watch") if isinstance(said, dict) else None
    if not isinstance(wanted, list) or len(cast("list[Any]", wanted)) > MOST_WATCHED:
        return None
    found: Watched = {}
    for one in cast("list[Any]", wanted):
        if not isinstance(one, list) or len(cast("list[Any]", one)) != 3:
            return None
        parts = cast("list[Any]", one)
        if not all(check(part) for check, part in zip(checks, parts, strict=True)):
            return None
        found[parts[0], parts[1]] = parts[2]
    return found
