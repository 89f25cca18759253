"""Where things are in a store, and where the store is.

.autolog/
  journal/<utc>-<host>-<pid>-<random>.jsonl     one process's events, appended to only by it: the truth
  artifacts/<run id>/…                          files and model folders
  index.sqlite                                  a cache made from the journals
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

NAME = ".autolog"


class Layout:
    """The paths of one store; creates nothing by itself."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(os.path.abspath(root))
        self.journals = self.root / "journal"
        self.artifacts = self.root / "artifacts"
        self.index = self.root / "index.sqlite"

    def __repr__(self) -> str:
        return f"Layout({str(self.root)!r})"

    def new_journal(self) -> Path:
        """A name for this process's journal that no other process has."""
        import socket

        utc = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        host = re.sub(r"[^A-Za-z0-9]+", "_", socket.gethostname())[:40] or "host"
        return self.journals / f"{utc}-{host}-{os.getpid()}-{os.urandom(3).hex()}.jsonl"

    def artifacts_of(self, run: str) -> Path:
        return self.artifacts / run


def find(start: str | os.PathLike[str] | None = None) -> Layout:
    """The store to use: `AUTOLOG_DIR`, or the nearest `.autolog` folder at or above `start` (the working directory), or a new
    one there. A folder of that name that belongs to nobody's project, in the root of the file system, is not taken.
    """
    chosen = os.environ.get("AUTOLOG_DIR")
    if chosen:
        return Layout(os.path.expanduser(chosen))
    try:
        here = Path(os.path.abspath(start or os.getcwd()))
    except OSError:  # the working directory is gone
        here = Path.home()
    for folder in (here, *here.parents[:-1]):
        if (folder / NAME).is_dir():
            return Layout(folder / NAME)
    return Layout(here / NAME)
