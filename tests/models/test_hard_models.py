"""The promise: what stands in the script itself is saved with its model and loaded in another program; what cannot be is a
reason in the run, never an exception in the training.
"""

from __future__ import annotations

import os
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest

np = pytest.importorskip("numpy")

from helpers import write_script  # noqa: E402

from autolog.testing import fresh, recorded  # noqa: E402

X = np.random.default_rng(0).normal(size=(40, 4)).astype("float32")
Y = X.sum(axis=1)

SKLEARN = ("sklearn.ensemble", "sklearn.linear_model", "sklearn.model_selection", "sklearn.pipeline")

HARD = {
    "an estimator of a class in the script": (
        ("sklearn", "cloudpickle"),
        """
        from sklearn.base import BaseEstimator, RegressorMixin
        class Mean(RegressorMixin, BaseEstimator):
            def fit(self, X, y):
                self.mean_ = y.mean()
                return self
            def predict(self, X):
                return np.full(len(X), self.mean_)
        expected = Mean().fit(X, Y).predict(X)
        """,
    ),
    "an estimator of a class in the script, in a process that it spawns": (
        ("sklearn", "cloudpickle"),
        """
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor
        from sklearn.base import BaseEstimator, RegressorMixin
        class Mean(RegressorMixin, BaseEstimator):
            def fit(self, X, y):
                self.mean_ = y.mean()
                return self
            def predict(self, X):
                return np.full(len(X), self.mean_)
        def train():
            return Mean().fit(X, Y).predict(X)
        expected = []
        if __name__ == "__main__":
            with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
                expected = pool.submit(train).result()
        """,
    ),
    "a pipeline with a function of the script": (
        ("sklearn", "cloudpickle"),
        """
        from sklearn.linear_model import Ridge
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import FunctionTransformer
        def main():
            power = 2
            def raised(x):
                return x ** power
            return make_pipeline(FunctionTransformer(raised), FunctionTransformer(lambda x: x + 1), Ridge()).fit(X, Y)
        expected = main().predict(X)
        """,
    ),
    "XGBoost with an objective of the script": (
        ("xgboost", "sklearn"),
        """
        import xgboost
        def squared(y, p):
            return p - y, np.ones_like(y)
        expected = xgboost.XGBRegressor(n_estimators=3, objective=squared).fit(X, Y).predict(X)
        """,
    ),
    "LightGBM with an objective of the script": (
        ("lightgbm", "sklearn", "cloudpickle"),
        """
        import lightgbm
        def squared(y, p):
            return p - y, np.ones_like(y)
        how = {"n_estimators": 3, "min_child_samples": 2, "verbose": -1}
        expected = lightgbm.LGBMRegressor(objective=squared, **how).fit(X, Y).predict(X)
        """,
    ),
    "a module of the script, in a process that it spawns": (
        ("torch", "cloudpickle"),
        """
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor
        import torch
        class Net(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.layer = torch.nn.Linear(4, 1)
            def forward(self, x):
                return self.layer(x)
        def train():
            x, model = torch.from_numpy(X), Net()
            optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
            model(x).sum().backward()
            optimizer.step()
            return model(x).detach().numpy()
        expected = []
        if __name__ == "__main__":
            with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
                expected = pool.submit(train).result()
        """,
    ),
    "a module of the script with a lambda": (
        ("torch", "cloudpickle"),
        """
        import torch
        class Net(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.layer, self.after = torch.nn.Linear(4, 1), lambda x: x * 2
            def forward(self, x):
                return self.after(self.layer(x))
        net = Net()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
        for _ in range(2):
            loss = net(torch.from_numpy(X)).mean()
            optimizer.zero_grad(); loss.backward(); optimizer.step()
        autolog.disable("torch")
        expected = net(torch.from_numpy(X)).detach().numpy()
        """,
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", HARD)
def test_a_model_with_code_of_main_loads_in_another_program(what: str, tmp_path: Path, own_key: None) -> None:
    needs, body = HARD[what]
    for module in needs:
        pytest.importorskip(module)
    begin = """
        import sys, numpy as np, autolog
        autolog.autolog(silent=True)
        X = np.random.default_rng(0).normal(size=(40, 4)).astype("float32")
        Y = X.sum(axis=1)
    """
    end = """
        np.save("expected.npy", expected)
    """
    code = "\n".join(textwrap.dedent(part) for part in (begin, body, end))
    (tmp_path / "reader").mkdir()
    reading = (
        "import numpy as np, autolog\n"
        "X = np.random.default_rng(0).normal(size=(40, 4)).astype('float32')\n"
        "found = autolog.load_model('@last', as_predictor=True).predict(X)\n"
        "expected = np.load('expected.npy')\n"
        "assert np.asarray(found).tobytes() == expected.tobytes()\n"
    )
    variables = {**os.environ, "AUTOLOG_STRICT": "1", "PYTHONWARNINGS": "ignore"}
    programs = (write_script(code, tmp_path), write_script(reading, tmp_path / "reader", "reader.py"))
    for program in programs:
        done = fresh.run(
            "",
            file=str(program),
            folder=str(tmp_path),
            environment=variables,
            seconds=250,
            beneath=SKLEARN if "sklearn" in needs else needs,
        )
        printed = [line for line in done.stdout.splitlines() if not line.startswith("[LightGBM]")]
        assert (done.returncode, printed, done.stderr) == (0, [], ""), program


def test_a_model_that_cannot_be_saved_is_a_note_and_no_error(own_key: None) -> None:
    linear = pytest.importorskip("sklearn.linear_model")

    class Holding(linear.Ridge):
        def fit(self, X: Any, y: Any) -> Any:
            self.lock_ = threading.Lock()
            return super().fit(X, y)

    with recorded("sklearn") as seen:
        Holding().fit(X, Y)
        run = seen.run
    assert (run.status, run.models, run.errors) == ("finished", [], [])
    note = run.notes[-1]
    assert note.startswith("The model was not saved: ")
    assert "lock" in note
