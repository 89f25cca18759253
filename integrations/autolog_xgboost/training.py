"""Observes trainings: logs params and data and adds a callback before, logs results and the model after."""

from __future__ import annotations

import sys
from collections.abc import Generator
from inspect import isawaitable
from typing import Any

from autolog.integration import Call, IdentityMap, ModelInput, Options, Run, look_at
from autolog_xgboost import outcome
from autolog_xgboost.inputs import fit_params, flavor_of, pairs, settings_of, train_params
from autolog_xgboost.matrices import Matrices
from autolog_xgboost.rounds import Rounds, callback_class, log_history

BOOSTER = "xgboost.core.Booster"
ASYNCHRONOUS = "The Dask client is asynchronous: rounds and model come after this call and are not recorded."


class Training:
    """The observers of one integration. XGBoost must be imported before."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._callback = callback_class()
        self.matrices = Matrices(options)
        self._boosters: IdentityMap[int] = IdentityMap()
        """The number of boosters that were trained in each run."""

    def train(self, call: Call) -> Generator[None, Any, None]:
        if sys.modules["xgboost.collective"].get_rank() != 0:
            call.suppress_nested()  # if several processes train one booster, only the first makes the run
            return
        arguments = call.arguments
        if call.outermost:
            run = call.start_run(kind="train", estimator=BOOSTER)
            run.log_params(train_params(arguments))
            self._log_matrices(run, arguments)
            seen = self.matrices.seen(arguments.get("dtrain"))
        elif call.run is None:
            return
        else:
            seen = ModelInput()
        run = call.run
        prefix = self._next_booster(run)
        most = call.argument("num_boost_round")
        if not prefix:
            run.log_params({"num_boost_round": most})
        rounds = Rounds(run, prefix, continued=arguments.get("xgb_model") is not None)
        guarded = self._watch(call, rounds, arguments)
        booster = yield
        guarded.log_rest()
        # An estimator predicts with its best round, a booster with all rounds.
        of_estimator = getattr(call.outer, "integration", "") == "xgboost"
        outcome.log(run, booster, rounds, most, arguments, prefix, of_estimator)
        if call.outermost:
            run.trained(booster, data=arguments["dtrain"], describe=self.options.log_datasets)
            self._save(run, booster, seen, outcome.output_of(booster))

    def cv(self, call: Call) -> Generator[None, Any, None]:
        arguments = call.arguments
        run = call.start_run(kind="cv", estimator=BOOSTER)
        most = call.argument("num_boost_round")
        run.log_params({**train_params(arguments), "num_boost_round": most})
        self._log_matrices(run, arguments)
        rounds = Rounds(run)
        guarded = self._watch(call, rounds, arguments)
        yield
        guarded.log_rest()
        # `cv` cuts its results after the best round.
        outcome.log_early_stopping(run, rounds.model, rounds, most, arguments, keeps_best=True)

    def fit(self, call: Call) -> Generator[None, Any, None]:
        if not call.outermost:
            return  # the training inside adds its rounds to the run around it
        model, arguments, options = call.instance, call.arguments, self.options
        run = call.start_run(estimator=model)
        X, y = arguments.get("X"), arguments.get("y")
        run.log_params({**settings_of(model), **fit_params(arguments)})
        if options.log_datasets:
            run.log_dataset(X, y)
            for number, (data, target) in enumerate(pairs(arguments.get("eval_set"))):
                if data is not X:
                    run.log_dataset(
                        data, target, context="validation", known={"name": f"validation_{number}"}
                    )
        seen = _seen(X, options)
        with self.matrices.of_another:
            result = yield
        if result is not model and isawaitable(result):
            run.note(ASYNCHRONOUS)
            return
        booster = vars(model).get("_Booster")
        if booster is None:  # the user's subclass does something else
            return
        if self._boosters.get(run) is None:  # Dask's workers trained it
            most = model.get_num_boosting_rounds()
            run.log_params({"num_boost_round": most})
            measured = arguments.get("eval_set") is not None
            rounds = log_history(run, model.evals_result() if measured else {})
            outcome.log(run, booster, rounds, most, vars(model), of_estimator=True)
        run.trained(model, booster, data=X, describe=options.log_datasets)
        self._save(run, model, seen, outcome.output_of(booster, model), flavor_of(model))

    def dask_train(self, call: Call) -> Generator[None, Any, None]:
        arguments = call.arguments
        run = call.start_run(kind="train", estimator=BOOSTER)
        most = call.argument("num_boost_round")
        run.log_params({**train_params(arguments), "num_boost_round": most})
        self._log_matrices(run, arguments)
        seen = look_at(arguments.get("dtrain"), self.options)
        result = yield
        if not isinstance(result, dict):
            run.note(ASYNCHRONOUS)
            return
        rounds = log_history(run, result["history"])
        booster = result["booster"]
        outcome.log(run, booster, rounds, most, arguments)
        run.trained(booster, data=arguments["dtrain"], describe=self.options.log_datasets)
        self._save(run, booster, seen, outcome.output_of(booster))

    def part_of_another(self, call: Call) -> Generator[None, Any, None]:
        """Suppress a run for a part of a training that another process records."""
        call.suppress_nested()
        return
        yield

    def _watch(self, call: Call, rounds: Rounds, arguments: dict[str, Any]) -> Any:
        """Make XGBoost call `rounds`. Return them guarded."""
        guarded = call.guarded(rounds)
        given = arguments.get("callbacks")
        # First, and in a new list: a callback that stops the training hides the round from later callbacks.
        call.replace(callbacks=[self._callback(guarded), *(() if given is None else given)])
        return guarded

    def _save(self, run: Run, model: Any, seen: ModelInput, output: Any, flavor: str = "xgboost") -> None:
        if self.options.log_models:
            run.save_model(model, flavor, data=seen, output=output)

    def _next_booster(self, run: Run) -> str:
        """Return the prefix for the metrics of a run's next booster; "" for its first one."""
        number = (self._boosters.get(run) or 0) + 1
        self._boosters.set(run, number)
        return "" if number == 1 else f"booster_{number}-"

    def _log_matrices(self, run: Run, arguments: dict[str, Any]) -> None:
        if not self.options.log_datasets:
            return
        train = arguments.get("dtrain")
        run.log_dataset(train, known=self.matrices.describe(train))
        for matrix, name in pairs(arguments.get("evals")):
            if matrix is not train:
                known = {"name": name, **self.matrices.describe(matrix)}
                run.log_dataset(matrix, context="validation", known=known)


def _seen(X: Any, options: Options) -> ModelInput:
    """Return the model's input. A ranker's `qid` column is no feature and may be missing in predictions, so that gives no
    signature.
    """
    seen = look_at(X, options)
    if seen.signature is not None and "qid" in getattr(X, "columns", ()):
        return seen._replace(signature=None, unsigned="the data to predict may lack the qid column")
    return seen
