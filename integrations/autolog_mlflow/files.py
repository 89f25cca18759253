"""Puts a run's files and models into MLflow's storage, links them to their pages, and registers models.

This module knows MLflow's artifact repositories and the models of MLflow 2 and 3. It does not know events.
"""

# MLflow's client has few type annotations.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import json
import os
import posixpath
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from autolog_mlflow.rest import Refused, classified, code_of, text_of
from autolog_mlflow.server import Server

UPLOAD_SECONDS = 120.0
_NOT_IN_MODEL_NAMES = re.compile("[/:.%\"']")


class Storage:
    """The storage of one server's runs. Models are registered as `register`, unless that is empty."""

    def __init__(self, server: Server, register: str) -> None:
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
        from mlflow.store.artifact.mlflow_artifacts_repo import MlflowArtifactsRepository

        self._server = server
        self._register = register
        self._repository: Callable[..., Any] = get_artifact_repository
        self._resolve: Callable[[str, str], str] = MlflowArtifactsRepository.resolve_uri
        self._has_models = hasattr(server.entities, "LoggedModelOutput")

    def send_file(self, root: str, local: Path | None, path: str, what: str) -> list[str]:
        """Put a file at `path` below `root`. Return what MLflow refused, as at most one line. Skip a file that its owner has
        removed.
        """
        if local is None or not local.is_file():
            return []
        return self._server.refusal(f"file {what}", self._upload, root, local, path)

    def send_model(
        self, run: str, experiment: str, root: str, path: str, local: Callable[[str], Path | None]
    ) -> list[str]:
        """Send a model as a logged model of MLflow 3. For older servers, put it among the run's files below `root`, with the
        tag that marks it as a model. `local` maps a path to the local file. Return what MLflow refused, as lines.
        """
        folder = local(path)
        if folder is None or not folder.is_dir():
            return []
        logged = None
        if _NOT_IN_MODEL_NAMES.search(path) is None:
            logged = self._logged_model(experiment, run, path)
        target, prefix = (logged.artifact_location, "") if logged is not None else (root, f"{path}/")
        refused: list[str] = []
        for file in sorted(part for part in folder.rglob("*") if part.is_file()):
            name = file.relative_to(folder).as_posix()
            refused += self.send_file(target, local(f"{path}/{name}"), f"{prefix}{name}", f"{path}/{name}")
        if refused:
            return refused
        if logged is not None:
            self._finish_model(run, logged)
        else:
            refused += self._note_model(run, path, local(f"{path}/MLmodel"))
        if self._register:
            source = f"models:/{logged.model_id}" if logged is not None else f"{root}/{path}"
            refused += self._server.refusal(
                "registration", self._register_model, source, run, logged and logged.model_id
            )
        return refused

    def _upload(self, root: str, local: Path, path: str) -> None:
        """Upload through the server if it serves artifacts, else directly into its storage."""
        if root.startswith("mlflow-artifacts:"):
            root = self._resolve(root, self._server.uri)
        if not root.startswith(("http:", "https:")):
            self._repository(root).log_artifact(str(local), posixpath.dirname(path) or None)
            return
        with open(local, "rb") as file:
            # An empty file is sent as bytes: requests would send it in chunks, which some servers refuse.
            content: Any = file if os.fstat(file.fileno()).st_size else b""
            answer = self._server.request(
                root, f"/{quote(path)}", "PUT", UPLOAD_SECONDS, data=content,
                headers={"Content-Type": "application/octet-stream"},
            )  # fmt: skip
        if answer.status_code >= 300:
            raise classified(answer.status_code, code_of(answer), text_of(answer))

    def _logged_model(self, experiment: str, run: str, name: str) -> Any:
        """Return the run's logged model of this name, creating it if needed; None if this MLflow has no logged models."""
        if not self._has_models:
            return None
        server = self._server
        try:
            found = server.call(
                server.store.search_logged_models,
                [experiment],
                f"source_run_id = '{run}' AND name = '{name}'",
            )
            if found:
                return found[0]
            return server.call(server.store.create_logged_model, experiment, name, run)
        except Refused as error:
            if error.status not in (404, 405):
                raise
            self._has_models = False
            return None

    def _finish_model(self, run: str, model: Any) -> None:
        """Mark the model as ready, and link it to the run."""
        server = self._server
        ready = server.entities.LoggedModelStatus.READY
        if model.status != ready:
            server.call(server.store.finalize_logged_model, model.model_id, ready)
        outputs = server.call(server.store.get_run, run).outputs
        if model.model_id not in [one.model_id for one in (outputs.model_outputs if outputs else ())]:
            server.call(server.store.log_outputs, run, [server.entities.LoggedModelOutput(model.model_id, 0)])

    def _note_model(self, run: str, path: str, description: Path | None) -> list[str]:
        """Set the tag by which MLflow 2 recognises a model among the run's files. Return what MLflow refused, as at most one
        line.
        """
        key = "mlflow.log-model.history"
        try:
            described: dict[str, Any] = json.loads(description.read_text() if description is not None else "")
            said = {name: described[name] for name in ("flavors", "utc_time_created", "model_uuid")}
        except (OSError, ValueError, LookupError, TypeError):  # the store may come from a stranger
            return [f"model {path}: its MLmodel file cannot be read"]
        server = self._server
        entry = {"run_id": run, "artifact_path": path, **said}
        held = json.loads(server.call(server.store.get_run, run).data.tags.get(key, "[]"))
        others = [one for one in held if one["artifact_path"] != path]
        server.call(server.store.set_tag, run, server.entities.RunTag(key, json.dumps([*others, entry])))
        return []

    def _register_model(self, source: str, run: str, model: str | None) -> None:
        """Create a version of the registered model, unless there is one with this source."""
        server, name = self._server, self._register
        try:
            server.call(server.registry.create_registered_model, name)
        except Refused as error:
            if error.code != "RESOURCE_ALREADY_EXISTS":
                raise
        versions = server.call(server.registry.search_model_versions, f"name = '{name}'")
        if source not in [one.source for one in versions]:
            more = {"model_id": model} if model is not None else {}
            server.call(server.registry.create_model_version, name, source, run, **more)
