"""`autolog rm`: removes runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autolog.cli.output import UserError, ask, write, write_error, write_json
from autolog.cli.store import JsonOption, RunsArgument, StoreOption, open_store
from autolog.cli.text import clean, count, size
from autolog.store.disk import reclaimable, run_dirs, total_size

if TYPE_CHECKING:
    from autolog.store.records import RunRecord, Store


def rm(
    runs: RunsArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Remove runs with their children and files. This cannot be undone.

    Example:

    autolog rm brave-otter @last --yes

    Content that other runs share stays. With --json: {"removed": [ids, including children], "bytes": bytes freed on the disk}.
    """
    opened = open_store(store)
    records = list({record.id: record for record in map(opened.get, runs)}.values())
    running = [record.name for record in records if record.status == "running"]
    if running:
        raise UserError(f"Nothing was removed. Still running: {', '.join(running)}.")
    if not yes and not sys.stdin.isatty():
        raise UserError("Nothing was removed: there is no terminal to ask on. Pass --yes to remove.")
    total, said = _what_goes(opened, records)
    if not yes:
        for line in said:
            write_error(line)
        if not ask(f"Remove {count(len(records), 'run')}, {size(total)}, forever?"):
            raise UserError("Nothing was removed.")
    removed = opened.remove(records)
    if json:
        write_json({"removed": removed, "bytes": total})
    else:
        write("".join(f"removed {clean(line)}\n" for line in said))


def _what_goes(store: Store, records: list[RunRecord]) -> tuple[int, list[str]]:
    """Return the bytes that removal frees on the disk, and a line for each run with the size of its files."""
    lines: list[str] = []
    folders: dict[Path, None] = {}
    artifacts = store.layout.artifacts
    elsewhere = (
        f"; its files stay in {artifacts.resolve()}: the folder is a link" if artifacts.is_symlink() else ""
    )
    for record in records:
        children = store.descendants([record.id])
        theirs = run_dirs(store.layout, (record.id, *children))
        folders |= dict.fromkeys(theirs)
        also = f", {count(len(children), 'child', 'children')}" if children else ""
        lines.append(f"{record.name} ({record.id}){also}, {size(total_size(theirs))}{elsewhere}")
    return reclaimable(folders), lines
