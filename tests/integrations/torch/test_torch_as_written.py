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
    "nanogpt": "the estimates of train and val are one val/reads/loss, their mean; optimizer.lr is the warm-up's 0.0025",
    "mingpt_trainer": "the scores of train and test, read by `%.2f` of a tensor, are missing",
    "rnn_perplexity": "`math.exp(tensor)` is not seen: no val_loss, and so 1 epoch instead of 3",
    "word2vec": "similarities after the training are reads/similarity, their mean",
    "seq2seq": "numbers of words are val/reads/idx, their mean; of two optimizers' rates only the first is recorded",
    "ppo_cleanrl": "12 epochs instead of 1; clipfracs of training batches are val/reads/clipfracs, at each step",
    "sac": "reads/alpha is the 1.0 before the first step, the rest reads/alpha_2; reads/qf_loss is the mean of every second "
    "one (2.013, not 2.994); no rates of the actor's and alpha's optimizers",
    "dqn_with_replay": "`q_values = old_val.mean().item()` is reads/old_val",
    "unet_dice": "the validation's Dice, read by ReduceLROnPlateau and `'{}'.format`, is missing",
    "yolo_like": "what `.tolist()` and `.numpy()` of the validation give is missing; rates of numpy.interp too, lr has only "
    "0.008; optimizer.lr is the warm-up's 0.1",
    "running_means_in_a_bar": "the parts of the loss, read by `%11.4g`, are missing",
    "ddpm_ema": "val/reads/val_loss_per_sample is a mean divided by the batch size",
    "gan_d_first": "D_x, D_G_z1 and D_G_z2 are reads/output, output_2 and output_3; no rate of the generator's optimizer",
    "gan_g_first": "no rate of the discriminator's optimizer, which steps second",
    "gan_many_critics": "no rate of the generator's optimizer",
    "vae_two_terms": "val/reads/{loss,recon,kld}_per_sample are means divided by the batch size",
    "dino": "no lr at all, as the schedule is numpy's; optimizer.lr is the warm-up's 0.0",
    "fp16_with_skipped_steps": "an epoch's last loss, whose step was skipped, is in the next one's mean: 3.5377, 2.7514 "
    "instead of 3.2818, 2.8500; backwards_per_step is 3",
    "resumed_training": "the second run has the steps 0 to 5 instead of 6 to 11",
    "cancelled_search": "the loss of the step that was never made (near 240) is in the next run's first step, whose first mean "
    "is 35.110 instead of 0.976; backwards_per_step is 2",
    "notebook_training_again": "the second training joins the interrupted run: 1 run of 5 epochs and 14 steps",
    "reads_before_and_after": "mean, deviation and maximum of the data are val/reads/x, std and y_max",
    "low_rank_adapters": "the model is DecoderLayer, twice, 208 parameters each, instead of PeftModel with 603",
    "maml_first_order": "15 runs, one for each copy, with a query_loss of the copy before; no meta_loss",
    "reptile": "5 runs of 4 steps, one for each copy",
    "gradients_by_functions": "the training's loss is val/reads/loss, all its points at step 8; 1 epoch instead of 3",
    "fabric_with_accumulation": "val/reads/{val_acc,val_loss}_per_sample are means divided by the number of samples",
    "accelerate_gathered": "`total_loss.item()` of the training, read after the validation, is val/reads/total_loss; "
    "optimizer.lr is the schedule's 0.0008 instead of 0.01",
    "ignite_evaluators": "accuracy is val/reads/_num_correct; val/reads/_sum, a running sum, is a metric; so of train_eval",
    "skorch_classifier": "valid_acc is missing",
    "fastai_learner": "what `f'{mean.compute():.3f}'` reads is missing: the accuracies and the validation's loss",
    "leftover_accumulation": "the fifth batch's loss is in the next epoch's mean: 1.06401, 0.97009, 0.88236 instead of "
    "1.05383, 0.95320, 0.87310",
    "a_batch_by_next_iter": "each step is an epoch: 8 instead of 1",
    "accuracy_of_training_without_loader": "12 epochs instead of 3; the training's acc is val/reads/acc, at each step",
    "rates_of_numpy": "no lr and lr.1 at all; optimizer.lr is the warm-up's 0.00333 instead of 0.01",
    "validation_by_float": "val_loss is missing",
    "validation_by_tolist": "loss and accuracy are missing",
    "validation_by_numpy": "val_loss is missing",
    "validation_by_format": "the validation's loss is missing",
    "validation_by_percent": "the validation's loss and accuracy are missing",
    "validation_by_scikit_learn": "accuracy and F1 are missing",
    "validation_by_scheduler": "val_loss is missing",
    "mean_loss_per_batch": "val/reads/val_loss_per_sample is a mean divided by the batch size",
    "two_splits_of_one_function": "val/, val2/ to val6/reads/total, a point each, instead of two series",
    "loaders_that_are_kept": "val/loss, val2/loss and val3/loss, a point each; so val/reads/hits",
    "masks_in_a_loop": "the accuracies of train, val and test are one val/reads/mean, their mean",
    "a_phase_that_cannot_be_told": "score is val/reads/score",
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
