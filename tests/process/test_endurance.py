"""Nearly free, for ever: a process that trains thousands of times holds no more memory, files, threads or objects in the end
than after the first hundreds. `AUTOLOG_ENDURANCE=200000` says how many trainings, by default a few.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from helpers import clean_script

from autolog.store.records import Store

FITS = int(os.environ.get("AUTOLOG_ENDURANCE", "2000"))

SCRIPT = """
    import collections, gc, json, os, sys, time
    import autolog

    def state():
        autolog.flush(60)
        gc.collect()
        with open("/proc/self/statm") as file:
            pages = int(file.read().split()[1])
        types = [type(one) for one in gc.get_objects()]
        kinds = collections.Counter(one.__qualname__ for one in types if str(one.__module__).startswith("autolog"))
        return {
            "memory": pages * os.sysconf("SC_PAGE_SIZE"), "files": len(os.listdir("/proc/self/fd")),
            "threads": len(sys._current_frames()), "objects": sum(kinds.values()), "kinds": dict(kinds.most_common(5)),
        }

    X, y = [1.0, 2.0, 3.0], [2.0, 4.0, 6.5]
    MODEL
    autolog.autolog(silent=True, log_models=False)
    states = []
    for part in range(5):
        began = time.perf_counter()
        for number in range(FITS // 5):
            fit(number)
        seconds = time.perf_counter() - began
        states.append({**state(), "ms": round(1000 * seconds / (FITS // 5), 3)})
    print(json.dumps(states))
"""
MODELS = {
    "calls": """
    import toy
    def fit(number):
        if number % 10:
            toy.Slope(rounds=2).fit(X, y)
        else:
            with autolog.run("by hand", children=True) as run:
                toy.Slope(rounds=2).fit(X, y)
                run.log_metrics({"value": number})
            try:
                toy.Slope(rounds=2).fit(X, y[:2])
            except ValueError:
                pass
    """,
    "estimators": """
    import warnings
    from sklearn.linear_model import Ridge
    from sklearn.metrics import mean_squared_error
    rows = [[one] for one in X]
    def fit(number):
        model = Ridge(alpha=number).fit(rows, y)
        mean_squared_error(y, model.predict(rows))
    """,
}
BENEATH: dict[str, tuple[str, ...]] = {
    "calls": (),
    "estimators": ("sklearn.ensemble", "sklearn.linear_model", "sklearn.model_selection", "sklearn.pipeline"),
}


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux's /proc")
@pytest.mark.parametrize("kind", ["calls", pytest.param("estimators", marks=pytest.mark.slow)])
def test_thousands_of_trainings_leave_nothing_behind(tmp_path: Path, kind: str) -> None:
    """Memory, files, threads and objects of autolog's after the second fifth are those at the end.

    Slow: scikit-learn's estimators take ten times as long as the made-up framework's calls, and thousands of them are the
    point. The calls are in every run.
    """
    if kind == "estimators":
        pytest.importorskip("sklearn")
    code = SCRIPT.replace("MODEL", MODELS[kind].strip()).replace("FITS", str(FITS))
    printed = clean_script(
        code, tmp_path, timeout=120 + FITS / 20, beneath=BENEATH[kind], OMP_NUM_THREADS="1"
    )
    states: list[dict[str, Any]] = json.loads(printed)
    print(printed)  # shown when it fails, and with -s
    early, late = states[1], states[-1]
    assert (late["files"], late["threads"]) == (early["files"], early["threads"])
    assert late["objects"] <= early["objects"] + 20, late["kinds"]
    assert late["memory"] - early["memory"] < 3e6 + 20 * FITS
    runs = Store(tmp_path / ".autolog").runs(children=True, limit=10)
    assert {run.status for run in runs} <= {"finished", "failed"}
