"""The page in a notebook: `autolog.ui()` shows it below the cell. Knows nothing of what it shows."""

from __future__ import annotations

import os
from html import escape

from autolog.store.layout import Layout, find


class Shown:
    """The page of a store; a notebook shows it in a frame, and Python prints its URL."""

    def __init__(self, url: str, height: int) -> None:
        self.url = url
        self._height = height

    def __repr__(self) -> str:
        return self.url

    def _repr_html_(self) -> str:
        return (
            f'<iframe src="{escape(self.url)}" width="100%" height="{self._height}" style="border: 0" title="autolog">'
            "</iframe>"
        )


def ui(*, store: str | os.PathLike[str] | None = None, height: int = 700) -> Shown:
    """Show the recorded runs in a notebook, below the cell. `store` is another store's folder; `height` is in pixels.

    A process has one server for each store; it ends with the process. Raises ImportError without the extra `ui`, and OSError if
    no port can be used.
    """
    try:
        from autolog.page.serve import in_background
    except ImportError:
        raise ImportError("The page needs more packages: pip install 'autolog-ml[ui]'") from None
    from autolog import process
    from autolog.store.records import Store

    here = process.get()
    if here is not None:
        here.flush(10.0)
    layout = Layout(store) if store is not None else here.layout if here is not None else find()
    server = in_background(
        Store(layout, here.output.write) if here is not None and store is None else Store(layout)
    )
    # The name that notebooks have: for the browser, a frame of 127.0.0.1 would be another site, which keeps no cookie.
    return Shown(f"http://localhost:{server.port}/?token={server.token}", height)
