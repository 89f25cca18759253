"""What the hooks note of a training script, in order: small records that hold no tensor and decide nothing.

`reducer` turns them into runs and metrics. Must not know torch or runs: a test writes a training as a list of these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

NO_OPTIMIZER = 0

if TYPE_CHECKING:
    from autolog_torch.passes import Pass
    from autolog_torch.sites import Site
    from autolog_torch.values import Value


class Loss(msgspec.Struct, gc=False):
    """A value that `backward` was called on: where, the value, and what the script divided it by last. As an event: a backward
    of this one loss.
    """

    site: Site
    value: Value
    divisor: float = 1.0
    clock: int = 0
    """How many optimizers had been made by then: a loss is of no optimizer that was made later."""
    epoch: Pass | None = None
    """The pass during which it went backward."""
    is_in_epoch: bool = False
    """It is in that epoch's mean."""
    is_skipped: bool = False
    """No step followed, as the gradients had overflowed: it is part of the epoch, and of no step."""


class Backward(msgspec.Struct, gc=False):
    """A backward of several losses, or of none that is known."""

    losses: tuple[Loss, ...]


class BackwardFailed(msgspec.Struct, gc=False):
    losses: tuple[Loss, ...]


class Step(msgspec.Struct, gc=False):
    optimizer: int
    """The how many-th that was made; below 0 if that was not seen."""
    rates: tuple[Any, ...] = ()
    """The learning rate of each parameter group."""
    again: bool = False
    """The step has a closure, by which it evaluates again and again."""


class Skipped(msgspec.Struct, gc=False):
    """A GradScaler has left out a step."""


class Died(msgspec.Struct, gc=False):
    """An optimizer that has stepped is gone."""

    optimizer: int


class ByHand(msgspec.Struct, gc=False):
    """Each backward updates parameters: those of an optimizer whose steps cannot be seen, or of none (`NO_OPTIMIZER`)."""

    optimizer: int


class Elsewhere(msgspec.Struct, gc=False):
    """Another framework has updated its parameters: what went backward is its."""


class LoaderBegan(msgspec.Struct, gc=False):
    iterator: int
    found: Pass


class Batch(msgspec.Struct, gc=False):
    iterator: int
    rows: int
    asked: float
    given: float
    grad: bool = True
    """Gradients are on."""


class LoaderEnded(msgspec.Struct, gc=False):
    """An iterator has come to its end, or is gone before (`dropped`)."""

    iterator: int
    at: float
    dropped: bool = False


class PutToEvaluation(msgspec.Struct, gc=False):
    """The model is put into evaluation mode."""

    of: str = ""
    """What is evaluated, where the script says that: `train`, `val` or `test`."""


class Place(msgspec.Struct, gc=False):
    """What is known of the place where a value is computed or read."""

    grad: bool = True
    """Gradients are on."""
    in_eval: bool = False
    """The run's model is in evaluation mode, and its steps are not made in it."""
    put_to_eval: bool = False
    """The run's model is in evaluation mode; without a run, the last module that was put into a mode is."""


class Criterion(msgspec.Struct, gc=False):
    """What a loss module has computed, outside of training."""

    name: str
    value: Value
    is_sum: bool
    rows: int
    place: Place


class Read(msgspec.Struct, gc=False):
    """A number that the script has read from a tensor."""

    site: Site
    value: float
    place: Place
    weight: int = 0
    """Of how many samples it is, where that is known."""


class Named(msgspec.Struct, gc=False):
    """Values that the script records itself, at its own step if it gives one."""

    values: dict[str, Any]
    step: Any = None
    evaluates: bool | None = None
    """The values are of what was done here, and this says whether that is an evaluation. None: they are of nothing special."""


Event = (
    Loss | Backward | BackwardFailed | Step | Skipped | Died | ByHand | Elsewhere | LoaderBegan | Batch | LoaderEnded
    | PutToEvaluation | Criterion | Read | Named
)  # fmt: skip
