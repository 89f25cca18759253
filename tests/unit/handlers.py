"""A handler to intercept calls for: it knows neither sessions nor runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autolog.instrument.calls import Call
from autolog.instrument.timer import OverheadTimer


class CallHandler:
    """What calls are intercepted for; notes what it is asked and told."""

    def __init__(self, strict: bool = False) -> None:
        self.active = True
        self.timer = OverheadTimer()
        self.strict = strict
        self.wanted: Callable[[Any], bool] = lambda instance: True
        self.failures: list[tuple[str, str]] = []
        self.closed: list[tuple[Any, BaseException | None]] = []
        self.runs = 0

    def wants(self, integration: str, instance: object) -> bool:
        return self.wanted(instance)

    def open(self, call: Call, **about: Any) -> Any:
        self.runs += 1
        call.owns_run = True
        return f"run {self.runs}"

    def close(self, call: Call) -> None:
        self.closed.append((call.run, call.error))

    def failed(
        self, integration: str, place: str, error: Exception, call: Call | None = None, culprit: str = ""
    ) -> None:
        self.failures.append((place, f"{type(error).__name__}: {error}"))
        if self.strict:
            raise error
