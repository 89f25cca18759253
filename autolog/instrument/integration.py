"""The base class of a framework's integration: its name, what it supports and claims, its options and its patches.

Built-in and third-party integrations use it alike; `integrations/README.md` is the tutorial. It must not know what happens to
the calls that it observes.
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
    """The options that every integration has. An integration adds its own in a subclass."""

    log_models: bool | Literal["best"] = True
    """Save the final model. With `"best"`, save it only if its validation metric is the best so far, among the runs of this
    process in the experiment with the same estimator; a run without such a metric always saves its model.
    """
    log_datasets: bool = True
    """Describe the data: kind, shape, columns, a digest of a sample. The data itself is never stored."""
    log_signatures: bool = True
    """Save the model's input and output schema with it; a note says so if they cannot be inferred."""
    log_input_examples: bool = False
    """Save the first five rows of the data with the model, as an example of its input; a note says so if there are none."""
    max_model_bytes: int = 2_000_000_000
    """Models larger than this are not saved; the run says so."""


class Integration:
    """What autolog knows about one framework.

    `name` is what users call it. `supports` are the versions it is made for, as a requirement on the module's own version
    (`"scikit-learn>=1.3"`). `tested` is the version range of a recorded run of the test matrix, if any. `claims` are prefixes
    of module names: their classes belong to this integration, even where another integration's base class matches. `engines`
    are modules of the framework that start processes on behalf of their caller.
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
        """Remember the name under which the framework has been imported."""
        self._module = module

    def version(self) -> str:
        """Return the imported framework's version, from its module: the distribution may have several names."""
        return str(getattr(sys.modules.get(self._module), "__version__", ""))

    # -- trainings that no call is around

    def start_run(self, closing: Callable[[], None], **about: Any) -> Any:
        """Open the run of a loop that the user wrote and that no patched call surrounds. `about` is as for `Call.start_run`,
        without `inside`.

        Inside a call that takes contributions, return that call's run; inside `with autolog.run(…)`, the block's run or a child
        of it. The run ends with `end_run`, with the call or block in which it began, when the integration is disabled, or when
        the interpreter exits; `closing` is called before that, to log what is left. Return None where nothing is recorded:
        while suspended, inside a call that suppresses nested calls, on another rank, in a forked child.
        """
        return None if self.handler is None else self.handler.open_loop(self.name, closing, **about)

    def end_run(self, run: Any, error: BaseException | None = None) -> None:
        """End a run that `start_run` opened. Ending it again does nothing; neither does ending the run of an enclosing call."""
        if self.handler is not None:
            self.handler.close_loop(run, error)

    def guarded(self, function: Callable[..., Any], place: str) -> Callable[..., None]:
        """Wrap a function that others will call, such as a weak reference's callback. Its first exception is reported and does
        not propagate; from then on the wrapper does nothing.
        """
        switch = Switch()
        handler = self.handler
        assert handler is not None
        return guarded(function, handler, self.name, place, switch)

    def hook_code(self, patches: Iterable[AnyPatch]) -> list[CodeType]:
        """Return the code objects around every hook and these fast patches, for a compiler of Python that must skip them."""
        return codes(patches)
