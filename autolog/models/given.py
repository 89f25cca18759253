"""What a model is trained on, read before the training: afterwards the data may have changed.

A training may add columns to the caller's frame, sort it or fill it. So the schema and the first rows are read first, and wait
here until the model is saved. The data itself is not kept.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from autolog.models.example import Example, NoExample, example_of
from autolog.models.signature import infer_signature, why_none


class ModelInput(NamedTuple):
    """What is known of a model's input. `unsigned` and `unexampled` say why there is no signature or example, as the end of a
    sentence; they are empty if there is one, or if none is wanted.
    """

    signature: dict[str, Any] | None = None
    example: Example | None = None
    unsigned: str = ""
    unexampled: str = ""


def look_at(data: Any, options: Any = None) -> ModelInput:
    """Return what an integration's options ask to know of the data, in its present state; without options, its signature.
    Return an empty ModelInput where no model will be saved.
    """
    if options is not None and not options.log_models:
        return ModelInput()
    signature = example = None
    unsigned = unexampled = ""
    if data is not None and (options is None or options.log_signatures):
        signature = infer_signature(data)
        unsigned = "" if signature is not None else why_none(data)
    if options is not None and options.log_input_examples:
        try:
            example = example_of(data)
        except NoExample as reason:
            unexampled = str(reason)
    return ModelInput(signature, example, unsigned, unexampled)
