# needs: sklearn; in CI: helpers, autolog, framework
"""The user logs everything, from DEBUG on, on standard error; and a file of its own for warnings."""

import logging
import sys

from sklearn.cluster import KMeans
from sklearn.datasets import load_iris

import autolog

autolog.autolog()

logging.basicConfig(level=logging.DEBUG, format="%(levelname)s %(name)s %(threadName)s %(message)s")
logging.captureWarnings(True)
handler = logging.FileHandler("warnings.log")
handler.setLevel(logging.WARNING)
logging.getLogger().addHandler(handler)

X, _ = load_iris(return_X_y=True)
log = logging.getLogger("train")
for clusters in (2, 3):
    model = KMeans(clusters, n_init=2, random_state=0).fit(X)
    log.info("%d clusters: %.6f", clusters, model.inertia_)
log.warning("done, %d handlers", len(logging.getLogger().handlers))
print(logging.getLogger().level, logging.lastResort, sys.stderr.name)
