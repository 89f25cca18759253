"""One thread's trainings: keeps what the hooks note, and carries out what the reducer makes of it.

The hooks only append to `log`. It is reduced when something happens that cannot wait: an optimizer that the run has not met, a
loader that is iterated, the end of the run; else at each `MANY` events or after some time. So nothing is decided at an
ordinary step. This is the only code that knows both runs and torch.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

from autolog.integration import IdentityMap, Run
from autolog_torch import about
from autolog_torch.checkpoints import Checkpoints
from autolog_torch.events import (
    NO_OPTIMIZER,
    ByHand,
    Died,
    Elsewhere,
    Event,
    LoaderEnded,
    Loss,
    Named,
    Place,
    Step,
)
from autolog_torch.final import FinalModel
from autolog_torch.recording import SECONDS, Recording
from autolog_torch.reducer import Reducer, Relation
from autolog_torch.values import Reader, Value, same

if TYPE_CHECKING:
    from autolog.integration import Integration
    from autolog_torch.options import TorchOptions
    from autolog_torch.sites import Site

MANY = 256
"""Events that may wait."""
BY_HAND = 8
"""Backwards without a step until they are taken for steps."""
MODELS = 20
"""Of one run. An optimizer may be given the parts of a model that is no module."""


class Seen:
    """What was seen that a run's parameters are made of; shared by all threads."""

    def __init__(self) -> None:
        self.modules = about.Modules()
        self.created: IdentityMap[int] = IdentityMap()
        """The how many-th each optimizer was."""
        self.unused: IdentityMap[int] = IdentityMap()
        """Those that have not stepped yet: the thread that made them."""
        self.schedulers: IdentityMap[weakref.ref[Any]] = IdentityMap()
        self.rates: IdentityMap[tuple[Any, ...]] = IdentityMap()
        """The learning rates that optimizers were made with."""
        self.clock = 0
        self._before = 0

    def optimizer(self, optimizer: Any, params: Any) -> None:
        self.clock += 1
        self.created.set(optimizer, self.clock)
        self.modules.given(optimizer, params)
        self.unused.set(optimizer, threading.get_ident())

    def number_of(self, optimizer: Any) -> int:
        """Its number; one that was made before anybody looked has one below 0."""
        number = self.created.get(optimizer)
        if number is None:
            self._before = number = self._before - 1
            self.created.set(optimizer, number)
        return number


class Tracker:
    """See the module. It is the reducer's `World`."""

    def __init__(self, integration: Integration, seen: Seen) -> None:
        self._integration = integration
        self._seen = seen
        self._grad_enabled = _grad_enabled()
        self.reader = Reader()
        self.reducer = Reducer(self)
        self.describer = Describer(integration, seen)
        self.log: list[Event] = []
        self.drained = 0.0
        self._is_busy = False
        self.lead: Callable[[], Any] = _nothing
        """The optimizer whose steps are the run's."""
        self._lead_number = NO_OPTIMIZER
        self._met: set[int] = set()
        """The run's optimizers, by their numbers."""
        self._stepping: dict[int, weakref.ref[Any]] = {}
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
        self.last_read: tuple[Site, float] | None = None
        """In training, before a backward."""
        self.backwards = 0
        """Since the last step of any optimizer."""
        self._iterators: dict[int, weakref.ref[Any]] = {}
        self._hidden = HiddenSteps(seen)
        self._uncaught: Any = None
        """The last exception that nobody had caught when the run began."""

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
            self._hidden.behind = about.parameter_behind(tensor)
        value = self.reader.read(tensor)
        if value is None:
            return None
        self.last_loss = id(tensor), value
        self.losses.append(value)
        # Not asked once it is known to be undivided, unless the next training may have begun.
        divisor = 1.0 if site in self.undivided and self.lead() is not None else self.divisor(tensor)
        if self.last_read is not None and type(value) is float:
            read, self.last_read = self.last_read, None
            if abs(read[1] - value * divisor) <= 1e-6 * abs(read[1]) and read[1] not in TRIVIAL:
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
            self._stepped(Step(self._lead_number, () if optimizer is None else about.rates(optimizer)))
            return
        found = self._hidden.look(self)
        if found is not None:
            self.backwards = 0
            self.log.append(ByHand(found))
            self.drain()

    def backward_tells(self, criterion: Any, grad: bool) -> bool:
        """Whether a loss module is part of a training, whose losses are seen in `backward`."""
        if not grad:
            return False
        if not self.is_steady:
            root = self.root()
            if root is not None and not root.training and not self.trains_in_eval:
                return False
        describer = self.describer
        if describer.criterion is None:
            describer.criterion = type(criterion)
        return not self.given or self.given[-1] in self.trained

    def iterates(self, iterator: Any) -> None:
        """Know when an iterator is gone, as that of a loop that was left by `break`."""
        number, log, iterators = id(iterator), self.log, self._iterators

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
        if self.lead() is optimizer:
            number = self._lead_number
            root = self.root()
            self.trains_in_eval = root is not None and not root.training
            self.is_steady = True
        else:
            number = self._seen.number_of(optimizer)
            if number not in self._stepping:
                self._watch(number, optimizer)
        self._stepped(Step(number, about.rates(optimizer), again))

    def _watch(self, number: int, optimizer: Any) -> None:
        log, stepping = self.log, self._stepping

        # All that it needs is bound: while Python ends, a module's globals may be None.
        def died(_: weakref.ref[Any], event: Died = Died(number)) -> None:  # noqa: B008
            stepping.pop(number, None)
            log.append(event)

        stepping[number] = weakref.ref(optimizer, died)

    def _stepped(self, event: Step) -> None:
        log = self.log
        log.append(event)
        if event.optimizer not in self._met or len(log) >= MANY or perf_counter() - self.drained > SECONDS:
            self.drain()
        describer = self.describer
        describer.criterion = describer.amp = None
        describer.scales = False

    def drain(self) -> None:
        """Reduce what was noted. What is noted meanwhile, as by code of the user's that a description calls, comes after it."""
        if self._is_busy:
            return
        self._is_busy = True
        log, began = self.log, perf_counter()
        try:
            while log:
                events = log[:]
                log.clear()
                for event in events:
                    self.reducer(event)
        finally:
            self._is_busy = False
            self.drained = perf_counter()
            handler = self._integration.handler
            if handler is not None:
                handler.timer.account.add(self.drained - began)

    # -- what the reducer asks

    def clock(self) -> int:
        return self._seen.clock

    def _optimizer(self, number: int) -> Any:
        held = self._stepping.get(number)
        if held is not None:
            return held()
        return next((one for one, known in self._seen.created.items() if known == number), None)

    def was_interrupted(self) -> bool:
        return _last_uncaught() is not self._uncaught

    def relation(self, optimizer: int, members: list[int]) -> Relation:
        own = about.ids_of(self._optimizer(optimizer))
        living = [held for one in members if (held := self._optimizer(one)) is not None]
        theirs = [about.ids_of(one) for one in living]
        if own in theirs:
            return Relation.ALIAS
        root = self.root()
        if any(own & some for some in theirs) or (
            root is not None and any(id(p) in own for p in root.parameters())
        ):
            return Relation.SHARES
        return Relation.STRANGER if living else Relation.ALONE

    def open(self, optimizer: int, began_at: int, now: int) -> Recording | None:
        found = None if optimizer == NO_OPTIMIZER else self._optimizer(optimizer)
        whole = self._hidden.root if found is None else self._seen.modules.root_of(found)
        self._seen.unused.pop(found)
        root, wrappers = about.unwrapped(whole)
        recording = Recording(partial(self._expects_others, began_at))
        run: Run | None = self._integration.start_run(
            partial(self._close, recording), kind="train", estimator=root
        )
        if run is None:
            self._met = {optimizer}
            return None
        recording.run = run
        recording.owned = run.framework == self._integration.name
        self._uncaught = _last_uncaught()
        self._met = {optimizer}
        if found is not None and optimizer not in self._stepping:
            self._watch(optimizer, found)
        self.undivided = recording.undivided
        self.root = _nothing if root is None else weakref.ref(root)
        self.kind = None if root is None else type(root)
        self.trains_in_eval = root is not None and not root.training
        if found is not None:
            recording.resumes(*about.made_before(found, self._seen.schedulers.get(found), now))
        self.describer.begin(recording, began_at, found, root, wrappers, self.reducer.passes.epoch)
        return recording

    def joined(self, recording: Recording, optimizer: int, number: int, alias: bool) -> None:
        found = self._optimizer(optimizer)
        self._met.add(optimizer)
        if found is not None:
            self._seen.unused.pop(found)
            if not alias and recording.owned:
                self.describer.join(recording.run, found, number)

    def leads(self, optimizer: int, by_hand: bool) -> None:
        self.lead = self._stepping.get(optimizer, _nothing)
        self._lead_number, self.by_hand = optimizer, by_hand

    def _expects_others(self, began_at: int) -> bool:
        """Whether optimizers that have not stepped yet are to join this run."""
        own = {
            n
            for number in self._met
            if (one := self._optimizer(number)) is not None
            for n in about.ids_of(one)
        }
        here = threading.get_ident()
        return bool(own) and any(
            thread == here
            and self.describer.last_began_at < (self._seen.created.get(optimizer) or 0) <= began_at
            and own.isdisjoint(about.ids_of(optimizer))
            for optimizer, thread in self._seen.unused.items()
        )

    def began_epoch(self) -> None:
        self.describer.refresh()

    def _close(self, recording: Recording) -> None:
        """The run is about to end."""
        self.drain()
        self.reducer.close(recording)

    def finished(self, recording: Recording) -> None:
        self.describer.finish(recording)
        self.lead, self._met, self.by_hand = _nothing, set(), False
        self.root, self.kind, self.undivided = _nothing, None, set()

    def end(self, recording: Recording) -> None:
        error = _last_uncaught() if self.was_interrupted() else None
        self._integration.end_run(recording.run, error)


class Describer:
    """Says what a run is made with, and saves its models. A fault in it costs a part of the record, not the hooks."""

    def __init__(self, integration: Integration, seen: Seen) -> None:
        self._integration = integration
        self._options: TorchOptions = integration.options
        self._seen = seen
        self.facts: dict[str, Any] = {}
        """What the next run's params are to say, as the script says itself."""
        # What the step that is under way is made with: of a new training's first one this describes its run, and of steps
        # before it nothing does.
        self.criterion: type | None = None
        self.amp: Any = None
        self.scales = False
        self.last_began_at = 0
        """When the run before this one began, by the clock of what was made."""
        self._began_at = 0
        self._run: Run | None = None
        self._finals: list[FinalModel] = []
        self._models: list[weakref.ref[Any]] = []
        """Those that the run's params are about."""
        self._checkpoints = Checkpoints(self._options)

    def hparams(self, values: dict[str, Any]) -> None:
        """The script's own params."""
        if self._run is not None:
            self._run.log_params(values)
        else:
            self.facts.update(values)

    def saved(self, path: str) -> None:
        """The script has written a checkpoint."""
        if self._run is not None:
            self._checkpoints.saved(self._run, path)

    def begin(
        self, recording: Recording, began_at: int, optimizer: Any, root: Any, wrappers: list[str], epoch: Any
    ) -> None:
        run = self._run = recording.run
        self._began_at = began_at
        self._finals, self._models = [], []
        if recording.owned:
            self._attempt(self._describe, run, optimizer, epoch)
            if root is not None:
                self._attempt(self._keep, run, root, wrappers)
            if optimizer is not None:
                self._attempt(self._keep_all, run, optimizer)

    def join(self, run: Run, optimizer: Any, number: int) -> None:
        """The run has another optimizer."""
        run.log_params(
            about.optimizer_params(optimizer, f"optimizer{number + 1}", self._seen.rates.get(optimizer))
        )
        self._attempt(self._keep_all, run, optimizer)

    def refresh(self) -> None:
        for final in self._finals:
            self._attempt(final.refresh)

    def finish(self, recording: Recording) -> None:
        for final in self._finals:
            final.save()
        self._checkpoints.keep(recording.run)
        self._run, self._finals, self._models = None, [], []
        self.last_began_at = self._began_at

    def _describe(self, run: Run, optimizer: Any, epoch: Any) -> None:
        params: dict[str, Any] = {}
        if optimizer is not None:
            params.update(about.optimizer_params(optimizer, "optimizer", self._seen.rates.get(optimizer)))
            held = self._seen.schedulers.get(optimizer)
            scheduler = held() if held is not None else None
            if scheduler is not None:
                params.update(about.scheduler_params(scheduler))
        else:
            params["optimizer"] = "by hand"
        if epoch is not None and epoch.is_loader:
            params.update(epoch.described)
            tensors = about.dataset_tensors(epoch.sources[0]())
            if tensors is not None and self._options.log_datasets:
                run.log_dataset(*tensors)
        processes = about.distribution()
        if processes.get("world_size", 1) > 1:
            run.note(f"The metrics are those of the first of {processes['world_size']} processes.")
        amp = self.amp
        # It may have been entered long ago, around several trainings.
        if amp is None and optimizer is not None:
            amp = about.autocast(about.first_param(optimizer))
        facts = {
            "loss": None if self.criterion is None else self.criterion.__name__,
            "amp": None if amp is None else str(amp).removeprefix("torch."),
            "grad_scaler": self.scales or None,
        }
        params.update({name: value for name, value in facts.items() if value is not None})
        params.update({**self.facts, **processes})
        self.facts = {}
        run.log_params(params)

    def _attempt(self, work: Callable[..., None], *args: Any) -> None:
        """An error while a run is described, as of an object that is like no other, costs that run a part of its record. It
        must not leave the hook: that would be off, and later runs be lost.
        """
        try:
            work(*args)
        except Exception as error:
            handler = self._integration.handler
            if handler is not None:
                handler.failed(self._integration.name, "in describing a run", error)

    def _keep_all(self, run: Run, optimizer: Any) -> None:
        """The models that an optimizer trains, and that the run does not know of yet, are the run's."""
        roots, are_all = self._seen.modules.roots_of(optimizer)
        for whole in roots:
            root, wrappers = about.unwrapped(whole)
            if all(one() is not root for one in self._models):
                if len(self._models) == MODELS:
                    are_all = False
                    break
                self._attempt(self._keep, run, root, wrappers)
        if not are_all:
            run.note(f"{type(optimizer).__name__} trains more than the models that are recorded here.")

    def _keep(self, run: Run, root: Any, wrappers: list[str]) -> None:
        """This model is one of the run's: it is saved when the run ends, or when it dies."""
        self._models.append(weakref.ref(root))
        path = "model" if len(self._models) == 1 else f"model{len(self._models)}"
        run.log_params(about.model_params(root, path, wrappers))
        if self._options.log_models:
            limit = self._options.max_model_bytes
            self._finals.append(FinalModel(run, path, root, wrappers, limit, self._integration.guarded))


class HiddenSteps:
    """Finds out whether parameters are updated by something else than the steps that can be seen."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self._versions: list[tuple[weakref.ref[Any], int]] = []
        self.behind: Any = None
        """A parameter of what may be a loop that updates by hand, while that is found out."""
        self._root: Callable[[], Any] = _nothing

    @property
    def root(self) -> Any:
        """The model of such a loop."""
        return self._root()

    def look(self, tracker: Tracker) -> int | None:
        """The number of the optimizer whose steps cannot be seen, `NO_OPTIMIZER` for a loop that updates by hand."""
        if about.inside_a_step():  # an optimizer that evaluates again and again
            tracker.backwards = 0
            return None
        optimizers = [one for one, _ in self._seen.created.items()]
        if not optimizers:
            param, self.behind = self.behind, None
            root = self._seen.modules.trained_by_hand(param)
            if root is not None and not root.training:  # gradients of inputs, say
                tracker.backwards = 0
                tracker.note(Elsewhere())
                return None
            self._root = _nothing if root is None else weakref.ref(root)
            return NO_OPTIMIZER
        before, self._versions = self._versions, []
        for optimizer in optimizers:
            param = about.first_param(optimizer)
            if param is not None and not param.is_inference():
                self._versions.append((weakref.ref(optimizer), param._version))
                if any(held() is optimizer and version != param._version for held, version in before):
                    self._versions = []
                    return self._seen.number_of(optimizer)
        return None


TRIVIAL = (0.0, 1.0)
"""Values that a loss and another number may have by chance."""


def _last_uncaught() -> BaseException | None:
    """The last exception that has ended a cell of a notebook or a command of Python's prompt."""
    return getattr(sys, "last_value", None)


def _nothing() -> None:
    return None


def _grad_enabled() -> Callable[[], bool]:
    import torch

    return torch.is_grad_enabled
