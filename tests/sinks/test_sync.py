"""`autolog sync`: what the store holds is delivered once, whoever has delivered what before."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from backends import ledger_events
from helpers import environment, running, script
from truth import TIMEOUT, Journal, events_of, points, started
from typer.testing import CliRunner

from autolog.cli.app import app
from autolog.sinks import SinkError, live
from autolog.sinks.follower import Follower, Locked
from autolog.store.records import Store
from autolog.tracking.events import RunEnded, RunRemoved, RunStarted


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Two journals of processes that are gone: `a` and its child `b` ended, `c` did not."""
    root = tmp_path / ".autolog"
    first = Journal(root)
    first.append(
        [
            started("a", "alpha"),
            *points(0, 5, "a"),
            RunStarted("b", 1000, "beta", "default", "a"),
        ]
    )
    first.append([RunEnded("b", 2000, "finished"), RunEnded("a", 2000, "finished")])
    second = Journal(root)
    second.append([started("c", "gamma"), *points(0, 5, "c")])
    for number, journal in enumerate((first, second)):
        # Each by a process of its own that is no more; in this order by name, though both were begun in one millisecond.
        text = journal.path.read_bytes().replace(b'"started":"', b'"started":"old ')
        journal.path.write_bytes(text.replace(b'"pid":', f'"pid":{number + 8}9999'.encode()))
        journal.path.rename(journal.path.with_name(f"{number}-{journal.path.name}"))
    return root


def sync(store: Path, *arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["sync", "--store", str(store), *arguments])
    return done.exit_code, done.stdout, done.stderr


def all_events(store: Path) -> list[object]:
    return [event for path in sorted((store / "journal").iterdir()) for event in events_of(path)]


def test_all_journals_are_delivered_once(store: Path, tmp_path: Path):
    """In order, with the end of a run that its process could not say; a second time there is nothing to do."""
    lost = RunEnded("c", 1004, "lost")
    code, out, said = sync(store, "--to", "ledger:ledger")
    assert (code, out) == (0, "")
    expected = [*all_events(store), lost]
    assert sorted(map(repr, ledger_events(tmp_path / "ledger"))) == sorted(map(repr, expected))
    assert (
        said == f"autolog: {len(expected)} events of 2 journals delivered to ledger:{tmp_path}/ledger.\n"
        or said == (f"autolog: {len(expected)} events of 2 journals delivered to ledger:ledger.\n")
    )
    code, out, said = sync(store, "--to", "ledger:ledger", "--json")
    assert json.loads(out) == [{"to": "ledger:ledger", "events": 0, "journals": 0, "left": []}]
    assert len(ledger_events(tmp_path / "ledger")) == len(expected)


def test_sync_of_named_runs_sends_them_with_their_children(store: Path, tmp_path: Path):
    assert sync(store, "--to", "ledger:ledger", "alpha")[0] == 0
    runs = {getattr(event, "run", None) for event in ledger_events(tmp_path / "ledger")}
    assert runs == {None, "a", "b"}
    Journal(store).append([RunRemoved("b")])
    assert sync(store, "--to", "ledger:other")[0] == 0
    runs = {getattr(event, "run", None) for event in ledger_events(tmp_path / "other")}
    assert runs == {None, "a", "c"}


def test_a_journal_that_another_process_delivers_is_left_to_it(store: Path, tmp_path: Path):
    code = """
        import sys
        from pathlib import Path
        sys.path.insert(0, sys.argv[2])
        from autolog import registry
        from autolog.sinks.follower import Follower
        from autolog.sinks.make import make_sink
        from autolog.store.layout import Layout
        store = Layout(sys.argv[1])
        path = sorted(store.journals.iterdir())[0]
        follower = Follower(make_sink("ledger:ledger", registry.sinks()), path, store)
        follower._take()
        print("taken", flush=True)
        sys.stdin.read()
    """
    with running(code, tmp_path, str(store), str(Path(__file__).parent / "site")) as other:
        assert other.stdout.readline() == "taken\n"
        first, _ = sorted((store / "journal").iterdir())
        code, out, _ = sync(store, "--to", "ledger:ledger", "--json")
        assert json.loads(out)[0]["left"] == [first.name]
        sink = Store(store).layout
        from third_party_sinks import LedgerSink

        with pytest.raises(Locked):
            Follower(LedgerSink("ledger:ledger"), first, sink).advance()
        assert {getattr(event, "run", "c") for event in ledger_events(tmp_path / "ledger")} == {"c"}
    assert json.loads(sync(store, "--to", "ledger:ledger", "--json")[1])[0]["left"] == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--to", "leger:x"], "autolog: There is no sink 'leger'. Did you mean 'ledger'?"),
        (["--to", "memory:"], "autolog: memory: shows only events that happen now."),
        (["--to", "ledger:x", "nobody"], "autolog: There is no run 'nobody'"),
        ([], "autolog: No sink is configured. Name one: autolog sync --to mlflow+http://host:5000"),
        (
            ["--to", "refusing://ann:hunter22@host"],
            "autolog: Delivery to refusing://host failed (403 from refusing://***@host).",
        ),
    ],
)
def test_an_error_is_one_line_and_exit_code_1_without_a_password(
    store: Path, arguments: list[str], complaint: str
):
    code, out, said = sync(store, *arguments)
    assert (code, out) == (1, "")
    assert said.startswith(complaint)
    assert said.count("\n") == 1
    assert "hunter22" not in said


def test_without_to_the_configured_sinks_are_fed(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AUTOLOG_SINKS", "ledger:one,ledger:two")
    assert sync(store)[0] == 0
    for name in ("one", "two"):
        assert len(ledger_events(tmp_path / name)) == len(all_events(store)) + 1


def test_following_goes_on_until_ctrl_c(tmp_path: Path):
    code = """
        import autolog
        with autolog.run("one") as run:
            run.log_metrics({"loss": 1.0})
    """
    assert script(code, tmp_path).returncode == 0
    follower = subprocess.Popen(
        [sys.executable, "-m", "autolog", "sync", "--to", "jsonl:out.jsonl", "--follow"],
        # No ResourceWarning: Ctrl-C may come between the opening of a file and the block that closes it.
        cwd=tmp_path, env=environment(tmp_path, PYTHONWARNINGS="ignore"), stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert script(code, tmp_path).returncode == 0
        journals = tmp_path / ".autolog" / "journal"
        wanted = sum(len(events_of(path)) for path in journals.iterdir())
        out = tmp_path / "out.jsonl"
        while not out.exists() or out.read_bytes().count(b"\n") < wanted:
            assert follower.poll() is None
        follower.send_signal(signal.SIGINT)
        _, said = follower.communicate(timeout=TIMEOUT)
    finally:
        follower.kill()
    assert follower.returncode == 130
    assert said.startswith("autolog: stopped; ")
    assert " delivered to jsonl:out.jsonl. Run the same command to continue.\n" in said


@pytest.mark.parametrize("error", [SystemExit(3), SinkError("503"), MemoryError()])
def test_whatever_a_sink_raises_it_is_tried_again(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
):
    """Everything arrives, even if the first try ends with what would end a program; and its close is nobody's concern."""
    from third_party_sinks import LedgerSink

    tries: list[object] = []

    def flush(self: Any) -> None:
        tries.append(self)
        if len(tries) == 1:
            raise error
        flush_well(self)

    def close(self: Any) -> None:
        raise error

    flush_well = LedgerSink.flush
    monkeypatch.setattr(LedgerSink, "flush", flush)
    monkeypatch.setattr(LedgerSink, "close", close)
    monkeypatch.setattr(live, "FIRST_RETRY_SECONDS", 0.0)
    code, out, said = sync(store, "--to", "ledger:ledger")
    assert (code, out) == (0, "")
    assert said.startswith(f"autolog: {len(all_events(store)) + 1} events of 2 journals delivered to ledger:")
    assert len(ledger_events(tmp_path / "ledger")) == len(all_events(store)) + 1


def test_an_error_in_a_sinks_close_is_reported_and_the_delivery_can_be_repeated(
    store: Path, monkeypatch: pytest.MonkeyPatch
):
    from third_party_sinks import LedgerSink

    def close(self: Any) -> None:
        raise ConnectionError("reset")

    monkeypatch.setattr(LedgerSink, "delivers_at_close", True)
    monkeypatch.setattr(LedgerSink, "close", close)
    count = len(all_events(store)) + 1
    for _ in range(2):
        code, out, said = sync(store, "--to", "ledger:ledger")
        assert (code, out) == (1, "")
        assert said == (
            f"autolog: Delivery to ledger:ledger failed (ConnectionError: reset). {count} events delivered. The rest is kept:"
            " run the same command to continue.\n"
        )
