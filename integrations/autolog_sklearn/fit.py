"""Records a fit as a run."""

from __future__ import annotations

from collections.abc import Generator
from time import perf_counter, thread_time
from typing import TYPE_CHECKING, Any

from autolog.integration import Call, IdentityMap, ModelInput, Run, lineage, look_at
from autolog_sklearn import about, directions, fitted, monitors, scores, search

if TYPE_CHECKING:
    from autolog_sklearn.after import MetricObserver
    from autolog_sklearn.options import SklearnOptions


SAVING_SECONDS, SAVING_SHARE = 0.05, 0.05
"""The limit of all time for saving the model of repeated `partial_fit` calls: seconds, or a share of the time since the first
call, if that is more.
"""


class _Partial:
    """Successive `partial_fit` calls on one instance: one run, with a step per call."""

    def __init__(self, run: Run, owned: bool) -> None:
        self.run = run
        self.owned = owned
        self.calls = 0
        self.saving = 0.0
        self.began = perf_counter()


class FitObserver:
    def __init__(self, options: SklearnOptions, after: MetricObserver) -> None:
        self.options = options
        self.after = after
        self._partials: IdentityMap[_Partial] = IdentityMap()

    def observe(self, call: Call) -> Generator[None, Any, None]:
        estimator = call.instance
        if about.trains_others(estimator):
            call.suppress_nested()
        if not call.outermost:
            return
        if not about.trains(estimator):
            call.suppress_nested()  # fits inside a transformer are not the user's trainings
            return
        if call.name.endswith("partial_fit"):
            yield from self._observe_partial(call, estimator)
        else:
            yield from self._observe_fit(call, estimator)

    def observe_task(self, call: Call) -> Generator[None, Any, None]:
        """Suppress runs in scikit-learn's parallel tasks that run in a thread from outside the call, such as one of a Dask
        cluster in this process or of a process that records. Such a task is not the user's training.
        """
        if str(getattr(call.instance.function, "__module__", "")).startswith("sklearn."):
            call.suppress_nested()
        return
        yield

    def _observe_fit(self, call: Call, estimator: Any) -> Generator[None, Any, None]:
        self._partials.pop(estimator)
        kind = "search" if about.is_search(estimator) else "fit"
        run: Run = call.start_run(kind=kind, estimator=estimator)
        X, y, rest = about.split(call.arguments)
        validation = rest.pop("X_val", None), rest.pop("y_val", None)
        params = about.params_of(estimator, run)
        run.log_params(params | about.fit_params(rest, X))
        if self.options.log_datasets and X is not None:
            run.log_dataset(X, y)
            if validation[0] is not None:
                run.log_dataset(*validation, context="validation")
        seen, doubles, of_one_column = look_at(X, self.options), about.doubles_like(X, y), about.is_column(y)
        wanted = self.options.log_training_metrics
        keys = lineage().keys
        before = keys.of(X) if wanted == "always" else None
        result = yield
        self.after.remember_model(estimator, run, X)
        if not call.name.endswith(".fit"):
            lineage().predicted(result, run, X)
        model = search.best(estimator)
        if model is not None and model is not estimator:
            params = about.params_of(model, run)
        harm = about.harm_of_predicting(model, params)
        predicted = result if call.name.endswith(".fit_predict") else None
        if wanted is True and harm:
            if y is not None and model is not None:
                run.note(
                    f'Training metrics were left out: {harm}. log_training_metrics="always" computes them anyway.'
                )
        elif X is not None and model is not None and wanted:
            if wanted == "always" and not about.works_in_place(params) and before != keys.of(X):
                run.note("Training metrics were left out: the fit has changed the data.")
            else:
                with_score = scores.is_accuracy_or_r2(estimator)
                scored = scores.log(run, model, params, X, y, rest.get("sample_weight"), with_score)
                predicted = scored if predicted is None else predicted
        if kind == "search":
            search.log(run, estimator)
        if predicted is None and of_one_column:
            predicted = fitted.labels_like(estimator)
        if predicted is None and about.is_own_regressor(estimator):
            predicted = doubles
        self._save(run, model, seen, predicted)
        fitted.log(run, estimator, call.seconds, not harm)
        monitors.log(run, (*about.chain(estimator), *params.values()))

    def _observe_partial(self, call: Call, estimator: Any) -> Generator[None, Any, None]:
        X, y, rest = about.split(call.arguments)
        state = self._partials.get(estimator)
        if state is None:
            run: Run = call.start_run(kind="partial_fit", estimator=estimator)
            state = _Partial(run, call.owns_run)
            self._partials.set(estimator, state)
            run.log_params(about.params_of(estimator, run) | about.fit_params(rest, X))
            if self.options.log_datasets and X is not None:
                run.log_dataset(X, y)
        elif state.owned:
            call.continue_run(state.run)
        # Any call may be the last one, so the model is saved while that is cheap. The tag model_step names the saved step.
        saves = state.saving < max(SAVING_SECONDS, SAVING_SHARE * (perf_counter() - state.began))
        seen = look_at(X, self.options) if saves else ModelInput()
        rows, of_one_column = about.rows_of(X), about.is_column(y)
        yield
        numbers = {**fitted.scalars(estimator), "rows": rows}
        state.run.log_metrics(numbers, step=state.calls)
        learnt = about.chain(estimator)[-1]
        state.run.describe_metrics({name: directions.of_held(name, learnt) for name in numbers})
        self.after.remember_model(estimator, state.run, X)
        if saves:
            began = thread_time()
            self._save(state.run, estimator, seen, fitted.labels_like(estimator) if of_one_column else None)
            state.saving += thread_time() - began
            if self.options.log_models:
                state.run.set_tags({"model_step": state.calls})
        state.calls += 1

    def _save(self, run: Run, model: Any, seen: ModelInput, output: Any) -> None:
        if not self.options.log_models:
            return
        if model is None:
            run.model_not_saved("the search has no refitted model (refit=False).")
            return
        run.save_model(model, "sklearn", data=seen, output=output)
