"""What a framework's integration is: a name, what it supports and claims, its options and its patches.

The base class for built-in and third-party integrations alike; `integrations/README.md` teaches it. It must not know what
becomes of the calls it observes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from types import CodeType
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import msgspec

from autolog.instrument.calls import Switch
from autolog.instrument.fast import codes, guarded
from autolog.instrument.patches import AnyPatch

if TYPE_CHECKING:
    from autolog.instrument.calls import CallHandler


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The options every integration has; an integration adds its own in a subclass."""

    log_models: bool | Literal["best"] = True
    """Save the final model. With `"best"`, of the runs of this process in one experiment with the same estimator those whose
    validation metric is the best so far; where a run has none, its model.
    """
    log_datasets: bool = True
    """Describe the data: kind, shape, columns, a digest of a sample. The data itself is never stored."""
    log_signatures: bool = True
    """Save the model's input and output schema with it; a note says where one cannot be told."""
    log_input_examples: bool = False
    """Save the first five rows of the data with the model, as an example of its input; a note says where there are none."""
    max_model_bytes: int = 2_000_000_000
    """Models larger than this are not saved; the run says so."""


class Integration:
    """One framework's knowledge.

    `name` is what users call it; `supports` the versions it is made for, as a requirement of the module's own version
    (`"scikit-learn>=1.3"`); `tested` the range a recorded run of the matrix showed, if any; `claims` are prefixes of module
    names whose classes are this integration's even where another one's base class matches; `engines` are modules of the
    framework that start processes for their caller.
    """

    name: ClassVar[str]
    supports: ClassVar[str]
    tested: ClassVar[str] = ""
    claims: ClassVar[tuple[str, ...]] = ()
    engines: ClassVar[tuple[str, ...]] = ()
    Options: ClassVar[type[Options]] = Options

    def __init__(self, options: Any) -> None:
        self.options = options
        self.handler: CallHandler | None = None
        self._module = ""

    def patches(self) -> Iterable[AnyPatch]:
        """The patches and hooks to install; called once the framework has been imported."""
        raise NotImplementedError

    def awake_as(self, module: str) -> None:
        """The framework has been imported under this name."""
        self._module = module

    def version(self) -> str:
        """The imported framework's version. A distribution may have several names; its module has one version."""
        return str(getattr(sys.modules.get(self._module), "__version__", ""))

    # -- trainings that no call is around

    def start_run(self, closing: Callable[[], None], **about: Any) -> Any:
        """Open the run of a loop that the user has written, which no patched call is around. `about` is as for
        `Call.start_run`.

        Inside a call that takes contributions it is that call's run; inside `with autolog.run(…)` the block's, or a
        child of it. It ends with `end_run`, with the call or block it began in, when the integration is switched off, or at the
        interpreter's exit; `closing` is called before, to log what is left. None where nothing is to be recorded: suspended,
        inside a call that suppresses what is nested, on another rank, in a forked child.
        """
        return None if self.handler is None else self.handler.open_loop(self.name, closing, **about)

    def end_run(self, run: Any, error: BaseException | None = None) -> None:
        """End a run of `start_run`. Ending again does nothing, nor does ending the run of a call around."""
        if self.handler is not None:
            self.handler.close_loop(run, error)

    def guarded(self, function: Callable[..., Any], place: str) -> Callable[..., None]:
        """A function that others will call, as a weak reference's callback: what it raises is reported and goes no further, and
        from then on it does nothing.
        """
        switch = Switch()
        handler = self.handler
        assert handler is not None
        return guarded(function, handler, self.name, place, switch)

    def hook_code(self) -> list[CodeType]:
        """The code that stands around every hook and fast patch, for a compiler of Python that is to be kept out of it."""
        return codes()
