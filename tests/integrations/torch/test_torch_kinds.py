"""The promise: of each kind of loop, a reader finds this record. Whole: every param, every metric with all its points.

That of epochs over a loader is in `test_torch_records`, that of a distributed job in `test_torch_processes`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import signature
from typing import Any

import loops
import pytest
import torch
from test_torch_records import NET, SGD

from autolog import RunRecord
from autolog.testing import Recorded

Points = list[tuple[int, int, Any]]


def decoupled(kind: type[torch.optim.Optimizer]) -> dict[str, bool]:
    """A setting that not all supported versions of torch have: torch itself is asked."""
    name = "decoupled_weight_decay"
    defaults = kind([torch.zeros(1)]).defaults
    return {f"optimizer.{name}": defaults[name]} if name in defaults else {}


ADAM = {
    "optimizer": "Adam", "optimizer.lr": 0.01, "optimizer.betas": [0.9, 0.999], "optimizer.eps": 1e-8,
    "optimizer.weight_decay": 0, "optimizer.amsgrad": False, "optimizer.maximize": False, "optimizer.capturable": False,
    "optimizer.differentiable": False, **decoupled(torch.optim.Adam),
}  # fmt: skip
ADAMW = {
    **ADAM, "optimizer": "AdamW", "optimizer.weight_decay": 0.01, **decoupled(torch.optim.AdamW),
}  # fmt: skip


def loader(size: int, batch: int, sampler: str = "SequentialSampler") -> dict[str, Any]:
    return {
        "data.dataset": "TensorDataset", "data.size": size, "data.batch_size": batch, "data.sampler": sampler,
        "data.workers": 0, "data.drop_last": False, "data.pin_memory": False,
    }  # fmt: skip


def sequential(parameters: int, name: str = "model", dtype: str = "float32") -> dict[str, Any]:
    return {
        name: "Sequential", f"{name}.parameters": parameters, f"{name}.trainable_parameters": parameters,
        f"{name}.dtype": dtype, f"{name}.device": "cpu",
    }  # fmt: skip


def second(params: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The same, as those of the run's second optimizer."""
    return {name.replace("optimizer", "optimizer2"): value for name, value in params.items()} | changes


def each(values: Sequence[float], epoch_steps: int = 1000) -> Points:
    """One at each step."""
    return [(step, step // epoch_steps, near(value)) for step, value in enumerate(values)]


def at(steps: Sequence[int], values: Sequence[float]) -> Points:
    """One at the end of each epoch."""
    return [(step, epoch, near(value)) for epoch, (step, value) in enumerate(zip(steps, values, strict=True))]


def near(value: Any) -> Any:
    return pytest.approx(value, abs=1e-5)


def training_and_validation(numbers: Any, metrics: Any) -> dict[str, Any]:
    ends = (2, 5, 8)
    return {
        "params": {
            **ADAM, **NET, **loader(48, 16), "loss": "CrossEntropyLoss",
            "scheduler": "StepLR", "scheduler.step_size": 1, "scheduler.gamma": 0.5,
        },
        "metrics": {
            "train/loss": at(ends, numbers["train"]),
            "train/loss_step": each([value for _, _, value in metrics["train/loss_step"]], 3),
            "val/loss": at(ends, numbers["validation"]),
            "val/reads/correct": at(ends, numbers["accuracy"]),
            "lr": [(0, 0, 0.01), (2, 0, 0.01), (3, 1, 0.005), (5, 1, 0.005), (6, 2, 0.0025), (8, 2, 0.0025)],
        },
        "datasets": ["train"],
    }  # fmt: skip


def gan(numbers: Any, metrics: Any) -> dict[str, Any]:
    expected: dict[str, Points] = {"reads/D_x": at((3, 7), numbers["D_x"])}
    for name in ("errD_real", "errD_fake", "errG"):
        values = numbers[name]
        expected[f"train/loss.{name}_step"] = each(values, 4)
        expected[f"train/loss.{name}"] = at((3, 7), (sum(values[:4]) / 4, sum(values[4:]) / 4))
    return {
        "estimator": "torch.nn.modules.container.Sequential",
        "params": {
            **ADAM, "optimizer.lr": 0.002, **second(ADAM, **{"optimizer2.lr": 0.001}), **loader(32, 8), "loss": "BCELoss",
            **sequential(5), **sequential(12, "model2"),
        },
        "metrics": {
            **expected, "lr": [(0, 0, 0.002), (3, 0, 0.002), (7, 1, 0.002)],
            "lr.optimizer2": [(0, 0, 0.001), (3, 0, 0.001), (7, 1, 0.001)],
        },
        "models": ["model", "model2"],
        "datasets": ["train"],
    }  # fmt: skip


def accumulation_with_amp(numbers: Any, metrics: Any) -> dict[str, Any]:
    ends = (3, 7, 11)
    return {
        "params": {
            **ADAMW, **NET, **loader(64, 4), "loss": "CrossEntropyLoss", "amp": "bfloat16", "backwards_per_step": 4,
            "optimizer.lr": 0.01, "optimizer.max_lr": 0.1,
            "optimizer.min_lr": near(4e-7), "optimizer.betas": [0.95, 0.999], "optimizer.base_momentum": 0.85,
            "optimizer.max_momentum": 0.95, "scheduler": "OneCycleLR", "scheduler.total_steps": 12,
            "scheduler.cycle_momentum": True, "scheduler.use_beta1": True,
        },
        "metrics": {
            "train/loss": at(ends, numbers["mean"]),
            "train/loss_step": each([value for _, _, value in metrics["train/loss_step"]], 4),
            "val/loss": at(ends, numbers["validation"]),
            "lr": each([value for _, _, value in metrics["lr"]], 4),
        },
        "datasets": ["train"],
    }  # fmt: skip


def grad_scaler(numbers: Any, metrics: Any) -> dict[str, Any]:
    return {
        "params": {
            **SGD, "optimizer.lr": 0.01, **NET, **loader(48, 8), "amp": "bfloat16", "grad_scaler": True,
        },
        "metrics": {
            "train/loss": [(5, 0, near(numbers["mean"]))],
            "train/loss_step": each(numbers["losses"]),
            "lr": [(0, 0, 0.01), (5, 0, 0.01)],
        },
        "datasets": ["train"],
    }  # fmt: skip


def lbfgs(numbers: Any, metrics: Any) -> dict[str, Any]:
    """Each of its steps is followed by an evaluation."""
    return {
        "estimator": "torch.nn.modules.container.Sequential",
        "params": {
            "optimizer": "LBFGS", "optimizer.lr": 0.8, "optimizer.max_iter": 12, "optimizer.max_eval": 15,
            "optimizer.history_size": 100, "optimizer.tolerance_grad": 1e-7, "optimizer.tolerance_change": 1e-9,
            **({"optimizer.maximize": False} if "maximize" in signature(torch.optim.LBFGS).parameters else {}),  # 2.15
            "loss": "MSELoss", **sequential(25, dtype="float64"),
        },
        "metrics": {
            "train/loss": each(numbers["first"], 1),
            "train/loss_step": each(numbers["first"], 1),
            "val/loss": each(numbers["test"], 1),
            "lr": each([0.8] * 6, 1),
        },
    }  # fmt: skip


def batches_by_hand(numbers: Any, metrics: Any) -> dict[str, Any]:
    """The evaluations tell the epochs."""
    ends = (3, 7, 11)
    return {
        "params": {**ADAMW, **NET, "loss": "CrossEntropyLoss"},
        "metrics": {
            "train/loss": at(ends, numbers["mean"]),
            "train/loss_step": each([value for _, _, value in metrics["train/loss_step"]], 4),
            "val/loss": at(ends, numbers["validation"]),
            "lr": [(0, 0, 0.01), *at(ends, [0.01] * 3)],
        },
    }


def reinforce(numbers: Any, metrics: Any) -> dict[str, Any]:
    """Nothing tells an epoch; the numbers of actions are no metric."""
    losses = numbers["losses"]
    return {
        "estimator": "torch.nn.modules.container.Sequential",
        "params": {**ADAM, **sequential(10)},
        "metrics": {
            "train/loss": [(11, 0, near(sum(losses) / 12))],
            "train/loss_step": each(losses),
            "lr": [(0, 0, 0.01), (11, 0, 0.01)],
        },
    }


def compiled_model(numbers: Any, metrics: Any) -> dict[str, Any]:
    return {
        "params": {
            **ADAM, **NET, **loader(32, 16), "loss": "CrossEntropyLoss", "model.wrappers": ["OptimizedModule"],
            "model.compiled": True,
        },
        "metrics": {
            "train/loss": at((1, 3), numbers["mean"]),
            "train/loss_step": each([value for _, _, value in metrics["train/loss_step"]], 2),
            "val/reads/evaluate": at((1, 3), numbers["validation"]),
            "lr": [(0, 0, 0.01), (1, 0, 0.01), (3, 1, 0.01)],
        },
        "datasets": ["train"],
    }  # fmt: skip


def two_stages(numbers: Any, metrics: Any) -> dict[str, Any]:
    """The second optimizer goes on where the first one, which is gone, has stopped."""
    losses = numbers["losses"]
    return {
        "params": {**SGD, **second(ADAM), **NET, "loss": "CrossEntropyLoss"},
        "metrics": {
            "train/loss": [(15, 0, near(sum(losses) / 16))],
            "train/loss_step": each(losses),
            "lr": [(0, 0, 0.1), (8, 0, 0.01), (15, 0, 0.01)],
        },
    }


def sweep(numbers: Any, metrics: Any) -> dict[str, Any]:
    """The last of twenty."""
    values = [value for _, _, value in metrics["train/loss_step"]]
    assert values[-1] == near(numbers["last losses"][-1])
    return {
        "params": {**SGD, "optimizer.lr": 0.2, **NET},
        "metrics": {
            "train/loss": [(2, 0, near(sum(values) / 3))],
            "train/loss_step": each(values),
            "lr": [(0, 0, 0.2), (2, 0, 0.2)],
        },
    }


def quickstart_tutorial(numbers: Any, metrics: Any) -> dict[str, Any]:
    """A count of floats is a share of the samples."""
    ends = (7, 15, 23)
    return {
        "params": {**SGD, "optimizer.lr": 0.01, **NET, **loader(64, 8), "loss": "CrossEntropyLoss"},
        "metrics": {
            "train/loss": at(ends, [value for _, _, value in metrics["train/loss"]]),
            "train/loss_step": each([value for _, _, value in metrics["train/loss_step"]], 8),
            "val/loss": at(ends, numbers["loss"]),
            "val/reads/correct": at(ends, numbers["accuracy"]),
            "lr": [(0, 0, 0.01), *at(ends, [0.01] * 3)],
        },
        "datasets": ["train"],
    }


def transfer_learning_tutorial(numbers: Any, metrics: Any) -> dict[str, Any]:
    """What is put into a text is read, too."""
    ends, said = (2, 5, 8), numbers["said"]
    return {
        "params": {
            **SGD, "optimizer.lr": 0.01, "optimizer.momentum": 0.9, **NET, "model.trainable_parameters": 43, **loader(48, 16),
            "loss": "CrossEntropyLoss",
        },
        "metrics": {
            "train/loss": at(ends, said[::4]),
            "train/loss_step": each([value for _, _, value in metrics["train/loss_step"]], 3),
            "reads/epoch_acc": at(ends, said[1::4]),
            "val/loss": at(ends, said[2::4]),
            "val/reads/epoch_acc": at(ends, said[3::4]),
            "lr": [(0, 0, 0.01), *at(ends, [0.01] * 3)],
        },
        "datasets": ["train"],
    }  # fmt: skip


def mixup(numbers: Any, metrics: Any) -> dict[str, Any]:
    """Two places of one name are not mixed."""
    ends = (2, 5)
    return {
        "params": {**SGD, **NET, **loader(48, 16), "loss": "CrossEntropyLoss"},
        "metrics": {
            "train/loss": at(ends, numbers["loss"]),
            "train/loss_step": each([value for _, _, value in metrics["train/loss_step"]], 3),
            "reads/correct": at(ends, numbers["first"]),
            "reads/correct_2": at(ends, numbers["second"]),
            "lr": [(0, 0, 0.1), *at(ends, [0.1] * 2)],
        },
        "datasets": ["train"],
    }


def evaluations_of_all_data(numbers: Any, metrics: Any) -> dict[str, Any]:
    """Each data set has a name of its own, though all are evaluated by one function."""
    ends, evaluated = (2, 5, 8), {}
    for name, part in (("train_eval", slice(0, 6, 2)), ("val", slice(1, 6, 2)), ("val2", slice(6, 7))):
        steps = [(step, epoch) for epoch, step in enumerate(ends)][-1 if name == "val2" else 0 :]
        for read, values in (("correct", numbers["accuracy"]), ("loss", numbers["loss"])):
            evaluated[f"{name}/reads/{read}"] = [
                (*where, near(value)) for where, value in zip(steps, values[part], strict=True)
            ]
    return {
        "params": {**ADAM, **NET, **loader(48, 16)},
        "metrics": {
            "train/loss": metrics["train/loss"], "train/loss_step": metrics["train/loss_step"], **evaluated,
            "lr": [(0, 0, 0.01), *at(ends, [0.01] * 3)],
        },
        "datasets": ["train"],
    }  # fmt: skip


KINDS: dict[Callable[[Any, Any], dict[str, Any]], int] = {
    training_and_validation: 1, gan: 1, accumulation_with_amp: 1, grad_scaler: 1, lbfgs: 1, batches_by_hand: 1,
    reinforce: 1, compiled_model: 1, two_stages: 1, sweep: 20, quickstart_tutorial: 1, transfer_learning_tutorial: 1,
    mixup: 1, evaluations_of_all_data: 1,
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad")
@pytest.mark.parametrize("expected", KINDS, ids=lambda one: one.__name__)
def test_a_whole_record(
    seen: Recorded,
    visible: Callable[[RunRecord], dict[str, Any]],
    expected: Callable[[Any, Any], dict[str, Any]],
) -> None:
    """Of the last run of the loop of this name."""
    numbers = getattr(loops, expected.__name__)()
    seen.client.disable()
    runs = seen.runs
    shown = visible(runs[-1])
    shown["models"] = [path for path, flavor in shown["models"] if flavor == "pytorch"]
    shown["datasets"] = [one["context"] for one in shown["datasets"]]
    del shown["artifacts"]  # the models' files
    assert len(runs) == KINDS[expected]
    assert shown == {
        "status": "finished", "framework": "torch", "kind": "train", "estimator": "loops.Net", "tags": {}, "error": None,
        "errors": [], "notes": [], "models": ["model"], "datasets": [], **expected(numbers, shown["metrics"]),
    }  # fmt: skip
