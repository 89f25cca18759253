"""A forked child neither hangs nor writes into its parent's store; when it calls `autolog()` itself, it records for itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers import clean_script

from autolog.store import journal as journals
from autolog.store.records import Store

# `child(work)` forks: the child does `work`, leaves, and is killed by an alarm if it hangs; the parent waits for it.
START = """
    import os, signal, sys, threading
    import autolog, toy

    X, y = [1.0, 2.0, 3.0], [2.0, 4.0, 6.5]
    parent = os.getpid()

    def child(work=lambda: None, leave=os._exit):
        sys.stdout.flush()
        pid = os.fork()
        if not pid:
            signal.alarm(30)
            work()
            leave(0)
        _, status = os.waitpid(pid, 0)
        assert status == 0, status

    def fit(**how):
        return toy.Slope(rounds=3).fit(X, y, **how)

    class Forks:
        '''A callback of the user's.'''
        def __init__(self, what): self.what = what
        def after_round(self, number, loss):
            if number == 1 and os.getpid() == parent: self.what()

    autolog.autolog(silent=True)
"""


def runs(folder: Path) -> list[tuple[Any, ...]]:
    """(status, number of loss points, has a parent) of each run, in their order; one journal a process."""
    store = Store(folder / ".autolog")
    return [
        (run.status, run.metrics.get("loss", {}).get("count", 0), run.parent is not None)
        for run in store.runs(children=True, order_by="started")
    ]


def journal_files(folder: Path) -> list[Path]:
    return sorted((folder / ".autolog" / "journal").iterdir())


# Where the script has threads of its own, Python 3.12 warns of the fork with and without autolog.
WARNED = {"PYTHONWARNINGS": "ignore::DeprecationWarning"}

WHERE = {
    "in a fit": "fit(callbacks=[Forks(lambda: child(WORK))])",
    "between fits": "fit(); child(WORK)",
    "before the first fit": "child(WORK); fit()",
    "in a run": "with autolog.run('x'): fit(); child(WORK)",
    "in a run of children": "with autolog.run('x', children=True): child(WORK); fit()",
    "in a search": "toy.tune(type('F', (toy.Mean,), {'fit': lambda m, *d: child(WORK) or toy.Mean.fit(m, *d)}), [0.1], X, y)",
    "from a thread": "t = threading.Thread(target=lambda: fit(callbacks=[Forks(lambda: child(WORK))])); t.start(); t.join()",
}


def own_threads(where: str) -> dict[str, str]:
    return WARNED if "thread" in where else {}


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("leave", ["os._exit", "sys.exit"])
def test_a_child_that_trains_writes_nothing_and_does_not_hang(tmp_path: Path, where: str, leave: str) -> None:
    work = f"lambda: (fit(), autolog.flush(), autolog.last_run() and autolog.last_run().log_params({{'a': 1}}), {leave}(0))"
    plain, forked = tmp_path / "plain", tmp_path / "forked"
    for folder, code in ((plain, WHERE[where].replace("child(WORK)", "None")), (forked, WHERE[where])):
        folder.mkdir()
        if "sys.exit" in leave:
            code = (
                f"try:\n        {code}\n    except SystemExit:\n        assert os.getpid() != parent; raise"
            )
        clean_script(START + "\n    " + code.replace("WORK", work), folder, **own_threads(where))
    assert runs(forked) == runs(plain)
    assert len(journal_files(forked)) == 1


@pytest.mark.parametrize("where", WHERE)
def test_a_forked_child_that_calls_autolog_has_a_journal_of_its_own(tmp_path: Path, where: str) -> None:
    work = "lambda: (autolog.autolog(), fit(), autolog.flush(30))"
    code = START + "\n    " + WHERE[where].replace("WORK", work) + "; print(parent)"
    printed = clean_script(code, tmp_path, **own_threads(where))
    assert sorted(status for status, _, _ in runs(tmp_path)) == ["finished"] * len(runs(tmp_path))
    parents, child = sorted(
        journal_files(tmp_path), key=lambda file: next(iter(_events(file))).pid != int(printed)
    )
    begun = [event.run for event in _events(child) if type(event).__name__ == "RunStarted"]
    assert len(begun) == 1
    assert {event.run for event in _events(child) if hasattr(event, "run")} == set(begun)
    assert begun[0] not in {event.run for event in _events(parents) if hasattr(event, "run")}
    (own,) = [run for run in Store(tmp_path / ".autolog").runs(children=True) if run.id == begun[0]]
    assert (own.metrics["loss"]["count"], own.parent is not None) == (3, where.startswith("in a run"))


def _events(path: Path) -> list[Any]:
    return [event for _, _, event in journals.read_from(path, 0)]


def test_a_child_that_calls_autolog_inside_a_fit_leaves_the_parents_run_alone(tmp_path: Path) -> None:
    """The fit that both are in ends in both; only the parent's end is the run's, and what the child logs on it goes nowhere."""
    code = """
    forked = []
    def fork():
        pid = os.fork()
        if pid:
            forked.append(os.waitpid(pid, 0)[1])
        else:
            signal.alarm(30)
            autolog.autolog()
    fit(callbacks=[Forks(fork)])
    if os.getpid() != parent:
        assert autolog.last_run() is None or autolog.last_run().log_metrics({"loss": 1.0}) is None
        autolog.flush(30)
        os._exit(0)
    assert forked == [0]
    """
    clean_script(START + code, tmp_path)
    assert runs(tmp_path) == [("finished", 3, False)]


def test_children_forked_while_other_threads_log_do_not_hang(tmp_path: Path) -> None:
    code = """
    going = True
    def log():
        with autolog.run("log") as run:
            while going:
                run.log_metrics({"m": 1.0})
    threads = [threading.Thread(target=log) for _ in range(2)]
    for thread in threads: thread.start()
    for number in range(40):
        child(lambda: (fit(), autolog.flush(), autolog.autolog() if number % 2 else None, fit(), autolog.flush(30)))
    going = False
    for thread in threads: thread.join()
    """
    clean_script(START + code, tmp_path, timeout=120, **WARNED)
    assert [run for run in runs(tmp_path) if run[1]] == [("finished", 3, False)] * 20


def test_python_warns_of_a_fork_only_where_it_does_without_autolog(tmp_path: Path) -> None:
    """Transparent: Python 3.12 warns of a fork beside other threads; ours are not there then, all is on the disk, and they are
    back for the next thing to record. Older Pythons do not warn, and the threads stay the ones they were.
    """
    code = """
    import sys, warnings
    from autolog import process
    warnings.simplefilter("error")
    warns = sys.version_info >= (3, 12)
    def names(): return process.get().output.writer.threads.names
    with autolog.run("x") as run:
        before, threads = names(), set(sys._current_frames())
        for number in range(200):
            run.log_metrics({"m": number}, step=number)
            run.log_json(f"{number}.json", {})
            child()
        assert names() == [] or not warns
        run.log_metrics({"m": 200}, step=200)
        assert warns or set(sys._current_frames()) <= threads
        assert names() == [name for name in before if name in names()]
        assert names()[-2:] == ["autolog-files", "autolog-journal"]
    """
    clean_script(START + code, tmp_path, timeout=120)
    (run,) = Store(tmp_path / ".autolog").runs()
    assert [point.value for point in run.history("m")] == list(range(201))
    assert (len(run.artifacts), bool(run.environment)) == (200, True)


def test_the_first_autolog_call_may_come_in_a_forked_child(tmp_path: Path) -> None:
    code = START.replace("autolog.autolog(silent=True)", "")
    code += "\n    child(lambda: (autolog.autolog(silent=True), fit()), sys.exit)"
    code = code.replace("child(lambda", "child(leave=sys.exit, work=lambda").replace(", sys.exit)", ")")
    clean_script(code, tmp_path)
    assert runs(tmp_path) == [("finished", 3, False)]


AGAIN = "child(lambda: (autolog.autolog(silent=True), fit(), autolog.flush(30)))"


@pytest.mark.parametrize(
    "code",
    [
        f"autolog.disable('toy'); {AGAIN}",
        f"with autolog.suspended(): {AGAIN}",
        f"with autolog.suspended('toy'): {AGAIN}",
        f"fit(callbacks=[Forks(lambda: autolog.suspended().__enter__() or {AGAIN})])",
    ],
)
def test_what_is_off_in_the_parent_stays_off_in_a_child_that_calls_autolog(tmp_path: Path, code: str) -> None:
    clean_script(START + f"    {code}\n", tmp_path, **WARNED)
    assert runs(tmp_path) == ([("finished", 3, False)] if "Forks" in code else [])


def test_a_child_forked_by_a_thread_of_a_fit_can_record(tmp_path: Path) -> None:
    code = f"""
    def forks():
        thread = threading.Thread(target=lambda: {AGAIN})
        thread.start()
        thread.join()
    fit(callbacks=[Forks(forks)])
"""
    clean_script(START + code, tmp_path, **WARNED)
    assert sorted(runs(tmp_path)) == [("finished", 3, False)] * 2
