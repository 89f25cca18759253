"""The promise: a model of any flavor leaves home. What a training has recorded is loaded by autolog and by mlflow, natively and
as pyfunc, by mlflow's command line and its server, and predicts the same bit for bit; a stranger's code in it is not run.

Frameworks and an mlflow that are not installed are left out. SERVE names the flavors that mlflow predicts with and serves in
processes of its own: `SERVE=sklearn,pytorch python -m pytest tests/models`, or `SERVE=all`.
"""

# ruff: noqa: E402

from __future__ import annotations

import json
import os
import pickle
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pytest

np = pytest.importorskip("numpy")

import autolog
from autolog import ModelError
from autolog.models.errors import DamagedModel, UntrustedModel
from autolog.testing import fresh, recorded

X = np.random.default_rng(0).normal(size=(40, 4)).astype("float32")
Y = X @ np.array([1, 2, 3, 4], "float32")
SERVE = os.environ.get("SERVE", "sklearn").split(",")


class Case(NamedTuple):
    """`train` makes the model, recorded, and returns its predictions of X. `pickled`: loading it runs code. `hostile`, for a
    format that can hold code, puts into a folder what makes the second path when it is loaded.
    """

    needs: tuple[str, ...]
    train: Callable[[], Any]
    pickled: bool = False
    hostile: Callable[[Path, Path], None] | None = None
    options: dict[str, Any] = {}


def of_sklearn() -> Any:
    from sklearn.linear_model import Ridge

    return Ridge().fit(X, Y).predict(X)


def of_xgboost() -> Any:
    import xgboost

    return xgboost.XGBRegressor(n_estimators=3).fit(X, Y).predict(X)


def of_xgboost_booster() -> Any:
    import xgboost

    return xgboost.train({}, xgboost.DMatrix(X, Y), 3).predict(xgboost.DMatrix(X))


def of_lightgbm() -> Any:
    import lightgbm

    return lightgbm.LGBMRegressor(n_estimators=3, min_child_samples=2, verbose=-1).fit(X, Y).predict(X)


def of_lightgbm_booster() -> Any:
    import lightgbm

    return lightgbm.train({"verbose": -1, "min_data_in_leaf": 2}, lightgbm.Dataset(X, Y), 3).predict(X)


def of_pytorch() -> Any:
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Dropout(0.5), torch.nn.Linear(3, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(2):
        loss = ((model(torch.from_numpy(X))[:, 0] - torch.from_numpy(Y)) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    autolog.disable("torch")  # ends the loop
    return model.eval()(torch.from_numpy(X)).detach().numpy()


def of_torch_export() -> Any:
    import torch

    model = torch.nn.Linear(4, 1)
    rows = torch.export.Dim("rows", min=1)
    program = torch.export.export(model, (torch.from_numpy(X),), dynamic_shapes=({0: rows},))
    with autolog.run("exported") as run:
        run.log_model(program, flavor="pytorch", data=X)
    return program.module()(torch.from_numpy(X)).detach().numpy()


def of_lightning() -> Any:
    import lightning
    import torch

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(4, 1)

        def forward(self, x: Any) -> Any:
            return self.layer(x)

        def training_step(self, batch: Any, _: int) -> Any:
            return ((self(batch[0])[:, 0] - batch[1]) ** 2).mean()

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.01)

    data = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    module = Module()
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    trainer = lightning.Trainer(max_epochs=1, logger=False, accelerator="cpu", **quiet)
    trainer.fit(module, torch.utils.data.DataLoader(data, 20))
    return module.eval()(torch.from_numpy(X)).detach().numpy()


def of_keras() -> Any:
    import keras

    model = keras.Sequential([keras.layers.Dense(3, activation="relu"), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    return model.predict(X, verbose=0)


def of_keras_2() -> Any:
    import tensorflow as tf

    model = tf.keras.Sequential([tf.keras.layers.Dense(3, activation="relu"), tf.keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    return model.predict(X, verbose=0)


def of_spark() -> Any:
    from pyspark.ml import Pipeline
    from pyspark.ml.feature import VectorAssembler
    from pyspark.ml.regression import LinearRegression

    frame = _spark_frame().selectExpr("*", "a + 2 * b as y")
    stages = [VectorAssembler(inputCols=list("abcd"), outputCol="features"), LinearRegression(labelCol="y")]
    model = Pipeline(stages=stages).fit(frame)
    return np.array([row.prediction for row in model.transform(frame).collect()])


def _spark_frame() -> Any:
    from helpers import spark_session

    return spark_session().createDataFrame(
        X.astype("float64").tolist(), "a double, b double, c double, d double"
    )


class Hostile:
    """Its unpickling makes a folder."""

    def __init__(self, made: Path) -> None:
        self.made = str(made)

    def __reduce__(self) -> Any:
        return os.mkdir, (self.made,)


def a_pickle(folder: Path, made: Path) -> None:
    (folder / "model.pkl").write_bytes(pickle.dumps(Hostile(made)))


def a_torch_pickle(folder: Path, made: Path) -> None:
    import torch

    torch.save(Hostile(made), folder / "data" / "model.pth")


def an_archive_with_a_pickle(folder: Path, made: Path) -> None:
    """Of torch.export: the inputs that it was traced with are pickled."""
    import torch

    archive = folder / "data" / "model.pt2"
    torch.save(Hostile(made), made.with_suffix(".pickle"))
    with zipfile.ZipFile(archive) as read:
        parts = {name: read.read(name) for name in read.namelist()}
    [inputs] = [name for name in parts if name.endswith(("sample_inputs/model.pt", "example_inputs.pt"))]
    parts[inputs] = made.with_suffix(".pickle").read_bytes()
    with zipfile.ZipFile(archive, "w") as written:
        for name, content in parts.items():
            written.writestr(name, content)


def an_object_with_a_state(folder: Path, made: Path) -> None:
    """For skops, of a class that can be imported: its own code takes the state up."""
    import skops.io

    module = folder.parent / "hostile_state.py"
    module.write_text(
        "import os\nclass Hostile:\n    def __setstate__(self, state): os.mkdir(state['made'])\n"
    )
    hostile: Any = __import__("hostile_state").Hostile()
    hostile.made = str(made)
    skops.io.dump(hostile, folder / "model.skops")


def a_lambda(folder: Path, made: Path) -> None:
    import keras

    layer = keras.layers.Lambda(
        eval(f"lambda x: (__import__('os').makedirs({str(made)!r}, exist_ok=True), x)[1]")
    )
    keras.Sequential([keras.Input((4,)), layer]).save(folder / "data" / "model.keras")
    made.rmdir()  # it has run to be built


def a_stage_of_a_class(folder: Path, made: Path) -> None:
    """For Spark, which imports the class that a stage names."""
    (folder.parent / "hostile_stage.py").write_text(f"import os\nos.mkdir({str(made)!r})\n")
    for checksum in (folder / "sparkml").rglob(".*.crc"):
        checksum.unlink()
    [pipeline] = (folder / "sparkml" / "metadata").glob("part-*")
    [stage] = (folder / "sparkml" / "stages").glob("0_*/metadata/part-*")
    said = json.loads(pipeline.read_text())
    said["class"], said["paramMap"]["language"] = "pyspark.ml.pipeline.PipelineModel", "Python"
    pipeline.write_text(json.dumps(said))
    stage.write_text(json.dumps(json.loads(stage.read_text()) | {"class": "hostile_stage.Stage"}))


CASES = {
    "sklearn": Case(("sklearn",), of_sklearn, True, a_pickle),
    "skops": Case(
        ("sklearn", "skops"),
        of_sklearn,
        False,
        an_object_with_a_state,
        {"sklearn": {"model_format": "skops"}},
    ),
    "xgboost": Case(("xgboost", "sklearn"), of_xgboost),
    "xgboost booster": Case(("xgboost",), of_xgboost_booster),
    "lightgbm": Case(("lightgbm", "sklearn"), of_lightgbm, True, a_pickle),
    "lightgbm booster": Case(("lightgbm",), of_lightgbm_booster),
    "pytorch": Case(("torch",), of_pytorch, True, a_torch_pickle),
    "torch.export": Case(("torch",), of_torch_export, True, an_archive_with_a_pickle),
    "lightning": Case(("lightning",), of_lightning, True, a_torch_pickle),
    "keras": Case(("keras",), of_keras, False, a_lambda),
    "tf.keras": Case(("tensorflow",), of_keras_2),
    "spark": Case(("pyspark",), of_spark, False, a_stage_of_a_class),
}


class Trained(NamedTuple):
    name: str
    case: Case
    folder: Path
    expected: Any


@pytest.fixture(params=CASES, scope="module")
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    """One training of each flavor, recorded by a user with a key, with an example of the input."""
    case = CASES[request.param]
    for module in case.needs:
        if find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    if request.param == "torch.export" and _version("torch") < (2, 4):
        pytest.skip("older versions export less")
    if request.param == "keras" and _version("keras") < (3,):
        pytest.skip("Keras 2 is tf.keras's")
    if request.param == "tf.keras" and _version("keras") >= (3,):
        pytest.skip("tf.keras is Keras 3")
    if request.param == "spark" and not shutil.which("java"):
        pytest.skip("there is no Java on this machine")
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("home")
        patch.setenv("AUTOLOG_CONFIG_DIR", str(home / "config"))
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/mlflow.db")
        patch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "true")
        patch.chdir(home)
        with recorded(log_input_examples=True, **case.options) as seen:
            expected = np.asarray(case.train())
            [run] = seen.runs
            assert (run.errors, [model["path"] for model in run.models]) == ([], ["model"]), run.notes
            with autolog.suspended():
                yield Trained(request.param, case, run.folder / "model", expected)


def _version(module: str) -> tuple[int, ...]:
    from importlib.metadata import version

    return tuple(int(part) for part in version(module).split(".")[:2])


def predictions(model: Any, name: str) -> Any:
    """What a native model of the flavor predicts of X."""
    if name in ("pytorch", "lightning", "torch.export"):
        import torch

        module = model if name != "torch.export" else getattr(model, "module", None)
        module = module() if name == "torch.export" and type(model).__name__ == "ExportedProgram" else model
        return (module if name == "torch.export" else module.eval())(torch.from_numpy(X)).detach().numpy()
    if name == "xgboost booster":
        import xgboost

        return model.predict(xgboost.DMatrix(X))
    if name == "spark":
        return [row.prediction for row in model.transform(_spark_frame()).collect()]
    return model.predict(X)


def asked(name: str) -> Any:
    """X as the model knows it."""
    if name == "spark":
        return pytest.importorskip("pandas").DataFrame(X, columns=list("abcd"), dtype=float)
    return X


def request_of(trained: Trained) -> bytes:
    """The same as mlflow's server and its command line take it. Without a signature they take numbers of JSON for doubles, and
    only those of a frame for what torch's modules are made of.
    """
    data = asked(trained.name)
    if data is X and json.loads((trained.folder / "MLmodel").read_text()).get("signature"):
        return json.dumps({"inputs": X.tolist()}).encode()
    frame = pytest.importorskip("pandas").DataFrame(data)
    return json.dumps({"dataframe_split": frame.astype(float).to_dict("split")}).encode()


def same(found: Any, expected: Any) -> bool:
    return np.asarray(found).astype(expected.dtype).tobytes() == expected.tobytes()


def test_autolog_loads_it_natively_and_as_a_predictor(trained: Trained) -> None:
    """Both predict what the model predicted before.

    Slow: for Spark's model, the first load of a process starts a JVM.
    """
    assert same(predictions(autolog.load_model(trained.folder), trained.name), trained.expected)
    predictor = autolog.load_model(trained.folder, as_predictor=True)
    assert same(predictor.predict(asked(trained.name)), trained.expected)


def test_a_model_of_another_user_runs_no_code(
    trained: Trained, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where the framework's own format runs none, it is loaded whoever made it."""
    monkeypatch.setenv("AUTOLOG_CONFIG_DIR", str(tmp_path / "another user"))
    if trained.case.pickled:
        with pytest.raises(UntrustedModel, match="another key than yours"):
            autolog.load_model(trained.folder)
    model = autolog.load_model(trained.folder, trust=trained.case.pickled)
    assert same(predictions(model, trained.name), trained.expected)


def _native(mlflow: Any, trained: Trained) -> Any:
    flavor = json.loads((trained.folder / "MLmodel").read_text())["metadata"]["autolog"]["flavor"]
    if trained.name == "skops" and "skops" not in mlflow.sklearn.SUPPORTED_SERIALIZATION_FORMATS:
        pytest.skip(f"mlflow {mlflow.__version__} reads no skops files")
    if trained.name == "torch.export" and not hasattr(mlflow.pytorch, "_EXPORTED_TORCH_MODEL_FILE_NAME"):
        pytest.skip(f"mlflow {mlflow.__version__} reads no torch.export archives")
    if trained.name == "keras" and not hasattr(mlflow, "keras"):
        pytest.skip(f"mlflow {mlflow.__version__} has no Keras 3")
    return getattr(mlflow, flavor)


def test_mlflow_loads_it_natively_and_as_pyfunc(trained: Trained) -> None:
    mlflow = pytest.importorskip("mlflow")
    native = _native(mlflow, trained).load_model(str(trained.folder))
    assert same(predictions(native, trained.name), trained.expected)
    assert same(mlflow.pyfunc.load_model(str(trained.folder)).predict(asked(trained.name)), trained.expected)


def test_code_that_somebody_put_into_a_model_folder_is_not_run(
    trained: Trained, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Safe: it is refused, whether the folder is still signed or was never; told to trust it, the same code is seen to run."""
    if trained.case.hostile is None:
        pytest.skip("its format holds no code")
    folder, made = tmp_path / "model", tmp_path / "made"
    shutil.copytree(trained.folder, folder)
    monkeypatch.syspath_prepend(tmp_path)
    trained.case.hostile(folder, made)
    with pytest.raises(DamagedModel, match="checksum"):
        autolog.load_model(folder)
    mlmodel = json.loads((folder / "MLmodel").read_text())
    del mlmodel["metadata"]
    (folder / "MLmodel").write_text(json.dumps(mlmodel))
    with pytest.raises(UntrustedModel, match="trust=True"):
        autolog.load_model(folder)
    assert not made.exists()
    with suppress(ModelError):  # what it has made is no model
        autolog.load_model(folder, trust=True)
    assert made.exists()


def mlflow_command(trained: Trained, command: str) -> tuple[list[str], dict[str, str]]:
    """The arguments of a command of mlflow's on the model, in this environment."""
    if trained.name not in SERVE and SERVE != ["all"]:
        pytest.skip("not in SERVE")
    _native(pytest.importorskip("mlflow"), trained)
    model = ["-m", str(trained.folder), "--env-manager", "local"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return ["models", command, *model], {**os.environ, "PATH": path}


def test_mlflow_models_predict_predicts_the_same(trained: Trained, tmp_path: Path) -> None:
    command, environment = mlflow_command(trained, "predict")
    if _version("mlflow") < (3,) and b'"inputs"' in request_of(trained):
        pytest.skip("the command line of older mlflows takes numbers for doubles whatever the signature")
    (tmp_path / "asked.json").write_bytes(request_of(trained))
    files = ["-t", "json", "-i", str(tmp_path / "asked.json"), "-o", str(tmp_path / "answer.json")]
    done = fresh.run(
        "from mlflow.cli import cli; cli()", *command, *files, environment=environment, folder=str(tmp_path), seconds=200,
        beneath=("mlflow.cli", "mlflow.pyfunc.scoring_server", "sklearn.linear_model"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert_answer(json.loads((tmp_path / "answer.json").read_text()), trained)


@pytest.mark.slow
def test_mlflow_models_serve_predicts_the_same(trained: Trained, tmp_path: Path) -> None:
    """`mlflow models serve` of the folder, asked for the rows that the training saw; and with the example in the folder.

    Slow: mlflow starts two Pythons one after the other, each of which imports it. The command line's answer, which is made by
    the same code of mlflow's, is in every run.
    """
    command, environment = mlflow_command(trained, "serve")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path / "log"
    with log.open("wb") as written:
        server = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *command, "-p", str(port)],
            stdout=written,
            stderr=written,
            env=environment,
            start_new_session=True,
        )
    try:
        assert_answer(_answer(server, port, request_of(trained), log), trained)
        example = trained.folder / "serving_input_example.json"
        if example.exists():
            few = _answer(server, port, example.read_bytes(), log)["predictions"]
            assert np.allclose(np.asarray(few).reshape(5, -1), trained.expected[:5].reshape(5, -1), rtol=1e-5)
    finally:
        os.killpg(server.pid, 9)
        server.wait()


def assert_answer(answer: Any, trained: Trained) -> None:
    rows = [list(row.values()) if isinstance(row, dict) else row for row in answer["predictions"]]
    found = np.asarray(rows, trained.expected.dtype).reshape(trained.expected.shape)
    # Of a frame, torch multiplies columns in another order.
    rounding = 1e-6 if trained.name in ("pytorch", "lightning") else 0
    np.testing.assert_allclose(found, trained.expected, rtol=rounding, atol=rounding)


def _answer(server: subprocess.Popen[bytes], port: int, body: bytes, log: Path) -> Any:
    """What the server says, once it is up."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations", body, {"Content-Type": "application/json"}
    )
    deadline = time.monotonic() + 200
    while True:
        assert server.poll() is None, log.read_text()[-3000:]
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{error.read().decode()[:2000]}\n{log.read_text()[-3000:]}") from None
        except OSError:
            time.sleep(0.2)
