"""Infers a model's signature: the columns of the training frame that it needs to predict.

Spark checks the needed columns by the schema alone, without running anything. If it cannot, the model has no signature.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from autolog_pyspark import about, data, plans
from autolog_pyspark.summaries import chain

MAX_COLUMNS = 50
# The names of Spark's types in MLflow's signatures.
TYPES = {
    "boolean": "boolean", "byte": "integer", "short": "integer", "integer": "integer", "long": "long", "float": "float",
    "double": "double", "string": "string", "binary": "binary", "date": "datetime", "timestamp": "datetime",
    "vector": "sparkml_vector",
}  # fmt: skip


def infer(model: Any, frame: Any) -> dict[str, Any] | None:
    """Return the signature of the columns that `model` needs of `frame`, as `autolog.integration.infer_signature` does."""
    java_frame = plans.java_frame(frame)
    stages = [one for one in chain(model) if not hasattr(one, "stages")]
    if java_frame is None or not all(
        type(getattr(one, "_java_obj", None)).__name__ == "JavaObject" for one in stages
    ):
        return None
    named = {name for one in stages for name in _read_by(one)}
    needed = [one for one in data.fields(java_frame.schema()) if one["name"] in named]
    if not 0 < len(needed) <= MAX_COLUMNS:
        return None
    java = model._to_java()
    made = _made_of(java, needed)
    if made is None:
        return None  # the model reads other columns, too
    for one in list(needed):
        if (without := [other for other in needed if other is not one]) and (
            less := _made_of(java, without)
        ) is not None:
            needed, made = without, less
    inputs = _columns(needed)
    if inputs is None:
        return None
    predicted = about.held(stages[-1]).get("predictionCol")
    outputs = _columns([one for one in made if one["name"] == predicted])
    return {"inputs": json.dumps(inputs), "outputs": json.dumps(outputs) if outputs else None, "params": None}


def _read_by(stage: Any) -> list[str]:
    """Return the columns that a stage reads, according to its params, without labels and weights."""
    names: list[str] = []
    for param, value in about.held(stage).items():
        if param.endswith(("Col", "Cols")) and param not in (
            "labelCol",
            "weightCol",
            "outputCol",
            "outputCols",
        ):
            names += value if isinstance(value, list) else [value]
    return names


def _made_of(java: Any, fields: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
    """Return the model's output fields for a frame with these fields; None if they are not enough."""
    context: Any = sys.modules["pyspark"].SparkContext._active_spark_context
    types = context._jvm.org.apache.spark.sql.types
    try:
        return data.fields(
            java.transformSchema(types.DataType.fromJson(json.dumps({"type": "struct", "fields": fields})))
        )
    except Exception:  # Spark may raise any error for a missing column
        return None


def _columns(fields: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
    types = [TYPES.get(data.type_of(one).partition("[")[0]) for one in fields]
    return (
        None
        if None in types
        else [{"type": kind, "name": one["name"]} for kind, one in zip(types, fields, strict=True)]
    )
