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
    """Remove runs with their children and files. There is no way back.

    Example:

    autolog rm brave-otter @last --yes

    With --json: {"removed": [ids, children included], "bytes": freed on the disk}. Content that other runs have too stays.
    """
    opened = open_store(store)
    records = list({record.id: record for record in map(opened.get, runs)}.values())
    running = [record.name for record in records if record.status == "running"]
    if running:
        raise UserError(f"{', '.join(running)} is still running; nothing was removed.")
    if not yes and not sys.stdin.isatty():
        raise UserError("Nobody can be asked here: say --yes to remove. Nothing was removed.")
    total, said = _what_goes(opened, records)
    if not yes:
        for line in said:
            write_error(line)
        if not ask(f"Remove {count(len(records), 'run')}, {size(total)}, for ever?"):
            raise UserError("Nothing was removed.")
    removed = opened.remove(records)
    if json:
        write_json({"removed": removed, "bytes": total})
    else:
        write("".join(f"removed {clean(line)}\n" for line in said))


def _what_goes(store: Store, records: list[RunRecord]) -> tuple[int, list[str]]:
    """The bytes that this frees on the disk, and a line on each run with the size of its files."""
    lines: list[str] = []
    folders: dict[Path, None] = {}
    artifacts = store.layout.artifacts
    elsewhere = (
        f"; its files stay in {artifacts.resolve()}, where a link leads" if artifacts.is_symlink() else ""
    )
    for record in records:
        children = store.descendants([record.id])
        theirs = run_dirs(store.layout, (record.id, *children))
        folders |= dict.fromkeys(theirs)
        also = f", {count(len(children), 'child', 'children')}" if children else ""
        lines.append(f"{record.name} ({record.id}){also}, {size(total_size(theirs))}{elsewhere}")
    return reclaimable(folders), lines
