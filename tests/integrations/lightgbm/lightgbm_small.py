"""Small data and settings: LightGBM prints nothing, works in one thread, and grows trees on few rows."""

from __future__ import annotations

from typing import Any

import numpy as np

X = np.random.RandomState(0).normal(size=(120, 4))
Y = (X[:, 0] + 0.5 * X[:, 1] > 0).astype(int)
V = np.random.RandomState(1).normal(size=(60, 4))
W = (V[:, 0] - 0.5 * V[:, 1] > 0).astype(int)  # not what is learnt: the loss on it soon rises

QUIET = {"verbose": -1, "num_threads": 1, "min_data_in_leaf": 5, "deterministic": True}
BINARY = {"objective": "binary", **QUIET}
API: dict[str, Any] = {"verbose": -1, "n_jobs": 1, "min_child_samples": 5}
