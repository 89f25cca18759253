"""A model folder as a flavor's loader sees it: which of its files may be read, and whether the code in them may run.

Loading a pickle runs the code in it. This is done for folders that this user's key vouches for, and for others only if the
caller says so. The bytes that are checked are the very bytes that are unpickled. Knows no framework.
"""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from autolog.models.errors import DamagedModel, ModelNotLoaded, NoUserKey, UntrustedModel
from autolog.models.staging import MEMORY_LIMIT, chunks
from autolog.models.trust import signed_message, user_key, verify

Json = dict[str, Any]


class Source:
    """A model folder as a flavor's loader sees it.

    `trusted` says whether code from it may run: it was signed with this user's key, or the caller vouches for it.
    """

    def __init__(self, folder: Path, flavor: str, mlmodel: Json, *, trust: bool) -> None:
        self.folder = folder
        ours = mapping(mapping(mlmodel.get("metadata")).get("autolog"))
        self._files = mapping(ours.get("files"))
        self._sworn = trust
        self._problem = "" if trust else _problem(flavor, mlmodel, ours, self._files)
        self.trusted = not self._problem

    def require_trust(self, what: str) -> None:
        """Raise UntrustedModel unless code from the folder may run. `what` names what the folder holds, with its article."""
        if not self.trusted:
            raise UntrustedModel(
                f"The model in {self.folder} is {what}: loading it runs whatever code is in it, and {self._problem}. "
                "If you trust whoever made it, load it with trust=True."
            )

    def open(self, name: str) -> BinaryIO:
        """Return a private copy of a file in the folder, checked against the checksum taken when it was saved. Later changes to
        the file in the folder do not reach the copy.
        """
        path = self._inside(name)
        recorded = self._files.get(name)
        if recorded is None and self.trusted and not self._sworn:
            raise UntrustedModel(f"The file {name} in {self.folder} was not there when the model was signed")
        try:
            copy, digest = _private_copy(self.folder / path)
        except FileNotFoundError:
            raise DamagedModel(f"The model in {self.folder} lacks its file {name}") from None
        if recorded is not None and mapping(recorded).get("sha256") != digest:
            copy.close()
            raise DamagedModel(
                f"The file {name} in {self.folder} is not what was saved: its checksum differs"
            )
        return copy

    def checked_folder(self, name: str) -> Path:
        """Return a folder of files that its library reads by itself, each checked as `open` checks one. Later changes to them
        do reach the reader, so this is not for a format that holds code.
        """
        folder = self.folder / self._inside(name)
        there = (path for path in folder.rglob("*") if path.is_file())
        names = {path.relative_to(self.folder).as_posix() for path in there}
        for file in sorted(names | {file for file in self._files if file.startswith(f"{name}/")}):
            self.open(file).close()
        return folder

    def read_below(self, name: str) -> dict[str, bytes]:
        """Return the Python sources in a folder, by their paths in it, each checked as `open` checks one."""
        folder = self.folder / self._inside(name)
        found: dict[str, bytes] = {}
        for path in sorted(folder.rglob("*.py")):
            with self.open(path.relative_to(self.folder).as_posix()) as file:
                found[path.relative_to(folder).as_posix()] = file.read()
        return found

    def _inside(self, name: str) -> PurePosixPath:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or os.path.splitdrive(name)[0]:
            raise ModelNotLoaded(
                f"The MLmodel file in {self.folder} names a file outside of its folder: {name}"
            )
        return path


def _problem(flavor: str, mlmodel: Json, ours: Json, files: Json) -> str:
    """Return why the folder is not trusted, as the end of a sentence; "" if it is."""
    signature = ours.get("signature")
    if not isinstance(signature, str):
        return "it is not signed"
    try:
        key = user_key()
    except NoUserKey as error:
        return f"it cannot be checked that you made it ({error})"
    entry = mapping(mapping(mlmodel.get("flavors")).get(flavor))
    if not verify(signed_message(flavor, entry, files), signature, key):
        return "it was signed with another key than yours, or changed since"
    return ""


def _private_copy(path: Path) -> tuple[BinaryIO, str]:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        small = os.fstat(file.fileno()).st_size <= MEMORY_LIMIT
        # A temporary file has no name by which anyone else could open it.
        copy = cast("BinaryIO", io.BytesIO() if small else tempfile.TemporaryFile())  # noqa: SIM115
        for chunk in chunks(file):
            digest.update(chunk)
            copy.write(chunk)
    copy.seek(0)
    return copy, digest.hexdigest()


def mapping(value: Any) -> Json:
    """Return the value if it is a mapping, else an empty one."""
    return cast("Json", value) if isinstance(value, dict) else {}
