"""The files of runs, for the page: one function decides which path may be opened, and everything goes through it.

Journals may be somebody else's, and so may everything below `artifacts/`: a path is text that proves nothing. Nothing is
unpickled or run for a preview. Knows no HTTP.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
import stat
from typing import Any, NamedTuple

from autolog.page.table import exact
from autolog.store.layout import Layout, is_run_id

MOST_BYTES = 2 << 30
"""A larger file is not served; it lies in the run's folder."""
PREVIEW_BYTES = 512 << 10
PREVIEW_ROWS = 200
_KINDS = {
    **dict.fromkeys(("png", "jpg", "jpeg", "gif", "webp", "bmp", "avif"), "image"),
    **dict.fromkeys(("csv", "tsv"), "table"),
    **dict.fromkeys(("json",), "json"),
    **dict.fromkeys(
        (
            "txt", "log", "md", "rst", "py", "ipynb", "yaml", "yml", "toml", "ini", "cfg", "sh", "diff", "patch", "r", "sql",
            "jsonl", "xml", "html", "htm", "svg", "css", "js", "ts", "c", "cpp", "h", "java", "tex", "lock",
        ),
        "text",
    ),
}  # fmt: skip
_TYPES = {
    "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "gif": "image/gif", "webp": "image/webp",
    "bmp": "image/bmp", "avif": "image/avif",
}  # fmt: skip
_NAMES = {
    "MLmodel": "text",
    "README": "text",
    "LICENSE": "text",
    "Dockerfile": "text",
    "requirements": "text",
}


class Refused(Exception):
    """A path that is not opened. `status` is HTTP's word for why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Opened(NamedTuple):
    """A regular file inside its run's folder, open for reading."""

    descriptor: int
    size: int
    modified: float
    name: str


def open_file(layout: Layout, run: str, path: str) -> Opened:
    """Open a file of a run. Raises Refused for an id or a path that is none, a path that leads out of the run's folder, also
    through links, for what is no regular file, and for a file that is too large.

    The path is opened first and checked then, by its descriptor: what is checked is what is read.
    """
    if not is_run_id(run):
        raise Refused(404, "There is no such run.")
    parts = path.split("/")
    if not path or "\0" in path or "\\" in path or not {"", ".", ".."}.isdisjoint(parts) or ":" in parts[0]:
        raise Refused(404, "This is no path of a file.")
    folder = os.path.join(os.path.realpath(layout.artifacts), run)
    try:
        found = os.path.realpath(os.path.join(folder, path), strict=True)
        if not found.startswith(os.path.join(folder, "")):
            raise Refused(404, "This path leads out of the run's folder.")
        # Without waiting: opening a named pipe would wait for somebody who writes.
        descriptor = os.open(found, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (OSError, ValueError):
        raise Refused(404, "There is no such file.") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise Refused(404, "This is no file.")
        if os.path.realpath(f"/proc/self/fd/{descriptor}") != found and os.path.isdir("/proc/self/fd"):
            raise Refused(404, "This path leads out of the run's folder.")
        if status.st_size > MOST_BYTES:
            raise Refused(413, f"The file is larger than {MOST_BYTES >> 30} GB. It lies in the run's folder.")
    except BaseException:
        os.close(descriptor)
        raise
    return Opened(descriptor, status.st_size, status.st_mtime, parts[-1])


def kind_of(path: str) -> str:
    """Return how a file is shown: `text`, `image`, `table`, `json` or `other`."""
    name = path.rpartition("/")[2]
    return _KINDS.get(_ending(name)) or _NAMES.get(name.partition(".")[0], "other")


def content_type(name: str) -> str:
    """Return what a file is served as. Whatever a browser would run is text or bytes to it."""
    return _TYPES.get(_ending(name)) or (
        "text/plain; charset=utf-8"
        if kind_of(name) in ("text", "table", "json")
        else "application/octet-stream"
    )


def _ending(name: str) -> str:
    return name.rpartition(".")[2].lower() if "." in name else ""


def listed(artifacts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a run's files as the page lists them."""
    return [{**one, "kind": kind_of(str(one["path"]))} for one in artifacts]


def preview(layout: Layout, run: str, path: str) -> dict[str, Any]:
    """Return the beginning of a file: text, a table's first rows, or JSON. Raises Refused."""
    opened = open_file(layout, run, path)
    with open(opened.descriptor, "rb") as file:
        data = file.read(PREVIEW_BYTES)
    kind = kind_of(path)
    answer: dict[str, Any] = {"kind": kind, "bytes": opened.size, "cut": opened.size > len(data)}
    if kind == "table":
        return {
            **answer,
            **_table(data.decode("utf-8", "replace"), "\t" if path.lower().endswith(".tsv") else ","),
        }
    if kind == "json" and not answer["cut"]:
        try:
            return {**answer, "json": exact(json.loads(data))}
        except (ValueError, RecursionError):
            pass
    if kind in ("text", "json") or (kind == "other" and _looks_like_text(data)):
        return {**answer, "kind": "text", "text": data.decode("utf-8", "replace")}
    return answer


def _looks_like_text(data: bytes) -> bool:
    return b"\0" not in data[:8192] and data[:8192].decode("utf-8", "replace").count("\ufffd") < 3


def _table(text: str, delimiter: str) -> dict[str, Any]:
    try:
        rows = list(itertools.islice(csv.reader(io.StringIO(text), delimiter=delimiter), PREVIEW_ROWS + 2))
    except csv.Error:
        return {"kind": "text", "text": text}
    return {
        "columns": rows[0] if rows else [],
        "rows": rows[1 : PREVIEW_ROWS + 1],
        "more": len(rows) > PREVIEW_ROWS + 1,
    }
