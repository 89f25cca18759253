"""The promise: a model that was recorded can be had again, by us and by mlflow, from its own class or one of the script's."""

from __future__ import annotations

import weakref
from enum import Enum
from pathlib import Path
from typing import Any

import loops
import numpy as np
import pytest
import torch

import autolog
from autolog.models.errors import UntrustedModel
from autolog.testing import Recorded


def trained() -> Any:
    model = loops.Net()
    loops._steps(model, torch.optim.SGD(model.parameters(), lr=0.1), 2)
    return model.eval()


def test_the_model_is_itself_again(seen: Recorded) -> None:
    """And predicts arrays and frames, whatever its mode."""
    model = trained()
    seen.client.disable()
    again = autolog.load_model(seen.run, trust=True)
    assert (type(again), again.training) == (loops.Net, False)
    x = torch.randn(5, 4)
    assert (again(x) == model(x)).all()
    predictor = autolog.load_model(seen.run, trust=True, as_predictor=True)
    assert predictor.predict(x.double().numpy()) == pytest.approx(model(x).detach().numpy(), rel=1e-5)


@pytest.mark.parametrize(
    "kind", ["tensor", "float32", "float64", "frame", "frame with integer columns", "loader"]
)
def test_the_predictor_takes_what_the_loop_was_given(seen: Recorded, kind: str) -> None:
    """Complete: tensors, what they were made of, and the loader."""
    autolog.enable("torch", log_input_examples=True)
    model, x = trained(), torch.randn(8, 4)
    autolog.disable("torch")  # ends the loop
    [note] = seen.run.notes
    assert note.startswith(
        "No example of the input was saved: the first 5 rows are not known without a further pass"
    )
    data: Any = {
        "tensor": lambda: x,
        "float32": x.numpy,
        "float64": lambda: x.double().numpy(),
        "frame": lambda: pytest.importorskip("pandas").DataFrame(x.numpy(), columns=list("abcd")),
        "frame with integer columns": lambda: pytest.importorskip("pandas").DataFrame(x.numpy()),
        "loader": lambda: torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, x), batch_size=3),
    }[kind]()
    predictor = autolog.load_model(seen.run, trust=True, as_predictor=True)
    assert predictor.predict(data) == pytest.approx(model(x).detach().numpy(), rel=1e-5)


def test_mlflow_loads_it(seen: Recorded) -> None:
    """Natively, and as a function of arrays."""
    mlflow = pytest.importorskip("mlflow")
    model = trained()
    seen.client.disable()
    folder = str(seen.run.folder / "model")
    x = torch.randn(5, 4)
    expected = model(x).detach().numpy()
    assert mlflow.pytorch.load_model(folder)(x).detach().numpy() == pytest.approx(expected)
    assert mlflow.pyfunc.load_model(folder).predict(x.numpy()) == pytest.approx(expected)


def test_a_pickle_of_somebody_elses_is_not_loaded(
    seen: Recorded, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It would run code."""
    trained()
    seen.client.disable()
    monkeypatch.setenv("AUTOLOG_CONFIG_DIR", str(tmp_path / "another user"))
    with pytest.raises(UntrustedModel):
        autolog.load_model(seen.run)


def test_a_class_of_a_function_is_saved_with_its_code(seen: Recorded) -> None:
    """By cloudpickle, which any pickle reads."""

    class Local(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(4, 3)

        def forward(self, x: Any) -> Any:
            return self.layer(x)

    model = Local()
    loops._steps(model, torch.optim.SGD(model.parameters(), lr=0.1), 2)
    seen.client.disable()
    again = autolog.load_model(seen.run, trust=True)
    assert (again.layer.weight == model.layer.weight).all()
    assert "cloudpickle" in (seen.run.folder / "model" / "requirements.txt").read_text()


def test_root_parameters_and_buffers_survive_the_models_death(seen: Recorded) -> None:
    """What the outermost module holds itself, beside its parts."""

    def train() -> dict[str, Any]:
        model = loops.Net()
        model.scale = torch.nn.Parameter(torch.ones(1))
        model.register_buffer("offset", torch.full((1,), 3.0))
        model.depth = 7
        loops._steps(model, torch.optim.SGD(model.parameters(), lr=0.1), 2)
        return {name: tensor.clone() for name, tensor in model.state_dict().items()}

    expected = train()
    seen.client.disable()
    again = autolog.load_model(seen.run, trust=True)
    assert again.depth == 7
    assert set(expected) == set(again.state_dict()) > {"scale", "offset"}
    assert all((tensor == expected[name]).all() for name, tensor in again.state_dict().items())


class Settings:
    """As people keep them: an object, with one of its own."""

    def __init__(self, scale: float, inner: Any = None) -> None:
        self.scale, self.inner = scale, inner


class Kind(Enum):
    DOUBLE = 2


class Configured(loops.Net):
    """Holds what models hold: settings, functions, tensors that are no buffers."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings, self.by_name = settings, {"first": [settings, ("a", settings)]}
        self.kind, self.rate = Kind.DOUBLE, np.float64(0.5)
        self.mask = torch.tensor([1.0, 0.0, 1.0])
        self.activation = lambda x: x * settings.inner.scale
        self.forward_first = self.first.forward

    def forward(self, x: Any) -> Any:
        x = self.activation(super().forward(x)) * self.mask * self.kind.value
        return x * self.settings.scale * self.rate


def test_a_model_that_holds_objects_is_whole_though_it_dies_in_a_function(seen: Recorded) -> None:
    """They die with it: nothing is kept alive for its sake."""
    x, died = torch.randn(5, 4), []

    def train() -> Any:
        settings = Settings(2.0, Settings(3.0))
        model = Configured(settings)
        loops._steps(model, torch.optim.SGD(model.parameters(), lr=0.1), 2)
        died.extend(weakref.ref(one) for one in (model, settings, settings.inner))
        return model(x).detach()

    expected = train()
    assert [one() for one in died] == [None, None, None]
    seen.client.disable()
    assert seen.run.notes == []
    again = autolog.load_model(seen.run, trust=True)
    assert type(again) is Configured
    assert (again(x) == expected).all()
    assert again.by_name["first"][1][1] is again.settings


@pytest.mark.parametrize("large", [torch.zeros(1000, 1000), {Settings(1.0): 1}], ids=["tensor", "keys"])
def test_a_model_that_dies_with_what_cannot_be_held_is_saved_as_its_state_dict(
    seen: Recorded, large: Any
) -> None:
    """A large tensor would be kept alive, and the hash of an object is the user's code. The weights are there all the same."""

    def train() -> dict[str, Any]:
        model = loops.Net()
        model.large = large
        model.register_buffer("offset", torch.full((1,), 3.0))
        model.register_buffer("cache", torch.zeros(1), persistent=False)
        loops._steps(model, torch.optim.SGD(model.parameters(), lr=0.1), 2)
        return {name: tensor.clone() for name, tensor in model.state_dict().items()}

    expected = train()
    seen.client.disable()
    run = seen.run
    assert run.notes == [
        "model is saved as its state_dict: it was gone before the run ended, and large with it."
    ]
    state = torch.load(run.folder / "model" / "data" / "state_dict.pth", weights_only=True)
    assert set(state) == set(expected)
    assert all((state[name] == tensor).all() for name, tensor in expected.items())


def test_a_model_with_parametrizations_is_saved_as_its_state_dict(seen: Recorded) -> None:
    """torch pickles none. The run says so, and who loads it is told what to do."""
    model = torch.nn.Sequential(torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(4, 3)))
    loops._steps(model, torch.optim.SGD(model.parameters(), lr=0.1), 2)
    seen.client.disable()
    run = seen.run
    assert run.notes == [
        "model is saved as its state_dict: torch does not save a module with parametrizations whole."
    ]
    state = torch.load(run.folder / "model" / "data" / "state_dict.pth", weights_only=True)
    assert all((state[name] == tensor).all() for name, tensor in model.state_dict().items())
    with pytest.raises(
        autolog.ModelError, match=r"holds a state_dict: make the model, then model\.load_state_dict"
    ):
        autolog.load_model(run.folder / "model", trust=True)


def test_a_mask_survives_the_models_death(seen: Recorded) -> None:
    """A plain tensor that the model keeps, as a Transformer does its mask."""

    def train() -> Any:
        model = loops.Net()
        model.mask = torch.ones(3)  # type: ignore[assignment]
        loops._steps(model, torch.optim.SGD(model.parameters(), lr=0.1), 2)
        return {name: value.clone() for name, value in model.state_dict().items()}

    state = train()
    seen.client.disable()
    again = autolog.load_model(seen.run, trust=True)
    assert all((value == state[name]).all() for name, value in again.state_dict().items())
    assert again.mask.tolist() == [1.0, 1.0, 1.0]
