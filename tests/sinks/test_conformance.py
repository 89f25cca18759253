"""One suite over all sinks: what was logged is what arrives, in order, and a process that resumes goes on where it was left.

Every installed sink has to be here, and so has any third party's: a class in `backends.py` says how to read it back.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from backends import BACKENDS, Backend, Fact, Mlflow, Wandb, facts_of
from truth import TIMEOUT, Journal, points, started
from wandb_server import SERVER

import autolog
from autolog import registry
from autolog.client import Client
from autolog.sinks import Sink
from autolog.sinks.follower import Follower
from autolog.sinks.make import make_sink
from autolog.testing import recorded
from autolog.tracking.events import ArtifactLogged, ModelLogged, RunEnded, RunStarted

AWKWARD = {"faulty", "halting", "hanging", "refusing", "rude"}


def kinds(*backends: type[Backend]) -> list[Any]:
    return [pytest.param(one, id=one.scheme) for one in backends]


@pytest.fixture(params=kinds(*BACKENDS))
def backend(request: pytest.FixtureRequest, tmp_path: Path, capfd: Any) -> Backend:
    """Its folder lies so deep that a path that leads out of it is still in the test's own."""
    folder = tmp_path / "some" / "place"
    folder.mkdir(parents=True)
    return request.param(folder, capfd)


@contextmanager
def recording_to(backend: Backend) -> Iterator[Client]:
    """Records in this process, as a script does, and has delivered everything when the block is left."""
    with recorded(sinks=[backend.url], exit_timeout=TIMEOUT) as seen:
        yield seen.client
        assert autolog.flush(TIMEOUT, sinks=True)


def make(backend: Backend) -> Sink:
    return make_sink(backend.url, registry.sinks())


def test_every_installed_sink_is_in_this_suite():
    assert set(registry.sinks()) - AWKWARD == {one.scheme for one in BACKENDS}


def test_what_is_logged_arrives_in_order(backend: Backend):
    """Nothing lost, nothing twice, nothing out of order: params, tags, steps, runs one after another."""
    with recording_to(backend) as session:
        for name in ("one", "two"):
            with autolog.run(name) as run:
                run.log_params({"C": 0.5, "depth": 3})
                run.set_tags({"team": "blue"})
                for step in range(3):
                    run.log_metrics({"loss": 1 / (step + 1), "accuracy": 0.25}, step=step)
    facts = [
        fact
        for name in ("one", "two")
        for fact in (
            ("start", name),
            ("params", name, {"C": 0.5, "depth": 3}),
            ("tags", name, {"team": "blue"}),
            ("step", name, 0, {"loss": 1.0, "accuracy": 0.25}),
            ("step", name, 1, {"loss": 0.5, "accuracy": 0.25}),
            ("step", name, 2, {"loss": 1 / 3, "accuracy": 0.25}),
            ("end", name, "finished"),
        )
    ]
    assert backend.facts(session) == backend.of(facts)


def test_many_points_arrive(backend: Backend):
    """Nothing lost where there are a hundred thousand, or as many as the backend takes in a few seconds."""
    with recording_to(backend) as session, autolog.run("many") as run:
        for step in range(backend.many):
            run.log_metrics({"loss": step / 8}, step=step)
    steps = [("step", "many", step, {"loss": step / 8}) for step in range(backend.many)]
    assert backend.facts(session) == backend.of([("start", "many"), *steps, ("end", "many", "finished")])


def test_nan_and_infinities_arrive(backend: Backend):
    values = {
        "nan": math.nan,
        "up": math.inf,
        "down": -math.inf,
        "tiny": 5e-324,
        "huge": 1.7e308,
        "zero": -0.0,
    }
    with recording_to(backend) as session, autolog.run("odd") as run:
        run.log_metrics(values, step=0)
    expected = [("start", "odd"), ("step", "odd", 0, values), ("end", "odd", "finished")]
    assert backend.facts(session) == backend.of(expected)


def test_any_text_arrives(backend: Backend):
    """Names and values in any script arrive as they are; a name cannot forge a second line of output."""
    name, key = "größte Läufe 训练 🚀", "потеря"
    with recording_to(backend) as session, autolog.run(name) as run:
        run.log_params({"путь": "a\nb\t\u2028c\x00"})
        run.log_metrics({key: 1.5}, step=-1)
    expected: list[Fact] = [
        ("start", name),
        ("params", name, {"путь": "a\nb\t\u2028c\x00"}),
        ("step", name, -1, {key: 1.5}),
        ("end", name, "finished"),
    ]
    assert backend.facts(session) == backend.of(expected)


def test_children_arrive(backend: Backend):
    """Child runs, whole in one event or with steps of their own, arrive with their parent around them."""
    with recording_to(backend) as session, autolog.run("search") as run:
        for number in range(2):
            run.record_child(
                str(number), kind="candidate", params={"C": number}, metrics={"score": number / 2}
            )
        with autolog.run() as child:
            child.log_metrics({"score": 0.75}, step=4)
    facts = backend.facts(session)
    if not backend.ordered:
        assert facts == backend.of(
            [
                ("start", "search"),
                ("params", "search/0", {"C": 0}),
                ("params", "search/1", {"C": 1}),
                ("child", "search/0", "finished", {"score": 0.0}),
                ("child", "search/1", "finished", {"score": 0.5}),
                ("start", "search/1"),
                ("step", "search/1", 4, {"score": 0.75}),
                ("end", "search/1", "finished"),
                ("end", "search", "finished"),
            ]
        )
        return
    assert facts[:3] == backend.of(
        [
            ("start", "search"),
            ("child", "search/0", "finished", {"score": 0.0}),
            ("child", "search/1", "finished", {"score": 0.5}),
        ]
    )
    assert facts[3:5] == backend.of([("start", "search/1"), ("step", "search/1", 4, {"score": 0.75})])
    assert facts[-1] == ("end", "search", "finished")


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError("no\nsuch column"), "failed"), (KeyboardInterrupt(), "interrupted")]
)
def test_how_a_run_ended_arrives(backend: Backend, error: BaseException, status: str):
    """A failed run says so, and the exception is the user's own."""
    with recording_to(backend) as session, pytest.raises(type(error)) as caught, autolog.run("unlucky"):
        raise error
    assert caught.value is error
    assert backend.facts(session) == backend.of([("start", "unlucky"), ("end", "unlucky", status)])


def test_files_arrive(backend: Backend, tmp_path: Path):
    """Files are announced after they are written, also those of a run that has ended."""
    (tmp_path / "notes.txt").write_text("one two")
    with recording_to(backend) as session:
        with autolog.run("filed") as run:
            run.log_artifact("notes.txt", "texts/notes.txt")
        run.log_json("curve.json", [1, 2])
    facts = [fact for fact in backend.facts(session) if fact[0] == "artifact"]
    assert facts == backend.of(
        [("artifact", "filed", "texts/notes.txt", 7), ("artifact", "filed", "curve.json", 5)]
    )


def test_a_deduplicated_file_arrives_for_each_run(backend: Backend, tmp_path: Path):
    """Equal content takes room once here; a sink is shown an ordinary file under each run, and leaves it as it is."""
    (tmp_path / "same.bin").write_bytes(b"1" * 20_000)
    with recording_to(backend) as session:
        for name in ("one", "two"):
            with autolog.run(name) as run:
                run.log_artifact("same.bin")
        assert autolog.flush(TIMEOUT)
        kept = [path.stat() for path in Path(session.layout.artifacts).rglob("same.bin")]
        assert [(one.st_nlink, one.st_size) for one in kept] == [(3, 20_000)] * 2
    facts = [fact for fact in backend.facts(session) if fact[0] == "artifact"]
    assert facts == backend.of([("artifact", name, "same.bin", 20_000) for name in ("one", "two")])


@pytest.mark.parametrize("backend", kinds(Mlflow, Wandb), indirect=True)
@pytest.mark.parametrize(
    "path",
    ["../../../secret.txt", "{folder}/secret.txt", "link.txt", "../r/fine.txt", "nul\0"],
)
def test_a_malicious_journal_sends_no_file_from_outside_the_run(backend: Backend, path: str):
    """A crafted path leads out of the run's folder, if only to come back: nothing there is read, sent or written."""
    folder = backend.folder
    (folder / "secret.txt").write_text("hunter2")
    journal = Journal(folder / ".autolog")
    own = journal.store.artifacts_of("r")
    own.mkdir(parents=True)
    (own / "fine.txt").write_text("one")
    (own / "model").mkdir()
    (own / "model" / "MLmodel").write_text('{"flavors": {}, "utc_time_created": "", "model_uuid": ""}')
    for link in ("link.txt", "model/link.txt"):
        (own / link).symlink_to(folder / "secret.txt")
    (own / "odd.model").mkdir()
    (own / "odd.model" / "MLmodel").symlink_to(folder / "secret.txt")
    files = [ArtifactLogged("r", name, 3) for name in (path.format(folder=folder), "fine.txt")]
    models = [
        ModelLogged("r", name, "sklearn", 7, {"secret.txt": 7}) for name in ("../../..", "odd.model", "model")
    ]
    journal.append([started(), *files, *models, RunEnded("r", 2000, "finished")])
    journal.deliver(make(backend))
    sent = [fact for fact in backend.facts() if fact[0] == "artifact" and "MLmodel" not in fact[2]]
    assert sent == [("artifact", "run", "fine.txt", 3)]
    assert [
        file
        for file in folder.rglob("*")
        if file.is_file() and not file.is_symlink() and b"hunter2" in file.read_bytes()
    ] == [folder / "secret.txt"]
    assert b"hunter2" not in [
        content for one in SERVER.artifacts.values() for content in one["files"].values()
    ]


def test_a_malicious_journal_creates_nothing_outside_the_sink(backend: Backend, tmp_path: Path):
    """A run's id that is a path, or a parent's that is half a query, holds up nothing and leads nowhere."""
    journal = Journal(backend.folder / ".autolog")
    fine = [started(), RunEnded("r", 2000, "finished")]
    child = [RunStarted("c", 1000, "child", "default", "'\" or '1'='1"), RunEnded("c", 2000, "finished")]
    crafted = [
        event
        for run in ("../../up", f"{tmp_path}/up", "..", "", "up\x00")
        for event in (started(run, "up"), *points(0, 2, run), RunEnded(run, 2000, "finished"))
    ]
    journal.append([*crafted, *fine, *child])
    with recorded(sinks=[backend.url]) as seen:
        (sink,) = seen.client.output.sinks
        journal.deliver(sink, start=0)
        assert backend.facts(seen.client) == backend.of(facts_of([*fine, *child]))
    assert [path for path in tmp_path.rglob("*") if "up" in path.name] == []


def test_a_sink_that_lasts_is_resumed_where_it_was_left(backend: Backend):
    """A new process's follower delivers the rest, exactly once and in order, however often it is resumed."""
    journal = Journal(backend.folder / ".autolog")
    written = [started(), *points(0, 30)]
    if not make(backend).lasting:
        follower = Follower(make(backend), journal.path, journal.store)
        journal.append(written)
        assert follower.advance()
        assert not journal.store.followers.exists()
        return
    for part in (written[:11], written[11:12], [], written[12:]):
        journal.append(part)
        journal.deliver(make(backend))
    assert backend.facts() == backend.of(facts_of(written))


def test_delivering_events_twice_does_no_harm(backend: Backend):
    """At-least-once: the same events again are taken without complaint, and change nothing where the sink can tell."""
    journal = Journal(backend.folder / ".autolog")
    written = [started(), *points(0, 5), RunEnded("r", 2000, "finished")]
    journal.append(written)
    for _ in range(2):
        journal.deliver(make(backend), start=0)
    if backend.idempotent:
        assert backend.facts() == backend.of(facts_of(written))


def test_unknown_events_are_skipped(backend: Backend):
    journal = Journal(backend.folder / ".autolog")
    journal.append([started()])
    journal.append_torn(b'{"e":"telepathy","run":"r"}\nnot even json\n\n')
    journal.append([RunEnded("r", 2000, "finished")])
    with recorded(sinks=[backend.url]) as seen:
        (sink,) = seen.client.output.sinks
        journal.deliver(sink, start=0)
        assert backend.facts(seen.client) == backend.of([("start", "run"), ("end", "run", "finished")])
