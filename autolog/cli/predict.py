"""`autolog predict`: writes a recorded model's predictions for a file of data."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import IO, TYPE_CHECKING, Annotated, Any, cast

import typer

from autolog.cli.output import UserError, destination, write_error
from autolog.cli.store import StoreOption, run_names
from autolog.cli.text import count

if TYPE_CHECKING:
    from autolog.models.predictor import Predictor

ROWS_AT_ONCE = 50_000
Part = tuple[Any, int]
"""Rows of data, and the bytes of the file that are read so far."""


def predict(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="A run's name, id, start of its id, or @last; or a model folder.",
            autocompletion=run_names,
        ),
    ],
    input: Annotated[
        str, typer.Option("--input", "-i", metavar="FILE", help="The data: .csv, .parquet, .json or .jsonl.")
    ],
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="FILE",
            help="The file to write: .csv, .parquet, .json or .jsonl. Default: CSV on standard output.",
        ),
    ] = None,
    path: Annotated[str, typer.Option("--path", help="Which of the run's models.")] = "model",
    trust: Annotated[
        bool, typer.Option("--trust", help="Load a pickle that somebody else made. It can run any code.")
    ] = False,
    store: StoreOption = None,
) -> None:  # fmt: skip
    """Predict the rows of a file with a recorded model.

    Examples:

    autolog predict @last --input new.csv --output predictions.csv

    autolog predict ./model --input new.parquet --output predictions.parquet

    The data must have the columns that the model was trained on, in any order. An error names columns that are missing, surplus
    or of another type. Files are read and predicted 50,000 rows at a time. A .json file is read as a whole: rows, columns by
    name, or the body of a request to MLflow's scoring server. The output has the column prediction, or the columns
    prediction_0, prediction_1 and so on.
    """  # fmt: skip
    reader, writer = _by_suffix(input, READERS, "--input"), _by_suffix(output or ".csv", WRITERS, "--output")
    if not os.path.isfile(input):
        raise UserError(f"The file {input} does not exist.")
    pandas = _library("pandas")
    model = _load(run, path, trust, store)
    done = 0

    def tables() -> Iterator[Any]:
        nonlocal done
        for rows in _watched(reader(input, model), input):
            table = _table(_predictions(model, rows, done), pandas)
            done += len(table)
            yield table

    with destination(output) as file:
        writer(tables(), file)
    if output is not None:
        write_error(f"autolog: {count(done, 'prediction')} in {output}")


def _load(run: str, path: str, trust: bool, store: str | None) -> Predictor:
    from autolog.api import load_model
    from autolog.cli.store import open_store
    from autolog.models.errors import ModelError

    root = None if store is None else open_store(store).layout.root
    try:
        return load_model(run, path=path, trust=trust, as_predictor=True, store=root)
    except (ModelError, LookupError) as error:
        said = (
            str(error.args[0]).replace("path=", "--path ").replace("load it with trust=True", "pass --trust")
        )
        raise UserError(said) from None


def _predictions(model: Predictor, rows: Any, before: int) -> Any:
    """Return the predictions of some rows. Raises UserError that says after how many rows (`before`) they start."""
    from autolog.models.errors import InputMismatch

    where = f"After row {before:,}: " if before else ""
    try:
        return model.predict(rows)
    except InputMismatch as error:
        raise UserError(f"{where}{error}.") from None
    except Exception as error:
        raise UserError(f"{where}the model failed with {type(error).__name__}: {error}") from None


def _table(predicted: Any, pandas: Any) -> Any:
    """Return predictions of any type as a DataFrame."""
    if hasattr(predicted, "to_frame"):
        predicted = predicted.to_frame("prediction")
    if isinstance(predicted, dict) or hasattr(predicted, "columns"):
        return pandas.DataFrame(predicted)
    values = import_module("numpy").asarray(predicted)
    values = values.reshape(len(values), -1)
    if values.shape[1] == 1:
        return pandas.DataFrame({"prediction": values[:, 0]})
    return pandas.DataFrame(values, columns=[f"prediction_{place}" for place in range(values.shape[1])])


# -- reading


def _read_csv(path: str, model: Predictor) -> Iterator[Part]:
    from packaging.version import Version

    pandas = _library("pandas")
    texts, times = _columns(model, "string", "binary"), _columns(model, "datetime")
    with open(path, "rb") as file:
        # Columns that were text in training stay text: pandas would read postal codes as numbers.
        how: dict[str, Any] = {"dtype": dict.fromkeys(texts, str)}
        if Version(pandas.__version__).release < (3, 1):  # later, it is the default
            how["float_precision"] = "round_trip"
        for some in pandas.read_csv(file, chunksize=ROWS_AT_ONCE, **how):
            for name in times:
                if name in some:
                    some[name] = pandas.to_datetime(some[name])
            yield some, file.tell()


def _columns(model: Predictor, *types: str) -> list[str]:
    """Return the names of the columns that had one of these types in training."""
    inputs: list[dict[str, Any]] = model.signature["inputs"] or []
    return [str(column["name"]) for column in inputs if column.get("type") in types and "name" in column]


def _read_parquet(path: str, model: Predictor) -> Iterator[Part]:
    parquet = _library("pyarrow.parquet")
    size = os.path.getsize(path)
    with parquet.ParquetFile(path) as file:
        read = 0
        for batch in file.iter_batches(batch_size=ROWS_AT_ONCE):
            read += batch.num_rows
            yield batch.to_pandas(), size * read // max(1, file.metadata.num_rows)


def _read_json(path: str, model: Predictor) -> Iterator[Part]:
    with open(path, encoding="utf-8") as file:
        data: Any = json.load(file)
    yield (
        (_rows_of(cast("dict[str, Any]", data), model) if isinstance(data, dict) else data),
        os.path.getsize(path),
    )


def _rows_of(body: dict[str, Any], model: Predictor) -> Any:
    """Return the rows in a JSON object: columns by name, or the body of a request to MLflow's scoring server."""
    split: Any = body.get("dataframe_split", body)
    if isinstance(split, dict) and "columns" in split and "data" in split:
        return _library("pandas").DataFrame(split["data"], columns=split["columns"])
    given = [body[key] for key in ("inputs", "instances", "dataframe_records") if key in body]
    rows: Any = given[0] if given else body
    if not isinstance(rows, dict) or not _columns(model, "tensor"):
        return cast("Any", rows)
    named = cast("dict[str, Any]", rows)
    return {name: import_module("numpy").asarray(values) for name, values in named.items()}


def _read_jsonl(path: str, model: Predictor) -> Iterator[Part]:
    with open(path, encoding="utf-8") as file:
        rows: list[Any] = []
        position = 0
        for line in file:
            position += len(line)
            if line.strip():
                rows.append(json.loads(line))
            if len(rows) == ROWS_AT_ONCE:
                yield rows, position
                rows = []
    if rows:
        yield rows, position


READERS = {".csv": _read_csv, ".parquet": _read_parquet, ".json": _read_json, ".jsonl": _read_jsonl}


# -- writing


def _write_csv(tables: Iterator[Any], file: IO[bytes]) -> None:
    for number, table in enumerate(tables):
        file.write(table.to_csv(index=False, header=number == 0, lineterminator="\n").encode())


def _write_parquet(tables: Iterator[Any], file: IO[bytes]) -> None:
    arrow, parquet = _library("pyarrow"), _library("pyarrow.parquet")
    writer = None
    for frame in tables:
        table = arrow.Table.from_pandas(
            frame, schema=writer.schema if writer is not None else None, preserve_index=False
        )
        writer = writer or parquet.ParquetWriter(file, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def _write_jsonl(tables: Iterator[Any], file: IO[bytes]) -> None:
    for table in tables:
        file.writelines(row + b"\n" for row in _objects(table))


def _write_json(tables: Iterator[Any], file: IO[bytes]) -> None:
    between = b"["
    for table in tables:
        for row in _objects(table):
            file.write(between + row)
            between = b",\n"
    file.write(b"[]\n" if between == b"[" else b"]\n")


def _objects(table: Any) -> Iterator[bytes]:
    """Yield each row as JSON. Values that JSON does not have, such as NaN, become null."""
    import msgspec

    encode = msgspec.json.Encoder(enc_hook=str).encode
    yield from (encode(row) for row in table.to_dict("records"))


WRITERS = {".csv": _write_csv, ".parquet": _write_parquet, ".json": _write_json, ".jsonl": _write_jsonl}


def _watched(parts: Iterator[Part], path: str) -> Iterator[Any]:
    """Yield the rows of a file. On a terminal, show a progress bar."""
    if not sys.stderr.isatty():
        yield from (rows for rows, _ in _readable(parts, path))
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    columns = BarColumn(), DownloadColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=os.path.getsize(path))
        for rows, position in _readable(parts, path):
            yield rows
            progress.update(task, completed=position)


def _readable(parts: Iterator[Part], path: str) -> Iterator[Part]:
    try:
        yield from parts
    except (ValueError, UnicodeError) as error:  # pandas' and pyarrow's parsers, and json
        raise UserError(f"Cannot read {path}: {str(error).strip()}") from None


def _by_suffix(path: str, known: dict[str, Callable[..., Any]], option: str) -> Callable[..., Any]:
    suffix = os.path.splitext(path)[1].lower() or path
    if suffix not in known:
        raise typer.BadParameter(f"{path} must end in one of {', '.join(known)}.", param_hint=option)
    return known[suffix]


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        package = name.partition(".")[0]
        raise UserError(f"This needs {package}. Install it: pip install {package}") from None
