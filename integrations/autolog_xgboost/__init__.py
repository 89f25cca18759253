"""Records XGBoost: `train`, `cv`, every estimator of the scikit-learn API, and training with Dask.

A run holds, with XGBoost's own names:

    kind        train, fit, cv
    params      the given ones; num_boost_round with its default; fit.<argument>, except data
    metrics     <eval name>-<metric>         of every eval set, including custom metrics; a step is a round of the model, so
                                             a continued training continues the steps
                <eval name>-<metric>-{mean,std}   of a cv
                best_iteration, best_score   if early stopping is on in any way
                stopped_iteration            the last round, if training stopped early
    artifacts   model; feature_importances.json (gain, weight, cover)
    datasets    train, validation (each eval set)

A booster that is trained inside another training, such as a pipeline's last step, adds its rounds to that run. With Dask, the
rounds are taken from the training's history at its end.

The integration imports nothing of XGBoost before the user does.
"""

from __future__ import annotations

from collections.abc import Iterable

from autolog.integration import (
    FastPatch,
    Integration,
    Patch,
    SubclassPatch,
    observe_prediction,
    observe_score,
)

ESTIMATOR = "xgboost.sklearn:XGBModel"
MATRICES = ("DMatrix", "QuantileDMatrix")


class XGBoostIntegration(Integration):
    """See the module."""

    name = "xgboost"
    supports = "xgboost>=2.0"
    tested = "2.0.3 to 3.4.1"
    claims = ("xgboost.sklearn", "xgboost.dask")

    def patches(self) -> Iterable[Patch | SubclassPatch | FastPatch]:
        from autolog_xgboost.training import Training

        see = Training(self.options)
        yield Patch(
            target="xgboost:train", aliases=("xgboost.training:train", "xgboost.sklearn:train"),
            observer=see.train, nested=True,
        )  # fmt: skip
        for name in MATRICES:
            yield FastPatch(target=f"xgboost.core:{name}.__init__", after=see.matrices.is_made)
        yield Patch(target="xgboost:cv", aliases=("xgboost.training:cv",), observer=see.cv)
        yield SubclassPatch(base=ESTIMATOR, methods=("fit",), observer=see.fit, nested=True, optional=True)
        yield Patch(target="xgboost.dask:train", observer=see.dask_train, optional=True)
        # Each Dask worker does a part of the training that the client started.
        yield Patch(
            target="xgboost.dask:worker_train", observer=see.part_of_another, nested=True, optional=True
        )
        # For metrics after the training.
        for name in ("predict", "inplace_predict"):
            yield Patch(target=f"xgboost.core:Booster.{name}", observer=observe_prediction)
        predicting = ("predict", "predict_proba")
        yield SubclassPatch(base=ESTIMATOR, methods=predicting, observer=observe_prediction, optional=True)
        yield SubclassPatch(base=ESTIMATOR, methods=("score",), observer=observe_score, optional=True)
