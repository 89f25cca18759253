"""The flavor for models of Keras 3 on any backend, in Keras's own `.keras` format.

The folder holds `data/model.keras`, and `data/keras_module.txt` with the name of the package that reads it. The format holds no
code except Python lambdas. It names the user's classes and functions. Keras itself finds only registered ones, so for a trusted
folder autolog imports the others from the modules that they were in.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any, cast

from autolog.integration import Captured, ModelNotSaved

if TYPE_CHECKING:
    from autolog.integration import Source, Staging

DISTRIBUTIONS = {"tensorflow": ("tensorflow-cpu",)}
FOLDER = "data"
NAME = "model.keras"
MODULE = f"{FOLDER}/keras_module.txt"
_LAMBDA = re.compile(rb'"__lambda__"|"function_type": "lambda"')
"""Lambdas as Keras 3 and Keras 2 write them."""
_UNDEFINED = b"layer was saved without config"
"""The mark of a layer that Keras 2 saves but cannot load."""
_MODULES = re.compile(rb'"module": "([A-Za-z_]\w*)')


def capture(model: Any, staging: Staging, model_format: str | None) -> Captured:
    """Write the model to staging, in the only format."""
    keras: Any = import_module("keras")
    modules = save(keras, model, staging, model_format)
    backend = keras.backend.backend()
    staging.open(MODULE).write(b"keras")
    entry = {
        "data": FOLDER,
        "keras_version": str(keras.__version__),
        "keras_backend": backend,
        "save_exported_model": False,
        "objects": objects_of(model),
    }
    python_function = {"loader_module": "mlflow.keras"}  # MLflow cannot load it with the key `data`
    return Captured(entry, python_function, frozenset(modules | {"keras", backend}))


def save(keras: Any, model: Any, staging: Staging, model_format: str | None, **how: Any) -> set[str]:
    """Write `data/model.keras` by this package's function, and return the top-level modules of its content."""
    if model_format not in (None, "keras"):
        raise ModelNotSaved(f"model_format {model_format!r} is not keras, the only format")
    if not getattr(model, "built", False):
        raise ModelNotSaved(
            "the model was never called, only models inside it"
            if model.weights
            else "it has no weights yet: it was not built"
        )
    # To a path, because older versions write only there. By Keras's function, because a user may override `save`.
    path = staging.place(f"{FOLDER}/{NAME}")
    with _leaving_state():
        keras.models.save_model(model, path, **how)
    with zipfile.ZipFile(path) as archive:
        config = archive.read("config.json")
    if _UNDEFINED in config:
        raise ModelNotSaved("one of its layers has no configuration. Add a get_config method to its class")
    modules = {found.decode() for found in _MODULES.findall(config)}
    return modules - {"builtins", "__main__", "__mp_main__"}


def objects_of(model: Any) -> dict[str, str]:
    """Return the modules of the user's layer classes and functions in the model, by name. Keras keeps only the names of
    functions, and some versions only those of classes.
    """
    compiled = getattr(getattr(model, "_compile_config", None), "config", None)
    # Do not search lists and dicts in layers: a vocabulary may be one.
    layers: list[Any] = list(model._flatten_layers())
    held: list[dict[str, Any]] = [vars(layer) for layer in layers]
    own = [one for layer in held for one in layer.values() if isinstance(one, FunctionType)]
    objects: list[Any] = [*_functions(compiled), *own, *map(type, layers)]
    named = [one for one in objects if one.__name__.isidentifier()]  # no lambdas
    return {one.__name__: one.__module__ for one in named if not _is_keras_own(one.__module__)}


def _functions(held: Any, depth: int = 0) -> Iterator[FunctionType]:
    if isinstance(held, FunctionType):
        yield held
    elif isinstance(held, (dict, list, tuple)) and depth < 4:
        parts = cast("dict[Any, Any]", held).values() if isinstance(held, dict) else cast("list[Any]", held)
        for part in parts:
            yield from _functions(part, depth + 1)


def _is_keras_own(module: str | None) -> bool:
    return module is None or module.partition(".")[0] in ("builtins", "keras", "tf_keras", "tensorflow")


@contextmanager
def while_saving() -> Generator[None, None, None]:
    """Keep Keras 3 from importing TensorFlow or JAX to check the type of each part of a model, which takes seconds. Inside,
    what is not imported counts as not installed.
    """
    asked: Any = sys.modules.get("keras.src.utils.module_utils")
    unused: list[Any] = []
    for name in ("tensorflow", "jax"):
        one: Any = getattr(asked, name, None)
        # Look into `vars`: reading a missing attribute would import the package.
        if (
            one is not None
            and name not in sys.modules
            and "_available" in vars(one)
            and one._available is None
        ):
            unused.append(one)
    for one in unused:
        one._available = False
    try:
        yield
    finally:
        for one in unused:
            one._available = None


@contextmanager
def _leaving_state() -> Generator[None, None, None]:
    """Restore Keras 3's global state after saving, and make saving faster.

    While it saves, Keras creates objects of its base classes and counts them in later objects' names. It repeats that for each
    part of a model, because it reads its cache under another name than it writes it. That takes half of the time of saving a
    small model, so this fills the cache under the other name.
    """
    module: Any = sys.modules.get("keras.src.backend.common.global_state")
    state: dict[str, Any] = (
        {} if module is None else cast("dict[str, Any]", vars(module.GLOBAL_STATE_TRACKER))
    )
    counts: Any = state.get("object_name_uids")
    before = dict(counts or {})
    learnt = {name: one for name, one in state.items() if name.startswith("saving_attr_skipset_")}
    found = {name.replace("skipset", "skiplist"): one for name, one in learnt.items()}
    added = found.keys() - state.keys()
    state.update((name, found[name]) for name in added)
    try:
        yield
    finally:
        for name in added:
            state.pop(name, None)
        if counts is not None:
            counts.clear()
            counts.update(before)


def load(source: Source, entry: Mapping[str, Any]) -> Any:
    """Return the model, compiled as before. A model with lambdas needs a trusted folder."""
    return load_by(import_module("keras"), source, entry)


def load_by(keras: Any, source: Source, entry: Mapping[str, Any]) -> Any:
    """Load a model by this package. See `load`."""
    folder = str(entry.get("data") or FOLDER)
    with source.open(f"{folder}/{NAME}") as file, tempfile.TemporaryDirectory(prefix="autolog-") as place:
        path = Path(place, NAME)
        with path.open("wb") as copy:
            shutil.copyfileobj(file, copy)
        with zipfile.ZipFile(path) as archive:
            config = archive.read("config.json")
            if _LAMBDA.search(config):
                source.require_trust("a model with a Python lambda")
        own = _objects(json.loads(config), entry.get("objects") or {}) if source.trusted else {}
        return keras.models.load_model(str(path), custom_objects=own or None, safe_mode=not source.trusted)


def _objects(config: Any, objects: Mapping[str, str]) -> dict[str, Any]:
    """Import the user's classes and functions of a model, by the names that Keras looks for. The imports run code."""
    found: dict[str, Any] = {}
    for name, module in {*_named(config), *objects.items()}:
        with suppress(ImportError):  # Keras reports what is missing
            one = getattr(import_module(module), name.rpartition(">")[2], None)
            if one is not None:
                found[name] = one
    return found


def _named(config: Any) -> Iterator[tuple[str, str]]:
    """Yield names and modules of the user's classes in a configuration. Registered ones are named `package>name`."""
    if isinstance(config, dict):
        known = cast("dict[str, Any]", config)
        name, module = known.get("class_name"), known.get("module")
        if name and not _is_keras_own(module):
            yield str(known.get("registered_name") or name), str(module)
        config = list(known.values())
    if isinstance(config, list):
        for part in cast("list[Any]", config):
            yield from _named(part)


def predictor(model: Any) -> Callable[[Any], Any]:
    """Return the model's `predict` without its progress bar."""

    def predict(data: Any) -> Any:
        return model.predict(data, verbose=0)

    return predict
