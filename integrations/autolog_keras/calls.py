"""Records a call of `fit` or `evaluate` as a run, with what happens inside it."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from autolog.integration import Call, IdentityMap, ModelInput, Run, current_run, lineage
from autolog_keras import about, data
from autolog_keras.watch import Watch

if TYPE_CHECKING:
    from autolog_keras.loops import Loops
    from autolog_keras.options import KerasOptions


class Calls:
    """The observers of one integration."""

    def __init__(self, options: KerasOptions, loops: Loops) -> None:
        self.options = options
        self._loops = loops
        self._watches: IdentityMap[Watch] = IdentityMap()
        self._evaluated: IdentityMap[dict[str, Any]] = IdentityMap()

    def observe_fit(self, call: Call) -> Generator[None, Any, None]:
        outermost = call.outermost
        if not outermost and call.run is None:
            return
        call.suppress_nested()  # the validation, and on PyTorch the inner loop, belong to Keras
        model, arguments, options = call.instance, call.arguments, self.options
        if outermost:
            run: Run = call.start_run(estimator=model)
            run.log_params(
                {**about.fit_params({**call.defaults, **arguments}), **about.compiled_params(model)}
            )
            if options.log_datasets:
                data.log(run, arguments.get("x"), arguments.get("y"), "train")
                data.log_validation(run, arguments.get("validation_data"))
        x = arguments.get("x")
        seen = data.look(x, options) if outermost else ModelInput()
        watch = Watch(call.run, whole=outermost, every=options.log_every_n_steps)
        self._watches.set(model, watch)
        finished = False
        try:
            with self._loops.set_aside():
                yield
            finished = True
        finally:
            self._watches.pop(model)
            watch.log_size(model)
            watch.fit_ends(finished)
        if outermost:
            run.trained(model, data=x, describe=options.log_datasets)
            about.log_summary(run, model)
            if options.log_models:
                about.save(run, model, "model", data.completed(seen, model, x))

    def observe_evaluate(self, call: Call) -> Generator[None, Any, None]:
        call.suppress_nested()
        model = call.instance
        known = lineage().model(model)
        run = current_run() if known is None else known.run
        if run is None:
            with self._loops.set_aside():
                yield
            return
        call.run = run  # so that failures are noted in it; the run stays ended
        arguments = call.arguments
        on = lineage().on(model, arguments.get("x"), run)
        weighted = {"sample_weight": given} if (given := arguments.get("sample_weight")) is not None else {}
        by = lineage().keys.of(arguments.get("y"))
        values: dict[str, Any] = {}
        self._evaluated.set(model, values)
        try:
            with self._loops.set_aside():
                yield
        finally:
            self._evaluated.pop(model)
        made = {name: lineage().named_on(f"evaluate_{name}", on, weighted, by) for name in values}
        run.log_metrics({made[name].name: value for name, value in values.items()})
        directions = {
            made[name].name: said
            for name in values
            if (said := run.directions.get(f"val_{name}", run.directions.get(name)))
        }
        run.describe_metrics(directions, about={one.name: one.about for one in made.values()})
        if known is not None and self.options.log_datasets and made:
            self._describe(run, arguments, on, next(iter(made.values())).data)

    def _describe(self, run: Run, arguments: dict[str, Any], on: Any, name: str) -> None:
        """Describe the data of an evaluation once for each name, unless the run knows it."""
        described = on.model.described
        if described is not None and name not in described and not lineage().knows(on):
            described.add(name)
            data.log(run, arguments.get("x"), arguments.get("y"), "test", name)

    # -- inside a call

    def _of(self, callbacks: Any) -> Watch | None:
        return self._watches.get(about.model_of(callbacks))

    def training_begins(self, callbacks: Any, *_: Any, **__: Any) -> None:
        if (watch := self._of(callbacks)) is not None:
            watch.begin(callbacks)

    def epoch_begins(self, callbacks: Any, epoch: int, *_: Any, **__: Any) -> None:
        if (watch := self._of(callbacks)) is not None:
            watch.epoch_begins()

    def epoch_is_over(self, callbacks: Any, *_: Any, **__: Any) -> None:
        if (watch := self._of(callbacks)) is not None:
            watch.epoch_is_over(about.model_of(callbacks))

    def history_is_told(self, _: Any, __: Any, history: Any, epoch: int, logs: Any = None) -> None:
        if (watch := self._of(history)) is not None:
            watch.logs = logs

    def epoch_is_told(self, _: Any, __: Any, callbacks: Any, epoch: int, logs: Any = None) -> None:
        if (watch := self._of(callbacks)) is not None:
            watch.epoch_ends(epoch, logs)

    def evaluation_ends(self, callbacks: Any, logs: Any = None) -> None:
        values = self._evaluated.get(about.model_of(callbacks))
        if values is not None:
            values.update(about.flat(logs))

    def batch_is_over(self, _: Any, __: Any, callbacks: Any, batch: int, logs: Any = None) -> None:
        if (watch := self._of(callbacks)) is not None:
            watch.batch(batch, logs)

    def checkpoint_is_named(
        self, _: Any, path: Any, checkpoint: Any, epoch: int, *__: Any, **___: Any
    ) -> None:
        if (watch := self._of(checkpoint)) is not None:
            watch.checkpoints[str(path)] = epoch
