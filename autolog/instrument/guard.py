"""One place that decides who sees an internal error: nobody but the log and the run, unless strict.

An error of ours never reaches the user's training. The first one at a place is said once, calmly; later ones are counted.
With `AUTOLOG_STRICT=1`, as in our own tests, it is raised again so that it cannot go unnoticed. Only `Exception` is ever
caught: Ctrl-C and `sys.exit()` belong to the user. So does what a signal's handler raises, as one that sets a time limit: it
arrives wherever the program happens to be, in our code too, and is let through.
"""

from __future__ import annotations

import os
from itertools import count

from autolog.instrument.interrupts import reraise_if_signal


class Guard:
    """Counts and announces internal errors, by integration and what failed."""

    def __init__(self, strict: bool | None = None) -> None:
        self.strict = os.environ.get("AUTOLOG_STRICT", "") not in ("", "0") if strict is None else strict
        self._numbers: dict[tuple[str, str], count[int]] = {}

    def report(
        self, integration: str, place: str, error: Exception, culprit: str = "", *, background: bool = False
    ) -> str:
        """Say the first failure of a `culprit` (by default, the first at this `place`), count every one, and return the
        one-line description of this one.

        Raises `error` itself when strict; not on a thread in the `background`, where nobody would see it.
        """
        if not background:
            reraise_if_signal(error)
            if self.strict:
                raise error
        described = f"{place}: {type(error).__name__}: {_text(error)}"
        # Two threads may fail at once: both steps are atomic, so that exactly one of them gets the first number.
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
