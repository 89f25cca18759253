"""Where things are in a store, and where the store is.

.autolog/
  journal/<utc>-<host>-<pid>-<random>.jsonl     one process's events, appended to only by it: the truth
  artifacts/<run id>/…                          files and model folders
  objects/<sha256>                              further names of files in artifacts, by which equal ones are found
  index.sqlite                                  a cache made from the journals
  followers/<sink and journal>.json             how far a sink has been fed from a journal
  workers/<id>                                  what worker processes tell the one that gives them work, until it ends
"""

from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path  # loaded when a path is asked for: `autolog()` finds the store and does no more

NAME = ".autolog"


class Layout:
    """The paths of one store. Creates nothing but the store's folder, and that only when asked to.

    Raises ValueError for a URL: a store is a folder.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        if "://" in (text := os.fspath(root)):
            kind = text.partition("://")[0]
            raise ValueError(
                f"A store is a folder, not {kind}://…; `autolog sync` sends what is in a folder on."
            )
        self._root = os.path.abspath(root)

    def __repr__(self) -> str:
        return f"Layout({self._root!r})"

    @property
    def root(self) -> Path:
        from pathlib import Path

        return Path(self._root)

    def make_root(self) -> None:
        """Make the store's folder, for this user alone: it holds data, code and messages of a program. Users who share a store
        open the folder to others, once. A failure is ignored here; whoever writes into the folder gets the error.
        """
        try:
            os.makedirs(self._root, mode=0o700, exist_ok=True)
        except OSError:
            pass

    @property
    def journals(self) -> Path:
        return self.root / "journal"

    @property
    def artifacts(self) -> Path:
        return self.root / "artifacts"

    @property
    def objects(self) -> Path:
        return self.root / "objects"

    @property
    def index(self) -> Path:
        return self.root / "index.sqlite"

    @property
    def followers(self) -> Path:
        return self.root / "followers"

    @property
    def workers(self) -> Path:
        return self.root / "workers"

    def new_journal(self) -> Path:
        """Return a path for this process's journal that no other process has."""
        import re
        import socket

        utc = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        host = re.sub(r"[^A-Za-z0-9]+", "_", socket.gethostname())[:40] or "host"
        return self.journals / f"{utc}-{host}-{os.getpid()}-{os.urandom(3).hex()}.jsonl"

    def artifacts_of(self, run: str) -> Path:
        from pathlib import Path

        # This is called for every file, and `/` takes ten times as long.
        return Path(os.path.join(self._root, "artifacts", run))


def is_run_id(text: str) -> bool:
    """Return whether the text may be a run's id. An id is also the name of a folder that is read, sent and deleted, and of
    things that sinks make; journals may come from elsewhere.
    """
    return text.isascii() and len(text) <= 64 and text.replace("-", "0").replace("_", "0").isalnum()


def file_of(artifacts: Path, run: str, path: str) -> Path | None:
    """Return the path of a run's file or folder, below the folder of all runs' files; it may no longer exist. Return None for a
    path that leads out of the run's folder, which somebody else's journal may contain, and for one that leaves the folder and
    comes back: code that makes a file of that path elsewhere would be led astray.
    """
    from pathlib import Path

    parts = path.replace(os.sep, "/").split("/")
    if not is_run_id(run) or not {"", ".", ".."}.isdisjoint(parts):
        return None
    folder = os.path.join(os.path.realpath(artifacts), run)
    found = ""
    try:
        found = os.path.realpath(os.path.join(folder, path))
        os.lstat(found)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError):  # a loop of links, or too long; a NUL
        return None
    return Path(found) if found.startswith(os.path.join(folder, "")) else None


def is_anybodys(path: str) -> bool:
    """Return whether the file may be there without this user's knowledge: in a folder such as /tmp, where everybody may create
    files, another user's files must not be obeyed.
    """
    if os.name == "nt":
        return False
    try:
        around = os.stat(os.path.dirname(path)).st_mode
        everybodys = around & stat.S_ISVTX and around & stat.S_IWOTH
        return bool(everybodys) and os.lstat(path).st_uid != os.getuid()
    except OSError:
        return False


def find(start: str | os.PathLike[str] | None = None) -> Layout:
    """Return the store to use: `AUTOLOG_DIR`, or the nearest `.autolog` folder at or above `start` (the working directory), or
    a new one there. A folder of that name in the root of the file system is skipped, since it belongs to no project. So is
    another user's in a folder like /tmp; if that folder is `start`, the new store is in the home folder. Raises ValueError if
    `AUTOLOG_DIR` is a URL.
    """
    chosen = os.environ.get("AUTOLOG_DIR")
    if chosen:
        try:
            return Layout(os.path.expanduser(chosen))
        except ValueError as error:
            raise ValueError(f"AUTOLOG_DIR: {error}") from None
    return nearest(start)


def nearest(start: str | os.PathLike[str] | None = None) -> Layout:
    """Like `find`, but ignore `AUTOLOG_DIR`."""
    try:
        here = os.path.abspath(start or os.getcwd())
    except OSError:  # the working directory is gone
        here = os.path.expanduser("~")
    folder = here
    while True:
        above, store = os.path.dirname(folder), os.path.join(folder, NAME)
        if (above != folder or folder == here) and os.path.isdir(store):
            if not is_anybodys(store):
                return Layout(store)
            if folder == here:
                here = os.path.expanduser("~")
        if above == folder:
            return Layout(os.path.join(here, NAME))
        folder = above
