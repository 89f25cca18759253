"""`autolog gc`: deletes files that belong to no run."""

from __future__ import annotations

from autolog.cli.output import write, write_json
from autolog.cli.store import JsonOption, StoreOption, open_store
from autolog.cli.text import size


def gc(store: StoreOption = None, json: JsonOption = False) -> None:
    """Delete files that belong to no run. This is safe while runs are recorded.

    Such files are content whose last link is gone (a folder was deleted by hand, or the store was copied without hard links),
    remains of removed runs, and unfinished files of processes that were killed at least a day ago.

    Example:

    autolog gc

    With --json: {"bytes": bytes freed on the disk}.
    """
    from autolog.store.gc import collect_garbage

    freed = collect_garbage(open_store(store))
    if json:
        write_json({"bytes": freed})
    else:
        write(f"freed {size(freed)}\n")
