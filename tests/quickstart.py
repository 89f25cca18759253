"""The README's example: the Wisconsin breast cancer data that scikit-learn brings, two pipelines, and a search."""

import autolog

autolog.autolog()

from sklearn.datasets import load_breast_cancer  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.metrics import accuracy_score, f1_score  # noqa: E402
from sklearn.model_selection import GridSearchCV, train_test_split  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)

for C in (0.1, 10):
    model = make_pipeline(StandardScaler(), LogisticRegression(C=C))
    model.fit(X_train, y_train)
    print(f"C={C}: accuracy", accuracy_score(y_test, model.predict(X_test)))

search = GridSearchCV(model, {"logisticregression__C": [0.01, 0.1, 1, 10]})
search.fit(X_train, y_train)
print("search: f1", f1_score(y_test, search.predict(X_test)))
