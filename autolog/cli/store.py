"""The store that a command reads, and the names of its runs for the shell's completion."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autolog.cli.output import UserError

if TYPE_CHECKING:
    from autolog.store.records import Store


def open_store(path: str | None) -> Store:
    """Return the store at `path` (a `.autolog` folder or its parent). Without a path, return the one that `autolog()` writes.

    Raises UserError if there is no store.
    """
    from autolog.store.layout import NAME
    from autolog.store.records import Store

    if path is None or "://" in path:
        try:
            return Store(path)
        except ValueError as error:
            raise UserError(str(error)) from None
    root = Path(os.path.expanduser(path))
    if not (root / "journal").is_dir() and (root / NAME).is_dir():
        root = root / NAME
    if not root.is_dir():
        raise UserError(f"There is no store at {path}.")
    return Store(root)


def run_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return names and ids of runs that start with `incomplete`, newest first.

    The shell inserts them unquoted, so this leaves out names that the shell would run, split, or take for an option.
    """
    from autolog.tracking.ids import is_word

    try:
        store = open_store(ctx.params.get("store"))
        return [name for name in store.names(incomplete, limit=50) if is_word(name)]
    except Exception:  # a message would garble the half-written command line
        return []


StoreOption = Annotated[
    str | None,
    typer.Option("--store", metavar="PATH", help="The store to read. Default: the nearest .autolog."),
]
ArchivedOption = Annotated[bool, typer.Option("--archived", help="Include archived runs.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
RunArgument = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A name, an id, the start of an id, @last or @last~1.",
        autocompletion=run_names,
    ),
]
RunsArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="RUN", help="Names, ids, starts of ids, @last or @last~1.", autocompletion=run_names
    ),
]
