"""Translates names, values, tags and data into MLflow's form, within MLflow's limits.

These are pure functions of plain values. They do not know MLflow's client, servers, or what was sent before.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from functools import lru_cache
from typing import Any, TypeVar

from autolog.sinks import events as e

MAX_KEY = 250
MAX_PARAM = 6_000
MAX_TAG = 5_000
MAX_EXPERIMENT = 500
MAX_NAME = 250
MAX_SCHEMA = 65_535
FAR = 2**63 - 1
"""The largest step and time."""

RUN_TAG = "autolog.run"
JOURNAL_TAG = "autolog.journal"
STATUSES = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED", "lost": "KILLED"}

T = TypeVar("T")

_NOT_IN_KEYS = re.compile(r"[^/\w.\- ]")
_TYPES = {
    "bool": "boolean", "int8": "integer", "int16": "integer", "int32": "integer", "int64": "long", "float32": "float",
    "float64": "double", "object": "string", "str": "string", "string": "string",
}  # fmt: skip


@lru_cache(maxsize=10_000)
def key_of(key: str) -> str:
    """Return `key` in the characters that MLflow allows. A changed key ends in a digest, so that two keys stay different."""
    clean = _NOT_IN_KEYS.sub("_", key)
    if posixpath.normpath(clean) != clean or clean.startswith(("/", "..")) or clean in ("", "."):
        clean = re.sub(r"[/.]+", "_", clean) or "_"
    if len(clean) > MAX_KEY:
        clean = clean[: MAX_KEY - 9]
    return key if clean == key else f"{clean[: MAX_KEY - 9]}-{digest(key)}"


def digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def params(values: dict[str, Any]) -> dict[str, str]:
    return {key_of(key): cut(_text(value), MAX_PARAM) for key, value in values.items()}


def tags(values: dict[str, str]) -> dict[str, str]:
    return {key_of(key): cut(value, MAX_TAG) for key, value in values.items()}


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else str(value)


def cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def own(tags: dict[str, T]) -> dict[str, T]:
    """Return the user's tags. Those that look like autolog's get the prefix `tags.`."""
    return {f"tags.{key}" if key.startswith("autolog.") else key: value for key, value in tags.items()}


def changed_tags(change: e.RunChanged) -> tuple[dict[str, str], set[str]]:
    """Return the tags that a change sets, and the names of those that it removes. MLflow shows its note as the description."""
    marks = {"autolog.starred": change.starred, "autolog.archived": change.archived}
    said: dict[str, str | None] = {
        **own(change.tags),
        **{key: "true" if mark else None for key, mark in marks.items() if mark is not None},
        **({} if change.description is None else {"mlflow.note.content": change.description or None}),
    }
    return tags({key: value for key, value in said.items() if value is not None}), {
        key_of(key) for key, value in said.items() if value is None
    }


def about(event: e.RunStarted | e.RunRecorded | e.RunDescribed) -> dict[str, str]:
    said = {
        "kind": event.kind,
        "framework": event.framework,
        "framework_version": event.version,
        "estimator": event.estimator,
    }
    return {f"autolog.{key}": value for key, value in said.items() if value is not None}


def code_tags(environment: dict[str, Any]) -> dict[str, str]:
    """Return MLflow's tags for the user and the code."""
    git: dict[str, Any] = environment.get("git") or {}
    said = {
        "mlflow.user": environment.get("user"),
        "mlflow.source.name": environment.get("script"),
        "mlflow.source.type": "LOCAL" if environment.get("script") else None,
        "mlflow.source.git.commit": git.get("commit"),
        "mlflow.source.git.branch": git.get("branch"),
    }
    return tags({key: str(value) for key, value in said.items() if value})


def schema(values: dict[str, Any]) -> str:
    """Return the columns as MLflow's schema; "" if it has no name for one of the types, or if the schema is too long."""
    columns: dict[str, str] = values.get("schema") or {}
    found = [
        {"type": _TYPES[kind.lower()], "name": name, "required": True}
        for name, kind in columns.items()
        if kind.lower() in _TYPES
    ]
    text = json.dumps({"mlflow_colspec": found})
    return text if found and len(found) == len(columns) and len(text) <= MAX_SCHEMA else ""
