"""What the tests of the page's server share. They are left out where the extra `ui` or a client of WebSockets is missing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from serving import Connect, Running, new_store, running

from autolog.store.records import Store

if any(find_spec(name) is None for name in ("fastapi", "uvicorn", "websockets")):
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(autouse=True)
def _own_settings(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the settings and the key of the machine's user."""
    for variable in [name for name in os.environ if name.startswith("AUTOLOG_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("AUTOLOG_CONFIG_DIR", str(tmp_path_factory.getbasetemp() / "config"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return new_store(tmp_path / "store")


@pytest.fixture
def page(store: Store) -> Iterator[Running]:
    """A server of this test's own store."""
    with running(store) as found:
        yield found


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server for tests that change nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTOLOG_CONFIG_DIR", str(tmp_path_factory.getbasetemp() / "config"))
        with running(new_store(tmp_path_factory.mktemp("shared") / "store")) as found:
            yield found


@pytest.fixture
def connect() -> Connect:
    """Open the WebSocket of a server: `connect(page, Origin=…)`; None leaves a header out."""
    from websockets.sync.client import connect

    def open_(page: Running, path: str = "/api/v1/live", **headers: str | None) -> Any:
        given = {
            "Origin": page.origin,
            "X-Autolog-Token": page.token,
            **{k.replace("_", "-"): v for k, v in headers.items()},
        }
        return connect(
            f"ws://{page.host}{path}",
            additional_headers={name: value for name, value in given.items() if value is not None},
            open_timeout=10,
            proxy=None,
        )

    return open_
