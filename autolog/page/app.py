"""The application of `autolog ui`: the guard, the API, and the shell that shows it."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, Response
from starlette.exceptions import HTTPException

from autolog.page import api, verdict
from autolog.page.files import Refused
from autolog.page.guard import Guard
from autolog.page.live import Live
from autolog.store.curves import Curves
from autolog.store.query import FilterError
from autolog.store.records import Store, UnknownRun
from autolog.tracking.events import now
from autolog.version import __version__

Shell = Callable[..., None]
"""What adds the pages that people see: `shell(app, token=…, place=…)`. The token is what the page sends with each change, and
`place` names the store.
"""


def make_app(
    store: Store, token: str, *, host: str = "127.0.0.1", port: int, shell: Shell | None = None, framed: bool = False
) -> Guard:  # fmt: skip
    """Return the application for a store, behind its guard. It listens on `host` and `port`; `token` is what the browser must
    hold. Without a `shell`, `/` lists the experiments in plain HTML.
    """
    app = FastAPI(
        title="autolog", version=__version__, docs_url=None, redoc_url=None, openapi_url=None,
        description="What `autolog ui` knows of the recorded runs.",
    )  # fmt: skip
    curves = Curves(store)
    app.include_router(api.make_router(store, curves, Live(store, curves)))
    _answer_errors(app)
    if shell is None:
        _add_plain_page(app, store)
    else:
        shell(app, token=token, place=str(store.layout.root))
    return Guard(app, token, host, port, framed)


def _answer_errors(app: FastAPI) -> None:
    """Give every error the same shape."""

    def problem(status: int, message: str, at: int | None = None) -> Response:
        return api.json({"error": message.encode("utf-8", "backslashreplace").decode(), "at": at}, status)

    async def handle(request: Request, error: Any) -> Response:
        if isinstance(error, FilterError):
            return problem(400, error.sentence, error.column)
        if isinstance(error, UnknownRun):
            return problem(404, str(error))
        if isinstance(error, (Refused, api.BadRequest)):
            return problem(error.status, str(error))
        if isinstance(error, RequestValidationError):
            first: dict[str, Any] = error.errors()[0]
            return problem(422, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
        if isinstance(error, HTTPException):
            return problem(error.status_code, str(error.detail))
        return problem(507, f"The store cannot be written: {error.strerror or error}")

    for kind in (
        FilterError,
        UnknownRun,
        Refused,
        api.BadRequest,
        RequestValidationError,
        HTTPException,
        OSError,
    ):
        app.add_exception_handler(kind, handle)


def _add_plain_page(app: FastAPI, store: Store) -> None:
    """Add a first page that needs no JavaScript."""

    @app.get("/", include_in_schema=False)
    def experiments() -> HTMLResponse:  # pyright: ignore[reportUnusedFunction]
        rows = "".join(
            f"<tr><td>{escape(one['name'])}</td><td>{one['runs']}</td><td>{one['running']}</td>"
            f"<td>{escape(one['metric'] or '')}</td><td>{'' if one['best'] is None else one['best']['value']}</td></tr>\n"
            for one in verdict.experiments(store, now())
        )
        head = "<tr><th>Experiment</th><th>Runs</th><th>Running</th><th>Metric</th><th>Best</th></tr>"
        return HTMLResponse(
            "<!doctype html><html lang=en><meta charset=utf-8><title>autolog</title>"
            f"<h1>Experiments</h1><table>{head}\n{rows}</table></html>"
        )
