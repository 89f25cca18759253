"""What may be changed of a recorded run: checked as the user gives it, and as rows of the index.

A row is one thing that was changed: a field of the run, or the tag `tags.<name>`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, cast

from autolog.tracking.events import RunChanged
from autolog.tracking.values import MAX_KEY, MAX_PARAMS, MAX_TEXT, key_of, plain, text_of

FIELDS = ("name", "description", "starred", "archived")
_TAG = "tags."


class Row(NamedTuple):
    """One change of one thing."""

    field: str
    t: int
    id: str
    value: Any


def rows_of(event: RunChanged) -> Iterator[Row]:
    """Yield what an event changes. A journal may be somebody else's: a run cannot lose its name."""
    for field in FIELDS:
        value = getattr(event, field)
        if value is not None and (value != "" or field == "description"):
            yield Row(field, event.t, event.id, int(value) if isinstance(value, bool) else value or None)
    for key, value in event.tags.items():
        yield Row(f"{_TAG}{key}", event.t, event.id, value)


def tag_of(field: str) -> str | None:
    """Return the name of the tag that a row is about; None if it is about a field."""
    return None if field in FIELDS else field.removeprefix(_TAG)


def event_of(run: str, rows: Iterable[Row]) -> RunChanged:
    """Return several rows of one run as one event, that of the latest of them."""
    given = list(rows)
    latest = max((row.t, row.id) for row in given)
    said: dict[str, Any] = {row.field: row.value for row in given if row.field in FIELDS}
    for field in ("starred", "archived"):
        if field in said:
            said[field] = bool(said[field])
    if "description" in said:
        said["description"] = said["description"] or ""
    tags = {tag: row.value for row in given if (tag := tag_of(row.field)) is not None}
    return RunChanged(run, *latest, **said, tags=tags)


def checked(
    name: str | None, description: str | None, starred: bool | None, archived: bool | None, tags: Mapping[str, Any]
) -> dict[str, Any]:  # fmt: skip
    """Return what a user changes as fields of the event: bounded text, without secrets. Raises TypeError or ValueError."""
    for what, value in (("starred", starred), ("archived", archived)):
        if value is not None and not isinstance(cast("object", value), bool):
            raise TypeError(f"`{what}` is True or False, not {_kind(value)}.")
    return {
        "name": None if name is None else _name(name),
        "description": None if description is None else _description(description),
        "starred": starred,
        "archived": archived,
        "tags": _tags(tags),
    }


def _name(name: object) -> str:
    if not isinstance(name, str):
        raise TypeError(f"The name of a run is text, not {_kind(name)}.")
    if not name.strip():
        raise ValueError("A run needs a name; this one is empty.")
    return text_of(str(plain(str(name).strip())), MAX_KEY)


def _description(text: object) -> str:
    if not isinstance(text, str):
        raise TypeError(f"A description is text, not {_kind(text)}.")
    if len(text) > MAX_TEXT:
        raise ValueError(f"A description has at most {MAX_TEXT:,} characters; this one has {len(text):,}.")
    return str(plain(str(text).strip()))


def _tags(tags: object) -> dict[str, str | None]:
    if not isinstance(tags, Mapping):
        raise TypeError(f'Tags are a dict, such as {{"team": "blue"}}, not {_kind(tags)}.')
    given = cast("Mapping[Any, Any]", tags)
    if len(given) > MAX_PARAMS:
        raise ValueError(f"At most {MAX_PARAMS:,} tags can be changed at once; these are {len(given):,}.")
    found: dict[str, str | None] = {}
    for key, value in given.items():
        if not isinstance(key, str):
            raise TypeError(f"The name of a tag is text, not {_kind(key)}.")
        if not key.strip():
            raise ValueError("A tag needs a name; this one is empty.")
        name = key_of(str(key))
        found[name] = None if value is None else str(plain(value, name))
    return found


def _kind(value: object) -> str:
    return type(value).__name__
