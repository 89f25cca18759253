"""Models of Keras 3, on any backend, in its own `.keras` format.

Folder: `data/model.keras`, and `data/keras_module.txt` with the name of the package that reads it. The format holds no code but
that of Python's lambdas; classes and functions of the user's are looked for where they were when it was saved.
"""

from __future__ import annotations

import re
import sys
import tempfile
import zipfile
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autolog.models.errors import ModelNotSaved
from autolog.models.flavors import Captured
from autolog.models.payload import chunks

if TYPE_CHECKING:
    from autolog.models.load import Source
    from autolog.models.payload import Spool

FOLDER = "data"
NAME = "model.keras"
MODULE = f"{FOLDER}/keras_module.txt"
_LAMBDA = re.compile(rb'"__lambda__"|"function_type": "lambda"')
"""Of Keras 3, of Keras 2."""
_MODULES = re.compile(rb'"module": "([A-Za-z_]\w*)')


def capture(model: Any, spool: Spool, model_format: str | None) -> Captured:
    """See `flavors.Flavor.capture`. There is one format."""
    keras: Any = import_module("keras")
    modules = save(keras, model, spool, model_format)
    backend = keras.backend.backend()
    spool.open(MODULE).write(b"keras")
    entry = {
        "data": FOLDER,
        "keras_version": str(keras.__version__),
        "keras_backend": backend,
        "save_exported_model": False,
    }
    python_function = {"loader_module": "mlflow.keras"}  # with `data` it could not be loaded
    return Captured(entry, python_function, frozenset(modules | {"keras", backend}))


def save(keras: Any, model: Any, spool: Spool, model_format: str | None, **how: Any) -> set[str]:
    """Write `data/model.keras` by this package's function; the top-level modules of what is in it."""
    if model_format not in (None, "keras"):
        raise ModelNotSaved(f"model_format {model_format!r} is not keras")
    if not getattr(model, "built", False):
        raise ModelNotSaved("it has no weights yet: it was not built")
    # To a path: older versions write nowhere else. By Keras's function, whatever a user's `save` does.
    path = spool.place(f"{FOLDER}/{NAME}")
    with _importing_nothing():
        keras.models.save_model(model, path, **how)
    with zipfile.ZipFile(path) as archive:
        modules = {found.decode() for found in _MODULES.findall(archive.read("config.json"))}
    return modules - {"builtins", "__main__", "__mp_main__"}


@contextmanager
def _importing_nothing() -> Generator[None, None, None]:
    """Keras 3 asks of each part of a model whether it is TensorFlow's or JAX's, and would import what nobody here uses: that
    takes seconds. Inside, what has not been imported counts as not installed.
    """
    asked: Any = sys.modules.get("keras.src.utils.module_utils")
    unused: list[Any] = []
    for name in ("tensorflow", "jax"):
        one: Any = getattr(asked, name, None)
        # Not by the attribute: one that is not there would make it import.
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


def load(source: Source, entry: Mapping[str, Any]) -> Any:
    """The model, compiled as it was. Of a folder that is not trusted without lambdas: Keras refuses such a model."""
    return load_by(import_module("keras"), source, entry)


def load_by(keras: Any, source: Source, entry: Mapping[str, Any]) -> Any:
    """The same, by this package."""
    folder = str(entry.get("data") or FOLDER)
    with source.open(f"{folder}/{NAME}") as file, tempfile.TemporaryDirectory(prefix="autolog-") as place:
        path = Path(place, NAME)
        with path.open("wb") as copy:
            for chunk in chunks(file):
                copy.write(chunk)
        with zipfile.ZipFile(path) as archive:
            if _LAMBDA.search(archive.read("config.json")):
                source.require_trust("a model with a lambda of Python's")
        return keras.models.load_model(str(path), safe_mode=not source.trusted)


def predictor(model: Any) -> Callable[[Any], Any]:
    """The model's `predict`, without its progress bar."""

    def predict(data: Any) -> Any:
        return model.predict(data, verbose=0)

    return predict
