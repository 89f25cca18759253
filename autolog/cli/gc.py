"""`autolog gc`: frees what no run has any more."""

from __future__ import annotations

from autolog.cli.output import write, write_json
from autolog.cli.store import JsonOption, StoreOption, open_store
from autolog.cli.text import size


def gc(store: StoreOption = None, json: JsonOption = False) -> None:
    """Free the disk of what no run has any more. Nothing that a run has is touched; it may be done while runs are recorded.

    That is content that lost its last file, as when a folder was deleted by hand or a store was copied without its hard links;
    what is left of removed runs; and what processes were writing when they were killed, a day ago or longer.

    Example:

    autolog gc

    With --json: {"bytes": freed on the disk}.
    """
    from autolog.store.gc import collect_garbage

    freed = collect_garbage(open_store(store))
    if json:
        write_json({"bytes": freed})
    else:
        write(f"freed {size(freed)}\n")
