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
    """The sink of a URL, from those `known`.

    Raises ValueError for a scheme that is not among them or a URL that the sink refuses, ImportError if the sink's own module
    cannot be imported; neither says the URL's credentials.
    """
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
