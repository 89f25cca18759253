"""Sinks that fail at random, in every way, all the time that a process trains: the training feels nothing, everything arrives
at least once and in order, and nothing grows. `AUTOLOG_SOAK=3600` says for how many seconds, by default a few.
"""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from helpers import environment, make_toy_importable, write_script
from truth import TIMEOUT

from autolog.store.records import Store

SECONDS = float(os.environ.get("AUTOLOG_SOAK", "5"))
PARTS = max(5, int(SECONDS / 300))

SCRIPT = """
    import gc, json, os, sys, threading, time, warnings
    import autolog, toy
    from sklearn.linear_model import Ridge
    autolog.autolog(silent=True, sinks=["faulty:fed", "faulty:refused?after=9"], exit_timeout=1)

    X, y = [1.0, 2.0, 3.0], [2.0, 4.0, 6.5]
    weight, coefficient = None, None
    seconds, longest, fits = float(sys.argv[1]), 0.0, 0

    def fit():
        global weight, coefficient
        found = toy.Slope(rounds=2).fit(X, y).weight
        assert found == (weight := weight or found)
        try:
            toy.Slope(rounds=2).fit(X, y[:2])
        except ValueError as error:
            assert str(error) == "3 values and 2 targets"
        else:
            assert False
        if fits % 20 == 0:
            with autolog.run("by hand", children=True) as run:
                found = Ridge().fit([[one] for one in X], y).coef_[0]
                run.log_metrics({"coefficient": found})
            assert found == (coefficient := coefficient or found)

    def state():
        autolog.flush(60)
        gc.collect()
        with open("/proc/self/statm") as file:
            pages = int(file.read().split()[1])
        kinds = [type(one) for one in gc.get_objects()]
        return {
            "fits": fits, "longest_ms": round(1000 * longest, 1), "memory": pages * os.sysconf("SC_PAGE_SIZE"),
            "files": len(os.listdir("/proc/self/fd")), "threads": len(sys._current_frames()),
            "objects": sum(str(kind.__module__).startswith("autolog") for kind in kinds),
            "sinks": [[sink.state, sink.delivered] for sink in autolog.status().sinks],
        }

    began = time.monotonic()
    for part in range(PARTS):
        while time.monotonic() < began + seconds * (part + 1) / PARTS:
            start = time.perf_counter()
            fit()
            longest, fits = max(longest, time.perf_counter() - start), fits + 1
            time.sleep(0.04)  # so that an hour's store is not too large
        print(json.dumps(state()), flush=True)
        longest = 0.0

    # On a busy machine few writes have been tried by now, and the second sink has not refused for good yet.
    while autolog.status().sinks[1].state != "backing off" and time.monotonic() < began + seconds + 60:
        fit()
        time.sleep(0.04)
    print(json.dumps(state()), flush=True)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux's /proc")
@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 300)
def test_sinks_that_fail_all_the_time_are_felt_by_nobody(tmp_path: Path) -> None:
    """Of three sinks one is fed by the training process, one refuses for good after a while, and one is followed by a process
    that is killed again and again. In the end `autolog sync` delivers what is left.

    Slow: a soak, of some seconds at least. Each kind of failure alone is in test_follower.py, and in every run.
    """
    pytest.importorskip("sklearn")
    make_toy_importable()
    path = write_script(SCRIPT.replace("PARTS", str(PARTS)), tmp_path)
    states_file = (tmp_path / "states").open("w")
    training = subprocess.Popen(
        [sys.executable, str(path), str(SECONDS)], cwd=tmp_path, env=environment(tmp_path, OMP_NUM_THREADS="1"),
        stdout=states_file, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    kills = follow_and_kill(training, tmp_path)
    stderr = training.communicate(timeout=TIMEOUT)[1]
    text = (tmp_path / "states").read_text()
    print(text, f"{kills} kills of the follower", sep="\n")  # shown when it fails, and with -s
    assert training.returncode == 0, stderr
    states: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]

    # Nothing reached the training but a calm line for each sink.
    calm = r"Delivery to faulty:\S+ fails \(.*\)\. Your training goes on, .*|Not yet delivered: .*"
    lines = stderr.splitlines()
    assert len(lines) <= 3
    assert [line for line in lines if not re.fullmatch(calm, line)] == []

    # Nothing grew.
    early, late = states[PARTS // 3], states[-1]
    assert late["threads"] == early["threads"]
    assert late["files"] <= early["files"] + 2  # a sink that answered late opened its own late
    assert late["objects"] <= early["objects"] + 30
    assert late["memory"] - early["memory"] < 3e6 + 60 * late["fits"]
    assert {run.status for run in Store(tmp_path / ".autolog").runs(children=True)} == {"finished", "failed"}

    # Everything arrived.
    assert states[-1]["sinks"][1][0] == "backing off"
    [journal] = (tmp_path / ".autolog" / "journal").iterdir()
    kept = journal.read_bytes().splitlines()
    for ledger in ("fed", "refused", "followed"):
        syncing = command(tmp_path, "sync", "--to", f"faulty:{ledger}", FAULTY_IS_WELL="1")
        said = syncing.communicate(timeout=TIMEOUT + SECONDS)
        assert syncing.returncode == 0, said
        arrived, again = read_ledger(tmp_path / ledger, kept)
        print(f"{ledger}: {arrived:,} events, {again:,} more that came again")
        assert arrived == len(kept)


def command(folder: Path, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "autolog", *arguments], cwd=folder, env=environment(folder, **variables),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def follow_and_kill(training: subprocess.Popen[str], folder: Path) -> int:
    """Follow what it records, with a process that is killed at random moments, as long as it trains. Returns how often."""
    chance, kills = random.Random(), 0
    while training.poll() is None:
        follower = command(folder, "sync", "--to", "faulty:followed", "--follow")
        end = time.monotonic() + chance.uniform(1, max(4, min(60, SECONDS / 20)))
        while training.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
        follower.kill()
        said = follower.communicate(timeout=TIMEOUT)[1]
        assert "Traceback" not in said, said
        kills += 1
    return kills


def read_ledger(path: Path, kept: list[bytes]) -> tuple[int, int]:
    """How many of the journal's lines arrived, and how many arrived again. Whatever failed, each write begins where the last
    flush ended, or again where the last write began if the flush was not heard of; and goes on in order.
    """
    began = at = flushed = lines = 0
    begins = False
    for line in path.read_bytes().splitlines():
        if line == b"#write":
            begins = True
        elif line == b"#flushed":
            flushed = max(flushed, at)
        elif line and not line.startswith(b"#"):
            where = (flushed, began) if begins else (at,)
            assert any(one.startswith(line) for start in where for one in kept[start : start + 1]), (
                line,
                where,
            )
            whole = [start for start in where if kept[start : start + 1] == [line]]
            if not whole:  # torn: something else follows
                continue
            at = whole[0]
            if begins:
                began, begins = at, False
            at, lines = at + 1, lines + 1
    return flushed, lines - flushed
