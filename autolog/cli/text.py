"""Values as text for people: numbers, times, sizes. This module does not know runs or terminals."""

from __future__ import annotations

import math
from datetime import datetime, timezone
from typing import Any

from autolog.tracking.values import ACTS
from autolog.tracking.values import clean as clean

ABSENT = "-"


def clean_json(text: str) -> str:
    """Return the same JSON with control characters escaped. Apart from line breaks, they occur only inside its strings."""
    return ACTS.sub(lambda found: found[0] if found[0] == "\n" else f"\\u{ord(found[0]):04x}", text)


def cut(text: str, limit: int) -> str:
    """Return at most `limit` characters of the text."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def number(value: float | None) -> str:
    """Format a measured number to six significant digits."""
    if value is None:
        return ABSENT
    if not math.isfinite(value):
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
    return f"{value:.6g}"


def param(value: Any) -> str:
    """Format a param or other plain data. Floats keep twelve significant digits, which hides rounding noise."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, (list, dict)):
        import msgspec

        return clean(msgspec.json.encode(value).decode())
    return str(value)


def size(count: int) -> str:
    """Format bytes in powers of ten: `612 B`, `2.1 kB`."""
    if count < 1000:
        return f"{count} B"
    amount = float(count)
    for unit in ("kB", "MB", "GB", "TB"):
        amount /= 1000
        if amount < 999.5:
            return f"{amount:.3g} {unit}" if amount >= 99.95 else f"{amount:.1f} {unit}"
    return f"{amount / 1000:.1f} PB"


def duration(seconds: float | None) -> str:
    """Format seconds: `3.2 ms`, `4.5 s`, `2 min 5 s`, `1 h 3 min`, `2 d 4 h`."""
    if seconds is None:
        return ABSENT
    if seconds < 0.9995:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for large, unit, small, smaller in ((60, "min", 1, "s"), (3600, "h", 60, "min"), (86400, "d", 3600, "h")):
        if whole < large * (24 if unit == "h" else 60) or unit == "d":
            rest = whole % large // small
            return f"{whole // large} {unit}" + (f" {rest} {smaller}" if rest else "")
    raise AssertionError("unreachable")


def ago(time: datetime | None, now: datetime | None = None) -> str:
    """Format a time: relative if it is within a day, else as local date and time."""
    if time is None:
        return ABSENT
    seconds = ((now or datetime.now(timezone.utc)) - time).total_seconds()
    if -60 < seconds < 5:
        return "just now"
    if 0 <= seconds < 60:
        return f"{int(seconds)} s ago"
    if 0 <= seconds < 3600:
        return f"{int(seconds // 60)} min ago"
    if 0 <= seconds < 86400:
        return f"{int(seconds // 3600)} h ago"
    return local(time)[:16]


def local(time: datetime | None) -> str:
    """Format a time as local date and time, to the second."""
    if time is None:
        return ABSENT
    try:
        return f"{time.astimezone():%Y-%m-%d %H:%M:%S}"
    except (OverflowError, OSError, ValueError):  # outside the range of the system's clock
        return f"{time:%Y-%m-%d %H:%M:%S}"


def count(amount: int, one: str, many: str | None = None) -> str:
    """Return an amount with its noun: `1 run`, `2 runs`."""
    return f"{amount} {one if amount == 1 else many or one + 's'}"
