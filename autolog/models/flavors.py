"""What a framework brings so that its models can be saved and loaded, and how it is found by name.

A flavor is a module. Those of this package are listed here; anyone else's is announced by an entry point of the group
`autolog.flavors` whose name is the flavor's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast

import msgspec

from autolog.models.errors import ModelError

if TYPE_CHECKING:
    from autolog.models.load import Source
    from autolog.models.payload import Spool


class Captured(msgspec.Struct, frozen=True):
    """What a flavor says of a model whose files it has just written.

    `entry` and `python_function` become `flavors.<name>` and `flavors.python_function` of the MLmodel file; the latter is
    None for a model that predicts nothing. `modules` are the top-level modules needed to load it.
    """

    entry: dict[str, Any]
    python_function: dict[str, Any] | None
    modules: frozenset[str]


class Flavor(Protocol):
    """The functions of a flavor's module. They import the framework inside."""

    def capture(self, model: Any, spool: Spool, model_format: str | None) -> Captured:
        """Writes the model into files of `spool`. Runs on the training thread: be quick, change nothing.

        Raises ModelNotSaved with a readable reason; any other exception is turned into one.
        """
        ...

    def load(self, source: Source, entry: Mapping[str, Any]) -> Any:
        """The native model. `source.require_trust(...)` must come before anything that runs code from the folder."""
        ...

    def predictor(self, model: Any) -> Callable[[Any], Any]:
        """A function of data that makes the model's predictions. ModelError if the model has none."""
        ...


_OWN = {
    **{
        name: f"autolog.models.{name}"
        for name in ("keras", "lightgbm", "sklearn", "spark", "tensorflow", "xgboost")
    },
    "pytorch": "autolog.models.torch",
}


@cache
def find(name: str) -> Flavor:
    """The flavor of this name. ModelError if there is none."""
    if name in _OWN:
        return cast("Flavor", import_module(_OWN[name]))
    from importlib.metadata import entry_points

    for point in entry_points(group="autolog.flavors", name=name):
        return cast("Flavor", point.load())
    raise ModelError(f"there is no model flavor {name!r}; known here: {', '.join(_OWN)}")
