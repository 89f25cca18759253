"""`python -m compat`: the matrix's commands. See README.md."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from compat import index, results, table
from compat.cells import Cell, MatrixError, matrix

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
console = Console()
Patterns = Annotated[
    list[str] | None,
    typer.Argument(help="Names of cells, or patterns as `sklearn-*`; all, if none is given."),
]


def _chosen(patterns: list[str] | None) -> list[Cell]:
    try:
        cells = matrix().cells
    except MatrixError as error:
        raise typer.BadParameter(str(error)) from None
    if not patterns:
        return list(cells)
    for pattern in patterns:
        if not any(fnmatch(cell.name, pattern) for cell in cells):
            raise typer.BadParameter(f"no cell is called {pattern!r}: see `python -m compat list`")
    return [cell for cell in cells if any(fnmatch(cell.name, pattern) for pattern in patterns)]


@app.command(name="list")
def list_cells(cells: Patterns = None) -> None:
    """Show the cells, and what came of them the last time."""
    held = results.read()
    # A name must stand whole: it is what `run` is told.
    shown = Table(
        Column("cell", no_wrap=True), "Python", "result", "passed", "failed", "seconds", "date", box=None
    )
    for cell in _chosen(cells):
        result = held.get(cell.name)
        last = ("–", "", "", "", "")
        if result is not None:
            stale = " (stale)" if results.is_stale(cell, held) else ""
            numbers = [str(result[key]) for key in ("passed", "failed", "seconds")]
            last = (result["status"] + stale, *numbers, result["date"])
        shown.add_row(cell.name, cell.python, *last)
    console.print(shown)


@app.command()
def run(
    cells: Patterns = None,
    stale: Annotated[
        bool, typer.Option(help="Only those whose result is of other code than today's.")
    ] = False,
    smoke: Annotated[bool, typer.Option(help="Only those few that stand for all.")] = False,
    write: Annotated[bool, typer.Option(help="Put what came of them into results.jsonl.")] = True,
    keep: Annotated[bool, typer.Option(help="Leave the environments, to look into them.")] = False,
    jobs: Annotated[int, typer.Option(help="Processes that share a cell's tests.")] = 2,
    only: Annotated[
        list[str] | None, typer.Option(help="Of a cell's tests only these, below tests/. Nothing is written.")
    ] = None,
    work: Annotated[
        Path | None,
        typer.Option(help="Make the environments here, use those that are there, and leave them."),
    ] = None,
) -> None:
    """Run cells one after the other; each result is written at once, so that what was cut off goes on with --stale.

    A failure does not stop the others; the exit status says whether there was one.
    """
    from compat.run import run as run_cell

    held = results.read()
    chosen = [cell for cell in _chosen(cells) if cell.smoke or not smoke]
    chosen = [cell for cell in chosen if not stale or results.is_stale(cell, held)]
    if only:
        chosen, write = [replace(cell, tests=tuple(only)) for cell in chosen], False
    bad: list[str] = []
    for number, cell in enumerate(chosen, 1):
        console.print(f"[dim]{number}/{len(chosen)}[/dim] {cell.name}: {cell.title}")
        result = run_cell(
            cell, keep=keep, jobs=jobs, say=partial(console.print, markup=False, highlight=False), work=work
        )
        if write:
            results.write(result)
        numbers = f"{result['passed']} passed, {result['failed']} failed, {result['skipped']} skipped"
        console.print(
            f"    {result['status']} in {result['seconds']} s: {numbers}. {result['reason']}", markup=False
        )
        if result["status"] == "fail" and not cell.pre:
            bad.append(cell.name)
    if bad:
        console.print(f"failed: {', '.join(bad)}")
        raise typer.Exit(1)


@app.command()
def check(cells: Patterns = None) -> None:
    """Say which cells cannot be installed, without installing anything."""
    bad = 0
    for cell in _chosen(cells):
        reason = index.why_not(cell)
        if reason:
            bad += 1
            console.print(f"{cell.name}: {reason}", markup=False)
    console.print(f"{bad} cells cannot be installed." if bad else "All cells can be installed.")
    raise typer.Exit(bad > 0)


@app.command()
def update(
    days: Annotated[int, typer.Option(help="How old a release must be.")] = index.COOL_DOWN,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
) -> None:
    """Bring new releases into matrix.toml: of each new minor the newest patch. Only the lists of versions change."""
    found = [index.news(one, days=days) for one in matrix().frameworks.values()]
    for one in found:
        if one.add or one.waiting:
            young = f"; too young: {', '.join(one.waiting)}" if one.waiting else ""
            console.print(f"{one.framework}: {', '.join(one.add) or 'nothing new'}{young}", markup=False)
    if not any(one.add for one in found):
        console.print("Nothing is new.")
    elif not dry_run:
        index.write([one for one in found if one.add])


@app.command(name="table")
def write_table() -> None:
    """Write docs/compatibility.md and each integration's tested range, from results.jsonl."""
    console.print("Written." if table.write(matrix()) else "Nothing has changed.")


if __name__ == "__main__":
    app(prog_name="python -m compat")
