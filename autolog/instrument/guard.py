"""Decides who sees an internal error: only the log and the run, unless strict.

An error of ours never reaches the user's training. The first error at a place is logged once, calmly; later ones are counted.
With `AUTOLOG_STRICT=1`, as in our own tests, it is raised again so that it cannot go unnoticed. Only `Exception` is ever
caught: Ctrl-C and `sys.exit()` belong to the user. So do exceptions of the user's signal handlers, such as a timeout: Python
may raise them in our code, and they are raised again.
"""

from __future__ import annotations

import os
from itertools import count

from autolog.instrument.interrupts import reraise_if_signal


class Guard:
    """Counts and logs internal errors, by integration and place."""

    def __init__(self, strict: bool | None = None) -> None:
        self.strict = os.environ.get("AUTOLOG_STRICT", "") not in ("", "0") if strict is None else strict
        self._numbers: dict[tuple[str, str], count[int]] = {}

    def report(
        self, integration: str, place: str, error: Exception, culprit: str = "", *, background: bool = False
    ) -> str:
        """Log the first failure of a `culprit` (by default, the first at this `place`), count every one, and return a one-line
        description of this one.

        Raise `error` itself when strict, but not on a `background` thread, where nobody would see it.
        """
        if not background:
            reraise_if_signal(error)
            if self.strict:
                raise error
        described = f"{place}: {type(error).__name__}: {_text(error)}"
        # Two threads may fail at once. Both steps are atomic, so exactly one of them gets the first number.
        if next(self._numbers.setdefault((integration, culprit or place), count(1))) == 1:
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
