"""The promise: `load_model` takes whatever names a model, and where it cannot, says what to do."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

np = pytest.importorskip("numpy")
pytest.importorskip("sklearn")

from sklearn.linear_model import LinearRegression  # noqa: E402

import autolog  # noqa: E402
from autolog.models.errors import ModelNotLoaded  # noqa: E402
from autolog.store.records import UnknownRun  # noqa: E402
from autolog.testing import Recorded, recorded  # noqa: E402

pytestmark = pytest.mark.usefixtures("own_key")

X = np.arange(12.0).reshape(6, 2)


@pytest.fixture
def seen() -> Iterator[Recorded]:
    with recorded("sklearn") as seen:
        yield seen


def test_a_model_is_loaded_by_run_record_name_id_or_folder(
    seen: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = LinearRegression().fit(X, X[:, 0])
    run, record = autolog.last_run(), seen.run
    assert run is not None
    folder = record.folder / "model"
    monkeypatch.chdir(folder.parent)
    named: list[Any] = [
        run, record, record.name, record.id, record.id[:20], "@last", folder, str(folder), folder / "MLmodel", record.folder,
        "model", Path("model"), "./model",
    ]  # fmt: skip
    loaded = [autolog.load_model(one) for one in named]
    assert {one.predict(X).tobytes() for one in loaded} == {model.predict(X).tobytes()}
    store = folder.parents[2]
    assert autolog.load_model("@last", store=store).coef_.tobytes() == model.coef_.tobytes()


def test_a_model_that_mlflow_saved_is_loaded_with_trust(seen: Recorded, tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow")
    with autolog.suspended():
        model = LinearRegression().fit(X, X[:, 0])
        mlflow.sklearn.save_model(model, str(tmp_path / "theirs"), serialization_format="cloudpickle")
    loaded = autolog.load_model(tmp_path / "theirs", trust=True, as_predictor=True)
    assert loaded.predict(X).tobytes() == model.predict(X).tobytes()


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("models:/m/1", "models:/m/1 is no folder of this machine. Bring the model here, as by `mlflow artifacts download "),
        ("s3://b/model", "--artifact-uri s3://b/model`, and give its folder."),
        (Path("nowhere"), "nowhere is no model folder: there is none"),
        ("file.txt", "file.txt is no model folder: it is a file"),
        (Path("empty"), "empty is no model folder: it has no MLmodel file"),
        ("./empty", "empty is no model folder: it has no MLmodel file"),
    ],
)  # fmt: skip
def test_a_folder_without_a_model_is_an_error(
    seen: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: Any, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").write_text("")
    with pytest.raises(ModelNotLoaded) as told:
        autolog.load_model(place)
    assert said in str(told.value)


def test_a_run_without_the_model_says_what_it_has(seen: Recorded) -> None:
    """Another one, or none and why."""
    with autolog.run("two") as run, autolog.suspended():
        model = LinearRegression().fit(X, X[:, 0])
        run.log_model(model, flavor="sklearn", path="first")
        run.log_model(model, flavor="sklearn", path="second")
    with pytest.raises(
        LookupError, match=r"two has no model 'model'. It has 'first', 'second': say which, as path='first'."
    ):
        autolog.load_model(run)
    assert autolog.load_model(run, path="second").coef_.tobytes() == model.coef_.tobytes()
    with autolog.run("none") as run:
        with pytest.raises(LookupError, match=r"none has no model 'model'\. It is still running\."):
            autolog.load_model(run)
        autolog.enable("sklearn", max_model_bytes=10)
        LinearRegression().fit(X, X[:, 0])
    with pytest.raises(LookupError, match="The model was not saved: it is larger than the limit of 10 bytes"):
        autolog.load_model("none")
    with pytest.raises(UnknownRun, match="There is no run 'nobody'"):
        autolog.load_model("nobody")


def test_equal_files_of_models_are_stored_once(seen: Recorded) -> None:
    """The folders are whole, and each says when it was made; what is equal in them is on the disk once. Removing all but one
    leaves that one as it was.
    """
    big = np.random.default_rng(0).normal(size=(40, 200))
    models = [LinearRegression().fit(big, big) for _ in range(5)]
    runs = list(seen.runs)
    payloads = [run.folder / "model" / "model.pkl" for run in runs]
    assert len({path.stat().st_ino for path in payloads}) == 1
    assert len({(run.folder / "model" / "MLmodel").read_text() for run in runs}) == 5
    last = runs[0]
    autolog.runs()  # reads the journal
    from autolog.store.records import Store

    store = Store(last.folder.parents[1])
    store.remove(runs[1:])
    assert autolog.load_model(last).coef_.tobytes() == models[0].coef_.tobytes()
    assert [path.stat().st_nlink for path in store.layout.objects.iterdir()] == [2]
    store.remove(runs[:1])
    assert list(store.layout.objects.iterdir()) == []
    shutil.rmtree(store.layout.root)
