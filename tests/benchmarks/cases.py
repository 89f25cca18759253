"""What is measured, each in a process of its own; prints a JSON list of times on its last line. Run by `run.py`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time, sleep
from typing import Any


def switch_on(variant: str, then: str = "pass") -> list[float]:
    """Milliseconds of a whole interpreter that does nothing else but, perhaps, import what is patched then."""
    code = {
        "plain": "pass",
        "autolog": "import autolog; autolog.autolog()",
        "mlflow": "import mlflow; mlflow.autolog()",
    }[variant] + f"; {then}"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    began = perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    return [(perf_counter() - began) * 1e3]


def switch(variant: str) -> None:
    if variant == "autolog":
        import autolog

        autolog.autolog(silent=True)
    elif variant.startswith("mlflow"):
        import mlflow

        mlflow.sklearn.autolog(silent=True, log_models=variant == "mlflow")


def small_fit(variant: str, data: str) -> list[float]:
    """Milliseconds of a fit, after a first one."""
    switch(variant)
    from sklearn.datasets import load_breast_cancer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    X, y = load_breast_cancer(return_X_y=True, as_frame=data == "frame")
    times: list[float] = []
    for _ in range(4 if variant.startswith("mlflow") else 21):
        model = make_pipeline(StandardScaler(), LogisticRegression())
        began = perf_counter()
        model.fit(X, y)
        times.append((perf_counter() - began) * 1e3)
    return times[1:]


def xgboost_fit(variant: str) -> list[float]:
    """Milliseconds of 200 rounds of XGBoost with one eval set, after a first one."""
    if variant.startswith("mlflow"):
        import mlflow.xgboost

        mlflow.xgboost.autolog(silent=True, log_models=variant == "mlflow")
    else:
        switch(variant)
    import xgboost

    train, params = _matrix()
    times: list[float] = []
    for _ in range(4 if variant.startswith("mlflow") else 11):
        began = perf_counter()
        xgboost.train(params, train, 200, evals=[(train, "train")], verbose_eval=False)
        times.append((perf_counter() - began) * 1e3)
    return times[1:]


def xgboost_rounds(variant: str) -> list[float]:
    """Microseconds a round of 5,000 rounds of XGBoost with four metrics, as small as a tree can be."""
    switch(variant)
    import xgboost

    train, params = _matrix()
    params |= {"max_depth": 1, "eval_metric": ["logloss", "auc", "error", "aucpr"]}
    times: list[float] = []
    for _ in range(3):
        began = perf_counter()
        xgboost.train(params, train, 5_000, evals=[(train, "train")], verbose_eval=False)
        times.append((perf_counter() - began) / 5_000 * 1e6)
    return times[1:]


def _matrix() -> tuple[Any, dict[str, Any]]:
    import xgboost
    from sklearn.datasets import load_breast_cancer

    X, y = load_breast_cancer(return_X_y=True)
    return xgboost.DMatrix(X, y), {"objective": "binary:logistic", "nthread": 1}


def lightgbm_fit(variant: str) -> list[float]:
    """Milliseconds of 200 rounds of LightGBM with one validation set, after a first training."""
    if variant.startswith("mlflow"):
        import mlflow.lightgbm

        mlflow.lightgbm.autolog(silent=True, log_models=variant == "mlflow")
    else:
        switch(variant)
    trainings = 4 if variant.startswith("mlflow") else 11
    return [_lightgbm_train(200, {"metric": "binary_logloss"}) * 1e3 for _ in range(trainings)][1:]


def lightgbm_rounds(variant: str) -> list[float]:
    """Microseconds a round, of 5,000 rounds of LightGBM with four metrics, with trees as small as they can be and no model."""
    if variant == "autolog":
        import autolog

        autolog.autolog(silent=True, log_models=False)
    metrics = ["binary_logloss", "binary_error", "l1", "l2"]
    times = [_lightgbm_train(5_000, {"metric": metrics, "num_leaves": 2}) / 5_000 * 1e6 for _ in range(4)]
    return times[1:]


def _lightgbm_train(rounds: int, params: dict[str, Any]) -> float:
    """Seconds of a training on 569 rows of 30 columns."""
    import lightgbm
    from sklearn.datasets import load_breast_cancer

    X, y = load_breast_cancer(return_X_y=True)
    train = lightgbm.Dataset(X, y)
    params = {"objective": "binary", "verbose": -1, "num_threads": 1, **params}
    valid = lightgbm.Dataset(X, y, reference=train)
    began = perf_counter()
    lightgbm.train(params, train, rounds, valid_sets=[valid])
    return perf_counter() - began


def lightning_fit(variant: str) -> dict[str, list[float]]:
    """Milliseconds of CPU of 10 epochs × 32 batches with validation and a checkpoint: with autolog and without it
    in turn, or with MLflow; its child processes and the threads of both are counted.
    """
    import lightning.pytorch as L  # MLflow 3.17 does not see one that is imported later
    import torch

    from autolog import process

    torch.set_num_threads(1)
    X = torch.randn(256, 20)
    data = torch.utils.data.TensorDataset(X, X.sum(1, keepdim=True))

    class Regression(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = torch.nn.Sequential(torch.nn.Linear(20, 64), torch.nn.ReLU(), torch.nn.Linear(64, 1))

        def training_step(self, batch: Any, number: int) -> Any:
            loss = torch.nn.functional.mse_loss(self.net(batch[0]), batch[1])
            self.log("train_loss", loss, on_step=True, on_epoch=True)
            return loss

        def validation_step(self, batch: Any, number: int) -> None:
            self.log("val_loss", torch.nn.functional.mse_loss(self.net(batch[0]), batch[1]))

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters())

    def fit() -> float:
        loaders = [torch.utils.data.DataLoader(data, batch_size=8) for _ in range(2)]
        trainer = L.Trainer(
            max_epochs=10,
            accelerator="cpu",
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        began = sum(os.times()[:4])
        trainer.fit(Regression(), *loaders)
        return (sum(os.times()[:4]) - began) * 1e3

    if variant == "mlflow":
        import mlflow.pytorch

        mlflow.pytorch.autolog(silent=True)
        return {"mlflow": [fit() for _ in range(4)][1:]}
    switch(variant)
    here = process.get()
    assert here is not None
    times: dict[str, list[float]] = {"plain": [], "autolog": []}
    for _ in range(12):
        for name, values in times.items():
            here.active = name == "autolog"  # off: a wrapper calls the original and nothing else
            values.append(fit())
    return {name: values[2:] for name, values in times.items()}


def keras_fit(variant: str, epochs: str) -> dict[str, list[float]]:
    """Milliseconds of CPU of a fit, 4 batches an epoch, after a first one of the same model, for which Keras traces its step:
    with autolog and without it in turn, or with MLflow; all threads are counted, and processes that were waited for.
    """
    X, y = _keras(variant, variant != "mlflow-no-model")
    import tensorflow as tf

    from autolog import process

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    model = _keras_model()

    def fit() -> float:
        began = process_time() + sum(os.times()[2:4])
        model.fit(X, y, batch_size=64, epochs=int(epochs), verbose=0)
        return (process_time() + sum(os.times()[2:4]) - began) * 1e3

    if variant.startswith("mlflow"):
        return {variant: [fit() for _ in range(4)][1:]}
    here = process.get()
    assert here is not None
    times: dict[str, list[float]] = {"plain": [], "autolog": []}
    for _ in range(9):
        for name, values in times.items():
            here.active = name == "autolog"  # off: a wrapper calls the original and nothing else
            values.append(fit())
    return {name: values[1:] for name, values in times.items()}


def keras_steps() -> dict[str, list[float]]:
    """Microseconds a step of a loop that the user has written, with autolog and without it in turn."""
    X, y = _keras("autolog", False)
    import keras
    import tensorflow as tf

    from autolog import process

    here = process.get()
    assert here is not None
    model, optimizer = _keras_model(), keras.optimizers.SGD()
    data = tf.constant(X[:16]), tf.constant(y[:16])

    @tf.function
    def step(x: Any, y: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(x, training=True) - y) ** 2)
        variables = model.trainable_variables
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    step(*data)
    times: dict[str, list[float]] = {"plain": [], "autolog": []}
    for _ in range(12):
        for name, values in times.items():
            here.active = name == "autolog"  # off: a wrapper calls the original and nothing else
            began = perf_counter()
            for _ in range(500):
                step(*data)
            values.append((perf_counter() - began) / 500 * 1e6)
    return {name: values[2:] for name, values in times.items()}


def _keras(variant: str, models: bool) -> tuple[Any, Any]:
    """Switch on, with `models` saved by MLflow; then the data."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if variant.startswith("mlflow"):
        import mlflow.tensorflow

        mlflow.tensorflow.autolog(silent=True, log_models=models)
    else:
        switch(variant)
    import numpy as np

    X = np.random.RandomState(0).normal(size=(256, 20)).astype("float32")
    return X, X.sum(axis=1, keepdims=True)


def _keras_model() -> Any:
    import keras

    made = keras.Sequential([keras.Input((20,)), keras.layers.Dense(64, "relu"), keras.layers.Dense(1)])
    made.compile("adam", "mse")
    return made


def pyspark_fit() -> dict[str, dict[str, list[float]]]:
    """Milliseconds of a LogisticRegression, and of a CrossValidator of 3 folds × 4 param maps, on 569 cached rows of 30
    columns. All in one JVM and in turn: it gets faster for minutes.
    """
    from importlib.util import find_spec

    from pyspark.ml.classification import LogisticRegression
    from pyspark.ml.evaluation import BinaryClassificationEvaluator
    from pyspark.ml.linalg import Vectors
    from pyspark.ml.tuning import CrossValidator, ParamGridBuilder
    from pyspark.sql import SparkSession
    from sklearn.datasets import load_breast_cancer

    import autolog

    builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    spark = builder.config("spark.sql.shuffle.partitions", "2").getOrCreate()
    X, y = load_breast_cancer(return_X_y=True)
    rows = [(Vectors.dense(row), float(label)) for row, label in zip(X.tolist(), y, strict=True)]
    frame = spark.createDataFrame(rows, ["features", "label"]).cache()
    frame.count()
    estimator = LogisticRegression(maxIter=10)
    grid = (
        ParamGridBuilder()
        .addGrid(estimator.regParam, [0.0, 0.1])
        .addGrid(estimator.elasticNetParam, [0.0, 1.0])
    )
    evaluator = BinaryClassificationEvaluator()
    search = CrossValidator(estimator=estimator, estimatorParamMaps=grid.build(), evaluator=evaluator, seed=1)
    variants = ["plain", "autolog", "autolog-no-model", "mlflow", "mlflow-no-model"]
    measured: dict[str, dict[str, list[float]]] = {}
    for what, one, rounds in (("fit", estimator, 9), ("search", search, 4)):
        times = measured[what] = {
            v: [] for v in variants if not v.startswith("mlflow") or find_spec("mlflow")
        }
        for variant in [name for _ in range(rounds) for name in times]:
            models = not variant.endswith("no-model")
            if variant.startswith("autolog"):
                autolog.autolog(silent=True, include=["pyspark"], log_models=models)
            elif variant.startswith("mlflow"):
                import mlflow.pyspark.ml

                mlflow.pyspark.ml.autolog(silent=True, log_models=models)
            began = perf_counter()
            one.fit(frame)
            times[variant].append((perf_counter() - began) * 1e3)
            if variant.startswith("autolog"):
                autolog.disable()
            elif variant.startswith("mlflow"):
                mlflow.pyspark.ml.autolog(disable=True, silent=True)
        measured[what] = {name: values[2 if what == "fit" else 1 :] for name, values in times.items()}
    return measured


def _per_call(function: Callable[[], Any], calls: int = 20_000) -> list[float]:
    """Microseconds a call, of seven rounds."""
    rounds: list[float] = []
    for _ in range(7):
        began = perf_counter()
        for _ in range(calls):
            function()
        rounds.append((perf_counter() - began) / calls * 1e6)
    return rounds


def calls() -> dict[str, list[float]]:
    """Microseconds of a fit that does nothing: unpatched, suspended, and inside a call that takes no contributions."""
    import autolog

    autolog.autolog(silent=True)
    from sklearn.base import BaseEstimator, MetaEstimatorMixin

    class Nothing(BaseEstimator):
        def fit(self, X: Any, y: Any = None) -> Any:
            return self

        def predict(self, X: Any) -> Any:
            return X

    class Search(MetaEstimatorMixin, BaseEstimator):
        def __init__(self, estimator: Any = None) -> None:
            self.estimator = estimator

        def fit(self, X: Any, y: Any = None) -> Any:
            self.times = _per_call(lambda: self.estimator.fit(X))
            return self

        def predict(self, X: Any) -> Any:
            return X

    one = Nothing()
    nested = Search(one).fit([[1]]).times
    with autolog.suspended():
        suspended = _per_call(lambda: one.fit([[1]]))
    autolog.disable()
    return {"plain": _per_call(lambda: one.fit([[1]])), "suspended": suspended, "nested": nested}


def handing_over(variant: str, kind: str) -> list[float]:
    """Microseconds of CPU of one piece of work: to hand it to an executor inside a block, and to begin it (`threads`) or to
    pickle it (`processes`). The only worker waits meanwhile.
    """
    from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
    from contextlib import nullcontext
    from multiprocessing.reduction import ForkingPickler

    block: Any = nullcontext()
    if variant == "autolog":
        import autolog

        autolog.autolog(silent=True)
        block = autolog.run("sweep")
    pieces, rounds = 2_000, list[float]()
    with block:
        for _ in range(9):
            if kind == "threads":
                gate = threading.Event()
                with ThreadPoolExecutor(1) as executor:
                    executor.submit(gate.wait)
                    began = process_time()
                    for _ in range(pieces):
                        executor.submit(int)
                    gate.set()
                rounds.append((process_time() - began) / pieces * 1e6)
                continue
            with ProcessPoolExecutor(1) as executor:
                executor.submit(sleep, 0.3)
                for _ in range(2):  # its queue is full then
                    executor.submit(sleep, 0)
                began = process_time()
                for _ in range(pieces):
                    executor.submit(int)
                for item in list(executor._pending_work_items.values())[-pieces:]:
                    ForkingPickler.dumps(item.fn)
                rounds.append((process_time() - began) / pieces * 1e6)
                executor.shutdown(cancel_futures=True)
    return rounds


def metric(variant: str) -> list[float]:
    """Microseconds of one metric logged, on the thread that logs it."""
    if variant == "mlflow":
        import mlflow

        with mlflow.start_run():
            times: list[float] = []
            for step in range(100):
                began = perf_counter()
                mlflow.log_metric("loss", 0.5, step=step)
                times.append((perf_counter() - began) * 1e6)
            return times
    import autolog

    rounds: list[float] = []
    with autolog.run() as run:
        for start in range(0, 50_000, 5_000):
            began = perf_counter()
            for step in range(start, start + 5_000):
                run.log_metrics({"loss": 0.5}, step=step)
            rounds.append((perf_counter() - began) / 5_000 * 1e6)
            autolog.flush()
    return rounds


def points(variant: str) -> list[float]:
    """Points a second from the caller to the disk: four metrics a step, until all is written."""
    import autolog

    steps = 100_000
    with autolog.run() as run:
        began = perf_counter()
        for step in range(steps):
            run.log_metrics({"loss": 0.5, "accuracy": 0.9, "lr": 1e-3, "norm": 1.5}, step=step)
        assert autolog.flush(60)
        return [steps * 4 / (perf_counter() - began)]


def torch_steps(hidden: str) -> dict[str, list[float]]:
    """Microseconds of CPU a step of a raw PyTorch loop, chunks without autolog and with it in turn."""
    import autolog
    from autolog import process

    autolog.autolog(silent=True, include=["torch"])
    chunk = _chunk_of_torch(int(hidden))
    here = process.get()
    assert here is not None
    times: dict[str, list[float]] = {"plain": [], "autolog": []}
    for _ in range(60):
        for name, values in times.items():
            here.active = name == "autolog"  # off: a wrapper calls the original and nothing else
            values.append(chunk())
    here.active = True
    return times


def torch_steps_comet(hidden: str) -> list[float]:
    """The same with Comet's own recording of PyTorch, into an offline experiment: it needs a process of its own, and to be
    imported first.
    """
    import comet_ml

    experiment = comet_ml.OfflineExperiment(
        project_name="bench", offline_directory=".", display_summary_level=0
    )
    chunk = _chunk_of_torch(int(hidden))
    times = [chunk() for _ in range(60)]
    assert experiment.get_metric("loss"), "Comet has recorded nothing"
    print(json.dumps(times), flush=True)
    os._exit(0)  # or it would make an archive of all of it


def _chunk_of_torch(width: int) -> Callable[[], float]:
    """Some steps of a loop, warm; gives microseconds of CPU of the training thread a step."""
    import torch
    from torch import nn
    from torch.utils.data import DataLoader

    torch.set_num_threads(1)
    steps = 50
    model = nn.Sequential(
        nn.Linear(8, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1)
    )
    optimizer, criterion = torch.optim.SGD(model.parameters(), lr=0.01), nn.MSELoss()
    loader = DataLoader([(torch.randn(32, 8), torch.randn(32, 1))] * steps, batch_size=None)

    def chunk() -> float:
        began = time.thread_time()
        for x, y in loader:
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()
            loss.item()
        return (time.thread_time() - began) / steps * 1e6

    for _ in range(3):
        chunk()
    return chunk


def sink(variant: str, backend: str, steps: str) -> list[float]:
    """Points a second into a backend, four metrics a step: from a journal that is on the disk, through its sink; or by the
    backend's own client, as its documentation shows it (`client`), and in the largest batches it takes (`batches`).
    """
    from benchmarked_sinks import client, journal

    count = int(steps)
    if variant != "autolog":
        return [count * 4 / client(backend, variant, count)]
    from autolog import registry
    from autolog.sinks.follower import Follower
    from autolog.sinks.make import make_sink

    path, layout = journal(count)
    url = {
        "mlflow": f"mlflow+{os.environ['MLFLOW_TRACKING_URI']}", "tensorboard": "tensorboard:./logs",
        "wandb": "wandb://bench?mode=offline", "jsonl": "jsonl:./events.jsonl",
    }[backend]  # fmt: skip
    follower = Follower(make_sink(url, registry.sinks()), path, layout)
    if backend == "mlflow":  # makes its tables, as its client does before it is measured
        import mlflow

        mlflow.MlflowClient().search_experiments()
    began = perf_counter()
    while follower.advance():
        pass
    follower.close()
    return [count * 4 / (perf_counter() - began)]


def bad_sink(kind: str) -> dict[str, dict[str, list[float]]]:
    """A training of short steps, with four metrics each: a hundredth of a second with the store alone, and one with an MLflow
    server in trouble beside it, in turn. Microseconds a step, of its thread's CPU and of time; seconds that exit waits, of at
    most 1.
    """
    import numpy as np
    import requests
    from benchmarked_sinks import VALUES

    import autolog
    from autolog import process

    may_ask, ask = threading.Event(), requests.Session.request

    def asked(*arguments: Any, **named: Any) -> Any:
        may_ask.wait()
        return ask(*arguments, **named)

    requests.Session.request = asked  # type: ignore[method-assign]
    command = [sys.executable, str(Path(__file__).parent / "bad_servers.py"), kind]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        port = int(server.stdout.readline())
        if kind == "absent":
            server.kill()
            server.wait()
        autolog.autolog(sinks=[f"mlflow+http://127.0.0.1:{port}"], silent=True, exit_timeout=1)
        here = process.get()
        assert here is not None
        feeds, weights = here.output._live._feeds, np.random.RandomState(0).normal(size=(128, 128)) / 11
        cpu: dict[str, list[float]] = {"plain": [], "autolog": []}
        wall: dict[str, list[float]] = {"plain": [], "autolog": []}
        with autolog.run("troubled") as run:
            for chunk in range(600):
                name = ("plain", "autolog", "autolog", "plain")[chunk % 4]
                if name == "plain":  # what its thread does waits before it asks the server
                    may_ask.clear()
                    here.output._live._feeds = ()
                else:
                    here.output._live._feeds = feeds
                    may_ask.set()
                began, at = time.thread_time(), perf_counter()
                state = weights
                for step in range(chunk * 30, chunk * 30 + 30):
                    state = np.tanh(state @ weights)
                    run.log_metrics(VALUES, step=step)
                cpu[name].append((time.thread_time() - began) / 30 * 1e6)
                wall[name].append((perf_counter() - at) / 30 * 1e6)
        here.output._live._feeds = feeds
        may_ask.set()
        began = perf_counter()
        here.at_exit()
        leaving = perf_counter() - began
        server.kill()
    return {
        "cpu": {name: values[20:] for name, values in cpu.items()},
        "wall": {name: values[20:] for name, values in wall.items()},
        "exit": {"autolog": [leaving]},
    }


def model_1gb(variant: str, flavor: str) -> dict[str, list[float]]:
    """Seconds that saving a model of 1 GB holds up the training, and until it is all on the disk; MB of memory at the most."""
    import resource

    model: Any
    if flavor == "sklearn":
        import numpy as np
        from sklearn.neighbors import KNeighborsRegressor

        data = np.random.default_rng(0).random((2**20, 128))
        model = KNeighborsRegressor(algorithm="brute").fit(data, data[:, 0])
    else:
        import torch

        model = torch.nn.Linear(2**14, 2**14, bias=False)
    import pickle
    from functools import partial

    from autolog.models.capture import snapshot
    from autolog.models.folder import write
    from autolog.store.objects import share

    began = perf_counter()
    if variant == "autolog":
        taken = snapshot(flavor, model, staging_dir=".")
        held = perf_counter() - began
        write(taken, Path("model"), share=partial(share, "objects"))
    else:
        with open("model.pkl", "wb") as file:
            if flavor == "sklearn":
                pickle.dump(model, file, protocol=5)
            else:
                torch.save(model, file)
        held = perf_counter() - began
    whole = perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return {"held": [held], "whole": [whole], "peak": [peak]}


def index() -> dict[str, list[float]]:
    """A store of 10,000 runs with 40 params and 10 metrics each: seconds to index, milliseconds to ask and to list."""
    from autolog.store.journal import JournalWriter, encode
    from autolog.store.layout import Layout
    from autolog.store.records import Store
    from autolog.tracking.events import Event, MetricsLogged, ParamsLogged, RunEnded, RunStarted
    from autolog.tracking.ids import new_id, new_name

    layout = Layout(os.environ["AUTOLOG_DIR"])
    now = int(time.time() * 1000)
    for part in range(10):
        events: list[Event] = []
        for number in range(part * 1000, part * 1000 + 1000):
            run = new_id()
            events.append(
                RunStarted(run, now + number, new_name(), "default", None, "fit", "sklearn", "1.9.1", "a.B")
            )
            events.append(
                ParamsLogged(run, {f"param{i}": i * number if i % 2 else f"value {i}" for i in range(40)})
            )
            events.append(MetricsLogged(run, 0, now, {f"m{i}": number * 0.37 % (i + 1) for i in range(10)}))
            events.append(RunEnded(run, now + number + 5, "finished"))
        journal = JournalWriter(layout.journals / f"{part}.jsonl")
        journal.keep(encode(events))
        journal.open()
        journal.drain()
        journal.close()

    store = Store(layout)
    began = perf_counter()
    store.runs(limit=1)
    built = perf_counter() - began
    queries: list[float] = []
    for _ in range(9):
        began = perf_counter()
        assert len(store.runs(order_by="-metrics.m3", limit=50)) == 50
        queries.append((perf_counter() - began) * 1e3)
    command: list[float] = []
    autolog = Path(sys.executable).parent / "autolog"
    for _ in range(5):
        began = perf_counter()
        subprocess.run(
            [autolog, "ls", "--sort=-metrics.m3", "--limit", "50"], check=True, capture_output=True
        )
        command.append((perf_counter() - began) * 1e3)
    return {"build": [built], "query": queries[1:], "command": command[1:]}


if __name__ == "__main__":
    print(json.dumps(globals()[sys.argv[1]](*sys.argv[2:])))
