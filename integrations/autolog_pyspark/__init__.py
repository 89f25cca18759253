"""Records PySpark ML: every `Estimator.fit`, tuning with all its candidates, summaries, and what evaluators measure.

What a run holds, by Spark's own words:

    kind        fit, search (CrossValidator, TrainValidationSplit), candidate (a search's child)
    params      those of the estimator, defaults and the param map included; of what it holds (stages, a classifier, an
                evaluator) as <Class>.<param>, <Class>_<number>.<param> where there are several; best_<param> of a search
    metrics     objectiveHistory             a step an iteration
                totalIterations, trainingCost, …     what the training summary holds by now; <Class>.<name> where several
                                             stages of a pipeline have one
                accuracy, areaUnderROC, r2, …        when the script reads them of `model.summary`
                <name>_<data>                when it reads them of `model.evaluate(data)`
                <metric>_<data>              of an Evaluator, on the predictions of `model.transform(data)` or what is
                                             selected of them
                logLikelihood_<data>, …      that it asks an LDAModel for
                training-<metric>, …         a step a round, of XGBoost's, with best_iteration, best_score, stopped_iteration
                best_<metric>                of a search; its candidates have avg_<metric> and std_<metric>, or <metric>;
                                             <Class>_<number>.best_<metric> where several stages of a pipeline are searches
    tags        best: true, a search's best candidate
    artifacts   model
    datasets    train, test (what the script measured on): schema, storage level, tables and files that it is read from

No Spark job is started and no frame of the user's is persisted to find any of this. Saving the model writes it with Spark,
which takes jobs of its own; their description in Spark's pages says that they are autolog's.

A fit with a list of param maps, and `fitMultiple`, is one run for each. What only prepares features makes no run of its own.

Nothing of PySpark is imported before the user has imported it.
"""

from __future__ import annotations

from collections.abc import Iterable

from autolog.integration import FastPatch, Integration, Patch, SubclassPatch

MODEL = "pyspark.ml.base:Model"
MEASURES = ("logLikelihood", "logPerplexity")
"""What a topic model computes of data."""


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
