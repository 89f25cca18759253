"""Records scikit-learn: every estimator that predicts, searches, cross-validation, and metrics measured after the fit.

A run holds, with scikit-learn's own names where it has them:

    kind        fit, partial_fit, search, candidate (a search's child), cv (tag `function`: cross_val_score, …)
    params      get_params(deep=True); fit.<argument>, except data; best_<param> of a search; <function>.<argument> of a cv
    metrics     training_<metric>                  on the training data: accuracy_score, roc_auc, r2_score, …, score
                <metric>[_<setting>][_<variable>]  measured by the user: f1_score_macro_X_test, score_X_test
                <attribute without its _>          held by the fitted estimator: n_iter, inertia, oob_score, best_score
                loss, train_score, validation_score, …   a step per iteration; best_iteration, stopped_iteration
                best_cv_score                      of a search; its candidates have the columns of cv_results_
                test_score, mean_…, std_…          of a cv, a step per fold; rows of a partial_fit, a step per call
    tags        best: true, a search's best candidate; model_step, the call of partial_fit that the saved model is from
    artifacts   model; training_{confusion_matrix,roc_curve,precision_recall_curve}.json, coefficients.json,
                feature_importances.json; <function>_<variable>.json for the user's results that are not one number
    datasets    train, validation (X_val), test (the user's data for metrics)

The integration imports nothing of scikit-learn before the user does.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Any

from autolog.integration import (
    Call,
    Integration,
    Patch,
    SubclassPatch,
    observe_prediction,
    observe_score,
)
from autolog_sklearn.options import SklearnOptions

BASE = "sklearn.base:BaseEstimator"
TRAINING = ("fit", "fit_predict", "fit_transform", "partial_fit")
TASK = "sklearn.utils.parallel:_FuncWrapper.__call__"
PREDICTING = ("predict", "predict_proba", "predict_log_proba", "decision_function", "score_samples")

# Metrics of predictions. The oldest supported version does not have those in NEWER_METRICS.
METRICS = (
    "accuracy_score", "auc", "average_precision_score", "balanced_accuracy_score", "brier_score_loss",
    "class_likelihood_ratios", "classification_report", "cohen_kappa_score", "confusion_matrix", "dcg_score", "f1_score",
    "fbeta_score", "hamming_loss", "hinge_loss", "jaccard_score", "log_loss", "matthews_corrcoef", "ndcg_score",
    "precision_recall_curve", "precision_recall_fscore_support", "precision_score", "recall_score", "roc_auc_score",
    "roc_curve", "top_k_accuracy_score", "zero_one_loss",
    "d2_absolute_error_score", "d2_pinball_score", "d2_tweedie_score", "explained_variance_score", "max_error",
    "mean_absolute_error", "mean_absolute_percentage_error", "mean_gamma_deviance", "mean_pinball_loss",
    "mean_poisson_deviance", "mean_squared_error", "mean_squared_log_error", "mean_tweedie_deviance",
    "median_absolute_error", "r2_score",
    "coverage_error", "label_ranking_average_precision_score", "label_ranking_loss",
    "adjusted_mutual_info_score", "adjusted_rand_score", "calinski_harabasz_score", "completeness_score",
    "davies_bouldin_score", "fowlkes_mallows_score", "homogeneity_score", "mutual_info_score",
    "normalized_mutual_info_score", "rand_score", "silhouette_score", "v_measure_score",
)  # fmt: skip
NEWER_METRICS = (
    "d2_brier_score", "d2_log_loss_score", "root_mean_squared_error", "root_mean_squared_log_error",
)  # fmt: skip
# Functions that scikit-learn's displays, such as `RocCurveDisplay`, import under a second name, and the modules that do.
PLOTTED = {
    "confusion_matrix": "sklearn.metrics._plot.confusion_matrix",
    "roc_curve": "sklearn.metrics._plot.roc_curve",
    "precision_recall_curve": "sklearn.metrics._plot.precision_recall_curve",
    "learning_curve": "sklearn.model_selection._plot",
    "validation_curve": "sklearn.model_selection._plot",
}
RESAMPLING = (
    "cross_validate", "cross_val_score", "cross_val_predict", "learning_curve", "validation_curve",
    "permutation_test_score",
)  # fmt: skip


class SklearnIntegration(Integration):
    """See the module."""

    name = "sklearn"
    supports = "scikit-learn>=1.3"
    tested = "1.3.0 to 1.9.1"
    Options = SklearnOptions

    def patches(self) -> Iterable[Patch | SubclassPatch]:
        from autolog_sklearn.after import MetricObserver
        from autolog_sklearn.fit import FitObserver
        from autolog_sklearn.resampling import Resampling

        after = MetricObserver(self.options)
        fits = FitObserver(self.options, after)
        yield SubclassPatch(base=BASE, methods=TRAINING, observer=fits.observe, nested=True)
        yield Patch(target=TASK, observer=fits.observe_task)
        resampling = Resampling(self.options, after)
        for name in RESAMPLING:
            yield _function("sklearn.model_selection", name, resampling.observe)
        if self.options.log_post_training_metrics:
            yield SubclassPatch(base=BASE, methods=PREDICTING, observer=observe_prediction)
            yield SubclassPatch(base=BASE, methods=("score",), observer=observe_score)
            for name in (*METRICS, *NEWER_METRICS):
                yield _function("sklearn.metrics", name, after.observe_metric)


def _function(module: str, name: str, observer: Callable[[Call], Generator[None, Any, None]]) -> Patch:
    aliases = (f"{PLOTTED[name]}:{name}",) if name in PLOTTED else ()
    return Patch(
        target=f"{module}:{name}", aliases=aliases, observer=observer, optional=name in NEWER_METRICS
    )
