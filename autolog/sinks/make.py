"""Makes the sink that a URL names."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from autolog.config import nearest
from autolog.registry import load
from autolog.sinks.address import LONG_ENOUGH, Address

if TYPE_CHECKING:
    from autolog.sinks.base import Sink


def make_sink(url: str, known: dict[str, str]) -> Sink:
    """Return the sink that a URL names, from those `known`.

    Raises ValueError for an unknown scheme or a URL that the sink refuses, and ImportError if the sink's module cannot be
    imported. Their messages do not contain the URL's credentials.
    """
    address = Address(url)
    scheme = address.scheme
    value = known.get(scheme) or known.get(scheme.partition("+")[0])
    if value is None:
        there = f"Installed sinks: {', '.join(sorted(known)) or 'none'}."
        if re.fullmatch("[a-z][a-z0-9+.-]{0,30}", scheme) is None:
            raise ValueError(f"Name a sink by its URL, such as 'console:' or 'jsonl:events.jsonl'. {there}")
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
    # Outside the handler, so that the new exception does not carry the original one with its text.
    raise kind(said) if kind else ValueError(f"The sink {address.safe} cannot be used: {said}")
