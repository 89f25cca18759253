"""Models of PyTorch: whole modules, by `torch.save`.

Folder: `data/model.pth`, and beside it `data/pickle_module_info.txt`, which names the module that mlflow unpickles it with.
The classes of a user's own script are pickled with their code, by cloudpickle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from autolog.models.errors import ModelNotLoaded
from autolog.models.flavors import Captured

if TYPE_CHECKING:
    from autolog.models.load import Source
    from autolog.models.payload import Spool

DATA, MODEL, PICKLED_WITH = "data", "data/model.pth", "data/pickle_module_info.txt"


def capture(model: Any, spool: Spool, model_format: str | None) -> Captured:
    """See `flavors.Flavor.capture`. The weights are copied as they are, from whatever device, in one pass."""
    torch: Any = import_module("torch")
    torch.save(model, spool.open(MODEL), pickle_module=_pickle_module())
    spool.open(PICKLED_WITH).write(b"pickle")  # what cloudpickle has written is plain pickle to a reader
    classes = {cls for part in model.modules() for cls in type(part).__mro__}
    modules = {str(cls.__module__).partition(".")[0] for cls in classes}
    return Captured(
        entry={"model_data": DATA, "pytorch_version": str(torch.__version__), "code": None},
        python_function={"loader_module": "mlflow.pytorch", "data": DATA, "pickle_module_name": "pickle"},
        modules=frozenset(modules - {"__main__", "__mp_main__"} | {"torch", "cloudpickle"}),
    )


class _CloudPickle:
    """cloudpickle as `torch.save` wants it: its own `Pickler` is the plain one."""

    def __init__(self, cloudpickle: Any) -> None:
        self.__name__ = "cloudpickle"
        self.Pickler = cloudpickle.CloudPickler


def _pickle_module() -> Any:
    try:
        return _CloudPickle(import_module("cloudpickle"))
    except ImportError:
        return import_module("pickle")


def load(source: Source, entry: Mapping[str, Any]) -> Any:
    """The module, on the CPU, in evaluation mode."""
    source.require_trust("a pickle")
    torch: Any = import_module("torch")
    with source.open(f"{entry.get('model_data', DATA)}/model.pth") as file:
        model = torch.load(file, map_location="cpu", weights_only=False)
    return model.eval()


def predictor(model: Any) -> Callable[[Any], Any]:
    """What the module's `forward` makes of an array, as an array."""
    if not callable(model):
        raise ModelNotLoaded(f"{type(model).__name__} cannot be called: load it without as_predictor")
    torch: Any = import_module("torch")

    def predict(data: Any) -> Any:
        with torch.no_grad():
            return model(torch.as_tensor(data)).numpy()

    return predict
