"""MLflow's REST stores with our own HTTP requests. MLflow's requests retry for minutes and warn each time, although the
follower retries, and each one tries to import pyspark and IPython.

This module knows HTTP, MLflow's credentials and the meaning of errors. It does not know runs.
"""

# MLflow's client has few type annotations.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from typing import Any, cast

from autolog.sinks import SinkError

ANSWER_SECONDS = 30.0


class Refused(Exception):
    """MLflow refused a request for good: a retry would not help."""

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.code = code


def requester() -> Callable[..., Any]:
    """Return a function that sends requests with MLflow's credentials and certificates. It uses MLflow's own request function
    where authentication needs MLflow's plug-ins.
    """
    import netrc  # noqa: F401  # pyright: ignore[reportUnusedImport]  else requests imports it on the sink's thread

    import requests
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    session = requests.Session()

    def request(uri: str, place: str, method: str, seconds: float, **content: Any) -> Any:
        creds = get_default_host_creds(uri)
        if creds.auth or creds.aws_sigv4 or getattr(creds, "use_databricks_sdk", False):
            headers = content.pop("headers", None)
            return http_request(
                creds,
                place,
                method,
                max_retries=0,
                raise_on_status=False,
                timeout=seconds,
                extra_headers=headers,
                **content,
            )
        if creds.username and creds.password:
            content["auth"] = (creds.username, creds.password)
        elif creds.token:
            content["headers"] = {**content.get("headers", {}), "Authorization": f"Bearer {creds.token}"}
        try:
            return session.request(
                method,
                f"{uri.rstrip('/')}{place}",
                timeout=seconds,
                verify=creds.verify,
                cert=creds.client_cert_path,
                **content,
            )
        except requests.exceptions.Timeout:
            raise SinkError(f"no answer within {seconds:g} s") from None
        except requests.exceptions.ConnectionError as error:
            raise SinkError(f"cannot be reached ({_reason(error)})") from None

    return request


def _reason(error: BaseException) -> str:
    """Return the innermost message of a chain of errors, each of which repeats the one before."""
    found = re.findall(
        r"\[Errno -?\d+\] ([^'\")]+)|(Remote end closed connection|[Ii]ncomplete read)", str(error)
    )
    return "".join(found[-1]).strip() if found else type(error).__name__


def plain_stores(uri: str, request: Callable[..., Any]) -> tuple[Any, Any]:
    """Return MLflow's REST stores for tracking and registry, which send by `request` and raise the server's message."""
    from functools import partial

    from mlflow.protos.model_registry_pb2 import ModelRegistryService
    from mlflow.protos.service_pb2 import MlflowService
    from mlflow.store.model_registry.rest_store import RestStore as RegistryStore
    from mlflow.store.tracking.rest_store import RestStore
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.proto_json_utils import parse_dict
    from mlflow.utils.rest_utils import extract_api_info_for_service

    places: dict[Any, tuple[str, str]] = {
        **extract_api_info_for_service(MlflowService, "/api/2.0"),
        **extract_api_info_for_service(ModelRegistryService, "/api/2.0"),
    }

    def call(self: Any, api: Any, json_body: str | None = None, endpoint: str | None = None, **_: Any) -> Any:
        place, method = places[api]
        content = {"params" if method == "GET" else "json": json.loads(json_body) if json_body else None}
        answer = request(uri, endpoint or place, method, _patience(), **content)
        if answer.status_code != 200:
            raise classified(answer.status_code, code_of(answer), text_of(answer))
        said = _object(answer)
        if said is None:
            raise SinkError("the server there is not an MLflow server", retryable=False)
        message = api.Response()
        parse_dict(said, message)
        return message

    creds = partial(get_default_host_creds, uri)
    tracking, registry = (
        type(f"Plain{base.__name__}", (base,), {"_call_endpoint": call})(creds)
        for base in (RestStore, RegistryStore)
    )
    return tracking, registry


def _patience() -> float:
    """Return the seconds to wait for an answer: MLflow's own setting, if it is set."""
    try:
        return float(os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"])
    except (KeyError, ValueError):
        return ANSWER_SECONDS


def classified(status: int, code: str, text: str) -> Exception:
    if status in (401, 403):
        return SinkError(text, retryable=False)
    if 400 <= status < 500 and status not in (408, 425, 429):
        return Refused(status, code, text)
    return SinkError(text)


def _object(answer: Any) -> dict[str, Any] | None:
    try:
        said = json.loads(answer.text or "{}")
    except ValueError:
        return None
    return cast("dict[str, Any]", said) if isinstance(said, dict) else None


def code_of(answer: Any) -> str:
    return str((_object(answer) or {}).get("error_code", ""))


def text_of(answer: Any) -> str:
    said = (_object(answer) or {}).get("message")
    return f"{answer.status_code} {said or answer.reason or ''}".strip()[:300]
