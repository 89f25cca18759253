"""One fit, as a run."""

from __future__ import annotations

from collections.abc import Generator
from time import perf_counter
from typing import TYPE_CHECKING, Any

from autolog import Call, Run
from autolog.instrument.identity import IdentityMap
from autolog_sklearn import about, fitted, scores, search

if TYPE_CHECKING:
    from autolog_sklearn import SklearnOptions
    from autolog_sklearn.after import After


class _Partial:
    """Successive `partial_fit` calls on one instance: one run, a step each."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.calls = 0
        self.saving = 0.0
        self.began = perf_counter()


class Fits:
    def __init__(self, options: SklearnOptions, after: After) -> None:
        self.options = options
        self.after = after
        self._partials: IdentityMap[_Partial] = IdentityMap()

    def observe(self, call: Call) -> Generator[None, Any, None]:
        estimator = call.instance
        if not about.is_estimator(estimator):
            return
        if about.trains_others(estimator):
            call.seal()
        if not call.outermost:
            return
        if not about.trains(estimator):
            call.seal()  # what a transformer fits inside is nobody's training
            return
        if call.name.endswith("partial_fit"):
            yield from self._observe_partial(call, estimator)
            return
        self._partials.pop(estimator)
        kind = "search" if about.is_search(estimator) else "fit"
        run: Run = call.start_run(kind=kind, estimator=_path(estimator))
        arguments = call.arguments
        params = about.log_params(run, estimator, arguments)
        X, y = _data(arguments)
        if self.options.log_datasets and X is not None:
            run.log_dataset(X, y)
        result = yield
        self.after.remember_model(estimator, run, X)
        fitted.log(run, estimator)
        if kind == "search":
            search.log(run, estimator)
        predictions = None
        if self.options.log_training_metrics and X is not None:
            weights = arguments.get("sample_weight")
            predictions = scores.log(run, estimator, params, X, y, weights, call.seconds)
        if result is not estimator and type(result).__module__ == "numpy":
            self.after.remember_prediction(result, run, "")
        self._save(run, estimator, X, y if predictions is None else predictions)

    def _observe_partial(self, call: Call, estimator: Any) -> Generator[None, Any, None]:
        arguments = call.arguments
        X, y = _data(arguments)
        state = self._partials.get(estimator)
        if state is None:
            state = _Partial(call.start_run(kind="partial_fit", estimator=_path(estimator)))
            self._partials.set(estimator, state)
            about.log_params(state.run, estimator, {k: v for k, v in arguments.items() if k == "classes"})
            if self.options.log_datasets and X is not None:
                state.run.log_dataset(X, y)
        else:
            call.continue_run(state.run)
        yield
        rows = _rows(X)
        state.run.log_metrics(
            {**fitted.scalars(estimator), **({} if rows is None else {"rows": rows})}, step=state.calls
        )
        state.calls += 1
        self.after.remember_model(estimator, state.run, X)
        # The last call is not known to be the last, so the model is saved again when saving has cost little of the time.
        began = perf_counter()
        if state.calls == 1 or state.saving < 0.02 * (began - state.began):
            self._save(state.run, estimator, X, y)
            state.saving += perf_counter() - began

    def _save(self, run: Run, estimator: Any, X: Any, output: Any) -> None:
        options = self.options
        if not options.log_models:
            return
        model = search.best(estimator)
        if model is None:
            run.note("The model was not saved: the search did not refit one (refit=False).")
            return
        run.save_model(
            model, "sklearn", data=X if options.log_signatures else None, output=output,
            model_format=options.model_format, max_bytes=options.max_model_bytes,
        )  # fmt: skip


def _path(estimator: Any) -> str:
    return f"{type(estimator).__module__}.{type(estimator).__qualname__}"


def _data(arguments: dict[str, Any]) -> tuple[Any, Any]:
    """X and y by their usual names, or the first two arguments."""
    X = arguments.get("X")
    if X is None and arguments:
        X = next(iter(arguments.values()))
    return X, arguments.get("y", arguments.get("Y"))


def _rows(X: Any) -> int | None:
    shape = getattr(X, "shape", None)
    return int(shape[0]) if shape else len(X) if isinstance(X, (list, tuple)) else None
