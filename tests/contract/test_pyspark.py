"""The promises, kept for PySpark ML: for an estimator written in Python, and for one of the JVM."""

from __future__ import annotations

import pickle
import re
from importlib.util import find_spec
from typing import Any

import pytest

from autolog.testing import Contract, recorded

if not find_spec("pyspark"):
    pytest.skip("PySpark is not installed", allow_module_level=True)


class TestPython(Contract):
    """As users and third parties write them."""

    integration = "pyspark"
    packages = ("pyspark",)
    beneath = ("numpy", "pandas")

    def data(self) -> Any:
        import pandas

        return pandas.DataFrame({"x": [1.0, 2.0, 6.0]})

    def train(self, data: Any) -> Any:
        from pyspark_estimators import Mean

        return Mean().fit(data)

    def outcome(self, model: Any, data: Any) -> Any:
        values = {param.name: value for param, value in model.extractParamMap().items()}
        return model.mean, model.transform(data).to_dict(), values

    def fail(self, data: Any) -> None:
        from pyspark_estimators import Mean

        Mean("y").fit(data)

    def comparable(self, pickled: bytes) -> bytes:
        return re.sub(rb"Mean_[0-9a-f]{12}|MeanModel_[0-9a-f]{12}", b"uid", pickled)


class TestJVM(Contract):
    """Spark's own, in one session: what needs fresh processes or can be pickled is shown above.

    Slow: the first of them starts the session's JVM.
    """

    integration = "pyspark"
    packages = ("pyspark",)

    def data(self) -> Any:
        return [(float(i % 2), [i / 10, (i * 7 % 10) / 10]) for i in range(20)]

    def _frame(self, data: Any) -> Any:
        from helpers import spark_session
        from pyspark.ml.linalg import Vectors

        rows = [(label, Vectors.dense(features)) for label, features in data]
        return spark_session().createDataFrame(rows, ["label", "features"])

    def train(self, data: Any) -> Any:
        from pyspark.ml.classification import LogisticRegression

        frame = self._frame(data)  # the session first: an estimator of the JVM's cannot be made without
        return LogisticRegression(maxIter=2).fit(frame)

    def outcome(self, model: Any, data: Any) -> Any:
        predictions = model.transform(self._frame(data)).select("prediction").collect()
        return (
            list(model.coefficients),
            model.intercept,
            model.summary.objectiveHistory,
            [*map(tuple, predictions)],
        )

    def fail(self, data: Any) -> None:
        from helpers import spark_session
        from pyspark.ml.classification import LogisticRegression

        spark_session()
        LogisticRegression().fit(data)  # what the JVM says counts its objects, and is never twice the same

    def test_pickles_are_the_same_and_load_without_autolog(self) -> None:
        """Transparent: a model of the JVM's cannot be pickled, and says so in the same words."""
        said: list[str] = []
        for one in (self.train(self.data()), None):
            with recorded("pyspark"), pytest.raises(TypeError) as raised:
                pickle.dumps(one or self.train(self.data()))
            said.append(str(raised.value))
        assert said[0] == said[1]

    test_patched_functions_and_methods_pickle_and_copy = None
    test_the_process_is_left_alone = None
    test_every_order_of_import_and_switch = None
