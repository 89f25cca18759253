"""The flavor for models of PySpark ML: the folder that `PipelineModel.save` writes. Other models are wrapped in a pipeline.

The folder holds `sparkml/`, with metadata and Parquet files. Spark writes and reads it. Saving starts jobs, whose description
names autolog. In a cluster, every worker must have access to the folder.
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
"""The tables that some models hold."""


def capture(model: Any, staging: Staging, model_format: str | None) -> Captured:
    """Write the model to staging, in the only format."""
    pyspark: Any = import_module("pyspark")
    pipeline: Any = import_module("pyspark.ml").PipelineModel
    if model_format not in (None, "sparkml"):
        raise ModelNotSaved(f"model_format {model_format!r} is not sparkml, the only format")
    whole = model if isinstance(model, pipeline) else pipeline([model])
    for stage in _stages(whole):
        if _is_computed_anew(stage):
            raise ModelNotSaved(
                f"to write a {type(stage).__name__}, Spark would compute it again from the training data. Save it in your"
                " script if that is worth the time"
            )
    staging.directory.mkdir(parents=True, exist_ok=True)
    # Next to the model's folder: in a cluster, workers may have access to it.
    place = Path(tempfile.mkdtemp(prefix="model-", suffix=".tmp", dir=staging.directory))
    try:
        folder = place / FOLDER
        with _described(pyspark):
            whole.write().save(folder.as_uri())
        _require_all(folder)
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.suffix != ".crc":  # Hadoop's own checksums are optional
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
    """Raise ModelNotSaved if Spark's processes wrote elsewhere. Each folder that they completed must hold a part."""
    complete = [path.parent for path in folder.rglob("_SUCCESS")]
    if not complete or not all(any(one.glob("part-*")) for one in complete):
        raise ModelNotSaved(
            "Spark's processes wrote it to the disks of other machines. Put the store (AUTOLOG_DIR) on a file system that they"
            " share"
        )


def _stages(model: Any) -> Iterator[Any]:
    for stage in model.stages:
        yield from _stages(stage) if hasattr(stage, "stages") else (stage,)


def _is_computed_anew(stage: Any) -> bool:
    """Return whether the model holds a table that is stored nowhere and would be computed again."""
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
    """Describe this thread's Spark jobs as autolog's inside the block."""
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
    """Return the PipelineModel, in the active session or in a new default one. The format holds data and names of classes.
    Classes that are not Spark's own need trust.
    """
    folder = source.checked_folder(str(entry.get("model_data") or FOLDER))
    if not _is_of_spark_alone(folder):
        source.require_trust("a Spark pipeline with stages that are not Spark's")
    import_module("pyspark.sql").SparkSession.builder.getOrCreate()
    return import_module("pyspark.ml").PipelineModel.load(folder.absolute().as_uri())


def _is_of_spark_alone(folder: Path) -> bool:
    """Return whether all classes that the folder names are Spark's own.

    Spark reads every file below a folder called `metadata`, except hidden ones: plain or compressed, and through links. If this
    function cannot read a file as Spark would, it returns False.
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
    """Return all classes that a metadata file names. Of several, some readers take the first, others the last."""
    try:
        pairs: Any = json.loads(metadata.read_bytes(), object_pairs_hook=list)
        return [value for key, value in pairs if key == "class"] or [None]
    except (OSError, TypeError, ValueError):
        return [None]


def predictor(model: Any) -> Callable[[Any], Any]:
    """Return a function that predicts for a frame of pandas or Spark, and returns an array in the order of the rows. Columns of
    lists become vectors.
    """
    stages = [stage for stage in model.stages if hasattr(stage, "predictionCol")]
    if not stages:
        raise ModelError("This pipeline cannot predict: it only prepares features")

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
    # Some models reorder rows or drop some, so our own column identifies them.
    frame = session.createDataFrame(data.assign(**{ROW: range(len(data))}))
    for field in frame.schema.fields:
        if field.dataType.simpleString() in ("array<double>", "array<float>"):
            frame = frame.withColumn(field.name, functions.array_to_vector(field.name))
    predicted = {row[0]: row[1] for row in model.transform(frame).select(ROW, column).collect()}
    return numpy.asarray([predicted.get(number) for number in range(len(data))])
