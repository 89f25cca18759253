"""`python -m compat`: the commands of the compatibility matrix. See README.md."""

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
    typer.Argument(help="Names of cells, or patterns such as `sklearn-*`. Default: all."),
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
            raise typer.BadParameter(f"no cell matches {pattern!r}. `python -m compat list` shows the cells")
    return [cell for cell in cells if any(fnmatch(cell.name, pattern) for pattern in patterns)]


@app.command(name="list")
def list_cells(cells: Patterns = None) -> None:
    """Show the cells and their latest results."""
    held = results.read()
    # Do not cut names: `run` takes them.
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
    stale: Annotated[bool, typer.Option(help="Only cells without a result for the current code.")] = False,
    smoke: Annotated[bool, typer.Option(help="Only the few smoke cells.")] = False,
    write: Annotated[bool, typer.Option(help="Write the results to results.jsonl.")] = True,
    keep: Annotated[bool, typer.Option(help="Keep the environments for inspection.")] = False,
    jobs: Annotated[int, typer.Option(help="Processes that share a cell's tests.")] = 2,
    only: Annotated[
        list[str] | None, typer.Option(help="Run only these tests, below tests/. Write no results.")
    ] = None,
    work: Annotated[
        Path | None,
        typer.Option(help="The folder of the environments. Existing ones are used, and all are kept."),
    ] = None,
) -> None:
    """Run cells one after the other.

    Each result is written at once, so an interrupted run continues with --stale. A failure does not stop the other cells; the
    exit status is then 1.
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
    """List the cells that cannot be installed, without installing anything."""
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
    days: Annotated[int, typer.Option(help="The least age of a release in days.")] = index.COOL_DOWN,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print the changes.")] = False,
) -> None:
    """Add new releases to matrix.toml: the newest patch of each new minor. Only the lists of versions change."""
    found = [index.news(one, days=days) for one in matrix().frameworks.values()]
    for one in found:
        if one.add or one.waiting:
            young = f"; too young: {', '.join(one.waiting)}" if one.waiting else ""
            console.print(f"{one.framework}: {', '.join(one.add) or 'nothing new'}{young}", markup=False)
    if not any(one.add for one in found):
        console.print("There are no new releases.")
    elif not dry_run:
        index.write([one for one in found if one.add])


@app.command(name="table")
def write_table() -> None:
    """Write docs/compatibility.md and each integration's tested range from results.jsonl."""
    console.print("Written." if table.write(matrix()) else "Nothing has changed.")


if __name__ == "__main__":
    app(prog_name="python -m compat")
