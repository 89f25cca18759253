"""Saves a model into a run: the snapshot on the training thread, before `fit` returns; the folder on the files thread."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

from autolog.models.capture import snapshot
from autolog.models.code import sources
from autolog.models.errors import ModelNotSaved
from autolog.models.folder import write as write_folder
from autolog.models.given import ModelInput, look_at
from autolog.models.requirements import pins
from autolog.models.signature import with_output
from autolog.models.staging import contains
from autolog.models.types import Snapshot
from autolog.store.objects import share
from autolog.tracking.events import Event, ModelLogged, NoteLogged
from autolog.tracking.metrics import metric_direction, primary_metric
from autolog.tracking.redact import is_telling, mark, redact_text
from autolog.tracking.run import Run

if TYPE_CHECKING:
    from autolog.instrument.integration import Options
    from autolog.output import Output


class ModelSaver:
    """Saves the models of one client's runs. `options_of` returns the options for a framework's models."""

    def __init__(self, output: Output, options_of: Callable[[str | None], Options | None]) -> None:
        self._output = output
        self._options_of = options_of
        self._best: dict[tuple[str, ...], tuple[float, str]] = {}
        """The best value of a metric so far, and the name of its run."""

    def save(
        self, run: Run, model: Any, flavor: str | None, *, path: str = "model", data: Any = None, output: Any = None,
        model_format: str | None = None, max_bytes: int | None = None, by_hand: bool = False,
    ) -> None:  # fmt: skip
        """Save a model into a run. If it cannot be saved, the run gets a note.

        `data` is what the model was trained on, or what `look_at` has read of it before the training. `output` is like what the
        model predicts. The options of the run's integration decide whether the model is saved, with what, in which format, and
        up to which size; they do not apply with `by_hand`, where the user asks for it. Raises ValueError if no flavor is known.
        """
        if not self._output.active:
            return
        began = perf_counter()
        options = None if by_hand else self._options_of(run.framework)
        if options is not None and not options.log_models:
            return
        if options is not None and options.log_models == "best" and (reason := self._surpassed(run, path)):
            run.model_not_saved(str(reason))
            return
        flavor = flavor or run.framework
        if options is not None:
            max_bytes = options.max_model_bytes if max_bytes is None else max_bytes
            if flavor == run.framework:  # the option chooses among this flavor's formats
                model_format = model_format or getattr(options, "model_format", None)
        if flavor is None:
            raise ValueError("Which flavor is this model? Say it, as in log_model(model, flavor='sklearn').")
        folder = self._output.layout.artifacts_of(run.id)
        self._output.layout.make_root()  # a large model is spilled there, perhaps before anything else is written
        try:
            seen = data if isinstance(data, ModelInput) else look_at(data, options)
            signature = seen.signature
            if signature is not None and output is not None:
                signature = with_output(signature, output)
            taken = snapshot(
                flavor,
                model,
                staging_dir=folder,
                signature=signature,
                example=seen.example,
                model_format=model_format,
                max_bytes=max_bytes,
            )
        except ModelNotSaved as reason:
            run.model_not_saved(str(reason))
            return
        if run.secrets and (secrets := _secrets_in(taken, run.secrets)):
            taken.discard()
            run.model_not_saved(_told(secrets))
            return
        if not by_hand and all(path != known for known, _ in run.models):  # it may be saved again and again
            _say_what_is_missing(run, taken, seen)
        run.models.append((path, taken.size))
        seconds = perf_counter() - began

        def write() -> list[Event]:
            target = folder / path
            # The folder may exist: a model that goes on learning is saved again.
            code, notes = _own_code(taken, run.secrets)
            files = write_folder(
                taken, target, replace=True, share=partial(share, self._output.layout.objects), code=code
            )
            saved = ModelLogged(run.id, path, flavor, sum(files.values()), files, round(seconds, 6))
            return [saved, *(NoteLogged(run.id, note) for note in notes)]

        self._output.defer(write)

    def _surpassed(self, run: Run, path: str) -> str:
        """Return which earlier run of this process has a better model, as the end of a sentence. Return "" if none has; from
        now on this run's model is the best. Runs are compared within an experiment, with the same estimator, by the same
        metric.
        """
        metrics = run.metrics
        metric = primary_metric(metrics, run.directions)
        if metric is None or (value := metrics[metric]) != value:
            return ""
        key = (run.experiment, run.framework or "", run.estimator or "", path, metric)
        best, name = self._best.get(key, (None, ""))
        if (
            best is not None
            and (value <= best if metric_direction(metric, run.directions) == "higher" else value >= best)
            and name != run.name
        ):
            return f"{name} has a better {metric}, {best:.6g} beside {value:.6g}"
        self._best[key] = (value, run.name)
        return ""


def _secrets_in(taken: Snapshot, secrets: set[str]) -> list[str]:
    """Return the secrets in the model's files. A value that only its name calls a secret may be any word and does not count."""
    return [
        secret
        for secret in sorted(secrets)
        if is_telling(secret) and contains(taken.files, [secret.encode("utf-8", "surrogatepass")])
    ]


def _told(secrets: list[str]) -> str:
    """Return why a model is not stored, and what to do."""
    return (
        f"its files contain what looks like a secret, {', '.join(map(mark, secrets[:3]))} among the parameters. Keep it "
        "out of the model, as in a variable of the environment that is read where it is needed. If it is no secret, say so in "
        '[tool.autolog]: secrets = ["!…"], where … is a regular expression that matches it.'
    )


def _own_code(taken: Snapshot, secrets: set[str]) -> tuple[dict[str, bytes], list[str]]:
    """Return the sources of the user's modules that a model needs, and notes on those not kept. `secrets` are the run's."""
    own = [name for name in pins(taken.modules)[1] if is_users(name)]
    found, without = sources(own, is_users)
    known = [one.encode("utf-8", "surrogatepass") for one in tuple(secrets)]
    secret = [
        path
        for path, content in found.items()
        if _has_secret(content) or any(one in content for one in known)
    ]
    for path in secret:
        del found[path]
    notes: list[str] = []
    if without:
        notes.append(
            f"The model needs {', '.join(without)}, of no installed package: the source was not found, or is too large, and is "
            "not kept with the model."
        )
    if secret:
        notes.append(
            f"The model needs {', '.join(secret)}, which is not kept with it: there is a secret in it."
        )
    return found, notes


def is_users(module: str) -> bool:
    """Return whether a top-level module belongs to no installed package, nor to autolog."""
    return module.partition("_")[0] != "autolog" and bool(pins([module])[1])


@lru_cache(maxsize=64)  # the models of a loop have the same sources
def _has_secret(content: bytes) -> bool:
    found: set[str] = set()
    redact_text(content.decode("utf-8", "replace"), found, python=True)
    return bool(found)


def _say_what_is_missing(run: Run, taken: Snapshot, seen: ModelInput) -> None:
    if seen.unsigned:
        run.note(f"The model has no signature: {seen.unsigned}.")
    elif taken.signature and not taken.signature["outputs"] and taken.python_function is not None:
        run.note(
            "The signature says nothing of the predictions: what these are like only the model itself could tell."
        )
    if seen.unexampled:
        run.note(f"No example of the input was saved: {seen.unexampled}.")
