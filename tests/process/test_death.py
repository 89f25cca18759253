"""Killed in the middle: what was logged is there, and the run is known to be lost."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from helpers import environment, write_script

from autolog.store.records import Store

KILLS = int(os.environ.get("AUTOLOG_TEST_KILLS", "12"))

# Logs a point, then says that it has, and when. `stall` is the longest that the machine itself has held the process up: no
# program can write while it does not run.
LOGGER = """
    import sys, time
    import autolog
    with autolog.run(sys.argv[1]) as run:
        run.log_params({"name": sys.argv[1]})
        stall, last = 0.0, time.monotonic()
        for number in range(1_000_000):
            now = time.monotonic()
            stall, last = max(stall, now - last), now
            run.log_metrics({"m": number}, step=number)
            sys.stdout.write(f"{number} {now} {stall}\\n")
            sys.stdout.flush()
            time.sleep(0.002)
"""


def kill_while_it_logs(folder: Path, name: str, after: int) -> list[tuple[int, float, float]]:
    """Start the logger, read what it says, kill it after that many points. Returns (point, seconds before the kill, stall)."""
    process = subprocess.Popen(
        [sys.executable, str(folder / "script.py"), name],
        cwd=folder, env=environment(folder), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    lines: list[str] = []
    try:
        while len(lines) < after:
            lines.append(process.stdout.readline())
    finally:
        process.kill()
        killed = time.monotonic()
        rest = process.communicate(timeout=60)[0].splitlines(keepends=True)
    said = [line.split() for line in [*lines, *rest] if line.endswith("\n") and len(line.split()) == 3]
    return [(int(number), killed - float(at), float(stall)) for number, at, stall in said]


def content(store: Store, name: str) -> dict[str, Any]:
    """What is recorded of a killed logger."""
    run = store.get(name)
    return {
        "status": run.status, "params": run.params, "points": [point.value for point in run.history("m")],
    }  # fmt: skip


def test_whatever_is_older_than_a_fifth_of_a_second_survives_sigkill(tmp_path: Path) -> None:
    """Nothing lost: after `kill -9`, again and again into one store, every older point is there, each run is lost, and
    runs recorded before are as they were; from the index, and from one built anew.
    """
    write_script(LOGGER, tmp_path)
    chance = random.Random(0)
    store, seen = Store(tmp_path / ".autolog"), {}
    for kill in range(KILLS):
        said = kill_while_it_logs(tmp_path, f"k{kill}", chance.randint(1, 150))
        stall = said[-1][2]
        due = [float(number) for number, age, _ in said if age > 0.2 + 2 * stall]
        if due or store.runs(f"name == 'k{kill}'"):
            found = content(store, f"k{kill}")
            assert found["status"] == "lost"
            assert found["params"] == {"name": f"k{kill}"}
            assert found["points"][: len(due)] == due
            assert found["points"] == [float(number) for number in range(len(found["points"]))]
            seen[f"k{kill}"] = found
    assert len(seen) >= KILLS // 2
    for rebuild in (False, True):
        if rebuild:
            store.layout.index.unlink()
            store = Store(tmp_path / ".autolog")
        assert {name: content(store, name) for name in seen} == seen


def test_a_torn_last_line_and_rubbish_are_passed_over(tmp_path: Path) -> None:
    """Nothing lost: a journal cut anywhere gives all of its whole lines."""
    write_script(LOGGER.replace("1_000_000", "30"), tmp_path)
    subprocess.run(
        [sys.executable, "script.py", "whole"], cwd=tmp_path, env=environment(tmp_path), timeout=60,
        stdout=subprocess.DEVNULL, check=True,
    )  # fmt: skip
    (journal,) = (tmp_path / ".autolog" / "journal").iterdir()
    data = journal.read_bytes()
    lines = data.split(b"\n")
    for cut in range(0, len(data), 97):
        journal.write_bytes(data[:cut])
        (tmp_path / ".autolog" / "index.sqlite").unlink(missing_ok=True)
        whole = [line for line in lines[: data[:cut].count(b"\n")] if b'"e":"m"' in line]
        runs = Store(tmp_path / ".autolog").runs()
        assert sum(run.metrics["m"]["count"] for run in runs if run.metrics) == len(whole)


def test_sixteen_processes_log_into_one_store_at_once(tmp_path: Path) -> None:
    """Nothing lost: no lock is shared, every run is complete, while a reader reads all along."""
    code = """
        import sys, autolog, toy
        autolog.autolog(silent=True)
        name = sys.argv[1]
        toy.Slope(int(name) / 1000, 50).fit([1.0, 2.0], [2.0, 4.0])
        with autolog.run(name) as run:
            for step in range(500):
                run.log_metrics({"m": step}, step=step)
            run.log_json("j.json", {"name": name})
    """
    path = write_script(code, tmp_path)
    processes = [
        subprocess.Popen([sys.executable, str(path), str(number)], cwd=tmp_path, env=environment(tmp_path))
        for number in range(16)
    ]
    store = Store(tmp_path / ".autolog")
    while any(process.poll() is None for process in processes):
        assert all(run.status in ("running", "finished") for run in store.runs())
    assert [process.wait(60) for process in processes] == [0] * 16
    named = {run.name: run for run in store.runs("kind == 'run'")}
    fits = {run.params["rate"]: run for run in store.runs("kind == 'fit'")}
    assert sorted(named, key=int) == [str(number) for number in range(16)]
    assert sorted(fits) == [number / 1000 for number in range(16)]
    assert all(run.status == "finished" for run in (*named.values(), *fits.values()))
    assert all([p.value for p in run.history("m")] == list(range(500)) for run in named.values())
    assert all(len(run.history("loss")) == 50 for run in fits.values())
    assert all(len(run.artifacts) == 1 for run in (*named.values(), *fits.values()))


@pytest.mark.parametrize("end", ["os._exit(3)", "os.kill(os.getpid(), 15)", "os.abort()"])
def test_a_process_that_ends_without_a_word_is_lost_and_its_runs_before_are_whole(
    tmp_path: Path, end: str
) -> None:
    """Nothing lost: whatever ends the process, a finished run is finished, the one under way is lost."""
    code = f"""
        import os, autolog, toy
        autolog.autolog(silent=True)
        toy.Slope(rounds=3).fit([1.0, 2.0], [2.0, 4.0])
        class Ends:
            def after_round(self, number, loss):
                if number == 1:
                    autolog.flush(30)
                    {end}
        toy.Slope(rounds=4).fit([1.0, 2.0], [2.0, 4.0], [Ends()])
    """
    path = write_script(code, tmp_path)
    done = subprocess.run(
        [sys.executable, str(path)],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode in (3, -15, -6)
    first, second = Store(tmp_path / ".autolog").runs(order_by="started")
    assert (first.status, len(first.history("loss")), len(first.artifacts)) == ("finished", 3, 1)
    assert (second.status, len(second.history("loss")) >= 1) == ("lost", True)
