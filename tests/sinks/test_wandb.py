"""Weights & Biases: offline its files read back, and online what its own client tells a server that takes W&B's part.

There is no W&B server here. What is not tested: that W&B's own takes it.
"""

from __future__ import annotations

import json
import math
import signal
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import script
from truth import TIMEOUT, Journal
from typer.testing import CliRunner
from wandb_server import ENTITY, SERVER

pytest.importorskip("wandb")

from autolog.cli.app import app
from autolog.sinks.base import SinkError
from autolog.sinks.follower import Follower
from autolog.store.layout import Layout
from autolog.store.records import Store
from autolog.tracking import events as e
from autolog_wandb import STEP, WandbSink

BLOCK = 32 * 1024


def records(path: Path) -> Iterator[Any]:
    """The records of an offline file: LevelDB's log format behind a header of seven bytes."""
    from wandb.proto import wandb_internal_pb2

    data, at, whole = path.read_bytes(), 7, b""
    assert data[:4] in (b":W&B", b"")
    while at + 7 <= len(data):
        left = BLOCK - at % BLOCK
        if left < 7:
            at += left
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        if kind == 0:
            return
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(whole)
            whole = b""
            yield record


def read(folder: Path, count: int) -> dict[str, dict[str, Any]]:
    """`count` runs below a folder. W&B's process writes behind `finish()`: waits for the last record of each."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        runs = read_now(folder)
        if sum("exit" in run for run in runs.values()) == count or time.monotonic() > deadline:
            return runs
        time.sleep(0.05)


def read_now(folder: Path) -> dict[str, dict[str, Any]]:
    """All runs below a folder by their id, from all their files in order."""
    runs: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.rglob("*.wandb")):
        run: dict[str, Any] = {}
        for record in records(path):
            kind = record.WhichOneof("record_type")
            if kind == "run":
                run = runs.setdefault(
                    record.run.run_id,
                    {"config": {}, "history": [], "summary": {}, "files": [], "artifacts": []},
                )
                run.update(
                    name=record.run.display_name, group=record.run.run_group, project=record.run.project,
                    entity=record.run.entity, kind=record.run.job_type,
                )  # fmt: skip
                _update(run["config"], record.run.config.update)
            elif kind == "config":
                _update(run["config"], record.config.update)
            elif kind == "summary":
                _update(run["summary"], record.summary.update)
            elif kind == "history":
                row: dict[str, Any] = {}
                _update(row, record.history.item)
                run["history"].append(row)
            elif kind == "files":
                run["files"] += [file.path for file in record.files.files]
            elif kind == "artifact" or (
                kind == "request" and record.request.WhichOneof("request_type") == "log_artifact"
            ):
                artifact = record.artifact if kind == "artifact" else record.request.log_artifact.artifact
                run["artifacts"].append(
                    (artifact.name, artifact.type, sorted(one.path for one in artifact.manifest.contents))
                )
            elif kind == "exit":
                run["exit"] = record.exit.exit_code
    return runs


def _update(into: dict[str, Any], items: Any) -> None:
    for item in items:
        keys = list(item.nested_key) or [item.key]
        place = into
        for key in keys[:-1]:
            place = place.setdefault(key, {})
        place[keys[-1]] = json.loads(item.value_json)


def test_offline_files_hold_what_was_logged(tmp_path: Path):
    """Config, every row with its own step and time, in the order of logging, summary, groups, files, model, outcome."""
    journal = Journal(tmp_path / ".autolog")
    folder = journal.store.artifacts_of("01RUN")
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "MLmodel").write_text("{}")
    (folder / "curve.json").write_text("[1]")
    steps = [0, 1, 2, 5, 3]
    journal.append(
        [
            e.RunStarted("01RUN", 1000, "größter Lauf", "default", None, "fit", "sklearn", "1.9", "sklearn.X", {"team": "x"}),
            e.ParamsLogged("01RUN", {"C": 0.5, "layers": [1, 2], "none": None}),
            *(e.MetricsLogged("01RUN", step, 1000 + row, {"loss": 1 / (row + 1)}, step / 2) for row, step in enumerate(steps)),
            e.MetricsLogged("01RUN", 6, 1500, {"odd": math.nan, "up": math.inf}),
            e.RunRecorded(
                "01CHI", "01RUN", "größter Lauf/0", "default", 1100, 1200, "candidate", params={"C": 1}, metrics={"score": 0.5}
            ),
            e.ArtifactLogged("01RUN", "curve.json", 3),
            e.ModelLogged("01RUN", "model", "sklearn", 2, {"MLmodel": 2}),
            e.TagsSet("01RUN", {"team": "red"}),
            e.ParamsLogged("01RUN", {"C": 0.75}),
            e.RunEnded("01RUN", 2000, "failed", "ValueError: no"),
        ]
    )  # fmt: skip
    journal.deliver(WandbSink(f"wandb://ent/proj?mode=offline&dir={tmp_path}"))
    runs = read(tmp_path, 2)
    assert runs.keys() == {"01run", "01chi"}
    run, child = runs["01run"], runs["01chi"]
    config = run["config"]
    assert (config["C"], config["layers"], config["none"], config["tags"]) == (
        0.75,
        [1, 2],
        None,
        {"team": "red"},
    )
    assert config["autolog"] == {
        "id": "01RUN", "experiment": "default", "kind": "fit", "framework": "sklearn", "framework_version": "1.9",
        "estimator": "sklearn.X", "status": "failed", "error": "ValueError: no",
    }  # fmt: skip
    record = Store(journal.store).get("01RUN")
    assert (run["name"], run["kind"], run["exit"]) == (record.name, record.kind, 1)
    assert (run["entity"], run["project"], run["group"]) == ("ent", "proj", "")
    rows = [
        (row[STEP], round(row["_timestamp"] * 1000), row["loss"], row["autolog/epoch"])
        for row in run["history"][:-1]
    ]
    logged = [(step, 1000 + row, 1 / (row + 1), step / 2) for row, step in enumerate(steps)]
    assert rows == logged
    assert sorted(rows) == [(p.step, round(p.time * 1000), p.value, p.epoch) for p in record.history("loss")]
    assert [row["_step"] for row in run["history"]] == list(range(6))
    assert (repr(run["history"][-1]["odd"]), run["history"][-1]["up"]) == ("nan", math.inf)
    assert run["summary"]["loss"] == record.metrics["loss"]["last"]
    assert "curve.json" in run["files"]
    assert run["artifacts"] == [("gr-ter-Lauf-01run-model", "model", ["MLmodel"])]
    assert (child["group"], child["name"], child["exit"]) == ("größter Lauf", "größter Lauf/0", 0)
    assert child["history"][0]["score"] == 0.5


def test_the_users_own_wandb_is_left_alone(tmp_path: Path):
    """Live, offline: nothing is printed, `wandb.run` stays what it was, and the process ends with all of it written."""
    code = """
        import os, sys, autolog
        autolog.autolog(sinks=["wandb://proj?mode=offline"], silent=True, exit_timeout=60)
        with autolog.run("short") as run:
            for step in range(50):
                run.log_metrics({"loss": step}, step=step)
        import wandb
        assert wandb.run is None
        assert autolog.flush(60, sinks=True)
    """
    done = script(code, tmp_path, timeout=4 * TIMEOUT, beneath=("wandb",))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    (run,) = read(tmp_path, 1).values()
    assert [row[STEP] for row in run["history"]] == list(range(50))
    assert (run["name"], run["exit"]) == ("short", 0)


def test_the_last_run_of_a_process_arrives_as_it_ends(tmp_path: Path):
    """Nothing lost: W&B's client is at work since the first run, and its own exit function was registered after ours."""
    code = """
        import autolog
        autolog.autolog(sinks=["wandb://proj?mode=offline"], silent=True, exit_timeout=60)
        with autolog.run("first") as run:
            run.log_metrics({"loss": 1})
        assert autolog.flush(60, sinks=True)
        with autolog.run("last") as run:
            run.log_metrics({"loss": 2})
    """
    done = script(code, tmp_path, timeout=4 * TIMEOUT, beneath=("wandb",))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    found = read(tmp_path, 2).values()
    assert sorted((run["name"], run["exit"], len(run["history"])) for run in found) == [
        ("first", 0, 1),
        ("last", 0, 1),
    ]


ONLINE = """
    import os, signal, sys, autolog
    autolog.autolog(sinks=[sys.argv[1]], silent=True, exit_timeout=60)
    with autolog.run("größter [*] Lauf", tags={"team": "red"}) as run:
        run.log_params({"C": 0.5, "layers": [1, 2], "none": None, "odd": float("nan")})
        run.log_json("curves/roc [1].json", [1, 2])
        run.record_child("0", kind="candidate", params={"C": 1}, metrics={"score": 0.5})
        for step in (0, 1, 2, 5, 3):
            run.log_metrics({"loss": 1 / (step + 1), "accuracy": step}, step=step, epoch=step / 2)
        if sys.argv[2] == "killed":
            autolog.flush(60, sinks=True)
            os.kill(os.getpid(), signal.SIGKILL)
"""


def shown(project: str) -> dict[str, dict[str, Any]]:
    """What W&B has of each run of a project, in the words of a record."""
    runs = {}
    for run in SERVER.finished(project, TIMEOUT):
        about = run["config"]["autolog"]
        history: dict[str, list[Any]] = {}
        for row in sorted(run["history"], key=lambda row: row[STEP]):
            for name in row.keys() - {STEP, "autolog/epoch"}:
                if not name.startswith("_"):
                    history.setdefault(name, []).append((row[STEP], row.get("autolog/epoch"), row[name]))
        runs[run["name"]] = {
            "id": about["id"], "parent": about.get("parent"), "status": about.get("status"), "exit": run["exit"],
            "group": run["group"], "tags": run["config"].get("tags", {}), "history": history,
            "params": {key: value for key, value in run["config"].items() if key not in ("autolog", "tags")},
            "files": {name: len(content) for name, content in run["files"].items() if name.startswith("curves/")},
        }  # fmt: skip
    return runs


def recorded_there(store: Path) -> dict[str, dict[str, Any]]:
    """The same of the records."""
    records = list(Store(Layout(store)).runs(children=True))
    names = {record.id: record.name for record in records}
    return {
        record.name: {
            "id": record.id, "parent": record.parent, "status": record.status, "exit": int(record.status != "finished"),
            "group": names.get(record.parent or ""), "tags": record.tags,
            "history": {name: [(p.step, p.epoch, p.value) for p in record.history(name)] for name in record.metrics},
            "params": record.params,
            "files": {artifact["path"]: artifact["bytes"] for artifact in record.to_dict()["artifacts"]},
        }
        for record in records
    }  # fmt: skip


def test_wandb_shows_what_show_says(tmp_path: Path):
    """Field by field, for a run and its child; nothing but W&B's own word about credentials is said on the terminal; a repeat
    of all of it changes nothing.
    """
    project = tmp_path.name
    url = f"wandb://{ENTITY}/{project}?dir={tmp_path}"
    done = script(ONLINE, tmp_path, url, "trained", timeout=4 * TIMEOUT, beneath=("wandb",))
    said = [line for line in done.stderr.splitlines() if "Loaded credentials" not in line]
    assert (done.returncode, done.stdout, said) == (0, "", [])
    expected = recorded_there(tmp_path / ".autolog")
    assert len(expected) == 2
    assert shown(project) == expected
    for kept in (tmp_path / ".autolog").rglob("followers/*.json"):
        kept.unlink()
    synced = CliRunner().invoke(app, ["sync", "--to", url, "--store", str(tmp_path / ".autolog")])
    assert (synced.exit_code, shown(project)) == (0, expected)
    assert SERVER.unknown == []


def test_a_server_that_was_down_gets_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """W&B's client begins a run only once in a process: one that could not be begun waits in the journal for the next, with
    what came after it, and is there once.
    """
    monkeypatch.setattr("autolog_wandb.INIT_SECONDS", 1.0)
    journal, project = Journal(tmp_path / ".autolog"), tmp_path.name
    url = f"wandb://{ENTITY}/{project}?dir={tmp_path}"
    one = Follower(WandbSink(url), journal.path, journal.store)
    journal.append(
        [e.RunStarted("01A", 1000, "first", "default"), e.MetricsLogged("01A", 0, 1001, {"loss": 1.0})]
    )
    assert one.advance()
    journal.append(
        [e.MetricsLogged("01A", 1, 1002, {"loss": 0.5}), e.RunStarted("01B", 1003, "second", "default")]
    )
    SERVER.down = True
    try:
        with pytest.raises(SinkError, match=r"can start it only once: .*503") as caught:
            one.advance()
    finally:
        SERVER.down = False
    assert not caught.value.retryable
    journal.append([e.RunEnded("01A", 2000, "finished"), e.RunEnded("01B", 2000, "finished")])
    one.close()
    code = "from autolog.cli import main; main()"
    synced = script(
        code,
        tmp_path,
        "sync",
        "--to",
        url,
        "--store",
        str(tmp_path / ".autolog"),
        timeout=4 * TIMEOUT,
        beneath=("wandb",),
    )
    assert synced.returncode == 0, synced.stderr
    assert {name: (run["status"], run["history"]) for name, run in shown(project).items()} == {
        "first": ("finished", {"loss": [(0, None, 1.0), (1, None, 0.5)]}), "second": ("finished", {}),
    }  # fmt: skip


def test_after_a_kill_sync_delivers_the_rest(tmp_path: Path):
    """W&B's client has a queue of its own, which a SIGKILL may empty: what it had taken counts as delivered only when it has
    ended well. Afterwards all is there once, and the run says that it was lost.
    """
    project = tmp_path.name
    url = f"wandb://{ENTITY}/{project}?dir={tmp_path}"
    done = script(ONLINE, tmp_path, url, "killed", timeout=4 * TIMEOUT, beneath=("wandb",))
    assert done.returncode == -signal.SIGKILL
    for _ in range(2):
        synced = CliRunner().invoke(app, ["sync", "--to", url, "--store", str(tmp_path / ".autolog")])
        assert synced.exit_code == 0, synced.output
        expected = recorded_there(tmp_path / ".autolog")
        assert sorted(run["status"] for run in expected.values()) == ["finished", "lost"]
        assert shown(project) == expected


@pytest.mark.parametrize(
    "url", ["wandb://key@entity/project", "wandb://a/b/c", "wandb://a/b?mode=of", "wandb://a?x=1"]
)
def test_a_wrong_url_is_refused_before_wandb_is_imported(url: str):
    with pytest.raises(ValueError, match="wandb: use a URL such as"):
        WandbSink(url)
