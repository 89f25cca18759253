"""Worker processes: spawned, forked, of pools and of joblib. One training is one run, wherever its parts are fitted."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
from helpers import clean_script, script, write_script

from autolog.store.records import Store

SKLEARN = ("sklearn.ensemble", "sklearn.linear_model", "sklearn.model_selection", "sklearn.pipeline")
METHODS = multiprocessing.get_all_start_methods()


def store(folder: Path) -> Store:
    return Store(folder / ".autolog")


TRAINER = """
    import autolog
    autolog.autolog(silent=True)   # at the top of a module, as in a script without a main guard
    import toy

    def work(rate):
        return toy.Slope(rate).fit([1.0, 2.0], [2.0, 4.0]).weight

    def own(rate):
        autolog.autolog(silent=True)
        return work(rate)
"""


@pytest.mark.parametrize("method", METHODS)
def test_autolog_at_the_top_of_a_module_does_nothing_in_a_worker(tmp_path: Path, method: str) -> None:
    """It is imported again in a spawned worker, where `autolog()` does nothing: what is recorded there is work that is handed
    over, here none.
    """
    write_script(TRAINER, tmp_path, "trainer.py")
    code = f"""
        import multiprocessing, trainer
        if __name__ == "__main__":
            with multiprocessing.get_context("{method}").Pool(2) as pool:
                with trainer.autolog.suspended():
                    got = pool.map(trainer.work, [0.1, 0.2])
                print(got == [trainer.work(0.1), trainer.work(0.2)])
    """
    assert clean_script(code, tmp_path) == "True\n"
    assert [run.params["rate"] for run in store(tmp_path).runs(order_by="started")] == [0.1, 0.2]


@pytest.mark.parametrize("method", METHODS)
def test_a_worker_that_switches_on_in_a_function_records(tmp_path: Path, method: str) -> None:
    """`autolog()` in the function that runs in the worker is meant for the worker; its runs survive the pool's end."""
    write_script(TRAINER, tmp_path, "trainer.py")
    code = f"""
        import multiprocessing, trainer
        if __name__ == "__main__":
            pool = multiprocessing.get_context("{method}").Pool(2)
            pool.map(trainer.own, [0.1, 0.2, 0.3])
            pool.close()
            pool.join()
    """
    clean_script(code, tmp_path)
    runs = store(tmp_path).runs()
    assert sorted((run.params["rate"], run.status) for run in runs) == [
        (r, "finished") for r in (0.1, 0.2, 0.3)
    ]


def test_autolog_children_makes_spawned_workers_record(tmp_path: Path) -> None:
    write_script(TRAINER, tmp_path, "trainer.py")
    code = """
        import multiprocessing, trainer
        if __name__ == "__main__":
            process = multiprocessing.get_context("spawn").Process(target=trainer.work, args=(0.3,))
            process.start()
            process.join()
            print(process.exitcode)
    """
    done = script(code, tmp_path, AUTOLOG_CHILDREN="1")
    assert (done.stdout, done.stderr) == ("0\n", "")
    (run,) = store(tmp_path).runs()
    assert (run.params["rate"], run.status) == (0.3, "finished")


def test_terminate_of_a_pool_leaves_finished_runs_complete(tmp_path: Path) -> None:
    write_script(TRAINER, tmp_path, "trainer.py")
    code = """
        import multiprocessing, trainer
        if __name__ == "__main__":
            with multiprocessing.get_context("fork").Pool(2) as pool:
                pool.map(trainer.own, [0.1, 0.2])
                pool.map_async(trainer.own, [0.3] * 1000)
            trainer.work(0.4)
    """
    clean_script(code, tmp_path)
    recorded = {run.params["rate"] for run in store(tmp_path).runs("status == 'finished'")}
    assert {0.1, 0.2, 0.4} <= recorded


JOBLIB = """
    import json, sys, warnings
    import autolog
    autolog.autolog(silent=True)
    import joblib, numpy as np
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.ensemble import (BaggingClassifier, RandomForestClassifier, StackingClassifier, VotingClassifier)
    from sklearn.experimental import enable_halving_search_cv
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, RandomizedSearchCV, cross_validate
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.multioutput import MultiOutputClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.tree import DecisionTreeClassifier

    X = np.random.RandomState(0).normal(size=(90, 3))
    y = (X[:, 0] + 0.3 * X[:, 1] > 0).astype(int)
    linear, tree = LogisticRegression(), DecisionTreeClassifier(max_depth=2, random_state=0)
    pipeline = make_pipeline(StandardScaler(), linear)
    two = [("a", linear), ("b", tree)]
    grid = {"max_depth": [1, 2, 3]}
    trainings = {
        "grid": lambda: GridSearchCV(tree, grid, cv=2, n_jobs=2).fit(X, y),
        "pipeline in grid": lambda: GridSearchCV(pipeline, {"logisticregression__C": [1, 2]}, cv=2, n_jobs=2).fit(X, y),
        "random": lambda: RandomizedSearchCV(tree, grid, n_iter=2, random_state=0, cv=2, n_jobs=2).fit(X, y),
        "halving": lambda: HalvingGridSearchCV(tree, grid, cv=2, random_state=0, n_jobs=2).fit(X, y),
        "voting": lambda: VotingClassifier(two, n_jobs=2).fit(X, y),
        "stacking": lambda: StackingClassifier(two, cv=2, n_jobs=2).fit(X, y),
        "bagging": lambda: BaggingClassifier(tree, 4, random_state=0, n_jobs=2).fit(X, y),
        "forest": lambda: RandomForestClassifier(4, random_state=0, n_jobs=2).fit(X, y),
        "one against rest": lambda: OneVsRestClassifier(linear, n_jobs=2).fit(X, y + (X[:, 2] > 0)),
        "multi-output": lambda: MultiOutputClassifier(tree, n_jobs=2).fit(X, np.c_[y, 1 - y]),
        "calibrated": lambda: CalibratedClassifierCV(tree, cv=2, n_jobs=2).fit(X, y),
        "cross_validate": lambda: cross_validate(pipeline, X, y, cv=2, n_jobs=2),
    }
    if sys.argv[1] == "multiprocessing":
        del trainings["calibrated"]  # passes a module to its workers, which only loky's pickler takes
    if __name__ == "__main__":
        seen = {}
        with joblib.parallel_config(sys.argv[1], **({} if sys.argv[1] == "sequential" else {"n_jobs": 2})):
            for name, train in trainings.items():
                before = len(autolog.runs())
                train()
                runs = autolog.runs()
                new = runs[: len(runs) - before]
                seen[name] = [(run.status, run.kind) for run in new]
        assert all(run.status == "finished" and not run.errors for run in autolog.runs(children=True))
        print(json.dumps(seen))
"""
KINDS = {
    "grid": "search", "pipeline in grid": "search", "random": "search", "halving": "search", "voting": "fit", "stacking": "fit",
    "bagging": "fit", "forest": "fit", "one against rest": "fit", "multi-output": "fit", "calibrated": "fit",
    "cross_validate": "cv",
}  # fmt: skip


@pytest.mark.parametrize("backend", ["sequential", "threading", "loky", "multiprocessing"])
def test_a_parallel_training_is_one_run(tmp_path: Path, backend: str) -> None:
    """Searches, ensembles, resampling: exactly one root run each, under every backend of joblib."""
    import json

    pytest.importorskip("sklearn")
    done = script(JOBLIB, tmp_path, backend, timeout=150, beneath=SKLEARN)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    seen = json.loads(done.stdout)
    assert seen == {name: [["finished", KINDS[name]]] for name in seen}
    assert len(seen) >= 11


def test_joblibs_own_calls_of_fit_work_under_every_backend(tmp_path: Path) -> None:
    """`delayed(est.fit)` and `delayed(metric)` travel to loky's workers and give what they give here."""
    pytest.importorskip("sklearn")
    code = """
        import autolog
        autolog.autolog(silent=True)
        from joblib import Parallel, delayed
        from sklearn.linear_model import LogisticRegression
        from sklearn.metrics import accuracy_score, f1_score, make_scorer
        X, y = [[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1]
        if __name__ == "__main__":
            for backend in ("loky", "multiprocessing", "threading"):
                parallel = Parallel(n_jobs=2, backend=backend)
                fitted = parallel(delayed(LogisticRegression(C=C).fit)(X, y) for C in (1, 2))
                assert parallel(delayed(one.predict)(X) for one in fitted)[0].tolist() == y
                assert parallel(delayed(accuracy_score)(y, y) for _ in range(2)) == [1.0, 1.0]
                assert parallel(delayed(make_scorer(f1_score))(one, X, y) for one in fitted) == [1.0, 1.0]
            print("done")
    """
    done = script(code, tmp_path, timeout=100, beneath=SKLEARN)
    assert (done.stdout, done.returncode) == ("done\n", 0), done.stderr
