"""Whose steps are which run's: turns the events of one thread into runs and what is logged to them. A pure reducer.

    Idle        no run. The first step of an optimizer opens one
    Training    a run, its optimizers, one of which leads: its steps are the run's
    Tentative   a run, and an optimizer that has stepped once and has nothing to do with it, so far

A step of an optimizer O that the run has not met, by its `Relation` to those that the run has:

    ALIAS      the same parameters, nothing pending     it is a wrapper around one: its steps are ignored
    SHARES     some of the parameters                   joins; O leads when the others are gone or silent
    ALONE      the others are gone                      the run ends, O begins a new one
    STRANGER   none, and O was made before the run      joins: GAN, actor and critic
               none, and O was made later               Tentative: if the next step is one of the run's, O joins; else O begins
                                                        a new run, as it does if none comes; at once if its step evaluates
                                                        again and again, and may be all of them

Must not know torch: what it asks of the world is in `World`, which an interpreter of some lines is.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

from autolog_torch.events import (
    Backward,
    BackwardFailed,
    Batch,
    ByHand,
    Criterion,
    Died,
    Elsewhere,
    Event,
    LoaderBegan,
    LoaderEnded,
    Loss,
    Named,
    PutToEvaluation,
    Read,
    Skipped,
    Step,
)
from autolog_torch.measures import Measures
from autolog_torch.passes import Pass, Passes
from autolog_torch.recording import Recording

if TYPE_CHECKING:
    pass

SILENT = 16
"""Steps of others after which an optimizer leads no more."""
PENDING = 4096


class Relation(Enum):
    """What an optimizer that the run has not met has to do with it."""

    ALIAS = "the same parameters as one of its optimizers"
    SHARES = "some of its parameters"
    STRANGER = "none of its parameters"
    ALONE = "its optimizers are gone"


class World(Protocol):
    """What is outside: the objects that the events are of, and the runs."""

    def clock(self) -> int:
        """Return how many optimizers have been made."""
        ...

    def was_interrupted(self) -> bool:
        """Whether an exception has ended a part of the program since the run began, as a notebook's cell."""
        ...

    def relation(self, optimizer: int, members: list[int]) -> Relation: ...

    def open(self, optimizer: int, began_at: int, now: int) -> Recording | None:
        """Open a run that began at that time, and describe it; None where nothing is recorded. It has made `now` steps."""
        ...

    def joined(self, recording: Recording, optimizer: int, number: int, alias: bool) -> None:
        """An optimizer has become the run's."""
        ...

    def leads(self, optimizer: int, by_hand: bool) -> None:
        """From now on this optimizer's steps are the run's; `by_hand`: its backwards are."""
        ...

    def began_epoch(self) -> None: ...

    def finished(self, recording: Recording) -> None:
        """All is logged: save the models."""
        ...

    def end(self, recording: Recording) -> None:
        """End the run, which calls `Reducer.close`."""
        ...


class Member:
    """An optimizer of a run."""

    __slots__ = ("alias", "number", "optimizer")

    def __init__(self, optimizer: int, number: int, alias: bool = False) -> None:
        self.optimizer = optimizer
        self.number = number
        self.alias = alias


class Training:
    """A run in progress."""

    __slots__ = ("began_at", "by_hand", "idle", "lead", "members", "others", "recording")

    def __init__(self, recording: Recording, optimizer: int, began_at: int) -> None:
        self.recording = recording
        self.lead = Member(optimizer, 0)
        self.members = {optimizer: self.lead}
        self.began_at = began_at
        """By the clock of what was made."""
        self.by_hand = False
        self.idle = 0
        """Steps of others since the one that leads has stepped."""
        self.others: list[tuple[Member, Step, list[Loss], Pass | None]] = []
        """Those of them that are not recorded yet, each with its losses and its epoch."""

    def join(self, world: World, optimizer: int, alias: bool = False) -> Member:
        """An optimizer becomes the run's."""
        member = self.members[optimizer] = Member(optimizer, len(self.members), alias)
        world.joined(self.recording, optimizer, member.number, alias)
        return member

    def let_lead(self, world: World, member: Member, dead: set[int]) -> None:
        """An optimizer has stepped: it leads from now on, if the one that does is gone or silent."""
        lead = self.lead
        if member is lead:
            return
        self.idle += 1
        is_over = self.by_hand or lead.optimizer in dead
        if is_over or self.idle > SILENT:
            self.recording.succeeds(lead.number, member.number, is_over)
            self.lead, self.by_hand = member, False
            world.leads(member.optimizer, False)

    def take_others(self) -> None:
        """Record the steps of others: beside those of the one that leads, but for its own, if it leads only now."""
        others, self.others = self.others, []
        for member, step, losses, epoch in others:
            if member is self.lead and epoch is not None:
                self.recording.trained(epoch, member.number, losses, step)
                continue
            if losses and epoch is not None:
                self.recording.take(losses, member.number, step.again)
            self.recording.stepped(member.number, step.rates)


class Tentative:
    """An optimizer that has stepped once, the losses of that step, and when it was."""

    __slots__ = ("clock", "losses", "optimizer")

    def __init__(self, optimizer: int, losses: list[Loss], clock: int) -> None:
        self.optimizer = optimizer
        self.losses = losses
        self.clock = clock


class Reducer:
    """One thread's."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.passes = Passes()
        self.measures = Measures(self.passes)
        self.training: Training | None = None
        self._tentative: Tentative | None = None
        self._declined: int | None = None
        """The optimizer of a training that is not recorded."""
        self._pending: list[Loss] = []
        self._dead: set[int] = set()
        """Optimizers that have stepped and are gone."""
        passes, measures = self.passes, self.measures
        self._reduce: dict[type[Any], Callable[[Any], None]] = {
            Loss: self._loss, Backward: self._backward, Step: self._step,
            BackwardFailed: lambda e: _forget(self._pending, e.losses), Skipped: lambda _: _skip(self._pending),
            ByHand: self._by_hand, Died: lambda e: self._dead.add(e.optimizer),
            Elsewhere: lambda _: self._pending.clear(), LoaderBegan: lambda e: passes.began(e.iterator, e.found),
            Batch: passes.gave, LoaderEnded: lambda e: passes.ended(e.iterator, e.at, e.dropped),
            PutToEvaluation: lambda e: passes.split(e.of), Criterion: measures.criterion,
            Read: lambda e: measures.read(e, self.training and self.training.recording), Named: self._named,
        }  # fmt: skip

    def __call__(self, events: list[Event]) -> None:
        reduce = self._reduce
        for event in events:
            reduce[type(event)](event)

    # -- losses and steps

    def _backward(self, event: Backward) -> None:
        """A backward begins; an optimizer may step within."""
        if self.training is None and not self._pending:
            self.measures.begins()
        self._trains()
        for loss in event.losses:
            loss.epoch = self.passes.epoch
        if len(self._pending) < PENDING:
            self._pending += event.losses

    def _loss(self, loss: Loss) -> None:
        passes, pending = self.passes, self._pending
        epoch = passes.epoch
        if self.training is None or epoch is None or passes.others or len(pending) >= PENDING:
            self._backward(Backward((loss,)))
        else:  # an epoch goes on
            epoch.moved = False
            loss.epoch = epoch
            pending.append(loss)

    def _trains(self) -> None:
        """What is done now is training: a new epoch may begin with it."""
        passes, training = self.passes, self.training
        epoch = passes.epoch
        began = passes.trained()
        if training is None:
            return
        recording = training.recording
        if began:
            training.take_others()
            if epoch is not None:
                recording.losses.count([loss for loss in self._pending if loss.epoch is epoch])
                recording.end_epoch(epoch)
            self.measures.log_evaluations(recording)
            recording.epochs += 1
            self._world.began_epoch()
        elif passes.others and self.measures.log_evaluations(recording) and epoch is not None:
            training.take_others()
            recording.evaluated_within(epoch)

    def _step(self, event: Step) -> None:
        training = self.training
        if training is not None and self._pending and self._tentative is None:
            lead, epoch = training.lead, self.passes.epoch
            if event.optimizer == lead.optimizer and epoch is not None:  # as nearly always
                losses, self._pending = self._pending, []
                training.idle = 0
                if training.others:
                    training.take_others()
                training.recording.trained(epoch, lead.number, losses, event)
                if self.measures.held:
                    self.measures.release(training.recording)
                return
        self._step_of_any(event)

    def _step_of_any(self, event: Step) -> None:
        if self.training is None:
            if self._declined == event.optimizer:
                self._pending.clear()
                return
            if not self._pending:
                self._trains()  # gradients that no backward has made
            self._open(event.optimizer)
        elif event.optimizer not in self.training.members:
            self._meet(event)
        training = self.training
        if training is None or event.optimizer not in training.members:
            return
        member = training.members[event.optimizer]
        if member.alias:
            return
        tentative, self._tentative = self._tentative, None
        epoch = self.passes.epoch
        if tentative is not None and tentative.optimizer not in self._dead and epoch is not None:
            # It stepped once, and now one of the run's does: they are trained together.
            other = training.join(self._world, tentative.optimizer)
            training.recording.take(tentative.losses, other.number, False)
        training.let_lead(self._world, member, self._dead)
        if member is training.lead:
            # A subclass whose `step` calls its parent's steps once.
            if self._pending or not training.recording.losses:
                self._lead_step(training, event)
            return
        losses, self._pending = self._pending, []
        training.others.append((member, event, losses, self.passes.epoch))

    def _lead_step(self, training: Training, event: Step) -> None:
        training.idle = 0
        training.take_others()
        recording, losses = training.recording, self._pending
        self._pending = []
        if not losses and not recording.losses and recording.steps:
            self._trains()
        epoch = self.passes.epoch
        if epoch is None:  # its backward could not be seen, or was the last run's
            epoch = self.passes.stretch()
        recording.trained(epoch, training.lead.number, losses, event)
        self.measures.release(recording)

    def _by_hand(self, event: ByHand) -> None:
        """The backwards that are pending were steps, and those that come are."""
        losses, self._pending = self._pending, []
        if self.training is not None:
            self._end_for_another(self.training)
        if not self._open(event.optimizer, steps=len(losses)) or self.training is None:
            return
        self.training.by_hand = True
        self._world.leads(event.optimizer, True)
        for loss in losses:
            self._pending = [loss]
            self._lead_step(self.training, Step(event.optimizer))

    # -- whose

    def _open(self, optimizer: int, first: Tentative | None = None, steps: int = 1) -> bool:
        """Open a run at an optimizer's first step, or at its second one, when `first` is what is known of the first, or when so
        many `steps` are made; whether there is one.
        """
        self._pending = [loss for loss in self._pending if loss.clock >= optimizer]
        self._tentative = None
        if first is not None and self.passes.epoch is None:
            self.passes.stretch()
        began_at = self._world.clock() if first is None else first.clock
        recording = self._world.open(optimizer, began_at, 1 if first is None else 2)
        if recording is None:
            self._declined = optimizer
            self._pending.clear()
            return False
        self._declined = None
        self.training = Training(recording, optimizer, began_at)
        self._world.leads(optimizer, False)
        if first is not None and self.passes.epoch is not None:
            recording.step(self.passes.epoch)
            recording.take(first.losses, 0, False)
        self.measures.log_evaluations(recording, before=True)  # of the model as it was before
        self.measures.release_early(recording, steps)
        return True

    def _meet(self, event: Step) -> None:
        """An optimizer that the run has not met: see the module."""
        training, tentative = self.training, self._tentative
        assert training is not None
        if tentative is not None and tentative.optimizer != event.optimizer:
            self._begin_tentative(training)
            training, tentative = self.training, None
            if training is None:  # it is not recorded
                self._open(event.optimizer)
                return
        if self._world.was_interrupted():
            self._end_for_another(training)
            self._open(event.optimizer)
            return
        relation = self._world.relation(event.optimizer, [*training.members])
        if relation is Relation.ALIAS and not self._pending:
            training.join(self._world, event.optimizer, alias=True)
        elif relation in (Relation.ALIAS, Relation.SHARES) or (
            relation is Relation.STRANGER and event.optimizer <= training.began_at
        ):
            training.join(self._world, event.optimizer)
        elif tentative is None and relation is Relation.STRANGER and not event.again:
            self._tentative = Tentative(event.optimizer, self._pending, self._world.clock())
            self._pending = []
        else:
            self._end_for_another(training)
            self._open(event.optimizer, tentative)

    def _begin_tentative(self, training: Training) -> bool:
        """An optimizer stepped once, and now another one does, or nothing: it was a training of its own. Whether there is a run
        of that now.
        """
        tentative, self._tentative = self._tentative, None
        assert tentative is not None
        if tentative.optimizer in self._dead:
            training.recording.run.note(
                "Another training made one step while this one's optimizer was there, and was gone. It is not recorded."
            )
            return False
        self._end_for_another(training)
        return self._open(tentative.optimizer, tentative)

    def _end_for_another(self, training: Training) -> None:
        """Another training has begun: what is held and pending is of that one, as is an optimizer that waits."""
        self._tentative = None  # or it would join the run that ends
        held, pending = self.measures.take_held(), self._pending
        self._pending = []
        self._world.end(training.recording)
        self.training = None
        self.measures.held, self._pending = held, pending

    # -- what the script computes, reads and names

    def _named(self, event: Named) -> None:
        self.measures.named(event)
        if self.training is not None and not self._pending and self._tentative is None:
            self.measures.release(self.training.recording)

    # -- the end

    def close(self, recording: Recording) -> None:
        """The run is about to end: log what is left."""
        if recording.closed:
            return
        recording.closed = True
        training, passes = self.training, self.passes
        if training is None or training.recording is not recording:
            recording.send()
            return
        training.take_others()
        follows = self._tentative is not None  # what was read and named since is of another training
        if not follows:
            self.measures.release(recording)
        if passes.epoch is not None:
            # An accumulation that was not completed, or steps within the last backward.
            places, lead = recording.losses.places, training.lead.number
            known = [loss for loss in self._pending if (loss.site, lead) in places]
            recording.take(known, training.lead.number, False)
            recording.forget_late_reads(passes.epoch)
            recording.end_epoch(passes.epoch)
        if not follows:
            self.measures.log_evaluations(recording, last=True)
        recording.send()
        self._world.finished(recording)
        if follows and self._begin_tentative(training) and self.training is not None:
            self._world.end(self.training.recording)
        self.training = None
        self._pending = []
        passes.forget()


def _skip(losses: list[Loss]) -> None:
    for loss in losses:
        loss.is_skipped = True


def _forget(losses: list[Loss], gone: tuple[Loss, ...]) -> None:
    losses[:] = [loss for loss in losses if all(loss is not one for one in gone)]
