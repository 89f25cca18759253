"""Records cross_validate and similar functions as one run, with mean, spread and each fold. The fits inside are no runs."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from autolog.integration import Call, Run, lineage, plain
from autolog_sklearn import about, directions

if TYPE_CHECKING:
    from autolog_sklearn.after import MetricObserver
    from autolog_sklearn.options import SklearnOptions

_DATA = ("estimator", "X", "y", "groups", "fit_params", "params")


class Resampling:
    def __init__(self, options: SklearnOptions, after: MetricObserver) -> None:
        self.options = options
        self.after = after

    def observe(self, call: Call) -> Generator[None, Any, None]:
        arguments = call.arguments
        estimator, X = arguments.get("estimator"), arguments.get("X")
        run: Run = call.start_run(kind="cv", estimator=estimator, inside="nothing")
        run.set_tags({"function": call.name})
        settings = {f"{call.name}.{k}": v for k, v in arguments.items() if k not in _DATA and v is not None}
        run.log_params(about.params_of(estimator, run) | settings)
        if self.options.log_datasets and X is not None:
            run.log_dataset(X, arguments.get("y"))
        result = yield
        if call.name == "cross_val_predict":
            lineage().predicted(result, run, X)
        elif call.name == "cross_validate":
            for name, values in result.items():
                if getattr(values, "dtype", None) is not None:
                    _log_folds(run, name, values)
            for fitted in result.get("estimator", ()):
                self.after.remember_model(fitted, run)  # on a part of X
        elif call.name == "cross_val_score":
            _log_folds(run, "test_score", result)
        elif call.name == "permutation_test_score":
            score, scores, pvalue = result
            run.log_metrics({"score": score, "pvalue": pvalue}, step=0)
            run.describe_metrics({"score": "higher", "pvalue": None})
            _log_folds(run, "permutation_score", scores)
            run.describe_metrics(dict.fromkeys(("permutation_score", "mean_permutation_score")))
        else:
            _log_curve(run, call.name, arguments, result)


def _log_folds(run: Run, name: str, values: Any) -> None:
    """Log each fold as a step, and their mean and population standard deviation, as in `cv_results_`."""
    for fold, value in enumerate(values.tolist()):
        run.log_metrics({name: value}, step=fold)
    if values.size:
        run.log_metrics({f"mean_{name}": values.mean(), f"std_{name}": values.std()}, step=0)
        names = (name, f"mean_{name}", f"std_{name}")
        run.describe_metrics({one: directions.of_column(one) for one in names})


def _log_curve(run: Run, function: str, arguments: dict[str, Any], result: tuple[Any, ...]) -> None:
    """Log learning_curve: (sizes, train, test[, times]) or validation_curve: (train, test). Each step is a point."""
    if function == "learning_curve":
        places, train, test = result[0].tolist(), *result[1:3]
    else:
        train, test = result
        places = plain(list(arguments["param_range"]))
    for step in range(len(train)):
        run.log_metrics(
            {
                "mean_train_score": train[step].mean(), "std_train_score": train[step].std(),
                "mean_test_score": test[step].mean(), "std_test_score": test[step].std(),
            },
            step=step,
        )  # fmt: skip
    names = ("mean_train_score", "std_train_score", "mean_test_score", "std_test_score")
    run.describe_metrics({one: directions.of_column(one) for one in names})
    run.log_json(f"{function}.json", {"places": places, "train": train.tolist(), "test": test.tolist()})
