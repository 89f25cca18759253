"""Sweeps in processes: what is handed to a pool, an executor or a process is recorded there, without a change to the script."""

from __future__ import annotations

import multiprocessing
import re
from collections import Counter
from pathlib import Path

import pytest
from helpers import clean_script, script, write_script

from autolog.store.records import RunRecord, Runs, Store

METHODS = multiprocessing.get_all_start_methods()

# A module of the user's, which says nothing of autolog; `PLAIN` in the environment is the same script without it.
WORK = """
    import contextlib, os, signal, sys
    import toy

    X, y = [1.0, 2.0, 3.0], [2.0, 4.0, 6.5]

    def fit(rate):
        if rate < 0:
            raise ValueError(f"rate {rate} is below 0")
        return toy.Slope(rate, rounds=2).fit(X, y).weight

    def fit_plus(rate, more):
        return fit(rate) + more

    def killed(rate):
        toy.Slope(rate, rounds=2).fit(X, y, [Kills()])

    class Kills:
        def after_round(self, number, loss):
            import time
            time.sleep(0.5)        # longer than it takes to be written
            os.kill(os.getpid(), signal.SIGKILL)

    def caught(function, *args):
        try:
            return function(*args)
        except Exception as error:
            return type(error).__name__, str(error)

    if os.environ.get("PLAIN"):
        block = suspended = lambda *_, **__: contextlib.nullcontext()
    else:
        import autolog
        from autolog import suspended

        def block(name):
            return autolog.run(name, children=True)
"""

SWEEPS = """
    import multiprocessing, sys
    from concurrent.futures import ProcessPoolExecutor
    import work
    from work import block, caught, fit, fit_plus

    RATES = [0.1, 0.2, 0.3, 0.4]

    def of_executor(context, n):
        with ProcessPoolExecutor(n, mp_context=context) as pool:
            with block(f"{n} map"):
                print(list(pool.map(fit, RATES)))
            with block(f"{n} submit"):
                print([one.result() for one in [pool.submit(fit_plus, rate, more=1) for rate in RATES]])
            with block(f"{n} fails"):
                print([caught(one.result) for one in [pool.submit(fit, rate) for rate in (0.1, -1.0)]])

    def of_pool(context, n):
        with context.Pool(n) as pool:
            for name in ("map", "imap", "imap_unordered"):
                with block(f"{n} pool.{name}"):
                    print(sorted(getattr(pool, name)(fit, RATES)))
            with block(f"{n} chunks"):
                print(pool.map(fit, RATES, 2), list(pool.imap(fit, RATES, 3)))
            with block(f"{n} starmap"):
                print(pool.starmap(fit_plus, [(rate, 1) for rate in RATES]))
            with block(f"{n} apply"):
                print([one.get() for one in [pool.apply_async(fit, (rate,)) for rate in RATES]], pool.apply(fit, (0.5,)))

    class Own(multiprocessing.Process):
        def __init__(self, rate):
            super().__init__()
            self.rate = rate

        def run(self):
            sys.exit(0 if fit(self.rate) else 1)

    def of_processes(context, n):
        with block(f"{n} processes"):
            started = [context.Process(target=fit, args=(rate,)) for rate in RATES[:n]]
            for one in started:
                one.start()
            for one in started:
                one.join()
            print([one.exitcode for one in started], [sorted(vars(one)) for one in started][:1])

    def of_subclasses(n):
        with block(f"{n} own"):
            started = [Own(rate) for rate in RATES[:n]]
            for one in started:
                one.start()
            for one in started:
                one.join()
            print([one.exitcode for one in started])

    if __name__ == "__main__":
        multiprocessing.set_start_method(sys.argv[1])
        context = multiprocessing.get_context(sys.argv[1])
        if hasattr(work, "autolog"):
            work.autolog.autolog(silent=True)
        for n in map(int, sys.argv[2:]):
            of_executor(context, n)
            of_pool(context, n)
            of_processes(context, n)
            of_subclasses(n)
"""
TRAININGS = {
    "map": 4, "submit": 4, "fails": 1, "pool.map": 4, "pool.imap": 4, "pool.imap_unordered": 4, "chunks": 8, "starmap": 4,
    "apply": 5,
}  # fmt: skip
"""What each sweep trains; processes train as many as there are."""


@pytest.fixture
def work(tmp_path: Path) -> Path:
    write_script(WORK, tmp_path, "work.py")
    return tmp_path


def runs(folder: Path, where: str | None = None) -> Runs:
    return Store(folder / ".autolog").runs(where, order_by="started", children=True)


def children(folder: Path) -> dict[str, list[RunRecord]]:
    """The runs of each block, by its name; those that are in none are under ''."""
    found = runs(folder)
    names = {run.id: run.name for run in found if run.kind == "run"}
    by_name: dict[str, list[RunRecord]] = {name: [] for name in names.values()}
    for run in found:
        if run.kind != "run":
            by_name.setdefault(names.get(run.parent or "", ""), []).append(run)
    return by_name


def as_plain(code: str, folder: Path, *arguments: str, beneath: tuple[str, ...] = ()) -> None:
    """Run the script without autolog and with it: both print the same, and end alike."""
    plain = script(code, folder, *arguments, timeout=240, beneath=beneath, PLAIN="1")
    done = script(code, folder, *arguments, timeout=240, beneath=beneath)
    # A warning of Python 3.12 and newer about forks says the process's id.
    errors = [re.sub(r"pid=\d+", "pid=…", one.stderr) for one in (done, plain)]
    assert (done.stdout, errors[0], done.returncode) == (plain.stdout, errors[1], plain.returncode)
    assert plain.returncode == 0, plain.stderr


def check_sweeps(folder: Path, method: str, *workers: int) -> None:
    as_plain(SWEEPS, folder, method, *map(str, workers))
    expected = {f"{n} {name}": count for n in workers for name, count in TRAININGS.items()}
    expected |= {f"{n} {name}": n for n in workers for name in ("processes", "own")}
    found = children(folder)
    assert {name: len(under) for name, under in found.items()} == expected
    for under in found.values():
        assert [(run.status, len(run.history("loss")), len(run.artifacts)) for run in under] == [
            ("finished", 2, 1)
        ] * len(under)
    for n in workers:
        assert Counter(run.params["rate"] for run in found[f"{n} map"]) == Counter([0.1, 0.2, 0.3, 0.4])


@pytest.mark.parametrize("method", METHODS)
def test_every_training_of_a_sweep_is_a_child_of_its_block(work: Path, method: str) -> None:
    """Eleven ways to hand work over, the pools older than the blocks; each training complete, output and errors as without."""
    check_sweeps(work, method, 2)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_a_hundred_sweeps_are_complete(work: Path, method: str) -> None:
    """With one worker, with fewer than there is work, and as many: 33 sweeps for each way to start a process.

    Slow: some 100 processes each, which import the framework.
    """
    check_sweeps(work, method, 1, 3, 4)


ROOTS = """
    import multiprocessing
    import work
    from work import fit, suspended

    if __name__ == "__main__":
        if hasattr(work, "autolog"):
            work.autolog.autolog(experiment="night", tags={"team": "blue"})
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            print(pool.map(fit, [0.1, 0.2]))
            with suspended():
                print(pool.map(fit, [0.3, 0.4]))
            with suspended("toy"):
                print(pool.map(fit, [0.3, 0.4]))
"""


def test_without_a_block_trainings_of_workers_are_runs_of_their_own(work: Path) -> None:
    """With experiment and tags of the process that handed them over, which says how many there are. Where that is suspended,
    nothing is recorded.
    """
    done = script(ROOTS, work)
    assert (done.stderr, done.returncode) == ("autolog: 2 runs in worker processes · autolog ls\n", 0)
    assert [(run.params["rate"], run.experiment, run.tags, run.parent) for run in runs(work)] in [
        [(rate, "night", {"team": "blue"}, None) for rate in rates] for rates in ((0.1, 0.2), (0.2, 0.1))
    ]
    assert list((work / ".autolog" / "workers").iterdir()) == []


MEASURED = """
    import multiprocessing
    import work, toy

    def fit(rate):
        model = toy.Slope(rate, rounds=2).fit(work.X, work.y)
        work.autolog.last_run().log_metrics({"seen": rate})
        return model.weight

    def by_hand(rate):
        with work.block(f"rate {rate}") as run:
            run.log_metrics({"seen": rate})

    if __name__ == "__main__":
        work.autolog.autolog(silent=True)
        with work.block("sweep"), multiprocessing.get_context("fork").Pool(2) as pool:
            pool.map(fit, [0.1, 0.2])
            pool.map(by_hand, [0.3, 0.4])
        # the pool has been terminated
"""


def test_metrics_measured_after_a_training_survive_the_end_of_its_worker(work: Path) -> None:
    assert clean_script(MEASURED, work) == ""
    found = [run for run in runs(work) if run.parent]
    assert sorted((run.metrics["seen"]["last"], run.status) for run in found) == [
        (rate, "finished") for rate in (0.1, 0.2, 0.3, 0.4)
    ]


KILLED = """
    import multiprocessing, sys
    from concurrent.futures import ProcessPoolExecutor
    import work
    from work import block, caught, fit, killed

    if __name__ == "__main__":
        context = multiprocessing.get_context(sys.argv[1])
        if hasattr(work, "autolog"):
            work.autolog.autolog(silent=True)
        with block("executor"), ProcessPoolExecutor(1, mp_context=context) as pool:
            print(pool.submit(fit, 0.1).result(), caught(pool.submit(killed, 0.2).result))
            print(caught(lambda: pool.submit(fit, 0.3).result()))
        with block("process"):
            one = context.Process(target=killed, args=(0.4,))
            one.start()
            one.join()
            print(one.exitcode)
"""


@pytest.mark.parametrize("method", METHODS)
def test_the_training_of_a_killed_worker_is_lost_and_says_so(work: Path, method: str) -> None:
    """What it had trained before is complete. The pool is broken and the exit code is the same as without; nothing hangs."""
    as_plain(KILLED, work, method)
    found = children(work)
    assert {name: sorted((run.params["rate"], run.status) for run in under) for name, under in found.items()} == {
        "executor": [(0.1, "finished"), (0.2, "lost")], "process": [(0.4, "lost")],
    }  # fmt: skip
    notes = {run.name: list(run.notes) for run in runs(work) if run.kind == "run"}
    assert set(notes) == set(found)
    for texts in notes.values():
        assert [text.partition(":")[0] for text in texts] == ["1 task ended with the worker process"]


ABSENT = """
    import multiprocessing, sys
    if __name__ != "__main__":
        sys.modules["autolog"] = None      # as in an environment without it
    from concurrent.futures import ProcessPoolExecutor
    import toy

    def fit(rate):
        return toy.Slope(rate, rounds=2).fit([1.0, 2.0], [2.0, 4.0]).weight

    if __name__ == "__main__":
        import autolog
        autolog.autolog()
        context = multiprocessing.get_context("spawn")
        with autolog.run("sweep"), ProcessPoolExecutor(2, mp_context=context) as pool:
            print(list(pool.map(fit, [0.1, 0.2, 0.3])))
            one = context.Process(target=fit, args=(0.4,))
            one.start()
            one.join()
            print(one.exitcode)
"""


def test_a_worker_without_autolog_works_and_the_run_says_what_is_not_recorded(work: Path) -> None:
    done = script(ABSENT, work)
    text = "What 4 tasks trained in worker processes is not recorded: install autolog-ml in their environment, and let "
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 2
    assert done.stderr.count(text) == 1
    [sweep] = runs(work)
    assert [note.startswith(text) for note in sweep.notes] == [True]


ELSEWHERE = """
    import multiprocessing, os
    import work

    def fit(rate):
        return work.fit(rate), os.getpid() != PARENT

    PARENT = os.getpid()

    if __name__ == "__main__":
        work.autolog.autolog(silent=True)
        pool = multiprocessing.get_context("fork").Pool(1)
        for name in ("first", "second"):
            with work.block(name):
                pool.apply(fit, (0.1,))
        pool.apply(fit, (0.2,))
        with work.suspended():
            pool.apply(fit, (0.3,))
        with work.block("third"):
            results = [pool.apply_async(fit, (0.4,))]
        results[0].get()
        pool.close()
        pool.join()
"""


def test_a_pool_that_outlives_its_blocks_records_where_each_piece_of_work_belongs(work: Path) -> None:
    assert clean_script(ELSEWHERE, work) == ""
    assert {name: [run.params["rate"] for run in under] for name, under in children(work).items()} == {
        "first": [0.1], "second": [0.1], "third": [0.4], "": [0.2],
    }  # fmt: skip


NESTED = """
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
    import work

    def inner(rates):
        work.fit(rates[0])
        with ProcessPoolExecutor(1) as pool, ThreadPoolExecutor(1) as threads:
            threads.submit(work.fit, rates[1]).result()
            return pool.submit(work.fit, rates[2]).result()

    if __name__ == "__main__":
        work.autolog.autolog(silent=True)
        with work.block("sweep"), ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            pool.submit(inner, [0.1, 0.2, 0.3]).result()
"""


def test_work_that_workers_hand_on_is_recorded(work: Path) -> None:
    assert clean_script(NESTED, work) == ""
    assert sorted(run.params["rate"] for run in children(work)["sweep"]) == [0.1, 0.2, 0.3]


UNCHANGED = """
    import os, pickle, sys
    from concurrent.futures import ProcessPoolExecutor
    from contextvars import ContextVar
    import work

    value = ContextVar("value", default="")

    def get():
        return value.get()

    def put(text):
        value.set(text)

    class Shouts:
        def __call__(self, text):
            return text.upper()

    def fails(depth):
        if depth:
            return fails(depth - 1)
        raise KeyError("deep")

    if __name__ == "__main__":
        if hasattr(work, "autolog"):
            work.autolog.autolog(silent=True)
        with work.block("all"), ProcessPoolExecutor(1, initializer=put, initargs=("first",)) as pool:
            print(pool.submit(get).result(), pool.submit(Shouts(), "a").result())
            pool.submit(put, "second").result()
            print(pool.submit(get).result())
            error = pool.submit(fails, 2).exception()
            print(repr(error), str(error.__cause__).count("in fails"), "autolog" in str(error.__cause__))
            print(work.caught(pool.submit(lambda: 1).result)[0])
"""


def test_work_runs_in_workers_as_without_autolog(work: Path) -> None:
    """Its ContextVars, its traceback, objects that can be called, and what cannot be pickled."""
    as_plain(UNCHANGED, work)


IDLE = """
    import multiprocessing, sys
    import work

    def loaded(_):
        return "autolog.process" in sys.modules, type(vars(work.toy.Slope)["fit"]).__name__

    if __name__ == "__main__":
        import autolog
        context = multiprocessing.get_context("spawn")
        autolog.autolog(silent=True)
        with context.Pool(1) as pool:
            with autolog.suspended():
                print(pool.map(loaded, [1]))
            print(pool.map(loaded, [1]))
"""


def test_an_idle_worker_has_not_imported_autolog(work: Path) -> None:
    (work / "work.py").write_text("import toy\n")
    done = script(IDLE, work)
    assert (done.stdout, done.stderr) == ("[(False, 'function')]\n[(True, 'Wrapper')]\n", "")


JOBLIB = """
    import sys
    import work
    from joblib import Parallel, delayed
    from work import block, fit

    if __name__ == "__main__":
        if hasattr(work, "autolog"):
            work.autolog.autolog(silent=True)
        for backend in ("loky", "multiprocessing", "threading"):
            with block(backend):
                print(Parallel(n_jobs=2, backend=backend, pre_dispatch=2, batch_size=1)(
                    delayed(fit)(rate / 10) for rate in range(1, 7)))
        with Parallel(n_jobs=2) as parallel:
            with block("again"):
                print(parallel(delayed(fit)(rate) for rate in (0.1, 0.2)))
            with work.suspended():
                print(parallel(delayed(fit)(rate) for rate in (0.1, 0.2)))
"""


def test_joblibs_workers_record(work: Path) -> None:
    """Also what leaves later, from threads of its own; its processes live on from one call to the next."""
    pytest.importorskip("joblib")
    as_plain(JOBLIB, work)
    assert {name: sorted(run.params["rate"] for run in under) for name, under in children(work).items()} == {
        backend: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6] for backend in ("loky", "multiprocessing", "threading")
    } | {"again": [0.1, 0.2]}


DASK = """
    import dask, work
    from work import block, fit

    if __name__ == "__main__":
        if hasattr(work, "autolog"):
            work.autolog.autolog(silent=True)
        for scheduler in ("processes", "threads"):
            with block(scheduler):
                tasks = [dask.delayed(fit)(rate, dask_key_name=f"fit-{rate}") for rate in (0.1, 0.2, 0.3)]
                print(dask.compute(*tasks, scheduler=scheduler, num_workers=2))
"""


def test_dasks_local_schedulers_record(work: Path) -> None:
    pytest.importorskip("dask")
    as_plain(DASK, work)
    assert {name: sorted(run.params["rate"] for run in under) for name, under in children(work).items()} == {
        "processes": [0.1, 0.2, 0.3], "threads": [0.1, 0.2, 0.3],
    }  # fmt: skip


def test_work_that_a_framework_hands_out_makes_no_runs_of_its_own(work: Path) -> None:
    """A search's candidates are parts of the search, a function of the framework's that fits in processes trains nothing of the
    user's; what the user hands to the same pool is a run each.
    """
    pytest.importorskip("sklearn")
    code = """
        import numpy as np, work
        from joblib import Parallel, delayed
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import GridSearchCV, cross_val_score, permutation_test_score

        if __name__ == "__main__":
            if hasattr(work, "autolog"):
                work.autolog.autolog(silent=True, log_models=False)
            X, y = np.arange(40.0).reshape(20, 2) % 7, [0, 1] * 10
            with work.block("search"):
                print(GridSearchCV(LogisticRegression(), {"C": [1, 2, 3]}, n_jobs=2).fit(X, y).best_params_)
            with work.block("function"):
                print(permutation_test_score(LogisticRegression(), X, y, n_permutations=8, n_jobs=2)[0])
            with work.block("sweep"):
                fitted = Parallel(n_jobs=2)(delayed(LogisticRegression(C=C).fit)(X, y) for C in (1, 2, 3))
                print([one.C for one in fitted])
    """
    as_plain(code, work, beneath=("sklearn.linear_model", "sklearn.model_selection"))
    found = {
        name: [((run.estimator or "").rpartition(".")[2], len(run.children)) for run in under if run.parent]
        for name, under in children(work).items()
    }
    # The function's first fit, of what was not permuted, is one in this process.
    assert found == {
        "search": [("GridSearchCV", 3)], "function": [("LogisticRegression", 0)], "sweep": [("LogisticRegression", 0)] * 3,
        "": [("GridSearchCV", 0)] * 3,
    }  # fmt: skip


CLUSTER = """
    import functools, warnings
    warnings.simplefilter("ignore")
    import work
    from work import block, fit, fit_plus

    def fails(rate):
        raise KeyError(rate)

    async def waits(rate):
        return rate

    if __name__ == "__main__":
        import dask
        from distributed import Client, LocalCluster
        with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
            with Client(cluster) as client:
                if hasattr(work, "autolog"):
                    work.autolog.autolog(silent=True)
                with block("submit"):
                    futures = [client.submit(fit, rate) for rate in (0.1, 0.2)]
                    print([one.key for one in futures], client.gather(futures))
                with block("map"):
                    futures = client.map(fit_plus, [0.1, 0.2, 0.3], more=1)
                    print([one.key for one in futures], client.gather(futures))
                with block("partial"):
                    future = client.submit(functools.partial(fit_plus, more=1), 0.9)
                    print(future.key, future.result())
                with block("compute"):
                    tasks = [dask.delayed(fit)(rate, dask_key_name=f"d-{rate}") for rate in (0.4, 0.5)]
                    print(dask.compute(*tasks), client.compute(dask.delayed(fit)(0.6)).result())
                print(work.caught(client.submit(fails, 1).result), client.submit(waits, 2).result())
                with work.suspended():
                    print(client.submit(fit, 0.7).result())
                print(client.submit(fit, 0.8).result())
"""


def test_a_local_cluster_of_dasks_records(work: Path) -> None:
    """Whatever is submitted, mapped or computed, under the same keys; coroutines and errors as without. What fails, Dask logs
    with the time: that differs.
    """
    pytest.importorskip("distributed")
    plain, done = script(CLUSTER, work, PLAIN="1"), script(CLUSTER, work)
    assert (done.stdout, done.returncode) == (plain.stdout, 0), done.stderr
    assert done.stderr.count("\n") <= plain.stderr.count("\n")
    assert {name: sorted(run.params["rate"] for run in under) for name, under in children(work).items()} == {
        "submit": [0.1, 0.2], "map": [0.1, 0.2, 0.3], "partial": [0.9],
        "compute": [0.4, 0.5, 0.6], "": [0.8],
    }  # fmt: skip


SABOTAGED = """
    import os, sys
    from concurrent.futures import ProcessPoolExecutor
    import work
    from autolog import carried
    from autolog.recording import token as tokens

    def fail(*_):
        raise OSError("ours")

    if __name__ == "__main__":
        os.environ["AUTOLOG_STRICT"] = ""
        work.autolog.autolog()
        setattr(*{"here": (tokens, "travelling", fail), "there": (carried, "scope_of", fail)}[sys.argv[1]])
        with work.block("sweep"), ProcessPoolExecutor(1) as pool:
            print(list(pool.map(work.fit, [0.1, 0.2])))
"""


@pytest.mark.parametrize("where", ["here", "there"])
def test_an_error_in_autolog_costs_the_record_and_not_the_work(work: Path, where: str) -> None:
    done = script(SABOTAGED, work, where, AUTOLOG_SILENT="")
    assert (len(done.stdout.splitlines()), done.returncode) == (1, 0), done.stderr
    [sweep] = runs(work)
    if where == "here":
        assert done.stderr.count("OSError: ours") == 1
    else:
        assert sweep.notes == ["What 2 tasks trained in worker processes is not recorded: OSError: ours."]
        assert done.stderr.count("OSError: ours") == 1
