"""All commands as one application."""

from __future__ import annotations

import sqlite3
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from autolog import __version__
from autolog.cli.compare import compare
from autolog.cli.export import export
from autolog.cli.gc import gc
from autolog.cli.ls import ls
from autolog.cli.output import UserError, write, write_error
from autolog.cli.predict import predict
from autolog.cli.rm import rm
from autolog.cli.show import show
from autolog.cli.status import status
from autolog.cli.sync import sync
from autolog.cli.ui import ui


class _Commands(TyperGroup):
    """Print errors that users can correct as one line, and exit with code 1."""

    def invoke(self, ctx: Any) -> Any:
        from autolog.store.query import FilterError
        from autolog.store.records import UnknownRun

        try:
            return super().invoke(ctx)
        except (UserError, UnknownRun, FilterError) as error:
            write_error(f"autolog: {error.args[0]}")
        except BrokenPipeError:
            raise
        except (OSError, sqlite3.Error) as error:
            write_error(f"autolog: {type(error).__name__}: {error}")
        raise typer.Exit(1)


app = typer.Typer(
    cls=_Commands, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)  # fmt: skip


def _version(wanted: bool) -> None:
    if wanted:
        write(f"autolog {__version__}\n")
        raise typer.Exit


@app.callback()
def _autolog(  # pyright: ignore[reportUnusedFunction]
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Record every training of a Python script, and show the recorded runs.

    Example: autolog run train.py, then autolog show @last
    """


@app.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def run(
    script: Annotated[list[str], typer.Argument(metavar="SCRIPT [ARGS]")],
) -> None:
    """Run an unchanged script and record every training in it.

    Examples:

    autolog run train.py --epochs 3

    autolog run -m package.train

    Arguments after SCRIPT or MODULE go to the script. Its exit code, output and tracebacks do not change. Work in its worker
    processes is recorded, too. Other programs that it starts are not.
    """
    from autolog.cli.run import main

    main(script)


for _command in (ls, show, compare, predict, status, sync, export, rm, gc):
    app.command()(_command)
app.command(hidden=True)(ui)  # until its pages are there
