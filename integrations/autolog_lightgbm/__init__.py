"""Records LightGBM: `train`, `cv`, the scikit-learn API and Dask's.

A run holds, with LightGBM's own names:

    kind        train, cv, fit
    params      the given ones, or get_params() of the scikit-learn API; num_boost_round as LightGBM resolves it; the settings
                of an early_stopping() callback as the params of the same meaning; fit.<argument>, except data
    metrics     <valid set>-<metric>                    a step per round, with LightGBM's number
                <valid set>-<metric>-{mean,stdv}        of a cv
                best_iteration, best_score_<valid set>-<metric>     of early stopping; LightGBM counts from 1
                stopped_iteration                       the number of rounds, if training stopped early
    artifacts   model; feature_importances.json (gain, split)
    datasets    train, validation; data in a file, or already binned, is described once LightGBM has read it
                test (the user's data for metrics)

Metrics of predictions of the Booster or the estimator go to the run, and so does score().

The integration imports nothing of LightGBM before the user does.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sized
from typing import Any, Literal

from autolog.integration import (
    Call,
    FastPatch,
    Integration,
    ModelInput,
    Options,
    Patch,
    Run,
    SubclassPatch,
    look_at,
    observe_prediction,
    observe_score,
    suppress_warnings,
    weakly,
)
from autolog_lightgbm import booster, data, rounds


class LightgbmOptions(Options, frozen=True, kw_only=True):
    """Options for LightGBM, in addition to those of all integrations."""

    model_format: Literal["pickle", "skops"] = "pickle"
    """The format of models of the scikit-learn API. skops files load without running code. Boosters are always text."""


PREDICTING = ("predict", "predict_proba", "decision_function")


class LightgbmIntegration(Integration):
    """See the module."""

    name = "lightgbm"
    # Before 4.0, an additional callback changed what LightGBM printed.
    supports = "lightgbm>=4.0"
    tested = "4.0.0 to 4.7.0"
    claims = ("lightgbm",)
    Options = LightgbmOptions

    def __init__(self, options: LightgbmOptions) -> None:
        super().__init__(options)
        self.datasets = data.Datasets(options)

    def patches(self) -> Iterable[Patch | SubclassPatch | FastPatch]:
        train = ("lightgbm.engine:train", "lightgbm.sklearn:train")
        yield Patch(target="lightgbm:train", aliases=train, observer=self.train, nested=True)
        yield Patch(target="lightgbm:cv", aliases=("lightgbm.engine:cv",), observer=self.cv)
        base = "lightgbm.sklearn:LGBMModel"
        yield SubclassPatch(base=base, methods=("fit",), observer=self.fit, nested=True)
        yield SubclassPatch(base=base, methods=PREDICTING, observer=observe_prediction)
        yield SubclassPatch(base=base, methods=("score",), observer=observe_score)
        yield SubclassPatch(base="lightgbm.basic:Booster", methods=("predict",), observer=observe_prediction)
        yield FastPatch(target="lightgbm.basic:Dataset.construct", before=self.datasets.is_read)
        yield Patch(target="lightgbm.dask:_train_part", observer=self.part, nested=True, optional=True)

    def train(self, call: Call) -> Generator[None, Any, None]:
        if not call.outermost and call.run is None:
            return
        outermost, options = call.outermost, self.options
        seen_input, waiting, table = ModelInput(), [], weakly(None)
        if outermost:
            arguments = call.arguments
            run: Run = call.start_run(kind="train", estimator="lightgbm.basic.Booster")
            run.log_params(data.train_params(arguments))
            if options.log_datasets:
                waiting = data.log_sets(run, arguments)
            # LightGBM releases the table once it is binned, so hold only a weak reference.
            table = weakly(data.raw(arguments.get("train_set")))
            seen_input = self.datasets.seen(arguments.get("train_set"))
        seen = self._inject(call, rounds.Rounds)
        model = yield
        seen.log_outcome(rounds.scores_of(model))
        booster.log_importances(call.run, model)
        data.log_read(call.run, waiting)
        if outermost:
            call.run.trained(model, data=table(), describe=options.log_datasets)
            self._save(call.run, model, seen_input)

    def cv(self, call: Call) -> Generator[None, Any, None]:
        arguments = call.arguments
        run: Run = call.start_run(kind="cv", estimator="lightgbm.basic.Booster")
        run.log_params(data.train_params(arguments))
        waiting = data.log_sets(run, arguments) if self.options.log_datasets else []
        seen = self._inject(call, rounds.FoldRounds)
        results = yield
        # LightGBM cuts the results after the best iteration.
        seen.log_outcome({rounds.joined(name): v[-1] for name, v in results.items() if name != "cvbooster"})
        data.log_read(run, waiting)

    def fit(self, call: Call) -> Generator[None, Any, None]:
        if not call.outermost:
            return  # `train` inside adds its rounds to the outer run
        model, arguments = call.instance, call.arguments
        run: Run = call.start_run(estimator=model)
        with suppress_warnings():
            params = model.get_params()
        run.log_params(params | data.fit_params(arguments))
        if self.options.log_datasets:
            data.log_fit(run, arguments)
        X = arguments.get("X")
        seen_input = look_at(X, self.options)
        with self.datasets.of_another:
            yield
        run.trained(model, model.booster_, data=X, describe=self.options.log_datasets)
        if hasattr(model, "to_local"):  # a Dask estimator, trained by workers
            rounds.log_history(run, model.evals_result_)
            booster.log_importances(run, model.booster_)
            model = model.to_local()
        self._save(run, model, seen_input)

    def part(self, call: Call) -> Generator[None, Any, None]:
        """Suppress a run for a Dask worker's part of a training, if the worker is a thread of this process."""
        call.suppress_nested()
        return
        yield

    def _inject(self, call: Call, kind: type[rounds.Rounds]) -> rounds.Rounds:
        """Add a callback that LightGBM calls after each round, and return it."""
        run, given = call.run, call.arguments.get("callbacks")
        ours = run.framework == self.name
        seen = kind(run, resolves=ours)
        if given is None or isinstance(given, Sized):  # LightGBM refuses other types
            own = call.guarded(seen)
            vars(own)["order"] = seen.order  # LightGBM would set another order on the wrapper
            # Ours comes first: LightGBM numbers callbacks by their distance from the list's end.
            call.replace(callbacks=[own, *(given or ())])
            if ours:
                run.log_params(rounds.early_stopping(given or ()))
        return seen

    def _save(self, run: Run, model: Any, seen: ModelInput) -> None:
        if self.options.log_models:
            run.save_model(model, "lightgbm", data=seen, output=booster.output_of(model))
