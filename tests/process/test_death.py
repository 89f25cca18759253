"""Killed in the middle: what was logged is there, and the run is known to be lost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from helpers import environment, running, script, write_script

import autolog
from autolog.store.records import Store

KILLS = int(os.environ.get("AUTOLOG_TEST_KILLS", "12"))
PROCESSES = int(os.environ.get("AUTOLOG_TEST_PROCESSES", "16"))

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
    with running(LOGGER, folder, name) as process:
        lines = [process.stdout.readline() for _ in range(after)]
        process.kill()
        killed = time.monotonic()
        rest = process.stdout.readlines()
    said = [line.split() for line in [*lines, *rest] if line.endswith("\n") and len(line.split()) == 3]
    return [(int(number), killed - float(at), float(stall)) for number, at, stall in said]


def content(store: Store, name: str) -> dict[str, Any]:
    """What is recorded of a killed logger."""
    run = store.get(name)
    return {
        "status": run.status, "params": run.params, "points": [point.value for point in run.history("m")],
    }  # fmt: skip


def test_points_older_than_a_fifth_of_a_second_survive_sigkill(tmp_path: Path) -> None:
    """Nothing lost: after `kill -9`, again and again into one store, every older point is there, each run is lost, and
    runs recorded before are as they were; from the index, and from one built anew.
    """
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


# Forks a process for each line that it reads, as importing takes long. That one ends one run after the other, each with a
# model, files and metrics, and says what is finished once `flush` has said so.
FINISHER = """
    import os, sys, autolog
    from sklearn.linear_model import Ridge

    def finish_runs(name, count):
        autolog.autolog(silent=True)
        print("begin", os.getpid(), flush=True)
        for number in range(count):
            with autolog.run(f"{name}-{number}", children=True) as run:
                Ridge(alpha=number / 8).fit([[1.0], [2.0], [4.0]], [2.0, 4.0, 5.0])
                for step in range(20):
                    run.log_metrics({"m": step}, step=step)
                run.log_json("big.json", {"text": "x" * 20_000})
            if number % 2 and autolog.flush(30):
                print(number, flush=True)
        print("end", flush=True)

    while line := sys.stdin.readline():
        child = os.fork()
        if not child:
            name, count = line.split()
            finish_runs(name, int(count))
            sys.exit()
        os.waitpid(child, 0)
        print("over", flush=True)
"""


@pytest.mark.timeout(600 + 10 * KILLS)
def test_flushed_runs_are_complete_though_the_process_is_killed_while_it_writes_models(
    tmp_path: Path,
) -> None:
    """Nothing lost and nothing half: while models and files are written, events are flushed, the process exits, and readers
    make the index. A model's folder is there as a whole, and loads, or is not there; whatever was said to be flushed is whole.
    """
    pytest.importorskip("sklearn")
    chance = random.Random()
    store, whole, length, ends = Store(tmp_path / ".autolog"), 0, 0.2, 0
    with running(FINISHER, tmp_path, OMP_NUM_THREADS="1") as finisher:
        for kill in range(KILLS):
            finisher.stdin.write(f"k{kill} {chance.randint(2, 12)}\n")
            finisher.stdin.flush()
            begin, pid = finisher.stdout.readline().split()
            assert begin == "begin"
            reader = None
            if kill % 4 == 0:  # one that is killed while it makes the index, too
                command = [sys.executable, "-m", "autolog", "ls", "--json"]
                reader = subprocess.Popen(
                    command, cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.DEVNULL
                )
            # Half of them have flushed something, however slow the machine.
            early = [finisher.stdout.readline()] if kill % 2 else []
            time.sleep(chance.uniform(0, length))
            with suppress(ProcessLookupError):  # it has ended
                os.kill(int(pid), signal.SIGKILL)
            said = [*early, *iter(finisher.stdout.readline, "over\n")]
            ends += "end\n" in said
            length *= 0.8 if "end\n" in said else 1.1  # so that some are killed while they exit
            if reader is not None:
                reader.kill()
                reader.wait()
            whole += check_ends(store, f"k{kill}", [int(line) for line in said if line != "end\n"])
    print(f"{KILLS} kills: {ends} after the last run, {whole} runs flushed and whole")
    assert whole > 0


def check_ends(store: Store, name: str, flushed: list[int]) -> int:
    """Read what a killed finisher has left. Returns how many of its runs are whole."""
    runs = {run.name: run for run in store.runs(f"'{name}-' in name and kind == 'run'")}
    last = max(flushed, default=-1)
    assert {f"{name}-{number}" for number in range(last + 1)} <= runs.keys()
    whole = 0
    for run in runs.values():
        number = int(run.name.rpartition("-")[2])
        assert run.status in ("finished", "lost")
        points = [point.value for point in run.history("m")] if run.metrics else []
        assert points == [float(step) for step in range(len(points))]
        fits = run.children
        if number <= last:
            assert (run.status, len(points), [fit.status for fit in fits]) == ("finished", 20, ["finished"])
            assert [file["path"] for file in run.artifacts] == ["big.json"]
            assert fits[0].models
            whole += 1
        for file in run.artifacts:
            assert (run.folder / str(file["path"])).stat().st_size == file["bytes"]
        for fit in fits:
            for model in fit.models:
                assert fit.model(str(model["path"]), trust=True).alpha == number / 8
            if (fit.folder / "model").exists():  # though the journal may not yet speak of it
                assert autolog.load_model(fit.folder / "model", trust=True).alpha == number / 8
    return whole


def test_all_whole_lines_of_a_truncated_journal_are_read(tmp_path: Path) -> None:
    assert script(LOGGER.replace("1_000_000", "30"), tmp_path, "whole").returncode == 0
    (journal,) = (tmp_path / ".autolog" / "journal").iterdir()
    data = journal.read_bytes()
    lines = data.split(b"\n")
    for cut in range(0, len(data), 97):
        journal.write_bytes(data[:cut])
        (tmp_path / ".autolog" / "index.sqlite").unlink(missing_ok=True)
        whole = [line for line in lines[: data[:cut].count(b"\n")] if b'"e":"m"' in line]
        runs = Store(tmp_path / ".autolog").runs()
        assert sum(run.metrics["m"]["count"] for run in runs if run.metrics) == len(whole)


@pytest.mark.timeout(300 + 10 * PROCESSES)
def test_many_processes_log_into_one_store_at_once(tmp_path: Path) -> None:
    """Nothing lost: no lock is shared, every run is complete, while a reader reads all along. `AUTOLOG_TEST_PROCESSES=100`
    says of how many.
    """
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
        for number in range(PROCESSES)
    ]
    store = Store(tmp_path / ".autolog")
    while any(process.poll() is None for process in processes):
        assert all(run.status in ("running", "finished") for run in store.runs())
    assert [process.wait(60 + 5 * PROCESSES) for process in processes] == [0] * PROCESSES
    named = {run.name: run for run in store.runs("kind == 'run'")}
    fits = {run.params["rate"]: run for run in store.runs("kind == 'fit'")}
    assert sorted(named, key=int) == [str(number) for number in range(PROCESSES)]
    assert sorted(fits) == [number / 1000 for number in range(PROCESSES)]
    assert all(run.status == "finished" for run in (*named.values(), *fits.values()))
    assert all([p.value for p in run.history("m")] == list(range(500)) for run in named.values())
    assert all(len(run.history("loss")) == 50 for run in fits.values())
    assert all(len(run.artifacts) == 1 for run in (*named.values(), *fits.values()))


@pytest.mark.parametrize("end", ["os._exit(3)", "os.kill(os.getpid(), 15)", "os.abort()"])
def test_a_run_is_lost_when_its_process_dies_and_earlier_runs_are_complete(tmp_path: Path, end: str) -> None:
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
    assert script(code, tmp_path).returncode in (3, -15, -6)
    first, second = Store(tmp_path / ".autolog").runs(order_by="started")
    assert (first.status, len(first.history("loss")), len(first.artifacts)) == ("finished", 3, 1)
    assert (second.status, len(second.history("loss")) >= 1) == ("lost", True)
