"""The small data of these tests."""

from __future__ import annotations

import numpy as np

RANDOM = np.random.RandomState(0)
X = RANDOM.normal(size=(80, 4))
Y = (X[:, 0] + X[:, 1] + 0.5 * RANDOM.normal(size=80) > 0).astype(int)
TEST_X, TEST_Y = X[:30], Y[:30]
THREE = np.digitize(X[:, 0], [-0.5, 0.5])
