"""A store that cannot be written: training goes on, one warning, and recording goes on when it can."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import script

from autolog.store.records import Store

TRAINING = """
    import autolog
    autolog.autolog(silent=True)
    import toy
    weights = [toy.Slope(rounds=200).fit([1.0, 2.0], [2.0, 4.0]).weight for _ in range(3)]
    with autolog.run("x") as run:
        run.log_params({f"p{number}": "x" * 500 for number in range(2000)})
        run.log_artifact(__file__)
    print(weights, autolog.flush(5))
"""
PLAIN = TRAINING.replace(
    "autolog.autolog(silent=True)", "autolog.autolog(exclude=['toy', 'sklearn'], silent=True)"
)


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[Path]:
    """A megabyte of disk of its own; needs root."""
    place = tmp_path / "small"
    place.mkdir()
    if os.geteuid() != 0 or subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True
    ).returncode:  # fmt: skip
        pytest.skip("a small file system cannot be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def expected(folder: Path) -> str:
    """The weights that the training has without autolog."""
    plain = script("import toy\n" + TRAINING.split("import toy\n")[1].split("    with")[0].replace("    ", "")
                   + "print(weights)", folder)  # fmt: skip
    assert (plain.returncode, plain.stderr) == (0, "")
    return plain.stdout.strip()


def check(done: subprocess.CompletedProcess[str], weights: str) -> None:
    """Exit code and result as without autolog, and one warning, however many things could not be written."""
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{weights} False\n"
    said = done.stderr.strip().splitlines()
    assert len(said) == 1, done.stderr
    assert said[0].startswith("Your training goes on; autolog did not record all of it (store, writing to ")


PLACES = {
    "a file in its place": lambda folder: ((folder / "file").write_text("") and None) or folder / "file",
    "below a file": lambda folder: ((folder / "file").write_text("") and None) or folder / "file" / "below",
    "in /proc": lambda folder: Path("/proc/self/autolog"),
    "in /dev/null": lambda folder: Path("/dev/null/x"),
    "a name that is too long": lambda folder: folder / ("x" * 300),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_store_that_cannot_be_made_costs_one_warning(tmp_path: Path, place: str) -> None:
    if place == "in /proc" and not os.path.isdir("/proc/self"):
        pytest.skip("no /proc")
    where = PLACES[place](tmp_path)
    check(script(TRAINING, tmp_path, AUTOLOG_DIR=str(where)), expected(tmp_path))


def test_a_store_on_a_read_only_file_system_costs_one_warning(tmp_path: Path, tmpfs: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(tmpfs)], check=True)
    check(script(TRAINING, tmp_path, AUTOLOG_DIR=str(tmpfs / "store")), expected(tmp_path))


def test_a_full_disk_costs_one_warning(tmp_path: Path, tmpfs: Path) -> None:
    (tmpfs / "ballast").write_bytes(bytes(1_000_000))
    check(script(TRAINING, tmp_path, AUTOLOG_DIR=str(tmpfs / "store")), expected(tmp_path))


def test_a_file_size_limit_costs_one_warning(tmp_path: Path) -> None:
    limit = "    import resource, signal; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
    limited = limit + "    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n" + TRAINING
    check(script(limited, tmp_path), expected(tmp_path))


def test_a_run_that_is_not_on_the_disk_is_not_announced(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code = """
        import autolog
        with autolog.run("x") as run:
            run.log_params({"a": 1})
    """
    done = script(code, tmp_path, AUTOLOG_DIR=str(tmp_path / "file"))
    warning, line = done.stderr.splitlines()
    assert warning.startswith("Your training goes on; autolog did not record all of it (store, writing to ")
    assert line == f"autolog: x · run · 1 param · 0 metrics · not yet written to {tmp_path / 'file'}"


def test_recording_goes_on_when_there_is_space_again(tmp_path: Path, tmpfs: Path) -> None:
    """Nothing lost: what could not be written waits in memory; the journal goes on in the middle of a torn line."""
    ballast = tmpfs / "ballast"
    ballast.write_bytes(bytes(1_000_000))
    code = f"""
        import os, autolog, toy
        autolog.autolog(silent=True)
        with autolog.run("before") as run:
            for step in range(2000):
                run.log_metrics({{"m": step}}, step=step)
        assert not autolog.flush(5)
        os.remove({str(ballast)!r})
        toy.Slope(rounds=3).fit([1.0, 2.0], [2.0, 4.0])
        print(autolog.flush(30))
    """
    done = script(code, tmp_path, AUTOLOG_DIR=str(tmpfs / "store"))
    assert (done.stdout, done.returncode) == ("True\n", 0), done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    before, after = Store(tmpfs / "store").runs(order_by="started")
    assert ([point.value for point in before.history("m")], before.status) == (list(range(2000)), "finished")
    assert (len(after.history("loss")), after.status) == (3, "finished")


def test_the_writer_tries_a_full_disk_again_without_a_further_event(tmp_path: Path, tmpfs: Path) -> None:
    ballast = tmpfs / "ballast"
    ballast.write_bytes(bytes(1_000_000))
    code = f"""
        import os, sys, time, autolog
        with autolog.run("x") as run:
            run.log_params({{f"p{{n}}": "x" * 500 for n in range(100)}})
        assert not autolog.flush(5)
        os.remove({str(ballast)!r})
        while not any(os.path.getsize(entry) > 50_000 for entry in os.scandir({str(tmpfs / "store" / "journal")!r})):
            time.sleep(0.05)
        os._exit(0)  # nothing is written at the exit
    """
    assert script(code, tmp_path, AUTOLOG_DIR=str(tmpfs / "store")).returncode == 0
    (run,) = Store(tmpfs / "store").runs()
    assert (len(run.params), run.status) == (100, "finished")


def test_a_store_that_is_deleted_while_runs_are_open_is_begun_again(tmp_path: Path) -> None:
    """Harmless: somebody removes `.autolog` while runs are open; one warning, and what comes after it is recorded."""
    code = """
        import shutil, autolog, toy
        autolog.autolog(silent=True)
        toy.Slope(rounds=3).fit([1.0, 2.0], [2.0, 4.0])
        with autolog.run("open") as run:
            run.log_metrics({"m": 0}, step=0)
            autolog.flush(30)
            shutil.rmtree(".autolog")
            run.log_metrics({"m": 1}, step=1)
            run.log_json("j.json", {})
        toy.Mean().fit([1.0, 2.0], [2.0, 4.0])
        print(autolog.flush(30))
    """
    done = script(code, tmp_path)
    assert (done.stdout, done.returncode) == ("True\n", 0), done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    opened, after = Store(tmp_path / ".autolog").runs(order_by="started")
    assert (opened.name, opened.status, [point.value for point in opened.history("m")]) == (
        "open",
        "finished",
        [1.0],
    )
    assert (len(opened.artifacts), after.estimator, after.status) == (1, "toy.core.Mean", "finished")


def test_the_exit_waits_no_longer_than_exit_timeout(tmp_path: Path) -> None:
    code = """
        import threading, autolog, autolog.process
        with autolog.run("x") as run:
            autolog.process.get().output.defer(lambda: threading.Event().wait() or [])
            run.log_metrics({"m": 1})
        print("done")
    """
    done = script(code, tmp_path, AUTOLOG_EXIT_TIMEOUT="0.5", timeout=40)
    assert (done.stdout, done.returncode) == ("done\n", 0), done.stderr
    (run,) = Store(tmp_path / ".autolog").runs()
    assert (run.status, run.metrics["m"]["last"]) == ("finished", 1)


def test_a_slow_disk_costs_only_points_and_the_run_says_how_many(tmp_path: Path) -> None:
    """Harmless: the caller waits once, a second at most, and not again for each point; the rest is complete."""
    code = """
        import threading, autolog, autolog.process
        from autolog.store import journal
        stuck, real = threading.Event(), journal.JournalWriter.drain
        def drain(self):
            stuck.wait(60)      # a network disk that does not answer
            real(self)
        journal.JournalWriter.drain = drain
        here = autolog.process.get_or_make()
        here.output.writer._limit = 1000
        with autolog.run("x") as run:
            for step in range(5000):
                run.log_metrics({"m": step}, step=step)
            run.log_params({"after": 1})
            stuck.set()
        print(autolog.flush(30))
    """
    done = script(code, tmp_path, timeout=50)
    assert (done.stdout, done.returncode, done.stderr) == (
        "True\n",
        0,
        "autolog: x · run · 1 param · 1 metric · autolog show x\n",
    )
    (run,) = Store(tmp_path / ".autolog").runs()
    assert (run.params, run.status) == ({"after": 1}, "finished")
    assert run.dropped + len(run.history("m")) == 5000
    assert run.dropped > 0
