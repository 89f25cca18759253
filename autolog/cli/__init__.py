"""The command line: `autolog …` and `python -m autolog …`. Reads stores; knows nothing of how they are written."""

from __future__ import annotations

import sys


def main() -> None:
    """The entry point."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["run"] and not {"-h", "--help"} & set(arguments[1:2]):
        # Without the libraries of the other commands, and with nothing around the script that would catch or print.
        from autolog.cli.run import main

        main(arguments[1:])
        return
    _prepare_output()
    from autolog.cli.app import app

    app(prog_name="autolog")


def _prepare_output() -> None:
    import signal
    from typing import Any

    stdout: Any = sys.stdout
    if hasattr(stdout, "reconfigure"):
        stdout.reconfigure(errors="replace")  # where the encoding has no such characters
    if hasattr(signal, "SIGPIPE"):
        # `autolog ls | head` ends quietly, as other commands do; Python's default is an exception.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
