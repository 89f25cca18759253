"""Pickled models, for every framework without a format of its own: by pickle, by cloudpickle if a class or function is in no
importable module, or by skops when asked for. Knows no framework.

`PickleFlavor("toy")` is a whole flavor. A flavor that writes more than a pickle uses `dump`, `load` and `predictor`; one
with a pickle of its own, by cloudpickle, `script_by_value` around it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from autolog.models.by_value import script_by_value
from autolog.models.errors import ModelNotLoaded, ModelNotSaved, UntrustedModel
from autolog.models.types import Captured

if TYPE_CHECKING:
    from autolog.models.source import Source
    from autolog.models.staging import Staging

__all__ = ["FORMATS", "PickleFlavor", "dump", "load", "predictor", "predicts", "script_by_value"]

FORMATS = ("pickle", "cloudpickle", "skops")


def dump(model: Any, staging: Staging, model_format: str | None) -> tuple[str, dict[str, Any], set[str]]:
    """Write a model. Return the file's name, what a loader must know of it, and the modules that it needs.

    `model_format` is one of FORMATS; pickle, the default, becomes cloudpickle where necessary.
    """
    if model_format == "skops":
        return "model.skops", *_dump_skops(model, staging, "model.skops")
    if model_format not in (None, *FORMATS):
        raise ModelNotSaved(f"model_format {model_format!r} is not one of {', '.join(FORMATS)}")
    from autolog.models.pickling import dump

    file = staging.open("model.pkl")
    serialization_format, modules = dump(model, file, by_value=model_format == "cloudpickle")
    return "model.pkl", {"serialization_format": serialization_format}, modules


def _dump_skops(model: Any, staging: Staging, name: str) -> tuple[dict[str, Any], set[str]]:
    skops = _skops("saved", ModelNotSaved)
    file = staging.open(name)
    skops.dump(model, file)
    content = file.content()
    where = {"data": content} if isinstance(content, bytes) else {"file": content}
    types: list[str] = skops.get_untrusted_types(**where)
    # mlflow loads no type that skops does not know, unless it is named here.
    entry = {"serialization_format": "skops", "skops_trusted_types": types}
    return entry, {"skops", *(type_name.partition(".")[0] for type_name in types)}


def load(source: Source, name: str, serialization_format: Any, harmless: tuple[str, ...] = ()) -> Any:
    """Load the model that `dump` wrote. A pickle is loaded only if the folder is trusted. A skops file is loaded with the types
    that
    skops trusts and the classes whose names begin with one of `harmless`; with all its types if the folder is trusted.
    """
    if serialization_format == "skops":
        return _load_skops(source, name, harmless)
    source.require_trust("a pickle")
    import pickle

    with source.open(name) as file:
        return pickle.load(file)


def _load_skops(source: Source, name: str, harmless: tuple[str, ...]) -> Any:
    skops = _skops("loaded", ModelNotLoaded)
    with source.open(name) as file:
        types: list[str] = skops.get_untrusted_types(file=file)
        unknown = [one for one in types if not _is_class_of(one, harmless)]
        if unknown and not source.trusted:
            raise UntrustedModel(
                f"The model in {source.folder} holds types that skops does not know: {', '.join(unknown)}. "
                "If you trust whoever made it, load it with trust=True."
            )
        file.seek(0)
        return skops.load(file, trusted=types)


def _is_class_of(type_name: str, prefixes: tuple[str, ...]) -> bool:
    """Return whether this is the name of a class, not of a function, and begins with one of these. Making an object of the
    class, or calling the class, must not run code or open files that the folder chooses, as numpy.memmap would.
    """
    module_name, _, name = type_name.rpartition(".")
    if not type_name.startswith(prefixes) or any("test" in part for part in module_name.split(".")):
        return False
    try:
        kind: Any = getattr(import_module(module_name), name)
    except Exception:
        return False
    # Its own name must match as well: a module may hold what it has imported.
    return isinstance(kind, type) and f"{kind.__module__}.{kind.__qualname__}".startswith(prefixes)


def _skops(done: str, error: type[Exception]) -> Any:
    try:
        return import_module("skops.io")
    except ImportError:
        raise error(
            f"skops is not installed, so it cannot be {done} in that format: pip install skops"
        ) from None


def predicts(model: Any) -> bool:
    """Return whether the model has a `predict`."""
    try:
        return callable(getattr(model, "predict", None))
    except Exception:  # a user's property that fails
        return False


def predictor(model: Any) -> Callable[[Any], Any]:
    """Return the model's `predict`. Raises ModelNotLoaded if there is none."""
    predict: Callable[[Any], Any] | None = getattr(model, "predict", None)
    if predict is None:
        raise ModelNotLoaded(f"{type(model).__name__} has no predict: load it without as_predictor")
    return predict


class PickleFlavor:
    """The flavor of a framework whose models are pickled; see `flavors.Flavor`.

    `package` is the framework's module. `harmless` are beginnings of the names of classes that a skops file may hold, whoever
    made it.
    """

    def __init__(self, package: str, harmless: tuple[str, ...] = ()) -> None:
        self.package = package
        self.harmless = harmless

    def capture(self, model: Any, staging: Staging, model_format: str | None) -> Captured:
        name, entry, modules = dump(model, staging, model_format)
        return Captured({**entry, "data": name}, None, frozenset(modules | {self.package}))

    def load(self, source: Source, entry: Mapping[str, Any]) -> Any:
        return load(source, str(entry.get("data")), entry.get("serialization_format"), self.harmless)

    def predictor(self, model: Any) -> Callable[[Any], Any]:
        return predictor(model)
