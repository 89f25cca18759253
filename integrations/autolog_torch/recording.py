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

import re
from collections import deque
from collections.abc import Callable, Iterable
from time import perf_counter
from typing import TYPE_CHECKING, Any

from autolog.integration import Run
from autolog_torch.passes import Pass
from autolog_torch.values import Mean, Value, same

if TYPE_CHECKING:
    from autolog_torch.events import Loss
    from autolog_torch.sites import Site

SECONDS = 0.1
"""How long points of steps may wait for each other. The journal's thread waits as long once more."""
DENSE = 1024
"""Steps that have a point each. Each doubling of the steps after that has half as many points."""
MANY = 64
"""Names of what a script reads."""


class Series:
    """The losses of one place in the script, before one optimizer's step."""

    __slots__ = ("bucket", "factor", "name", "new", "site", "step_name", "window")

    def __init__(self, site: Site) -> None:
        self.site = site
        self.name: str | None = None
        self.step_name: str | None = None
        self.factor = 1.0
        """What undoes a division by the number of accumulated backwards."""
        self.new: list[Value] = []
        """What is in no mean yet."""
        self.bucket = Mean()
        self.window: Mean | None = None
        """Since the last evaluation within an epoch."""

    def add(self, means: Iterable[Mean | None], values: list[Value]) -> None:
        mean = Mean()
        for value in values:
            mean.add(value, self.factor)
        for one in means:
            if one is not None:
                one.take_in(mean)


class Theirs(dict[str, Any]):
    """Values under names that the script has given."""


class Rates:
    """The learning rates of one optimizer's parameter groups."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.now: tuple[Any, ...] = ()
        self._is_new = False
        """It has stepped since they were looked at last."""
        self._logged: dict[str, float] = {}
        self._step = -1

    def set(self, rates: tuple[Any, ...]) -> None:
        self.now, self._is_new = rates, True

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
        is_new, self._is_new = self._is_new, False
        return self.values() if is_new and self._step != step else {}


class Recording:
    """See the module. `owned` runs are this integration's; to others it only adds metrics."""

    run: Run

    def __init__(self, expects_others: Callable[[], bool]) -> None:
        self._expects_others = expects_others
        """Whether losses of optimizers that have not stepped yet are to come."""
        self.owned = False
        self.closed = False
        self.steps = 0
        self.first_step = 0
        """Where a resumed training goes on."""
        self.epochs = 0
        self.undivided: set[Site] = set()
        """Places whose losses are not divided by the number of accumulated backwards."""
        self.rates: dict[int, Rates] = {}
        self._series: dict[tuple[Site, int], Series] = {}
        self._has_begun = False
        """One of them, since they were looked at last."""
        self._reads: dict[str, Mean] = {}
        """What was read between the steps of this bucket without a DataLoader, by name."""
        self._epoch_reads: dict[str, Mean] = {}
        """The same since the last epoch has ended."""
        self._read_before: set[Site] = set()
        """What was read in epochs over a DataLoader that have ended."""
        self._first_read: dict[str, tuple[int, Site]] = {}
        """After how many steps each name was read first, and where."""
        self._stride = 1
        self._in_bucket = 0
        self._bucket_began = 0
        self._thinning = Thinning()
        self._out = Outbox(self)
        self.names = PassNames()
        self._last_losses: list[Mean] = []
        """Those of the epoch that has ended last."""

    def resumes(self, step: int, epoch: int) -> None:
        """So many steps and epochs were made before, in another run."""
        self.first_step, self.epochs = step, epoch

    # -- steps

    def take(self, losses: list[Loss], optimizer: int, first_only: bool) -> None:
        """The losses since the last step, of any optimizer."""
        if first_only:  # an optimizer that evaluates again and again within one step
            firsts: dict[Site, Loss] = {}
            for loss in losses:
                firsts.setdefault(loss.site, loss)
            losses = list(firsts.values())
        for loss in losses:
            series = self._series.get((loss.site, optimizer))
            if series is None:
                series = self._series[loss.site, optimizer] = self._begin(loss.site, losses, first_only)
            if loss.is_skipped:
                self._count(loss, series)
            elif loss.is_in_epoch:
                series.add((series.bucket,), [loss.value])
            else:
                series.new.append(loss.value)

    def count(self, losses: list[Loss]) -> None:
        """The epoch of these losses ends, and no step has followed: they are of the epoch, and of the step that comes."""
        for loss in losses:
            found = [one for (site, _), one in self._series.items() if site is loss.site]
            if len(found) == 1:
                self._count(loss, found[0])

    def _count(self, loss: Loss, series: Series) -> None:
        if loss.epoch is not None and not loss.is_in_epoch:
            loss.is_in_epoch = True
            series.add((loss.epoch.losses.setdefault(series, Mean()), series.window), [loss.value])

    def _begin(self, site: Site, losses: list[Loss], first_only: bool) -> Series:
        series = Series(site)
        self._has_begun = True
        divisors = [loss.divisor for loss in losses if loss.site is site and not loss.is_skipped]
        if not first_only and len(divisors) > 1:
            if self.owned:
                self.run.log_params({"backwards_per_step": len(divisors)})
            if all(abs(divisor - len(divisors)) < 1e-3 for divisor in divisors):
                series.factor = float(len(divisors))
        if series.factor == 1.0:
            self.undivided.add(site)
        return series

    def _gather(self, epoch: Pass) -> None:
        """Bring what is new into the means that it belongs to."""
        if self._has_begun:
            self._has_begun = False
            self._continue(epoch)
        for series in self._series.values():
            if series.new:
                whole = epoch.losses.get(series)
                if whole is None:
                    whole = epoch.losses[series] = Mean()
                series.add((series.bucket, whole, series.window), series.new)
                series.new.clear()

    def _continue(self, epoch: Pass) -> None:
        """A loss at another place than in the epochs before, as of a notebook's cell that was changed and run again, is the
        same loss, if there is no other.
        """
        begun = [key for key, one in self._series.items() if one.name is None]
        if len(begun) != 1:
            return
        (site, number), series = begun[0], self._series[begun[0]]
        before = {one for (_, other), one in self._series.items() if other == number and one is not series}
        if len(before) == 1:
            (last,) = before
            if last not in epoch.losses and not last.new and last.factor == series.factor:
                last.new = series.new
                self._series[site, number] = last

    def succeeds(self, before: int, now: int) -> None:
        """An optimizer has taken another's place, as in a second stage: its losses and rates go on under the same names."""
        for site, number in list(self._series):
            if number == before and (site, now) not in self._series:
                self._series[site, now] = self._series.pop((site, number))
        if before in self.rates:
            self.rates[now] = self.rates.pop(before)

    def knows(self, site: Site, optimizer: int) -> bool:
        """Whether a loss of this place has been recorded."""
        return (site, optimizer) in self._series

    @property
    def has_losses(self) -> bool:
        return bool(self._series)

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
        if self._in_bucket == 0:
            self._bucket_began = self.steps
        self._in_bucket += 1
        self.steps += 1
        epoch.steps += 1

    def _log_bucket(self, epoch: Pass) -> None:
        """Logged when the next step comes: by then it is known how many losses a step has, and how they are called."""
        self._gather(epoch)
        values: dict[str, Mean | float] = {}
        for series in self._series.values():
            if series.bucket.count:
                values[series.step_name or self._step_name(series)] = series.bucket
                series.bucket = Mean()
        if self._reads:
            self._add_reads(values, self._reads, "_step")
            self._reads = {}
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

    def _step_name(self, series: Series) -> str:
        series.step_name = name = f"{self._name(series)}_step"
        return name

    def _name(self, series: Series) -> str:
        if series.name is None:
            taken = {one.name for one in self._series.values()}
            if len(self._series) == 1 and not self._expects_others():
                name = "train/loss"
            else:
                name = _free(f"train/loss.{series.site.name}", taken)
            series.name = name
            # It is what the training makes small, whatever it is called.
            names = (name, f"{name}_step", f"{name}_since_eval")
            self.run.describe_metrics(
                dict.fromkeys(names, "lower"), about={one: {"data": "train"} for one in names}
            )
        return series.name

    # -- epochs and evaluations

    def end_epoch(self, epoch: Pass) -> None:
        if self._in_bucket:
            self._log_bucket(epoch)
        self._gather(epoch)
        values: dict[str, Mean | float] = {self._name(one): mean for one, mean in epoch.losses.items()}
        self._last_losses = list(epoch.losses.values())
        if not values and not epoch.steps:
            return
        if epoch.is_loader:
            self.names.trained = epoch
        for series in epoch.losses:
            self._end_window(series, values)
        for rates in self.rates.values():
            values.update(rates.at_end(self.steps - 1))
        if epoch.is_loader and epoch.batches and not epoch.fetched:
            seconds = (epoch.last if epoch.over else perf_counter()) - epoch.began
            if seconds > 0:
                if epoch.samples:  # of batches of the script's own kind nothing is known
                    values["samples_per_second"] = epoch.samples / seconds
                values["data_wait"] = min(1.0, epoch.wait / seconds)
        _add_reads(values, epoch, "", [*epoch.losses.values(), *epoch.named.values()])
        self._add_reads(values, self._epoch_reads, "")
        self._epoch_reads = {}
        self._read_before.update(epoch.reads)
        self._log(values, self.epochs)

    def evaluated_within(self, epoch: Pass) -> None:
        """An evaluation has been made while an epoch goes on, as every thousand steps."""
        self._gather(epoch)
        values: dict[str, Mean | float] = {}
        for series, mean in epoch.losses.items():
            if series.window is None:
                series.window = Mean()
                series.window.take_in(mean)
            self._end_window(series, values)
        self._log(values, self.epochs)

    def _end_window(self, series: Series, values: dict[str, Mean | float]) -> None:
        if series.window is not None and series.window.count:
            values[f"{self._name(series)}_since_eval"] = series.window
            series.window = Mean()

    def evaluated(self, done: Pass) -> None:
        prefix = self.names.of(done, self.steps)
        values: dict[str, Mean | float] = {}
        for name, mean in done.criteria.items():
            values[f"{prefix}/loss" if len(done.criteria) == 1 else f"{prefix}/loss.{name}"] = mean
        data = {"data": "validation" if prefix == "val" else prefix}
        self.run.describe_metrics(dict.fromkeys(values, "lower"), about=dict.fromkeys(values, data))
        known = [*done.criteria.values(), *done.named.values(), *self._last_losses]
        _add_reads(values, done, f"{prefix}/", known)
        if values:
            self._log(values, max(0, self.epochs))

    # -- what the script reads and names itself

    def read(self, site: Site, value: float, sure: bool) -> None:
        """A number that was read between steps, without a DataLoader. `sure`: also if no step follows."""
        name = site.name
        if name not in self._first_read:
            if len(self._first_read) >= MANY:
                return
            self._first_read[name] = -1 if sure else self.steps, site
        for reads in (self._reads, self._epoch_reads):
            mean = reads.get(name)
            if mean is None:
                mean = reads[name] = Mean()
            mean.add(value)

    def _add_reads(self, values: dict[str, Mean | float], reads: dict[str, Mean], end: str) -> None:
        """What was read without a DataLoader, but for the losses, which the script reads once more."""
        known = [one for one in values.values() if type(one) is Mean and one.late is None]
        for name, mean in reads.items():
            if not self._first_read[name][1].is_loss and not any(
                _close(one.value, mean.value) for one in known
            ):
                values[f"reads/{name}{end}"] = mean

    def forget_late_reads(self, epoch: Pass) -> None:
        """What is read for the first time when no step follows is of no training."""
        late = {name for name, (first, _) in self._first_read.items() if first == self.steps}
        self._reads = {name: one for name, one in self._reads.items() if name not in late}
        self._epoch_reads = {name: one for name, one in self._epoch_reads.items() if name not in late}
        if self.epochs:  # the summaries of an only epoch are as late
            for site in epoch.late - self._read_before:
                epoch.reads.pop(site, None)

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


class PassNames:
    """What the data of an evaluation is called: val, test, val2, or train_eval for the training's own."""

    def __init__(self) -> None:
        self.trained: Pass | None = None
        """The last epoch over a loader."""
        self._known: dict[tuple[int, int], tuple[str, Pass]] = {}
        self._used: dict[str, int] = {}
        """The number of steps when each was evaluated last."""

    def of(self, done: Pass, steps: int) -> str:
        """The same data has the same name: the same loader; a new loader of the same data set, or over the same name in the
        script, of which the one before is gone or has not been evaluated since the last step.
        """
        if self._is_the_trainings(done):
            return "train_eval"
        name = self._known_as(done, steps) or self._new(done)
        self._known[done.data] = name, done
        self._used[name] = steps
        return name

    def _is_the_trainings(self, done: Pass) -> bool:
        trained = self.trained
        return trained is not None and trained.data == done.data and not trained.is_gone_before(done)

    def _known_as(self, done: Pass, steps: int) -> str:
        name, before = self._known.get(done.data, ("", done))
        if name and not before.is_gone_before(done):
            return name
        gone = [(data, one) for data, (_, one) in self._known.items() if one.is_gone_before(done)]
        same = next((data for data, _ in gone if data[0] == done.data[0]), None)
        if same is None:
            same = next(
                (data for data, one in gone if one.name == done.name and self._waits(data, steps)), None
            )
        if same is None and done.is_loader:
            # Its loader lives, and so does the new one: of two that are evaluated in turn, each is known by itself.
            same = next(
                (
                    data for data, (_, one) in self._known.items()
                    if data[0] == done.data[0] and one.name == done.name and self._waits(data, steps)
                ),
                None,
            )  # fmt: skip
        return "" if same is None else self._known.pop(same)[0]

    def _waits(self, data: tuple[int, int], steps: int) -> bool:
        return self._used[self._known[data][0]] < steps

    def _new(self, done: Pass) -> str:
        others = [name for name, _ in self._known.values()]
        name = "test" if others and "test" in done.name.lower() else "val"
        return name if name not in others else f"val{len(others) + 1}"


def _add_reads(values: dict[str, Mean | float], done: Pass, prefix: str, known: list[Mean]) -> None:
    for site, read in done.reads.items():
        mean = read.mean
        if read.are_counts and site in done.late and mean.count > 1:
            continue  # no summary of the pass, but numbers of something else, as of words
        if site.is_loss and not prefix:
            continue
        if any(one.late is None and _close(one.value, mean.value) for one in known):
            continue  # the loss, read once more
        # What says itself that it is of the training may be read after the evaluation.
        where = site.phase or ("" if "train" in site.name.lower() else prefix)
        plain = f"{where}reads/{site.name}"
        before = values.get(plain)
        if type(before) is Mean and _close(before.value, mean.value):
            continue  # read at two places
        name = _free(plain, values)  # another place of that name
        if done.samples and (read.are_counts or site.reduction == "sum"):
            values[name] = mean.total / done.samples
        else:
            values[name] = mean


def _free(plain: str, taken: Any) -> str:
    name, number = plain, 2
    while name in taken:
        name, number = f"{plain}_{number}", number + 1
    return name


def _close(one: float, other: float) -> bool:
    return same(one, other) or abs(one - other) <= 1e-6 * max(abs(one), abs(other))


PHASES = frozenset("train training val valid validation test eval evaluation dev".split())


def says_phase(name: str) -> bool:
    """Whether a name says itself what it was measured on, as `val_acc` does."""
    return not PHASES.isdisjoint(re.split("[^a-z]+", name.lower()))
