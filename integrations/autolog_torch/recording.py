"""One run's metrics: what is logged at a step, at the end of an epoch, and after an evaluation, under which names.

train/loss, train/loss.<name>    the epoch's mean; of several losses each by the script's name for it
train/loss_since_eval, …         where evaluations are made within an epoch: the mean since the last one
train/loss_step, …               the same for each step, thinned: means of ever more steps
lr, lr.<n>, lr.optimizer2, …     of each optimizer and parameter group, at each epoch and where it has changed
samples_per_second, data_wait    of an epoch over a DataLoader; the share of its time spent waiting for data. Not where all
                                 batches were fetched in advance: that says nothing of the training
val/loss, val/loss.<Criterion>   of an evaluation, weighted by samples; test/…, val2/… of other data, train_eval/… of the
                                 training's own
reads/<name>, val/reads/<name>   what the script read by `.item()` and the like: whole numbers for each sample, others as their
                                 mean over an epoch or evaluation
reads/<name>_step                where there is no DataLoader: what was read at each step, thinned
<tag>                            what the script wrote to TensorBoard, at its step; a name of ours that it uses is its own
train/<name>, val/<name>, …      what a metric of torchmetrics computed; just <name> where it says itself what it is of

Must not know torch: `run` is all that it talks to.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any

from autolog.integration import Run
from autolog_torch.losses import Losses
from autolog_torch.pass_names import PassNames, says_phase
from autolog_torch.passes import Pass
from autolog_torch.reads import StepReads, add_reads
from autolog_torch.values import Mean

if TYPE_CHECKING:
    from autolog_torch.events import Loss, Step
    from autolog_torch.sites import Site

SECONDS = 0.1
"""How long points of steps may wait for each other. The journal's thread waits as long once more."""
DENSE = 1024
"""Steps that have a point each. Each doubling of the steps after that has half as many points."""


class Theirs(dict[str, Any]):
    """Values under names that the script has given."""


class Rates:
    """The learning rates of one optimizer's parameter groups."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.now: tuple[Any, ...] = ()
        self.is_new = False
        """It has stepped since they were looked at last."""
        self._logged: dict[str, float] = {}
        self._step = -1

    def set(self, rates: tuple[Any, ...]) -> None:
        self.now, self.is_new = rates, True

    def values(self) -> dict[str, float]:
        """Those that are known: a tensor may be on a device."""
        return {
            f"{self._name}.{number}" if number else self._name: float(rate)
            for number, rate in enumerate(self.now)
            if isinstance(rate, (float, int)) or type(rate).__module__ == "numpy"
        }

    def changed(self, step: int) -> dict[str, float]:
        values = self.values()
        if values == self._logged:
            return {}
        self._logged, self._step = values, step
        return values

    def at_end(self, step: int) -> dict[str, float]:
        """Those of an epoch's last step, if there was one, unless they were logged there."""
        is_new, self.is_new = self.is_new, False
        return self.values() if is_new and self._step != step else {}


class Recording:
    """See the module. `owned` runs are this integration's; to others it only adds metrics."""

    run: Run

    def __init__(self, expects_others: Callable[[], bool]) -> None:
        self.losses = Losses(expects_others)
        self.reads = StepReads()
        self.names = PassNames()
        self.owned = False
        self.closed = False
        self.steps = 0
        self.first_step = 0
        """Where a resumed training goes on."""
        self.epochs = 0
        """Of a resumed training with those that were made before."""
        self.rates: dict[int, Rates] = {}
        self._stride = 1
        self._in_bucket = 0
        self._bucket_began = 0
        self._thinning = Thinning()
        self._out = Outbox(self)
        self._ended = 0
        """Epochs."""
        self._read_before: set[Site] = set()
        """What was read in these over a DataLoader."""
        self._last_losses: list[Mean] = []
        """Those of the epoch that has ended last."""

    # -- steps

    def trained(self, epoch: Pass, number: int, losses: list[Loss], event: Step) -> None:
        """The optimizer that leads, which has this number, has stepped."""
        self.step(epoch)
        held = self.rates.get(number)
        if held is None:
            self.stepped(number, event.rates)
        else:
            held.now, held.is_new = event.rates, True
        if losses and not self.losses.take_one(losses, number):
            self.take(losses, number, event.again)

    def take(self, losses: list[Loss], optimizer: int, first_only: bool) -> None:
        """The losses since the last step, of any optimizer."""
        before = self.losses.accumulated
        self.losses.take(losses, optimizer, first_only)
        if self.losses.accumulated != before and self.owned:
            self.run.log_params({"backwards_per_step": self.losses.accumulated})

    def succeeds(self, before: int, now: int, is_over: bool) -> None:
        """An optimizer has taken another's place: its rates go on under the same names; its losses too, if the other one
        `is_over`.
        """
        if is_over:
            self.losses.succeeds(before, now)
        if before in self.rates:
            self.rates[now] = self.rates.pop(before)

    def stepped(self, number: int, rates: tuple[Any, ...]) -> None:
        """The optimizer of this number has stepped, with these learning rates."""
        held = self.rates.get(number)
        if held is None:
            held = self.rates[number] = Rates(f"lr.optimizer{number + 1}" if number else "lr")
        held.set(rates)

    def step(self, epoch: Pass) -> None:
        """The optimizer that leads has stepped; its losses are taken after this."""
        if self._in_bucket == self._stride:
            self._log_bucket(epoch)
        if self.reads.coming:
            self.reads.step()
        if self._in_bucket == 0:
            self._bucket_began = self.steps
        self._in_bucket += 1
        self.steps += 1
        epoch.steps += 1

    def _log_bucket(self, epoch: Pass) -> None:
        """Logged when the next step comes: by then it is known how many losses a step has, and how they are called."""
        self.losses.gather(epoch)
        values = self.losses.of_steps(self.run)
        self.reads.end_steps(values)
        for rates in self.rates.values():
            values.update(rates.changed(self._bucket_began))
        if values:
            self._out.put(values, self._at(self._bucket_began), self.epochs)
            if self._out.is_due():
                if self._thinning.is_needed(self.run, len(self._out)):
                    self._stride *= 2
                self._out.send()
        self._in_bucket = 0
        if self.steps >= DENSE * self._stride:
            self._stride *= 2

    def _at(self, step: int) -> int:
        return self.first_step + max(0, step)

    # -- epochs and evaluations

    def end_epoch(self, epoch: Pass) -> None:
        if self._in_bucket:
            self._log_bucket(epoch)
        self.losses.gather(epoch)
        values = self.losses.of_epoch(epoch, self.run)
        self._last_losses = list(epoch.losses.values())
        if not values and not epoch.steps:
            return
        if epoch.is_loader:
            self.names.trained = epoch
        for rates in self.rates.values():
            values.update(rates.at_end(self.steps - 1))
        if epoch.is_loader and epoch.batches and not epoch.fetched:
            seconds = (epoch.last if epoch.over else perf_counter()) - epoch.began
            if seconds > 0:
                if epoch.samples:  # of batches of the script's own kind nothing is known
                    values["samples_per_second"] = epoch.samples / seconds
                values["data_wait"] = min(1.0, epoch.wait / seconds)
        add_reads(values, epoch, "", [*epoch.losses.values(), *epoch.named.values()])
        self.reads.end_epoch(values)
        self._read_before.update(epoch.reads)
        self._ended += 1
        self._log(values, self.epochs)

    def evaluated_within(self, epoch: Pass) -> None:
        """An evaluation has been made while an epoch goes on, as every thousand steps."""
        self.losses.gather(epoch)
        values = self.losses.since_evaluation(epoch, self.run)
        self._log(values, self.epochs)

    def evaluated(self, done: Pass) -> None:
        prefix = self.names.of(done, self.steps)
        values: dict[str, Mean | float] = {}
        for name, mean in done.criteria.items():
            values[f"{prefix}/loss" if len(done.criteria) == 1 else f"{prefix}/loss.{name}"] = mean
        data = {"data": "validation" if prefix == "val" else prefix}
        self.run.describe_metrics(dict.fromkeys(values, "lower"), about=dict.fromkeys(values, data))
        known = [*done.criteria.values(), *done.named.values(), *self._last_losses]
        add_reads(values, done, f"{prefix}/", known)
        if values:
            self._log(values, max(0, self.epochs))

    def forget_late_reads(self, epoch: Pass) -> None:
        """What is read for the first time when no step follows is of no training; summaries of an only epoch are as late."""
        self.reads.forget_late(self.steps)
        if self._ended:
            for site in epoch.late - self._read_before:
                epoch.reads.pop(site, None)

    # -- what the script names itself

    def named(self, values: dict[str, Any], step: Any, place: Pass | None, evaluates: bool) -> None:
        """Values of the script's at its step, if it gives one; with `place`, of what was done there."""
        if place is not None:
            phase = self.names.of(place, self.steps) if evaluates else "train"
            values = {name if says_phase(name) else f"{phase}/{name}": v for name, v in values.items()}
        self._out.theirs.update(values)
        self._out.put(Theirs(values), self._at(self.steps - 1) if step is None else step, max(0, self.epochs))
        if self.closed or self._out.is_due():
            self._out.send()

    # -- out

    def _log(self, values: dict[str, Mean | float], epoch: float | None) -> None:
        self._out.put(values, self._at(self.steps - 1), epoch)
        self._out.send()

    def send(self) -> None:
        """Log all that waits, when its values are known."""
        self._out.send(wait=True)


class Outbox:
    """What is to be logged, in order, until its values are known and some time has passed: to hand over a point costs more than
    to make it, and wakes another thread.
    """

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._waiting: deque[tuple[dict[str, Any], int, float | None]] = deque()
        self._sent = 0.0
        self.theirs: set[str] = set()
        """Names that the script has given values of its own."""

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, values: dict[str, Any], step: int, epoch: float | None) -> None:
        self._waiting.append((values, step, epoch))

    def is_due(self) -> bool:
        now = perf_counter()
        if now - self._sent > SECONDS:
            self._sent = now
            return True
        return False

    def send(self, wait: bool = False) -> None:
        """Log what is known; with `wait`, all of it."""
        while self._waiting:
            values, step, epoch = self._waiting[0]
            # One that is not known yet must not keep the others from being asked for.
            known = [v.settled(wait) for v in values.values() if type(v) is Mean]
            if not all(known):
                return
            self._waiting.popleft()
            plain = {name: v.value if type(v) is Mean else v for name, v in values.items()}
            if self.theirs and type(values) is not Theirs:
                plain = {name: value for name, value in plain.items() if name not in self.theirs}
            self._recording.run.log_metrics(plain, step=step, epoch=epoch)


class Thinning:
    """Whether there are to be fewer points, as autolog takes too much of the training's time."""

    def __init__(self) -> None:
        self._before: float | None = None
        self._is_said = False

    def is_needed(self, run: Run, points: int) -> bool:
        """Where the steps since the first points cost too much, and there is more than one point at a time."""
        if self._before is None:
            self._before = run.overhead
        if points < 2 or run.overhead - self._before <= run.allowance:
            return False
        if not self._is_said:
            self._is_said = True
            run.note(
                "The losses of single steps are means of more steps than usual, as autolog has taken more time than "
                "overhead_budget allows. Those of epochs are means of all steps."
            )
        return True
