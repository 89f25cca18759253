"""Describes a Spark frame from the driver's knowledge: runs no action, persists nothing, and does not change the frame."""

from __future__ import annotations

import json
from typing import Any

from autolog.integration import Run
from autolog_pyspark import plans

MAX_COLUMNS = 200
MAX_SOURCES = 20


def log(run: Run, frame: Any, context: str = "train", name: str = "") -> None:
    """Describe a frame, with its name if it has one; other data by type."""
    known = _known(frame)
    run.log_dataset(frame, context=context, known={**known, "name": name} if name else known)


def _known(frame: Any) -> dict[str, Any]:
    java = plans.java_frame(frame)
    if java is None:
        connect = type(frame).__module__.startswith("pyspark.sql.connect.")
        return _of_schema(frame.schema) if connect else {}  # asks the server, which runs no job
    known = _of_schema(java.schema())
    level = java.storageLevel()
    if level.useMemory() or level.useDisk():
        known["storage_level"] = level.description()
    if sources := _sources(java):
        known["sources"] = sources
    return known


def _of_schema(schema: Any) -> dict[str, Any]:
    found = fields(schema)
    known: dict[str, Any] = {"columns": len(found)}
    if len(found) <= MAX_COLUMNS:
        known["schema"] = {one["name"]: type_of(one) for one in found}
    return known


def fields(schema: Any) -> list[dict[str, Any]]:
    """Return the fields of a schema's JSON."""
    return json.loads(schema.json())["fields"]


def type_of(field: dict[str, Any]) -> str:
    """Return a field's type, such as `double`, `array` or `vector[3]`."""
    kind = field["type"]
    if not isinstance(kind, dict):
        return str(kind)
    name = str(kind.get("class") or kind["type"]).rpartition(".")[2]
    if name == "VectorUDT":
        size = field.get("metadata", {}).get("ml_attr", {}).get("num_attrs")
        return "vector" if size is None else f"vector[{size}]"
    return name


def _sources(java: Any) -> list[str]:
    """Return the tables and files at the leaves of the frame's analyzed plan."""
    leaves = java.queryExecution().analyzed().collectLeaves()
    found: list[str] = []
    for number in range(min(leaves.size(), MAX_SOURCES)):
        found += [source for source in _source(leaves.apply(number)) if source not in found]
    return found[:MAX_SOURCES]


def _source(leaf: Any) -> list[str]:
    kind = leaf.nodeName()
    if kind == "LogicalRelation":
        table = leaf.catalogTable()
        if table.isDefined():
            return [table.get().identifier().unquotedString()]
        relation = leaf.relation()
        if relation.getClass().getSimpleName() == "HadoopFsRelation":
            paths = relation.location().rootPaths()
            return [paths.apply(i).toString() for i in range(min(paths.size(), MAX_SOURCES))]
    elif kind in ("HiveTableRelation", "DataSourceV2Relation", "DataSourceV2ScanRelation"):
        return [leaf.name() if kind.startswith("Data") else leaf.tableMeta().identifier().unquotedString()]
    return []
