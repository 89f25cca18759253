# needs: lightgbm; in CI: -X dev
"""LightGBM's messages go to a logger of the user's, and a callback of the user's raises."""

import logging
import sys

import lightgbm as lgb
import numpy as np

import autolog

autolog.autolog()

logging.basicConfig(level=logging.DEBUG, stream=sys.stdout, format="%(name)s:%(levelname)s:%(message)s")
lgb.register_logger(logging.getLogger("boosting"))
X = np.random.default_rng(0).normal(size=(100, 2))
params = {"objective": "l2", "num_threads": 1, "force_col_wise": True}


def refuses(env):
    if env.iteration == 2:
        raise RuntimeError(f"round {env.iteration}: {env.evaluation_result_list}")


lgb.train(params, lgb.Dataset(X, X[:, 0]), 3, callbacks=[lgb.log_evaluation(1)])
lgb.train(params, lgb.Dataset(X, X[:, 1]), 4, callbacks=[refuses])
