"""One place that decides who sees an internal error: nobody but the log and the run, unless strict.

An error of ours never reaches the user's training. The first one at a place is said once, calmly; later ones are counted.
With `AUTOLOG_STRICT=1`, as in our own tests, it is raised again so that it cannot go unnoticed. Only `Exception` is ever
caught: Ctrl-C and `sys.exit()` belong to the user.
"""

from __future__ import annotations

import os
from collections import Counter


class Guard:
    """Counts and announces internal errors, by (integration, place)."""

    def __init__(self, strict: bool | None = None) -> None:
        self.strict = os.environ.get("AUTOLOG_STRICT", "") not in ("", "0") if strict is None else strict
        self.counts: Counter[tuple[str, str]] = Counter()

    def report(self, integration: str, place: str, error: Exception) -> str:
        """Say the first failure at `place`, count every one, and return the one-line description of this one.

        Raises `error` itself when strict.
        """
        if self.strict:
            raise error
        self.counts[integration, place] += 1
        described = f"{place}: {type(error).__name__}: {_text(error)}"
        if self.counts[integration, place] == 1:
            import logging

            logging.getLogger("autolog").warning(
                "Your training goes on; autolog did not record all of it (%s, %s). "
                "Later failures here are only counted. AUTOLOG_STRICT=1 raises them.",
                integration,
                described,
                exc_info=error if os.environ.get("AUTOLOG_DEBUG") else None,
            )
        return described


def _text(error: Exception) -> str:
    try:
        return str(error)[:500]
    except Exception:
        return "(its text could not be read)"
