"""Records PySpark ML: every `Estimator.fit`, tuning with all its candidates, summaries, and metrics of evaluators.

A run holds, with Spark's own names:

    kind        fit, search (CrossValidator, TrainValidationSplit), candidate (a search's child)
    params      those of the estimator, with defaults and the param map; those of its parts (stages, a classifier, an
                evaluator) as <Class>.<param>, or <Class>_<number>.<param> for several; best_<param> of a search
    metrics     objectiveHistory             a step per iteration
                totalIterations, trainingCost, …     numbers that the training summary already holds; <Class>.<name> if
                                             several stages of a pipeline have a summary
                accuracy, areaUnderROC, r2, …        when the script reads them from `model.summary`
                <name>_<data>                when it reads them from `model.evaluate(data)`
                <metric>_<data>              of an Evaluator, on the predictions of `model.transform(data)` or a selection
                                             of them
                logLikelihood_<data>, …      when the script asks an LDAModel for them
                training-<metric>, …         XGBoost's, a step per round, with best_iteration, best_score, stopped_iteration
                best_<metric>                of a search; its candidates have avg_<metric> and std_<metric>, or <metric>;
                                             <Class>_<number>.best_<metric> if several stages of a pipeline are searches
    tags        best: true, a search's best candidate
    artifacts   model
    datasets    train, test (the script's data for metrics): schema, storage level, tables and files that it is read from

For all this, autolog starts no Spark job and persists no frame of the user. Saving the model takes Spark jobs. Their
description in Spark's pages names autolog.

A fit with a list of param maps, and `fitMultiple`, is one run per map. Estimators that only prepare features make no runs.

The integration imports nothing of PySpark before the user does.
"""

from __future__ import annotations

from collections.abc import Iterable

from autolog.integration import FastPatch, Integration, Patch, SubclassPatch

MODEL = "pyspark.ml.base:Model"
MEASURES = ("logLikelihood", "logPerplexity")
"""Methods by which a topic model is measured on data."""


class PysparkIntegration(Integration):
    """See the module."""

    name = "pyspark"
    supports = "pyspark>=3.4"
    tested = "3.4.4 to 4.3.0"
    claims = ("pyspark.ml",)

    def patches(self) -> Iterable[Patch | SubclassPatch | FastPatch]:
        from autolog_pyspark.after import MetricObserver
        from autolog_pyspark.fit import FitObserver

        after = MetricObserver(self.options)
        fits = FitObserver(self.options, after)
        yield SubclassPatch(
            base="pyspark.ml.base:Estimator", methods=("fit",), observer=fits.observe, nested=True
        )
        yield SubclassPatch(base=MODEL, methods=("transform",), observer=after.observe_transform)
        yield SubclassPatch(base=MODEL, methods=("evaluate",), observer=after.observe_evaluate)
        yield SubclassPatch(base=MODEL, methods=MEASURES, observer=after.observe_measure)
        yield SubclassPatch(
            base="pyspark.ml.evaluation:Evaluator", methods=("evaluate",), observer=after.observe_evaluator
        )
        yield FastPatch(target="pyspark.ml.wrapper:JavaWrapper._call_java", after=after.called)
