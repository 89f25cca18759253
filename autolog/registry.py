"""Finds the integrations and sinks that are installed, built-in and third-party alike, by entry point; loads none of them.

The entry point's name is the module whose import wakes the integration, and one integration may have several; or it is the
scheme of the sink's URL.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from autolog.config import nearest
from autolog.entrypoints import entry_points, load

if TYPE_CHECKING:
    from autolog.instrument.integration import Integration
    from autolog.sinks.base import Sink

GROUP = "autolog.integrations"
SINKS = "autolog.sinks"
UNRECORDED = "autolog.unrecorded"
"""Entry points whose name is a framework's module and whose value what people call it: one that nobody records yet."""


class Entry(NamedTuple):
    """One installed integration: `name` as users say it, `modules` that wake it, `value` as the entry point has it (or the
    class itself).
    """

    name: str
    modules: tuple[str, ...]
    value: str = ""
    loaded: type[Integration] | None = None

    def load(self) -> type[Integration]:
        """Import the integration's class. Raises ImportError or TypeError."""
        if self.loaded is not None:
            return self.loaded
        from autolog.instrument.integration import Integration

        loaded: Any = load(self.value)
        if not (isinstance(loaded, type) and issubclass(loaded, Integration)):
            raise TypeError(f"{self.value} is not a subclass of autolog.integration.Integration")
        return loaded


def installed() -> dict[str, Entry]:
    """The installed integrations by name."""
    modules: dict[str, list[str]] = {}
    for name, value in entry_points(GROUP):
        found = modules.setdefault(value, [])
        if name not in found:
            found.append(name)
    entries = [Entry(_name(value, names), tuple(names), value) for value, names in modules.items()]
    return {entry.name: entry for entry in sorted(entries)}


def unrecorded() -> dict[str, str]:
    """The frameworks that are known and not recorded: their module, and what people call them."""
    names = {module for entry in installed().values() for module in entry.modules}
    return {module: title for module, title in sorted(entry_points(UNRECORDED)) if module not in names}


def sinks() -> dict[str, str]:
    """The installed sinks: the scheme of their URLs, and the entry point's value. Of two of one scheme, the first found."""
    return dict(reversed(entry_points(SINKS)))


def make_sink(url: str, known: dict[str, str]) -> Sink:
    """The sink of a URL, from those `known`.

    Raises ValueError for a scheme that is not among them or a URL that the sink refuses, ImportError if the sink's own module
    cannot be imported; neither says the URL's credentials.
    """
    from autolog.sinks.address import LONG_ENOUGH, Address

    address = Address(url)
    scheme = address.scheme
    value = known.get(scheme) or known.get(scheme.partition("+")[0])
    if value is None:
        there = f"Installed are: {', '.join(sorted(known)) or 'none'}."
        if re.fullmatch("[a-z][a-z0-9+.-]{0,30}", scheme) is None:
            raise ValueError(f"A sink is named by a URL, as in 'console:' or 'jsonl:events.jsonl'. {there}")
        raise ValueError(f"There is no sink {scheme!r}.{nearest(scheme, known)} {there}")
    try:
        make: Any = load(value)
        sink: Sink = make(url)
        if address.hide(sink.identity(), LONG_ENOUGH) != sink.identity():
            raise ValueError("its identity() contains credentials.")
        return sink
    except Exception as error:
        kind = type(error) if type(error) in (ValueError, ImportError, ModuleNotFoundError) else None
        said = address.scrub(str(error))
    # Outside, so that the exception does not carry the other one, with its text, along.
    raise kind(said) if kind else ValueError(f"The sink {address.safe} cannot be used: {said}")


def _name(value: str, modules: list[str]) -> str:
    """`keras` of `autolog_keras:KerasIntegration`, whatever modules wake it; else the first module's name."""
    package = value.partition(":")[0].partition(".")[0].removeprefix("autolog_")
    return package if package in modules else min(modules)
