"""The promises, kept for scikit-learn."""

from __future__ import annotations

from typing import Any

import pytest

from autolog.testing import Contract

pytest.importorskip  # the framework is imported inside the methods: fresh processes import this module first


class TestSklearn(Contract):
    integration = "sklearn"
    packages = ("sklearn",)
    beneath = ("scipy.stats", "pandas", "joblib", "narwhals", "pyarrow", "rich.progress", "sqlite3")

    def data(self) -> Any:
        import numpy as np

        X = np.random.RandomState(0).normal(size=(60, 3))
        return X, (X[:, 0] + X[:, 1] > 0).astype(int)

    def train(self, data: Any) -> Any:
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        return make_pipeline(StandardScaler(), LogisticRegression()).fit(*data)

    def outcome(self, model: Any, data: Any) -> Any:
        return model.predict_proba(data[0]), vars(model[-1]), vars(model[0])

    def fail(self, data: Any) -> None:
        from sklearn.linear_model import LogisticRegression

        LogisticRegression().fit(data[0], data[1][:3])

    def objects(self) -> list[Any]:
        from sklearn.linear_model import SGDClassifier
        from sklearn.model_selection import GridSearchCV
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        from sklearn.svm import SVC

        return [
            self.train(self.data()),
            SGDClassifier(loss="hinge"),
            SGDClassifier(loss="log_loss"),
            GridSearchCV(SVC(), {"C": [1.0, 2.0]}).fit(*self.data()),
            GridSearchCV(SGDClassifier(), {"alpha": [1.0, 2.0]}, refit=False).fit(*self.data()),
            make_pipeline(StandardScaler()),
        ]
