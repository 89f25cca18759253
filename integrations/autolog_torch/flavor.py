"""Models of PyTorch: the whole module, by `torch.save`; or what `torch.export` made of one, which needs none of its classes.

Folder: `data/model.pt2` of an ExportedProgram. Of a module `data/model.pth`, and `data/pickle_module_info.txt` with the name of
the module that unpickles it: pickle, which also reads what cloudpickle writes. That is taken where a class or function stands
in no importable module. Of a module with parametrizations, which torch does not pickle, `data/state_dict.pth`, as in the format
state_dict.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from autolog.integration import Captured, ModelNotLoaded, ModelNotSaved, pickled

if TYPE_CHECKING:
    from autolog.integration import Source, StagedFile, Staging

FOLDER = "data"
FILE = f"{FOLDER}/model.pth"
EXPORTED = f"{FOLDER}/model.pt2"
STATE = f"{FOLDER}/state_dict.pth"
PICKLER = f"{FOLDER}/pickle_module_info.txt"


def capture(model: Any, staging: Staging, model_format: str | None) -> Captured:
    """`model_format` of a module is pickle, the default, or state_dict; of an ExportedProgram it has no effect."""
    if _is_exported(model):
        return _capture_exported(model, staging)
    if model_format not in (None, "pickle", "state_dict"):
        raise ModelNotSaved(f"model_format {model_format!r} is not one of pickle, state_dict")
    torch: Any = import_module("torch")
    parts: list[Any] = list(model.modules())
    if model_format == "state_dict" or is_parametrized(model):
        _save(model.state_dict(), staging.open(STATE))
        entry = {"model_data": FOLDER, "pytorch_version": str(torch.__version__), "code": None}
        return Captured(entry=entry, python_function=None, modules=frozenset({"torch"}))
    classes: set[type[Any]] = set(map(type, parts))
    by_value = any(_has_no_module(cls) for cls in classes)
    file = staging.open(FILE)
    if not by_value:
        try:
            _save(model, file)
        except (pickle.PicklingError, TypeError, AttributeError):
            file.restart()
            by_value = True
    if by_value:
        cloudpickle = _cloudpickle()
        with pickled.script_by_value(cloudpickle):
            _save(model, file, pickle_module=cloudpickle, pickle_protocol=pickle.HIGHEST_PROTOCOL)
    staging.open(PICKLER).write(b"pickle")  # not a byte more: readers import the module of that name
    # Bases too: a class of the user's own script may be Lightning's, say.
    bases = {base for cls in classes for base in cls.__mro__}
    modules = {base.__module__.partition(".")[0] for base in bases} - {"__main__", "__mp_main__"}
    return Captured(
        entry={"model_data": FOLDER, "pytorch_version": str(torch.__version__), "code": None},
        python_function={"loader_module": "mlflow.pytorch", "data": FOLDER, "pickle_module_name": "pickle"},
        modules=frozenset(modules | {"torch"} | ({"cloudpickle"} if by_value else set())),
    )


def is_parametrized(model: Any) -> bool:
    """Whether torch refuses to pickle the module, as one with weight norm."""
    return any("parametrizations" in part._modules for part in model.modules())


def _is_exported(model: Any) -> bool:
    exporting: Any = sys.modules.get("torch.export")
    return exporting is not None and isinstance(model, exporting.ExportedProgram)


def _capture_exported(program: Any, staging: Staging) -> Captured:
    torch: Any = import_module("torch")
    torch.export.save(program, str(staging.place(EXPORTED)))
    return Captured(
        entry={"model_data": FOLDER, "pytorch_version": str(torch.__version__), "code": None},
        python_function={"loader_module": "mlflow.pytorch", "data": FOLDER},
        modules=frozenset({"torch"}),
    )


class _Writable:
    """What `torch.save` asks of a file that has no path. It is told of no refusal: its writer is C++ and dies of one."""

    def __init__(self, file: StagedFile) -> None:
        self._file = file
        self.refused: ModelNotSaved | None = None

    def write(self, data: bytes | memoryview) -> int:
        if self.refused is None:
            try:
                return self._file.write(data)
            except ModelNotSaved as reason:
                self.refused = reason
        return memoryview(data).nbytes

    def flush(self) -> None:
        pass


def _save(model: Any, file: StagedFile, **how: Any) -> None:
    # Not `torch.save`: tests and tools put a function of their own there, and count its calls.
    serialization: Any = import_module("torch.serialization")
    writable = _Writable(file)
    serialization.save(model, writable, **how)
    if writable.refused is not None:
        raise writable.refused


def _has_no_module(cls: type) -> bool:
    return cls.__module__ in ("__main__", "__mp_main__") or "<" in cls.__qualname__


def _cloudpickle() -> Any:
    try:
        return import_module("cloudpickle")
    except ImportError:
        raise ModelNotSaved(
            "a class of the model stands in no importable module; what helps: pip install cloudpickle"
        ) from None


def load(source: Source, entry: Mapping[str, Any]) -> Any:
    """The module, on the CPU, or the ExportedProgram. Only from a folder that is trusted: there are pickles in both."""
    torch: Any = import_module("torch")
    folder = str(entry.get("model_data") or FOLDER)
    if (source.folder / folder / "model.pt2").exists():
        source.require_trust("an archive of torch.export, with pickles in it")
        with source.open(f"{folder}/model.pt2") as file:
            return import_module("torch.export").load(file)
    if (source.folder / folder / "state_dict.pth").exists():
        raise ModelNotLoaded(
            f"the folder holds a state_dict: make the model, then model.load_state_dict(torch.load('{source.folder / STATE}'))"
        )
    source.require_trust("a pickle")
    with source.open(f"{folder}/model.pth") as file:
        return torch.load(file, map_location="cpu", pickle_module=pickle, weights_only=False)


def predictor(model: Any) -> Callable[[Any], Any]:
    """The module in evaluation mode, of arrays and frames as 32-bit floats, without gradients. Of a DataLoader, what its
    batches are or begin with, one after the other.
    """
    torch: Any = import_module("torch")
    exported = _is_exported(model)
    if exported:
        model = model.module()
    if not isinstance(model, torch.nn.Module):
        raise ModelNotLoaded(f"{type(model).__name__} is no torch module: load it without as_predictor")

    def predict(data: Any) -> Any:
        if isinstance(data, torch.utils.data.DataLoader):
            parts = [predict(one[0] if isinstance(one, (list, tuple)) else one) for one in data]
            return import_module("numpy").concatenate(parts)
        module: Any = model
        values = data.to_numpy() if hasattr(data, "to_numpy") else data
        given = torch.as_tensor(values)
        if given.is_floating_point():
            given = given.to(torch.float32)
        training = module.training
        if not exported:  # which is as it was exported
            module.eval()
        try:
            with torch.no_grad():
                return module(given).numpy()
        finally:
            if not exported:
                module.train(training)

    return predict
