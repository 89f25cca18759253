"""`autolog ui`: shows the runs in a browser."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated

import typer

from autolog.cli.output import UserError, write, write_error
from autolog.cli.store import StoreOption, open_store

MISSING = "The page needs more packages: pip install 'autolog-ml[ui]'"
NEEDED = ("fastapi", "uvicorn", "websockets")


def ui(
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="The port; 0 for any. Default: 8642, or any if it is taken."),
    ] = None,
    host: Annotated[
        str,
        typer.Option(help="The address to listen on. Others than this machine's can be reached by others."),
    ] = "127.0.0.1",
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")
    ] = True,
    store: StoreOption = None,
) -> None:
    """Show the runs in a browser, until Ctrl-C.

    Example:

    autolog ui --no-browser

    Only this machine can open the page, and only by the URL that is printed: it holds a token.
    """
    if any(find_spec(name) is None for name in NEEDED):
        raise UserError(MISSING)
    from autolog.page.guard import is_loopback
    from autolog.page.serve import Server, open_browser

    server = Server(open_store(store), host, port)
    write(f"{server.url}\n")
    import sys

    sys.stdout.flush()
    if not is_loopback(host):
        write_error(
            "Whoever can reach this machine and has this URL, token included, can read, change and remove runs."
        )

    server.run(lambda: open_browser(server.url) if browser else None)
