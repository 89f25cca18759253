"""The promise: torch.compile makes the graphs that it makes without us, with as many breaks and frames; and what is compiled
is recorded all the same.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any

import loops
import pytest
import torch
from packaging.version import Version
from torch import nn

from autolog.testing import recorded

X, Y = torch.ones(8, 4), torch.zeros(8, dtype=torch.long)
CRITERION = nn.CrossEntropyLoss()


def net() -> Any:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


def the_model(compiled: Any) -> None:
    model = net()
    whole = compiled(model, fullgraph=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(4):
        optimizer.zero_grad()
        CRITERION(whole(X), Y).backward()
        optimizer.step()


def the_whole_step(compiled: Any) -> None:
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    @compiled
    def step() -> Any:
        optimizer.zero_grad()
        loss = CRITERION(model(X), Y)
        loss.backward()
        optimizer.step()
        return loss.item()

    for _ in range(12):
        step()


def the_optimizers_step(compiled: Any) -> None:
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    step = compiled(optimizer.step)
    for _ in range(12):
        optimizer.zero_grad()
        CRITERION(model(X), Y).backward()
        step()


def an_epoch(compiled: Any) -> None:
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loader = torch.utils.data.DataLoader(loops.data(16), batch_size=8)

    @compiled
    def epoch() -> float:
        total = 0.0
        for x, y in loader:
            optimizer.zero_grad()
            loss = CRITERION(model(x), y)
            loss.backward()
            optimizer.step()
            total += loss.item()
        return total

    for _ in range(3):
        epoch()


def an_evaluation(compiled: Any) -> None:
    model = net()

    @compiled(fullgraph=True)
    def evaluate(x: Any, y: Any) -> Any:
        model.eval()
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            return CRITERION(model(x), y)

    evaluate(X, Y).item()


def a_number(compiled: Any) -> None:
    @compiled
    def number(x: Any) -> Any:
        return (x * 2).sum().item() + 1

    number(X)


def a_loss_within_the_model(compiled: Any) -> None:
    class WithLoss(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.criterion = net(), nn.MSELoss(reduction="sum")

        def forward(self, x: Any) -> Any:
            return self.criterion(self.body(x), torch.zeros(len(x), 3))

    model = WithLoss()
    optimizer = torch.optim.Adam(model.parameters())
    whole = compiled(model, fullgraph=True)
    for _ in range(3):
        optimizer.zero_grad()
        whole(X).backward()
        optimizer.step()


def two_sizes_of_batches(compiled: Any) -> None:
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    whole = compiled(model)
    for rows in (8, 6, 8, 4):
        optimizer.zero_grad()
        CRITERION(whole(X[:rows]), Y[:rows]).backward()
        optimizer.step()


def a_scaled_loss(compiled: Any) -> None:
    model, scaler = net(), torch.amp.GradScaler("cpu")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    @compiled
    def loss_of(x: Any) -> Any:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = CRITERION(model(x), Y)
        return scaler.scale(loss)

    for _ in range(3):
        loss_of(X).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()


def modes_that_change(compiled: Any) -> None:
    model = net()

    @compiled
    def both(x: Any) -> Any:
        model.train()
        one = model(x).sum()
        model.eval()
        return one + model(x).sum()

    both(X)


def activations_computed_again(compiled: Any) -> None:
    from torch.utils.checkpoint import checkpoint

    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    @compiled(fullgraph=True)
    def loss_of(x: Any) -> Any:
        return CRITERION(checkpoint(model, x, use_reentrant=False), Y)

    for _ in range(3):
        optimizer.zero_grad()
        loss_of(X).backward()
        optimizer.step()


def a_pass_over_data(compiled: Any) -> None:
    model = net().eval()

    @compiled
    def count() -> int:
        with torch.no_grad():
            return sum(
                (model(x).argmax(1) == y).sum().item()
                for x, y in torch.utils.data.DataLoader(loops.data(16), batch_size=8)
            )

    count()


def a_module_made_within(compiled: Any) -> None:
    @compiled
    def made(x: Any) -> Any:
        return nn.Sequential(nn.Linear(4, 2), nn.ReLU())(x)

    made(X)


def a_schedule(compiled: Any) -> None:
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=torch.tensor(0.1))
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)

    @compiled
    def step() -> None:
        optimizer.step()
        scheduler.step()

    for _ in range(4):
        optimizer.zero_grad()
        CRITERION(model(X), Y).backward()
        step()


def what_cannot_be_one_graph(compiled: Any) -> None:
    """Fails with us as without."""
    model = net()

    @compiled(fullgraph=True)
    def step(x: Any) -> float:
        CRITERION(model(x), Y).backward()
        return 1.0

    with pytest.raises(torch._dynamo.exc.Unsupported):
        step(X)


SCENARIOS = (
    the_model, the_whole_step, the_optimizers_step, an_epoch, an_evaluation, a_number, a_loss_within_the_model,
    two_sizes_of_batches, a_scaled_loss, modes_that_change, activations_computed_again, a_pass_over_data,
    a_module_made_within, a_schedule, what_cannot_be_one_graph,
)  # fmt: skip
UNTRAINED = (
    an_evaluation, a_number, modes_that_change, a_pass_over_data, a_module_made_within, what_cannot_be_one_graph,
)  # fmt: skip


def counted(scenario: Callable[[Any], None]) -> dict[str, int]:
    """Graphs, breaks, compiled frames."""
    import torch._dynamo as dynamo
    from torch._dynamo.utils import counters

    graphs: list[Any] = []

    def backend(graph: Any, _: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    def compiled(function: Any = None, **how: Any) -> Any:
        return torch.compile(function, backend=backend, **how)

    dynamo.reset()
    counters.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scenario(compiled)
    return {
        "graphs": len(graphs), "breaks": sum(counters["graph_break"].values()), "frames": counters["frames"]["total"],
    }  # fmt: skip


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.__name__)
def test_as_many_graphs_breaks_and_frames(
    scenario: Callable[[Any], None], monkeypatch: Any, tmp_path: Any
) -> None:
    """As without us. Frames without a graph, of what our wrappers call, may be fewer."""
    monkeypatch.setenv("AUTOLOG_CONFIG_DIR", str(tmp_path / "config"))
    try:
        plain = counted(scenario)
    except torch._dynamo.exc.Unsupported as error:
        pytest.skip(f"this torch cannot compile it: {error}")
    with recorded("torch") as seen:
        assert "torch._dynamo" in sys.modules
        ours = counted(scenario)
        seen.client.disable()
    frames = ours.pop("frames"), plain.pop("frames")
    # Before torch 2.7, those of ours that are left alone are counted, too.
    assert frames[0] <= frames[1] or Version(torch.__version__) < Version("2.7")
    assert ours == plain
    runs = list(seen.runs)
    assert [run.errors for run in runs] == [[]] * len(runs)
    # Steps that nobody can see are found out by what they change, after a while.
    assert len(runs) == (scenario not in UNTRAINED)
