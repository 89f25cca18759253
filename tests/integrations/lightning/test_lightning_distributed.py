"""The promise: one job is one run, however many processes train."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from helpers import script
from regression import X

import autolog
from autolog.store.layout import Layout
from autolog.store.records import RunRecord, Store

SCRIPT = """
import sys

import autolog

autolog.autolog(silent=True)

import torch
from regression import Regression, loader, trainer

class Mine(Regression):
    pass


if __name__ == "__main__":
    torch.set_num_threads(1)
    one = trainer(max_epochs=2, strategy=sys.argv[1], devices=2, enable_checkpointing=True, log_every_n_steps=1)
    module = Mine()
    one.fit(module, loader(), loader())
    one.test(module, loader(), verbose=False)
"""


def job(folder: Path, strategy: str) -> list[RunRecord]:
    """The runs of a job of two processes, of which the first is forked: the launcher starts the second one itself."""
    done = script(
        SCRIPT, folder, strategy, timeout=250, beneath=("torch._dynamo", "torchmetrics"), AUTOLOG_STRICT="1",
        PYTHONWARNINGS="ignore",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return list(Store(Layout(str(folder / ".autolog"))).runs(children=True))


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> list[RunRecord]:
    """The runs of a job whose second process the launcher starts."""
    return job(tmp_path_factory.mktemp("job"), "ddp")


@pytest.mark.timeout(280)
def test_two_processes_that_the_launcher_starts_are_one_run(launched: list[RunRecord]) -> None:
    """Rank 0 records, with all that it has; the other one nothing, and neither waits for it.

    Slow: two processes import Lightning and train; the launcher waits for both.
    """
    [run] = launched
    assert (run.status, run.params["strategy"], run.params["world_size"]) == ("finished", "DDPStrategy", 2)
    steps: dict[str, Any] = {name: [point.step for point in run.history(name)] for name in run.metrics}
    assert steps == {
        "train_loss": [0, 1], "train_loss_step": [0, 1, 2, 3], "val_loss": [0, 1], "lr-SGD": [0, 1], "epoch_time": [0, 1],
        "test_loss": [1],
    }  # fmt: skip
    assert (run.estimator, len(run.models), run.errors) == ("__main__.Mine", 1, [])


@pytest.mark.timeout(280)
@pytest.mark.skipif(not find_spec("mlflow"), reason="mlflow is not installed")
def test_a_model_whose_class_is_in_the_script_is_loaded_elsewhere(launched: list[RunRecord]) -> None:
    """Complete: with its class, natively and by MLflow."""
    import mlflow.pyfunc
    import mlflow.pytorch

    [run] = launched
    expected = autolog.load_model(run, trust=True)(X).detach().numpy()
    folder = str(run.folder / "model")
    assert (mlflow.pytorch.load_model(folder)(X).detach().numpy() == expected).all()
    assert (mlflow.pyfunc.load_model(folder).predict(X.numpy()) == expected).all()


@pytest.mark.timeout(280)
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_training_in_forked_processes_has_its_last_metrics_and_weights(tmp_path: Path) -> None:
    """The one that called has the run: it sees no epoch, but what the Trainer brings back, and the weights; and says so."""
    [run] = job(tmp_path, "ddp_fork")
    assert (run.status, run.errors, len(run.models)) == ("finished", [], 1)
    assert (run.metrics["val_loss"]["count"], run.metrics["test_loss"]["count"], run.params["lr"]) == (
        1,
        1,
        0.1,
    )
    assert run.notes == [
        "Other processes did the training. Only their last metrics are recorded, and no epochs."
    ]
