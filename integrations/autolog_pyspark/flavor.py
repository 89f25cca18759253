"""Models of PySpark ML, as the folder that `PipelineModel.save` writes; a model that is no pipeline is wrapped in one.

Folder: `sparkml/`, with files of metadata and of Parquet. Spark writes and reads it: saving starts jobs, whose description says
that they are autolog's, and in a cluster every worker has to reach the folder.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from autolog.integration import Captured, ModelError, ModelNotSaved

if TYPE_CHECKING:
    from autolog.integration import Source, Staging

FOLDER = "sparkml"
DESCRIPTION = "autolog: saving the model"
OWN = ("org.apache.spark.ml.", "pyspark.ml.")
ROW = "_autolog_row"
TABLES = ("userFactors", "itemFactors", "freqItemsets")
"""Of those models that hold tables."""


def capture(model: Any, staging: Staging, model_format: str | None) -> Captured:
    """There is one format."""
    pyspark: Any = import_module("pyspark")
    pipeline: Any = import_module("pyspark.ml").PipelineModel
    if model_format not in (None, "sparkml"):
        raise ModelNotSaved(f"model_format {model_format!r} is not sparkml")
    whole = model if isinstance(model, pipeline) else pipeline([model])
    for stage in _stages(whole):
        if _is_computed_anew(stage):
            raise ModelNotSaved(
                f"to write a {type(stage).__name__}, Spark would compute it anew from the training data; save it yourself if "
                "that is worth it"
            )
    staging.directory.mkdir(parents=True, exist_ok=True)
    # Beside where the model will be: in a cluster, that may be a folder which the workers see too.
    place = Path(tempfile.mkdtemp(prefix="model-", suffix=".tmp", dir=staging.directory))
    try:
        folder = place / FOLDER
        with _described(pyspark):
            whole.write().save(folder.as_uri())
        _require_all(folder)
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.suffix != ".crc":  # Hadoop's own checksums, which it does without
                file = staging.open(path.relative_to(place).as_posix())
                with path.open("rb") as saved:
                    shutil.copyfileobj(saved, file)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    version = str(pyspark.__version__)
    entry = {
        "model_data": FOLDER,
        "pyspark_version": version,
        "model_class": f"{pipeline.__module__}.{pipeline.__qualname__}",
        "code": None,
    }
    python_function = {"loader_module": "mlflow.spark", "data": FOLDER}
    return Captured(entry, python_function, frozenset({"pyspark", "numpy", "pandas"}))


def _require_all(folder: Path) -> None:
    """ModelNotSaved if Spark's processes have written elsewhere: each folder that they have completed holds a part."""
    complete = [path.parent for path in folder.rglob("_SUCCESS")]
    if not complete or not all(any(one.glob("part-*")) for one in complete):
        raise ModelNotSaved(
            "Spark's processes wrote it to the disks of other machines: have the store (AUTOLOG_DIR) on a file system that "
            "they share"
        )


def _stages(model: Any) -> Iterator[Any]:
    for stage in model.stages:
        yield from _stages(stage) if hasattr(stage, "stages") else (stage,)


def _is_computed_anew(stage: Any) -> bool:
    """Whether the model holds a table that is not kept anywhere, but is what has still to be computed."""
    kind = cast("type[Any]", type(stage))
    for name in TABLES:
        if hasattr(kind, name) and type(stage._java_obj).__name__ == "JavaObject":
            leaves = getattr(stage._java_obj, name)().queryExecution().analyzed().collectLeaves()
            leaf = leaves.apply(0)
            if leaf.nodeName() != "LogicalRelation" and not leaf.rdd().getStorageLevel().isValid():
                return True
    return False


@contextmanager
def _described(pyspark: Any) -> Generator[None, None, None]:
    """Inside, this thread's jobs are described as ours."""
    context = pyspark.SparkContext._active_spark_context
    if context is None:
        yield
        return
    key = "spark.job.description"
    before = context.getLocalProperty(key)
    context.setLocalProperty(key, DESCRIPTION)
    try:
        yield
    finally:
        context.setLocalProperty(key, before)


def load(source: Source, entry: Mapping[str, Any]) -> Any:
    """The PipelineModel, in the active session, or one of Spark's defaults where there is none. The format holds data and names
    of classes: trust is needed where these are not Spark's own.
    """
    folder = source.checked_folder(str(entry.get("model_data") or FOLDER))
    if not _is_of_spark_alone(folder):
        source.require_trust("a Spark pipeline with stages of somebody else's")
    import_module("pyspark.sql").SparkSession.builder.getOrCreate()
    return import_module("pyspark.ml").PipelineModel.load(folder.absolute().as_uri())


def _is_of_spark_alone(folder: Path) -> bool:
    """Whether all classes that the folder names are Spark's own. Spark reads whatever file lies below a folder called
    `metadata`, plain or compressed, through links too, but hidden ones; what is not read here as it would be there is not
    known to be its own.
    """
    places = list(folder.rglob("*"))
    if any(place.is_symlink() for place in (folder, *places)):
        return False
    described = [
        place
        for place in places
        if "metadata" in place.relative_to(folder).parts[:-1] and place.is_file() and place.stat().st_size
        and not place.name.startswith(".")
    ]  # fmt: skip
    return all(str(name).startswith(OWN) for place in described for name in _classes(place))


def _classes(metadata: Path) -> list[Any]:
    """The classes that a file of metadata names, each if there are several: one reader takes the first, another the last."""
    try:
        pairs: Any = json.loads(metadata.read_bytes(), object_pairs_hook=list)
        return [value for key, value in pairs if key == "class"] or [None]
    except (OSError, TypeError, ValueError):
        return [None]


def predictor(model: Any) -> Callable[[Any], Any]:
    """The model's predictions for a frame of pandas' or Spark's, as an array in the order of its rows. Columns of lists become
    vectors.
    """
    stages = [stage for stage in model.stages if hasattr(stage, "predictionCol")]
    if not stages:
        raise ModelError("This pipeline predicts nothing: it only prepares features")

    def predict(data: Any) -> Any:
        return _predict(model, str(stages[-1].getOrDefault("predictionCol")), data)

    return predict


def _predict(model: Any, column: str, data: Any) -> Any:
    numpy, functions = import_module("numpy"), import_module("pyspark.ml.functions")
    if not hasattr(data, "assign"):
        number = import_module("pyspark.sql.functions").monotonically_increasing_id()
        rows = model.transform(data.withColumn(ROW, number)).select(ROW, column).collect()
        return numpy.asarray([row[1] for row in sorted(rows, key=lambda row: row[0])])
    session = import_module("pyspark.sql").SparkSession.builder.getOrCreate()
    # Some models join, and some drop rows: they are told apart by a column of our own.
    frame = session.createDataFrame(data.assign(**{ROW: range(len(data))}))
    for field in frame.schema.fields:
        if field.dataType.simpleString() in ("array<double>", "array<float>"):
            frame = frame.withColumn(field.name, functions.array_to_vector(field.name))
    predicted = {row[0]: row[1] for row in model.transform(frame).select(ROW, column).collect()}
    return numpy.asarray([predicted.get(number) for number in range(len(data))])
