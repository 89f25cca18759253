"""The page's skeleton: one HTML document for all routes, and the static files that it loads.

The views are ES modules in `static/`; they fetch their data from `/api/v1`. AG Grid and ECharts come out of the installed
NiceGUI package, file by file: its own page template needs inline scripts, which the page's Content-Security-Policy forbids,
and importing NiceGUI takes longer than the page may take to appear. The policy is the guard's; what is here needs
`default-src 'self'` and inline styles, which AG Grid writes.
"""

from __future__ import annotations

import hashlib
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

if TYPE_CHECKING:
    from typing import Any

    from fastapi import FastAPI, Response

STATIC = Path(__file__).with_name("static")
ROUTES = ("/", "/runs", "/compare", "/run/{run}", "/run/{run}/{tab}")

# A folder of the NiceGUI package, and what must be in it.
LIBRARIES = {"aggrid": "elements/aggrid/dist", "echart": "elements/echart/dist"}


class _Frozen(StaticFiles):
    """Files whose address changes with their content: a browser need never ask again."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response


def library_folder(name: str) -> Path:
    """Return the folder of one JavaScript library inside the installed NiceGUI package."""
    spec = find_spec("nicegui")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("the page needs the extra: pip install 'autolog-ml[ui]'", name="nicegui")
    return Path(spec.origin).parent / LIBRARIES[name]


def add_shell(app: FastAPI, *, token: str = "", place: str = "") -> None:
    """Add the page's routes and static files to `app`.

    `token` is what the page sends with each change; `place` names the store, to be shown.
    """
    base = f"/static/{_content_tag()}"
    document = _document(base, token, place)

    def page() -> HTMLResponse:
        return HTMLResponse(document, headers={"Cache-Control": "no-store"})

    for route in ROUTES:
        app.add_api_route(route, page, methods=["GET"], include_in_schema=False)
    for name in LIBRARIES:
        app.mount(f"{base}/lib/{name}", _Frozen(directory=library_folder(name)))
    app.mount(base, _Frozen(directory=STATIC))


def _content_tag() -> str:
    digest = hashlib.sha256()
    for path in sorted(STATIC.iterdir()):
        digest.update(path.name.encode() + path.read_bytes())
    for name in LIBRARIES:
        digest.update(
            str(sorted((p.name, p.stat().st_size) for p in library_folder(name).iterdir())).encode()
        )
    return digest.hexdigest()[:12]


def _document(base: str, token: str, place: str) -> str:
    modules = sorted(p.name for p in STATIC.glob("*.js") if p.name != "theme.js")
    head = (
        '<meta charset="utf-8"><title>autolog</title>',
        '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="color-scheme" content="light dark">',
        f'<meta name="autolog-token" content="{escape(token)}"><meta name="autolog-place" content="{escape(place)}">',
        f'<script src="{base}/theme.js"></script><link rel="icon" href="{base}/icon.svg">',
        f'<link rel="stylesheet" href="{base}/style.css"><link rel="stylesheet" href="{base}/page.css">',
        *(f'<link rel="modulepreload" href="{base}/{name}">' for name in modules),
        f'<link rel="modulepreload" href="{base}/lib/aggrid/index.js">',
        f'<script type="module" src="{base}/main.js"></script>',
    )
    body = (
        '<header class="top" id="top"></header><div id="away" role="status"></div><div id="view"></div>',
        "<noscript>The page needs JavaScript.</noscript>",
    )
    return f'<!doctype html><html lang="en"><head>{"".join(head)}</head><body>{"".join(body)}</body></html>'
