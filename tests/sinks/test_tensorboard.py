"""TensorBoard, read back with its own reader: what it shows is what was logged."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

import pytest
from truth import Journal

pytest.importorskip("tensorboard")

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

from autolog.sinks.base import SinkError
from autolog.sinks.follower import Follower
from autolog.tracking import events as e
from autolog_tensorboard import TensorboardSink


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / ".autolog")


def feed(journal: Journal, logs: Path, start: int | None = None) -> None:
    journal.deliver(TensorboardSink(f"tensorboard:{logs}"), start=start)


def read(folder: Path) -> dict[str, Any]:
    """A run's folder as TensorBoard sees it."""
    shown = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
    shown.Reload()
    plugin = shown.summary_metadata
    said: dict[str, Any] = {}
    for tag in (metadata.SESSION_START_INFO_TAG, metadata.SESSION_END_INFO_TAG):
        if tag in plugin:
            content = plugin[tag].plugin_data.content
            parse = (
                metadata.parse_session_start_info_plugin_data
                if tag == metadata.SESSION_START_INFO_TAG
                else metadata.parse_session_end_info_plugin_data
            )
            said[tag.rpartition("/")[2]] = parse(content)
    start = said.get("session_start_info")
    return {
        "scalars": {
            tag: [(point.step, round(point.wall_time * 1000), point.value) for point in shown.Scalars(tag)]
            for tag in shown.Tags()["scalars"]
        },
        "hparams": {
            key: getattr(value, value.WhichOneof("kind") or "")
            for key, value in (start.hparams.items() if start else ())
        },
        "status": said["session_end_info"].status if start else None,
        "text": [
            one.tensor_proto.string_val[0].decode()
            for tag in shown.Tags()["tensors"]
            for one in (shown.Tensors(tag) if plugin[tag].plugin_data.plugin_name == "text" else ())
        ],
    }  # fmt: skip


def float32(value: float) -> float:
    return struct.unpack("f", struct.pack("f", value))[0]


RUN = [
    e.RunStarted("01RUNAAA", 1000, "größter Lauf", "default", None, "fit", "sklearn", "1.9", "sklearn.X", {"team": "blue"}),
    e.ParamsLogged("01RUNAAA", {"C": 0.5, "depth": 3, "on": True, "layers": [1, 2], "none": None, "big": 10**400}),
    *(e.MetricsLogged("01RUNAAA", step, 1000 + step, {"loss": 1 / (step + 1), "val/größe": step}) for step in range(20)),
    e.MetricsLogged("01RUNAAA", 3, 1500, {"loss": 0.125}),
    e.MetricsLogged("01RUNAAA", 5, 1500, {"odd": math.nan, "up": math.inf, "huge": 1e300}),
    e.RunRecorded(
        "01CHIBBB", "01RUNAAA", "größter Lauf/0", "default", 1100, 1200, "candidate", params={"C": 1}, metrics={"score": 0.5}
    ),
    e.NoteLogged("01RUNAAA", "Only | so much\nis kept."),
    e.RunEnded("01RUNAAA", 2000, "failed", "ValueError: no"),
]  # fmt: skip


def test_a_run_is_a_folder_with_scalars_hyperparameters_and_a_text(journal: Journal, tmp_path: Path):
    """One visible whole: every point with its step and time, as float32, which TensorBoard has."""
    journal.append(RUN)
    feed(journal, tmp_path / "logs")
    logs = tmp_path / "logs"
    folders = sorted(str(file.parent.relative_to(logs)) for file in logs.rglob("events*"))
    assert folders == ["größter Lauf-runaaa", "größter Lauf/0-chibbb"]
    shown = read(logs / "größter Lauf-runaaa")
    odd = shown["scalars"].pop("odd")
    assert math.isnan(odd[0][2])
    assert shown["scalars"].pop("loss") == [
        *((step, 1000 + step, float32(1 / (step + 1))) for step in range(20)),
        (3, 1500, 0.125),
    ]
    assert shown == {
        "scalars": {
            "val/größe": [(step, 1000 + step, float(step)) for step in range(20)],
            "up": [(5, 1500, math.inf)],
            "huge": [(5, 1500, math.inf)],
        },
        "hparams": {
            "C": 0.5,
            "depth": 3.0,
            "on": True,
            "layers": "[1, 2]",
            "none": "None",
            "big": str(10**400),
        },
        "status": 2,
        "text": shown["text"],
    }
    (text,) = shown["text"]
    assert text.splitlines()[:3] == ["| | |", "|-|-|", "| experiment | default |"]
    assert "| status | failed |\n| error | ValueError: no |\n| tags.team | blue |" in text
    assert "| notes | Only \\| so much is kept. |" in text
    child = read(logs / "größter Lauf" / "0-chibbb")
    assert child["scalars"] == {"score": [(0, 1200, 0.5)]}
    assert (child["hparams"], child["status"]) == ({"C": 1.0}, 1)


@pytest.mark.parametrize("part", range(1, len(RUN), 3))
def test_events_that_are_delivered_twice_are_written_once(journal: Journal, tmp_path: Path, part: int):
    journal.append(RUN)
    feed(journal, tmp_path / "whole")
    lines = journal.path.read_bytes().splitlines(keepends=True)
    for start in (0, sum(map(len, lines[:part])), 0):
        feed(journal, tmp_path / "again", start=start)
    for name in ("größter Lauf-runaaa", "größter Lauf/0-chibbb"):
        whole, again = read(tmp_path / "whole" / name), read(tmp_path / "again" / name)
        assert repr(again) == repr(whole)


def test_a_torn_file_loses_nothing(journal: Journal, tmp_path: Path):
    """A process that was killed, or a disk that was full, leaves half a record: what it was is written anew."""
    journal.append(RUN)
    feed(journal, tmp_path / "whole")
    feed(journal, tmp_path / "torn")
    name = "größter Lauf-runaaa"
    (file,) = (tmp_path / "torn" / name).iterdir()
    file.write_bytes(file.read_bytes()[:400])
    feed(journal, tmp_path / "torn", start=0)
    assert repr(read(tmp_path / "torn" / name)) == repr(read(tmp_path / "whole" / name))


def test_many_runs_need_few_open_files(journal: Journal, tmp_path: Path):
    ids = [f"01RUN{number:03}" for number in range(100)]
    journal.append([e.RunStarted(run, 1000, f"run {run}", "default") for run in ids])
    for step in range(2):
        journal.append([e.MetricsLogged(run, step, 1000 + step, {"loss": 1.0}) for run in ids])
    sink = TensorboardSink(f"tensorboard:{tmp_path / 'logs'}")
    one = Follower(sink, journal.path, journal.store)
    while one.advance():
        pass
    assert len(sink._files) <= 32
    one.close()
    for run in ids:
        shown = read(tmp_path / "logs" / f"run {run}-{run[-6:].lower()}")
        assert shown["scalars"] == {"loss": [(0, 1000, 1.0), (1, 1001, 1.0)]}


def test_a_long_name_in_any_script_fits_into_a_folder_name(tmp_path: Path):
    sink = TensorboardSink(f"tensorboard:{tmp_path / 'logs'}")
    sink.write([e.RunStarted("01RUNAAA", 1000, "名" * 250, "default")])
    sink.close()
    assert [path.name for path in (tmp_path / "logs").iterdir()] == [f"{'名' * 33}-runaaa"]


def test_a_folder_that_cannot_be_written_is_an_error_with_its_reason(journal: Journal, tmp_path: Path):
    (tmp_path / "file").write_text("")
    journal.append(RUN)
    sink = TensorboardSink(f"tensorboard:{tmp_path / 'file' / 'logs'}")
    one = Follower(sink, journal.path, journal.store)
    with pytest.raises(SinkError, match="Not a directory"):
        one.advance()
    assert one.position == 0
    for url, why in (("tensorboard:", "needs a folder"), (f"tensorboard:{tmp_path}/file", "is a file")):
        with pytest.raises(ValueError, match=why):
            TensorboardSink(url)
