"""What a framework provides so that its models can be saved and loaded, and how it is found by name.

A flavor is a module, or an object with the same functions. An entry point of the group `autolog.flavors` announces it; the
entry point's name is the flavor's name. A flavor may also have `while_saving()`, a context manager that is entered whenever a
process that uses this flavor saves a model, and `DISTRIBUTIONS`, which maps a module to the names of its distributions.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Protocol, cast

from autolog.models.errors import ModelError
from autolog.models.types import Captured
from autolog.registry import entry_points, load

if TYPE_CHECKING:
    from autolog.models.source import Source
    from autolog.models.staging import Staging


class Flavor(Protocol):
    """The functions of a flavor's module. They import the framework inside."""

    def capture(self, model: Any, staging: Staging, model_format: str | None) -> Captured:
        """Write the model into files of `staging`. Runs on the training thread: be quick, change nothing.

        Raises ModelNotSaved with a readable reason; any other exception is turned into one.
        """
        ...

    def load(self, source: Source, entry: Mapping[str, Any]) -> Any:
        """Return the native model. Call `source.require_trust(...)` before anything that runs code from the folder."""
        ...

    def predictor(self, model: Any) -> Callable[[Any], Any]:
        """Return a function from data to the model's predictions. Raises ModelError if the model has none."""
        ...


GROUP = "autolog.flavors"
_loaded: dict[str, Flavor] = {}


def find(name: str) -> Flavor:
    """Return the flavor of this name. Raises ModelError if there is none."""
    if name not in _loaded:
        known = dict(reversed(entry_points(GROUP)))
        if name not in known:
            raise ModelError(f"there is no model flavor {name!r}; known here: {', '.join(sorted(known))}")
        _loaded[name] = cast("Flavor", load(known[name]))
    return _loaded[name]


def distributions_of(module: str) -> tuple[str, ...]:
    """Return names that a module's distributions may have, other than the module's own: those in `DISTRIBUTIONS` of the flavors
    in use. This avoids looking through everything that is installed.
    """
    said = (getattr(flavor, "DISTRIBUTIONS", {}) for flavor in tuple(_loaded.values()))
    return tuple(name for names in said for name in names.get(module, ()))


@contextmanager
def while_saving() -> Generator[None, None, None]:
    """Enter the `while_saving()` of all flavors in use while a model of any flavor is saved: it may contain parts of theirs."""
    with ExitStack() as stack:
        for flavor in tuple(_loaded.values()):
            if hasattr(flavor, "while_saving"):
                stack.enter_context(cast(Any, flavor).while_saving())
        yield
