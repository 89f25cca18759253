"""What the API answers, on a real server: shapes, versions, errors, files, changes."""

from __future__ import annotations

import math
import os
import struct
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from helpers import write_journal
from serving import CHILD, HOSTILE, HOSTILE_RUN, NOON, RUN, Connect, Running

from autolog.page import files
from autolog.store.layout import Layout
from autolog.store.records import Store
from autolog.tracking.events import MetricsLogged, RunStarted

FILE = f"run/{RUN}/file?path="


def hostile(text: str) -> str:
    return quote(text, safe="")


# -- what it gives


def test_runs_are_columns(shared: Running) -> None:
    found = shared.get("runs?sort=started&children=1").json
    assert (found["total"], found["offset"]) == (3, 0)
    assert found["runs"]["id"] == [RUN, CHILD, HOSTILE_RUN]
    assert found["runs"]["children"] == [1, 0, 0]
    assert found["metrics"]["val_loss"]["value"] == [0.02, None, None]
    assert found["metrics"]["odd"]["special"] == {"0": "NaN"}
    every = [*found["runs"].values(), *found["params"].values(), *found["tags"].values()]
    assert {len(column) for column in every} == {3}
    assert shared.get("runs?limit=1").json["runs"]["id"] == [HOSTILE_RUN]
    assert shared.get("runs?experiment=digits").json["total"] == 1


@pytest.mark.parametrize("name", ["name", "experiment", "framework", "kind", "estimator", "error"])
def test_hostile_names_come_back_literally(shared: Running, name: str) -> None:
    found = shared.get(f"runs?experiment={hostile(HOSTILE)}").json
    assert found["runs"][name] == [HOSTILE]


def test_hostile_keys_come_back_literally(shared: Running) -> None:
    found = shared.get(f"runs?experiment={hostile(HOSTILE)}").json
    assert found["params"] == {HOSTILE: [HOSTILE]}
    assert found["tags"] == {HOSTILE: [HOSTILE], "k": [HOSTILE]}
    assert found["metrics"][HOSTILE]["special"] == {"0": "Infinity"}
    assert shared.get(f"run/{HOSTILE_RUN}").json["params"] == {HOSTILE: HOSTILE}
    assert shared.get(f"run/{HOSTILE_RUN}/files").json[0]["path"] == HOSTILE
    assert HOSTILE in [one["name"] for one in shared.get("experiments").json]
    assert shared.get(f"verdict?metric={hostile(HOSTILE)}").json["metric"] == HOSTILE
    assert list(shared.get(f"sparks?runs={HOSTILE_RUN}&metric={hostile(HOSTILE)}").json["curves"]) == [
        HOSTILE_RUN
    ]
    assert b"<img" not in shared.ask("/").body


def test_experiments_and_verdict(shared: Running) -> None:
    [digits] = [one for one in shared.get("experiments").json if one["name"] == "digits"]
    assert (digits["runs"], digits["running"], digits["metric"], digits["best"]["name"]) == (
        1,
        0,
        "val_loss",
        "otter",
    )
    found = shared.get("verdict?experiment=digits").json
    assert found["best"] == {"id": RUN, "name": "otter", "value": 0.02, "step": 49, "steps": 49}


def test_series_are_blocks_of_doubles(shared: Running) -> None:
    answer = shared.get(f"series?runs={RUN},{CHILD}&metrics=val_loss,odd&points=10")
    assert answer.headers["content-type"] == "application/octet-stream"
    (size,) = struct.unpack("<I", answer.body[:4])
    header = msgspec.json.decode(answer.body[4 : 4 + size])
    assert [(one["metric"], one["count"], one["length"]) for one in header["series"]] == [
        ("val_loss", 50, 10),
        ("odd", 1, 1),
    ]
    start = 4 + size + header["series"][1]["offset"]
    step, epoch, time, low, high = struct.unpack("<5d", answer.body[start : start + 40])
    assert (step, time) == (50, NOON + 50)
    assert all(map(math.isnan, (epoch, low, high)))
    by_name = shared.get(f"series?runs={HOSTILE_RUN}&metric={hostile(HOSTILE)}")
    (size,) = struct.unpack("<I", by_name.body[:4])
    assert [one["metric"] for one in msgspec.json.decode(by_name.body[4 : 4 + size])["series"]] == [HOSTILE]


def test_a_run_and_its_code(shared: Running) -> None:
    found = shared.get(f"run/{RUN}").json
    assert (found["name"], found["children"], found["places"]["val_loss"]["rank"]) == ("otter", 1, 1)
    assert found["environment"]["python"] == "3.12"
    assert shared.get(f"run/{CHILD}").json["ancestors"] == [{"id": RUN, "name": "otter"}]
    code = shared.get(f"run/{RUN}/code").json
    assert code == {
        "commit": "c0ffee",
        "dirty": True,
        "diff": "+x = 1",
        "files": {"train.py": "print(1)"},
        "cells": {},
    }


# -- versions


@pytest.mark.parametrize(
    "path",
    ["runs", "experiments", "verdict", f"run/{RUN}", f"run/{RUN}/code", f"run/{RUN}/files",
     f"sparks?runs={RUN}&metric=val_loss", f"series?runs={RUN}&metrics=val_loss"],
)  # fmt: skip
def test_what_the_page_has_is_not_sent_again(page: Running, path: str) -> None:
    first = page.get(path)
    tag = first.headers["etag"]
    again = page.get(path, If_None_Match=tag)
    assert (again.status, again.body, again.headers["etag"]) == (304, b"", tag)
    page.post("change", {"runs": [RUN], "starred": True})
    changed = page.get(path, If_None_Match=tag)
    assert changed.status == 200
    assert changed.headers["etag"] != tag


def test_only_what_changed_is_sent(page: Running) -> None:
    seen = page.get("runs").json["version"]
    page.post("change", {"runs": [RUN], "name": "baseline", "tags": {"team": "blue"}})
    found = page.get(f"runs?since={seen}").json
    assert (found["runs"]["id"], found["runs"]["name"], found["tags"]) == (
        [RUN],
        ["baseline"],
        {"team": ["blue"]},
    )
    page.post("remove", {"runs": [RUN]})
    gone = page.get(f"runs?since={found['version']}&children=1").json
    assert sorted(gone["removed"]) == [RUN, CHILD]


# -- errors


def test_a_wrong_filter_says_where(shared: Running) -> None:
    for path in ("runs?q=", "verdict?q="):
        found = shared.get(path + hostile("status == 'x' and metrik.loss < 1"))
        assert found.status == 400
        assert found.json["at"] == 18
        assert "Did you mean metrics?" in found.json["error"]
    assert shared.get("runs?sort=" + hostile("nothing")).json["at"] == 0


@pytest.mark.parametrize(
    ("path", "status"),
    [("run/absent", 404), ("run/absent/code", 404), ("run/absent/files", 404), ("run/absent/file?path=x", 404),
     ("run/a.b", 422),
     ("run/..%2f..", 404), ("run/%00", 422), ("run/" + "x" * 65, 422), ("runs?limit=x", 422), ("runs?limit=-1", 422),
     ("runs?offset=-1", 422), ("runs?since=-1", 422), ("runs?since=1e400", 422), ("absent", 404), ("sparks?runs=a", 422),
     ("sparks?runs=a%00&metric=x", 400), ("series?runs=../x&metrics=y", 400), ("series?runs=a&x0=nan", 422),
     ("series?runs=" + ",".join(f"r{n}" for n in range(201)) + "&metrics=x", 400), (f"run/{RUN}/file", 422)],
)  # fmt: skip
def test_errors_have_one_shape(shared: Running, path: str, status: int) -> None:
    found = shared.get(path)
    assert found.status == status
    assert set(found.json) == {"error", "at"}
    assert isinstance(found.json["error"], str)


# -- files


def test_files_are_sent_as_nothing_that_runs(shared: Running) -> None:
    for name in ("report.html", "drawing.svg"):
        found = shared.get(FILE + name)
        assert found.headers["content-type"] == "text/plain; charset=utf-8"
        assert found.headers["content-security-policy"] == "sandbox; default-src 'none'"
        assert found.headers["x-content-type-options"] == "nosniff"
    found = shared.get(FILE + "digits.bin")
    assert found.headers["content-disposition"].startswith("attachment")
    assert found.body == bytes(range(256))
    assert shared.get(FILE + hostile("sub/a b é.txt")).body == b"text"


@pytest.mark.parametrize(
    ("asked", "status", "part"),
    [("bytes=0-9", 206, (0, 10)), ("bytes=250-", 206, (250, 256)), ("bytes=-6", 206, (250, 256)),
     ("bytes=0-999", 206, (0, 256)),
     ("bytes=-999", 206, (0, 256)), ("bytes=256-", 416, None), ("bytes=-0", 416, None), ("bytes=9-1", 200, (0, 256)),
     ("bytes=a-b", 200, (0, 256)), ("lines=0-1", 200, (0, 256)), ("bytes=0-1,3-4", 200, (0, 256)), ("bytes=", 200, (0, 256)),
     ("bytes=" + "9" * 40 + "-", 200, (0, 256))],
)  # fmt: skip
def test_parts_of_a_file(shared: Running, asked: str, status: int, part: tuple[int, int] | None) -> None:
    found = shared.get(FILE + "digits.bin", Range=asked)
    assert found.status == status
    if part is not None:
        assert found.body == bytes(range(256))[part[0] : part[1]]
        assert int(found.headers["content-length"]) == len(found.body)
    if status == 206 and part is not None:
        assert found.headers["content-range"] == f"bytes {part[0]}-{part[1] - 1}/256"


@pytest.mark.parametrize(
    "path",
    ["../secret", "..%2fsecret", "%2e%2e%2fsecret", "%252e%252e%252fsecret", "..%255csecret", "..%5csecret", "%2fetc%2fpasswd",
     "sub%2f..%2freport.html", "sub", "report.html%00", "%00", ".", "link", "link/secret", "pipe", "%c0%ae%c0%ae/secret",
     f"../{CHILD}/x", "", "report.html/"],
)  # fmt: skip
def test_no_path_leads_out(page: Running, path: str) -> None:
    layout: Layout = page.server._store.layout
    folder = layout.artifacts_of(RUN)
    (folder.parent / "secret").write_text("secret")
    (folder / "%2e%2e").mkdir()
    os.symlink(folder.parent, folder / "link")
    os.mkfifo(folder / "pipe")
    for what in ("", "&preview=1"):
        found = page.get(FILE + path + what)
        assert found.status == 404
        assert b"secret" not in found.body


def test_a_huge_file_is_refused(page: Running) -> None:
    with open(page.server._store.layout.artifacts_of(RUN) / "huge", "wb") as file:
        file.truncate(files.MOST_BYTES + 1)
    assert page.get(FILE + "huge").status == 413


def test_files_whose_folder_is_a_link_are_not_served(page: Running, tmp_path: Path) -> None:
    artifacts = page.server._store.layout.artifacts_of(CHILD)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x.txt").write_text("secret")
    os.symlink(tmp_path / "outside", artifacts)
    assert page.get(f"run/{CHILD}/file?path=x.txt").status == 404


def test_a_preview_is_data(shared: Running) -> None:
    found = shared.get(FILE + "report.html&preview=1")
    assert found.headers["content-type"] == "application/json"
    assert found.json == {"kind": "text", "bytes": 25, "cut": False, "text": "<script>alert(1)</script>"}


# -- changes


def test_changes_hold_and_are_checked(page: Running) -> None:
    tags = {"x": "1", "y": None}
    wanted = {
        "runs": [RUN, "absent", RUN],
        "name": "a",
        "description": "b",
        "starred": True,
        "archived": True,
        "tags": tags,
    }
    assert page.post("change", wanted).json == {"changed": [RUN]}
    record = Store(page.server._store.layout).get(RUN)
    assert (record.name, record.description, record.tags) == ("a", "b", {"x": "1"})
    assert record.starred
    assert record.archived
    for wrong, status in (
        ({"runs": [RUN], "name": " "}, 400), ({"runs": [RUN], "description": "x" * 200_000}, 400),
        ({"runs": [RUN], "tags": {" ": "x"}}, 400), ({"runs": [RUN], "name": 1}, 422), ({"runs": [RUN], "starred": "yes"}, 422),
        ({"runs": RUN}, 422), ({"runs": ["../x"]}, 422), ({}, 422), ([], 422), ({"runs": [], "status": "finished"}, 422),
        ("x", 422),
    ):  # fmt: skip
        found = page.post("change", wrong)
        assert (found.status, set(found.json)) == (status, {"error", "at"}), wrong
    assert (
        page.ask(
            "/api/v1/change", "POST", b'{"runs": [', Content_Type="application/json", Origin=page.origin
        ).status
        == 422
    )


def test_runs_are_removed_with_what_is_below_them(page: Running) -> None:
    assert page.post("remove", {"runs": ["absent"]}).json == {"removed": 0}
    assert page.post("remove", {"runs": [RUN]}).json == {"removed": 2}
    assert not page.server._store.layout.artifacts_of(RUN).exists()
    assert page.get("runs?children=1").json["runs"]["id"] == [HOSTILE_RUN]


def test_a_run_that_trains_is_not_removed(page: Running) -> None:
    write_journal(page.server._store.layout, [RunStarted("01JG" + "9" * 22, NOON, "busy", "digits")])
    found = page.post("remove", {"runs": ["01JG" + "9" * 22]})
    assert (found.status, found.json["error"]) == (409, "Nothing was removed. Still running: busy.")


# -- live


def received(socket: Any, kind: str) -> Any:
    while True:
        message = msgspec.json.decode(socket.recv(timeout=10))
        if message["type"] == kind:
            return message


def test_the_page_hears_of_changes_and_points(page: Running, connect: Connect) -> None:
    with connect(page) as one, connect(page) as other:
        hello = received(one, "hello")
        assert hello["version"] == page.get("runs").json["version"]
        assert received(other, "hello")["started"] == hello["started"]
        one.send(msgspec.json.encode({"watch": [[RUN, "val_loss", 48]]}).decode())
        points = received(one, "points")
        assert (points["run"], points["metric"], points["from"]) == (RUN, "val_loss", 48)
        assert points["points"] == [[48, 4.8, NOON + 48, 1 / 49], [49, 4.9, NOON + 49, 1 / 50]]
        write_journal(page.server._store.layout, [MetricsLogged(RUN, 60, NOON + 60, {"val_loss": math.nan})])
        assert received(one, "points")["points"] == [[60, None, NOON + 60, None]]
        assert received(other, "changed")["version"] > hello["version"]


@pytest.mark.parametrize(
    "message", ["{", "[]", '{"watch": 1}', '{"watch": [["a"]]}', '{"watch": [["../x", "m", 0]]}', '{"watch": [["a", "m", -1]]}',
                '{"watch": [["a", 1, 0]]}', b"\x00", "[" * 5000, '{"watch": [' + ",".join(['["a", "b", 0]'] * 501) + "]}"],
)  # fmt: skip
def test_what_is_not_understood_ends_the_connection(
    shared: Running, connect: Connect, message: str | bytes
) -> None:
    from websockets.exceptions import ConnectionClosed

    with connect(shared) as socket:
        received(socket, "hello")
        socket.send(message)
        with pytest.raises(ConnectionClosed):
            received(socket, "nothing")
    assert shared.get("runs").status == 200


def test_a_page_that_leaves_is_forgotten(page: Running, connect: Connect) -> None:
    for _ in range(5):
        with connect(page) as socket:
            received(socket, "hello")
    with connect(page) as socket:
        received(socket, "hello")
        page.post("change", {"runs": [RUN], "starred": True})
        received(socket, "changed")
