"""What is observed of a training: before it params, data and a callback of ours, after it how it ended and the model."""

from __future__ import annotations

import sys
from collections.abc import Generator
from inspect import isawaitable, signature
from typing import Any

from autolog import Call, Options, Run
from autolog.instrument.identity import IdentityMap
from autolog_xgboost import outcome
from autolog_xgboost.inputs import (
    describe_matrix,
    fit_params,
    flavor_of,
    frame_like,
    settings_of,
    train_params,
)
from autolog_xgboost.rounds import Rounds, callback_class, log_history

BOOSTER = "xgboost.core.Booster"


class Training:
    """The observers of one session; XGBoost has been imported."""

    def __init__(self, options: Options) -> None:
        self.options = options
        xgboost = sys.modules["xgboost"]
        self._default_rounds: int = signature(xgboost.train).parameters["num_boost_round"].default
        self._callback = callback_class()
        self._boosters: IdentityMap[int] = IdentityMap()
        """How many boosters a run has seen trained."""

    def train(self, call: Call) -> Generator[None, Any, None]:
        if sys.modules["xgboost.collective"].get_rank() != 0:
            call.seal()  # of the processes that train one booster together, the first makes the run
            return
        arguments = call.arguments
        if call.outermost:
            run = call.start_run(kind="train", estimator=BOOSTER)
            run.log_params(train_params(arguments))
            self._log_matrices(run, arguments)
        elif call.run is None:
            return
        run = call.run
        prefix = self._next_booster(run)
        most = arguments.get("num_boost_round", self._default_rounds)
        if not prefix:
            run.log_params({"num_boost_round": most})
        rounds = Rounds(run, prefix, continued=arguments.get("xgb_model") is not None)
        self._watch(call, rounds, arguments)
        booster = yield
        outcome.log(run, booster, rounds, most, arguments, prefix)
        if call.outermost and self.options.log_models:
            like = frame_like(arguments["dtrain"]) if self.options.log_signatures else None
            run.save_model(booster, "xgboost", data=like, max_bytes=self.options.max_model_bytes)

    def cv(self, call: Call) -> Generator[None, Any, None]:
        arguments = call.arguments
        run = call.start_run(kind="cv", estimator=BOOSTER)
        most = arguments.get("num_boost_round", self._default_rounds)
        run.log_params({**train_params(arguments), "num_boost_round": most})
        self._log_matrices(run, arguments)
        rounds = Rounds(run)
        self._watch(call, rounds, arguments)
        yield
        outcome.log_early_stopping(run, rounds.model, rounds, most, arguments)

    def fit(self, call: Call) -> Generator[None, Any, None]:
        if not call.outermost:
            return  # the training inside adds its rounds to the run around it
        model, arguments, options = call.instance, call.arguments, self.options
        run = call.start_run(estimator=f"{type(model).__module__}.{type(model).__qualname__}")
        X, y = arguments.get("X"), arguments.get("y")
        run.log_params({**settings_of(model), **fit_params(arguments)})
        if options.log_datasets:
            run.log_dataset(X, y)
            for number, pair in enumerate(arguments.get("eval_set") or ()):
                if pair[0] is not X:
                    run.log_dataset(*pair, context="validation", known={"name": f"validation_{number}"})
        result = yield
        if result is not model and isawaitable(result):
            run.note(
                "An asynchronous Dask client: rounds and model come later than this call and are not recorded."
            )
            return
        if self._boosters.get(run) is None:  # trained elsewhere, as by Dask's workers
            most = model.get_num_boosting_rounds()
            run.log_params({"num_boost_round": most})
            rounds = log_history(run, vars(model).get("evals_result_") or {})
            outcome.log(run, model.get_booster(), rounds, most, vars(model))
        if options.log_models:
            # A ranker's `qid` column is no feature, and may be left out of what is predicted.
            known = options.log_signatures and "qid" not in getattr(X, "columns", ())
            flavor = flavor_of(model)
            run.save_model(model, flavor, data=X if known else None, max_bytes=options.max_model_bytes)

    def dask_train(self, call: Call) -> Generator[None, Any, None]:
        arguments = call.arguments
        run = call.start_run(kind="train", estimator=BOOSTER)
        most = arguments.get("num_boost_round", self._default_rounds)
        run.log_params({**train_params(arguments), "num_boost_round": most})
        self._log_matrices(run, arguments)
        result = yield
        if not isinstance(result, dict):
            run.note(
                "An asynchronous Dask client: rounds and model come later than this call and are not recorded."
            )
            return
        rounds = log_history(run, result["history"])
        outcome.log(run, result["booster"], rounds, most, arguments)
        if self.options.log_models:
            run.save_model(result["booster"], "xgboost", max_bytes=self.options.max_model_bytes)

    def part_of_another(self, call: Call) -> Generator[None, Any, None]:
        """A training that is somebody else's share of one that is recorded elsewhere."""
        call.seal()
        return
        yield

    def _watch(self, call: Call, rounds: Rounds, arguments: dict[str, Any]) -> None:
        # First in a list of its own: a callback that stops the training keeps the round from those behind it.
        own = self._callback(call.guarded(rounds))
        given = arguments.get("callbacks")
        call.replace(callbacks=[own, *(() if given is None else given)])

    def _next_booster(self, run: Run) -> str:
        """What sets the metrics of a second and further booster in one run apart; of the first, nothing."""
        number = (self._boosters.get(run) or 0) + 1
        self._boosters.set(run, number)
        return "" if number == 1 else f"booster_{number}-"

    def _log_matrices(self, run: Run, arguments: dict[str, Any]) -> None:
        if not self.options.log_datasets:
            return
        train = arguments.get("dtrain")
        run.log_dataset(train, known=describe_matrix(train))
        evals = arguments.get("evals")
        for matrix, name in evals if type(evals) in (list, tuple) else ():
            if matrix is not train:
                run.log_dataset(matrix, context="validation", known={"name": name, **describe_matrix(matrix)})
