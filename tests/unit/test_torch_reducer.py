"""The promise: whose steps are which run's, and what is training and what evaluation, follows from a list of events alone:
these tests write trainings as such lists, without PyTorch.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any

import pytest

from autolog_torch.events import (
    Backward,
    Batch,
    ByHand,
    Criterion,
    Died,
    Event,
    LoaderBegan,
    LoaderEnded,
    Loss,
    Place,
    Read,
    Skipped,
    Step,
)
from autolog_torch.passes import Pass
from autolog_torch.recording import Recording
from autolog_torch.reducer import Reducer, Relation
from autolog_torch.sites import Site

CODE = (lambda: None).__code__
SITES = {name: Site(CODE, name, False) for name in ("loss", "other", "acc")}
OFF = Place(grad=False)
EVAL = Place(grad=False, in_eval=True, put_to_eval=True)


class Run:
    """Keeps what is logged."""

    overhead, allowance = 0.0, 1.0

    def __init__(self) -> None:
        self.params: dict[str, Any] = {}
        self.notes: list[str] = []
        self.points: dict[str, list[tuple[int, float]]] = {}

    def log_params(self, params: dict[str, Any]) -> None:
        self.params.update(params)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def describe_metrics(self, *_: Any, **__: Any) -> None:
        pass

    def log_metrics(self, metrics: dict[str, float], step: int, epoch: float) -> None:
        for name, value in metrics.items():
            self.points.setdefault(name, []).append((step, value))


class World:
    """Optimizers are numbers; `stranger` ones have no parameters of the others, unless `relations` says something else."""

    def __init__(self, **relations: Relation) -> None:
        self.relations = {int(name[1:]): one for name, one in relations.items()}
        self.made = 0
        self.happened: list[str] = []
        self.runs: list[Run] = []
        self.interrupted = False
        self.reducer = Reducer(self)  # type: ignore[arg-type]

    def clock(self) -> int:
        return self.made

    def was_interrupted(self) -> bool:
        return self.interrupted

    def relation(self, optimizer: int, members: list[int]) -> Relation:
        return self.relations.get(optimizer, Relation.STRANGER)

    def open(self, optimizer: int, began_at: int, now: int) -> Recording:
        self.happened.append(f"run of {optimizer}")
        recording = Recording(lambda: False)
        recording.run = Run()  # type: ignore[assignment]
        self.runs.append(recording.run)  # type: ignore[arg-type]
        return recording

    def joined(self, recording: Recording, optimizer: int, number: int, alias: bool) -> None:
        self.happened.append(f"{optimizer} {'is an alias' if alias else 'joins'}")

    def leads(self, optimizer: int, by_hand: bool) -> None:
        self.happened.append(f"{optimizer} leads{' by hand' if by_hand else ''}")

    def began_epoch(self) -> None:
        self.happened.append("epoch")

    def finished(self, recording: Recording) -> None:
        self.happened.append("end")

    def end(self, recording: Recording) -> None:
        self.reducer.close(recording)

    def told(self, *events: Event) -> World:
        """What comes of these events, and of the end of the program."""
        for event in events:
            self.reducer([event])
        if self.reducer.training is not None:
            self.end(self.reducer.training.recording)
        return self


def loss(value: float, name: str = "loss", clock: int = 0) -> Backward:
    return Backward((Loss(SITES[name], value, clock=clock or 99),))


def step(optimizer: int = 1, value: float = 1.0, name: str = "loss") -> list[Event]:
    return [loss(value, name), Step(optimizer, (0.1,))]


def epoch(
    number: int, *events: Event, data: tuple[int, int] = (1, 1), grad: bool = True, name: str = "loader"
) -> list[Event]:
    """A loader that gives a batch before each of these events, but for steps."""
    found: list[Event] = [LoaderBegan(number, Pass(name, data, (object,)))]
    for event in events:
        if not isinstance(event, Step):
            found.append(Batch(number, 4, 0.0, 0.0, grad))
        found.append(event)
    return [*found, LoaderEnded(number, 1.0)]


def test_each_step_is_recorded_when_an_optimizer_falls_silent_for_good() -> None:
    """As of layers that are trained one after the other: it takes a while to know that the second one leads."""
    world = World()
    world.made = 10
    second = [event for number in range(20) for event in step(2, 5.0 + number)]
    world.told(*step(1, 1.0), *step(1, 2.0), *step(1, 3.0), *second)
    points = [
        point for name, found in world.runs[0].points.items() if name.endswith("_step") for point in found
    ]
    assert sorted(points) == [
        (0, 1.0),
        (1, 2.0),
        (2, 3.0),
        *((3 + number, 5.0 + number) for number in range(20)),
    ]


# -- whose steps


@pytest.mark.parametrize(
    ("relations", "events", "expected"),
    [
        ({}, [*step(1), *step(1)], ["run of 1", "1 leads", "end"]),
        # A GAN: the second optimizer was made before the run began.
        ({}, [*step(3), *step(2, name="other")], ["run of 3", "3 leads", "2 joins", "end"]),
        # The second one is made later: it waits, and joins when the first one steps again.
        ({}, [*step(1), *step(12), *step(1)], ["run of 1", "1 leads", "12 joins", "end"]),
        # It steps again by itself: another training.
        ({}, [*step(1), *step(12), *step(12)], ["run of 1", "1 leads", "end", "run of 12", "12 leads", "end"]),
        # Nothing follows: its one step was a training.
        ({}, [*step(1), *step(12)], ["run of 1", "1 leads", "end", "run of 12", "12 leads", "end"]),
        # It evaluates again and again within its step, which may be all of it.
        (
            {}, [*step(1), loss(2), Step(12, again=True)],
            ["run of 1", "1 leads", "end", "run of 12", "12 leads", "end"],
        ),
        ({"o12": Relation.SHARES}, [*step(1), *step(12)], ["run of 1", "1 leads", "12 joins", "end"]),
        ({"o12": Relation.ALIAS}, [*step(1), Step(12)], ["run of 1", "1 leads", "12 is an alias", "end"]),
        (
            {"o12": Relation.ALONE}, [*step(1), Died(1), *step(12)],
            ["run of 1", "1 leads", "end", "run of 12", "12 leads", "end"],
        ),
        # A second stage: the optimizer before is gone.
        (
            {"o12": Relation.SHARES}, [*step(1), Died(1), *step(12)],
            ["run of 1", "1 leads", "12 joins", "12 leads", "end"],
        ),
        # One that waits is gone when a third one comes: that waits for itself, with its own losses.
        (
            {}, [*step(1), *step(12), Died(12), *step(13, 5.0)],
            ["run of 1", "1 leads", "end", "run of 13", "13 leads", "end"],
        ),
        ({}, [loss(1), loss(2), ByHand(0)], ["run of 0", "0 leads", "0 leads by hand", "end"]),
    ],
)  # fmt: skip
def test_whose_step_it_is(relations: Any, events: list[Event], expected: list[str]) -> None:
    world = World(**relations)
    world.made = 10
    assert world.told(*events).happened == expected


def test_an_optimizer_that_is_gone_before_it_is_known_whose_it_is_is_said() -> None:
    world = World()
    world.made = 10
    world.told(*step(1), *step(12), Died(12))
    assert world.runs[0].notes == [
        "Another training made one step while this one's optimizer was there, and was gone. It is not recorded."
    ]


def test_the_losses_of_one_that_is_gone_are_not_the_next_ones() -> None:
    world = World()
    world.made = 10
    world.told(*step(1), *step(12, 100.0), Died(12), *step(13, 5.0), *step(13, 7.0))
    assert [run.points["train/loss_step"] for run in world.runs] == [[(0, 1.0)], [(0, 5.0), (1, 7.0)]]


def test_after_an_exception_a_new_optimizer_begins_a_new_run() -> None:
    world = World(o2=Relation.SHARES)
    for event in step(1):
        world.reducer([event])
    world.interrupted = True
    assert world.told(*step(2)).happened == ["run of 1", "1 leads", "end", "run of 2", "2 leads", "end"]


def test_a_loss_from_before_an_optimizer_was_made_is_not_its() -> None:
    """As that of a search for a learning rate that was given up."""
    world = World().told(loss(100.0, clock=1), loss(1.0, clock=2), Step(2))
    assert world.runs[0].points["train/loss"] == [(0, 1.0)]


# -- what is training, and what evaluation


def points(*events: Event) -> dict[str, list[tuple[int, float]]]:
    """Those of the only run."""
    [run] = World().told(*events).runs
    return {
        name: told
        for name, told in run.points.items()
        if name not in ("lr", "data_wait", "samples_per_second")
    }


def test_epochs_and_evaluations_over_loaders() -> None:
    value = [Criterion("MSELoss", one, False, 4, EVAL) for one in (0.5, 1.5)]
    assert points(
        *epoch(7, *step(value=1.0), *step(value=3.0)), *epoch(8, *value, data=(2, 2), grad=False, name="val"),
        *epoch(7, *step(value=5.0), *step(value=7.0)), *epoch(8, *value, data=(2, 2), grad=False, name="val"),
    ) == {
        "train/loss_step": [(0, 1.0), (1, 3.0), (2, 5.0), (3, 7.0)], "train/loss": [(1, 2.0), (3, 6.0)],
        "val/loss": [(1, 1.0), (3, 1.0)],
    }  # fmt: skip


def test_a_batch_that_is_kept_until_the_next_epoch_is_of_its_own() -> None:
    """A step at every second of three batches: the third one's loss is of its epoch, and of the step in the next one."""
    events = [loss(1.0), loss(3.0), Step(1), loss(8.0)]
    assert points(*epoch(7, *events), *epoch(7, loss(2.0), Step(1)))["train/loss"] == [(0, 4.0), (1, 2.0)]


def test_a_step_that_a_scaler_leaves_out_is_of_the_epoch_and_no_accumulation() -> None:
    world = World().told(*epoch(7, loss(2.0), Skipped(), *step(value=4.0)))
    assert world.runs[0].points["train/loss_step"] == [(0, 4.0)]
    assert world.runs[0].points["train/loss"] == [(0, 3.0)]
    assert "backwards_per_step" not in world.runs[0].params


def test_batches_that_are_fetched_one_by_one_are_one_epoch() -> None:
    """`next(iter(loader))` at each step."""
    one_by_one: list[Event] = []
    for number in range(3):
        one_by_one += [
            LoaderBegan(number, Pass("loader", (1, 1), (object,))), Batch(number, 4, 0.0, 0.0),
            LoaderEnded(number, 1.0, dropped=True), *step(value=float(number)),
        ]  # fmt: skip
    assert points(*one_by_one)["train/loss"] == [(2, 1.0)]


def test_gradients_alone_tell_no_evaluation() -> None:
    """Without a loader and in training mode, a number that is read without gradients has no phase."""
    events = [event for n in range(2) for event in (*step(value=float(n)), Read(SITES["acc"], 0.25 + n, OFF))]
    assert points(*events) == {
        "train/loss_step": [(0, 0.0), (1, 1.0)], "train/loss": [(1, 0.5)],
        "reads/acc_step": [(0, 0.25), (1, 1.25)], "reads/acc": [(1, 0.75)],
    }  # fmt: skip
    in_eval = [
        event for n in range(2) for event in (*step(value=float(n)), Read(SITES["acc"], 0.25 + n, EVAL))
    ]
    assert points(*in_eval)["val/reads/acc"] == [(0, 0.25), (1, 1.25)]


def test_what_is_read_before_and_after_a_training_is_not_of_it() -> None:
    """Unless it is read during it, too."""
    told = points(
        Read(SITES["other"], 7.0, Place()), *step(value=1.0), Read(SITES["acc"], 0.5, Place()), *step(value=2.0),
        Read(SITES["acc"], 0.5, Place()), Read(SITES["loss"], 9.0, Place()),
    )  # fmt: skip
    assert {name for name in told if "reads" in name} == {"reads/acc", "reads/acc_step"}


def test_new_loaders_of_one_data_set_are_one_series_and_two_data_sets_are_two() -> None:
    """Though all loaders live: each evaluation makes its own, and one function evaluates both."""
    events: list[Event] = []
    loaders = iter(range(10, 100))
    for value in (1.0, 2.0):
        events += epoch(7, *step(value=value))
        for data in (2, 3):
            number = next(loaders)
            read = Criterion("MSELoss", value * data, False, 4, EVAL)
            events += epoch(number, read, data=(data, number), grad=False)
    told = points(*events)
    assert (told["val/loss"], told["val2/loss"]) == ([(0, 2.0), (1, 4.0)], [(0, 3.0), (1, 6.0)])


class Gone:
    """What held something that has died at once."""

    def __call__(self) -> None:
        return None

    def __init__(self) -> None:
        self.died = perf_counter()


def test_a_new_loader_at_the_place_of_a_dead_one_is_another() -> None:
    """Python gives what is made in the place of something dead the same id: here the next epoch's, before it is logged."""
    events: list[Event] = []
    for number in range(2):
        events += [
            LoaderBegan(number, Pass("train", (1, 1) if number == 0 else (2, 2), (Gone(),))), Batch(number, 4, 0.0, 0.0),
            *step(value=float(number)), LoaderEnded(number, 1.0),
        ]  # fmt: skip
        found = LoaderBegan(10, Pass("val", (2, 2) if number == 0 else (3, 3), (gone := Gone(),)))
        events += [found, Batch(10, 4, 0.0, 0.0, False), Criterion("MSELoss", 0.5 + number, False, 4, EVAL)]
        gone.died = perf_counter()
        events.append(LoaderEnded(10, 1.0))
    assert points(*events)["val/loss"] == [(0, 0.5), (1, 1.5)]


def test_the_reducer_knows_neither_torch_nor_the_store() -> None:
    import subprocess
    import sys

    code = "import sys, autolog_torch.reducer; print('torch' in sys.modules, 'sqlite3' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"
