"""The promise: of a loop as people write it, unchanged, every number that it computes itself is recorded, in the right number
of runs, epochs and steps.
"""

from __future__ import annotations

from typing import Any

import loops
import pytest
import torch

from autolog import RunRecord
from autolog.testing import Recorded
from autolog_torch.events import Backward
from autolog_torch.reducer import Reducer

# Each loop: its runs, and the epochs and steps of the first.
LOOPS = {
    "epochs_over_a_loader": (1, 3, 9), "training_and_validation": (1, 3, 9), "mnist_example": (1, 3, 9), "gan": (1, 2, 8),
    "accumulation_with_amp": (1, 3, 12), "grad_scaler": (1, 1, 6), "lbfgs": (1, 6, 6), "batches_by_hand": (1, 3, 12),
    "updates_by_hand": (1, 1, 20), "regression_example": (1, 1, 30), "reinforce": (1, 1, 12),
    "actor_and_critic": (1, 1, 10), "a_shared_helper": (1, 1, 6), "two_stages": (1, 1, 16),
    "several_losses_at_once": (1, 1, 5), "gradients_by_grad": (1, 1, 5), "two_loaders_at_once": (1, 2, 6),
    "evaluation_within_an_epoch": (1, 2, 12), "workers_that_stay": (1, 2, 6), "lookahead": (1, 1, 6),
    "a_step_that_calls_its_parents": (1, 1, 6), "checkpointed": (1, 1, 5), "wgan_gp": (1, 1, 9), "sam": (1, 1, 5),
    "endless_data": (1, 1, 12), "compiled_model": (1, 2, 4), "sweep": (20, 1, 3), "sweep_that_keeps_all": (4, 1, 4),
    "steps_with_evaluations": (1, 4, 13), "vae": (1, 2, 6), "distillation": (1, 2, 6), "dqn": (1, 1, 13),
    "early_stopping": (1, 8, 24), "a_trainer_class": (1, 2, 6), "scaled_and_accumulated": (1, 1, 3),
    "two_generators": (1, 1, 6), "averaged_weights": (1, 3, 9), "ppo": (1, 1, 12), "truncated_backpropagation": (1, 3, 9),
    "optimizers_within_backward": (1, 1, 6), "accuracies_of_training": (1, 2, 6), "folds_over_loaders": (3, 2, 4),
    "engines": (1, 3, 9), "quickstart_tutorial": (1, 3, 24), "transfer_learning_tutorial": (1, 3, 9), "mixup": (1, 2, 6),
    "evaluations_of_all_data": (1, 3, 9), "samplers_of_one_data_set": (1, 2, 8),
    "folds": (3, 1, 4), "ema": (1, 1, 6), "adversarial_gradients": (0, 0, 0), "nothing_but_inference": (0, 0, 0),
}  # fmt: skip


def values(run: RunRecord) -> list[float]:
    """Every value of every metric."""
    return [point.value for name in run.metrics for point in run.history(name)]


def epochs(run: RunRecord) -> int:
    """How many ends of epochs there are."""
    return len({p.epoch for name in run.metrics if not name.endswith("_step") for p in run.history(name)})


def steps(run: RunRecord) -> int:
    return 1 + max(p.step for name in run.metrics for p in run.history(name))


@pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad")
@pytest.mark.parametrize("name", LOOPS)
def test_what_a_loop_computes_is_recorded(seen: Recorded, name: str) -> None:
    """Complete: to 1e-6, by whatever name; and no more runs, epochs or steps than there were."""
    numbers: dict[str, Any] = getattr(loops, name)()
    seen.client.disable()  # what ends the runs, as the process would
    runs = list(seen.runs)
    found = [value for run in runs for value in values(run)]
    wanted = [one for held in numbers.values() for one in (held if isinstance(held, list) else [held])]
    missing = [one for one in wanted if not any(one == pytest.approx(other, rel=1e-6) for other in found)]
    assert missing == []
    assert [(run.status, run.errors) for run in runs] == [("finished", [])] * len(runs)
    first = (epochs(runs[0]), steps(runs[0])) if runs else (0, 0)
    assert (len(runs), *first) == LOOPS[name]


@pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad")
@pytest.mark.parametrize("name", LOOPS)
def test_it_does_not_matter_when_events_are_reduced(
    seen: Recorded, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """One by one, or many at once as in a fast loop, or without the reducer's short ways: the record is the same."""

    def record(many: int, seconds: float) -> list[Any]:
        monkeypatch.setattr("autolog_torch.tracker.MANY", many)
        monkeypatch.setattr("autolog_torch.hooks.MANY", many)
        monkeypatch.setattr("autolog_torch.tracker.SECONDS", seconds)
        torch.manual_seed(0)
        before = len(list(seen.runs))
        getattr(loops, name)()
        seen.client.disable()
        seen.client.enable("torch")
        return [
            (
                run.params, run.notes,
                {
                    one: [(p.step, p.epoch, p.value) for p in run.history(one)]
                    for one in run.metrics if one not in ("data_wait", "samples_per_second")
                },
            )
            for run in list(seen.runs)[before:]
        ]  # fmt: skip

    one_by_one = record(1, 0.0)
    assert record(100_000, 1000.0) == one_by_one
    monkeypatch.setattr(Reducer, "_step", Reducer._step_of_any)
    monkeypatch.setattr(Reducer, "_loss", lambda self, loss: self._backward(Backward((loss,))))
    assert record(256, 0.1) == one_by_one


def test_every_loop_is_tried() -> None:
    """A new one is not forgotten here."""
    own = {
        name
        for name, held in vars(loops).items()
        if getattr(held, "__module__", "") == "loops" and name.islower()
    }
    assert {name for name in own if not name.startswith("_")} - {"data", "unseen", "xy"} == set(LOOPS)
