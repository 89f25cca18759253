"""A store with runs, and a real server of it on this machine's loopback, for the tests of the page's server."""

from __future__ import annotations

import http.client
import math
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from helpers import write_journal

from autolog.store.layout import Layout
from autolog.store.records import Store
from autolog.tracking.events import (
    ArtifactLogged,
    CodeLogged,
    EnvironmentLogged,
    Event,
    MetricsLogged,
    ParamsLogged,
    RunEnded,
    RunStarted,
    TagsSet,
)

NOON = 1_767_268_800_000
HOSTILE = "<img src=x onerror=alert(1)>,\"'\\ \u202e\x00💥 ../%2e%2e"
RUN, CHILD, HOSTILE_RUN = "01JG" + "0" * 22, "01JG" + "1" * 22, "01JG" + "2" * 22


def events() -> list[Event]:
    """Three runs: an ordinary one, its child, and one in which everything has a hostile name."""
    h = HOSTILE
    return [
        EnvironmentLogged({"git": {"commit": "c0ffee", "dirty": True, "diff": "+x = 1"}, "python": "3.12"}),
        CodeLogged(NOON, {"train.py": "print(1)"}),
        RunStarted(RUN, NOON, "otter", "digits", None, "fit", "sklearn", "1.5", "LogisticRegression"),
        ParamsLogged(RUN, {"C": 0.1}),
        *(MetricsLogged(RUN, step, NOON + step, {"val_loss": 1 / (step + 1)}, step / 10) for step in range(50)),
        MetricsLogged(RUN, 50, NOON + 50, {"odd": math.nan}),
        ArtifactLogged(RUN, "report.html", 9),
        RunEnded(RUN, NOON + 1000, "finished"),
        RunStarted(CHILD, NOON + 1, "pup", "digits", RUN, "fit"), RunEnded(CHILD, NOON + 2, "failed", "ValueError: no"),
        RunStarted(HOSTILE_RUN, NOON + 5, h, h, None, h, h, h, h, {h: h}), ParamsLogged(HOSTILE_RUN, {h: h}),
        MetricsLogged(HOSTILE_RUN, 1, NOON + 6, {h: math.inf}), TagsSet(HOSTILE_RUN, {"k": h}),
        ArtifactLogged(HOSTILE_RUN, h, 1), RunEnded(HOSTILE_RUN, NOON + 9, "failed", h),
    ]  # fmt: skip


def new_store(root: Path) -> Store:
    write_journal(Layout(root), events())
    folder = Layout(root).artifacts_of(RUN)
    (folder / "sub").mkdir(parents=True)
    (folder / "report.html").write_text("<script>alert(1)</script>")
    (folder / "drawing.svg").write_text("<svg onload='alert(1)'/>")
    (folder / "digits.bin").write_bytes(bytes(range(256)))
    (folder / "sub" / "a b é.txt").write_text("text")
    return Store(root)


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class Running:
    """A server, and a way to ask it that sends exactly what a test says."""

    def __init__(self, server: Any) -> None:
        self.server = server
        self.host = f"127.0.0.1:{server.port}"
        self.origin = f"http://{self.host}"
        self.token: str = server.token

    def ask(
        self, path: str, method: str = "GET", body: bytes | None = None, *, token: bool = True, **headers: str | None
    ) -> Answer:  # fmt: skip
        """`headers` by name with `_` for `-`; None leaves one out."""
        given: dict[str, str | None] = {
            "Host": self.host,
            "X-Autolog-Token": self.token if token else None,
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=20)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in given.items():
                if value is not None:
                    connection.putheader(name, value.encode("latin-1"))
            if body is not None and "Content-Length" not in given:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str | None) -> Answer:
        return self.ask(f"/api/v1/{path}", **headers)

    def post(self, path: str, value: Any, **headers: str | None) -> Answer:
        given: Mapping[str, Any] = {"Content_Type": "application/json", "Origin": self.origin, **headers}
        return self.ask(f"/api/v1/{path}", "POST", msgspec.json.encode(value), **given)


@contextmanager
def running(store: Store, **how: Any) -> Iterator[Running]:
    from autolog.page.serve import Server

    server = Server(store, how.pop("host", "127.0.0.1"), 0, **how)
    ready = threading.Event()
    thread = threading.Thread(target=server.run, args=(ready.set,), daemon=True)
    thread.start()
    assert ready.wait(20)
    try:
        yield Running(server)
    finally:
        server.stop()
        thread.join(10)
        assert not thread.is_alive()


Connect = Callable[..., Any]
"""What the fixture `connect` gives."""
