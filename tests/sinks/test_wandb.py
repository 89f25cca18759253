"""Weights & Biases in its offline mode, its files read back: what `wandb sync` would send is what was logged.

There is no W&B server here. What is not tested: that its server takes it, and that a resumed run leaves out rows that it has.
"""

from __future__ import annotations

import json
import math
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import script
from truth import TIMEOUT, Journal

pytest.importorskip("wandb")

from autolog.sinks.follower import Follower
from autolog.sinks.wandb import STEP, WandbSink
from autolog.store.records import Store
from autolog.tracking import events as e

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
    one = Follower(WandbSink(f"wandb://ent/proj?mode=offline&dir={tmp_path}"), journal.path, journal.store)
    while one.advance():
        pass
    one.close()
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
    done = script(code, tmp_path, timeout=4 * TIMEOUT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    (run,) = read(tmp_path, 1).values()
    assert [row[STEP] for row in run["history"]] == list(range(50))
    assert (run["name"], run["exit"]) == ("short", 0)


@pytest.mark.parametrize(
    "url", ["wandb://key@entity/project", "wandb://a/b/c", "wandb://a/b?mode=of", "wandb://a?x=1"]
)
def test_a_wrong_url_is_refused(url: str):
    """Before anything is imported; a key belongs into W&B's own settings."""
    with pytest.raises(ValueError, match="wandb: is as in"):
        WandbSink(url)
