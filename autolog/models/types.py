"""The data that the steps of saving a model hand on. Knows no framework and no folder layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from autolog.models.staging import sizes


class Captured(msgspec.Struct, frozen=True):
    """What a flavor returns for a model whose files it has just written.

    `entry` and `python_function` become `flavors.<name>` and `flavors.python_function` of the MLmodel file; the latter is
    None for a model that predicts nothing. `modules` are the top-level modules needed to load it.
    """

    entry: dict[str, Any]
    python_function: dict[str, Any] | None
    modules: frozenset[str]


class Snapshot(msgspec.Struct, frozen=True):
    """A model as it was at one moment, serialised.

    `files` maps a path in the model folder to its bytes, or to a temporary file that holds them and that `folder.write` moves
    away. `entry`, `python_function` and `modules` are those of `Captured`. `signature` is what `infer_signature` returns,
    `example` is what `example.example_of` says of its files.
    """

    flavor: str
    model_class: str
    files: dict[str, bytes | Path]
    entry: dict[str, Any]
    python_function: dict[str, Any] | None
    modules: frozenset[str]
    signature: dict[str, Any] | None = None
    example: dict[str, Any] | None = None

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(sizes(self.files).values())

    def discard(self) -> None:
        """Delete the temporary files of a snapshot that will not be written."""
        for content in self.files.values():
            if isinstance(content, Path):
                content.unlink(missing_ok=True)
