"""The folders of runs: which may be removed, what they take on disk, and how they are removed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from autolog.store.layout import Layout, is_run_id


def run_dirs(layout: Layout, runs: Iterable[str]) -> list[Path]:
    """Return the folders of these runs that may be removed. A store may be somebody else's: an id in it that is a path, or a
    link in place of the folder of all runs, would lead out of it.
    """
    if layout.artifacts.is_symlink():
        return []
    return [layout.artifacts_of(run) for run in runs if is_run_id(run)]


def discard(folders: Iterable[Path]) -> None:
    """Remove folders. If one is a link, remove the link."""
    for folder in folders:
        if folder.is_symlink():
            folder.unlink()
        else:
            shutil.rmtree(folder, ignore_errors=True)


def total_size(folders: Iterable[Path]) -> int:
    """Return the bytes of all files in these folders, counting each file by itself."""
    return sum(status.st_size for status in files_in(folders))


def reclaimable(folders: Iterable[Path]) -> int:
    """Return the bytes that the disk gains when these folders are gone, together with the objects that nothing else shares."""
    names: dict[tuple[int, int], int] = {}
    freed = 0
    for status in files_in(folders):
        file = (status.st_dev, status.st_ino)
        names[file] = names.get(file, 0) + 1
        # One of the links is the object's.
        if names[file] == max(1, status.st_nlink - 1):
            freed += status.st_size
    return freed


def files_in(places: Iterable[Path]) -> Iterator[os.stat_result]:
    """Yield the status of the files at and below these places."""
    for place in places:
        below = (Path(where, file) for where, _, files in os.walk(place) for file in files)
        for file in below if place.is_dir() and not place.is_symlink() else (place,):
            try:
                yield file.lstat()
            except OSError:
                continue
