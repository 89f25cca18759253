# needs: sklearn; in CI: helpers, autolog, framework
"""Models, pipelines and a search at module level, with references and finalizers of the user's own that run at exit."""

import atexit
import weakref

from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import autolog

autolog.autolog()

X, y = load_iris(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=0.3)).fit(X_train, y_train)
search = GridSearchCV(LogisticRegression(max_iter=500), {"C": [0.1, 1]}, cv=3).fit(X_train, y_train)
print(
    f1_score(y_test, pipeline.predict(X_test), average="macro"),
    search.best_params_,
    search.score(X_test, y_test),
)

weakref.finalize(pipeline, print, "the pipeline is gone")
gone = weakref.ref(search, lambda _: print("the search is gone"))
atexit.register(lambda: print("goodbye", pipeline.score(X_test, y_test)))
