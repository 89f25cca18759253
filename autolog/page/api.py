"""The routes of `/api/v1`: from HTTP to the functions that know the store, and back. Nothing else.

Endpoints that read the store are plain `def`: the server runs them in threads, and its loop stays free.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterator
from email.utils import formatdate
from threading import Lock
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
from fastapi import APIRouter, Header, Path, Query, Request, WebSocket
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictStr

from autolog.page import details, files, series, table, verdict
from autolog.page.live import Live
from autolog.store.curves import Curves
from autolog.store.layout import is_run_id
from autolog.store.records import Store, UnknownRun
from autolog.tracking.events import now

MOST_RUNS = 200
MOST_METRICS = 100
_KEPT_ANSWERS = 4
_CHUNK = 1 << 18


class Problem(BaseModel):
    """Every error. `at` is the column of a filter's error."""

    error: str
    at: int | None = None


class BadRequest(Exception):
    """A request that cannot be answered; the message is for the user."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


RunId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="A run's id.")]
Filter = Annotated[str | None, Query(max_length=20_000, description="A filter, as in `autolog ls`.")]
Name = Annotated[str | None, Query(max_length=2_000)]
Ids = Annotated[str, Query(max_length=20_000, description="Ids of runs, with commas between them.")]
IfNoneMatch = Annotated[str | None, Header()]
Step = Annotated[float | None, Query(allow_inf_nan=False)]


class Change(BaseModel):
    """What to change of runs. What is not given stays; a tag of null is removed."""

    model_config = ConfigDict(extra="forbid")
    runs: list[Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]] = Field(max_length=5_000)
    name: StrictStr | None = None
    description: StrictStr | None = None
    starred: StrictBool | None = None
    archived: StrictBool | None = None
    tags: dict[str, StrictStr | None] = {}


class Removal(BaseModel):
    """The runs to remove, with all runs below them and their files."""

    model_config = ConfigDict(extra="forbid")
    runs: list[Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]] = Field(max_length=5_000)


def json(value: Any, status: int = 200) -> Response:
    """Return plain data as an answer. Numbers that are not finite become null."""
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def _object(
    description: str, media: str = "application/json", kind: str = "object"
) -> dict[int | str, dict[str, Any]]:
    schema = {"type": kind} if media == "application/json" else {"type": "string", "format": "binary"}
    return {
        200: {"description": description, "content": {media: {"schema": schema}}},
        304: {"description": "Nothing has changed since the version in If-None-Match."},
    }


PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "The request cannot be answered, such as a wrong filter."},
    403: {"description": "The guard does not let the request in."},
    404: {"model": Problem, "description": "There is no such run or file."},
    413: {"model": Problem, "description": "The file is too large."},
    422: {"model": Problem, "description": "A parameter is not what it must be."},
}


def make_router(store: Store, curves: Curves, live: Live) -> APIRouter:
    """Return the routes for one store."""
    router = APIRouter(prefix="/api/v1", responses=PROBLEMS)
    kept: OrderedDict[str, tuple[str, bytes]] = OrderedDict()
    lock = Lock()

    def versioned(
        request: Request,
        seen: str | None,
        make: Callable[[int], bytes],
        media: str = "application/json",
        hour: int = 0,
    ) -> Response:
        """Answer from the store's version: not at all if the page has it, else by what was made for it before, or anew. `hour`
        is set where the answer depends on it.
        """
        version = table.version(store)
        tag = f'"{version}-{hour}"' if hour else f'"{version}"'
        headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
        if seen is not None and tag in seen:
            return Response(status_code=304, headers=headers)
        key = str(request.url)
        with lock:
            found = kept.get(key)
        if found is None or found[0] != tag:
            found = (tag, make(version))
            with lock:
                kept[key] = found
                kept.move_to_end(key)
                while len(kept) > _KEPT_ANSWERS:
                    kept.popitem(last=False)
        return Response(found[1], media_type=media, headers=headers)

    @router.get("/runs", responses=_object("Runs as columns."), response_class=Response)
    def runs(  # pyright: ignore[reportUnusedFunction]
        request: Request,
        q: Filter = None,
        experiment: Name = None,
        sort: Annotated[str, Query(max_length=2_000)] = "-started",
        offset: Annotated[int, Query(ge=0, le=2**31)] = 0,
        limit: Annotated[int, Query(ge=0, le=10_000)] = 5_000,
        children: bool = False,
        archived: bool = False,
        since: Annotated[int | None, Query(ge=0, lt=2**53)] = None,
        if_none_match: IfNoneMatch = None,
    ) -> Response:
        asked = table.Asked(q or None, experiment, children, archived)
        return versioned(
            request,
            if_none_match,
            lambda _: msgspec.json.encode(
                table.runs(store, asked, sort=sort, offset=offset, limit=limit, since=since)
            ),
        )

    @router.get("/experiments", responses=_object("The experiments.", kind="array"), response_class=Response)
    def experiments(  # pyright: ignore[reportUnusedFunction]
        request: Request, if_none_match: IfNoneMatch = None
    ) -> Response:
        time = now()
        return versioned(
            request,
            if_none_match,
            lambda _: msgspec.json.encode(verdict.experiments(store, time)),
            hour=time // 3_600_000,
        )

    @router.get(
        "/verdict", responses=_object("Which run is best, and what goes with it."), response_class=Response
    )
    def verdict_(  # pyright: ignore[reportUnusedFunction]
        request: Request,
        q: Filter = None,
        experiment: Name = None,
        metric: Name = None,
        children: bool = False,
        archived: bool = False,
        if_none_match: IfNoneMatch = None,
    ) -> Response:
        asked = table.Asked(q or None, experiment, children, archived)
        return versioned(
            request,
            if_none_match,
            lambda _: msgspec.json.encode(verdict.verdict(store, curves, asked, metric)),
        )

    @router.get("/sparks", responses=_object("Small curves."), response_class=Response)
    def sparks(  # pyright: ignore[reportUnusedFunction]
        request: Request,
        runs: Ids,
        metric: Annotated[str, Query(max_length=2_000)],
        if_none_match: IfNoneMatch = None,
    ) -> Response:
        listed = _ids(runs)
        return versioned(
            request,
            if_none_match,
            lambda _: msgspec.json.encode(
                series.sparks(curves, listed, metric, table.direction(store, metric))
            ),
        )

    @router.get("/series", responses=_object("Curves.", "application/octet-stream"), response_class=Response)
    def series_(  # pyright: ignore[reportUnusedFunction]
        request: Request,
        runs: Ids,
        metrics: Annotated[
            str, Query(max_length=20_000, description="Names, with commas between them.")
        ] = "",
        metric: Annotated[
            list[str],
            Query(max_length=MOST_METRICS, description="A name with commas in it; may be repeated."),
        ] = [],  # noqa: B006
        points: Annotated[int, Query(ge=3, le=series.MOST_POINTS)] = 2_000,
        x0: Step = None,
        x1: Step = None,
        if_none_match: IfNoneMatch = None,
    ) -> Response:
        listed, names = _ids(runs), list(dict.fromkeys([*filter(None, metrics.split(",")), *metric]))
        if len(names) > MOST_METRICS:
            raise BadRequest(f"At most {MOST_METRICS} metrics at once.")
        return versioned(
            request,
            if_none_match,
            lambda version: series.blocks(curves, version, listed, names, points, x0, x1),
            "application/octet-stream",
        )

    @router.get("/run/{id}", responses=_object("A run."), response_class=Response)
    def run(id: RunId, request: Request, if_none_match: IfNoneMatch = None) -> Response:  # pyright: ignore[reportUnusedFunction]
        return versioned(
            request, if_none_match, lambda _: msgspec.json.encode(_known(id, details.run(store, id)))
        )

    @router.get("/run/{id}/code", responses=_object("A run's code."), response_class=Response)
    def code(id: RunId, request: Request, if_none_match: IfNoneMatch = None) -> Response:  # pyright: ignore[reportUnusedFunction]
        return versioned(
            request, if_none_match, lambda _: msgspec.json.encode(_known(id, details.code(store, id)))
        )

    @router.get("/run/{id}/files", responses=_object("A run's files.", kind="array"), response_class=Response)
    def listing(id: RunId, request: Request, if_none_match: IfNoneMatch = None) -> Response:  # pyright: ignore[reportUnusedFunction]
        return versioned(
            request,
            if_none_match,
            lambda _: msgspec.json.encode(files.listed(_known(id, store.run(id)).artifacts)),
        )

    @router.get(
        "/run/{id}/file",
        responses={
            200: {"description": "The file, or its preview."}, 206: {"description": "A part of the file."},
            416: {"description": "There is no such part."},
        },
        response_class=Response,
    )  # fmt: skip
    def file(  # pyright: ignore[reportUnusedFunction]
        id: RunId,
        path: Annotated[str, Query(max_length=4_000)],
        preview: bool = False,
        range: Annotated[str | None, Header()] = None,
    ) -> Response:
        _known(id, store.run(id))
        if preview:
            return json(files.preview(store.layout, id, path))
        return _sent(files.open_file(store.layout, id, path), range)

    @router.post("/change", responses=_object("The ids of the changed runs."), response_class=Response)
    def change(wanted: Change) -> Response:  # pyright: ignore[reportUnusedFunction]
        changed: list[str] = []
        for run in dict.fromkeys(wanted.runs):
            try:
                store.change(
                    run, name=wanted.name, description=wanted.description, starred=wanted.starred,
                    archived=wanted.archived, tags=wanted.tags,
                )  # fmt: skip
            except UnknownRun:
                continue  # it was removed meanwhile
            except (TypeError, ValueError) as error:  # a name, a description or a tag that cannot be
                raise BadRequest(str(error)) from None
            changed.append(run)
        return json({"changed": changed})

    @router.post("/remove", responses=_object("The number of the removed runs."), response_class=Response)
    def remove(wanted: Removal) -> Response:  # pyright: ignore[reportUnusedFunction]
        found = [record for run in dict.fromkeys(wanted.runs) if (record := store.run(run)) is not None]
        running = [record.name for record in found if record.status == "running"]
        if running:
            raise BadRequest(f"Nothing was removed. Still running: {', '.join(running)}.", 409)
        return json({"removed": len(store.remove(found)) if found else 0})

    @router.get("/openapi.json", include_in_schema=False)
    def description(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        return json(request.app.openapi())

    @router.websocket("/live")
    async def live_(socket: WebSocket) -> None:  # pyright: ignore[reportUnusedFunction]
        await live.serve(socket)

    return router


def _known(id: str, found: Any) -> Any:
    if found is None:
        raise BadRequest(f"There is no run {id!r}.", 404)
    return found


def _ids(text: str) -> list[str]:
    listed = list(dict.fromkeys(filter(None, text.split(","))))
    if not all(map(is_run_id, listed)):
        raise BadRequest("`runs` are ids, with commas between them.")
    if len(listed) > MOST_RUNS:
        raise BadRequest(f"At most {MOST_RUNS} runs at once.")
    return listed


# -- files


def _sent(opened: files.Opened, asked: str | None) -> Response:
    """Return an open file as an answer, or the part of it that a Range asks for. A browser runs nothing of it."""
    kind = files.content_type(opened.name)
    shown = "inline" if kind.startswith(("image/", "text/plain")) else "attachment"
    headers = {
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Content-Disposition": f"{shown}; filename*=UTF-8''{quote(opened.name, safe='')}",
        "Accept-Ranges": "bytes",
        "Last-Modified": formatdate(opened.modified, usegmt=True),
        "Cache-Control": "private, no-cache",
    }
    start, end, status = 0, opened.size, 200
    part = _range(asked, opened.size)
    if part == "none":
        os.close(opened.descriptor)
        return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{opened.size}"})
    if isinstance(part, tuple):
        start, end, status = *part, 206
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{opened.size}"
    headers["Content-Length"] = str(end - start)
    return StreamingResponse(
        _chunks(opened.descriptor, start, end), status_code=status, media_type=kind, headers=headers
    )


def _range(asked: str | None, size: int) -> tuple[int, int] | str:
    """Return the first byte and the one after the last; `all` without a Range that can be read, `none` if it is outside."""
    unit, _, spec = (asked or "").partition("=")
    first, dash, last = (one.strip() for one in spec.partition("-"))
    numbers = [one for one in (first, last) if one]
    readable = all(one.isascii() and one.isdigit() and len(one) < 19 for one in numbers)
    if unit.strip() != "bytes" or not dash or not numbers or not readable:
        return "all"
    start = int(first) if first else max(0, size - int(last))
    end = min(size, int(last) + 1) if first and last else size
    if first and last and int(last) < start:
        return "all"
    return (start, end) if start < size and start < end else "none"


def _chunks(descriptor: int, start: int, end: int) -> Iterator[bytes]:
    """Yield bytes of an open file. One that has been cut meanwhile ends early."""
    with open(descriptor, "rb") as file:
        file.seek(start)
        while start < end and (data := file.read(min(_CHUNK, end - start))):
            start += len(data)
            yield data
