"""Who is let in, what may change runs, and what every answer says to the browser: over HTTP and WebSocket, on a real server."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import msgspec
import pytest
from serving import RUN, Connect, Running, new_store, running
from websockets.exceptions import InvalidStatus

# -- Host


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
def test_this_machines_names_are_answered(shared: Running, name: str) -> None:
    assert shared.get("runs", Host=f"{name}:{shared.server.port}").status == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example:{port}", "evil.example", "127.0.0.1", "localhost", "127.0.0.1:1", "127.0.0.1.evil.example:{port}",
     "localhost.:{port}", "[::1]", "::1:{port}", "127.0.0.2:{port}", "0.0.0.0:{port}", "", ":{port}", "localhost:{port}:{port}",
     "evil.example:{port}@localhost:{port}", "localhost:0{port}", "127.1:{port}", "2130706433:{port}"],
)  # fmt: skip
def test_other_hosts_are_refused(shared: Running, connect: Connect, host: str) -> None:
    """Also with the right token: by DNS rebinding a page of another site becomes one of that host."""
    wrong = host.format(port=shared.server.port)
    found = shared.get("runs", Host=wrong, Origin=f"http://{wrong}")
    assert (found.status, b'"runs"' in found.body) == (403, False)


def test_a_request_without_a_host_is_refused(shared: Running) -> None:
    assert shared.get("runs", Host=None).status in (400, 403)


def test_two_hosts_are_refused(shared: Running) -> None:
    with socket.create_connection(("127.0.0.1", shared.server.port)) as raw:
        token = f"X-Autolog-Token: {shared.token}\r\n"
        lines = f"GET /api/v1/runs HTTP/1.1\r\nHost: {shared.host}\r\nHost: evil.example\r\n{token}Connection: close\r\n\r\n"
        raw.sendall(lines.encode())
        assert raw.recv(64).split()[1] in (b"400", b"403")


# -- Origin and Sec-Fetch-Site

FOREIGN = [
    "http://evil.example",
    "null",
    "https://{host}",
    "http://localhost:{port}",
    "http://{host}.evil.example",
    "",
]


@pytest.mark.parametrize("origin", FOREIGN)
def test_another_origin_is_refused(shared: Running, connect: Connect, origin: str) -> None:
    said = origin.format(host=shared.host, port=shared.server.port)
    assert shared.get("runs", Origin=said).status == 403
    assert shared.post("change", {"runs": []}, Origin=said).status == 403
    with pytest.raises(InvalidStatus) as error, connect(shared, Origin=said):
        pass
    assert error.value.response.status_code == 403


def test_a_websocket_needs_an_origin(shared: Running, connect: Connect) -> None:
    with pytest.raises(InvalidStatus), connect(shared, Origin=None):
        pass
    with connect(shared) as page:
        assert msgspec.json.decode(page.recv())["type"] == "hello"


@pytest.mark.parametrize(
    "path", ["/api/v1/live", "/_nicegui_ws/socket.io/?EIO=4&transport=websocket", "/anything"]
)
def test_the_guard_stands_before_every_websocket(shared: Running, connect: Connect, path: str) -> None:
    for headers in (
        {"Origin": "http://evil.example"},
        {"X_Autolog_Token": "wrong"},
        {"X_Autolog_Token": None},
    ):
        with pytest.raises(InvalidStatus) as error, connect(shared, path, **headers):
            pass
        assert error.value.response.status_code == 403


@pytest.mark.parametrize(
    ("site", "mode", "dest", "status"),
    [("cross-site", "cors", "empty", 403), ("cross-site", "no-cors", "image", 403), ("cross-site", "no-cors", "script", 403),
     ("cross-site", "navigate", "iframe", 403), ("cross-site", "navigate", "object", 403), ("same-site", "cors", "empty", 403),
     ("cross-site", "navigate", "document", 200), ("same-origin", "cors", "empty", 200), ("none", "navigate", "document", 200)],
)  # fmt: skip
def test_other_sites_may_only_link_here(
    shared: Running, site: str, mode: str, dest: str, status: int
) -> None:
    found = shared.get("runs", Sec_Fetch_Site=site, Sec_Fetch_Mode=mode, Sec_Fetch_Dest=dest)
    assert found.status == status
    posted = shared.post(
        "change", {"runs": []}, Sec_Fetch_Site=site, Sec_Fetch_Mode=mode, Sec_Fetch_Dest=dest
    )
    assert posted.status == (200 if site in ("same-origin", "none") else 403)


# -- the token


@pytest.mark.parametrize(
    "path", ["/", "/api/v1/runs", "/api/v1/openapi.json", f"/api/v1/run/{RUN}/file?path=x", "/x"]
)
def test_nothing_is_answered_without_the_token(shared: Running, path: str) -> None:
    for headers in (
        {},
        {"X_Autolog_Token": "wrong"},
        {"Cookie": f"autolog_{shared.server.port}=wrong"},
        {"Cookie": "autolog_1=x"},
    ):
        found = shared.ask(path, token=False, **headers)
        assert found.status == 403
        assert b"autolog ui" in found.body
    assert shared.ask(f"/?token={'0' * 32}", token=False).status == 403


def test_the_printed_url_leaves_a_cookie_and_no_token_in_the_address(shared: Running) -> None:
    found = shared.ask(f"/runs?exp=a%20b&token={shared.token}&q=x%26y", token=False)
    assert (found.status, found.headers["location"]) == (303, "/runs?exp=a+b&q=x%26y")
    cookie = found.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    held = cookie.partition(";")[0]
    assert shared.ask("/", token=False, Cookie=held).status == 200
    assert shared.ask("/", token=False, Cookie=f'a={{"b": [1, 2]}}; _xsrf=2|3; broken; {held}').status == 200
    assert shared.ask("/", token=False, Cookie=f"session=abc; {held}; x=y").status == 200


@pytest.mark.parametrize(
    "path",
    ["//evil.example/", "/\\evil.example/", "///evil.example", "/%2f%2fevil.example", "/%5cevil.example"],
)
def test_the_way_in_leads_to_no_other_site(shared: Running, path: str) -> None:
    found = shared.ask(f"{path}?token={shared.token}", token=False)
    where = found.headers.get("location", "/")
    assert where.startswith("/")
    assert where[1:2] not in ("/", "\\")


def test_the_token_in_a_cookie_changes_nothing(page: Running) -> None:
    """A cookie is sent by the browser, whoever asks for it; a header is not."""
    cookie = f"autolog_{page.server.port}={page.token}"
    assert (
        page.post("change", {"runs": [RUN], "name": "x"}, X_Autolog_Token=None, Cookie=cookie).status == 403
    )
    assert (
        page.post(f"change?token={page.token}", {"runs": [RUN], "name": "x"}, X_Autolog_Token=None).status
        == 403
    )
    assert page.get("runs").json["runs"]["name"].count("x") == 0


def test_the_token_is_the_same_after_a_restart_and_another_for_another_store(tmp_path: Path) -> None:
    """So that open pages go on after a restart. Where others can connect, it is never the same."""
    from autolog.page.serve import make_token

    one, other = new_store(tmp_path / "one"), new_store(tmp_path / "other")
    assert make_token(one, "127.0.0.1", 80) == make_token(one, "127.0.0.1", 80)
    assert (
        len(
            {
                make_token(one, "127.0.0.1", 80),
                make_token(other, "127.0.0.1", 80),
                make_token(one, "127.0.0.1", 81),
            }
        )
        == 3
    )
    assert make_token(one, "0.0.0.0", 80) != make_token(one, "0.0.0.0", 80)
    assert len(make_token(one, "0.0.0.0", 80)) >= 32


# -- changes


def test_a_change_needs_all_of_it(page: Running) -> None:
    """POST, JSON, an Origin, and the token in its header."""
    wanted: Any = {"runs": [RUN], "name": "changed"}
    assert page.post("change", wanted, Origin=None).status == 403
    assert page.post("change", wanted, X_Autolog_Token=None).status == 403
    for kind in (
        None,
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "application/jsonx",
    ):
        assert page.post("change", wanted, Content_Type=kind).status == 415
    for method in ("PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "FOO"):
        assert page.ask(
            "/api/v1/change", method, b"{}", Content_Type="application/json", Origin=page.origin
        ).status in (400, 405)
    assert page.get("runs").json["runs"]["name"].count("changed") == 0
    assert page.post("change", wanted).json == {"changed": [RUN]}
    assert page.get("runs").json["runs"]["name"].count("changed") == 1


def test_get_changes_nothing(page: Running) -> None:
    before = {path.name: path.read_bytes() for path in page.server._store.layout.journals.iterdir()}
    for path in ("change", "remove", f"change?runs={RUN}&name=x"):
        assert page.get(path).status in (404, 405)
    for path in page.get("openapi.json").json["paths"]:
        page.ask(path.replace("{id}", RUN))
    assert {path.name: path.read_bytes() for path in page.server._store.layout.journals.iterdir()} == before


def test_large_and_endless_bodies_are_refused(page: Running) -> None:
    assert page.post("change", {"runs": [RUN], "description": "x" * (1 << 20)}).status == 413
    found = page.ask("/api/v1/change", "POST", b"0\r\n\r\n", Content_Type="application/json", Origin=page.origin,
                     Content_Length=None, Transfer_Encoding="chunked")  # fmt: skip
    assert found.status == 411


# -- what answers say


@pytest.mark.parametrize("path", ["/", "/api/v1/runs", "/api/v1/runs?q=%25", "/absent", "/api/v1/run/x"])
def test_every_answer_is_locked_down(shared: Running, path: str) -> None:
    for token in (True, False):
        found = shared.ask(path, token=token, Sec_Fetch_Site="none").headers
        policy = dict(
            part.strip().partition(" ")[::2] for part in found["content-security-policy"].split(";")
        )
        assert policy["default-src"] == "'self'"
        assert "script-src" not in policy  # so scripts come from here only: neither inline nor by eval
        assert (policy["object-src"], policy["frame-ancestors"], policy["base-uri"]) == (
            "'none'",
            "'none'",
            "'none'",
        )
        assert found["x-content-type-options"] == "nosniff"
        assert found["referrer-policy"] == "no-referrer"
        assert found["cross-origin-opener-policy"] == found["cross-origin-resource-policy"] == "same-origin"
        assert found["x-frame-options"] == "DENY"
        assert not [name for name in found if name.startswith("access-control-")]
        assert "server" not in found


def test_a_notebook_may_show_the_page_in_a_frame(store: Any) -> None:
    with running(store, framed=True) as page:
        headers = page.ask(
            "/", Sec_Fetch_Site="same-site", Sec_Fetch_Mode="navigate", Sec_Fetch_Dest="iframe"
        ).headers
        assert "frame-ancestors http://localhost:* http://127.0.0.1:*" in headers["content-security-policy"]
        assert "x-frame-options" not in headers
        assert (
            page.get("runs", Sec_Fetch_Site="same-site", Sec_Fetch_Mode="cors", Sec_Fetch_Dest="empty").status
            == 403
        )


# -- another host


def test_where_others_can_connect_addresses_are_answered_and_foreign_names_are_not(store: Any) -> None:
    with running(store, host="0.0.0.0") as page:
        port = page.server.port
        for host in (
            f"127.0.0.1:{port}",
            f"192.0.2.7:{port}",
            f"[2001:db8::1]:{port}",
            f"{socket.gethostname()}:{port}",
        ):
            assert page.get("runs", Host=host).status == 200
            assert page.ask("/api/v1/runs", token=False, Host=host).status == 403
        assert page.get("runs", Host=f"evil.example:{port}").status == 403
