"""Whose steps are which run's: the state machine of optimizers and runs.

    no run    --first step of an optimizer-->  run        --all gone, new run, end of the block, exit-->  ended

    A step of an optimizer O that the run has not met:
      same parameters as one of the run's, nothing pending      alias: a wrapper around it; its steps are ignored
      some parameters of the run's model or optimizers          joins; O leads when the others are gone or silent
      none, and the run's optimizers are gone                   the run ends, O begins a new one
      none, and O was made before the run began                 joins: GAN, actor and critic
      none, and O was made later                                waits for the next step: if that is one of the run's, O joins,
                                                                else O begins a new one, as it does if none comes; at once if
                                                                its step evaluates again and again, and may be all of them
    Eight backwards and no step:
      no optimizer is alive                                     a loop that updates by hand: each backward is a step
      an optimizer's parameters change all the same             its step is compiled: each backward is a step

One machine a thread: two threads that train are two runs. Parameters are compared by identity, and only with those of
optimizers that are alive.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from autolog.integration import IdentityMap, Run
from autolog_torch import about
from autolog_torch.epochs import Flow, Pass, Read
from autolog_torch.final import FinalModel
from autolog_torch.recording import Loss, Recording
from autolog_torch.values import Late, Mean, Reader, Value

if TYPE_CHECKING:
    from autolog.integration import Integration
    from autolog_torch.options import TorchOptions
    from autolog_torch.sites import Site

BY_HAND = 8
"""Backwards without a step until they are taken for steps."""
SILENT = 16
"""Steps of others after which an optimizer leads no more."""
MODELS = 20
"""Of one run. An optimizer may be given the parts of a model that is no module."""
PENDING = 4096
HELD = 64
"""Values that the user has named, until it is known which run they are of."""


class Seen:
    """What was seen that a run's parameters are made of; shared by all threads."""

    def __init__(self) -> None:
        self.modules = about.Modules()
        self.created: IdentityMap[int] = IdentityMap()
        self.unused: IdentityMap[int] = IdentityMap()
        """Those that have not stepped yet: the thread that made them."""
        self.schedulers: IdentityMap[weakref.ref[Any]] = IdentityMap()
        self.clock = 0

    def optimizer(self, optimizer: Any, params: Any) -> None:
        self.clock += 1
        self.created.set(optimizer, self.clock)
        self.unused.set(optimizer, threading.get_ident())
        self.modules.given(optimizer, params)


class Member:
    """An optimizer of a run."""

    __slots__ = ("alias", "number", "optimizer")

    def __init__(self, optimizer: Any, number: int, alias: bool = False) -> None:
        self.optimizer: Callable[[], Any] = _nothing if optimizer is None else weakref.ref(optimizer)
        self.number = number
        self.alias = alias


class Machine:
    """One thread's."""

    def __init__(self, integration: Integration, seen: Seen) -> None:
        self._integration = integration
        self._options: TorchOptions = integration.options
        self._seen = seen
        self._reader = Reader()
        self._grad_enabled = _grad_enabled()
        self.flow = Flow()
        self.facts: dict[str, Any] = {}
        """What the next run's params are to say, as the user says himself."""
        # What the step that is under way is made with: of a new training's first one this describes its run, and of steps
        # before it nothing does.
        self.loss: type | None = None
        self.amp: Any = None
        self._scales = False
        self._scaled: tuple[weakref.ref[Any], Value, float] | None = None
        self.last_loss: tuple[int, Value] | None = None
        """Which tensor it was, as it cannot be held, and its value."""
        self._pending: list[Loss] = []
        self._backwards = 0
        """Since the last step of any optimizer."""
        self._versions: list[tuple[weakref.ref[Any], int]] = []
        self._waiting: tuple[weakref.ref[Any], list[Loss], int] | None = None
        """An optimizer that has stepped once, its losses, and when that was, by the clock of what was made."""
        self._declined: weakref.ref[Any] | None = None
        self._recording: Recording | None = None
        self._members: list[Member] = []
        self._lead: Member | None = None
        self._last_began_at = self._began_at = 0
        """When the run before this one began, and this one, by the clock of what was made."""
        self._by_backward = False
        self._behind: Any = None
        """A parameter of what may be a loop that updates by hand, while that is found out."""
        self._idle = 0
        """Steps of others since the one that leads has stepped."""
        self._finals: list[FinalModel] = []
        self._models: list[weakref.ref[Any]] = []
        """Those that the run's params are about."""
        self._root: Callable[[], Any] = _nothing
        self._kind: type | None = None
        self._steps_in_eval = False
        """The model is trained in evaluation mode, as to keep its statistics: its mode says nothing then."""
        self._evaluating = False
        """The last mode that any module was put into."""
        self._checkpoints: dict[str, None] = {}
        self._held: deque[tuple[dict[str, Any], Any, Pass | None]] = deque(maxlen=HELD)

    # -- what the hooks tell

    @property
    def evaluates(self) -> bool:
        """Whether what is computed now is no training."""
        return not self._grad_enabled() or self._is_in_eval()

    def _is_in_eval(self) -> bool:
        """Whether the model's mode says that this is no training."""
        root = self._root()
        return root is not None and not root.training and not self._steps_in_eval

    def backward_tells(self, criterion: Any) -> bool:
        """Whether a loss module is part of a training whose losses are seen in `backward`."""
        if self.evaluates:
            return False
        if self.loss is None:
            self.loss = type(criterion)
        flow = self.flow
        current = flow.current
        return current is flow.epoch or current is None or not current.is_loader or current.over

    def scaled(self, scaled: Any, loss: Any) -> None:
        """A loss was multiplied by a GradScaler."""
        value = self._reader.read(loss)
        if value is not None:
            self._scaled = weakref.ref(scaled), value, self._divisor(None, loss)
            self._scales = True

    def noted(self, tensor: Any, site: Site) -> Loss | None:
        """A loss, before its backward."""
        scaled = self._scaled
        if scaled is not None and scaled[0]() is tensor:
            self._scaled = None
            return site, scaled[1], scaled[2]
        if self._backwards == BY_HAND - 1 and self._recording is None:
            self._behind = about.parameter_behind(tensor)
        value = self._reader.read(tensor)
        if value is None:
            return None
        self.last_loss = id(tensor), value
        return site, value, self._divisor(site, tensor)

    def _divisor(self, site: Site | None, loss: Any) -> float:
        """What a loss was divided by last, as `loss / 4` or `loss * 0.25`; not asked once it is known to be undivided, unless
        the next training may have begun.
        """
        recording, lead = self._recording, self._lead
        if (
            recording is not None
            and not recording.closed
            and lead is not None
            and lead.optimizer() is not None
        ):
            known = recording.undivided
            if known and (site is None or site in known):
                return 1.0
        node = loss.grad_fn
        kind = type(node).__name__
        if kind in ("DivBackward0", "MulBackward0"):
            other = node._saved_other
            if other is not None and other.ndim == 0 and other.is_cpu and not other.requires_grad:
                number = self._reader.read(other)
                if type(number) is float and number:
                    return number if kind == "DivBackward0" else 1.0 / number
        return 1.0

    def backward(self, losses: list[Loss]) -> None:
        """A backward begins; an optimizer may step within."""
        if len(self._pending) < PENDING:
            self._pending += losses
        flow, recording = self.flow, self._recording
        if recording is not None and recording.closed:
            self._forget()
            recording = None
        epoch = flow.epoch
        if flow.trained() and recording is not None:
            if epoch is not None:
                recording.end_epoch(epoch)
            self._log_evaluations(recording)
            recording.epochs += 1
            for final in self._finals:
                self._attempt(final.refresh)
        elif recording is not None and flow.others and self._log_evaluations(recording) and epoch is not None:
            recording.evaluated_within(epoch)

    def backward_failed(self, losses: list[Loss]) -> None:
        """It has raised."""
        self._pending = [loss for loss in self._pending if all(loss is not one for one in losses)]

    def backward_done(self) -> None:
        self._backwards += 1
        recording = self._recording
        if self._by_backward and recording is not None and self._lead is not None:
            self._step(recording, self._lead, self._lead.optimizer(), False)
        elif self._backwards >= BY_HAND:
            self._look_for_hidden_steps()

    def stepped(self, optimizer: Any, evaluates_again: bool) -> None:
        """An optimizer has stepped."""
        recording, lead = self._recording, self._lead
        self._backwards = 0
        if (
            recording is not None
            and not recording.closed
            and lead is not None
            and lead.optimizer() is optimizer
        ):
            if self._waiting is not None:
                self._settle_waiting(recording)
            # A subclass whose `step` calls its parent's steps once.
            if self._pending or not recording.has_losses:
                self._step(recording, lead, optimizer, evaluates_again)
            return
        self._stepped_other(optimizer, evaluates_again)

    def stepped_elsewhere(self) -> None:
        """What went backward was another framework's: no loop that updates by hand, and no loss of ours."""
        self._backwards = 0
        self._pending.clear()

    def criterion(self, name: str, value: Any, reduction: str, rows: int) -> None:
        """A loss module's result where `backward` does not tell it: in an evaluation."""
        number = self._reader.read(value)
        if number is None:
            return
        place = self._place(self.evaluates)
        mean = place.criteria.get(name)
        if mean is None:
            mean = place.criteria[name] = Mean()
        if reduction == "sum":
            mean.add(number, 1.0, rows)
        else:
            mean.add(number, float(rows), rows)

    def read(self, site: Site, value: float) -> None:
        """The user has read a number."""
        if site.reduction == "sum" and type(value) is float and value.is_integer():
            value = int(value)  # a count, though of floats
        evaluates = self.evaluates
        if evaluates and type(value) is int and not self._is_put_to_evaluation():
            evaluates = False  # an action that was chosen, say
        place = self._place(evaluates)
        read = place.reads.get(site)
        if read is None:
            if len(place.reads) >= 64:
                return
            read = place.reads[site] = Read()
        if type(value) is not int:
            read.counts = False
        read.mean.add(value)

    def _place(self, evaluates: bool) -> Pass:
        """The pass that what is computed now belongs to."""
        place = self.flow.here(evaluates)
        if evaluates and not place.tested:
            place.tested = self._is_in_eval()
        return place

    def _is_put_to_evaluation(self) -> bool:
        """Whether there is a pass over data, or the model's own mode says so: gradients that are off say little."""
        current, root = self.flow.current, self._root()
        if current is not None and current.is_loader:
            return True
        return not root.training if root is not None else self._evaluating

    def mode_is_set(self, module: Any, trains: bool) -> None:
        """A module is put into training or evaluation mode."""
        self._evaluating = not trains
        if trains:
            return
        # Or another one like it, as one that is loaded for the final test.
        if module is self._root() or type(module) is self._kind:
            self.flow.split()

    def checkpoint(self, path: str) -> None:
        """The user has saved something."""
        if self._recording is not None and not self._recording.closed and len(self._checkpoints) < 1000:
            self._checkpoints.pop(path, None)
            self._checkpoints[path] = None

    # -- what the user has named

    def named(self, values: dict[str, Any], step: Any, place: Pass | None = None) -> None:
        """Values that the user records himself, at his own step."""
        known: dict[str, Any] = {}
        for name, value in values.items():
            if hasattr(value, "requires_grad"):
                value = self._reader.read(value)
            if value is None:
                continue
            known[name] = value
            if type(value) is float or type(value) is Late:
                if type(value) is Late:
                    known[name] = Mean()
                    known[name].add(value)
                told = place or self.flow.current
                if told is not None and (name in told.named or len(told.named) < HELD):
                    told.named.setdefault(name, Mean()).add(value)
        self._held.append((known, step, place))
        if self._recording is not None and not self._pending and self._waiting is None:
            self._release(self._recording)

    def computed(self, values: dict[str, Any]) -> None:
        """What a metric computed of this pass. Gradients may be off after training, too: what counts is the model's mode."""
        root = self._root()
        evaluates = self.evaluates if root is None or self._steps_in_eval else not root.training
        self.named(values, None, self.flow.here(evaluates))

    def hparams(self, values: dict[str, Any]) -> None:
        """The user's own params."""
        if self._recording is not None:
            self._recording.run.log_params(values)
        else:
            self.facts.update(values)

    def _release(self, recording: Recording) -> None:
        while self._held:
            values, step, place = self._held.popleft()
            evaluates = place is not None and (
                place.evaluates or (place is not self.flow.epoch and not place.losses)
            )
            recording.named(values, step, place, evaluates)

    # -- steps

    def _step(self, recording: Recording, member: Member, optimizer: Any, evaluates_again: bool) -> None:
        """A step of the optimizer that leads."""
        self._idle = 0
        self.loss = self.amp = None
        self._scales = False
        root = self._root()
        self._steps_in_eval = root is not None and not root.training
        losses, self._pending = self._pending, []
        epoch = self.flow.epoch
        if epoch is None:  # its backward could not be seen, or was the last run's
            epoch = self.flow.stretch()
        recording.step(epoch, optimizer)
        if losses:
            recording.take(losses, member.number, evaluates_again)
        if self._held:
            self._release(recording)

    def _stepped_other(self, optimizer: Any, evaluates_again: bool) -> None:
        """A step of an optimizer that does not lead, or that nothing is known of."""
        recording = self._recording
        if recording is None or recording.closed:
            if self._declined is not None and self._declined() is optimizer:
                self._pending.clear()
            elif self._begin(optimizer, []):
                self._stepped_other(optimizer, evaluates_again)
            return
        member = next((one for one in self._members if one.optimizer() is optimizer), None)
        if member is None:
            member = self._meet(recording, optimizer, evaluates_again)
            if member is None:
                return
            recording = self._recording
            assert recording is not None
        if member.alias:
            return
        self._settle_waiting(recording)
        self._idle += 1
        lead = self._lead
        if lead is None or lead.optimizer() is None or self._by_backward or self._idle > SILENT:
            if lead is not None:
                recording.succeeds(lead.number, member.number)
            self._lead = lead = member
            self._by_backward = False
        if member is lead:
            self._step(recording, member, optimizer, evaluates_again)
            return
        self.loss = self.amp = None
        self._scales = False
        losses, self._pending = self._pending, []
        if losses and self.flow.epoch is not None:
            recording.take(losses, member.number, evaluates_again)

    def _settle_waiting(self, recording: Recording) -> None:
        """An optimizer stepped once, and now one of the run's does: they are trained together."""
        if self._waiting is None:
            return
        (reference, losses, _), self._waiting = self._waiting, None
        optimizer = reference()
        if optimizer is not None and self.flow.epoch is not None:
            recording.take(losses, self._join(optimizer).number, False)

    # -- optimizers

    def _meet(self, recording: Recording, optimizer: Any, evaluates_again: bool) -> Member | None:
        """An optimizer that this run has not met: its member of the run or of a new one, None while it waits."""
        if (
            self._waiting is not None
            and self._waiting[0]() is not optimizer
            and self._begin_waiting(recording)
        ):
            assert self._recording is not None
            recording = self._recording
        own = about.ids_of(optimizer)
        living = [held for one in self._members if (held := one.optimizer()) is not None]
        theirs = [about.ids_of(one) for one in living]
        if own in theirs and not self._pending:
            return self._join(optimizer, alias=True)
        root = self._root()
        if any(own & some for some in theirs) or (
            root is not None and any(id(p) in own for p in root.parameters())
        ):
            return self._join(optimizer)
        if living and (self._seen.created.get(optimizer) or 0) <= self._began_at:
            return self._join(optimizer)
        before: list[Loss] = []
        if self._waiting is not None and self._waiting[0]() is optimizer:
            before = self._waiting[1]
        elif living and not evaluates_again:
            self._waiting = weakref.ref(optimizer), self._pending, self._seen.clock
            self._pending = []
            return None
        self._end_for_another(recording)
        return self._lead if self._begin(optimizer, before) else None

    def _join(self, optimizer: Any, alias: bool = False) -> Member:
        self._seen.unused.pop(optimizer)
        member = Member(optimizer, len(self._members), alias)
        self._members.append(member)
        recording = self._recording
        if recording is not None and not alias and recording.owned:
            recording.run.log_params(about.optimizer_params(optimizer, f"optimizer{member.number + 1}"))
            self._attempt(self._keep_all, recording.run, optimizer)
        return member

    def _begin_waiting(self, recording: Recording) -> bool:
        """An optimizer stepped once, and now another one does, or nothing: it was a training of its own. Whether there is a run
        of that now.
        """
        assert self._waiting is not None
        (reference, losses, clock), self._waiting = self._waiting, None
        optimizer = reference()
        if optimizer is None:
            recording.run.note(
                "Another training made one step while this one's optimizer was there, and was gone. It is not recorded."
            )
            return False
        self._end_for_another(recording)
        begun = self._begin(optimizer, losses)
        self._began_at = clock
        return begun

    def _expects_others(self) -> bool:
        """Whether optimizers that have not stepped yet are to join this run."""
        own = {
            number
            for one in self._members
            if (held := one.optimizer()) is not None
            for number in about.ids_of(held)
        }
        here = threading.get_ident()
        return bool(own) and any(
            thread == here
            and self._last_began_at < (self._seen.created.get(optimizer) or 0) <= self._began_at
            and own.isdisjoint(about.ids_of(optimizer))
            for optimizer, thread in self._seen.unused.items()
        )

    # -- runs

    def _begin(self, optimizer: Any, before: list[Loss], root: Any = None) -> bool:
        """Open a run at the first step of an optimizer (None: of a loop that updates `root` by hand); whether there is one."""
        if optimizer is not None:
            root = self._seen.modules.root_of(optimizer)
            self._seen.unused.pop(optimizer)
        root, wrappers = about.unwrapped(root)
        recording = Recording(self._expects_others)
        run: Run | None = self._integration.start_run(
            partial(self._close, recording), kind="train", estimator=root
        )
        if run is None:
            self._declined = None if optimizer is None else weakref.ref(optimizer)
            self._pending.clear()
            return False
        self._declined = self._waiting = None
        recording.run = run
        recording.owned = run.framework == self._integration.name
        recording.epochs = 0
        self._recording = recording
        self._members = [Member(optimizer, 0)]
        self._lead = self._members[0]
        self._by_backward = False
        self._began_at = self._seen.clock
        self._root = _nothing if root is None else weakref.ref(root)
        self._kind = None if root is None else type(root)
        if before:
            epoch = self.flow.epoch or self.flow.stretch()
            recording.step(epoch, optimizer)
            recording.take(before, 0, False)
        if recording.owned:
            self._attempt(self._describe, run, optimizer)
            if root is not None:
                self._attempt(self._keep, run, root, wrappers)
            if optimizer is not None:
                self._attempt(self._keep_all, run, optimizer)
        self._log_evaluations(recording)  # of the model as it was before
        return True

    def _describe(self, run: Run, optimizer: Any) -> None:
        params: dict[str, Any] = {}
        if optimizer is not None:
            params.update(about.optimizer_params(optimizer, "optimizer"))
            held = self._seen.schedulers.get(optimizer)
            scheduler = held() if held is not None else None
            if scheduler is not None:
                params.update(about.scheduler_params(scheduler))
        else:
            params["optimizer"] = "by hand"
        epoch = self.flow.epoch
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
            "loss": None if self.loss is None else self.loss.__name__,
            "amp": None if amp is None else str(amp).removeprefix("torch."),
            "grad_scaler": self._scales or None,
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

    def _close(self, recording: Recording) -> None:
        """The run is about to end: log what is left."""
        if recording.closed:
            return
        recording.closed = True
        epoch = self.flow.epoch
        follows = self._waiting is not None  # what was read and named since is of another training
        if self._recording is recording:
            if not follows:
                self._release(recording)
            if epoch is not None:
                self._take_what_is_left(recording)
                recording.end_epoch(epoch)
            if not follows:
                self._log_evaluations(recording, last=True)
        recording.send(wait=True)
        if self._recording is recording:
            for final in self._finals:
                final.save()
            for path in self._checkpoints:
                if os.path.isfile(path) and os.path.getsize(path) <= self._options.max_model_bytes:
                    recording.run.log_artifact(path, f"checkpoints/{os.path.basename(path)}")
            if follows and self._begin_waiting(recording) and self._recording is not None:
                self._integration.end_run(self._recording.run)

    def _take_what_is_left(self, recording: Recording) -> None:
        """Losses that no step has followed: an accumulation that was not completed, or steps within the last backward."""
        lead = self._lead
        if lead is not None and self._pending:
            known = [loss for loss in self._pending if recording.knows(loss[0], lead.number)]
            recording.take(known, lead.number, False)

    def _log_evaluations(self, recording: Recording, last: bool = False) -> bool:
        """Whether there are any."""
        found = self.flow.evaluations(last)
        for done in found:
            recording.evaluated(done)
        return bool(found)

    def _end_for_another(self, recording: Recording) -> None:
        """Another training has begun: what is held and pending is of that one, as is an optimizer that waits."""
        self._waiting = None  # or it would join the run that ends
        held, self._held = self._held, deque(maxlen=HELD)
        pending, self._pending = self._pending, []
        self._integration.end_run(recording.run)
        self._forget()
        self._held, self._pending = held, pending

    def _forget(self) -> None:
        """The run has ended. What has begun since belongs to the next one."""
        self._recording = self._lead = self._waiting = None
        self._members, self._finals, self._models, self._checkpoints = [], [], [], {}
        self._root, self._kind = _nothing, None
        self._by_backward = False
        self._last_began_at = self._began_at
        if self.flow.epoch is not None and (self.flow.epoch.steps or self.flow.epoch.losses):
            self.flow.epoch = None

    # -- steps that cannot be seen

    def _look_for_hidden_steps(self) -> None:
        if about.inside_a_step():  # an optimizer that evaluates again and again
            self._backwards = 0
            return
        optimizers = [one for one, _ in self._seen.created.items()]
        if not optimizers:
            param, self._behind = self._behind, None
            root = self._seen.modules.trained_by_hand(param)
            if root is not None and not root.training:  # gradients of inputs, say
                self._pending.clear()
                self._backwards = 0
                return
            self._take_backwards_for_steps(None, root)
            return
        before, self._versions = self._versions, []
        for optimizer in optimizers:
            param = about.first_param(optimizer)
            if param is not None and not param.is_inference():
                self._versions.append((weakref.ref(optimizer), param._version))
                if any(held() is optimizer and version != param._version for held, version in before):
                    self._versions = []
                    self._take_backwards_for_steps(optimizer)
                    return

    def _take_backwards_for_steps(self, optimizer: Any, root: Any = None) -> None:
        losses, self._pending = self._pending, []
        if self._recording is not None:
            self._end_for_another(self._recording)
        if not self._begin(optimizer, [], root) or self._recording is None or self._lead is None:
            return
        self._by_backward = True
        self._backwards = 0
        for loss in losses:
            self._pending = [loss]
            self._step(self._recording, self._lead, optimizer, False)


def _nothing() -> None:
    return None


def _grad_enabled() -> Callable[[], bool]:
    import torch

    return torch.is_grad_enabled
