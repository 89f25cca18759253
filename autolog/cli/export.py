"""`autolog export`: writes runs, or every value of their metrics, as a table for other programs."""

from __future__ import annotations

import csv
import enum
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from autolog.cli.output import UserError, destination, write_error
from autolog.cli.store import ArchivedOption, StoreOption, open_store
from autolog.cli.text import count

if TYPE_CHECKING:
    from autolog.store.records import RunRecord

Row = dict[str, Any]
HISTORY = ("run", "name", "metric", "step", "epoch", "time", "value")
ROWS_AT_ONCE = 100_000


class Format(str, enum.Enum):
    """The format of the table."""

    csv = "csv"
    parquet = "parquet"
    jsonl = "jsonl"


_ENDINGS = {
    ".csv": Format.csv,
    ".parquet": Format.parquet,
    ".pq": Format.parquet,
    ".jsonl": Format.jsonl,
    ".ndjson": Format.jsonl,
}
_OTHER_FORMATS = (
    ".json",
    ".xls",
    ".xlsx",
    ".feather",
    ".arrow",
    ".tsv",
    ".html",
    ".db",
    ".sqlite",
    ".gz",
    ".zip",
)
_NAMES = {Format.csv: "CSV", Format.parquet: "Parquet", Format.jsonl: "lines of JSON"}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def export(
    filter: Annotated[
        str | None, typer.Argument(metavar="FILTER", help="Runs to write, e.g. metrics.loss < 0.3; else all.")
    ] = None,
    format: Annotated[
        Format | None, typer.Option("--format", help="The file's format. Default: by its ending, else CSV.")
    ] = None,
    histories: Annotated[
        bool, typer.Option("--histories", help="Write every value of every metric, instead of a row per run.")
    ] = False,
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="The file to write. Default: standard output, as CSV."
        ),
    ] = None,
    children: Annotated[bool, typer.Option("--children", help="Include child runs.")] = False,
    archived: ArchivedOption = False,
    store: StoreOption = None,
) -> None:
    """Write runs as a table, oldest first: CSV, Parquet, or one line of JSON per run.

    Examples:

    autolog export > runs.csv

    autolog export "framework == 'sklearn'" --histories --output losses.parquet

    In CSV and Parquet, a run has the columns of `autolog.runs().to_pandas()`: params.<name>, metrics.<name> and tags.<name>
    among others. In JSON, it has the form of `autolog show --json`. With --histories, the columns are: run, name, metric, step,
    epoch, time (seconds since 1970), value. Parquet needs pyarrow. In CSV, text that a spreadsheet would run as a formula gets
    a ' in front.
    """
    format = _format_of(output, format)
    if format is Format.parquet and output is None:
        raise UserError("Parquet cannot go to standard output. Name a file: --output runs.parquet")
    writer = {Format.csv: _csv, Format.parquet: _parquet, Format.jsonl: _jsonl}[format]
    if format is Format.parquet:
        _pyarrow()
    runs = open_store(store).runs(filter, order_by="started", children=children, archived=archived)
    if histories:
        rows, columns = _histories(runs), list(HISTORY)
    elif format is Format.jsonl:
        rows, columns = (run.to_dict() for run in runs), []
    else:
        table = [_row(run) for run in runs]
        rows, columns = iter(table), list(dict.fromkeys(key for row in table for key in row))
    with destination(output) as file:
        written = writer(rows, columns, file)
    if output is not None:
        write_error(f"autolog: {count(written, 'row')} in {output}")


def _format_of(output: str | None, given: Format | None) -> Format:
    """Return the given format, or that of the file's ending. Raises UserError if the two differ."""
    ending = os.path.splitext(output or "")[1].lower()
    named = _ENDINGS.get(ending)
    if (ending in _OTHER_FORMATS and given is None) or (given and named and given is not named):
        kinds = "CSV (.csv), Parquet (.parquet) or lines of JSON (.jsonl)"
        raise UserError(
            f"{output} would hold {_NAMES[given or Format.csv]}. Use the ending of the format: {kinds}."
        )
    return given or named or Format.csv


def _row(run: RunRecord) -> Row:
    said = run.to_dict()
    return {
        **{key: value for key, value in said.items() if not isinstance(value, (dict, list))},
        **{f"params.{key}": value for key, value in run.params.items()},
        **{f"metrics.{key}": value["value"] for key, value in run.metrics.items()},
        **{f"tags.{key}": value for key, value in run.tags.items()},
    }


def _histories(runs: Iterable[RunRecord]) -> Iterator[Row]:
    for run in runs:
        for metric, points in run.histories().items():
            for step, epoch, time, value in points:
                yield dict(zip(HISTORY, (run.id, run.name, metric, step, epoch, time, value), strict=True))


def _csv(rows: Iterable[Row], columns: Sequence[str], file: IO[bytes]) -> int:
    import io

    text = io.TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", newline="", write_through=True)
    try:
        table = csv.writer(text)
        table.writerow(columns)
        written = 0
        for row in rows:
            table.writerow([_cell_of_csv(row.get(column)) for column in columns])
            written += 1
        return written
    finally:
        text.detach()


def _jsonl(rows: Iterable[Row], columns: Sequence[str], file: IO[bytes]) -> int:
    import msgspec

    from autolog.tracking.values import number_of

    encoder, written = msgspec.json.Encoder(), 0
    for row in rows:
        if columns:
            row = {**row, "value": number_of(row["value"])}
        file.write(encoder.encode(row) + b"\n")
        written += 1
    return written


def _parquet(rows: Iterable[Row], columns: Sequence[str], file: IO[bytes]) -> int:
    from itertools import islice

    arrow, parquet = _pyarrow()
    rows, written = iter(rows), 0
    kinds = {
        "step": arrow.int64(),
        "epoch": arrow.float64(),
        "time": arrow.float64(),
        "value": arrow.float64(),
    }
    schema = None
    if tuple(columns) == HISTORY:
        schema = arrow.schema([(column, kinds.get(column, arrow.string())) for column in columns])
    writer = None
    while True:
        some = list(islice(rows, ROWS_AT_ONCE if schema is not None else None))
        if not some and writer is not None:
            break
        if schema is None:
            table = arrow.table(
                {column: _column([row.get(column) for row in some], arrow) for column in columns}
            )
        else:
            table = arrow.Table.from_pylist(some, schema)
        writer = writer or parquet.ParquetWriter(file, table.schema)
        writer.write_table(table)
        written += len(some)
        if schema is None:
            break
    writer.close()
    return written


def _column(values: list[Any], arrow: Any) -> Any:
    """Return a column of one type: booleans, integers, floats, or else text."""
    kinds: set[type[Any]] = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return arrow.array(values, arrow.bool_())
    if kinds == {int} and all(value is None or -(2**63) <= value < 2**63 for value in values):
        return arrow.array(values, arrow.int64())
    if kinds and kinds <= {int, float} and all(value is None or _fits(value) for value in values):
        return arrow.array([None if value is None else float(value) for value in values], arrow.float64())
    return arrow.array([None if value is None else _cell(value) for value in values], arrow.string())


def _fits(value: float) -> bool:
    return type(value) is float or abs(value) < 2**1023


def _cell(value: Any) -> str:
    """Return a value as text; an empty text for None."""
    if value is None:
        return ""
    if isinstance(value, (list, dict, bool)):
        import msgspec

        return msgspec.json.encode(value).decode()
    return value if isinstance(value, str) else repr(value)


def _cell_of_csv(value: Any) -> str:
    """Return a value as text, with ' before text that a spreadsheet would run as a formula.

    Names may come from strangers, and a formula can send the table's content elsewhere.
    """
    cell = _cell(value)
    return (
        f"'{cell}" if isinstance(value, str) and cell.startswith(_FORMULA) and not _is_number(cell) else cell
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise UserError("Parquet needs pyarrow. Install it: pip install pyarrow") from None
    return pyarrow, parquet
