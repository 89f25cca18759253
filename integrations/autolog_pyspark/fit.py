"""Records a fit as a run."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from autolog.integration import Call, Options, Run, look_at
from autolog_pyspark import about, data, search, signature, summaries
from autolog_pyspark.after import MetricObserver

UNSIGNED = "Spark does not tell which columns the model needs, or a signature has no names for their types"


class FitObserver:
    def __init__(self, options: Options, after: MetricObserver) -> None:
        self.options = options
        self.after = after

    def observe(self, call: Call) -> Generator[None, Any, None]:
        estimator, arguments = call.instance, call.arguments
        extra = arguments.get("params")
        if call.outermost and isinstance(extra, (list, tuple)):
            call.end()  # each fit inside is a separate training
            return
        if about.trains_others(estimator):
            call.suppress_nested()
        if not call.outermost:
            return
        if not about.trains(estimator):
            call.suppress_nested()
            return
        extra = extra if isinstance(extra, dict) else {}
        frame = arguments.get("dataset", next(iter(arguments.values()), None))
        kind = "search" if about.is_search(estimator) else "fit"
        run: Run = call.start_run(kind=kind, estimator=estimator)
        run.log_params(about.params_of(estimator, extra))
        if self.options.log_datasets:
            data.log(run, frame)
        model = yield
        chain = summaries.chain(model)
        run.trained(*chain, data=frame, describe=self.options.log_datasets)
        for one in chain:
            self.after.remember_summary(run, one)
        summaries.log(run, model)
        search.log(run, estimator, extra, model)
        if self.options.log_models:
            self._save(run, getattr(model, "bestModel", model), frame)

    def _save(self, run: Run, model: Any, frame: Any) -> None:
        seen = look_at(None, self.options)  # reading rows would start a Spark job
        if self.options.log_signatures:
            found = signature.infer(model, frame)
            seen = seen._replace(signature=found, unsigned="" if found else UNSIGNED)
        run.save_model(model, "spark", data=seen)
