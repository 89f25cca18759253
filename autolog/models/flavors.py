"""What a framework brings so that its models can be saved and loaded, and how it is found by name.

A flavor is a module or an object with the same functions. An entry point of the group `autolog.flavors` announces it; the entry
point's name is the flavor's. A flavor may also have `while_saving()`, a context manager that is entered whenever a process that
uses this flavor saves a model, and `DISTRIBUTIONS`, what distributions of a module are called.
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
        """Writes the model into files of `staging`. Runs on the training thread: be quick, change nothing.

        Raises ModelNotSaved with a readable reason; any other exception is turned into one.
        """
        ...

    def load(self, source: Source, entry: Mapping[str, Any]) -> Any:
        """The native model. `source.require_trust(...)` must come before anything that runs code from the folder."""
        ...

    def predictor(self, model: Any) -> Callable[[Any], Any]:
        """A function of data that makes the model's predictions. ModelError if the model has none."""
        ...


GROUP = "autolog.flavors"
_loaded: dict[str, Flavor] = {}


def find(name: str) -> Flavor:
    """The flavor of this name. ModelError if there is none."""
    if name not in _loaded:
        known = dict(reversed(entry_points(GROUP)))
        if name not in known:
            raise ModelError(f"there is no model flavor {name!r}; known here: {', '.join(sorted(known))}")
        _loaded[name] = cast("Flavor", load(known[name]))
    return _loaded[name]


def distributions_of(module: str) -> tuple[str, ...]:
    """What the distributions of a module may be called, other than the module itself, as the flavors at work here say by
    `DISTRIBUTIONS`: so that not all that is installed has to be looked through.
    """
    said = (getattr(flavor, "DISTRIBUTIONS", {}) for flavor in tuple(_loaded.values()))
    return tuple(name for names in said for name in names.get(module, ()))


@contextmanager
def while_saving() -> Generator[None, None, None]:
    """What the flavors of the frameworks at work here want to hold while a model is saved, of whatever flavor it is: it may
    have parts of theirs.
    """
    with ExitStack() as stack:
        for flavor in tuple(_loaded.values()):
            if hasattr(flavor, "while_saving"):
                stack.enter_context(cast(Any, flavor).while_saving())
        yield
