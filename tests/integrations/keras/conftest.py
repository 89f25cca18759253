"""What the Keras tests share: a store for each test, small models."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from autolog import RunRecord
from autolog.testing import Recorded, recorded

collect_ignore_glob = [] if find_spec("keras") else ["*.py"]
if not collect_ignore_glob and version("keras").startswith("2."):  # the others import Keras 3
    collect_ignore_glob = ["test_keras_[!2]*.py"]
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def _one_thread() -> None:
    """Small data is not worth threads, and on a busy machine they wait for each other. Two devices are for strategies."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    [cpu, *_] = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)


# Now, before any test of this process trains something: then it would be too late.
if find_spec("keras") and find_spec("tensorflow"):
    _one_thread()


@pytest.fixture(autouse=True)
def _in_a_folder(own_key: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names and weights begin anew."""
    import keras

    keras.backend.clear_session()
    keras.utils.set_random_seed(3)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def seen() -> Iterator[Recorded]:
    """Records Keras into a store of its own; an error of autolog's own fails the test."""
    with recorded("keras") as seen:
        yield seen


@pytest.fixture
def shown_of_metrics() -> Callable[[RunRecord, str], Any]:
    """Its steps."""
    return lambda record, name: [point.step for point in record.history(name)]
