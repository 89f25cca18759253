"""The promise: losses, models and trainings that stand close together are told apart, and each is recorded as what it is."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from typing import Any

import loops
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

import autolog
from autolog import RunRecord
from autolog.testing import Recorded

Told = dict[str, list[float]]


def points(run: RunRecord, name: str) -> list[float]:
    return [point.value for point in run.history(name)]


def train_gan(steps: int = 8, every: int = 2, keep: list[Any] | None = None) -> Told:
    """A discriminator that steps at each batch, and a generator that does at every second."""
    told: Told = {"d_loss": [], "g_loss": []}
    generator, critic = nn.Sequential(nn.Linear(2, 4)), nn.Sequential(nn.Linear(4, 1))
    of_generator = torch.optim.Adam(generator.parameters(), lr=0.001)
    of_critic = torch.optim.Adam(critic.parameters(), lr=0.002)
    for step in range(1, steps + 1):
        of_critic.zero_grad()
        d_loss = F.softplus(-critic(loops.xy(8, step)[0])).mean()
        d_loss.backward()
        of_critic.step()
        told["d_loss"].append(float(d_loss.detach()))
        if step % every == 0:
            of_generator.zero_grad()
            g_loss = F.softplus(-critic(generator(torch.randn(8, 2)))).mean()
            g_loss.backward()
            of_generator.step()
            told["g_loss"].append(float(g_loss.detach()))
    if keep is not None:
        keep += [of_generator, of_critic]
    return told


def train(model: Any, optimizer: Any, steps: int = 3) -> list[float]:
    losses = []
    x, y = loops.xy()
    for _ in range(steps):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def test_a_loss_that_others_are_to_join_has_its_own_name_from_the_start(seen: Recorded) -> None:
    """Of a discriminator that has stepped twice before the generator does, all points are under its name."""
    told = train_gan()
    seen.client.disable()
    run = seen.run
    assert {name for name in run.metrics if name.endswith("_step")} == {
        "train/loss.d_loss_step",
        "train/loss.g_loss_step",
    }
    for name, values in told.items():
        assert points(run, f"train/loss.{name}_step") == pytest.approx(values)
        assert points(run, f"train/loss.{name}") == pytest.approx([sum(values) / len(values)])


def test_an_optimizer_of_the_same_model_or_of_an_earlier_run_makes_no_loss_one_of_several(
    seen: Recorded,
) -> None:
    """Nor one that is never used, once there is another training. Where the loss is one, it is `train/loss`."""
    kept: list[Any] = []
    for _ in range(2):
        model = loops.Net()
        kept.append(torch.optim.SGD(model.second.parameters(), lr=0.1))
        kept.append(torch.optim.SGD(model.parameters(), lr=0.1))
        train(model, kept[-1])
    seen.client.disable()
    for run in seen.runs:
        assert {name for name in run.metrics if "loss" in name} == {"train/loss", "train/loss_step"}


@pytest.mark.parametrize("together", [itertools.chain, lambda *some: [p for one in some for p in one]])
def test_both_models_of_one_optimizer_are_recorded(seen: Recorded, together: Callable[..., Any]) -> None:
    """As an encoder and a decoder: each is saved as it is at the end."""
    encoder, decoder = nn.Sequential(nn.Linear(4, 4)), nn.Sequential(nn.Linear(4, 3))
    optimizer = torch.optim.SGD(together(encoder.parameters(), decoder.parameters()), lr=0.1)
    train(lambda x: decoder(encoder(x)), optimizer)
    seen.client.disable()
    run = seen.run
    assert (run.params["model.parameters"], run.params["model2.parameters"]) == (20, 15)
    for path, model in (("model", encoder), ("model2", decoder)):
        saved = autolog.load_model(run.folder / path, trust=True)
        assert all((saved.state_dict()[name] == t).all() for name, t in model.state_dict().items())


def test_layers_that_are_no_part_of_a_model_are_models(seen: Recorded) -> None:
    """Also where the optimizer is given lists; what belongs to no module is said to be left out."""
    body, head = nn.Linear(4, 8), nn.Linear(8, 3)
    scale = nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD(
        [{"params": [*body.parameters(), *head.parameters()]}, {"params": [scale]}], lr=0.1
    )
    train(lambda x: head(body(x)) * scale, optimizer)
    seen.client.disable()
    run = seen.run
    assert [model["path"] for model in run.models] == ["model", "model2"]
    assert (run.params["model.parameters"], run.params["model2.parameters"]) == (40, 27)
    assert run.notes == ["SGD trains more than the models that are recorded here."]


def test_models_that_are_not_saved_have_the_same_names(seen: Recorded) -> None:
    """In a run's params the second model is `model2`, whether or not models are saved."""
    autolog.enable("torch", log_models=False)
    train_gan()
    seen.client.disable()
    assert (seen.run.params["model"], seen.run.params["model2"]) == ("Sequential", "Sequential")
    assert "model1" not in seen.run.params


def test_a_training_of_one_step_is_a_run_of_its_own(seen: Recorded) -> None:
    """Though the optimizer of the one before lives on."""
    first, second, third = (nn.Sequential(nn.Linear(4, 3)) for _ in range(3))
    kept = [torch.optim.SGD(first.parameters(), lr=0.1)]
    told = [train(first, kept[0])]
    for model, lr in ((second, 0.01), (third, 0.001)):
        kept.append(torch.optim.SGD(model.parameters(), lr=lr))
        told.append(train(model, kept[-1], steps=1))
    seen.client.disable()
    assert [run.params["optimizer.lr"] for run in seen.runs] == [0.1, 0.01, 0.001]
    assert [points(run, "train/loss_step") for run in seen.runs] == [pytest.approx(one) for one in told]
    assert [[model["path"] for model in run.models] for run in seen.runs] == [["model"]] * 3
    assert not any("optimizer2" in run.params for run in seen.runs)
    assert {(run.status, *run.notes, *run.errors) for run in seen.runs} == {("finished",)}


def test_a_step_that_evaluates_again_and_again_is_a_training(seen: Recorded) -> None:
    """As one of LBFGS, whose only one may be the whole of it."""
    kept = []
    for _ in range(2):
        model = nn.Linear(4, 3)
        optimizer = torch.optim.LBFGS(model.parameters(), max_iter=5)
        kept.append((model, optimizer))

        def closure(model: Any = model, optimizer: Any = optimizer) -> Any:
            optimizer.zero_grad()
            x, y = loops.xy()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            return loss

        optimizer.step(closure)
    assert len(seen.runs) == 2
    del kept
    seen.client.disable()
    assert [run.params["optimizer"] for run in seen.runs] == ["LBFGS"] * 2
    assert [run.metrics["train/loss_step"]["count"] for run in seen.runs] == [1, 1]


def test_a_training_of_one_step_that_is_gone_is_said(seen: Recorded) -> None:
    """What can not be recorded any more is not left out in silence."""
    model = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    train(model, optimizer)
    other = nn.Linear(4, 3)
    train(other, torch.optim.SGD(other.parameters(), lr=0.1), steps=1)
    seen.client.disable()
    assert len(seen.run.history("train/loss_step")) == 3
    assert "one step" in seen.run.notes[0]


def test_a_second_gan_is_a_run_though_the_first_ones_optimizers_live(seen: Recorded) -> None:
    """None of its four losses is lost."""
    kept: list[Any] = []
    told = [train_gan(every=1, keep=kept) for _ in range(2)]
    seen.client.disable()
    assert len(seen.runs) == 2
    for run, numbers in zip(seen.runs, told, strict=True):
        for name, values in numbers.items():
            assert points(run, f"train/loss.{name}_step") == pytest.approx(values)


def test_an_optimizer_that_is_made_for_a_later_part_of_a_training_joins_it(seen: Recorded) -> None:
    """As a generator's, after the discriminator was trained alone: the next step is one of the run's."""
    generator, critic = nn.Linear(2, 4), nn.Linear(4, 1)
    of_critic, of_generator = torch.optim.Adam(critic.parameters(), lr=0.002), None
    told: Told = {"d_loss": [], "g_loss": []}
    for step in range(8):
        of_critic.zero_grad()
        d_loss = F.softplus(-critic(torch.randn(8, 4))).mean()
        d_loss.backward()
        of_critic.step()
        told["d_loss"].append(float(d_loss.detach()))
        if step >= 4:
            of_generator = of_generator or torch.optim.Adam(generator.parameters(), lr=0.001)
            of_generator.zero_grad()
            g_loss = F.softplus(-critic(generator(torch.randn(8, 2)))).mean()
            g_loss.backward()
            of_generator.step()
            told["g_loss"].append(float(g_loss.detach()))
    seen.client.disable()
    run = seen.run
    assert run.params["optimizer2.lr"] == 0.001
    assert [model["path"] for model in run.models] == ["model", "model2"]
    assert points(run, "train/loss_step") == pytest.approx(told["d_loss"])
    assert points(run, "train/loss.g_loss_step") == pytest.approx(told["g_loss"])


def test_autocast_around_several_trainings_is_said_of_each(seen: Recorded) -> None:
    """Of those before and after it, it is not."""

    def once() -> None:
        model = nn.Linear(4, 3)
        train(model, torch.optim.SGD(model.parameters(), lr=0.1))

    once()
    with torch.autocast("cpu", dtype=torch.bfloat16, cache_enabled=False):
        once()
        once()
    once()
    seen.client.disable()
    assert [run.params.get("amp") for run in seen.runs] == [None, "bfloat16", "bfloat16", None]


@pytest.mark.parametrize("frozen", [False, True])
def test_a_training_in_evaluation_mode_is_a_training(seen: Recorded, frozen: bool) -> None:
    """As one that keeps the statistics of its normalisation, with the model or its backbone frozen or not; its validation is
    what has no gradients.
    """
    model, criterion, told = loops.Net(), nn.CrossEntropyLoss(), {"loss": [], "share": [], "val": []}
    model.eval()
    if frozen:
        model.first.requires_grad_(False)
        model.second.train()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    x, y = loops.xy()
    for step in range(6):
        optimizer.zero_grad()
        out = model(x)
        loss = criterion(out, y)
        loss.backward()
        optimizer.step()
        told["loss"].append(float(loss.detach()))
        share = (out.argmax(1) == y).float().mean().item()
        told["share"].append(share)
        if step % 3 == 2:
            with torch.no_grad():
                told["val"].append(criterion(model(x[:8]), y[:8]).item())
    seen.client.disable()
    run = seen.run
    assert set(run.metrics) == {
        "train/loss",
        "train/loss_step",
        "reads/share",
        "reads/share_step",
        "val/loss",
        "lr",
    }
    assert points(run, "train/loss_step") == pytest.approx(told["loss"])
    assert points(run, "val/loss") == pytest.approx(told["val"])
    halves = [sum(told["share"][:3]) / 3, sum(told["share"][3:]) / 3]
    assert points(run, "reads/share") == pytest.approx(halves)
    assert points(run, "reads/share_step") == pytest.approx(told["share"])


def test_an_evaluation_with_gradients_on_is_one_where_the_training_is_in_its_mode(seen: Recorded) -> None:
    """Whoever forgets `no_grad` has his validation all the same."""
    model, criterion = loops.Net(), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x, y = loops.xy()
    told = []
    for _ in range(3):
        model.train()
        for _ in range(2):
            optimizer.zero_grad()
            criterion(model(x), y).backward()
            optimizer.step()
        model.eval()
        told.append(criterion(model(x), y).item())
    seen.client.disable()
    assert points(seen.run, "val/loss") == pytest.approx(told)
    assert seen.run.metrics["train/loss"]["count"] == 3


def test_how_fast_batches_are_fetched_in_advance_is_not_how_fast_the_training_is(seen: Recorded) -> None:
    """Nothing is said of that; the data is described."""
    model = loops.Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    data = loops.data()
    batches = list(DataLoader(data, batch_size=16))
    for x, y in batches * 2:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    seen.client.disable()
    run = seen.run
    assert (run.params["data.batch_size"], run.datasets[0]["rows"]) == (16, 48)
    assert set(run.metrics) == {"train/loss", "train/loss_step", "lr"}


def test_epochs_after_a_search_for_a_learning_rate_are_epochs(seen: Recorded) -> None:
    """Though the search's own iterator over the same loader has not come to its end."""
    model, criterion = loops.Net(), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    data = loops.data()
    loader = DataLoader(data, batch_size=16)
    iterator, told = iter(loader), []

    def step(x: Any, y: Any) -> float:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    found = [step(*next(iterator)) for _ in range(2)]
    for _ in range(2):
        losses = [step(x, y) for x, y in loader]
        told.append(sum(losses) / 3)
    seen.client.disable()
    run = seen.run
    assert points(run, "train/loss") == pytest.approx([sum(found) / 2, *told])
    assert [name for name in run.metrics if "eval" in name] == []


def test_data_that_has_grown_between_two_trainings_is_told_as_it_is(seen: Recorded) -> None:
    """Right: in active learning one loader gives ever more rows of a pool; each run has the size that it was trained on."""
    x, y = loops.xy()
    part = torch.utils.data.Subset(torch.utils.data.TensorDataset(x, y), [0, 1, 2, 3])
    loader = DataLoader(part, batch_size=2)
    for _ in range(2):
        model = nn.Linear(x.shape[1], int(y.max()) + 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for rows, labels in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(rows), labels).backward()
            optimizer.step()
        part.indices.extend([4, 5])
    del model, optimizer
    assert [run.params["data.size"] for run in seen.runs] == [4, 6]


class OfLayers(nn.Module):
    """As transformers' models: `forward` takes a slice of its layers, which is a module of its own for a moment."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(4, 4) for _ in range(3)])
        self.head = nn.Linear(4, 3)

    def forward(self, x: Any) -> Any:
        for layer in self.layers[:2]:
            x = torch.tanh(layer(x))
        return self.head(x)


def test_layers_that_are_taken_as_a_slice_are_parts_of_their_model(seen: Recorded) -> None:
    """Also where the optimizer is given lists, and does not know the model."""
    model = OfLayers()
    model(torch.ones(1, 4))
    train(model, torch.optim.SGD([{"params": list(model.parameters())}], lr=0.1))
    seen.client.disable()
    run = seen.run
    assert run.estimator == f"{__name__}.OfLayers"
    assert {name: value for name, value in run.params.items() if name.startswith("model")} == {
        "model": "OfLayers",
        "model.parameters": 75,
        "model.trainable_parameters": 75,
        "model.dtype": "float32",
        "model.device": "cpu",
    }


class Small(nn.Module):
    """A module of its own class."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x: Any) -> Any:
        return self.layer(x)


def test_a_model_that_is_averaged_is_itself_the_model(
    seen: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither its average nor a part of anything; Python is not asked for all that it knows of to find that out."""
    import gc

    from torch.optim.swa_utils import AveragedModel

    model = Small()
    averaged = AveragedModel(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    monkeypatch.setattr(gc, "get_objects", lambda: pytest.fail("all objects were asked for"))
    train(model, optimizer)
    averaged.update_parameters(model)
    seen.client.disable()
    [saved] = seen.run.models
    again = autolog.load_model(seen.run.folder / saved["path"], trust=True)
    assert (type(again), seen.run.params["model"]) == (Small, "Small")
    assert all((again.state_dict()[name] == t).all() for name, t in model.state_dict().items())


def test_layers_that_are_inserted_are_parts_of_their_model(seen: Recorded) -> None:
    """torch tells nobody of them."""
    model = nn.Sequential(nn.Linear(4, 4), Small())
    model.insert(0, Small())
    model[0].layer = nn.Linear(4, 4)
    train(model, torch.optim.SGD(list(model.parameters()), lr=0.1))
    seen.client.disable()
    assert (seen.run.params["model"], seen.run.params["model.parameters"]) == ("Sequential", 55)


def test_a_copied_layer_whose_parts_are_all_replaced_is_a_part_of_its_model(seen: Recorded) -> None:
    """As by adapters that are put around each of them. The copy was not registered, the adapters are."""

    class Adapted(nn.Module):
        def __init__(self, base: Any) -> None:
            super().__init__()
            self.base, self.adapter = base.requires_grad_(False), nn.Linear(4, 3, bias=False)

        def forward(self, x: Any) -> Any:
            return self.base(x) + self.adapter(x)

    model = copy.deepcopy(nn.Sequential(Small()))
    for layer in model[:1]:
        layer.layer = Adapted(layer.layer)
    train(model, torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1))
    seen.client.disable()
    assert (seen.run.params["model"], seen.run.params["model.trainable_parameters"]) == ("Sequential", 12)
