"""The promise: of a loop as its author has written it, each number is recorded once, as what it is: of the training, of a
validation, or under its own name where nothing says which; what is no metric is none.
"""

from __future__ import annotations

import re
from typing import Any

import loops_as_written as loops
import pytest

from autolog import RunRecord
from autolog.testing import Recorded

FAILING: dict[str, str] = {
    "mingpt_trainer": 'what stands in a text, and in no variable, is missing: `"%.2f" % (100 * rt.mean())`',
    "yolo_like": "what `.tolist()` gives of several numbers is missing",
    "running_means_in_a_bar": "the parts of a tensor that `%11.4g` is given by `*mloss` are missing",
    "maml_first_order": "15 runs, one for each copy, with a query_loss of the copy before; no meta_loss",
    "reptile": "5 runs of 4 steps, one for each copy: nothing tells them from a k-fold's",
    "masks_in_a_loop": "the accuracies of train, val and test, read at one place, are one val/reads/mean, their mean",
}
"""What is recorded wrongly today, by loop. An entry goes when its loop is recorded as it is expected to be."""

LOOPS = [
    name
    for name, held in vars(loops).items()
    if getattr(held, "__module__", "") == loops.__name__ and name.islower() and not name.startswith("_")
]
VALIDATION = {"val", "valid", "validation", "test", "eval", "evaluation", "dev"}


def phase(name: str) -> str:
    """What a metric's name says that it was measured on: `train`, `val`, or nothing."""
    words = set(re.split("[^a-z]+", name.lower()))
    if words & {"train", "training", "lr"}:
        return "train"
    return "val" if words & VALIDATION else ""


def same(one: Any, other: Any) -> bool:
    return bool(one == pytest.approx(other, rel=1e-6, abs=1e-9))


def wrong(run: RunRecord, expected: loops.Expected) -> list[str]:
    """Each thing that the record of a run does not say as it should."""
    found: list[str] = []
    points = {name: list(run.history(name)) for name in run.metrics}
    series = {name: [p.value for p in history] for name, history in points.items()}
    ends = {p.epoch for name, history in points.items() if not name.endswith("_step") for p in history}
    steps = {p.step for history in points.values() for p in history}
    if run.errors:
        found.append(f"errors: {run.errors}")
    if len(ends) != expected.epochs:
        found.append(f"{len(ends)} epochs instead of {expected.epochs}")
    if (min(steps, default=0), 1 + max(steps, default=-1)) != (expected.first, expected.steps):
        found.append(f"steps {min(steps, default=0)} to {max(steps, default=0)}")

    of = {"train": expected.train, "val": expected.val, "": expected.unphased}
    for where, wanted in of.items():
        allowed = {"train": ("train", ""), "val": ("val", ""), "": ("",)}[where]
        for label, values in wanted.items():
            if not any(same(held, values) for name, held in series.items() if phase(name) in allowed):
                found.append(f"{label} of {where or 'no phase'} is missing")
    for where, other in (("train", "val"), ("val", "train")):
        right = [value for values in of[other].values() for value in values]
        for label, values in of[where].items():
            for name, held in series.items():
                if phase(name) == other and any(
                    same(one, value) and not any(same(one, known) for known in right)
                    for one in held
                    for value in values
                ):
                    found.append(f"{label} of {where} is in {name}")
    if not expected.val:
        found += [f"{name} is of a validation" for name in series if phase(name.split("/")[0]) == "val"]
    for name, values in expected.named.items():
        if not same(series.get(name, []), values):
            found.append(f"{name} is {series.get(name, 'missing')}")
    for value in expected.absent:
        found += [
            f"{value} is in {name}" for name, held in series.items() if any(same(value, one) for one in held)
        ]
    for word in expected.no_metric:
        found += [f"{name} is a metric" for name in series if word in name]

    for name, rates in expected.lr.items():
        told = points.get(name, [])
        changes = [rate for place, rate in enumerate(rates) if not place or rate != rates[place - 1]]
        values = [p.value for place, p in enumerate(told) if not place or p.value != told[place - 1].value]
        if not same(values, changes) or not all(same(p.value, rates[p.step - expected.first]) for p in told):
            found.append(f"{name} is {values}")
    for rate in expected.rates:
        if not any(same(rate, one) for name, held in series.items() if name.startswith("lr") for one in held):
            found.append(f"no rate is {rate}")
    for name, value in expected.params.items():
        if run.params.get(name) != value:
            found.append(f"{name} is {run.params.get(name)!r}")
    if expected.model and not (run.estimator or "").endswith(f".{expected.model}"):
        found.append(f"the model is {run.estimator}")
    return found


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name, marks=pytest.mark.xfail(strict=True, reason=FAILING[name]) if name in FAILING else ()
        )
        for name in LOOPS
    ],
)
def test_what_a_loop_computes_is_recorded_as_what_it_is(seen: Recorded, name: str) -> None:
    told = getattr(loops, name)()
    expected = told if isinstance(told, list) else [told]
    seen.client.disable()  # what ends the runs, as the process would
    runs = list(seen.runs)
    found = [one for run, wanted in zip(runs, expected, strict=False) for one in wrong(run, wanted)]
    assert (len(runs), found) == (len(expected), [])


def test_every_fault_listed_is_of_a_loop() -> None:
    assert set(FAILING) <= set(LOOPS)
