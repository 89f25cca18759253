"""A small regression: eight numbers a row, one to predict. Run eagerly: to trace a graph takes longer than these trainings."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

X = np.random.RandomState(0).normal(size=(48, 3)).astype("float32")
Y = X.sum(axis=1, keepdims=True)
ARRAY = {"kind": "numpy.ndarray", "rows": 48, "dtype": "float32"}
"""What a record says of X."""
MODEL_FILES = [
    f"model/{name}" for name in
    ("MLmodel", "conda.yaml", "data/keras_module.txt", "data/model.keras", "python_env.yaml", "requirements.txt")
]  # fmt: skip


def model(**compiled: Any) -> Any:
    made = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(1)], name="small"
    )
    made.compile(**{"optimizer": "sgd", "loss": "mse", "run_eagerly": True, **compiled})
    return made
