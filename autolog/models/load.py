"""Loads a model folder, ours or one that mlflow wrote, without importing mlflow. Knows no framework."""

from __future__ import annotations

import os
import re
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import msgspec

from autolog.models.code import find_again
from autolog.models.errors import ModelError, ModelNotLoaded
from autolog.models.flavors import Flavor, find
from autolog.models.predictor import Predictor
from autolog.models.source import Json, Source, mapping

_ADDRESS = re.compile(r"[a-z][a-z0-9+-]+:/", re.IGNORECASE)


def load_model(folder: str | os.PathLike[str], *, trust: bool = False, as_predictor: bool = False) -> Any:
    """Return the native model in a model folder, or with `as_predictor` a Predictor around it.

    A pickle is loaded only if this user's key vouches for the folder or `trust` is true; otherwise this raises UntrustedModel
    before it reads the pickle. Every other failure is a ModelError too. Warnings are the framework's own.
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
    """Return the model folder that `place` means: a model folder, the MLmodel file in one, or a folder that has a model folder
    called `path`. Return None if `place` may be a run's name; a Path never is.
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
    """Return the content of a folder's MLmodel file. Raises ModelNotLoaded if there is none or it cannot be read."""
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
            return name, find(name), mapping(mlmodel["flavors"][name])
        except ModelError:
            continue
    raise ModelNotLoaded(
        f"The model in {folder} is of a kind that cannot be loaded here: {', '.join(names) or 'unknown'}"
    )


def _signature(mlmodel: Json) -> Json:
    """Return `inputs` and `outputs` as lists, each None where the folder says nothing."""
    texts = mapping(mlmodel.get("signature"))
    return {key: msgspec.json.decode(texts[key]) if texts.get(key) else None for key in ("inputs", "outputs")}
