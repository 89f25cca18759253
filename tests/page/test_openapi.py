"""The API is as it describes itself, whatever it is asked: generated requests, and generated filters and ids."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from helpers import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving import RUN, Running, new_store, running

schemathesis = pytest.importorskip("schemathesis")

SETTINGS = settings(
    max_examples=examples(60), deadline=None, suppress_health_check=list(HealthCheck), database=None
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server of a store that generated requests may change."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTOLOG_CONFIG_DIR", str(tmp_path_factory.getbasetemp() / "config"))
        with running(new_store(tmp_path_factory.mktemp("openapi") / "store")) as found:
            yield found


@pytest.fixture(scope="module")
def described(served: Running) -> Any:
    found = schemathesis.openapi.from_dict(served.get("openapi.json").json)
    found.config.update(base_url=served.origin)
    return found


OPERATIONS = (
    "GET runs", "GET experiments", "GET verdict", "GET sparks", "GET series", "GET run/{id}", "GET run/{id}/code",
    "GET run/{id}/files", "GET run/{id}/file", "POST change", "POST remove",
)  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *(("positive", name) for name in OPERATIONS),
        *(("negative", name) for name in OPERATIONS if name != "GET experiments"),  # which asks for nothing
    ],
)
def test_the_api_is_as_it_says(described: Any, served: Running, name: str, kind: str) -> None:
    """Not by schemathesis' own decorator: it knows no fixtures of pytest 9."""
    method, path = name.split()
    of = schemathesis.specs.openapi.checks
    checks = [
        schemathesis.checks.not_a_server_error, of.status_code_conformance, of.content_type_conformance,
        of.response_schema_conformance,
    ]  # fmt: skip
    operation = described[f"/api/v1/{path}"][method]
    headers = {"X-Autolog-Token": served.token, "Origin": served.origin}

    @given(case=operation.as_strategy(generation_mode=schemathesis.GenerationMode(kind)))
    @SETTINGS
    def ask(case: Any) -> None:
        answer = case.call(headers=headers, timeout=20)
        if (
            answer.content != b"Invalid HTTP request received."
        ):  # a URL too long for the server, which says so itself
            case.validate_response(answer, checks=checks)

    ask()


def test_everything_is_described(served: Running) -> None:
    paths = served.get("openapi.json").json["paths"]
    assert set(paths) == {f"/api/v1/{name.split()[1]}" for name in OPERATIONS}
    assert all("200" in operation["responses"] for path in paths.values() for operation in path.values())


PARTS = st.sampled_from(
    ["metrics.val_loss", "params.C", "status", "tags['k']", "<", "==", "in", "and", "or", "not", "(", ")", "1", "'x'", "None",
     "__import__('os')", "lambda: 0", "r.id", "; DROP TABLE runs", "\x00", "'", "--", "min(", "[", "]", "started", "é💥"]
)  # fmt: skip


@given(st.one_of(st.lists(PARTS, max_size=12).map(" ".join), st.text(max_size=80)))
@SETTINGS
def test_any_filter_gives_runs_or_says_where_it_is_wrong(served: Running, text: str) -> None:
    asked = quote(text.encode("utf-8", "surrogatepass"), safe="")
    for path in ("runs?q=", "runs?sort=", "verdict?q="):
        found = served.get(path + asked)
        assert found.status in (200, 400)
        if found.status == 400:
            assert isinstance(found.json["error"], str)
            assert isinstance(found.json["at"], int)


@given(st.one_of(st.text(max_size=70), st.sampled_from([RUN, "..", "."])), st.text(max_size=40))
@SETTINGS
def test_any_id_and_path_are_answered(served: Running, id: str, path: str) -> None:
    run, file = (quote(one.encode("utf-8", "surrogatepass"), safe="") for one in (id, path))
    paths = ["", "/code", "/files", f"/file?path={file}"]
    asked = [f"run/{run}{one}" for one in paths]
    asked += [
        f"run/{RUN}/file?path={file}",
        f"sparks?runs={run}&metric={file}",
        f"series?runs={run}&metric={file}",
    ]
    for one in asked:
        found = served.get(one)
        assert found.status in (200, 400, 404, 422), (one, found)
        assert b"Traceback" not in found.body
