"""One thread's trainings: keeps what the hooks note, until the reducer gets it.

The hooks only append to `log`. It is reduced when something happens that cannot wait: an optimizer that the run has not met, a
loader that is iterated, the end of the run; else at each `MANY` events or after some time. So nothing is decided at an
ordinary step.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any

from autolog_torch import about
from autolog_torch.describer import Describer
from autolog_torch.events import (
    NO_OPTIMIZER,
    Died,
    Event,
    LoaderEnded,
    Loss,
    Named,
    Place,
    Step,
)
from autolog_torch.hidden import HiddenSteps
from autolog_torch.recording import SECONDS
from autolog_torch.reducer import Reducer
from autolog_torch.runs import Runs
from autolog_torch.values import Reader, Value, same

if TYPE_CHECKING:
    from autolog.integration import Integration
    from autolog_torch.seen import Seen
    from autolog_torch.sites import Site

MANY = 256
"""Events that may wait."""
TIMED = 16
"""The first events after each look at them: what it takes to note these is measured, and stands for all."""
BY_HAND = 8
"""Backwards without a step until they are taken for steps."""


class Tracker:
    """See the module. `runs` tells it what the hooks are to know of the run in progress."""

    def __init__(self, integration: Integration, seen: Seen) -> None:
        self._integration = integration
        self._seen = seen
        self._grad_enabled = _grad_enabled()
        self.reader = Reader()
        self.reducer = Reducer(Runs(integration, seen, self))
        self.describer = Describer(integration, seen)
        self.log: list[Event] = []
        self.drained = 0.0
        self.spent = 0.0
        """Seconds that noting events has taken, of those that are measured."""
        self._is_busy = False
        self.lead: Callable[[], Any] = _nothing
        """The optimizer whose steps are the run's."""
        self.lead_number = NO_OPTIMIZER
        self.met: set[int] = set()
        """The run's optimizers, by their numbers."""
        self.stepping: dict[int, weakref.ref[Any]] = {}
        """All that have stepped."""
        self.by_hand = False
        """Backwards are steps."""
        self.undivided: set[Site] = set()
        """Places whose losses are known to be the script's own."""
        self.root: Callable[[], Any] = _nothing
        """The model that the run is of."""
        self.kind: type | None = None
        self.trains_in_eval = False
        """The model is trained in evaluation mode, as to keep its statistics: its mode says nothing then."""
        self.is_steady = False
        """No module was put into a mode since the last step."""
        self.evaluating = False
        """The last mode that any module was put into."""
        self.given: list[int] = []
        """Iterators that have given a batch since the last backward; the last of these is what is computed with."""
        self.trained: list[int] = []
        """Those that had before it."""
        self.scaled: tuple[weakref.ref[Any], Value, float] | None = None
        self.last_loss: tuple[int, Value] | None = None
        """Which tensor it was, as it cannot be held, and its value."""
        self.losses: deque[Value] = deque(maxlen=8)
        """The values of the last ones."""
        self.loss_names: set[str] = set()
        # What the step that is under way is made with: of a new training's first one this describes its run, and of steps
        # before it nothing does.
        self.criterion: type | None = None
        self.amp: Any = None
        self.scales = False
        self.last_read: tuple[Site, float, int] | None = None
        """In training, before a backward: where, the value, and which tensor it was."""
        self.is_fetching = False
        """A loader makes a batch: what is read meanwhile is of the data."""
        self.backwards = 0
        """Since the last step of any optimizer."""
        self._iterators: dict[int, weakref.ref[Any]] = {}
        self.hidden = HiddenSteps(seen)

    # -- what the hooks note

    def is_a_loss(self, tensor: Any, value: float) -> bool:
        """Whether a number that is read is a loss that has just gone backward."""
        last = self.last_loss
        if last is None:
            return False
        if last[0] == id(tensor) and same(last[1], value):
            return True
        return value in self.losses and value not in TRIVIAL

    def note(self, event: Event) -> None:
        log = self.log
        log.append(event)
        if len(log) >= MANY:
            self.drain()

    def place(self) -> Place:
        """Where something is computed now."""
        root, grad = self.root(), self._grad_enabled()
        if root is None:
            return Place(grad, self.evaluating and not grad, self.evaluating)
        return Place(grad, not root.training and not self.trains_in_eval, not root.training)

    def loss(self, tensor: Any, site: Site) -> Loss | None:
        """A loss, before its backward."""
        scaled = self.scaled
        if scaled is not None and scaled[0]() is tensor:
            self.scaled = None
            return Loss(site, scaled[1], scaled[2], self._seen.clock)
        if self.backwards == BY_HAND - 1 and self.reducer.training is None:
            self.hidden.behind = about.parameter_behind(tensor)
        value = self.reader.read(tensor)
        if value is None:
            return None
        self.last_loss = id(tensor), value
        self.losses.append(value)
        self.loss_names.add(site.name)
        # Not asked once it is known to be undivided, unless the next training may have begun.
        divisor = 1.0 if site in self.undivided and self.lead() is not None else self.divisor(tensor)
        if self.last_read is not None and type(value) is float:
            read, self.last_read = self.last_read, None
            is_same = abs(read[1] - value * divisor) <= 1e-6 * abs(read[1]) and read[1] not in TRIVIAL
            if is_same and (read[0].name == site.name or read[2] == id(tensor)):
                read[0].is_loss = True  # and so is what has been read there
        return Loss(site, value, divisor, self._seen.clock)

    def divisor(self, loss: Any) -> float:
        """What a loss was divided by last, as `loss / 4` or `loss * 0.25`."""
        node = loss.grad_fn
        kind = type(node).__name__
        if kind in ("DivBackward0", "MulBackward0"):
            other = node._saved_other
            if other is not None and other.ndim == 0 and other.is_cpu and not other.requires_grad:
                number = self.reader.read(other)
                if type(number) is float and number:
                    return number if kind == "DivBackward0" else 1.0 / number
        return 1.0

    def backward_without_step(self) -> None:
        if self.by_hand:
            optimizer = self.lead()
            self._stepped(Step(self.lead_number, () if optimizer is None else about.rates(optimizer)))
            return
        if about.inside_a_step():  # an optimizer that evaluates again and again
            self.backwards = 0
            return
        found = self.hidden.look()
        if found is not None:
            self.backwards = 0
            self.log.append(found)
            self.drain()

    def backward_tells(self, criterion: Any, grad: bool) -> bool:
        """Whether a loss module is part of a training, whose losses are seen in `backward`."""
        if not grad:
            return False
        if not self.is_steady:
            root = self.root()
            if root is not None and not root.training and not self.trains_in_eval:
                return False
        if self.criterion is None:
            self.criterion = type(criterion)
        return not self.given or self.given[-1] in self.trained

    def made_with(self) -> dict[str, Any]:
        """What this step is made with, as params; None where that is not known."""
        loss = None if self.criterion is None else self.criterion.__name__
        return {"loss": loss, "amp": self.amp, "grad_scaler": self.scales or None}

    def iterates(self, iterator: Any) -> None:
        """Know when an iterator is gone, as that of a loop that was left by `break`."""
        number, log, iterators = id(iterator), self.log, self._iterators
        for known in (self.given, self.trained):
            if number in known:  # of another one, which is gone, or of the same one's last pass
                known.remove(number)

        def dropped(
            reference: weakref.ref[Any], now: Callable[[], float] = perf_counter, event: Any = LoaderEnded
        ) -> None:
            if iterators.get(number) is reference:
                del iterators[number]
                log.append(event(number, now(), True))

        iterators[number] = weakref.ref(iterator, dropped)

    def named(self, values: dict[str, Any], step: Any, computed: bool = False) -> None:
        """Values that the script records itself; `computed`: they are of what was done here."""
        read = self.reader.read
        known = {
            name: read(value) if hasattr(value, "requires_grad") else value for name, value in values.items()
        }
        evaluates = None
        if computed:  # gradients may be off after training, too: what counts is the model's mode
            place = self.place()
            unknown = self.root() is None or self.trains_in_eval
            evaluates = (place.in_eval or not place.grad) if unknown else place.put_to_eval
        self.note(Named({name: v for name, v in known.items() if v is not None}, step, evaluates))

    def stepped(self, optimizer: Any, again: bool) -> None:
        """An optimizer has stepped."""
        self.backwards = 0
        groups = optimizer.param_groups
        rates = (groups[0].get("lr"),) if len(groups) == 1 else about.rates(optimizer)
        if self.lead() is not optimizer:
            number = self._seen.number_of(optimizer)
            if number not in self.stepping:
                self.watch(number, optimizer)
            self._stepped(Step(number, rates, again))
            return
        root = self.root()
        self.trains_in_eval = root is not None and not root.training
        self.is_steady = True
        log = self.log
        log.append(Step(self.lead_number, rates, again))
        if len(log) >= MANY or perf_counter() - self.drained > SECONDS:
            self.drain()
        self.criterion = self.amp = None
        self.scales = False

    def watch(self, number: int, optimizer: Any) -> None:
        log, stepping = self.log, self.stepping

        # All that it needs is bound: while Python ends, a module's globals may be None.
        def died(_: weakref.ref[Any], event: Died = Died(number)) -> None:  # noqa: B008
            stepping.pop(number, None)
            log.append(event)

        stepping[number] = weakref.ref(optimizer, died)

    def _stepped(self, event: Step) -> None:
        log = self.log
        log.append(event)
        if event.optimizer not in self.met or len(log) >= MANY or perf_counter() - self.drained > SECONDS:
            self.drain()
        self.criterion = self.amp = None
        self.scales = False

    def drain(self) -> None:
        """Reduce what was noted. What is noted meanwhile, as by code of the user's that a description calls, comes after it."""
        if self._is_busy:
            return
        self._is_busy = True
        log, began = self.log, perf_counter()
        noted, spent, self.spent = len(log), self.spent, 0.0
        try:
            while log:
                # Not by `clear`: a weak reference's callback may append at any moment.
                events = log[:]
                del log[: len(events)]
                self.reducer(events)
        finally:
            self._is_busy = False
            self.drained = perf_counter()
            handler = self._integration.handler
            if handler is not None:
                noting = spent * max(1.0, noted / TIMED)
                handler.timer.account.add(self.drained - began + noting)


TRIVIAL = (0.0, 1.0)
"""Values that a loss and another number may have by chance."""


def _nothing() -> None:
    return None


def _grad_enabled() -> Callable[[], bool]:
    import torch

    return torch.is_grad_enabled


class Threads(threading.local):
    """Each thread's tracker: made anew, as all of this, for each thread that looks."""

    def __init__(self, integration: Integration, seen: Seen) -> None:
        self.tracker = Tracker(integration, seen)
