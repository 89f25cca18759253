"""The losses of one run: which place in the script each is of, its name, its means.

Must not know torch: `recording` logs what is here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable
from typing import TYPE_CHECKING

from autolog_torch.passes import Pass
from autolog_torch.values import Mean, Value

if TYPE_CHECKING:
    from autolog.integration import Run
    from autolog_torch.events import Loss
    from autolog_torch.sites import Site


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


class Losses:
    """See the module."""

    def __init__(self, expects_others: Callable[[], bool]) -> None:
        self._expects_others = expects_others
        """Whether losses of optimizers that have not stepped yet are to come."""
        self.undivided: set[Site] = set()
        """Places whose losses are not divided by the number of accumulated backwards."""
        self.accumulated = 0
        """Backwards of one place before a step, where there are several."""
        self._series: dict[tuple[Site, int], Series] = {}
        self._has_begun = False
        """One of them, since they were looked at last."""

    def __bool__(self) -> bool:
        return bool(self._series)

    def take_one(self, losses: list[Loss], optimizer: int) -> bool:
        """Take a step's only loss, of a place that is known; whether it is that."""
        loss = losses[0]
        series = self._series.get((loss.site, optimizer))
        if series is None or len(losses) > 1 or loss.is_skipped or loss.is_in_epoch:
            return False
        series.new.append(loss.value)
        return True

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
            self.accumulated = len(divisors)
            if all(abs(divisor - len(divisors)) < 1e-3 for divisor in divisors):
                series.factor = float(len(divisors))
        if series.factor == 1.0:
            self.undivided.add(site)
        return series

    def gather(self, epoch: Pass) -> None:
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
        """An optimizer has taken another's place, as in a second stage: its losses go on under the same names."""
        for site, number in list(self._series):
            if number == before and (site, now) not in self._series:
                self._series[site, now] = self._series.pop((site, number))

    @property
    def places(self) -> Collection[tuple[Site, int]]:
        """The places whose losses have been recorded, each with the optimizer that stepped after it."""
        return self._series.keys()

    # -- what is logged

    def of_steps(self, run: Run) -> dict[str, Mean | float]:
        """The means since they were asked for last."""
        values: dict[str, Mean | float] = {}
        for series in self._series.values():
            if series.bucket.count:
                if series.step_name is None:
                    series.step_name = f"{self._name(series, run)}_step"
                values[series.step_name] = series.bucket
                series.bucket = Mean()
        return values

    def of_epoch(self, epoch: Pass, run: Run) -> dict[str, Mean | float]:
        """Those of an epoch that ends."""
        values: dict[str, Mean | float] = {self._name(one, run): mean for one, mean in epoch.losses.items()}
        return {**values, **self.since_evaluation(epoch, run, begins=False)}

    def since_evaluation(self, epoch: Pass, run: Run, begins: bool = True) -> dict[str, Mean | float]:
        """The means since the last evaluation within the epoch. `begins`: this is one."""
        values: dict[str, Mean | float] = {}
        for series, mean in epoch.losses.items():
            if series.window is None and begins:
                series.window = Mean()
                series.window.take_in(mean)
            if series.window is not None and series.window.count:
                values[f"{self._name(series, run)}_since_eval"] = series.window
                series.window = Mean()
        return values

    def _name(self, series: Series, run: Run) -> str:
        if series.name is None:
            taken = {one.name for one in self._series.values()}
            if len(self._series) == 1 and not self._expects_others():
                name = "train/loss"
            else:
                name = free_name(f"train/loss.{series.site.name}", taken)
            series.name = name
            # It is what the training makes small, whatever it is called.
            names = (name, f"{name}_step", f"{name}_since_eval")
            run.describe_metrics(
                dict.fromkeys(names, "lower"), about={one: {"data": "train"} for one in names}
            )
        return series.name


def free_name(plain: str, taken: Container[str | None]) -> str:
    """The name, with a number if it is taken."""
    name, number = plain, 2
    while name in taken:
        name, number = f"{plain}_{number}", number + 1
    return name
