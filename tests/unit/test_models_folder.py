"""The promises: a model is saved as it was, without a trace on it or on the program; a folder is complete or not there; and
what is in a folder runs only if this user made it or the caller answers for it.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import pickle
import shutil
import sys
import textwrap
import threading
import warnings
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from helpers import python
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autolog.models import flavors, requirements
from autolog.models.capture import snapshot
from autolog.models.errors import DamagedModel, ModelError, ModelNotLoaded, ModelNotSaved, UntrustedModel
from autolog.models.folder import to_yaml, write
from autolog.models.load import Source, load_model, read_mlmodel
from autolog.models.requirements import pins
from autolog.models.types import Snapshot

TOY = """
import pickle
from autolog.models.types import Captured
from autolog.models.pickling import dump

def capture(model, staging, model_format):
    taken, modules = dump(model, staging.open("data/toy.pkl"))
    return Captured({"data": "data/toy.pkl", "format": taken}, {"loader_module": "toy"}, frozenset(modules))

def load(source, entry):
    source.require_trust("a pickle")
    with source.open(entry["data"]) as file:
        return pickle.load(file)

def predictor(model):
    return model.predict
"""


@pytest.fixture(autouse=True)
def toy(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stranger's flavor, installed and announced as any would be, and a user with a key of their own."""
    site = tmp_path_factory.mktemp("site")
    (site / "toy_flavor.py").write_text(TOY)
    install(
        site, "toy-ml", "1.0", provides="toy_flavor", entry_points="[autolog.flavors]\ntoy = toy_flavor\n"
    )
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("AUTOLOG_CONFIG_DIR", str(tmp_path_factory.mktemp("config") / "autolog"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), os.getcwd(), *sys.path]))
    flavors._loaded.clear()
    return site


@pytest.fixture(scope="module", autouse=True)
def _nothing_remembered() -> Iterator[None]:
    """Not what was installed when another file's tests ran. It takes half a second to look through all that is installed, so it
    is done once for this file, and once more for a test that installs something.
    """
    forget()
    yield
    forget()


def forget() -> None:
    requirements._providers.cache_clear()
    requirements._all_distributions.cache_clear()


def install(site: Path, name: str, version: str, *, provides: str, entry_points: str = "") -> None:
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "top_level.txt").write_text(provides + "\n")
    (info / "entry_points.txt").write_text(entry_points)


class Model:
    """One that pickles by name."""

    def __init__(self, **state: Any) -> None:
        self.__dict__.update(state)

    def predict(self, data: Any) -> Any:
        return data

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Model) and self.__dict__ == other.__dict__

    __hash__ = object.__hash__


def take(model: object, tmp_path: Path, **options: Any) -> Snapshot:
    return snapshot("toy", model, staging_dir=tmp_path / "staging", **options)


def saved(model: object, folder: Path, **options: Any) -> Path:
    write(take(model, folder.parent), folder, **options)
    return folder


def edit(folder: Path, change: Any) -> None:
    mlmodel = json.loads((folder / "MLmodel").read_text())
    change(mlmodel)
    (folder / "MLmodel").write_text(json.dumps(mlmodel))


class Hostile:
    """Unpickled, it makes a folder: a code execution that can be seen."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


# --- taking a model


def test_a_model_loads_as_it_was_when_the_snapshot_was_taken(tmp_path: Path) -> None:
    model = Model(weights=[1.0, 2.0])
    taken = take(model, tmp_path)
    model.weights.append(3.0)
    write(taken, tmp_path / "model")
    assert load_model(tmp_path / "model") == Model(weights=[1.0, 2.0])


def test_a_snapshot_says_what_a_folder_needs(tmp_path: Path) -> None:
    """Flavor, class, files, loader and the modules of what is really referenced: not those of the class's own base or
    imports.
    """
    model = Model(function=json.dumps, kind=weakref.WeakSet)
    taken = take(model, tmp_path, signature={"inputs": "[]"})
    assert taken == Snapshot(
        flavor="toy",
        model_class=f"{__name__}.Model",
        files={"data/toy.pkl": pickle.dumps(model, 5)},
        entry={"data": "data/toy.pkl", "format": "pickle"},
        python_function={"loader_module": "toy"},
        modules=frozenset({__name__.partition(".")[0], "json", "_weakrefset"}),
        signature={"inputs": "[]"},
    )


def test_a_snapshot_does_not_change_the_model(tmp_path: Path) -> None:
    model = Model(a=[1], b={"c": Model()})
    before = {name: id(value) for name, value in vars(model).items()}
    take(model, tmp_path)
    assert {name: id(value) for name, value in vars(model).items()} == before


def test_a_large_model_goes_through_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the memory limit the payload is on disk as soon as it is made, and moves into the folder from there; loading
    goes through a private file as well.
    """
    monkeypatch.setattr("autolog.models.staging.MEMORY_LIMIT", 1000)
    monkeypatch.setattr("autolog.models.source.MEMORY_LIMIT", 1000)
    model = Model(weights=os.urandom(5000))
    taken = take(model, tmp_path)
    held = taken.files["data/toy.pkl"]
    assert isinstance(held, Path)
    assert held.stat().st_size == taken.size > 5000
    write(taken, tmp_path / "model")
    assert (load_model(tmp_path / "model"), list((tmp_path / "staging").iterdir())) == (model, [])


def test_a_discarded_snapshot_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autolog.models.staging.MEMORY_LIMIT", 10)
    taken = take(Model(weights=bytes(1000)), tmp_path)
    taken.discard()
    assert list((tmp_path / "staging").iterdir()) == []


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({"lock": threading.Lock()}, "TypeError: cannot pickle '_thread.lock' object"),
        ({"rows": (n for n in range(3))}, "TypeError: cannot pickle 'generator' object"),
    ],
    ids=["lock", "generator"],
)
def test_an_error_names_what_cannot_be_pickled(tmp_path: Path, state: dict[str, Any], reason: str) -> None:
    """The reason is one readable sentence, and nothing is left behind."""
    pytest.importorskip("cloudpickle")  # without which the sentence says what may help
    with pytest.raises(ModelNotSaved) as caught:
        take(Model(**state), tmp_path)
    assert str(caught.value) == reason


def test_an_error_in_the_models_own_code_is_the_reason_why_it_is_not_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autolog.models.staging.MEMORY_LIMIT", 10)

    class Broken:
        def __reduce__(self) -> Any:
            raise RuntimeError("not today")

    with pytest.raises(ModelNotSaved, match=r"RuntimeError: not today"):
        take(Model(first=os.urandom(100_000), second=Broken()), tmp_path)
    assert list((tmp_path / "staging").iterdir()) == []


def test_ctrl_c_passes_through(tmp_path: Path) -> None:
    class Interrupted:
        def __reduce__(self) -> Any:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        take(Model(a=Interrupted()), tmp_path)


def test_a_failure_does_not_keep_the_model_alive(tmp_path: Path) -> None:
    part = Model()
    model = Model(part=part, lock=threading.Lock())
    seen = weakref.ref(part)
    errors: list[BaseException] = []
    try:
        take(model, tmp_path)
    except ModelNotSaved as error:
        errors.append(error.with_traceback(None))
    del model, part
    gc.collect()
    assert (len(errors), errors[0].__context__, seen()) == (1, None, None)


def test_a_model_over_the_limit_is_given_up_early(tmp_path: Path) -> None:
    looked_at: list[int] = []

    class Part:
        def __init__(self, number: int) -> None:
            self.number = number

        def __reduce__(self) -> Any:
            looked_at.append(self.number)
            return bytes, (os.urandom(100_000),)

    with pytest.raises(ModelNotSaved, match="larger than the limit of 250,000 bytes"):
        take([Part(number) for number in range(50)], tmp_path, max_bytes=250_000)
    assert looked_at == [0, 1, 2]


def test_warnings_of_the_model_are_suppressed(tmp_path: Path) -> None:
    """A model that warns is heard neither as a warning nor, under `error`, as an exception; the filters stay."""

    class Noisy:
        def __reduce__(self) -> Any:
            warnings.warn("old format", DeprecationWarning, stacklevel=1)
            return list, ()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        before = list(warnings.filters)
        taken = take(Noisy(), tmp_path)
        assert list(warnings.filters) == before
        with pytest.raises(DeprecationWarning):  # the same code is loud outside
            Noisy().__reduce__()
    assert taken.size > 0


def test_warnings_of_other_threads_are_not_suppressed(tmp_path: Path) -> None:
    class Meanwhile:
        def __reduce__(self) -> Any:
            other = threading.Thread(target=warnings.warn, args=("from another thread", UserWarning))
            other.start()
            other.join()
            return list, ()

    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        take(Meanwhile(), tmp_path)
    assert [str(warning.message) for warning in heard] == ["from another thread"]


def test_a_warning_shown_once_is_not_shown_again(tmp_path: Path) -> None:
    code = """
        import sys, warnings
        from autolog.models.capture import snapshot
        def old():
            warnings.warn("only once")
        old()
        snapshot("toy", {}, staging_dir=sys.argv[1])
        old()
    """
    assert python(code, str(tmp_path)).stderr.count("UserWarning: only once") == 1


def test_an_unknown_flavor_is_an_error_that_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no model flavor 'nosuch'; known here: .*sklearn"):
        snapshot("nosuch", Model(), staging_dir=tmp_path)


# --- code that no module holds: pickled by value

MAIN = """
    import sys
    from functools import wraps
    from autolog.models.capture import snapshot
    from autolog.models.folder import write

    def twice(x):
        return 2 * x

    class Model:
        factor = 3
        def predict(self, x):
            return self.factor * twice(x)

    local = {expression}
    taken = snapshot("toy", local, staging_dir=sys.argv[1])
    write(taken, __import__("pathlib").Path(sys.argv[2]))
    print(taken.entry["format"])
"""


@pytest.mark.parametrize(
    ("expression", "call", "expected"),
    [
        ("Model()", "model.predict(2)", "12"),
        ("[Model()]", "model[0].predict(2)", "12"),
        ("twice", "model(4)", "8"),
        ("lambda x: x + 1", "model(4)", "5"),
        ("(lambda y: (lambda x: x + y))(3)", "model(4)", "7"),
        ("type('Made', (Model,), {'factor': 5})()", "model.predict(1)", "10"),
    ],
)
def test_code_of_a_script_is_saved_with_the_model(
    tmp_path: Path, expression: str, call: str, expected: str
) -> None:
    """A class or function defined in __main__, a lambda or a local function loads in a process that never saw the script."""
    pytest.importorskip("cloudpickle")
    script = textwrap.dedent(MAIN).format(expression=expression)
    arguments = [str(tmp_path / "staging"), str(tmp_path / "model")]
    wrote = python(script, *arguments)
    read = f"import sys; from autolog.models.load import load_model; model = load_model(sys.argv[1]); print({call})"
    loaded = python(read, arguments[1])
    assert (wrote.stdout.split(), loaded.stdout.split()) == (["cloudpickle"], [expected])


def test_a_class_that_its_module_does_not_hold_is_saved_by_value(tmp_path: Path) -> None:
    pytest.importorskip("cloudpickle")
    Orphan = type("Orphan", (), {"answer": lambda self: 42, "__module__": "nowhere_to_be_found"})
    taken = take(Orphan(), tmp_path)
    write(taken, tmp_path / "model")
    assert (taken.entry["format"], load_model(tmp_path / "model").answer()) == ("cloudpickle", 42)


def test_a_model_that_holds_a_module_is_saved(tmp_path: Path) -> None:
    pytest.importorskip("cloudpickle")
    taken = take(Model(backend=shutil), tmp_path)
    write(taken, tmp_path / "model")
    assert (taken.entry["format"], load_model(tmp_path / "model").backend) == ("cloudpickle", shutil)


def test_the_modules_of_code_saved_by_value_are_known(tmp_path: Path) -> None:
    """What a function uses is needed where it is loaded, and what rebuilds it too; __main__ is not a module to install."""
    pytest.importorskip("cloudpickle")
    import xml.dom

    modules = take(lambda: (shutil.which, xml.dom), tmp_path).modules
    assert modules >= {"cloudpickle", "shutil", "xml"}
    assert not modules & {"__main__", "xml.dom", ""}


# --- the folder


def test_a_folder_holds_all_that_serving_needs(
    tmp_path: Path, toy: Path, request: pytest.FixtureRequest
) -> None:
    install(toy, "local-lib", "1.2+cpu", provides="local_lib")
    request.addfinalizer(forget)
    forget()
    taken = Snapshot(
        flavor="toy",
        model_class="lib.Model",
        files={"data/toy.pkl": b"staging"},
        entry={"data": "data/toy.pkl"},
        python_function={"loader_module": "toy"},
        modules=frozenset({"toy_flavor", "local_lib", "my_script", "os"}),
        signature={"inputs": "[]", "outputs": None, "params": None},
    )
    written = write(taken, tmp_path / "model", metadata={"run": "01JD"})
    files = {
        str(path.relative_to(tmp_path)): path.read_text() for path in tmp_path.rglob("*") if path.is_file()
    }
    mlmodel = json.loads(files.pop("model/MLmodel"))
    ours = mlmodel["metadata"]["autolog"]
    assert len(mlmodel.pop("model_uuid")) == 32
    assert len(mlmodel.pop("utc_time_created")) == len("2026-11-22 18:30:05.123456")
    assert len(ours.pop("signature")) == 64
    python = ".".join(map(str, sys.version_info[:3]))
    places = (path for path in tmp_path.rglob("*") if path.is_file())
    assert written == {str(path.relative_to(tmp_path / "model")): path.stat().st_size for path in places}
    assert mlmodel == {
        "flavors": {
            "toy": {"data": "data/toy.pkl"},
            "python_function": {
                "loader_module": "toy",
                "python_version": python,
                "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
            },
        },
        "model_size_bytes": 7,
        "signature": {"inputs": "[]", "outputs": None, "params": None},
        "metadata": {
            "run": "01JD",
            "autolog": {
                "format": 1,
                "version": ours["version"],
                "flavor": "toy",
                "model_class": "lib.Model",
                "files": {"data/toy.pkl": {"sha256": hashlib.sha256(b"staging").hexdigest(), "bytes": 7}},
                "own_modules": ["my_script"],
            },
        },
    }
    assert {
        name: text if name.endswith(("txt", "pkl")) else json.loads(text) for name, text in files.items()
    } == {
        "model/data/toy.pkl": "staging",
        "model/requirements.txt": "mlflow\nlocal-lib==1.2\ntoy-ml==1.0\n",
        "model/python_env.yaml": {
            "python": python,
            "build_dependencies": ["pip", "setuptools", "wheel"],
            "dependencies": ["-r requirements.txt"],
        },
        "model/conda.yaml": {
            "name": "mlflow-env",
            "channels": ["conda-forge"],
            "dependencies": [f"python={python}", "pip", {"pip": ["mlflow", "local-lib==1.2", "toy-ml==1.0"]}],
        },
    }


def test_modules_are_pinned_by_the_distributions_that_provide_them() -> None:
    """By name where they are called alike, else by looking; the standard library and unknown modules need no pin."""
    lines, unknown = pins({"_pytest", "hypothesis", "json", "no_such_module"})
    assert [line.partition("==")[0] for line in lines] == ["hypothesis", "pytest"]
    assert all(line.partition("==")[2] and "+" not in line for line in lines)
    assert unknown == ["no_such_module"]


def test_a_folder_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    taken = take(Model(), tmp_path)
    broken = msgspec.structs.replace(taken, files={"a": b"fine", "b": tmp_path / "missing"})
    with pytest.raises(FileNotFoundError):
        write(broken, tmp_path / "store" / "model")
    assert list((tmp_path / "store").iterdir()) == []


def test_an_existing_folder_is_never_overwritten(tmp_path: Path) -> None:
    folder = saved(Model(a=1), tmp_path / "model")
    with pytest.raises(FileExistsError):
        saved(Model(a=2), folder)
    assert load_model(folder) == Model(a=1)


def test_replace_exchanges_an_older_folder_only_for_a_complete_one(tmp_path: Path) -> None:
    folder = saved(Model(a=1), tmp_path / "store" / "model")
    taken = take(Model(a=2), tmp_path)
    with pytest.raises(FileNotFoundError):
        write(msgspec.structs.replace(taken, files={"a": tmp_path / "missing"}), folder, replace=True)
    assert load_model(folder) == Model(a=1)
    write(taken, folder, replace=True)
    assert load_model(folder) == Model(a=2)
    assert [path.name for path in folder.parent.iterdir() if path.name != "staging"] == ["model"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=20), inner, max_size=3),
    max_leaves=8,
)


@given(json_values)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_document_reads_the_same_as_json_and_as_yaml(document: Any) -> None:
    """Whatever names columns have: control characters, emoji, quotes, line separators."""
    yaml = pytest.importorskip("yaml")
    text = to_yaml(document)
    data = text.encode()
    assert (json.loads(data), yaml.safe_load(data)) == (document, document)


# --- loading, and what must not run


def test_a_folder_that_this_user_wrote_loads_even_after_it_was_moved(tmp_path: Path) -> None:
    folder = saved(Model(a=1), tmp_path / "model")
    moved = folder.rename(tmp_path / "elsewhere")
    assert load_model(moved) == Model(a=1)


def test_a_strangers_pickle_is_refused_before_it_runs(tmp_path: Path) -> None:
    """Signed with another key: nothing of it is unpickled, and the message says what to do. With trust it does run, so
    that this test would see it.
    """
    mark = tmp_path / "it ran"
    folder = saved(Hostile(mark), tmp_path / "model", trust_key=b"k" * 32)
    with pytest.raises(UntrustedModel, match=r"is a pickle: loading it runs .* another key .* trust=True"):
        load_model(folder)
    assert not mark.exists()
    load_model(folder, trust=True)
    assert mark.exists()


def test_a_pickle_that_mlflow_wrote_is_refused_before_it_runs(tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    mark = tmp_path / "it ran"
    (tmp_path / "model" / "data").mkdir(parents=True)
    (tmp_path / "model" / "data" / "toy.pkl").write_bytes(pickle.dumps(Hostile(mark)))
    (tmp_path / "model" / "MLmodel").write_text(
        "flavors:\n  python_function: {}\n  toy:\n    data: data/toy.pkl\n"
    )
    with pytest.raises(UntrustedModel, match=r"not signed\. If you trust"):
        load_model(tmp_path / "model")
    assert not mark.exists()
    load_model(tmp_path / "model", trust=True)
    assert mark.exists()


def swap_payload(folder: Path, mark: Path) -> None:
    (folder / "data" / "toy.pkl").write_bytes(pickle.dumps(Hostile(mark)))


def swap_payload_and_checksum(folder: Path, mark: Path) -> None:
    swap_payload(folder, mark)
    data = (folder / "data" / "toy.pkl").read_bytes()
    file = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    edit(folder, lambda mlmodel: mlmodel["metadata"]["autolog"]["files"].update({"data/toy.pkl": file}))


def add_payload_and_point_to_it(folder: Path, mark: Path) -> None:
    (folder / "more.pkl").write_bytes(pickle.dumps(Hostile(mark)))
    edit(folder, lambda mlmodel: mlmodel["flavors"]["toy"].update(data="more.pkl"))


def take_the_signature_away(folder: Path, mark: Path) -> None:
    swap_payload_and_checksum(folder, mark)
    edit(folder, lambda mlmodel: mlmodel["metadata"]["autolog"].update(signature=None))


def take_the_record_away(folder: Path, mark: Path) -> None:
    swap_payload(folder, mark)
    edit(folder, lambda mlmodel: mlmodel.pop("metadata"))


def forget_the_checksum(folder: Path, mark: Path) -> None:
    swap_payload(folder, mark)
    edit(folder, lambda mlmodel: mlmodel["metadata"]["autolog"].update(files={}))


@pytest.mark.parametrize(
    ("tamper", "error"),
    [
        (swap_payload, DamagedModel),
        (swap_payload_and_checksum, UntrustedModel),
        (add_payload_and_point_to_it, UntrustedModel),
        (take_the_signature_away, UntrustedModel),
        (take_the_record_away, UntrustedModel),
        (forget_the_checksum, UntrustedModel),
    ],
)
def test_a_folder_that_was_tampered_with_is_refused(
    tmp_path: Path, tamper: Any, error: type[Exception]
) -> None:
    mark = tmp_path / "it ran"
    folder = saved(Model(), tmp_path / "model")
    tamper(folder, mark)
    with pytest.raises(error):
        load_model(folder)
    assert not mark.exists()


def test_a_file_added_to_a_signed_folder_is_refused(tmp_path: Path) -> None:
    """A flavor that looks for a file of its own finds only those that were there when the folder was signed."""
    folder = saved(Model(), tmp_path / "model")
    (folder / "more.pkl").write_bytes(b"foreign")
    mlmodel = read_mlmodel(folder)
    source, sworn = (Source(folder, "toy", mlmodel, trust=trust) for trust in (False, True))
    source.open("data/toy.pkl").close()
    with pytest.raises(UntrustedModel, match=r"more\.pkl .* was not there when the model was signed"):
        source.open("more.pkl")
    assert sworn.open("more.pkl").read() == b"foreign"


def test_a_signature_covers_the_loader_too(tmp_path: Path) -> None:
    folder = saved(Model(), tmp_path / "model")
    edit(folder, lambda mlmodel: mlmodel["flavors"]["toy"].update(format="other"))
    with pytest.raises(UntrustedModel):
        load_model(folder)


@pytest.mark.parametrize("name", ["../secret.pkl", "data/../../secret.pkl", "/etc/passwd"])
def test_a_folder_cannot_name_files_outside_of_it(tmp_path: Path, name: str) -> None:
    folder = saved(Model(), tmp_path / "model")
    (tmp_path / "secret.pkl").write_bytes(pickle.dumps("secret"))
    edit(folder, lambda mlmodel: mlmodel["flavors"]["toy"].update(data=name))
    with pytest.raises(ModelNotLoaded, match="outside of its folder"):
        load_model(folder, trust=True)


def test_a_file_that_is_exchanged_after_the_check_is_not_unpickled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "it ran"
    folder = saved(Model(a=1), tmp_path / "model")
    genuine = pickle.load

    def late(file: Any) -> Any:
        swap_payload(folder, mark)
        return genuine(file)

    monkeypatch.setattr(pickle, "load", late)
    assert load_model(folder) == Model(a=1)
    assert not mark.exists()


def test_without_a_key_a_model_is_saved_unsigned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("AUTOLOG_CONFIG_DIR", str(tmp_path / "file" / "config"))
    folder = saved(Model(a=1), tmp_path / "model")
    with pytest.raises(UntrustedModel, match="not signed"):
        load_model(folder)
    assert load_model(folder, trust=True) == Model(a=1)


def test_a_damaged_file_is_an_error_even_with_trust(tmp_path: Path) -> None:
    folder = saved(Model(), tmp_path / "model")
    path = folder / "data" / "toy.pkl"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DamagedModel, match="checksum differs"):
        load_model(folder, trust=True)
    path.unlink()
    with pytest.raises(DamagedModel, match=r"lacks its file data/toy\.pkl"):
        load_model(folder, trust=True)


def test_an_error_names_the_module_that_a_model_lacks(tmp_path: Path, toy: Path) -> None:
    (toy / "my_estimators.py").write_text("class Mine: pass\n")
    import my_estimators  # pyright: ignore

    folder = saved(my_estimators.Mine(), tmp_path / "model")
    del sys.modules["my_estimators"]
    (toy / "my_estimators.py").unlink()
    shutil.rmtree(toy / "__pycache__", ignore_errors=True)
    with pytest.raises(
        ModelNotLoaded, match="needs a module that is not here: No module named 'my_estimators'"
    ):
        load_model(folder)
    assert read_mlmodel(folder)["metadata"]["autolog"]["own_modules"] == ["my_estimators"]


def test_a_folder_in_yaml_needs_pyyaml_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "MLmodel").write_text("flavors: {toy: {}}")
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(ModelNotLoaded, match="pip install pyyaml"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("mlmodel", "message"),
    [
        (None, "no MLmodel file"),
        ("[]", "not readable"),
        ("{}", "not readable"),
        ('{"flavors": {}}', "unknown"),
        (
            '{"flavors": {"python_function": {}, "nosuch": {}}}',
            "of a kind that cannot be loaded here: nosuch",
        ),
    ],
)
def test_an_error_says_why_something_is_no_model_folder(
    tmp_path: Path, mlmodel: str | None, message: str
) -> None:
    if mlmodel is not None:
        (tmp_path / "MLmodel").write_text(mlmodel)
    with pytest.raises(ModelNotLoaded, match=message):
        load_model(tmp_path)


@given(
    st.binary()
    | json_values.map(lambda value: json.dumps({"flavors": {"toy": value}, "metadata": value}).encode())
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_broken_mlmodel_file_is_a_model_error(
    tmp_path_factory: pytest.TempPathFactory, mlmodel: bytes
) -> None:
    pytest.importorskip("yaml")
    folder = tmp_path_factory.mktemp("model")
    (folder / "MLmodel").write_bytes(mlmodel)
    for trust in (False, True):
        with pytest.raises(ModelError):
            load_model(folder, trust=trust)
