"""`autolog sync`: delivers the store's events to a sink, as the recording process does while it runs."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autolog.cli.output import UserError, write_error, write_json
from autolog.cli.store import StoreOption, open_store, run_names
from autolog.cli.text import clean, count, cut

if TYPE_CHECKING:
    from autolog.sinks.base import Sink
    from autolog.sinks.follower import Follower
    from autolog.store.records import Store

LOOK_SECONDS = 1.0
PATIENCE_SECONDS = 60.0
"""Without --follow, stop when a sink takes nothing for this long."""


def sync(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN]...",
            help="Which runs, with their children: names, ids, starts of ids, @last. Default: all.",
            autocompletion=run_names,
        ),
    ] = None,
    to: Annotated[
        list[str] | None,
        typer.Option(
            "--to",
            metavar="URL",
            help="The sink, e.g. mlflow+http://host:5000. Default: the configured sinks.",
        ),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Keep sending new events until Ctrl-C.")
    ] = False,
    store: StoreOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Send recorded runs to MLflow, Weights & Biases, TensorBoard and other sinks.

    Changes of recorded runs, such as new names and tags, are sent too. The store keeps each sink's position. So nothing is sent
    twice, and an interrupted sync continues where it stopped. Journals that a running process delivers itself are left to it.

    Examples:

    autolog sync --to mlflow+http://host:5000

    autolog sync --to tensorboard:./tb brave-otter @last

    With --json: a list of {"to", "events", "journals", "left": [journals that are left to their own process]}.
    """
    from autolog.sinks.address import Address

    opened = open_store(store)
    urls = to or _configured()
    if follow and len(urls) > 1:
        raise UserError("--follow takes one sink. Pass one --to, and start another sync for each other sink.")
    made = [_make(url) for url in urls]
    for url, sink in zip(urls, made, strict=True):
        if not sink.lasting:
            raise UserError(
                f"{Address(url).safe} shows only events that happen now. Choose a sink that keeps them."
            )
    results: list[dict[str, Any]] = []
    for url in urls:
        delivery = _Delivery(opened, url, runs, follow)
        try:
            delivery.run()
        except KeyboardInterrupt:
            write_error(f"autolog: stopped; {delivery.said()}. Run the same command to continue.")
            raise typer.Exit(130) from None
        results.append(delivery.result())
        if not json:
            write_error(f"autolog: {delivery.said()}.")
    if json:
        write_json(results)


def _configured() -> tuple[str, ...]:
    from autolog import config
    from autolog.client import COMMON_OPTIONS

    found, complaints = config.load({}, None, COMMON_OPTIONS, ())
    if not found.sinks:
        wrong = next((complaint for complaint in complaints if "sinks" in complaint), "")
        raise UserError(wrong or "No sink is configured. Name one: autolog sync --to mlflow+http://host:5000")
    return found.sinks


def _make(url: str) -> Sink:
    from autolog import registry
    from autolog.sinks.make import make_sink

    try:
        return make_sink(url, registry.sinks())
    except (ValueError, ImportError) as error:
        raise UserError(str(error)) from None


class _Delivery:
    """The delivery of all journals to one sink."""

    def __init__(self, store: Store, url: str, runs: list[str] | None, follow: bool) -> None:
        from autolog.sinks.address import Address

        self._store = store
        self._url = url
        self._address = Address(url)
        self._follow = follow
        self._random = random.Random()
        self._chosen = None if runs is None else [store.get(run).id for run in runs]
        self._followers: dict[str, Follower] = {}
        self._left: set[str] = set()
        self._touched: set[str] = set()
        self._not_closed = ""
        self.events = 0

    def run(self) -> None:
        with _Progress(self._address.safe) as progress:
            try:
                self._round(progress)
                while self._follow:
                    progress.idle()
                    time.sleep(LOOK_SECONDS)
                    self._round(progress)
            finally:
                for follower in self._followers.values():
                    self._close(follower)
        if self._not_closed:
            raise self._refusal(self._not_closed)

    def said(self) -> str:
        left = f"; {count(len(self._left), 'journal')} left to their own process" if self._left else ""
        events, journals = count(self.events, "event"), count(len(self._touched), "journal")
        return f"{events} of {journals} delivered to {self._address.safe}{left}"

    def result(self) -> dict[str, Any]:
        return {
            "to": self._address.safe,
            "events": self.events,
            "journals": len(self._touched),
            "left": sorted(self._left),
        }

    def _round(self, progress: _Progress) -> None:
        """Deliver all events that are in the journals now."""
        from autolog.sinks.follower import Follower, Locked

        only = None
        if self._chosen is not None:
            only = frozenset((*self._chosen, *self._store.descendants(self._chosen)))
        removed = self._store.removed()
        names = set(self._store.journals())
        if only is not None:
            names &= self._store.journals_of(only)
        waiting: list[tuple[Path, Follower]] = []
        for name in sorted(names):
            path = self._store.layout.journals / name
            follower = self._followers.get(name)
            if follower is None:
                sink, store = _make(self._url), self._store
                follower = Follower(sink, path, store.layout, only=only, without=removed, records=store)
                self._followers[name] = follower
            waiting.append((path, follower))
        progress.total(sum(path.stat().st_size - follower.position for path, follower in waiting))
        for path, follower in waiting:
            try:
                self._deliver(path, follower, only, progress)
                self._left.discard(path.name)
            except Locked:
                self._left.add(path.name)
            if not self._follow:
                del self._followers[path.name]
                self._close(follower)

    def _close(self, follower: Follower) -> None:
        try:
            follower.close()
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            if follower.sink.delivers_at_close:  # else there is nothing to lose
                self._not_closed = self._described(error)

    def _deliver(
        self, path: Path, follower: Follower, only: Collection[str] | None, progress: _Progress
    ) -> None:
        def advance() -> bool:
            before, start = follower.delivered, follower.position
            more = follower.advance()
            self._count(path, follower.delivered - before)
            progress.advance(follower.position - start)
            return more

        while path.stat().st_size > follower.position and self._patiently(advance, progress):
            pass
        if follower.concluded:
            return
        lost = [end for end in self._store.lost(path.name) if only is None or end.run in only]
        if lost:
            before = follower.delivered
            self._patiently(lambda: follower.conclude(lost), progress)
            self._count(path, follower.delivered - before)

    def _count(self, path: Path, events: int) -> None:
        self.events += events
        if events:
            self._touched.add(path.name)

    def _patiently(self, what: Callable[[], Any], progress: _Progress) -> Any:
        """Call `what`, and repeat it while the sink's errors may pass. Raises UserError when they do not."""
        from autolog.sinks.base import SinkError
        from autolog.sinks.follower import Locked
        from autolog.sinks.live import BACKING_OFF_AFTER, pause_after

        failures, began = 0, time.monotonic()
        while True:
            try:
                done = what()
            except (Locked, KeyboardInterrupt):
                raise
            except BaseException as error:  # also a sink's SystemExit, which ends without a message
                failures += 1
                said = self._described(error)
                final = isinstance(error, SinkError) and not error.retryable
                enough = failures >= BACKING_OFF_AFTER or time.monotonic() - began > PATIENCE_SECONDS
                if final or (enough and not self._follow):
                    raise self._refusal(said) from None
                progress.waiting(said)
                time.sleep(pause_after(failures, self._random))
            else:
                if failures:
                    progress.idle()
                return done

    def _described(self, error: BaseException) -> str:
        from autolog.sinks.live import describe

        return describe(error, self._address)

    def _refusal(self, said: str) -> UserError:
        return UserError(
            f"Delivery to {self._address.safe} failed ({said}). {count(self.events, 'event')} delivered. The rest is kept: run"
            " the same command to continue."
        )


class _Progress:
    """A progress bar on standard error, if that is a terminal."""

    def __init__(self, title: str) -> None:
        self._bar: Any = None
        self._task: Any = None
        self._title = cut(clean(title), 50)
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

            self._bar = Progress(
                TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TimeRemainingColumn(),
                console=Console(stderr=True, highlight=False, markup=False, emoji=False), transient=True,
            )  # fmt: skip

    def __enter__(self) -> _Progress:
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task(self._title, total=None)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def total(self, size: int) -> None:
        if self._bar is not None:
            self._bar.reset(self._task, total=size)

    def advance(self, size: int) -> None:
        if self._bar is not None:
            self._bar.advance(self._task, size)

    def waiting(self, why: str) -> None:
        if self._bar is not None:
            self._bar.update(self._task, description=f"{self._title}: waiting ({cut(clean(why), 60)})")

    def idle(self) -> None:
        if self._bar is not None:
            self._bar.update(self._task, description=self._title)
