"""One call of `fit` or `evaluate`, as a run; and what is seen from inside of it."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from autolog import Call, IdentityMap, Run, current_run, provenance
from autolog_keras import about, data, outcome
from autolog_keras.watch import Watch

if TYPE_CHECKING:
    from autolog_keras import KerasOptions
    from autolog_keras.loops import Loops


class Calls:
    """The observers of one session."""

    def __init__(self, options: KerasOptions, loops: Loops) -> None:
        self.options = options
        self._loops = loops
        self._watches: IdentityMap[Watch] = IdentityMap()
        self._evaluated: IdentityMap[dict[str, Any]] = IdentityMap()

    def observe_fit(self, call: Call) -> Generator[None, Any, None]:
        outermost = call.outermost
        if not outermost and call.run is None:
            return
        call.seal()  # validation, and on PyTorch the loop beneath, are Keras's
        model, arguments, options = call.instance, call.arguments, self.options
        if outermost:
            run: Run = call.start_run(estimator=about.path_of(model))
            run.log_params({**about.fit_params(call.wrapped, arguments), **about.compiled_params(model)})
            if options.log_datasets:
                data.log(run, arguments.get("x"), arguments.get("y"), "train")
                data.log_validation(run, arguments.get("validation_data"))
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
            outcome.log(call.run, watch, finished)
        if outermost:
            run.trained(model, data=arguments.get("x"), describe=options.log_datasets)
            about.log_summary(run, model)
            if options.log_models:
                about.save(run, model, options, "model", data.example(arguments.get("x")))

    def observe_evaluate(self, call: Call) -> Generator[None, Any, None]:
        call.seal()
        model = call.instance
        known = provenance().model(model)
        run = current_run() if known is None else known.run
        if run is None:
            with self._loops.set_aside():
                yield
            return
        call.run = run  # so that what fails is said there; it goes on to be ended
        variable = provenance().name_of_argument()
        values: dict[str, Any] = {}
        self._evaluated.set(model, values)
        try:
            with self._loops.set_aside():
                yield
        finally:
            self._evaluated.pop(model)
        suffix = f"_{variable}" if variable else ""
        run.log_metrics({f"evaluate_{name}{suffix}": value for name, value in values.items()})
        if known is not None and self.options.log_datasets:
            self._describe(run, call.arguments, known, variable)

    def _describe(self, run: Run, arguments: dict[str, Any], known: Any, variable: str) -> None:
        """The data of an evaluation, once for each name, unless it is what the model has learnt."""
        x = arguments.get("x")
        if x is not known.data() and known.described is not None and variable not in known.described:
            known.described.add(variable)
            data.log(run, x, arguments.get("y"), "test")

    # -- from inside

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
