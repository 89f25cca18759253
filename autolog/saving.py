"""Saves a model into a run: the snapshot on the training thread, before `fit` returns; the folder on the files thread."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

from autolog.tracking.events import Event, ModelLogged
from autolog.tracking.run import Run, sizes

if TYPE_CHECKING:
    from autolog.session import Session


def save_model(
    session: Session, run: Run, model: Any, flavor: str | None, *, path: str = "model", data: Any = None,
    output: Any = None, model_format: str | None = None, log_signatures: bool = True, max_bytes: int | None = None,
) -> None:  # fmt: skip
    """`data` and `output` are what the signature is inferred from. What cannot be saved becomes a note in the run; raises
    ValueError for a flavor that does not exist.
    """
    from autolog import models

    began = perf_counter()
    flavor = flavor or run.framework
    if flavor is None:
        raise ValueError(f"Which flavor is this model? log_model(model, flavor=…): sklearn.")
    folder = session.layout.artifacts_of(run.id)
    try:
        signature = models.infer_signature(data, output) if log_signatures and data is not None else None
        taken = models.snapshot(
            flavor,
            model,
            spool_dir=folder,
            signature=signature,
            model_format=model_format,
            max_bytes=max_bytes,
        )
    except models.ModelNotSaved as reason:
        run.note(f"The model was not saved: {reason}")
        return
    if run.secrets and models.contains(
        taken, [secret.encode("utf-8", "surrogatepass") for secret in run.secrets]
    ):
        taken.discard()
        run.note(
            "The model was not saved: one of its parameters is a secret, and the saved model would contain it."
        )
        return
    run.models.append((path, taken.size))
    seconds = perf_counter() - began

    def write() -> list[Event]:
        target = folder / path
        size = models.write(taken, target)
        files = {name.lstrip("/"): part for name, part in sizes(str(target))}
        return [ModelLogged(run.id, path, flavor, size, files, round(seconds, 6))]

    session.defer(write)
