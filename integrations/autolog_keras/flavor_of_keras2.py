"""The flavor `tensorflow`, for models of Keras 2 (`tf.keras` before TensorFlow 2.16) and `tf_keras`, in `.keras` files.

The folder holds `data/model.keras`, `data/keras_module.txt` with the name of the package that reads it, and
`data/save_format.txt`. Code in a model is handled as in `flavor`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from autolog.integration import Captured, ModelNotLoaded
from autolog_keras import flavor as format_of_keras
from autolog_keras.flavor import DISTRIBUTIONS, FOLDER, MODULE, predictor, while_saving

if TYPE_CHECKING:
    from autolog.integration import Source, Staging

__all__ = ["DISTRIBUTIONS", "capture", "load", "predictor", "while_saving"]

READERS = {"tensorflow.keras": "keras", "keras": "keras", "tf_keras": "tf_keras"}
"""The possible contents of `keras_module.txt`, and the packages that they mean."""


def capture(model: Any, staging: Staging, model_format: str | None) -> Captured:
    """Write the model to staging, in the only format."""
    packages = (cls.__module__.partition(".")[0] for cls in type(model).__mro__)
    package = "tf_keras" if "tf_keras" in packages else "keras"
    keras: Any = import_module(package)
    version = str(keras.__version__)
    format_name = "keras_v3" if version.startswith("2.12.") else "keras"
    modules = format_of_keras.save(keras, model, staging, model_format, save_format=format_name)
    reader = "tf_keras" if package == "tf_keras" else "tensorflow.keras"
    staging.open(MODULE).write(reader.encode())
    staging.open(f"{FOLDER}/save_format.txt").write(b"tf")
    entry = {
        "data": FOLDER,
        "model_type": "keras",
        "keras_module": reader,
        "keras_version": version,
        "save_format": "tf",
        "code": None,
        "objects": format_of_keras.objects_of(model),
    }
    python_function = {"loader_module": "mlflow.tensorflow", "data": FOLDER}
    return Captured(entry, python_function, frozenset(modules | {package, "tensorflow"}))


def load(source: Source, entry: Mapping[str, Any]) -> Any:
    """Return the model, compiled as before. See `flavor.load`."""
    with source.open(MODULE) as file:
        said = file.read().decode()
    if said not in READERS:
        raise ModelNotLoaded(
            f"The model in {source.folder} needs a package that autolog does not know: {said}"
        )
    keras: Any = import_module(READERS[said])
    if str(keras.__version__).startswith("3."):
        raise ModelNotLoaded(
            f"The model in {source.folder} was saved by Keras 2. Install tf_keras, or TensorFlow below 2.16"
        )
    return format_of_keras.load_by(keras, source, entry)
