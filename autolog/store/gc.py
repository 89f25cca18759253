"""Deletes the files of a store that belong to no run any more."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from autolog.store.disk import discard, files_in, run_dirs
from autolog.store.objects import collect
from autolog.store.records import Store

DRAFT_SECONDS = 86_400.0
"""What has not changed for this long is being written by nobody."""
_DRAFT = re.compile(r"^\..+\.[0-9a-f]{16}(\.old)?$|[.-][0-9a-f]{16}\.tmp(\.\w+)?$")
"""Names under which files and model folders are made before they are moved to their places."""


def collect_garbage(store: Store) -> int:
    """Delete files that belong to no run; return the bytes freed.

    These are what is left of removed runs, what killed processes were writing, and content that no file shares any more. Files
    of runs that the store does not know stay: their journal may be on its way.
    """
    freed, removed = 0, store.removed()
    for place in (
        *filter(Path.is_dir, run_dirs(store.layout, removed)),
        *_drafts(store, removed),
        *_reports(store),
    ):
        freed += sum(status.st_size for status in files_in([place]) if status.st_nlink == 1)
        if place.is_dir():
            discard([place])
        else:
            place.unlink(missing_ok=True)
    return freed + collect(store.layout.objects)


def _reports(store: Store) -> list[Path]:
    """Return the reports of workers to a process that was killed before it could read them."""
    root, before = store.layout.workers, time.time() - DRAFT_SECONDS
    if root.is_symlink() or not root.is_dir():
        return []
    return [one for one in root.iterdir() if not one.is_dir() and one.lstat().st_mtime < before]


def _drafts(store: Store, removed: frozenset[str]) -> list[Path]:
    root, before = store.layout.artifacts, time.time() - DRAFT_SECONDS
    found: list[Path] = []
    for where, folders, files in () if root.is_symlink() else os.walk(root):
        for name in [name for name in (*folders, *files) if _DRAFT.search(name)]:
            place = Path(where, name)
            run, *path = place.relative_to(root).parts
            if (
                path
                and run not in removed
                and place.lstat().st_mtime < before
                and not _is_logged(store, run, path)
            ):
                found.append(place)
                folders[:] = [folder for folder in folders if folder != name]
    return found


def _is_logged(store: Store, run: str, path: list[str]) -> bool:
    """Return whether a run has logged a file of this path, or one below it: then it only looks like a draft."""
    name = "/".join(path)
    try:
        logged = [str(file["path"]) for file in store.get(run).artifacts]
    except LookupError:  # its journal may be on its way
        return True
    return any(file == name or file.startswith(f"{name}/") for file in logged)
