"""Sinks that raise, hang, are slow or were killed: the training feels nothing, and nothing is lost."""

from __future__ import annotations

import logging
import random
import signal
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from backends import ledger_events
from helpers import WATCHED, clean_script, running, script
from truth import TIMEOUT, Journal, deliver, events_of, points, started

import autolog
from autolog.sinks import Origin, Sink, SinkError, follower, live
from autolog.sinks.follower import Follower
from autolog.sinks.jsonl import JsonLinesSink
from autolog.sinks.live import Live
from autolog.store.background import Threads
from autolog.store.journal import encode
from autolog.store.layout import Layout
from autolog.testing import recorded
from autolog.tracking.events import Event, MetricsLogged


class Scripted(Sink):
    """Takes events, unless `trouble`, asked at each write, says otherwise."""

    def __init__(
        self, trouble: Callable[[int], None] = lambda attempt: None, *, in_flush: bool = False
    ) -> None:
        super().__init__("scripted://user:hunter22@here")
        self.trouble = trouble
        self.in_flush = in_flush
        self.attempts = 0
        self.taken: list[Event] = []
        self.flushed: list[Event] = []
        self.closed = threading.Event()
        self.origins: list[Origin] = []

    def open(self, origin: Origin) -> None:
        self.origins.append(origin)

    def write(self, events: Sequence[Event]) -> None:
        self.attempts += 1
        if not self.in_flush:
            self.trouble(self.attempts)
        self.taken = [*self.flushed, *events]

    def flush(self) -> None:
        if self.in_flush:
            self.trouble(self.attempts)
        self.flushed = self.taken

    def close(self) -> None:
        self.closed.set()


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / ".autolog")


@pytest.fixture
def feeding(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> Live:
    """The sinks of a process whose journal is `journal`; it tries again at once."""
    monkeypatch.setattr(live, "FIRST_RETRY_SECONDS", 0.0)
    return Live(lambda: journal.path, journal.store, Threads())


def failing(times: int, error: BaseException) -> Callable[[int], None]:
    def trouble(attempt: int) -> None:
        if attempt <= times:
            raise error

    return trouble


# -- sinks that fail


@pytest.mark.parametrize("in_flush", [False, True])
@pytest.mark.parametrize("error", [SinkError("503"), OSError("reset"), SystemExit(1)])
def test_a_sink_that_fails_and_recovers_gets_everything(
    journal: Journal, feeding: Live, error: BaseException, in_flush: bool
):
    """Whatever it raises, wherever: it is tried again, and nothing is lost, repeated or out of order."""
    sink = Scripted(failing(3, error), in_flush=in_flush)
    journal.append([started(), *points(0, 20)])
    feeding.replace([sink])
    feeding.wake()
    assert feeding.flush(TIMEOUT)
    journal.append(points(20, 40))
    feeding.wake()
    assert feeding.flush(TIMEOUT)
    assert sink.flushed == journal.events
    assert sink.attempts >= 5
    assert feeding.states == (live.SinkState("scripted://here", "active", len(journal.events), ""),)
    assert feeding._feeds[0]._until_retry() is None  # it sleeps until it is woken


def test_a_sink_that_goes_on_failing_backs_off_with_one_line(
    journal: Journal, feeding: Live, caplog: pytest.LogCaptureFixture
):
    """After six failures it is said once, calmly, without credentials; when it is back, it gets everything."""
    back, often = threading.Event(), threading.Event()

    def trouble(attempt: int) -> None:
        if attempt >= 12:
            often.set()
        if not back.is_set():
            raise ConnectionError("no answer from user:hunter22@here")

    sink = Scripted(trouble)
    journal.append([started(), *points(0, 20)])
    feeding.replace([sink])
    feeding.wake()
    assert often.wait(TIMEOUT)
    (state,) = feeding.states
    assert state == ("scripted://here", "backing off", 0, "ConnectionError: no answer from ***@here")
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("autolog", logging.WARNING)
    assert record.getMessage() == (
        "Delivery to scripted://here fails (ConnectionError: no answer from ***@here). Your training goes on, and all events"
        f" are kept in {journal.path}; autolog tries again from time to time."
    )
    back.set()
    assert feeding.flush(TIMEOUT)
    assert sink.flushed == journal.events
    assert len(caplog.records) == 1


def test_a_sink_with_a_permanent_error_is_not_tried_again(
    journal: Journal, feeding: Live, caplog: pytest.LogCaptureFixture
):
    """An error that trying again cannot help parks the sink at once; waiting for it is of no use and ends at once."""
    sink = Scripted(failing(1, SinkError("403 forbidden", retryable=False)))
    journal.append([started()])
    feeding.replace([sink])
    assert not feeding.flush(TIMEOUT)
    assert not feeding.flush(TIMEOUT)
    assert sink.attempts == 1
    assert feeding.states == (live.SinkState("scripted://here", "backing off", 0, "403 forbidden"),)
    (record,) = caplog.records
    assert record.getMessage() == (
        "Delivery to scripted://here fails (403 forbidden). Your training goes on, and all events are kept in"
        f" {journal.path}."
    )


def test_retries_back_off_exponentially_with_jitter(monkeypatch: pytest.MonkeyPatch, journal: Journal):
    """Up to five minutes; from a random stream of its own, never the user's."""
    before = random.getstate()
    feed = live.Feed(Scripted(), lambda: None, journal.store, Threads())
    waits: list[float] = []
    monkeypatch.setattr(live.time, "monotonic", lambda: 0.0)
    for _ in range(60):
        feed._failed(SinkError("503"))
        waits.append(feed._retry_at)
    bounds = [min(300.0, 0.5 * 2**number) for number in range(60)]
    assert all(bound / 2 <= wait <= bound for wait, bound in zip(waits, bounds, strict=True))
    assert len(set(waits)) > 50
    assert random.getstate() == before


# -- sinks that hang or are slow


def test_a_sink_that_hangs_delays_nothing_else(tmp_path: Path):
    with recorded(sinks=["hanging:", f"ledger:{tmp_path / 'ledger'}"], exit_timeout=0) as seen:
        with autolog.run("undisturbed") as run:
            for step in range(100):
                run.log_metrics({"loss": step}, step=step)
        assert autolog.flush(TIMEOUT)  # on the disk
        ledger = seen.client.output._live._feeds[1]
        assert ledger.flush(time.monotonic() + TIMEOUT)
        assert not autolog.flush(0.1, sinks=True)
        journal = seen.client.output.writer.path
        assert encode(ledger_events(tmp_path / "ledger")) == encode(events_of(journal))
        assert len(seen.run.history("loss")) == 100


def test_a_slow_sink_gets_everything_when_it_is_ready(
    journal: Journal, feeding: Live, monkeypatch: pytest.MonkeyPatch
):
    """What is logged while a sink is busy waits in the journal, not in memory, and then comes in few batches."""
    entered, ready = threading.Event(), threading.Event()
    monkeypatch.setattr(live, "SHORT_SECONDS", -1.0)

    def trouble(attempt: int) -> None:
        entered.set()
        assert ready.wait(TIMEOUT)

    sink = Scripted(trouble)
    journal.append([started()])
    feeding.replace([sink])
    feeding.wake()
    assert entered.wait(TIMEOUT)
    for start in range(0, 2000, 10):
        journal.append(points(start, start + 10))
        feeding.wake()
    assert feeding._feeds[0]._is_stuck()  # a fork does not wait for it
    ready.set()
    assert feeding.flush(TIMEOUT)
    assert sink.flushed == journal.events
    assert sink.attempts <= 3
    feeding.close(TIMEOUT)
    assert not feeding._feeds[0]._is_stuck()


EXIT = """
    import sys, autolog
    autolog.autolog(sinks=[sys.argv[1]], silent=True)
    with autolog.run("short") as run:
        for step in range(50):
            run.log_metrics({"loss": step}, step=step)
    print("trained")
"""


def test_exit_is_bounded_and_says_what_is_left(tmp_path: Path):
    """A sink that never answers: the process ends all the same, with its own exit code and one line."""
    done = script(
        EXIT, tmp_path, "hanging://user:hunter22@there", AUTOLOG_EXIT_TIMEOUT="0.3", timeout=TIMEOUT
    )
    (journal,) = (tmp_path / ".autolog" / "journal").iterdir()
    assert (done.returncode, done.stdout) == (0, "trained\n")
    count = len(events_of(journal))
    assert count >= 53
    assert done.stderr == (
        f"Not yet delivered: {count} events for hanging://there. The events are kept in {journal}. Deliver them with:"
        " autolog sync --to hanging://there\n"
    )


def test_the_exit_waits_for_a_working_sink(tmp_path: Path):
    done = script(EXIT, tmp_path, "ledger:ledger", timeout=TIMEOUT)
    (journal,) = (tmp_path / ".autolog" / "journal").iterdir()
    assert (done.returncode, done.stdout, done.stderr) == (0, "trained\n", "")
    assert encode(ledger_events(tmp_path / "ledger")) == encode(events_of(journal))


def test_the_exit_does_not_wait_for_a_sink_with_a_permanent_error(tmp_path: Path):
    code = EXIT.replace("sys, autolog", "sys, autolog, logging") + "    autolog.flush(60, sinks=True)\n"
    done = script(code, tmp_path, "refusing:", AUTOLOG_EXIT_TIMEOUT="3600", timeout=TIMEOUT)
    assert (done.returncode, done.stdout) == (0, "trained\n")
    said, left = done.stderr.splitlines()
    assert said.startswith("Delivery to refusing: fails (403 from refusing:). Your training goes on")
    assert left.startswith("Not yet delivered: ")


# -- death and resumption


ENDLESS = """
    import sys, autolog
    autolog.autolog(sinks=[sys.argv[1]], silent=True)
    with autolog.run("endless") as run:
        step = 0
        while True:
            run.log_metrics({"loss": step}, step=step)
            step += 1
            if step % 1000 == 0:
                autolog.flush(60, sinks=step == 1000)
"""


def test_after_a_kill_a_new_follower_delivers_the_rest(tmp_path: Path):
    """SIGKILL in the middle of training, with a sink in the middle of its work: the rest comes exactly once and in order."""
    with running(ENDLESS, tmp_path, "halting:ledger") as process:
        assert process.stdout.readline() == "halted\n"
        process.kill()
        assert process.wait(TIMEOUT) == -signal.SIGKILL

    (file,) = (tmp_path / ".autolog" / "journal").iterdir()
    before = ledger_events(tmp_path / "ledger")
    everything = events_of(file)
    assert 0 < len(before) < len(everything)
    assert before == everything[: len(before)]

    from third_party_sinks import LedgerSink

    sink = LedgerSink("ledger:ledger")
    written: list[Event] = []
    write = sink.write
    sink.write = lambda events: (written.extend(events), write(events))[1]
    deliver(Follower(sink, file, Layout(tmp_path / ".autolog")))
    assert ledger_events(tmp_path / "ledger") == everything
    assert written == everything[len(before) :]


@pytest.mark.parametrize("number", range(5))
def test_after_a_kill_at_any_moment_a_file_has_every_line(tmp_path: Path, number: int):
    """SIGKILL at no chosen moment: each line of the journal is in the file, in order; one batch may be there twice."""
    code = f"{ENDLESS}                print(step, flush=True)\n"
    with running(code, tmp_path, "jsonl:out.jsonl") as process:
        for _ in range(3 + 5 * number):
            assert process.stdout.readline()

    (file,) = (tmp_path / ".autolog" / "journal").iterdir()
    resumed = Follower(JsonLinesSink("jsonl:out.jsonl"), file, Layout(tmp_path / ".autolog"))
    resumed_at = resumed.position
    deliver(resumed)
    lines = [line for line in (tmp_path / "out.jsonl").read_bytes().split(b"\n") if line]
    whole = [line for line in lines if follower.decode(line) is not None]
    assert len(lines) - len(whole) <= 1  # a line torn by the kill
    assert resumed_at > 0
    assert [follower.decode(line) for line in dict.fromkeys(whole)] == events_of(file)


def test_the_position_is_kept_without_credentials_and_after_the_flush(journal: Journal):
    """What a sink has written and not flushed is not counted as delivered."""

    def kept() -> list[str]:
        return [note.read_text() for note in journal.store.followers.glob("*.json")]

    class Looking(Scripted):
        def flush(self) -> None:
            assert kept() == []
            super().flush()

    journal.append([started()])
    one = Follower(Looking(), journal.path, journal.store)
    assert one.advance()
    size = journal.path.stat().st_size
    assert kept() == [f'{{"sink":"scripted://here","journal":"{journal.path.name}","position":{size}}}']
    assert Follower(Scripted(), journal.path, journal.store).position == size


@pytest.mark.parametrize(
    "note",
    [b"", b"{", b"[1]", b'{"position":"x"}', b'{"position":7}', b'{"position":99999999}', b'{"position":-1}'],
)
def test_a_damaged_position_means_from_the_beginning(journal: Journal, note: bytes):
    journal.append([started()])
    assert Follower(Scripted(), journal.path, journal.store).advance()
    (path,) = journal.store.followers.glob("*.json")
    path.write_bytes(note)
    sink = Scripted()
    assert Follower(sink, journal.path, journal.store).advance()
    assert sink.flushed == journal.events


def test_events_are_delivered_though_the_position_cannot_be_kept(journal: Journal):
    journal.store.followers.write_text("in the way")
    journal.append([started()])
    sink = Scripted()
    one = Follower(sink, journal.path, journal.store)
    assert one.advance()
    assert not one.advance()
    assert sink.flushed == journal.events


def test_a_resumed_sink_can_read_earlier_events(journal: Journal):
    """The starts of runs whose metrics still come are there to be read again, and the folder of their files."""
    journal.append([started()])
    assert Follower(Scripted(), journal.path, journal.store).advance()
    before = journal.events
    journal.append(points(0, 2))
    sink = Scripted()
    assert Follower(sink, journal.path, journal.store).advance()
    (origin,) = sink.origins
    assert list(origin.earlier()) == before
    assert origin.journal == journal.path.name
    assert origin.artifacts == journal.store.artifacts
    assert sink.flushed == points(0, 2)


# -- the journal


def test_a_line_is_delivered_when_it_is_whole(journal: Journal):
    sink = Scripted()
    one = Follower(sink, journal.path, journal.store)
    assert one.advance()
    line = encode(points(0, 1))
    journal.append_torn(line[:20])
    assert not one.advance()
    journal.append_torn(line[20:])
    assert one.advance()
    assert sink.flushed == journal.events
    assert sink.flushed[-1] == points(0, 1)[0]


def test_a_line_longer_than_a_batch_is_delivered(journal: Journal, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(follower, "BATCH_BYTES", 200)
    long = MetricsLogged("r", 0, 0, {f"metric {number}": 1.0 for number in range(1000)})
    journal.append([*points(0, 10), long, *points(10, 20)])
    sink = Scripted()
    journal.deliver(sink)
    assert sink.flushed == journal.events
    assert sink.attempts > 3


def test_a_journal_that_was_deleted_and_begun_anew_is_followed(tmp_path: Path):
    with recorded(sinks=[f"ledger:{tmp_path / 'ledger'}"], strict=False) as seen, autolog.run("kept") as run:
        run.log_metrics({"loss": 1.0}, step=0)
        assert autolog.flush(TIMEOUT, sinks=True)
        seen.client.output.writer.path.unlink()
        for step in range(1, 50):
            run.log_metrics({"loss": 1.0}, step=step)
        assert autolog.flush(TIMEOUT, sinks=True)
        metrics = [event for event in ledger_events(tmp_path / "ledger") if isinstance(event, MetricsLogged)]
    assert [event.step for event in metrics] == list(range(50))


# -- the set of sinks


def received(session: Any, number: int = 0) -> list[str]:
    return [event.name for event in session.output.sinks[number].events if hasattr(event, "name")]


def test_the_sinks_argument_replaces_the_sinks(tmp_path: Path):
    """`autolog(sinks=…)` replaces the set, without the setting it stays; who leaves has got what was logged until then."""
    with recorded(sinks=["memory:one"], strict=True) as seen:
        (one,) = seen.client.output.sinks
        with autolog.run("first"):
            pass
        autolog.autolog()
        assert seen.client.output.sinks == (one,)
        autolog.autolog(sinks=["memory:one", f"ledger:{tmp_path / 'ledger'}"])
        assert seen.client.output.sinks[0] is one
        feed = seen.client.output._live._feeds[0]
        autolog.autolog(sinks=[f"ledger:{tmp_path / 'ledger'}"])
        assert feed.join(time.monotonic() + TIMEOUT)
        with autolog.run("second"):
            pass
        assert autolog.flush(TIMEOUT, sinks=True)
        assert [event.name for event in one.events if hasattr(event, "name")] == ["first"]
        names = [event.name for event in ledger_events(tmp_path / "ledger") if hasattr(event, "name")]
        assert names == ["first", "second"]
        autolog.autolog(sinks=[])
        assert seen.client.output.sinks == ()


def test_a_sink_for_live_events_gets_no_earlier_ones():
    with recorded(sinks=[]) as seen:
        with autolog.run("before") as run:
            run.log_metrics({"loss": 1.0}, step=0)  # not yet on the disk
            autolog.autolog(sinks=["memory:"])
            run.log_metrics({"loss": 1.0}, step=1)
        with autolog.run("after"):
            pass
        assert autolog.flush(TIMEOUT, sinks=True)
        (sink,) = seen.client.output.sinks
        assert [event.step for event in sink.events if isinstance(event, MetricsLogged)] == [1]
        assert received(seen.client) == ["after"]


def test_a_forked_child_feeds_nothing_until_it_records_itself(tmp_path: Path):
    """What the child of a fork inherits stays the parent's; a child that calls `autolog()` has a journal of its own."""
    code = """
        import os, sys, autolog
        from autolog import process
        autolog.autolog(sinks=["ledger:ledger"], silent=True)
        with autolog.run("parent") as run:
            run.log_metrics({"loss": 1.0}, step=0)
            process.get().output.writer._described.wait()  # threads at rest: no lock of a library's is held when it forks
            autolog.flush(60, sinks=True)
            for again in (False, True):
                child = os.fork()
                if child == 0:
                    if again:
                        autolog.autolog(sinks=["ledger:child"])
                        with autolog.run("child"):
                            pass
                    else:
                        run.log_metrics({"loss": 2.0}, step=1)
                    sys.exit(0)
                assert os.waitpid(child, 0)[1] == 0
            run.log_metrics({"loss": 3.0}, step=2)
    """
    clean_script(code, tmp_path, timeout=TIMEOUT)
    journals = {
        events_of(path)[0].pid: events_of(path) for path in (tmp_path / ".autolog" / "journal").iterdir()
    }
    assert len(journals) == 2
    parent, child = ledger_events(tmp_path / "ledger"), ledger_events(tmp_path / "child")
    assert parent == journals[parent[0].pid]
    assert child == journals[child[0].pid]
    assert [event.step for event in parent if isinstance(event, MetricsLogged)] == [0, 2]
    assert [event.name for event in child if hasattr(event, "name")] == ["child"]


FORKING = """
    import os, signal, sys, warnings
    import autolog
    autolog.autolog(sinks=SINKS, silent=True)

    def fork():
        child = os.fork()
        if child == 0:
            signal.alarm(30)
            import subprocess, multiprocessing, sqlite3
            autolog.last_run() or autolog.current_run().log_metrics({"loss": 9.0}, step=9)
            autolog.flush(1, sinks=True)
            sys.exit(0)
        assert os.waitpid(child, 0)[1] == 0

    with autolog.run("forking") as run:
        for step in range(5):
            fork()
            run.log_metrics({"loss": 1.0}, step=step)
            if step % 2:
                autolog.flush(60, sinks=DELIVERED)
    print("trained")
"""


def test_delivery_goes_on_after_a_fork(tmp_path: Path):
    """Forks at any moment, as data loaders make them: no warning, no child that hangs, nothing lost, twice or out of order."""
    sinks = ["ledger:ledger", "jsonl:out", "memory:"]
    done = script(f"    SINKS, DELIVERED = {sinks}, True\n{FORKING}", tmp_path, timeout=TIMEOUT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "trained\n", "")
    (file,) = (tmp_path / ".autolog" / "journal").iterdir()
    everything = events_of(file)
    assert [event.step for event in everything if isinstance(event, MetricsLogged)] == list(range(5))
    assert ledger_events(tmp_path / "ledger") == everything
    assert [follower.decode(line) for line in (tmp_path / "out").read_bytes().splitlines()] == everything


def test_a_sink_that_hangs_does_not_delay_forks(tmp_path: Path):
    code = FORKING.replace("import autolog", 'warnings.filterwarnings("ignore", ".*fork.*"); import autolog')
    done = script(
        f"    SINKS, DELIVERED = ['hanging:'], False\n{code}",
        tmp_path,
        timeout=TIMEOUT,
        AUTOLOG_EXIT_TIMEOUT="0.3",
    )
    assert (done.returncode, done.stdout) == (0, "trained\n")
    assert done.stderr.startswith("Not yet delivered: ")
    (file,) = (tmp_path / ".autolog" / "journal").iterdir()
    assert [event.step for event in events_of(file) if isinstance(event, MetricsLogged)] == list(range(5))


def test_nothing_is_imported_on_a_sinks_thread(tmp_path: Path):
    """A fork at any moment leaves the child able to import whatever it likes, also while sinks work, fail and back off."""
    code = """
    autolog.autolog(silent=True, sinks=["console:", "jsonl:out", "memory:", "refusing:key"])
    with autolog.run("watched") as run:
        run.log_metrics({"m": float("nan")})
        run.record_child("c", kind="candidate", params={}, metrics={"m": float("inf")}, tags={})
    assert not autolog.flush(60, sinks=True)
    """
    done = script(WATCHED.format(code), tmp_path, timeout=TIMEOUT)
    assert (done.returncode, done.stdout) == (0, "[]\n")
    assert "autolog: watched · step 0 · m nan\n" in done.stderr
    assert "403 from refusing:key with <redacted:" in done.stderr


def test_no_module_of_sinks_is_imported_without_sinks(tmp_path: Path):
    code = """
        import sys, autolog
        autolog.autolog(silent=True)
        with autolog.run("alone"):
            pass
        assert autolog.flush(60, sinks=True)
        print([name for name in sys.modules if name.startswith("autolog.sinks")])
    """
    assert script(code, tmp_path, timeout=TIMEOUT).stdout == "[]\n"
