"""The promise: every fit is one run with its true outcome, what is measured afterwards is in it, and nothing else is a run."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import (
    BatchSizeFinder,
    Callback,
    EarlyStopping,
    LearningRateFinder,
    ModelCheckpoint,
)
from lightning.pytorch.tuner import Tuner
from regression import Regression, loader, trainer

from autolog import RunRecord, enable
from autolog.testing import Recorded, recorded

Points = Callable[[RunRecord, str], list[tuple[int, float]]]


def epochs(run: RunRecord) -> list[int]:
    return [point.step for point in run.history("epoch_time")]


def test_a_trainer_fitted_twice_gives_two_complete_runs(seen: Recorded) -> None:
    one = trainer(max_epochs=2)
    one.fit(Regression(lr=0.1), loader(), loader())
    one.fit_loop.max_epochs = 3
    one.fit(Regression(lr=0.3), loader(), loader())
    first, second = seen.runs
    assert [(run.params["lr"], epochs(run), len(run.models)) for run in (first, second)] == [
        (0.1, [0, 1], 1),
        (0.3, [2], 1),
    ]
    assert first.history("val_loss")[-1].step == 1


def test_what_is_measured_after_a_fit_goes_to_its_run(seen: Recorded, points: Points) -> None:
    """Complete: by whichever Trainer, of the weights as they are or of a checkpoint's; the run's end stays what it was. One
    name is one quantity: what is validated after the fit is none of its epochs, other data and other weights have other names.
    """
    one = trainer(max_epochs=2, enable_checkpointing=True)
    module = Regression()
    one.fit(module, loader(), loader())
    ended = seen.run.ended
    tested, validated, shifted = loader(), loader(), loader(shift=5)
    said = {}
    [said["test_loss"]] = one.test(dataloaders=tested, ckpt_path="best", verbose=False)
    [said["test_loss_2"]] = one.test(module, tested, verbose=False)
    [said["validate_val_loss"]] = trainer().validate(module, validated, verbose=False)
    [said["validate_val_loss_2"]] = trainer().validate(module, shifted, verbose=False)
    one.test(module, tested, verbose=False)
    run = seen.run
    assert [step for step, _ in points(run, "val_loss")] == [0, 1]
    for name, values in said.items():
        assert points(run, name)[0] == (1, *(round(value, 6) for value in values.values()))
    assert [len(run.history(name)) for name in said] == [1, 2, 1, 1]
    assert run.metrics["test_loss"]["settings"] == {"ckpt_path": "best"}
    assert {name: run.metrics[name]["data"] for name in said} == {
        "test_loss": "test", "test_loss_2": "test", "validate_val_loss": "validation", "validate_val_loss_2": "validation",
    }  # fmt: skip
    assert (run.status, run.ended) == ("finished", ended)


def test_callbacks_are_recorded_as_they_were_given(seen: Recorded) -> None:
    """True: Lightning adds its own to the user's list."""
    given = [EarlyStopping("val_loss")]
    trainer(callbacks=given, enable_checkpointing=True, enable_model_summary=True).fit(
        Regression(), loader(), loader()
    )
    assert seen.run.params["trainer.callbacks"] == ["EarlyStopping"]
    assert len(given) > 1


def test_a_test_that_fails_leaves_the_fit_finished(seen: Recorded) -> None:
    module = Regression()
    trainer().fit(module, loader())
    module.test_step = lambda *_: 1 / 0
    with pytest.raises(ZeroDivisionError):
        trainer().test(module, loader(), verbose=False)
    assert seen.run.status == "finished"


def test_a_test_without_a_fit_is_a_run(seen: Recorded, points: Points) -> None:
    module = Regression()
    trainer().validate(module, loader(), verbose=False)
    trainer().test(module, loader(), verbose=False)
    assert [(run.kind, sorted(run.metrics), run.models) for run in seen.runs] == [
        ("validate", ["val_loss"], []), ("test", ["test_loss"], []),
    ]  # fmt: skip
    assert [dataset["context"] for run in seen.runs for dataset in run.datasets] == ["validation", "test"]


def test_a_resumed_training_goes_on_counting_epochs(seen: Recorded) -> None:
    one = trainer(max_epochs=2, enable_checkpointing=True)
    one.fit(Regression(), loader(), loader())
    path = one.checkpoint_callback.best_model_path
    trainer(max_epochs=4).fit(Regression(), loader(), loader(), ckpt_path=path)
    first, second = seen.runs
    assert (epochs(first), epochs(second)) == ([0, 1], [2, 3])
    assert second.params["fit.ckpt_path"] == path
    assert second.history("lr-SGD")[0].value == pytest.approx(0.025)


class _Ends(Regression):
    """Raises in the second epoch."""

    error: type[BaseException] = ValueError

    def on_train_epoch_start(self) -> None:
        if self.current_epoch == 1:
            raise self.error("mine")


def test_a_fit_that_fails_keeps_what_it_had(seen: Recorded) -> None:
    """True and complete: the user's exception, the epochs before it, the checkpoints; no model."""
    with pytest.raises(ValueError, match="mine"):
        trainer(max_epochs=3, enable_checkpointing=True).fit(_Ends(), loader())
    run = seen.run
    assert (run.status, run.error, epochs(run), run.models) == ("failed", "ValueError: mine", [0], [])
    assert run.tags["best_model_path"].endswith("epoch=0-step=4.ckpt")


def test_ctrl_c_is_an_interrupted_run(seen: Recorded) -> None:
    """True: Lightning leaves by `sys.exit(1)`, older ones return as if nothing had been."""
    kept = signal.getsignal(signal.SIGINT)
    module = _Ends()
    module.error = KeyboardInterrupt
    try:
        trainer(max_epochs=3).fit(module, loader())
    except SystemExit:
        pass
    finally:
        signal.signal(signal.SIGINT, kept)
    run = seen.run
    assert (run.status, run.error.partition(":")[0], epochs(run)) == ("interrupted", "KeyboardInterrupt", [0])


class _Tunable(Regression):
    """Has its loaders, and what the tuner sets."""

    def __init__(self) -> None:
        super().__init__()
        self.lr = 0.1
        self.batch_size = 2

    def train_dataloader(self) -> Any:
        return loader()

    val_dataloader = predict_dataloader = train_dataloader

    def predict_step(self, batch: Any, number: int) -> Any:
        return self(batch[0])

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=self.lr)


def test_the_tuner_and_predictions_are_no_runs(seen: Recorded) -> None:
    module = _Tunable()
    Tuner(trainer()).lr_find(module, num_training=3)
    Tuner(trainer()).scale_batch_size(module, max_trials=1, steps_per_trial=1)
    trainer().predict(module)
    assert list(seen.runs) == []


def test_trials_inside_a_fit_are_not_its_epochs(seen: Recorded) -> None:
    """True: the tuner's callbacks run the loops of the very Trainer that is fitting."""
    finders = [
        LearningRateFinder(num_training_steps=3, update_attr=False), BatchSizeFinder(max_trials=1, steps_per_trial=1),
    ]  # fmt: skip
    trainer(max_epochs=2, callbacks=finders, log_every_n_steps=1).fit(_Tunable())
    run = seen.run
    assert (epochs(run), run.params["optimizer.lr"]) == ([0, 1], 0.1)
    assert [point.step for point in run.history("train_loss_step")] == list(range(8))


def test_a_fast_dev_run_and_sanity_checks_have_no_epochs(seen: Recorded) -> None:
    trainer(fast_dev_run=True).fit(Regression(), loader(), loader())
    trainer(max_epochs=1, num_sanity_val_steps=2).fit(Regression(), loader(), loader())
    tried, fitted = seen.runs
    assert (tried.tags, tried.metrics, tried.models) == ({"fast_dev_run": "true"}, {}, [])
    assert [point.step for point in fitted.history("val_loss")] == [0]


def test_a_fit_without_epochs_is_a_run(seen: Recorded) -> None:
    trainer(max_epochs=0).fit(Regression(), loader())
    assert (seen.run.status, seen.run.params["model.parameters"], len(seen.run.models)) == ("finished", 4, 1)


class _Worse(Callback):
    """Logs what is to be monitored: better until epoch 1, then worse."""

    def on_validation_epoch_end(self, trainer: Any, module: Any) -> None:
        module.log("watched", [3.0, 1.0, 2.0, 2.5, 4.0][trainer.current_epoch])


def test_early_stopping_says_where_it_stopped_and_what_was_best(seen: Recorded) -> None:
    """Complete: a second fit with the same callbacks has its own outcome, not the first one's."""
    stopping = EarlyStopping("watched", patience=2)
    one = trainer(max_epochs=5, callbacks=[_Worse(), stopping])
    one.fit(Regression(), loader(), loader())
    alone = trainer(
        max_epochs=2, enable_checkpointing=True, callbacks=[_Worse(), ModelCheckpoint(monitor="watched")]
    )
    alone.fit(Regression(), loader(), loader())
    stopped, kept = (
        {name: run.metrics[name]["last"] for name in run.metrics if "_epoch" in name or "best" in name}
        for run in seen.runs
    )
    assert stopped == {"best_epoch": 1.0, "best_score": 1.0, "stopped_epoch": 3.0}
    assert kept == {"best_epoch": 1.0, "best_score": 1.0, "best_model_score": 1.0}


@pytest.mark.parametrize(("choice", "copied"), [("best", [1]), ("all", [0, 1]), (False, [])])
def test_checkpoints_are_recorded_by_path_and_copied_as_chosen(choice: Any, copied: list[int]) -> None:
    """Complete: paths and scores of all, the best one's file."""
    with recorded("lightning") as seen:
        enable("lightning", log_checkpoints=choice, log_models=False)
        keeping = ModelCheckpoint(dirpath="kept", filename="{epoch}", monitor="watched", save_top_k=2)
        trainer(max_epochs=2, enable_checkpointing=True, callbacks=[_Worse(), keeping]).fit(
            Regression(), loader(), loader()
        )
    run = seen.run
    listed = json.loads((run.folder / "checkpoints.json").read_text())
    assert sorted((one["path"].rpartition("/")[2], one["score"], one["best"]) for one in listed) == [
        ("epoch=0.ckpt", 3.0, False), ("epoch=1.ckpt", 1.0, True),
    ]  # fmt: skip
    files = [one["path"] for one in run.to_dict()["artifacts"]]
    assert sorted(files) == ["checkpoints.json", *(f"checkpoints/epoch={number}.ckpt" for number in copied)]
    for number in copied:
        copy, file = run.folder / f"checkpoints/epoch={number}.ckpt", Path(f"kept/epoch={number}.ckpt")
        assert copy.read_bytes() == file.read_bytes()
