"""MLflow, for real: what it says afterwards is what `autolog show --json` says, however bad the way there was."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from helpers import environment, script, write_script
from servers import Proxy, mlflow2, mlflow3, mlflow3_on_postgres, mlflow3_python
from truth import MLFLOW, TIMEOUT, Journal, started
from typer.testing import CliRunner

pytest.importorskip("mlflow")

from mlflow import MlflowClient

from autolog.cli.app import app
from autolog.sinks.base import SinkError
from autolog.sinks.follower import Follower
from autolog.store.records import Store
from autolog.tracking import events as e
from autolog_mlflow import MlflowSink
from autolog_mlflow.mapping import key_of

ENOUGH = 4 * TIMEOUT
Sync = Callable[..., "tuple[int, str]"]


@pytest.fixture(scope="session")
def server3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mlflow3(tmp_path_factory.mktemp("mlflow")) as url:
        yield url


@pytest.fixture(scope="session")
def server3_on_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mlflow3_on_postgres(tmp_path_factory.mktemp("mlflow")) as url:
        yield url


@pytest.fixture(scope="session")
def server2(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mlflow2(tmp_path_factory.mktemp("mlflow")) as url:
        yield url


@pytest.fixture(
    params=[
        "server3",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("server3_on_postgres", "server2")),
    ]
)
def server(request: pytest.FixtureRequest) -> str:
    """Its URL. The first one is in every run."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A store with runs of all kinds in it, none of them delivered; and their experiment."""
    folder, experiment = tmp_path_factory.mktemp("trained"), f"trained {uuid.uuid4().hex[:8]}"
    done = script(TRAINING, folder, experiment, timeout=ENOUGH, beneath=MLFLOW)
    assert done.returncode == 0, done.stderr
    return folder / ".autolog", experiment


@pytest.fixture
def store(trained: tuple[Path, str], tmp_path: Path) -> Path:
    """A copy of it: the positions that are kept are the test's own."""
    return Path(shutil.copytree(trained[0], tmp_path / "copy" / ".autolog"))


@pytest.fixture
def experiment() -> str:
    """A place of the test's own on a server that others use too."""
    return f"test {uuid.uuid4().hex[:8]}"


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")


# -- what MLflow says, and what it ought to say


def there(url: str, experiment: str) -> dict[str, dict[str, Any]]:
    """All runs of an experiment by our id, as MLflow shows them, in the words of `autolog show --json`."""
    client = MlflowClient(url)
    found = client.get_experiment_by_name(experiment)
    runs = [] if found is None else list(client.search_runs([found.experiment_id], max_results=1000))
    ours = {run.info.run_id: run.data.tags["autolog.run"] for run in runs}
    assert len(set(ours.values())) == len(ours), "a run is there twice"
    return {ours[run.info.run_id]: _described(client, run, ours) for run in runs}


def _described(client: MlflowClient, run: Any, ours: dict[str, str]) -> dict[str, Any]:
    tags = run.data.tags
    histories = {
        key: sorted(
            (point.step, point.timestamp, _number(point.value))
            for point in client.get_metric_history(run.info.run_id, key)
        )
        for key in run.data.metrics
    }
    prefix = ("autolog.", "mlflow.")
    return {
        "name": run.info.run_name,
        "status": run.info.status,
        "exact status": tags.get("autolog.status"),
        "started": run.info.start_time,
        "ended": run.info.end_time,
        "parent": ours.get(tags.get("mlflow.parentRunId", "")),
        "framework": tags.get("autolog.framework"),
        "framework_version": tags.get("autolog.framework_version"),
        "kind": tags.get("autolog.kind"),
        "estimator": tags.get("autolog.estimator"),
        "error": tags.get("autolog.error"),
        "params": dict(run.data.params),
        "metrics": histories,
        "tags": {key: value for key, value in tags.items() if not key.startswith(prefix)},
        "datasets": sorted(
            (
                {"context": one.tags[0].value, **_without_rows(json.loads(one.dataset.profile))}
                for one in run.inputs.dataset_inputs
            ),
            key=str,
        ),
        "artifacts": _files(client, run),
        "notes": sorted(v for k, v in tags.items() if k.startswith("autolog.note.")),
        "refused": sorted(v for k, v in tags.items() if k.startswith("autolog.refused.")),
    }


def _files(client: MlflowClient, run: Any) -> dict[str, int]:
    """Path and size of all files, those of its models too."""
    roots = {"": run.info.artifact_uri}
    outputs = getattr(run, "outputs", None)
    for output in outputs.model_outputs if outputs else ():
        model = client.get_logged_model(output.model_id)
        assert str(model.status) == "READY"
        roots[f"{model.name}/"] = model.artifact_location
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    found: dict[str, int] = {}
    # Where an older client looks for files.
    with mock.patch.dict(os.environ, MLFLOW_TRACKING_URI=client.tracking_uri):
        for prefix, root in roots.items():
            repository = get_artifact_repository(root)
            folders: list[str | None] = [None]
            while folders:
                for one in repository.list_artifacts(folders.pop()):
                    if one.is_dir:
                        folders.append(one.path)
                    else:
                        found[f"{prefix}{one.path}"] = one.file_size
    return found


def _without_rows(profile: dict[str, Any]) -> dict[str, Any]:
    profile.pop("num_rows")
    return profile


def _number(value: float) -> str:
    """A number as its text, as NaN equals nothing. A database holds no infinity; MLflow writes the largest number."""
    limit = sys.float_info.max
    return repr(limit if value == float("inf") else -limit if value == -float("inf") else float(value))


def ours(store: Path) -> dict[str, dict[str, Any]]:
    """The same of the store's runs."""
    runs = Store(store).runs(children=True)
    return {run.id: _expected(run) for run in runs}


def _expected(run: Any) -> dict[str, Any]:
    said = run.to_dict()
    statuses = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED", "lost": "KILLED"}

    def milliseconds(time: Any) -> int:
        return round(time.timestamp() * 1000)

    return {
        "name": said["name"],
        "status": statuses[said["status"]],
        "exact status": said["status"],
        "started": milliseconds(run.started),
        "ended": milliseconds(run.ended),
        "parent": said["parent"],
        "framework": said["framework"],
        "framework_version": said["framework_version"],
        "kind": said["kind"],
        "estimator": said["estimator"],
        "error": said["error"],
        "params": {
            key: value
            if isinstance(value, str)
            else json.dumps(value)
            if isinstance(value, list)
            else str(value)
            for key, value in said["params"].items()
        },
        "metrics": {
            key_of(name): sorted({(p.step, round(p.time * 1000), _number(p.value)) for p in points})
            for name, points in run.histories().items()
        },
        "tags": said["tags"],
        "datasets": sorted(said["datasets"], key=str),
        "artifacts": {file["path"]: file["bytes"] for file in said["artifacts"]},
        "notes": sorted(said["notes"]),
        "refused": [],
    }


TRAINING = """
    import sys, autolog
    autolog.autolog(sinks=sys.argv[2:], experiment=sys.argv[1], silent=True)
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    X, y = load_iris(return_X_y=True, as_frame=True)
    with autolog.run("größte Läufe 训练", tags={"team": "blue"}) as run:
        LogisticRegression(max_iter=500).fit(X, y)
        for step in range(20):
            run.log_metrics({"loss": 1 / (step + 1), "loss@5": float("nan"), "gap": float("inf")}, step=step)
        run.log_metrics({"loss": 0.5}, step=3)          # out of order
        run.log_params({"layers": [1, 2], "none": None, "empty": "", "on": True})
        run.log_json("curves/roc curve.json", [1, 2])
        with autolog.run():
            autolog.current_run().log_metrics({"inner": 1.0}, step=7)
    GridSearchCV(LogisticRegression(max_iter=500), {"C": [0.1, 1]}, cv=2).fit(X, y)
    try:
        with autolog.run("failing"):
            raise ValueError("no such column")
    except ValueError:
        pass
    try:
        with autolog.run("stopped"):
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    print("delivered", autolog.flush(120, sinks=True))
"""


@pytest.fixture
def sync(monkeypatch: pytest.MonkeyPatch) -> Sync:
    """`autolog sync --to URL` for a store, in this process: its exit code and what it says."""

    def run(store: Path, url: str, *more: str) -> tuple[int, str]:
        monkeypatch.setattr("autolog.sinks.live.FIRST_RETRY_SECONDS", 0.01)
        done = CliRunner().invoke(app, ["sync", "--to", url, "--store", str(store), *more])
        return done.exit_code, done.output

    return run


# -- all of it


def test_mlflow_shows_what_show_says(
    server: str, trained: tuple[Path, str], store: Path, sync: Sync, tmp_path: Path
):
    """Field by field; the models are on their page, are registered and can be loaded. A repeat of all of it, as after a crash,
    from the beginning or from the middle, changes nothing.

    Slow: each server takes long to start, and answers some 200 requests.
    """
    name = trained[1].replace(" ", "-")
    url = f"mlflow+{server}?register={name}"
    code, said = sync(store, url)
    assert code == 0, said
    expected = ours(store)
    assert len(expected) == 7
    assert sum("model/MLmodel" in run["artifacts"] for run in expected.values()) == 2
    assert there(server, trained[1]) == expected

    assert sync(store, url) == (0, f"autolog: 0 events of 0 journals delivered to {url}.\n")
    (path,) = (store / "journal").iterdir()
    lines = path.read_bytes().splitlines(keepends=True)
    for start in (0, sum(map(len, lines[: len(lines) // 2]))):
        one = Follower(MlflowSink(url), path, Store(store).layout, start=start)
        while one.advance():
            pass
        one.close()
    assert there(server, trained[1]) == expected

    client = MlflowClient(server)
    versions = client.search_model_versions(f"name = '{name}'")
    runs = {version.run_id for version in versions}
    assert len(versions) == len(runs) == 2
    version = urllib.request.urlopen(f"{server}/version", timeout=TIMEOUT).read()
    python = os.environ["MLFLOW2_PYTHON"] if version.startswith(b"2.") else mlflow3_python()
    loading = f"""
import mlflow, sys
mlflow.set_tracking_uri("{server}")
for run in sys.argv[1:]:
    print(mlflow.pyfunc.load_model(f"runs:/{{run}}/model").metadata is not None,
          len(mlflow.MlflowClient().list_artifacts(run, "model")))
"""
    if python == sys.executable:
        found = script(loading, tmp_path, *runs, timeout=ENOUGH, beneath=MLFLOW)
    else:
        environment = {**os.environ, "PYTHONPATH": ""}
        found = subprocess.run(
            [python, "-c", loading, *runs], capture_output=True, text=True, env=environment, timeout=ENOUGH
        )
    assert found.stdout == "True 5\n" * 2, found.stderr


def test_events_arrive_while_the_training_goes_on(server3: str, experiment: str, tmp_path: Path):
    code = TRAINING.replace(
        '    print("delivered"',
        """
    import mlflow
    assert mlflow.active_run() is None
    assert mlflow.get_tracking_uri() != sys.argv[2].partition("+")[2]
    print("delivered\"""",
    )
    done = script(code, tmp_path, experiment, f"mlflow+{server3}", timeout=ENOUGH, beneath=MLFLOW)
    assert (done.returncode, done.stdout, done.stderr) == (0, "delivered True\n", "")
    assert there(server3, experiment) == ours(tmp_path / ".autolog")


def test_a_database_takes_runs_without_a_server(
    trained: tuple[Path, str], store: Path, sync: Sync, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """`mlflow+sqlite:`, and `mlflow:` for where MLflow itself is configured to: the same place under two names."""
    pytest.importorskip("sqlalchemy", reason="a database needs the whole of MLflow")
    uri = f"sqlite:///{tmp_path}/configured.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    code, said = sync(store, "mlflow")
    assert code == 0, said
    assert there(uri, trained[1]) == ours(store)
    code, said = sync(store, f"mlflow+{uri}", "--json")
    assert json.loads(said)[0]["events"] == 0


def test_sync_of_a_named_run_sends_it_with_its_children_and_no_removed_run(
    server3: str, trained: tuple[Path, str], store: Path, sync: Sync
):
    journal = next((store / "journal").iterdir())
    journal.rename(
        journal.with_name(f"20260101T000000-{uuid.uuid4().hex}.jsonl")
    )  # another one, for this server
    before = there(server3, trained[1])
    records = Store(store)
    search = records.runs("kind == 'search'")[0]
    records.remove([records.get("failing")])
    code, said = sync(store, f"mlflow+{server3}", search.name)
    assert code == 0, said
    chosen = {search.id, *(child.id for child in search.children)}
    assert len(chosen) == 3
    client = MlflowClient(server3)
    found = client.search_runs(
        [client.get_experiment_by_name(trained[1]).experiment_id],
        f"tags.`autolog.journal` = '{next((store / 'journal').glob('20260101T*')).name}'",
    )
    assert {run.data.tags["autolog.run"] for run in found} == chosen
    for run in found:
        client.delete_run(run.info.run_id)
    assert there(server3, trained[1]) == before


# -- limits, and what is refused


def feed(journal: Journal, url: str, start: int | None = None) -> None:
    one = Follower(MlflowSink(url), journal.path, journal.store, start=start)
    while one.advance():
        pass
    one.close()


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / ".autolog")


def test_values_beyond_mlflows_limits_arrive_cut_or_in_parts(server: str, experiment: str, journal: Journal):
    """Values, names and numbers beyond MLflow's limits arrive, cut or in parts; none takes another along.

    Slow: the servers but the first need a database or an environment of their own.
    """
    long = "ü" * 6000
    params = {f"p{number}": long for number in range(250)}
    names = [
        "a/../b",
        "/abs",
        "..",
        "a//b",
        "x" * 400,
        "x" * 400 + "y",
        "a:b",
        "a@b",
        "a#b",
        "größe",
        "ключ/1",
        "a b",
        "-",
    ]
    values = {name: float(number) for number, name in enumerate(names)}
    journal.append(
        [
            e.RunStarted("r", 1000, "n" * 600, experiment),
            e.ParamsLogged("r", {**params, "": "empty", "long": "x" * 20_000}),
            e.TagsSet(
                "r", {"long": "x" * 20_000, "autolog.run": "mine", **{f"t{n}": "v" for n in range(150)}}
            ),
            *(e.MetricsLogged("r", step, 1000 + step, {**values, "y" * 250: 1.0}) for step in range(300)),
            e.MetricsLogged("r", 2**53, 5000, {"far": 1.0}),
            e.RunEnded("r", 9000, "finished"),
        ]
    )
    feed(journal, f"mlflow+{server}")
    run = there(server, experiment)["r"]
    assert run["refused"] == []
    assert run["name"] == "n" * 249 + "…"
    assert len(run["params"]) == 252
    assert {run["params"][f"p{number}"] for number in range(250)} == {long}
    assert run["params"]["long"] == "x" * 5999 + "…"
    assert run["tags"]["long"] == "x" * 4999 + "…"
    assert run["tags"]["tags.autolog.run"] == "mine"
    assert len(run["metrics"]) == len(names) + 2
    for number, name in enumerate(names):
        assert run["metrics"][key_of(name)] == [
            (step, 1000 + step, repr(float(number))) for step in range(300)
        ], name
    assert run["metrics"]["far"] == [(2**53, 5000, "1.0")]


def test_a_param_that_changes_is_kept_as_a_tag(server3: str, experiment: str, journal: Journal):
    """MLflow's params are for ever; the later value is not lost, and nothing else with it."""
    journal.append(
        [started(), e.RunStarted("r", 1000, "run", experiment), e.ParamsLogged("r", {"C": 1, "D": 1})]
    )
    feed(journal, f"mlflow+{server3}")
    journal.append([e.ParamsLogged("r", {"C": 2, "D": 1, "E": 1})])
    feed(journal, f"mlflow+{server3}")
    assert there(server3, experiment)["r"]["params"] == {"C": "1", "D": "1", "E": "1"}
    client = MlflowClient(server3)
    (run,) = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    assert run.data.tags["autolog.param.C"] == "2"


def test_a_server_takes_changes_of_a_run_and_takes_them_back(
    server: str, experiment: str, journal: Journal, sync: Sync
):
    """Slow: the servers but the first need a database or an environment of their own."""
    journal.append(
        [
            e.RunStarted("01A", 1000, "otter", experiment, tags={"team": "blue"}),
            e.RunEnded("01A", 2000, "finished"),
        ]
    )
    root, url, client = journal.store.root, f"mlflow+{server}", MlflowClient(server)
    assert sync(root, url)[0] == 0
    run = Store(root).get("01A")

    def shown() -> dict[str, str | None]:
        (found,) = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
        tags = found.data.tags
        assert found.info.status == "FINISHED"
        return {
            "name": found.info.run_name,
            **{key: tags.get(key) for key in ("team", "mlflow.note.content", "autolog.starred")},
        }

    run.rename("größer")
    run.describe("two\nlines")
    run.star()
    run.set_tags({"team": None})
    assert sync(root, url)[0] == 0
    assert shown() == {
        "name": "größer",
        "team": None,
        "mlflow.note.content": "two\nlines",
        "autolog.starred": "true",
    }
    run.describe("")
    run.unstar()
    run.set_tags({"team": "red"})
    assert sync(root, url)[0] == 0
    assert shown() == {"name": "größer", "team": "red", "mlflow.note.content": None, "autolog.starred": None}


def test_a_run_that_was_deleted_in_mlflow_stays_deleted(server3: str, experiment: str, journal: Journal):
    """What still comes for it is left out, whether it is known already that it is gone or not; other runs are not held up."""
    client = MlflowClient(server3)
    sink = MlflowSink(f"mlflow+{server3}")
    one = Follower(sink, journal.path, journal.store)
    for number, name in enumerate(("known", "unknown")):
        journal.append(
            [e.RunStarted(name, 1000, name, experiment), e.MetricsLogged(name, 0, 1000, {"loss": 1.0})]
        )
        while one.advance():
            pass
        if number == 1:
            one.close()
            one = Follower(MlflowSink(f"mlflow+{server3}"), journal.path, journal.store)
        (run,) = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
        client.delete_run(run.info.run_id)
        journal.append([e.MetricsLogged(name, 1, 1001, {"loss": 0.5}), e.RunEnded(name, 1002, "finished")])
        while one.advance():
            pass
    one.close()
    assert there(server3, experiment) == {}
    journal.append([e.RunStarted("other", 1000, "other", experiment), e.RunEnded("other", 1002, "finished")])
    feed(journal, f"mlflow+{server3}")
    assert list(there(server3, experiment)) == ["other"]


def test_a_value_that_the_server_refuses_is_noted_and_costs_no_other(
    server3: str, experiment: str, journal: Journal, tmp_path: Path
):
    """A file and a param too large for what is in front of the server: the run says so, and the rest arrives."""
    folder = journal.store.artifacts_of("r")
    folder.mkdir(parents=True)
    (folder / "large.bin").write_bytes(b"x" * 50_000)
    (folder / "small.txt").write_text("small")

    def small_only(number: int, head: bytes) -> tuple[int, bytes] | None:
        length = re.search(rb"content-length: (\d+)", head.lower())
        return (413, b"<html>too large</html>") if length is not None and int(length[1]) > 5000 else None

    journal.append(
        [
            e.RunStarted("r", 1000, "run", experiment),
            e.ParamsLogged("r", {"C": 1, "large": "x" * 6000, "D": 2}),
            *(e.MetricsLogged("r", step, 1000, {"loss": 1.0}) for step in (0, 2**63 + 5, 1)),
            e.ArtifactLogged("r", "large.bin", 50_000),
            e.ArtifactLogged("r", "small.txt", 5),
            e.RunEnded("r", 2000, "finished"),
        ]
    )
    with Proxy(server3, small_only) as proxy:
        feed(journal, f"mlflow+{proxy.url}")
    run = there(server3, experiment)["r"]
    assert run["status"] == "FINISHED"
    assert run["artifacts"] == {"small.txt": 5}
    assert run["params"] == {"C": "1", "D": "2"}
    assert run["refused"] == ["file large.bin: 413 Trouble", "param large: 413 Trouble"]
    assert [step for step, _, _ in run["metrics"]["loss"]] == [0, 1, 2**63 - 1]


# -- when it is down

LOGGING = """
    import sys, autolog
    autolog.autolog(sinks=sys.argv[2:], experiment=sys.argv[1], silent=True, exit_timeout=1)
    with autolog.run("long", tags={"a": "b"}) as run:
        run.log_params({"C": 1})
        for step in range(500):
            run.log_metrics({"loss": 1 / (step + 1), "accuracy": step / 500}, step=step)
        run.log_json("curve.json", [1, 2])
        run.record_child("0", kind="candidate", params={"C": 1}, metrics={"score": 0.5})
    print("trained")
"""

TROUBLES: dict[str, Any] = {
    "hanging": "hang",
    "dropping": "drop",
    "deaf": "deaf",
    "500": (500, b'{"error_code": "INTERNAL_ERROR", "message": "oh"}'),
    "429": (429, b"slow down"),
    "full": (
        500,
        b'{"error_code": "INTERNAL_ERROR", "message": "(sqlite3.OperationalError) database or disk is full"}',
    ),
}


def test_servers_in_trouble_cost_the_training_nothing(
    server3: str, experiment: str, tmp_path: Path, sync: Sync
):
    """Absent, hanging, closing, failing, refusing and full ones, all at once: the process ends as it should and says in a line
    each what is left. `autolog sync` then delivers it, exactly once. Nowhere is a password.
    """
    with contextlib.ExitStack() as stack:
        proxies = {
            name: stack.enter_context(Proxy(server3, lambda number, head, fate=fate: fate))
            for name, fate in TROUBLES.items()
            if name != "deaf"
        }
        with Proxy(server3) as absent:
            pass
        urls = [f"mlflow+http://ann:hunter22@{proxy.url[7:]}" for proxy in (*proxies.values(), absent)]
        done = script(LOGGING, tmp_path, experiment, *urls, timeout=ENOUGH, beneath=MLFLOW)
        assert (done.returncode, done.stdout) == (0, "trained\n"), done.stderr
        assert "Not yet delivered: " in done.stderr
        assert all(f"events for mlflow+{proxy.url}" in done.stderr for proxy in (*proxies.values(), absent))
        assert all(proxy.requests >= 1 for proxy in proxies.values())
        store = tmp_path / ".autolog"
        expected = ours(store)
        assert len(expected) == 2
        assert there(server3, experiment) == {}

        said = done.stderr
        proxies["429"].trouble = lambda number, head: None
        code, text = sync(store, urls[list(proxies).index("429")])
        assert code == 0, text
        assert there(server3, experiment) == expected
        code, text = sync(store, urls[-1])
        assert code == 1
        assert text == (
            f"autolog: Delivery to mlflow+{absent.url} failed (cannot be reached (Connection refused)). 0 events delivered. The"
            " rest is kept: run the same command to continue.\n"
        )
    for path in [path for path in store.rglob("*") if path.is_file()]:
        assert b"hunter22" not in path.read_bytes(), path
    assert "hunter22" not in said + text


@pytest.mark.parametrize("name", ["slow", "dying", "filling up"])
def test_what_a_failing_server_took_does_not_arrive_twice(
    server3: str, experiment: str, tmp_path: Path, sync: Sync, name: str
):
    """One that takes a second to answer, that dies and whose disk fills up in the middle of a run: the process ends as it
    should, with a line on what is left, and `autolog sync` delivers that, exactly once.
    """
    taken = 5  # the experiment, the run, some of its values
    trouble: dict[str, Any] = {
        "slow": lambda number, head: 1.0,
        "dying": lambda number, head: None if number <= taken else "drop",
        "filling up": lambda number, head: None if number <= taken else TROUBLES["full"],
    }
    # Of the slow one all comes late; the others have to take something.
    code = LOGGING.replace("exit_timeout=1", f"exit_timeout={1 if name == 'slow' else 3}").replace(
        "        run.log_json", "            if step == 250: autolog.flush(60)\n        run.log_json"
    )
    with Proxy(server3, trouble[name]) as proxy:
        url = f"mlflow+{proxy.url}"
        done = script(code, tmp_path, experiment, url, timeout=ENOUGH, beneath=MLFLOW)
        assert (done.returncode, done.stdout) == (0, "trained\n"), done.stderr
        assert re.search(rf"Not yet delivered: [\d,]+ events for {re.escape(url)}\.", done.stderr)
        assert proxy.requests >= 1
        assert name == "slow" or len(there(server3, experiment)) == 1
        proxy.trouble = lambda number, head: None
        for _ in range(2):
            code, said = sync(tmp_path / ".autolog", url)
            assert code == 0, said
            assert there(server3, experiment) == ours(tmp_path / ".autolog")


@pytest.mark.parametrize("fate", [pytest.param("drop", marks=pytest.mark.slow), "deaf"])
def test_everything_arrives_once_whichever_request_fails(server3: str, tmp_path: Path, fate: str):
    """Each request in turn is not taken, or taken without an answer; the next process goes on from the kept position.

    Slow: there are as many rounds as requests. Every run has the harder one, where it is taken without an answer, and a server
    that takes some requests and drops the rest.
    """
    failures, at = 0, 0
    while True:
        at += 1
        experiment = f"test {uuid.uuid4().hex[:8]}"
        journal = Journal(tmp_path / str(at) / ".autolog")
        folder = journal.store.artifacts_of("r")
        folder.mkdir(parents=True)
        (folder / "a.txt").write_text("some")
        journal.append(
            [
                e.RunStarted("r", 1000, "run", experiment),
                e.ParamsLogged("r", {"C": 1}),
                *(
                    e.MetricsLogged("r", step, 1000 + step, {"loss": step / 2, "x": 1.0})
                    for step in range(700)
                ),
                e.DatasetLogged("r", "train", {"kind": "list", "rows": 3}),
                e.ArtifactLogged("r", "a.txt", 4),
                e.RunRecorded("c", "r", "run/0", experiment, 1500, 1600, "candidate", metrics={"score": 0.5}),
                e.RunEnded("r", 2000, "finished"),
            ]
        )
        with Proxy(server3, lambda number, head, at=at: fate if number == at else None) as proxy:
            try:
                feed(journal, f"mlflow+{proxy.url}")
            except SinkError:
                failures += 1
            feed(journal, f"mlflow+{proxy.url}")
            reached = proxy.requests >= at
        assert there(server3, experiment) == ours(journal.store.root), at
        if not reached:
            break
    assert failures == at - 1 >= 10


def test_a_server_that_is_not_mlflow_is_a_permanent_error_in_one_line(store: Path, sync: Sync, server3: str):
    """Another web server, and one that wants a password: no retries, one clear line, no credentials in it."""
    for answer, why in (
        ((404, b"<html>nothing here</html>"), "404 Trouble (is it an MLflow server?)"),
        ((200, b"<html>welcome</html>"), "the server there is not an MLflow server"),
        ((401, b""), "401 Trouble"),
    ):
        with Proxy(server3, lambda number, head, answer=answer: answer) as proxy:
            code, said = sync(store, f"mlflow+http://ann:hunter22@{proxy.url[7:]}")
            assert (code, proxy.requests) == (1, 1)
            assert f"mlflow+{proxy.url} failed ({why})" in said
            assert "hunter22" not in said


def test_after_a_kill_sync_delivers_the_rest(server3: str, experiment: str, tmp_path: Path, sync: Sync):
    """SIGKILL in the middle of training and of delivering: afterwards all is there once, and the run says that it was lost."""
    code = """
        import sys, autolog
        autolog.autolog(sinks=[sys.argv[2]], experiment=sys.argv[1], silent=True)
        with autolog.run("endless") as run:
            with autolog.run("inner") as inner:
                inner.log_params({"C": 1})
            step = 0
            while True:
                run.log_metrics({"loss": step}, step=step)
                step += 1
                if step % 500 == 0:
                    autolog.flush(60, sinks=step == 500)
                    print(step, flush=True)
    """
    url = f"mlflow+{server3}"
    process = subprocess.Popen(
        [sys.executable, str(write_script(code, tmp_path)), experiment, url],
        cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None
    for _ in range(4):
        assert process.stdout.readline()
    process.kill()
    assert process.wait(TIMEOUT) == -signal.SIGKILL
    process.stdout.close()
    before = there(server3, experiment)
    assert sorted(run["status"] for run in before.values()) == ["FINISHED", "RUNNING"]
    for _ in range(2):
        assert sync(tmp_path / ".autolog", url)[0] == 0
        expected = ours(tmp_path / ".autolog")
        assert sorted(run["exact status"] for run in expected.values()) == ["finished", "lost"]
        assert there(server3, experiment) == expected
