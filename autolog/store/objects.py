"""Stores equal content on disk only once: a hundred refits of one model take the space of one.

A run's file stays where it is, an ordinary file; `objects/<sha256>` is a second name of it, a hard link. The next file with the
same content becomes a third. Nothing ever reads through that folder: without it, or after a copy of the store has lost the
links, everything is there as before and takes more space. There are no locks: a link is made whole or not at all, on NFS too.

Shared files must not be changed in place: code that writes a run's file again replaces it by another file.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from functools import partial

SMALLEST = 16_384
"""Bytes below which a file is left alone: another name would take about as much space as it saves."""
CHUNK = 1 << 20


def share(objects: str | os.PathLike[str], path: str | os.PathLike[str], digest: str) -> None:
    """Store this file and earlier ones with the same content only once. `digest` is its SHA-256. Where that is impossible, as
    on a file system without hard links, the file stays as it is. Runs on a background thread, because it reads the earlier
    file.
    """
    if os.path.getsize(path) < SMALLEST:
        return
    known = os.path.join(objects, digest)
    try:
        os.makedirs(objects, exist_ok=True)
        try:
            os.link(path, known)
        except FileExistsError:
            if not os.path.samefile(path, known):
                _join(os.fspath(path), known)
    except OSError:
        pass


def _join(path: str, known: str) -> None:
    # Compare the contents: the known file may have been changed in place, or come from a copy that broke off.
    if _equal(path, known):
        try:
            _put(known, path)
            return
        except OSError:  # it has as many names as the file system allows
            pass
    _put(path, known)


def _equal(one: str, other: str) -> bool:
    with open(one, "rb") as a, open(other, "rb") as b:
        here, there = os.fstat(a.fileno()), os.fstat(b.fileno())
        if (here.st_size, here.st_mode) != (there.st_size, there.st_mode):
            return False
        while chunk := a.read(CHUNK):
            if chunk != b.read(CHUNK):
                return False
    return True


def _put(source: str, target: str) -> None:
    """Make `target` another name of `source`, in place of its old file."""
    draft = f"{target}.{os.urandom(8).hex()}.tmp"
    os.link(source, draft)
    try:
        os.replace(draft, target)
    except OSError:
        os.unlink(draft)
        raise


def deduplicate(objects: str | os.PathLike[str]) -> Callable[[str], None]:
    """Return a function for the files thread that shares a file whose digest is not known yet."""
    return partial(_share_unknown, os.fspath(objects))


def _share_unknown(objects: str, path: str) -> None:
    if os.path.getsize(path) < SMALLEST:
        return
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    share(objects, path, digest.hexdigest())


def collect(objects: str | os.PathLike[str]) -> int:
    """Remove the objects that no file of a run shares any more. Return the bytes freed.

    If another process is just making such a file, nothing is lost: the file keeps its content, with one name less. If the
    folder is a link, in somebody else's store, it is not followed: its target holds no objects.
    """
    freed = 0
    if os.path.islink(objects):
        return freed
    for entry in _entries(objects):
        try:
            status = entry.stat(follow_symlinks=False)
            if status.st_nlink == 1:
                os.unlink(entry.path)
                freed += status.st_size
        except OSError:  # another process was faster, or we lack the permission
            continue
    return freed


def _entries(folder: str | os.PathLike[str]) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except OSError:  # there are none
        return
