"""The promise: a model of classes in the user's own modules is complete. It loads where those modules are not."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from helpers import files_below, script

import autolog
from autolog import UntrustedModel
from autolog.models import code

TOOLS = {
    "tools/__init__.py": "",
    "tools/arithmetic.py": "import settings\n\n\ndef twice(x):\n    return x * settings.FACTOR\n",
    "tools/inner/deep.py": "DEEP = True\n",
    "settings.py": "FACTOR = 2\n",
    "unused.py": "raise RuntimeError('nobody imports this')\n",
}
"""A package, a module that it imports, and one that nothing needs."""
KEPT = ["settings.py", "tools/__init__.py", "tools/arithmetic.py", "tools/inner/deep.py"]

PARTS = {
    "sklearn": """
        from sklearn.base import BaseEstimator, TransformerMixin
        from tools.arithmetic import twice

        class Twice(TransformerMixin, BaseEstimator):
            def fit(self, X, y=None):
                return self

            def transform(self, X):
                return twice(X)
        """,
    "torch": """
        import torch
        from tools.arithmetic import twice

        class Net(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.inner = torch.nn.Linear(2, 1)

            def forward(self, x):
                return twice(self.inner(x))
        """,
    "keras": """
        import keras
        from tools.arithmetic import twice

        class Twice(keras.layers.Layer):
            def call(self, x):
                return twice(x)
        """,
}
TRAINING = {
    "sklearn": """
        from sklearn.linear_model import Ridge
        from sklearn.pipeline import make_pipeline

        from parts import Twice

        model = make_pipeline(Twice(), Ridge()).fit(X, y)
        predicted = model.predict(X)
        """,
    "torch": """
        import torch

        from parts import Net

        model = Net()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        data, target = torch.tensor(X, dtype=torch.float32), torch.tensor(y, dtype=torch.float32)
        for epoch in range(3):
            optimizer.zero_grad()
            loss = torch.nn.functional.mse_loss(model(data)[:, 0], target)
            loss.backward()
            optimizer.step()
        predicted = model(data).detach().numpy()
        """,
    "keras": """
        import keras

        from parts import Twice

        model = keras.Sequential([keras.Input((2,)), Twice(), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        model.fit(X, y, epochs=1, verbose=0)
        predicted = model.predict(X, verbose=0)
        """,
}
ELSEWHERE = """
import json
import sys

import numpy as np

import autolog

X = np.arange(10.0).reshape(5, 2)
if sys.argv[2] == "autolog":
    run = autolog.runs(store=sys.argv[1])[0]
    model = autolog.load_model(run)
    if hasattr(model, "predict"):
        found = model.predict(X)
    else:
        import torch

        found = model(torch.tensor(X, dtype=torch.float32)).detach().numpy()
else:
    import mlflow

    found = mlflow.pyfunc.load_model(sys.argv[1]).predict(X.astype(sys.argv[3]))
print(json.dumps(np.asarray(found).ravel().tolist()))
"""


def lines(text: str) -> str:
    return "\n".join(line.removeprefix("        ") for line in text.splitlines())


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with the modules beside which a script stands."""
    folder = tmp_path / "project"
    for name, text in TOOLS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize("flavor", ["sklearn", "torch", "keras"])
def test_a_model_of_local_modules_loads_where_they_are_not(
    project: Path, tmp_path: Path, flavor: str
) -> None:
    """Complete: by autolog and by mlflow, in a folder of nothing else; with what those modules import in turn, and no more.

    Slow: three programs of their own import the framework: one trains, two load.
    """
    if find_spec(flavor) is None:
        pytest.skip(f"{flavor} is not installed")
    (project / "parts.py").write_text(lines(PARTS[flavor]))
    head = (
        "import json\nimport numpy as np\nimport autolog\nautolog.autolog()\n"
        "X = np.arange(10.0).reshape(5, 2)\ny = X.sum(axis=1)\n"
    )
    done = script(
        head + lines(TRAINING[flavor]) + "\nprint(json.dumps(np.asarray(predicted).ravel().tolist()))\n",
        project, timeout=120, AUTOLOG_DIR=str(tmp_path / "store"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    expected = json.loads(done.stdout.splitlines()[-1])
    [run] = autolog.runs(store=str(tmp_path / "store"))
    model = run.folder / "model"
    kept = files_below(model / "code")
    assert sorted(kept) == ["parts.py", *KEPT] if KEPT[0] > "parts.py" else sorted(["parts.py", *KEPT])
    if flavor != "sklearn":
        assert run.notes == []
    (tmp_path / "elsewhere").mkdir()
    folder_type = "float32" if flavor == "torch" else "float64"
    for arguments in ([str(tmp_path / "store"), "autolog"], [str(model), "mlflow", folder_type]):
        # Keras imports no module of a user's for mlflow; autolog does.
        if arguments[1] == "mlflow" and (flavor == "keras" or find_spec("mlflow") is None):
            continue
        done = script(ELSEWHERE, tmp_path / "elsewhere", *arguments, timeout=120)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout.splitlines()[-1]) == pytest.approx(expected, rel=1e-5)


def test_modules_that_cannot_be_kept_with_a_model_are_noted(project: Path, tmp_path: Path) -> None:
    """Said: the model alone would not load elsewhere."""
    pytest.importorskip("sklearn")
    (project / "parts.py").write_text(lines(PARTS["sklearn"]))
    (project / "settings.py").write_text(
        "FACTOR = 2\nAPI_KEY = 'sk-proj-Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MGFiY2RlZg'\n"
    )
    head = "import numpy as np\nimport autolog\nautolog.autolog()\nX = np.arange(10.0).reshape(5, 2)\ny = X.sum(axis=1)\n"
    done = script(head + lines(TRAINING["sklearn"]), project, AUTOLOG_DIR=str(tmp_path / "store"))
    assert done.returncode == 0, done.stderr
    [run] = autolog.runs(store=str(tmp_path / "store"))
    assert run.notes[-1:] == [
        "The model needs settings.py, which is not kept with it: there is a secret in it."
    ]
    assert sorted(files_below(run.folder / "model" / "code")) == sorted(["parts.py", *KEPT[1:]])


def test_code_in_an_untrusted_model_folder_is_not_imported(project: Path, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    (project / "parts.py").write_text(lines(PARTS["sklearn"]))
    head = "import numpy as np\nimport autolog\nautolog.autolog()\nX = np.arange(10.0).reshape(5, 2)\ny = X.sum(axis=1)\n"
    assert (
        script(head + lines(TRAINING["sklearn"]), project, AUTOLOG_DIR=str(tmp_path / "store")).returncode
        == 0
    )
    [run] = autolog.runs(store=str(tmp_path / "store"))
    (run.folder / "model" / "code" / "parts.py").write_text("raise SystemExit('run')")
    before = list(sys.meta_path)
    with pytest.raises(autolog.ModelError, match="is not what was saved"):
        autolog.load_model(run)
    (run.folder / "model" / "code" / "more.py").write_text("raise SystemExit('run')")
    with pytest.raises((autolog.ModelError, UntrustedModel)):
        autolog.load_model(run)
    assert sys.meta_path == before


def test_installed_modules_win_over_those_in_a_model_folder(tmp_path: Path) -> None:
    """Transparent: what can be imported already stays what it is. Packages without an `__init__` are found there."""
    finder = code.KeptModules()
    finder.add(
        {"space/one.py": b"WHO = 'kept'", "json.py": b"WHO = 'kept'", "pack/__init__.py": b"WHO = 1"},
        tmp_path,
    )
    sys.meta_path.append(finder)
    try:
        import pack  # type: ignore[import-not-found]
        import space.one  # type: ignore[import-not-found]

        assert (space.one.WHO, pack.WHO) == ("kept", 1)
        assert not hasattr(json, "WHO")
        assert space.one.__file__ == str(tmp_path / "code" / "space" / "one.py")
    finally:
        sys.meta_path.remove(finder)
        for name in ("space", "space.one", "pack"):
            sys.modules.pop(name, None)
