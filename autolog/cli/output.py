"""The output of commands: styled tables on a terminal, plain aligned text in a pipe or file, or JSON.

This module does not know runs. Text may come from strangers, so markup and control characters in it have no effect.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import IO, Any, NamedTuple, cast

from autolog.cli.text import clean, clean_json
from autolog.tracking.values import clean_lines


class UserError(Exception):
    """The command cannot do what the user asks. The message is one line for the user."""


@contextmanager
def destination(path: str | None) -> Generator[IO[bytes], None, None]:
    """Open the file that a command writes, or standard output. An existing file is replaced only by a complete one."""
    if path is None:
        yield cast("IO[bytes]", _Screen()) if sys.stdout.isatty() else sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    from autolog.tracking.run import atomic_write

    with atomic_write(os.path.expanduser(path)) as draft, open(draft, "wb") as file:
        yield file


class _Screen(io.RawIOBase):
    """Standard output on a terminal: escapes control characters. Each write must consist of whole lines."""

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        lines = bytes(data).decode("utf-8", "backslashreplace").replace("\r\n", "\n")
        sys.stdout.buffer.write(clean_lines(lines).encode())
        return len(data)


class Column(NamedTuple):
    """A table's column. `right`: align right. `style`: a style of rich, or `status`. `wraps`: fold long text."""

    title: str
    right: bool = False
    style: str = ""
    wraps: bool = False


STATUS_STYLES = {
    "running": "cyan",
    "finished": "green",
    "failed": "red",
    "interrupted": "yellow",
    "lost": "yellow",
}


class Page:
    """One command's output. `terminal` says whether standard output is a terminal."""

    def __init__(self) -> None:
        self.terminal = sys.stdout.isatty()
        self.width = shutil.get_terminal_size().columns if self.terminal else 100
        self._console: Any = None
        if self.terminal:
            from rich.console import Console

            self._console = Console(highlight=False, markup=False, emoji=False, soft_wrap=False)

    def line(self, text: str = "", style: str = "") -> None:
        """Print one line."""
        if self._console is not None:
            self._console.print(clean(text), style=style or None, soft_wrap=True)
        else:
            write(f"{clean(text)}\n")

    def title(self, text: str) -> None:
        """Print the title of a section, after an empty line."""
        self.line()
        self.line(text, "bold")

    def table(
        self, columns: Sequence[Column], rows: Iterable[Sequence[str]], *, head: bool = True, indent: int = 0
    ) -> None:
        """Print a table. `head` says whether to print the columns' titles."""
        columns = [column._replace(title=clean(column.title)) for column in columns]
        cells = [[clean(cell) for cell in row] for row in rows]
        if self._console is not None:
            self._rich_table(columns, cells, head, indent)
            return
        lines = [[column.title for column in columns], *cells] if head else cells
        widths = [max((len(row[place]) for row in lines), default=0) for place in range(len(columns))]
        for row in lines:
            parts = [
                cell.rjust(width) if column.right else cell.ljust(width)
                for column, cell, width in zip(columns, row, widths, strict=True)
            ]
            write(f"{' ' * indent}{'  '.join(parts).rstrip()}\n")

    def _rich_table(self, columns: Sequence[Column], cells: list[list[str]], head: bool, indent: int) -> None:
        from rich.padding import Padding
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, show_header=head, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        for column in columns:
            table.add_column(
                column.title, justify="right" if column.right else "left", no_wrap=not column.wraps,
                style="" if column.style == "status" else column.style, overflow="fold" if column.wraps else "ellipsis",
            )  # fmt: skip
        for row in cells:
            table.add_row(
                *(
                    Text(cell, style=STATUS_STYLES.get(cell, "") if column.style == "status" else "")
                    for column, cell in zip(columns, row, strict=True)
                )
            )
        self._console.print(Padding(table, (0, 0, 0, indent), expand=False))


def write(text: str) -> None:
    """Write text to standard output, unchanged."""
    sys.stdout.write(text)


def write_json(value: Any) -> None:
    """Write indented JSON in UTF-8. Control characters become JSON escapes."""
    import msgspec

    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    sys.stdout.flush()
    sys.stdout.buffer.write(clean_json(text).encode() + b"\n")
    sys.stdout.buffer.flush()


def write_error(text: str) -> None:
    """Write a line to standard error."""
    sys.stderr.write(f"{clean_lines(text)}\n")
    sys.stderr.flush()


def ask(question: str) -> bool:
    """Ask a yes-or-no question on the terminal. Any answer but "y" or "yes" is a no."""
    sys.stderr.write(f"{clean(question)} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
