"""A server that W&B's own client takes for W&B: it keeps what arrives, and answers a resumed run as W&B does.

The client (wandb-core) speaks GraphQL for runs, files and artifacts, a stream of numbered lines for history and summary, and
plain PUT for contents. What is here is what it asks for; an operation that is not known is an error, so that none is missed.
"""

from __future__ import annotations

import gzip
import http.server
import json
import os
import re
import sys
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

ENTITY = "loopback"


class Server(http.server.ThreadingHTTPServer):
    """`runs` by project and id, as W&B would show them: name, group, config, history, summary, files, models."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.runs: dict[tuple[str, str], dict[str, Any]] = {}
        self.artifacts: dict[str, dict[str, Any]] = {}
        self.contents: dict[str, bytes] = {}
        self.unknown: list[str] = []
        self.down = False
        """Whether it answers 503."""
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone is no error of ours; others are for the test that looks at `unknown`."""
        error = sys.exc_info()[1]
        if not isinstance(error, ConnectionError):
            self.unknown.append(repr(error))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def of(self, project: str) -> list[dict[str, Any]]:
        """A project's runs, in the order in which they were made."""
        with self.lock:
            return [run for (place, _), run in self.runs.items() if place == project]

    def finished(self, project: str, timeout: float) -> list[dict[str, Any]]:
        """The same, when W&B's process has said of each that it is over, or the time is."""
        with self.changed:
            self.changed.wait_for(lambda: all(run["exit"] is not None for run in self.of(project)), timeout)
            return self.of(project)

    def upload(self, path: str) -> str:
        return f"{self.url}/storage/{path}"

    # -- GraphQL, by operation

    def answer(self, operation: str, variables: dict[str, Any]) -> dict[str, Any]:
        with self.lock:
            found: Callable[[dict[str, Any]], dict[str, Any]] | None = getattr(self, f"on_{operation}", None)
            if found is None:
                self.unknown.append(operation)
                return {"errors": [{"message": f"{operation} is not known here"}]}
            return {"data": found(variables)}

    def on_ServerFeaturesQuery(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"serverInfo": {"features": []}}

    def on_ServerInfo(self, given: dict[str, Any]) -> dict[str, Any]:
        return {
            "serverInfo": {"cliVersionInfo": {"max_cli_version": "99.0.0"}, "latestLocalVersionInfo": None}
        }

    def on_Viewer(self, given: dict[str, Any]) -> dict[str, Any]:
        return {
            "viewer": {"id": "1", "entity": ENTITY, "username": "one", "flags": "{}", "teams": {"edges": []}}
        }

    def on_RunResumeStatus(self, given: dict[str, Any]) -> dict[str, Any]:
        run = self.runs.get((given["project"], given["name"]))
        if run is None:
            return {"model": {**self._project(given["project"]), "bucket": None}}
        run["exit"] = None  # it goes on
        tail = [json.dumps(row) for row in run["history"][-1:]]
        bucket = {
            **self._bucket(given["project"], run), "summaryMetrics": json.dumps(run["summary"]), "logLineCount": 0,
            "eventsLineCount": 0, "historyTail": json.dumps(tail), "eventsTail": "[]", "tags": [], "notes": run["notes"],
            "wandbConfig": json.dumps({"t": 1}),
        }  # fmt: skip
        return {"model": {**self._project(given["project"]), "bucket": bucket}}

    def on_UpsertBucket(self, given: dict[str, Any]) -> dict[str, Any]:
        place = given["project"], given["name"]
        new = place not in self.runs
        run = self.runs.setdefault(
            place,
            {"id": given["name"], "name": None, "group": None, "kind": None, "notes": None, "config": {}, "history": [],
             "summary": {}, "files": {}, "models": [], "exit": None},
        )  # fmt: skip
        for key, said in (
            ("name", "displayName"),
            ("group", "groupName"),
            ("kind", "jobType"),
            ("notes", "notes"),
        ):
            if given.get(said) is not None:
                run[key] = given[said]
        if given.get("config"):
            config = json.loads(given["config"])
            run["config"] = {key: entry["value"] for key, entry in config.items() if key != "_wandb"}
        return {"upsertBucket": {"bucket": self._bucket(given["project"], run), "inserted": new}}

    def on_CreateRunFiles(self, given: dict[str, Any]) -> dict[str, Any]:
        place = f"runs/{given['project']}/{given['run']}"
        files = [{"name": name, "uploadUrl": self.upload(f"{place}/{name}")} for name in given["files"]]
        return {"createRunFiles": {"runID": given["run"], "uploadHeaders": [], "files": files}}

    def on_MarkRunFilesUploaded(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"markRunFilesUploaded": {"success": True}}

    def on_RunStoppedStatus(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"project": {"run": {"stopped": False}}}

    def on_ArtifactType(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"project": {"artifact": None}}

    def on_CreateArtifact(self, given: dict[str, Any]) -> dict[str, Any]:
        made = given["input"]
        sequence = made["artifactCollectionName"]
        same = [
            one
            for one in self.artifacts.values()
            if one["of"] == sequence and one["digest"] == made["digest"]
        ]
        if not same:
            number = f"artifact{len(self.artifacts)}"
            run = self.runs[made["projectName"], made["runName"]]
            same = [
                {"id": number, "of": sequence, "digest": made["digest"], "type": made["artifactTypeName"],
                 "metadata": json.loads(made.get("metadata") or "{}"), "files": {}, "state": "PENDING"}
            ]  # fmt: skip
            self.artifacts[number] = same[0]
            run["models"].append(same[0])
        (one,) = same
        shown = {"id": one["id"], "state": one["state"], "artifactSequence": {"latestArtifact": None}}
        return {"createArtifact": {"artifact": shown}}

    def on_CreateArtifactManifest(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"createArtifactManifest": {"artifactManifest": self._manifest(given["artifactID"])}}

    def on_UpdateArtifactManifest(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"updateArtifactManifest": {"artifactManifest": self._manifest(given["artifactManifestID"])}}

    def on_CreateArtifactFiles(self, given: dict[str, Any]) -> dict[str, Any]:
        edges = [
            {
                "node": {
                    "storagePath": spec["name"], "uploadUrl": self.upload(f"artifacts/{spec['artifactID']}/{spec['name']}"),
                    "uploadHeaders": [], "uploadMultipartUrls": None, "artifact": {"id": spec["artifactID"]},
                }
            }
            for spec in given.get("input", given)["artifactFiles"]
        ]  # fmt: skip
        return {"createArtifactFiles": {"files": {"edges": edges}}}

    def on_CommitArtifact(self, given: dict[str, Any]) -> dict[str, Any]:
        one = self.artifacts[given["artifactID"]]
        one["state"] = "COMMITTED"
        return {"commitArtifact": {"artifact": {"id": one["id"], "digest": one["digest"]}}}

    def _project(self, name: str) -> dict[str, Any]:
        return {"id": f"project {name}", "name": name, "entity": {"id": "1", "name": ENTITY}}

    def _bucket(self, project: str, run: dict[str, Any]) -> dict[str, Any]:
        return {
            "id": f"bucket {run['id']}", "name": run["id"], "displayName": run["name"], "description": None,
            "config": json.dumps({key: {"value": value} for key, value in run["config"].items()}), "sweepName": None,
            "project": self._project(project), "historyLineCount": len(run["history"]),
        }  # fmt: skip

    def _manifest(self, number: str) -> dict[str, Any]:
        url = self.upload(f"manifests/{number}")
        return {"id": number, "file": {"id": number, "uploadUrl": url, "uploadHeaders": []}}

    # -- what is not GraphQL

    def stream(self, project: str, name: str, content: dict[str, Any]) -> None:
        """Lines of a run's files: history in rows with a number, summary as a whole."""
        with self.lock:
            run = self.runs[project, name]
            for file, part in (content.get("files") or {}).items():
                if file == "wandb-history.jsonl":
                    # By their place: a repeat of the same lines is the same rows.
                    run["history"][part["offset"] : part["offset"] + len(part["content"])] = [
                        json.loads(line) for line in part["content"]
                    ]
                elif file == "wandb-summary.json":
                    run["summary"] = json.loads(part["content"][-1])
            if content.get("complete"):
                run["exit"] = content.get("exitcode")
                self.changed.notify_all()

    def keep(self, path: str, content: bytes) -> None:
        kind, _, rest = unquote(path).partition("/")
        with self.lock:
            if kind == "runs":
                project, name, file = rest.split("/", 2)
                self.runs[project, name]["files"][file] = content
            elif kind == "artifacts":
                number, file = rest.split("/", 1)
                self.artifacts[number]["files"][file] = content


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Any

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _content(self) -> bytes:
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        return gzip.decompress(data) if self.headers.get("Content-Encoding") == "gzip" else data

    def _serve(self) -> None:
        content, server = self._content(), self.server
        answer: Any = {}
        parts = self.path.strip("/").split("/")
        if server.down:
            pass
        elif parts[0] == "graphql":
            asked = json.loads(content)
            (operation,) = re.findall(r"^\s*(?:query|mutation) (\w+)", asked["query"])[:1]
            answer = server.answer(operation, asked.get("variables") or {})
        elif parts[0] == "files":
            server.stream(parts[2], parts[3], json.loads(content))
        elif parts[0] == "storage":
            server.keep("/".join(parts[1:]), content)
        said = json.dumps(answer).encode()
        self.send_response(503 if server.down else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    do_GET = do_POST = do_PUT = _serve


SERVER = Server()
"""One for this process. W&B's client finds it by its environment, which it reads once, when it is first used."""

os.environ.update(WANDB_BASE_URL=SERVER.url, WANDB_API_KEY="0" * 40, WANDB_ERROR_REPORTING="false")
