"""The commands put together."""

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


class _Commands(TyperGroup):
    """Turns what users can get wrong into one line and exit code 1."""

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
    """Records every training of a Python script, and shows what was recorded.

    Example: autolog run train.py, then autolog show @last
    """


@app.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def run(
    script: Annotated[list[str], typer.Argument(metavar="SCRIPT [ARGS]")],
) -> None:
    """Run a script, unchanged, and record every training in it.

    Examples:

    autolog run train.py --epochs 3

    autolog run -m package.train

    What stands after SCRIPT or MODULE belongs to it. Exit code, output and tracebacks are the script's own. Work that it hands
    to worker processes is recorded too; programs that it starts are their own.
    """
    from autolog.cli.run import main

    main(script)


for _command in (ls, show, compare, predict, status, sync, export, rm, gc):
    app.command()(_command)
