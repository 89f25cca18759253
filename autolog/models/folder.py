"""Writes a snapshot as a model folder, on a background thread.

    MLmodel              what it is, how to load it, its signature; ours under metadata.autolog
    requirements.txt     python_env.yaml     conda.yaml
    model.pkl, …         the snapshot's files
    code/                the user's own modules that the model needs

The YAML files are JSON, which every YAML reader reads. Knows no framework.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from autolog.models.code import FOLDER
from autolog.models.errors import NoUserKey
from autolog.models.requirements import PYTHON, conda_env, pins, python_env, requirements_txt
from autolog.models.staging import chunks
from autolog.models.trust import sign, signed_message, user_key
from autolog.models.types import Snapshot
from autolog.version import __version__

FORMAT_VERSION = 1

# Characters that PyYAML refuses or rewrites in a file, and those that a reader in another encoding would misread.
_NOT_PLAIN = re.compile("[\x7f-\uffff]")


def write(
    snapshot: Snapshot,
    folder: Path,
    *,
    trust_key: bytes | None = None,
    metadata: Mapping[str, str | int] | None = None,
    replace: bool = False,
    share: Callable[[Path, str], None] | None = None,
    code: Mapping[str, bytes] | None = None,
) -> dict[str, int]:
    """Make the folder, all at once. Return its files, by their paths in it, with their sizes in bytes. The snapshot's temporary
    files are used up.

    It is signed with `trust_key`, by default the user's own key; without a key it stays unsigned and will load only with
    trust=True. `metadata` goes beside ours in the MLmodel file; `code` is what `code.sources` returns. With `replace`, an older
    folder is replaced when the new one is complete. Raises OSError if the folder exists otherwise, or cannot be written;
    nothing new is left then.
    """
    if folder.exists() and not replace:
        raise FileExistsError(f"{folder} exists already")
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = folder.with_name(f".{folder.name}.{os.urandom(8).hex()}")
    draft.mkdir()
    try:
        contents = {**snapshot.files, **{f"{FOLDER}/{name}": source for name, source in (code or {}).items()}}
        files = {name: _place(draft / name, content) for name, content in contents.items()}
        if share is not None:
            for name, file in files.items():
                share(draft / name, file["sha256"])
        pinned, own = pins(snapshot.modules)
        mlmodel = to_yaml(_mlmodel(snapshot, files, own, trust_key, metadata or {}))
        documents = {**_environment(tuple(pinned)), "MLmodel": mlmodel.encode()}
        for name, content in documents.items():
            (draft / name).write_bytes(content)
        if replace and folder.exists():
            older = draft.with_name(f"{draft.name}.old")
            folder.rename(older)
            draft.rename(folder)
            shutil.rmtree(older, ignore_errors=True)
        else:
            draft.rename(folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    written = {name: file["bytes"] for name, file in files.items()}
    return dict(sorted({**written, **{name: len(content) for name, content in documents.items()}}.items()))


@lru_cache(maxsize=16)
def _environment(pinned: tuple[str, ...]) -> dict[str, bytes]:
    """Return the files that describe the environment: they are the same for all models of a kind."""
    documents = {
        "requirements.txt": requirements_txt(list(pinned)),
        "python_env.yaml": to_yaml(python_env()),
        "conda.yaml": to_yaml(conda_env(list(pinned))),
    }
    return {name: text.encode() for name, text in documents.items()}


def _place(path: Path, content: bytes | Path) -> dict[str, Any]:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
        return {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    shutil.move(content, path)
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for chunk in chunks(file):
            digest.update(chunk)
    return {"sha256": digest.hexdigest(), "bytes": path.stat().st_size}


def _mlmodel(
    snapshot: Snapshot,
    files: dict[str, Any],
    own_modules: list[str],
    key: bytes | None,
    metadata: Mapping[str, str | int],
) -> dict[str, Any]:
    code = {"code": FOLDER} if any(name.startswith(f"{FOLDER}/") for name in files) else {}
    entry = {**snapshot.entry, **code}
    flavors = {snapshot.flavor: entry}
    if snapshot.python_function is not None:
        flavors["python_function"] = {
            **snapshot.python_function,
            **code,
            "python_version": PYTHON,
            "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
        }
    try:
        signed = sign(signed_message(snapshot.flavor, entry, files), key or user_key())
    except NoUserKey:
        signed = None
    mlmodel: dict[str, Any] = {
        "flavors": flavors,
        "model_uuid": os.urandom(16).hex(),
        "utc_time_created": f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M:%S.%f}",
        "model_size_bytes": sum(file["bytes"] for file in files.values()),
        "metadata": {
            **metadata,
            "autolog": {
                "format": FORMAT_VERSION,
                "version": __version__,
                "flavor": snapshot.flavor,
                "model_class": snapshot.model_class,
                "files": files,
                "signature": signed,
                "own_modules": own_modules,
            },
        },
    }
    if snapshot.signature is not None:
        mlmodel["signature"] = snapshot.signature
    if snapshot.example is not None:
        mlmodel["saved_input_example_info"] = snapshot.example
    return mlmodel


def to_yaml(document: Any) -> str:
    """Return JSON that every YAML 1.1 reader reads the same: only printable characters, and only ASCII of the basic plane."""
    text = json.dumps(document, ensure_ascii=False)
    plain = _NOT_PLAIN.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
    # msgspec indents: with `indent`, json writes in Python, which took a third of the files thread's time for a model.
    return f"{msgspec.json.format(plain, indent=2)}\n"
