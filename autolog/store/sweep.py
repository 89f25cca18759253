"""What a store's files take on the disk, and which of them nobody has any more."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from autolog.store.layout import Layout, is_run_id
from autolog.store.objects import collect

if TYPE_CHECKING:
    from autolog.store.records import Store

DRAFT_SECONDS = 86_400.0
"""What has not grown for this long is being written by nobody."""
_DRAFT = re.compile(r"^\..+\.[0-9a-f]{16}(\.old)?$|[.-][0-9a-f]{16}\.tmp(\.\w+)?$")
"""Names under which files and model folders are made before they are put in their places."""


def own(layout: Layout, runs: Iterable[str]) -> list[Path]:
    """The folders of these runs that may be removed. A store may be somebody else's: an id in it that is a path, or a link in
    place of the folder of all runs, would lead out of it.
    """
    if layout.artifacts.is_symlink():
        return []
    return [layout.artifacts_of(run) for run in runs if is_run_id(run)]


def discard(folders: Iterable[Path]) -> None:
    """Remove folders; of one that is a link, the link."""
    for folder in folders:
        if folder.is_symlink():
            folder.unlink()
        else:
            shutil.rmtree(folder, ignore_errors=True)


def whole(folders: Iterable[Path]) -> int:
    """The bytes of all files in these folders, each by itself."""
    return sum(status.st_size for status in _files(folders))


def alone(folders: Iterable[Path]) -> int:
    """The bytes that the disk has more when these folders are gone, and with them the objects that nobody shares any more."""
    names: dict[tuple[int, int], int] = {}
    freed = 0
    for status in _files(folders):
        file = (status.st_dev, status.st_ino)
        names[file] = names.get(file, 0) + 1
        # The one more is the object's.
        if names[file] == max(1, status.st_nlink - 1):
            freed += status.st_size
    return freed


def _files(places: Iterable[Path]) -> Iterator[os.stat_result]:
    """The files at and below these places."""
    for place in places:
        below = (Path(where, file) for where, _, files in os.walk(place) for file in files)
        for file in below if place.is_dir() and not place.is_symlink() else (place,):
            try:
                yield file.lstat()
            except OSError:
                continue


def sweep(store: Store) -> int:
    """Remove what no run has: what is left of removed runs, what killed processes were just writing, and content that is no
    file's any more. Returns the bytes freed. Files of runs that the store does not know stay: their journal may be on its way.
    """
    freed, removed = 0, store.removed()
    for place in (
        *filter(Path.is_dir, own(store.layout, removed)),
        *_drafts(store, removed),
        *_reports(store),
    ):
        freed += sum(status.st_size for status in _files([place]) if status.st_nlink == 1)
        if place.is_dir():
            discard([place])
        else:
            place.unlink(missing_ok=True)
    return freed + collect(store.layout.objects)


def _reports(store: Store) -> list[Path]:
    """What workers told a process that was killed before it could read it."""
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
    """Whether a run has logged a file of this path, or one below it: then it is called as a draft, and is none."""
    name = "/".join(path)
    try:
        logged = [str(file["path"]) for file in store.get(run).artifacts]
    except LookupError:  # its journal may be on its way
        return True
    return any(file == name or file.startswith(f"{name}/") for file in logged)
