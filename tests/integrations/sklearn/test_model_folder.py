"""The promise: what autolog saves loads again, here and in every tool that reads MLflow models, and predicts the same bit for
bit; and saving leaves no trace on the model or the program.
"""

# ruff: noqa: E402

from __future__ import annotations

import json
import pickle
import random
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import python

np = pytest.importorskip("numpy")
pytest.importorskip("sklearn")

from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.datasets import make_classification, make_regression
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from autolog.models.capture import snapshot
from autolog.models.errors import ModelNotLoaded, ModelNotSaved, UntrustedModel
from autolog.models.folder import write
from autolog.models.load import load_model
from autolog.models.predictor import Predictor
from autolog.models.signature import infer_signature
from autolog.models.staging import contains

X, Y = make_classification(120, 6, random_state=0)
XR, YR = make_regression(120, 6, random_state=0)


@pytest.fixture(autouse=True)
def user(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user with a key of their own, and mlflow's own files kept out of the way."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("AUTOLOG_CONFIG_DIR", str(home / "config"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/mlflow.db")
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "true")
    monkeypatch.chdir(home)


def frame(rows: int = 60) -> Any:
    pd = pytest.importorskip("pandas")
    generator = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "age": generator.integers(18, 80, rows),
            "income": generator.normal(50, 10, rows).astype("float32"),
            "city": generator.choice(["Bern", "Rome", "Oslo"], rows),
        }
    )


def column_pipeline() -> Any:
    columns = ColumnTransformer([("city", OneHotEncoder(), ["city"])], remainder=StandardScaler())
    return make_pipeline(columns, LogisticRegression())


def fitted(name: str) -> tuple[Any, Any, Any]:
    """A model, the data it was fitted on, and its predictions, by name."""
    if name == "classifier":
        return LogisticRegression().fit(X, Y), X, Y
    if name == "labels of text":
        return LogisticRegression().fit(X, np.where(Y, "yes", "no")), X, Y
    if name == "regressor":
        return LinearRegression().fit(XR, YR), XR, YR
    if name == "forest":
        return RandomForestClassifier(10, random_state=0).fit(X, Y), X, Y
    if name == "boosting":
        return HistGradientBoostingRegressor(max_iter=5).fit(XR, YR), XR, YR
    if name == "neighbours":
        return KNeighborsClassifier().fit(X, Y), X, Y
    if name == "gaussian process":
        return GaussianProcessRegressor().fit(XR, YR), XR, YR
    if name == "clusters":
        return KMeans(3, random_state=0, n_init=1).fit(X), X, None
    if name == "search":
        return GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2).fit(X, Y), X, Y
    data = frame()
    y = (data["age"] > 40).to_numpy()
    return column_pipeline().fit(data, y), data, y


NAMES = [
    "classifier", "labels of text", "regressor", "forest", "boosting", "neighbours", "gaussian process", "clusters",
    "search", "columns",
]  # fmt: skip


def save(model: Any, folder: Path, *, signature: Any = None, **options: Any) -> Path:
    write(snapshot("sklearn", model, staging_dir=folder.parent, signature=signature, **options), folder)
    return folder


def same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def reading(model_format: str) -> Any:
    """An mlflow that reads the format: skops files since 3.9 or so."""
    mlflow = pytest.importorskip("mlflow")
    if model_format == "skops":
        pytest.importorskip("skops")
    if model_format not in mlflow.sklearn.SUPPORTED_SERIALIZATION_FORMATS:
        pytest.skip(f"mlflow {mlflow.__version__} reads no {model_format} files")
    return mlflow


@pytest.fixture(params=["pickle", "cloudpickle", "skops"])
def model_format(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param != "pickle":
        pytest.importorskip(request.param)
    return request.param


@pytest.mark.parametrize("name", NAMES)
def test_a_model_loads_everywhere_and_predicts_the_same(tmp_path: Path, name: str, model_format: str) -> None:
    """By autolog, natively and as a predictor; by mlflow, natively and as pyfunc, its schema enforced."""
    mlflow = reading(model_format)
    model, data, _ = fitted(name)
    expected = model.predict(data)
    signature = infer_signature(data, expected)
    assert signature is not None
    folder = save(model, tmp_path / "model", signature=signature, model_format=model_format)
    loaded = [
        load_model(folder),
        load_model(folder, as_predictor=True),
        mlflow.sklearn.load_model(str(folder)),
        mlflow.pyfunc.load_model(str(folder)),
    ]
    assert [same(one.predict(data), expected) for one in loaded] == [True] * 4
    read = mlflow.models.Model.load(str(folder))
    theirs = mlflow.models.infer_signature(data, expected)
    assert (read.flavors["sklearn"]["serialization_format"], read.signature) == (model_format, theirs)


@pytest.mark.parametrize("model_format", ["pickle", "skops"])
def test_a_model_without_predict_is_saved_without_a_predictor(tmp_path: Path, model_format: str) -> None:
    """A transformer loads natively; asked to predict, the reason is told."""
    mlflow = reading(model_format)
    model = make_pipeline(StandardScaler()).fit(X)
    folder = save(model, tmp_path / "model", model_format=model_format)
    for loaded in (load_model(folder), mlflow.sklearn.load_model(str(folder))):
        assert same(loaded.transform(X), model.transform(X))
    assert list(json.loads((folder / "MLmodel").read_text())["flavors"]) == ["sklearn"]
    with pytest.raises(ModelNotLoaded, match="Pipeline has no predict"):
        load_model(folder, as_predictor=True)


def test_a_folder_needs_no_mlflow(tmp_path: Path) -> None:
    """Saving and loading import nothing of mlflow, start no process, and change no random stream."""
    code = """
        import random, sys
        from pathlib import Path
        import numpy
        from sklearn.linear_model import LogisticRegression
        events = []
        sys.addaudithook(lambda name, args: events.append(name) if name in (
            "subprocess.Popen", "os.fork", "os.posix_spawn", "os.system", "socket.connect") else None)
        from autolog.models.capture import snapshot
        from autolog.models.folder import write
        from autolog.models.load import load_model
        model = LogisticRegression().fit([[0.], [1.]], [0, 1])
        streams = random.getstate(), str(numpy.random.get_state())
        folder = Path(sys.argv[1])
        write(snapshot("sklearn", model, staging_dir=folder.parent), folder)
        load_model(folder)
        print(events, "mlflow" in sys.modules, streams == (random.getstate(), str(numpy.random.get_state())))
    """
    done = python(code, str(tmp_path / "model"))
    assert (done.stdout, done.stderr) == ("[] False True\n", "")


def test_a_folder_served_by_mlflow_answers_json(tmp_path: Path) -> None:
    pytest.importorskip("mlflow", minversion="2.17")
    from mlflow.models import validate_serving_input

    model, data, _ = fitted("columns")
    folder = save(model, tmp_path / "model", signature=infer_signature(data, model.predict(data)))
    request = {"dataframe_split": json.loads(data.to_json(orient="split", index=False))}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert same(validate_serving_input(str(folder), json.dumps(request)), model.predict(data))


def test_mlflow_reads_the_virtualenv_conda_and_pip_files(tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow")
    import yaml
    from mlflow.utils.environment import _get_pip_deps, _PythonEnv
    from mlflow.utils.requirements_utils import _parse_requirements

    folder = save(fitted("classifier")[0], tmp_path / "model")
    conda = yaml.safe_load((folder / "conda.yaml").read_text())
    environment = _PythonEnv.from_yaml(folder / "python_env.yaml")
    required = [
        line.req_str for line in _parse_requirements(folder / "requirements.txt", is_constraint=False)
    ]
    names = [line.partition("==")[0] for line in required]
    assert names == ["mlflow", "joblib", "numpy", "scikit-learn", "scipy"]
    assert _get_pip_deps(conda) == required
    assert (environment.python, environment.dependencies) == (
        ".".join(map(str, sys.version_info[:3])),
        ["-r requirements.txt"],
    )
    assert mlflow.pyfunc.get_model_dependencies(str(folder), format="pip") == str(folder / "requirements.txt")


# --- code of the user's own


class Threshold(ClassifierMixin, BaseEstimator):
    """A user's estimator in an importable module."""

    def __init__(self, resource: Any = None) -> None:
        self.resource = resource

    def fit(self, X: Any, y: Any) -> Threshold:
        self.classes_ = np.unique(y)
        return self

    def predict(self, X: Any) -> Any:
        return (X[:, 0] > 0).astype(int)


SCRIPT = """
    import sys
    from pathlib import Path
    import numpy as np
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer
    from autolog.models.capture import snapshot
    from autolog.models.folder import write

    def local(factor):
        def scaled(X):
            return X * factor
        return scaled

    class Mine(ClassifierMixin, BaseEstimator):
        def fit(self, X, y):
            self.classes_ = np.unique(y)
            return self
        def predict(self, X):
            return (X[:, 0] > threshold()).astype(int)

    def threshold():
        return 1.0

    model = make_pipeline(FunctionTransformer(local(2.0)), FunctionTransformer(lambda X: X + 0.5), Mine())
    model.fit(np.zeros((2, 1)), [0, 1])
    taken = snapshot("sklearn", model, staging_dir=".")
    write(taken, Path(sys.argv[1]))
    print(taken.entry["serialization_format"])
"""


def test_estimators_of_a_script_load_elsewhere(tmp_path: Path) -> None:
    """A class of __main__, a lambda and a local function, saved in one process, loaded in another by autolog and by mlflow."""
    folder = str(tmp_path / "model")
    assert python(SCRIPT, folder).stdout == "cloudpickle\n"
    predict = "import numpy as np; print(model.predict(np.array([[0.0], [0.2], [0.3], [1.0]])))"
    load = "import sys; from autolog.models.load import load_model; model = load_model(sys.argv[1])"
    assert python(f"{load}; {predict}", folder).stdout == "[0 0 1 1]\n"
    pytest.importorskip("mlflow")
    load = "import sys, mlflow; model = mlflow.pyfunc.load_model(sys.argv[1])"
    assert python(f"{load}; {predict}", folder).stdout == "[0 0 1 1]\n"


def test_without_cloudpickle_joblibs_copy_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """joblib brought one up to 1.5."""
    pytest.importorskip("joblib.externals.cloudpickle")
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    model = make_pipeline(FunctionTransformer(lambda X: -X), LinearRegression()).fit(XR, YR)
    folder = save(model, tmp_path / "model")
    assert (
        json.loads((folder / "MLmodel").read_text())["flavors"]["sklearn"]["serialization_format"]
        == "cloudpickle"
    )
    assert same(load_model(folder).predict(XR), model.predict(XR))


def test_an_error_suggests_cloudpickle_where_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    monkeypatch.setitem(sys.modules, "joblib.externals.cloudpickle", None)
    with pytest.raises(ModelNotSaved, match="pip install cloudpickle"):
        snapshot("sklearn", FunctionTransformer(lambda X: -X), staging_dir=tmp_path)
    with pytest.raises(ModelNotSaved, match=r"cannot pickle '_thread\.lock' object"):
        snapshot("sklearn", Threshold(threading.Lock()), staging_dir=tmp_path)


def test_requirements_name_what_the_model_really_uses(tmp_path: Path) -> None:
    """A third party's class inside a pipeline is required, what is merely installed or imported is not."""
    from packaging.version import Version

    model = make_pipeline(FunctionTransformer(Version, validate=False), LinearRegression())
    lines = (save(model, tmp_path / "model") / "requirements.txt").read_text().split()
    names = [line.partition("==")[0] for line in lines]
    assert names == ["mlflow", "joblib", "numpy", "packaging", "scikit-learn", "scipy"]


@pytest.mark.parametrize(
    ("resource", "reason"),
    [
        (threading.Lock(), "cannot pickle '_thread.lock' object"),
        ((row for row in []), "cannot pickle 'generator' object"),
    ],
    ids=["lock", "generator"],
)
def test_an_estimator_that_cannot_be_saved_leaves_a_reason_and_no_file(
    tmp_path: Path, resource: Any, reason: str
) -> None:
    with pytest.raises(ModelNotSaved, match=reason):
        snapshot("sklearn", Threshold(resource).fit(X, Y), staging_dir=tmp_path / "staging")
    assert list(tmp_path.iterdir()) == []


# --- without a trace


@pytest.mark.parametrize("name", NAMES)
def test_saving_leaves_the_model_and_the_program_alone(
    tmp_path: Path, name: str, model_format: str, recwarn: pytest.WarningsRecorder
) -> None:
    """Same attributes by identity, same pickle, same random streams, no warning, nothing printed."""
    model, data, _ = fitted(name)
    if model_format == "skops":
        import skops.io  # its import is not what is tested

        del skops
    recwarn.clear()
    before = {key: id(value) for key, value in vars(model).items()}, pickle.dumps(model)
    streams = random.getstate(), pickle.dumps(np.random.get_state())
    snapshot(
        "sklearn", model, staging_dir=tmp_path, signature=infer_signature(data), model_format=model_format
    )
    assert ({key: id(value) for key, value in vars(model).items()}, pickle.dumps(model)) == before
    assert (random.getstate(), pickle.dumps(np.random.get_state())) == streams
    assert [str(warning.message) for warning in recwarn] == []


def test_a_large_model_is_not_held_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Streamed to disk beyond the memory limit: the memory taken is the limit and one array, not the model."""
    import tracemalloc

    megabyte = 1 << 20
    monkeypatch.setattr("autolog.models.staging.MEMORY_LIMIT", megabyte)
    model = LinearRegression().fit(XR, YR)
    model.parts_ = [np.zeros(megabyte // 8) for _ in range(40)]
    tracemalloc.start()
    try:
        taken = snapshot("sklearn", model, staging_dir=tmp_path / "staging")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert taken.size > 40 * megabyte
    assert peak < 6 * megabyte
    write(taken, tmp_path / "model")
    assert same(load_model(tmp_path / "model").parts_[39], model.parts_[39])
    assert list((tmp_path / "staging").iterdir()) == []


def test_an_oversize_array_is_not_even_copied(tmp_path: Path) -> None:
    import tracemalloc

    model = LinearRegression()
    model.coef_ = np.zeros(4_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(ModelNotSaved, match="larger than the limit of 1,000,000 bytes"):
            snapshot("sklearn", model, staging_dir=tmp_path, max_bytes=1_000_000)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_a_model_of_exactly_the_limit_is_saved(tmp_path: Path) -> None:
    model, _, _ = fitted("forest")
    size = snapshot("sklearn", model, staging_dir=tmp_path).size
    assert snapshot("sklearn", model, staging_dir=tmp_path, max_bytes=size).size == size
    with pytest.raises(ModelNotSaved):
        snapshot("sklearn", model, staging_dir=tmp_path, max_bytes=size - 1)


@pytest.mark.parametrize("secret", ["hunter2-hunter2", 'quoted "é" secret'])
@pytest.mark.parametrize("place", ["param", "array", "vocabulary"])
def test_a_secret_inside_a_model_is_found_in_every_format(
    tmp_path: Path, secret: str, place: str, model_format: str
) -> None:
    if place == "param":
        model: Any = TfidfVectorizer(encoding=secret)
    elif place == "array":
        model = LogisticRegression().fit(X, np.where(Y, secret, "no"))
    else:
        model = TfidfVectorizer(
            analyzer=str.splitlines if model_format != "skops" else "word", token_pattern=r".+"
        )
        model.fit([secret, "other"])
    taken = snapshot("sklearn", model, staging_dir=tmp_path, model_format=model_format)
    assert contains(taken.files, [b"absent", secret.encode()])
    assert not contains(taken.files, [b"absent"])


# --- skops


def test_skops_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("skops")
    model, _, _ = fitted("classifier")
    folder = save(model, tmp_path / "model", model_format="skops")
    monkeypatch.setitem(sys.modules, "skops.io", None)
    with pytest.raises(ModelNotSaved, match="pip install skops"):
        snapshot("sklearn", model, staging_dir=tmp_path, model_format="skops")
    with pytest.raises(ModelNotLoaded, match="pip install skops"):
        load_model(folder)


def test_an_unknown_format_is_an_error_that_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ModelNotSaved, match="'onnx' is not one of pickle, cloudpickle, skops"):
        snapshot("sklearn", LinearRegression(), staging_dir=tmp_path, model_format="onnx")


def test_a_model_that_skops_cannot_save_has_its_reason(tmp_path: Path) -> None:
    pytest.importorskip("skops")
    from sklearn.cluster import Birch

    with pytest.raises(ModelNotSaved, match="Birch"):
        snapshot("sklearn", Birch().fit(X), staging_dir=tmp_path, model_format="skops")


def unsign(folder: Path) -> Path:
    mlmodel = json.loads((folder / "MLmodel").read_text())
    mlmodel["metadata"]["autolog"]["signature"] = None
    (folder / "MLmodel").write_text(json.dumps(mlmodel))
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_a_strangers_skops_file_of_sklearns_own_classes_loads(tmp_path: Path, name: str) -> None:
    """Without trust: no code of the stranger's choosing can be in it."""
    pytest.importorskip("skops")
    model, data, _ = fitted(name)
    folder = unsign(save(model, tmp_path / "model", model_format="skops"))
    assert same(load_model(folder).predict(data), model.predict(data))


def test_a_strangers_skops_file_with_other_types_is_refused(tmp_path: Path) -> None:
    """Naming them, whatever the folder itself says is to be trusted; by the user's own key or word it loads."""
    pytest.importorskip("skops")
    model = Threshold().fit(X, Y)
    folder = save(model, tmp_path / "model", model_format="skops")
    assert same(load_model(folder).predict(X), model.predict(X))
    unsign(folder)
    assert json.loads((folder / "MLmodel").read_text())["flavors"]["sklearn"]["skops_trusted_types"] == [
        f"{__name__}.Threshold"
    ]
    with pytest.raises(UntrustedModel, match=rf"skops does not know: {__name__}\.Threshold.*trust=True"):
        load_model(folder)
    assert same(load_model(folder, trust=True).predict(X), model.predict(X))


@pytest.mark.parametrize(
    "name",
    [
        "os.system",
        "subprocess.Popen",
        "numpy.testing.runstring",
        "numpy.load",
        "numpy.memmap",
        "sklearn.show_versions",
    ],
)
def test_a_strangers_skops_file_cannot_bring_what_runs_or_writes(tmp_path: Path, name: str) -> None:
    """No function, not even of scikit-learn or NumPy, and no class that opens what it is given when it is called."""
    pytest.importorskip("skops")
    from pkgutil import resolve_name

    model = FunctionTransformer(resolve_name(":".join(name.rsplit(".", 1))))
    folder = unsign(save(model, tmp_path / "model", model_format="skops"))
    with pytest.raises(UntrustedModel, match="trust=True"):
        load_model(folder)


# --- folders of mlflow's own


@pytest.mark.parametrize("model_format", ["pickle", "cloudpickle", "skops"])
def test_a_folder_that_mlflow_wrote_loads_with_trust(tmp_path: Path, model_format: str) -> None:
    """Pickles only with trust, skops files without."""
    mlflow = reading(model_format)
    model, data, y = fitted("classifier")
    folder = tmp_path / "theirs"
    mlflow.sklearn.save_model(
        model,
        str(folder),
        serialization_format=model_format,
        signature=mlflow.models.infer_signature(data, y),
        pip_requirements=["scikit-learn"],
    )
    if model_format != "skops":
        with pytest.raises(UntrustedModel, match="not signed"):
            load_model(folder)
    loaded = load_model(folder, trust=model_format != "skops", as_predictor=True)
    assert isinstance(loaded, Predictor)
    assert same(loaded.predict(data), model.predict(data))
    assert loaded.signature["inputs"] == json.loads(infer_signature(data)["inputs"])  # pyright: ignore


def test_a_predictor_takes_columns_in_any_order(tmp_path: Path) -> None:
    model, data, _ = fitted("columns")
    predictor = load_model(
        save(model, tmp_path / "model", signature=infer_signature(data)), as_predictor=True
    )
    expected = model.predict(data)
    shuffled = data[["city", "income", "age"]]
    assert same(predictor.predict(shuffled), expected)
    assert same(predictor.predict(shuffled.to_dict("list")), expected)
    assert same(predictor.predict(shuffled.to_dict("records")), expected)
    assert isinstance(predictor.native, type(model))
