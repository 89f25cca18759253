"""Loads a model folder, ours or one that mlflow wrote, without importing mlflow.

To load a pickle is to run what is in it. It is done for folders that this user's key vouches for, and for others only when
the caller says so; checked are the very bytes that are then unpickled. Knows no framework.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import tempfile
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

import msgspec

from autolog.models.code import find_again
from autolog.models.errors import DamagedModel, ModelError, ModelNotLoaded, NoUserKey, UntrustedModel
from autolog.models.flavors import Flavor, find
from autolog.models.folder import signed_message
from autolog.models.payload import MEMORY_LIMIT, chunks
from autolog.models.predictor import Predictor
from autolog.models.trust import user_key, verify

Json = dict[str, Any]

_ADDRESS = re.compile(r"[a-z][a-z0-9+-]+:/", re.IGNORECASE)


class Source:
    """A model folder as a flavor's loader sees it.

    `trusted` says whether code from it may run: it was signed with this user's key, or the caller answers for it.
    """

    def __init__(self, folder: Path, flavor: str, mlmodel: Json, *, trust: bool) -> None:
        self.folder = folder
        ours = _mapping(_mapping(mlmodel.get("metadata")).get("autolog"))
        self._files = _mapping(ours.get("files"))
        self._sworn = trust
        self._problem = "" if trust else _problem(flavor, mlmodel, ours, self._files)
        self.trusted = not self._problem

    def require_trust(self, what: str) -> None:
        """Raises UntrustedModel unless code from the folder may run. `what` the folder holds, with its article."""
        if not self.trusted:
            raise UntrustedModel(
                f"The model in {self.folder} is {what}: loading it runs whatever code is in it, and {self._problem}. "
                "If you trust whoever made it, load it with trust=True."
            )

    def open(self, name: str) -> BinaryIO:
        """A private copy of a file in the folder, checked against the checksum taken when it was saved. What happens to the
        file in the folder from now on does not reach the copy.
        """
        path = self._inside(name)
        recorded = self._files.get(name)
        if recorded is None and self.trusted and not self._sworn:
            raise UntrustedModel(f"The file {name} in {self.folder} was not there when the model was signed")
        try:
            copy, digest = _private_copy(self.folder / path)
        except FileNotFoundError:
            raise DamagedModel(f"The model in {self.folder} lacks its file {name}") from None
        if recorded is not None and _mapping(recorded).get("sha256") != digest:
            copy.close()
            raise DamagedModel(
                f"The file {name} in {self.folder} is not what was saved: its checksum differs"
            )
        return copy

    def checked_folder(self, name: str) -> Path:
        """A folder of files that its library reads by itself, each checked as `open` checks one. What happens to them from now
        on does reach the reader: not for a format that holds code.
        """
        folder = self.folder / self._inside(name)
        there = (path for path in folder.rglob("*") if path.is_file())
        names = {path.relative_to(self.folder).as_posix() for path in there}
        for file in sorted(names | {file for file in self._files if file.startswith(f"{name}/")}):
            self.open(file).close()
        return folder

    def read_below(self, name: str) -> dict[str, bytes]:
        """The Python sources in a folder, by their paths in it, each checked as `open` checks one."""
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
    """Why the folder is not trusted, as the end of a sentence; empty if it is."""
    signature = ours.get("signature")
    if not isinstance(signature, str):
        return "it is not signed"
    try:
        key = user_key()
    except NoUserKey as error:
        return f"it cannot be checked that you made it ({error})"
    entry = _mapping(_mapping(mlmodel.get("flavors")).get(flavor))
    if not verify(signed_message(flavor, entry, files), signature, key):
        return "it was signed with another key than yours, or changed since"
    return ""


def _private_copy(path: Path) -> tuple[BinaryIO, str]:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        small = os.fstat(file.fileno()).st_size <= MEMORY_LIMIT
        # A temporary file has no name that anyone else could open it by.
        copy = cast("BinaryIO", io.BytesIO() if small else tempfile.TemporaryFile())  # noqa: SIM115
        for chunk in chunks(file):
            digest.update(chunk)
            copy.write(chunk)
    copy.seek(0)
    return copy, digest.hexdigest()


def load_model(folder: str | os.PathLike[str], *, trust: bool = False, as_predictor: bool = False) -> Any:
    """The native model in a model folder, or with `as_predictor` a Predictor around it.

    A pickle is loaded only if this user's key vouches for the folder or `trust` is true: UntrustedModel otherwise, before
    anything of it is read. Every other failure is a ModelError too, warnings are the framework's own.
    """
    folder = Path(folder)
    try:
        mlmodel = read_mlmodel(folder)
        name, flavor, entry = _native(folder, mlmodel)
        source = Source(folder, name, mlmodel, trust=trust)
        if source.trusted and isinstance(entry.get("code"), str):
            find_again(source.read_below(entry["code"]), folder)
        model = flavor.load(source, entry)
        if as_predictor:
            return Predictor(model, flavor.predictor(model), _signature(mlmodel))
        return model
    except ModelError:
        raise
    except ImportError as error:
        raise ModelNotLoaded(f"The model in {folder} needs a module that is not here: {error}") from error
    except Exception as error:
        raise ModelNotLoaded(
            f"The model in {folder} cannot be loaded: {type(error).__name__}: {error}"
        ) from error


def folder_of(place: str | os.PathLike[str], path: str) -> Path | None:
    """The model folder that `place` means, None if it may be a run's name: a model folder, the MLmodel file in one, or a folder
    that has a model folder called `path`. What is given as a Path is always one.
    """
    text: str = os.path.expanduser(os.fspath(place))
    if _ADDRESS.match(text):
        raise ModelNotLoaded(
            f"{text} is no folder of this machine. Bring the model here, as by "
            f"`mlflow artifacts download --artifact-uri {text}`, and give its folder."
        )
    folder = Path(text)
    for candidate in (folder, folder / path):
        if (candidate / "MLmodel").is_file():
            return candidate
    if folder.name == "MLmodel" and folder.is_file():
        return folder.parent
    return folder if not isinstance(place, str) else None


def read_mlmodel(folder: Path) -> Json:
    """The content of a folder's MLmodel file. ModelNotLoaded if there is none or it cannot be read."""
    path = folder / "MLmodel"
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        what = (
            "it has no MLmodel file"
            if folder.is_dir()
            else "it is a file"
            if folder.exists()
            else "there is none"
        )
        raise ModelNotLoaded(f"{folder} is no model folder: {what}") from None
    try:
        mlmodel: Any = msgspec.json.decode(data)
    except msgspec.DecodeError:
        mlmodel = _read_yaml(path, data)
    if not isinstance(mlmodel, dict) or not isinstance(cast("Json", mlmodel).get("flavors"), dict):
        raise ModelNotLoaded(f"{path} is not readable as an MLmodel file")
    return cast("Json", mlmodel)


def _read_yaml(path: Path, data: bytes) -> Any:
    try:
        yaml: Any = import_module("yaml")
    except ImportError:
        raise ModelNotLoaded(
            f"{path} was not written by autolog and takes PyYAML to read: pip install pyyaml"
        ) from None
    try:
        return yaml.safe_load(data)
    except yaml.YAMLError:
        return None


def _native(folder: Path, mlmodel: Json) -> tuple[str, Flavor, Json]:
    names = [str(name) for name in mlmodel["flavors"] if name != "python_function"]
    for name in names:
        try:
            return name, find(name), _mapping(mlmodel["flavors"][name])
        except ModelError:
            continue
    raise ModelNotLoaded(
        f"The model in {folder} is of a kind that cannot be loaded here: {', '.join(names) or 'unknown'}"
    )


def _signature(mlmodel: Json) -> Json:
    """`inputs` and `outputs` as lists, each None where the folder says nothing."""
    texts = _mapping(mlmodel.get("signature"))
    return {key: msgspec.json.decode(texts[key]) if texts.get(key) else None for key in ("inputs", "outputs")}


def _mapping(value: Any) -> Json:
    return cast("Json", value) if isinstance(value, dict) else {}
