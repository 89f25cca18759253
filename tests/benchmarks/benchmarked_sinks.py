"""What the case `sink` compares: a journal to be delivered, and the same points by each backend's own client."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import Any

VALUES = {"loss": 0.5, "accuracy": 0.9, "lr": 1e-3, "norm": 1.5}


def journal(steps: int) -> tuple[Path, Any]:
    """A journal with one run of so many steps."""
    from autolog.store.journal import JournalWriter, encode
    from autolog.store.layout import find
    from autolog.tracking import events as e

    layout = find()
    writer = JournalWriter(layout.new_journal())
    writer.keep(encode([e.RunStarted("01BENCH", 1, "bench", "bench")]))
    writer.keep(encode([e.MetricsLogged("01BENCH", step, 1 + step, VALUES) for step in range(steps)]))
    writer.keep(encode([e.RunEnded("01BENCH", 2 + steps, "finished")]))
    writer.open()
    writer.drain()
    writer.close()
    return writer.path, layout


def client(backend: str, variant: str, steps: int) -> float:
    """Seconds that the backend's own client takes, from a run's start to its end."""
    return {"mlflow": _mlflow, "tensorboard": _tensorboard, "wandb": _wandb}[backend](variant, steps)


def _mlflow(variant: str, steps: int) -> float:
    import mlflow
    from mlflow.entities import Metric

    tracking = mlflow.MlflowClient()
    tracking.search_experiments()  # makes its tables
    began = perf_counter()
    with mlflow.start_run() as run:
        if variant == "client":
            for step in range(steps):
                mlflow.log_metrics(VALUES, step=step)
        else:
            points = [
                Metric(key, value, 1 + step, step) for step in range(steps) for key, value in VALUES.items()
            ]
            for start in range(0, len(points), 1000):
                tracking.log_batch(run.info.run_id, metrics=points[start : start + 1000])
    return perf_counter() - began


def _tensorboard(variant: str, steps: int) -> float:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    began = perf_counter()
    writer = EventFileWriter("./logs")
    for step in range(steps):
        for key, value in VALUES.items():
            summary = Summary(value=[Summary.Value(tag=key, simple_value=value)])
            writer.add_event(Event(wall_time=1.0 + step, step=step, summary=summary))
    writer.close()
    return perf_counter() - began


def _wandb(variant: str, steps: int) -> float:
    import wandb

    began = perf_counter()
    run = wandb.init(mode="offline", project="bench", settings=wandb.Settings(silent=True, console="off"))
    for step in range(steps):
        run.log(VALUES, step=step)
    run.finish()
    return perf_counter() - began
