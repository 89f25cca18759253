"""A run's token carries it to other processes: what they train inside `autolog.run(…, parent=token)` is under it, in its store,
and nothing else of theirs is recorded. The work itself is handed over in `suspended()`, so that it takes nothing along (see
`test_sweeps`).
"""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import pytest
from helpers import clean_script, script, write_script

from autolog.store.records import RunRecord, Store

METHODS = multiprocessing.get_all_start_methods()

# What tasks do: a module of the user's, which the driver and the workers import.
TASKS = """
    import os, signal
    import autolog, toy

    X, y = [1.0, 2.0, 3.0], [2.0, 4.0, 6.5]

    def fit(rate):
        return toy.Slope(rate, rounds=2).fit(X, y).weight

    def task(token, rate):
        fit(rate)                                   # outside of the block: nobody asked for this one
        with autolog.run(f"rate {rate}", parent=token):
            weight = fit(rate)
        fit(rate)
        return weight

    def die_after(token, rate):
        task(token, rate)
        os.kill(os.getpid(), signal.SIGKILL)

    def die_inside(token, rate):
        with autolog.run("dies", parent=token):
            fit(rate)
            autolog.flush()
            os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    write_script(TASKS, tmp_path, "tasks.py")
    return tmp_path


def tree(folder: Path, *fields: str) -> list[tuple[RunRecord, list[tuple[Any, ...]]]]:
    """The outermost runs, each with some fields of its children, by name."""
    return [
        (run, sorted(tuple(getattr(child, field) for field in fields) for child in run.children))
        for run in Store(folder / ".autolog").runs(order_by="started")
    ]


@pytest.mark.parametrize("method", METHODS)
def test_what_workers_train_is_under_the_drivers_run(tasks: Path, method: str) -> None:
    """Workers of a pool, however they are started, are used again for further tasks; each block is a child, with what its
    training gives, and the trainings beside the blocks are nobody's.
    """
    code = f"""
        import multiprocessing, tasks, autolog
        if __name__ == "__main__":
            autolog.autolog(silent=True)
            with autolog.run("sweep", tags={{"team": "blue"}}) as run:
                with multiprocessing.get_context("{method}").Pool(2) as pool, autolog.suspended():
                    got = pool.starmap(tasks.task, [(run.token, rate) for rate in (0.1, 0.2, 0.3, 0.4)])
            autolog.disable()
            print(got == [tasks.fit(rate) for rate in (0.1, 0.2, 0.3, 0.4)])
    """
    assert clean_script(code, tasks) == "True\n"
    [(sweep, children)] = tree(tasks, "name", "status", "kind", "estimator", "experiment", "tags")
    assert (sweep.name, sweep.status, sweep.kind, sweep.params, sweep.tags) == (
        "sweep", "finished", "run", {}, {"team": "blue"},
    )  # fmt: skip
    assert children == [
        (f"rate {rate}", "finished", "fit", "toy.core.Slope", "default", {}) for rate in (0.1, 0.2, 0.3, 0.4)
    ]


def test_a_token_works_in_threads_of_the_same_process(tasks: Path) -> None:
    code = """
        from concurrent.futures import ThreadPoolExecutor
        import tasks, autolog
        pool = ThreadPoolExecutor(2)
        pool.submit(int).result()                        # its threads are older than the run
        autolog.autolog(silent=True)
        def task(token, rate):
            with autolog.run(f"rate {rate}", parent=token):
                tasks.fit(rate)
        with autolog.run("sweep", children=True) as run:
            list(pool.map(task, [run.token] * 2, [0.1, 0.2]))
            tasks.fit(0.3)
        tasks.fit(0.4)
    """
    clean_script(code, tasks)
    [(sweep, children), (alone, none)] = tree(tasks, "name", "estimator")
    assert (sweep.name, alone.params["rate"], none) == ("sweep", 0.4, [])
    assert children == [(name, "toy.core.Slope") for name in ("rate 0.1", "rate 0.2", "sweep/1")]


LOKY = """
    import joblib, tasks, autolog
    if __name__ == "__main__":
        autolog.autolog(silent=True)
        with autolog.run("sweep") as run, autolog.suspended():
            joblib.Parallel(n_jobs=2)(joblib.delayed(tasks.task)(run.token, rate) for rate in (0.1, 0.2, 0.3))
"""


def test_a_token_works_in_workers_of_joblib(tasks: Path) -> None:
    pytest.importorskip("joblib")
    clean_script(LOKY, tasks)
    [(_, children)] = tree(tasks, "name", "status")
    assert children == [(f"rate {rate}", "finished") for rate in (0.1, 0.2, 0.3)]


@pytest.mark.parametrize("death", ["die_after", "die_inside"])
def test_the_finished_runs_of_a_task_survive_the_death_of_its_process(tasks: Path, death: str) -> None:
    """Nothing lost: at the end of the block all is on the disk. Killed inside of it, the task's run is lost and says so; the
    driver's goes on.
    """
    code = f"""
        import multiprocessing, tasks, autolog
        if __name__ == "__main__":
            autolog.autolog(silent=True)
            with autolog.run("sweep", children=True) as run:
                worker = multiprocessing.get_context("spawn").Process(target=tasks.{death}, args=(run.token, 0.1))
                with autolog.suspended():
                    worker.start()
                worker.join()
                tasks.fit(0.2)
    """
    done = script(code, tasks)
    assert (done.stderr, done.returncode) == ("", 0)
    [(sweep, children)] = tree(tasks, "name", "status")
    died = ("rate 0.1", "finished") if death == "die_after" else ("dies", "lost")
    assert (sweep.status, children) == ("finished", sorted([died, ("sweep/1", "finished")]))
    task = next(child for child in sweep.children if child.name == died[0])
    assert ({**task.params}, task.metrics["loss"]["count"]) == ({"rate": 0.1, "rounds": 2}, 2)
    assert [artifact["path"] for artifact in task.artifacts] == ["weight.json"]


ELSEWHERE = """
    import subprocess, sys, tasks, autolog
    autolog.autolog(silent=True, experiment="{experiment}", sinks="jsonl:events.jsonl", log_datasets=False)
    autolog.enable("toy", {options})
    with autolog.run("sweep") as run:
        done = subprocess.run([sys.executable, "-c", {task!r}, run.token], text=True, capture_output=True)
    print(done.stdout, done.stderr, sep="", end="")
"""


def elsewhere(folder: Path, task: str, options: str = "", experiment: str = "night", **variables: str) -> str:
    """What a task prints that is a process of its own, whatever else it records."""
    code = ELSEWHERE.format(task=task, options=options, experiment=experiment)
    return clean_script(code, folder, **variables)


def test_a_task_takes_over_the_drivers_options_but_not_its_sinks(tasks: Path) -> None:
    """The driver's options and experiment hold in the task. Where its runs go on to does not travel: a URL may hold a password;
    `autolog sync` delivers them.
    """
    said = elsewhere(tasks, "import sys, tasks; tasks.task(sys.argv[1], 0.1)", "log_rounds=False")
    assert said == ""
    [(_, children)] = tree(tasks, "name", "experiment", "datasets", "metrics")
    assert children == [("rate 0.1", "night", [], {})]
    assert "rate 0.1" not in (tasks / "events.jsonl").read_text()


def test_a_task_records_no_framework_that_is_off_in_the_driver(tasks: Path) -> None:
    code = """
        import subprocess, sys, autolog
        with autolog.run("by hand") as run:
            task = "import sys, tasks; tasks.task(sys.argv[1], 0.1)"
            print(subprocess.run([sys.executable, "-c", task, run.token], text=True, capture_output=True).stderr, end="")
    """
    assert clean_script(code, tasks, AUTOLOG_SILENT="1") == ""
    [(_, children)] = tree(tasks, "name", "kind", "params")
    assert children == [("rate 0.1", "run", {})]


MOVES = """
    import os, sys
    os.environ["AUTOLOG_DIR"] = "own"
    import autolog, tasks
    autolog.autolog(silent=True)
    tasks.fit(0.7)
    tasks.task(sys.argv[1], 0.1)
    autolog.autolog()
    tasks.fit(0.8)
"""


def test_a_token_redirects_a_process_that_records_into_another_store(tasks: Path) -> None:
    """A task that has switched on for itself in a store of its own: the token says where from now on. What was recorded before
    is complete in the other store.
    """
    assert elsewhere(tasks, MOVES.replace("\n    ", "\n")) == ""
    own = Store(tasks / "own").runs(order_by="started")
    assert [(run.params["rate"], run.status) for run in own] == [(0.7, "finished"), (0.1, "finished")]
    (_, children), (later, _) = tree(tasks, "name")
    assert (children, later.params["rate"]) == ([("rate 0.1",)], 0.8)


@pytest.mark.parametrize("where", ["driver", "task"])
def test_with_autolog_disabled_on_either_side_the_work_is_done_and_not_recorded(
    tasks: Path, where: str
) -> None:
    task = "import sys, tasks; print(tasks.task(sys.argv[1], 0.1) == tasks.fit(0.1))"
    if where == "driver":
        assert elsewhere(tasks, task, AUTOLOG_DISABLED="1") == "True\n"
        assert not (tasks / ".autolog").exists()
    else:
        assert elsewhere(tasks, f"import os; os.environ['AUTOLOG_DISABLED'] = '1'; {task}") == "True\n"
        assert [children for _, children in tree(tasks)] == [[]]


def test_a_task_that_cannot_write_to_the_store_works_and_says_so_once(tasks: Path) -> None:
    task = (
        "import base64, json, sys, tasks; head, _, body = sys.argv[1].rpartition(':');"
        "said = json.loads(base64.urlsafe_b64decode(body + '==')); said['store'] = '/proc/nowhere/.autolog';"
        "token = head + ':' + base64.urlsafe_b64encode(json.dumps(said).encode()).decode();"
        "print(tasks.task(token, 0.1) == tasks.fit(0.1))"
    )
    lines = elsewhere(tasks, task).splitlines()
    assert lines[0].startswith("True")
    assert "/proc/nowhere/.autolog" in "".join(lines[1:])
    assert [children for _, children in tree(tasks)] == [[]]


def test_a_token_works_in_a_generator(tasks: Path) -> None:
    code = """
        import tasks, autolog
        autolog.autolog(silent=True)

        def batches(token):
            with autolog.run("batches", parent=token) as run:
                for number, rate in enumerate([0.1, 0.2]):
                    run.log_metrics({"seen": number})
                    yield rate

        with autolog.run("sweep") as run:
            token = run.token
        print(list(batches(token)))
    """
    assert clean_script(code, tasks) == "[0.1, 0.2]\n"
    [(_, children)] = tree(tasks, "name", "status")
    assert children == [("batches", "finished")]
