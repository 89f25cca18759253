"""The command line: `autolog …` and `python -m autolog …`. It reads stores and does not know how they are written."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command that `sys.argv` names. This is the entry point."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["run"] and not {"-h", "--help"} & set(arguments[1:2]):
        # The user's script shares this process: load no library of the other commands, catch and print nothing around it.
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
        stdout.reconfigure(errors="replace")  # not every encoding has the characters of charts
    if hasattr(signal, "SIGPIPE"):
        # `autolog ls | head` ends without a message, as other commands do. By default, Python raises BrokenPipeError.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
