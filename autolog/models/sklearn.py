"""Models of scikit-learn, and of everything that follows its conventions: pickle, or skops when asked for.

Folder: `model.pkl` (pickle protocol 5; cloudpickle where a class or function stands in no importable module) or
`model.skops`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from autolog.models.errors import ModelNotLoaded, ModelNotSaved, UntrustedModel
from autolog.models.flavors import Captured

if TYPE_CHECKING:
    from autolog.models.load import Source
    from autolog.models.payload import Spool

FORMATS = ("pickle", "cloudpickle", "skops")

_HARMLESS = ("sklearn.", "scipy.sparse.", "scipy.interpolate.", "numpy.dtype")
_ALWAYS = frozenset(("sklearn", "numpy", "scipy", "joblib"))


def capture(model: Any, spool: Spool, model_format: str | None) -> Captured:
    """See `flavors.Flavor.capture`. `model_format` is one of FORMATS; pickle turns into cloudpickle where it has to.

    The first use of skops imports nearly all of scikit-learn: about half a second.
    """
    name, entry, modules = dump(model, spool, model_format)
    entry |= {
        "pickled_model": name,
        "sklearn_version": import_module("sklearn").__version__,
        "code": None,
    }
    python_function = {"loader_module": "mlflow.sklearn", "model_path": name, "predict_fn": "predict"}
    return Captured(
        entry=entry,
        python_function=python_function if _predicts(model) else None,
        modules=_ALWAYS | modules,
    )


def dump(model: Any, spool: Spool, model_format: str | None) -> tuple[str, dict[str, Any], set[str]]:
    """Writes an estimator, of any framework: the file's name, what a loader must know of it, and the modules it needs."""
    if model_format == "skops":
        return "model.skops", *_dump_skops(model, spool, "model.skops")
    if model_format not in (None, *FORMATS):
        raise ModelNotSaved(f"model_format {model_format!r} is not one of {', '.join(FORMATS)}")
    from autolog.models.pickling import dump

    file = spool.open("model.pkl")
    serialization_format, modules = dump(model, file, by_value=model_format == "cloudpickle")
    return "model.pkl", {"serialization_format": serialization_format}, modules


def _predicts(model: Any) -> bool:
    try:
        return callable(getattr(model, "predict", None))
    except Exception:  # a property of the user's that fails
        return False


def _dump_skops(model: Any, spool: Spool, name: str) -> tuple[dict[str, Any], set[str]]:
    skops = _skops("saved", ModelNotSaved)
    file = spool.open(name)
    skops.dump(model, file)
    content = file.content()
    where = {"data": content} if isinstance(content, bytes) else {"file": content}
    types: list[str] = skops.get_untrusted_types(**where)
    # mlflow loads no type that skops does not know, unless it is named here.
    entry = {"serialization_format": "skops", "skops_trusted_types": types}
    return entry, {"skops", *(type_name.partition(".")[0] for type_name in types)}


def load(source: Source, entry: Mapping[str, Any]) -> Any:
    """The estimator. A skops file is loaded with the types that skops trusts and scikit-learn's own classes, all its types if
    the folder is trusted; a pickle only if it is.
    """
    return read(source, str(entry.get("pickled_model")), entry.get("serialization_format"))


def read(source: Source, name: str, serialization_format: Any, harmless: tuple[str, ...] = ()) -> Any:
    """What `dump` wrote. `harmless` are types of another framework's that a skops file may hold whoever made it."""
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
        unknown = [t for t in types if t not in harmless and not _is_harmless_class(t)]
        if unknown and not source.trusted:
            raise UntrustedModel(
                f"The model in {source.folder} holds types that skops does not know: {', '.join(unknown)}. "
                "If you trust whoever made it, load it with trust=True."
            )
        file.seek(0)
        return skops.load(file, trusted=types)


def _is_harmless_class(type_name: str) -> bool:
    """Whether the name is a class, not a function, of those that fitted estimators are made of: trees, kernels, distance
    metrics, sparse matrices. Neither making such an object nor calling such a class runs code or opens files of the
    folder's choosing, as numpy.memmap would.
    """
    module_name, _, name = type_name.rpartition(".")
    if not type_name.startswith(_HARMLESS) or any("test" in part for part in module_name.split(".")):
        return False
    try:
        kind: Any = getattr(import_module(module_name), name)
    except Exception:
        return False
    # By its own name as well: a module may hold what it has imported.
    return isinstance(kind, type) and f"{kind.__module__}.{kind.__qualname__}".startswith(_HARMLESS)


def _skops(done: str, error: type[Exception]) -> Any:
    try:
        return import_module("skops.io")
    except ImportError:
        raise error(
            f"skops is not installed, so it cannot be {done} in that format: pip install skops"
        ) from None


def predictor(model: Any) -> Callable[[Any], Any]:
    """The estimator's `predict`."""
    predict: Callable[[Any], Any] | None = getattr(model, "predict", None)
    if predict is None:
        raise ModelNotLoaded(f"{type(model).__name__} has no predict: load it without as_predictor")
    return predict
