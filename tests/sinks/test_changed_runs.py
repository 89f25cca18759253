"""What is changed of a recorded run reaches the backends that have it, in whichever order journals are delivered."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from backends import ledger_events
from helpers import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from truth import TIMEOUT, Journal
from typer.testing import CliRunner
from wandb_server import ENTITY, SERVER

from autolog.cli.app import app
from autolog.sinks.base import Origin, Sink
from autolog.sinks.follower import Follower
from autolog.store.layout import Layout
from autolog.store.records import Store
from autolog.tracking import events as e

OWN = e.RunStarted("01A", 1000, "otter", "default", tags={"team": "blue", "fold": "3"})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / ".autolog"


@pytest.fixture
def store(root: Path) -> Store:
    """A run and its child, ended."""
    child = e.RunStarted("01B", 1000, "otter/0", "default", "01A")
    events = [OWN, child, e.NoteLogged("01A", "No model."), e.MetricsLogged("01A", 0, 1001, {"loss": 1.0})]
    Journal(root).append(
        [*events, e.RunEnded("01B", 2000, "finished"), e.RunEnded("01A", 2000, "failed", "no")]
    )
    return Store(root)


def sync(root: Path, url: str, *more: str) -> None:
    done = CliRunner().invoke(app, ["sync", "--store", str(root), "--to", url, *more])
    assert done.exit_code == 0, done.output


def change_everything(store: Store) -> None:
    run = store.get("01A")
    run.rename("baseline")
    run.describe("What others have to beat.")
    run.set_tags({"team": "red", "new": "x"})
    run.remove_tags("fold")
    run.star()
    run.archive()


# -- the follower


class Backend(Sink):
    """Keeps runs, and does to each event what `Sink` says: a change of a run that is not there is skipped."""

    lasting = False

    def __init__(self, runs: dict[str, dict[str, Any]]) -> None:
        super().__init__("backend:")
        self.runs = runs

    def open(self, origin: Origin) -> None:
        self.origin = origin

    def write(self, events: Sequence[e.Event]) -> None:
        for event in events:
            if isinstance(event, e.RunStarted):
                self.runs.setdefault(event.run, {"name": event.name, "tags": dict(event.tags)})
            elif isinstance(event, e.TagsSet):
                self.runs[event.run]["tags"].update(event.values)
            elif isinstance(event, e.RunChanged) and event.run in self.runs:
                run = self.runs[event.run]
                run.update(name=event.name or run["name"])
                run["tags"].update(event.tags)
                run["tags"] = {key: value for key, value in run["tags"].items() if value is not None}


CHANGES = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.text("AZ", min_size=1, max_size=2),
        st.none() | st.sampled_from("abc"),
        st.dictionaries(
            st.sampled_from(["team", "fold", "new"]), st.none() | st.sampled_from("12"), max_size=2
        ),
    ),
    max_size=6,
    unique_by=lambda one: one[:2],
)


@settings(deadline=None, max_examples=examples(100))
@given(CHANGES, st.integers(1, 3), st.randoms(use_true_random=False))
def test_in_any_order_of_delivery_the_backend_ends_with_what_the_store_says(
    tmp_path_factory: pytest.TempPathFactory, changes: list[Any], journals: int, chance: random.Random
) -> None:
    """Journals grow and are delivered in turn, each by a follower of its own; the run's own may be the last of them."""
    root = tmp_path_factory.mktemp("store")
    queues: list[list[e.Event]] = [[OWN, e.TagsSet("01A", {"team": "own"})], *([] for _ in range(journals))]
    for t, id, name, tags in changes:
        queues[chance.randrange(len(queues))].append(e.RunChanged("01A", t, id, name, tags=tags))
    files = [Journal(root) for _ in queues]
    runs: dict[str, dict[str, Any]] = {}
    store = Store(root)
    followers = [Follower(Backend(runs), file.path, Layout(root), records=store) for file in files]
    while any(queues):
        place = chance.choice([place for place, queue in enumerate(queues) if queue])
        files[place].append([queues[place].pop(0)])
        if chance.random() < 0.5:
            chance.choice(followers).advance()
    chance.shuffle(followers)
    for follower in followers:
        while follower.advance():
            pass
        follower.close()
    record = store.get("01A")
    assert runs == {"01A": {"name": record.name, "tags": record.tags}}
    store.close()


def test_the_process_that_trains_delivers_its_own_changes_as_the_store_has_them(
    root: Path, store: Store
) -> None:
    """Without waiting for `autolog sync`; it reads the store's index only for that."""
    runs = {"01A": {"name": "otter", "tags": {"team": "blue"}}}
    own, another = Journal(root), Journal(root)
    another.append([e.RunChanged("01A", 5000, "b", tags={"team": "red"})])
    own.append([e.RunChanged("01A", 4000, "a", name="baseline", tags={"team": "green"})])
    sink = Backend(runs)
    follower = Follower(sink, own.path, own.store)
    assert follower.advance()
    assert runs == {"01A": {"name": "baseline", "tags": {"team": "red"}}}
    record = sink.origin.record("01A")
    assert record is not None
    assert (record.name, sink.origin.record("01X")) == ("baseline", None)
    follower.close()


def test_sync_of_a_named_run_brings_its_changes_and_no_others(
    root: Path, store: Store, tmp_path: Path
) -> None:
    store.get("01A").rename("baseline")
    store.get("01B").star()
    sync(root, f"ledger:{tmp_path}/one", "01B")
    changes = [event for event in ledger_events(tmp_path / "one") if isinstance(event, e.RunChanged)]
    assert [(change.run, change.starred) for change in changes] == [("01B", True)]


def test_a_removed_run_is_not_sent_for_its_changes(root: Path, store: Store, tmp_path: Path) -> None:
    change_everything(store)
    store.remove([store.get("01A")])
    sync(root, f"ledger:{tmp_path}/one")
    assert not [event for event in ledger_events(tmp_path / "one") if getattr(event, "run", None) == "01A"]


# -- MLflow


@pytest.mark.parametrize("changed_first", [True, False])
def test_mlflow_has_the_name_tags_description_and_marks(
    root: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed_first: bool
) -> None:
    """Those that it got with the run and those that came later; and it forgets what was taken back."""
    pytest.importorskip(
        "mlflow.store.tracking.sqlalchemy_store", reason="a database needs the whole of MLflow"
    )
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    uri = f"sqlite:///{tmp_path}/mlflow.db"

    def there() -> tuple[str, dict[str, str]]:
        client = MlflowClient(uri)
        experiment = client.get_experiment_by_name("default")
        assert experiment is not None
        runs = {run.data.tags["autolog.run"]: run for run in client.search_runs([experiment.experiment_id])}
        assert runs.keys() == {"01A", "01B"}
        assert runs["01B"].info.run_name == "otter/0"
        tags = runs["01A"].data.tags
        named = {"mlflow.note.content", "autolog.starred", "autolog.archived", "team", "fold", "new"}
        return runs["01A"].info.run_name, {key: tags[key] for key in sorted(named & tags.keys())}

    if not changed_first:
        sync(root, f"mlflow+{uri}")
        assert there() == ("otter", {"fold": "3", "team": "blue"})
    change_everything(store)
    sync(root, f"mlflow+{uri}")
    assert there() == (
        "baseline",
        {
            "autolog.archived": "true", "autolog.starred": "true", "mlflow.note.content": "What others have to beat.",
            "new": "x", "team": "red",
        },
    )  # fmt: skip
    run = Store(root).get("01A")
    run.describe("")
    run.unstar()
    run.unarchive()
    run.set_tags({"new": None, "fold": 4})
    sync(root, f"mlflow+{uri}")
    assert there() == ("baseline", {"fold": "4", "team": "red"})


def test_mlflow_makes_no_run_of_a_change_and_leaves_deleted_runs_alone(
    root: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(
        "mlflow.store.tracking.sqlalchemy_store", reason="a database needs the whole of MLflow"
    )
    from mlflow import MlflowClient
    from mlflow.entities import ViewType

    from autolog_mlflow import MlflowSink

    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    (own,) = (root / "journal").iterdir()
    store.get("01A").rename("first")
    (changes,) = set((root / "journal").iterdir()) - {own}
    follower = Follower(MlflowSink(f"mlflow+{uri}"), changes, Layout(root), records=store)
    assert follower.advance()
    follower.close()
    client = MlflowClient(uri)

    def runs() -> list[Any]:
        ids = [experiment.experiment_id for experiment in client.search_experiments()]
        return list(client.search_runs(ids, run_view_type=ViewType.ALL))

    assert runs() == []
    sync(root, f"mlflow+{uri}")
    (run,) = [run for run in runs() if run.data.tags["autolog.run"] == "01A"]
    assert run.info.run_name == "first"
    client.delete_run(run.info.run_id)
    store.get("01A").rename("second")
    sync(root, f"mlflow+{uri}")
    (run,) = [run for run in runs() if run.data.tags["autolog.run"] == "01A"]
    assert (run.info.run_name, run.info.lifecycle_stage) == ("first", "deleted")


# -- Weights & Biases


@pytest.mark.parametrize("changed_first", [True, False])
def test_wandb_has_the_name_tags_notes_and_marks(
    root: Path, store: Store, tmp_path: Path, changed_first: bool
) -> None:
    """W&B resumes the run for it; its history, its group and its outcome stay."""
    pytest.importorskip("wandb")
    project = tmp_path.name
    url = f"wandb://{ENTITY}/{project}?dir={tmp_path}"

    def there() -> dict[str, Any]:
        runs = {run["id"]: run for run in SERVER.finished(project, TIMEOUT)}
        assert runs.keys() == {"01a", "01b"}
        assert (runs["01b"]["name"], runs["01b"]["group"]) == ("otter/0", "otter")
        run = runs["01a"]
        assert [row["loss"] for row in run["history"]] == [1.0]
        about = run["config"]["autolog"]
        assert (run["exit"], about["status"], about["error"], about["id"]) == (1, "failed", "no", "01A")
        return {
            "name": run["name"], "notes": run["notes"], "tags": run["config"]["tags"],
            "marks": (about.get("starred"), about.get("archived")),
        }  # fmt: skip

    if not changed_first:
        sync(root, url)
        assert there() == {
            "name": "otter", "notes": "No model.", "tags": {"team": "blue", "fold": "3"}, "marks": (None, None),
        }  # fmt: skip
    change_everything(store)
    sync(root, url)
    assert there() == {
        "name": "baseline", "notes": "What others have to beat.\n\nNo model.", "tags": {"team": "red", "new": "x"},
        "marks": (True, True),
    }  # fmt: skip
    run = Store(root).get("01A")
    run.describe("")
    run.unstar()
    run.unarchive()
    run.set_tags({"new": None, "fold": 4})
    sync(root, url)
    assert there() == {
        "name": "baseline", "notes": "No model.", "tags": {"team": "red", "fold": "4"}, "marks": (False, False),
    }  # fmt: skip
    assert SERVER.unknown == []


# -- TensorBoard


def test_tensorboard_is_left_as_it_is(root: Path, store: Store, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    sync(root, f"tensorboard:{tmp_path}/logs")
    before = sorted(path.name for path in (tmp_path / "logs").iterdir())
    change_everything(store)
    sync(root, f"tensorboard:{tmp_path}/logs")
    assert sorted(path.name for path in (tmp_path / "logs").iterdir()) == before
