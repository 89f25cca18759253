"""One run's metrics: what is logged at a step, at the end of an epoch, and after an evaluation, under which names.

train/loss, train/loss.<name>    the epoch's mean; of several losses each by the user's name for it
train/loss_since_eval, …         where evaluations are made within an epoch: the mean since the last one
train/loss_step, …               the same for each step, thinned: means of ever more steps
lr, lr.<n>                       of each parameter group, at each epoch and where it has changed
samples_per_second, data_wait    of an epoch over a DataLoader; the share of its time spent waiting for data. Not where all
                                 batches were fetched in advance: that says nothing of the training
val/loss, val/loss.<Criterion>   of an evaluation, weighted by samples; test/…, val2/… of other data, train_eval/… of the
                                 training's own
reads/<name>, val/reads/<name>   what the user read by `.item()`: whole numbers for each sample, others as their mean
<tag>                            what the user wrote to TensorBoard, at his step; a name of ours that he uses is his
train/<name>, val/<name>, …      what a metric of torchmetrics computed; just <name> where it says itself what it is of
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any

from autolog.integration import Run
from autolog_torch.epochs import Pass
from autolog_torch.values import Mean, Value, same

if TYPE_CHECKING:
    from autolog_torch.sites import Site

SECONDS = 0.1
"""How long points of steps may wait for each other. The journal's thread waits as long once more."""
DENSE = 1024
"""Steps that have a point each. Each doubling of the steps after that has half as many points."""


class Series:
    """The losses of one place in the user's code, before one optimizer's step."""

    __slots__ = ("bucket", "factor", "name", "new", "site", "step_name", "window")

    def __init__(self, site: Site) -> None:
        self.site = site
        self.name: str | None = None
        self.step_name: str | None = None
        self.factor = 1.0
        """What undoes a division by the number of accumulated backwards."""
        self.new: list[Value] = []
        """What is in no mean yet: at each step there is time for an append, and no more."""
        self.bucket = Mean()
        self.window: Mean | None = None
        """Since the last evaluation within an epoch, once there has been one."""


Loss = tuple["Site", Value, float]
"""One backward: where, its value, and what the loss was divided by, if that can be told."""


class Theirs(dict[str, Any]):
    """Values under names that the user has given."""


class Recording:
    """See the module. `owned` runs are this integration's; to others it only adds metrics."""

    run: Run

    def __init__(self, expects_others: Callable[[], bool]) -> None:
        self._expects_others = expects_others
        """Whether losses of optimizers that have not stepped yet are to come."""
        self.owned = False
        self.closed = False
        self.steps = 0
        self.epochs = -1
        self._series: dict[tuple[Site, int], Series] = {}
        self.undivided: set[Site] = set()
        """Places whose losses are not divided by the number of accumulated backwards."""
        self._has_begun = False
        """One of them, since they were looked at last."""
        self._stride = 1
        self._in_bucket = 0
        self._bucket_began = 0
        self._waiting: deque[tuple[dict[str, Mean | float], int, float | None]] = deque()
        self._rates: list[Any] = []
        """Each parameter group's, as of the last step."""
        self._sent = 0.0
        self._is_thinned = False
        self._cost_before: float | None = None
        self._lr_logged: dict[str, float] = {}
        self._lr_step = -1
        self._prefixes: dict[tuple[int, int], tuple[str, Pass]] = {}
        self._trained: Pass | None = None
        """The last epoch over a loader."""
        self._theirs: set[str] = set()

    # -- steps

    def take(self, losses: list[Loss], optimizer: int, first_only: bool) -> None:
        """The losses since the last step, of any optimizer."""
        if first_only:  # an optimizer that evaluates again and again within one step
            firsts: dict[Site, Loss] = {}
            for loss in losses:
                firsts.setdefault(loss[0], loss)
            losses = list(firsts.values())
        for site, value, _ in losses:
            series = self._series.get((site, optimizer))
            if series is None:
                series = self._series[site, optimizer] = self._begin(site, losses, first_only)
            series.new.append(value)

    def _begin(self, site: Site, losses: list[Loss], first_only: bool) -> Series:
        series = Series(site)
        self._has_begun = True
        divisors = [divisor for other, _, divisor in losses if other is site]
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
                mean = Mean()
                for value in series.new:
                    mean.add(value, series.factor)
                series.new.clear()
                whole = epoch.losses.get(series)
                if whole is None:
                    whole = epoch.losses[series] = Mean()
                for one in (series.bucket, whole, series.window):
                    if one is not None:
                        one.take_in(mean)

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
        """An optimizer has taken another's place, as in a second stage: its losses go on under the same names."""
        for site, number in list(self._series):
            if number == before and (site, now) not in self._series:
                self._series[site, now] = self._series.pop((site, number))

    def knows(self, site: Site, optimizer: int) -> bool:
        """Whether a loss of this place has been recorded."""
        return (site, optimizer) in self._series

    @property
    def has_losses(self) -> bool:
        return bool(self._series)

    def step(self, epoch: Pass, optimizer: Any) -> None:
        """The optimizer that leads has stepped; its losses are taken after this."""
        if self._in_bucket == self._stride:
            self._log_bucket(epoch)
        if self._in_bucket == 0:
            self._bucket_began = self.steps
        self._in_bucket += 1
        self.steps += 1
        epoch.steps += 1
        if optimizer is not None:
            self._rates = [group.get("lr") for group in optimizer.param_groups]

    def _lr(self) -> dict[str, float]:
        """The learning rates; not those that are tensors, which may be on a device."""
        return {
            f"lr.{number}" if number else "lr": rate
            for number, rate in enumerate(self._rates)
            if type(rate) is float or type(rate) is int
        }

    def _log_bucket(self, epoch: Pass) -> None:
        """Logged when the next step comes: by then it is known how many losses a step has, and how they are called."""
        self._gather(epoch)
        values: dict[str, Mean | float] = {}
        for series in self._series.values():
            if series.bucket.count:
                values[series.step_name or self._step_name(series)] = series.bucket
                series.bucket = Mean()
        lr = self._lr()
        if lr != self._lr_logged:
            self._lr_logged, self._lr_step = lr, self._bucket_began
            values.update(lr)
        if values:
            # Not one by one: to hand an event over costs more than all the rest, and wakes another thread.
            self._waiting.append((values, self._bucket_began, self.epochs))
            now = perf_counter()
            if now - self._sent > SECONDS:
                self._sent = now
                self._thin()
                self.send()
        self._in_bucket = 0
        if self.steps >= DENSE * self._stride:
            self._stride *= 2

    def _thin(self) -> None:
        """Half as many points from now on, where the steps since the first of them have cost too much and there are more than
        one of them at a time.
        """
        if self._cost_before is None:
            self._cost_before = self.run.overhead
        if len(self._waiting) > 1 and self.run.overhead - self._cost_before > self.run.allowance:
            if not self._is_thinned:
                self._is_thinned = True
                self.run.note(
                    "The losses of single steps are means of more steps than usual, as autolog has taken more time than "
                    "overhead_budget allows. Those of epochs are means of all steps."
                )
            self._stride *= 2

    def _step_name(self, series: Series) -> str:
        series.step_name = name = f"{self._name(series)}_step"
        return name

    def _name(self, series: Series) -> str:
        if series.name is None:
            taken = {one.name for one in self._series.values()}
            if len(self._series) == 1 and not self._expects_others():
                name = "train/loss"
            else:
                name = plain = f"train/loss.{series.site.name}"
                number = 2
                while name in taken:
                    name, number = f"{plain}_{number}", number + 1
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
        if not values and not epoch.steps:
            return
        if epoch.is_loader:
            self._trained = epoch
        for series in epoch.losses:
            self._end_window(series, values)
        if self._lr_step != self.steps - 1:
            values.update(self._lr())
        if epoch.is_loader and epoch.batches and not epoch.fetched:
            seconds = (epoch.last if epoch.over else perf_counter()) - epoch.began
            if seconds > 0:
                if epoch.samples:  # of batches of the user's own kind nothing is known
                    values["samples_per_second"] = epoch.samples / seconds
                values["data_wait"] = min(1.0, epoch.wait / seconds)
        self._add_reads(values, epoch, "", [*epoch.losses.values(), *epoch.named.values()])
        self._log(values, max(0, self.steps - 1), self.epochs)

    def evaluated_within(self, epoch: Pass) -> None:
        """An evaluation has been made while an epoch goes on, as every thousand steps."""
        self._gather(epoch)
        values: dict[str, Mean | float] = {}
        for series, mean in epoch.losses.items():
            if series.window is None:
                series.window = Mean()
                series.window.take_in(mean)
            self._end_window(series, values)
        self._log(values, max(0, self.steps - 1), self.epochs)

    def _end_window(self, series: Series, values: dict[str, Mean | float]) -> None:
        if series.window is not None and series.window.count:
            values[f"{self._name(series)}_since_eval"] = series.window
            series.window = Mean()

    def evaluated(self, done: Pass) -> None:
        prefix = self._prefix(done)
        values: dict[str, Mean | float] = {}
        for name, mean in done.criteria.items():
            values[f"{prefix}/loss" if len(done.criteria) == 1 else f"{prefix}/loss.{name}"] = mean
        data = {"data": "validation" if prefix == "val" else prefix}
        self.run.describe_metrics(dict.fromkeys(values, "lower"), about=dict.fromkeys(values, data))
        self._add_reads(values, done, f"{prefix}/", [*done.criteria.values(), *done.named.values()])
        if values:
            self._log(values, max(0, self.steps - 1), max(0, self.epochs))

    def _prefix(self, done: Pass) -> str:
        """The first data that was evaluated is `val`, but for that of the training, by the same loader. A data set or a loader
        that is made anew for each evaluation is the same data; two loaders of one data set differ in what they take from it.
        """
        trained = self._trained
        if trained is not None and trained.data == done.data and not trained.is_gone_before(done):
            return "train_eval"
        prefix, before = self._prefixes.get(done.data, ("", done))
        if prefix and not before.is_gone_before(done):
            return prefix
        gone = [(data, one) for data, (_, one) in self._prefixes.items() if one.is_gone_before(done)]
        same = next((data for data, _ in gone if data[0] == done.data[0]), None)
        if same is None:
            same = next((data for data, one in gone if one.name == done.name), None)
        if same is not None:
            prefix, _ = self._prefixes.pop(same)
        else:
            others = [prefix for prefix, _ in self._prefixes.values()]
            prefix = "test" if "test" in done.name.lower() else "val"
            if not others:
                prefix = "val"
            elif prefix in others:
                prefix = f"val{len(others) + 1}"
        self._prefixes[done.data] = prefix, done
        return prefix

    def _add_reads(self, values: dict[str, Mean | float], done: Pass, prefix: str, known: list[Mean]) -> None:
        for site, read in done.reads.items():
            mean = read.mean
            if any(one.late is None and _close(one.value, mean.value) for one in known):
                continue  # the loss, read once more
            # What says itself that it is of the training may be read after the evaluation.
            name = plain = f"{'' if 'train' in site.name.lower() else prefix}reads/{site.name}"
            number = 2
            while name in values:  # another place of that name
                name, number = f"{plain}_{number}", number + 1
            if read.counts and done.samples:
                values[name] = mean.total / done.samples
                continue
            values[name] = mean
            if done.samples and done.evaluates and not done.criteria and site.reduction != "mean":
                values[f"{name}_per_sample"] = mean.total / done.samples

    # -- what the user has named

    def named(self, values: dict[str, Mean | float], step: Any, place: Pass | None, evaluates: bool) -> None:
        """Values of the user's at his step, if he gives one; with `place`, of what was done there."""
        if place is not None:
            phase = self._prefix(place) if evaluates else "train"
            values = {name if says_phase(name) else f"{phase}/{name}": v for name, v in values.items()}
        self._theirs.update(values)
        self._waiting.append(
            (Theirs(values), max(0, self.steps - 1) if step is None else step, max(0, self.epochs))
        )
        now = perf_counter()
        if self.closed or now - self._sent > SECONDS:
            self._sent = now
            self.send()

    # -- out

    def _log(self, values: dict[str, Mean | float], step: int, epoch: float | None) -> None:
        self._waiting.append((values, step, epoch))
        self.send()

    def send(self, wait: bool = False) -> None:
        """Log what is known, in order; with `wait`, all of it."""
        while self._waiting:
            values, step, epoch = self._waiting[0]
            # One that is not known yet must not keep the others from being asked for.
            known = [v.settled(wait) for v in values.values() if type(v) is Mean]
            if not all(known):
                return
            self._waiting.popleft()
            plain = {name: v.value if type(v) is Mean else v for name, v in values.items()}
            if self._theirs and type(values) is not Theirs:
                plain = {name: value for name, value in plain.items() if name not in self._theirs}
            self.run.log_metrics(plain, step=step, epoch=epoch)


def _close(one: float, other: float) -> bool:
    return same(one, other) or abs(one - other) <= 1e-7 * max(abs(one), abs(other))


PHASES = frozenset("train training val valid validation test eval evaluation dev".split())


def says_phase(name: str) -> bool:
    """Whether a name says itself what it was measured on, as `val_acc` does."""
    return not PHASES.isdisjoint(re.split("[^a-z]+", name.lower()))
