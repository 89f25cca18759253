"""What the page shows and does, in a real browser, against the stand-in server.

Left out where there is no Chromium, Playwright or NiceGUI.
"""

from __future__ import annotations

import re
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sync_api = pytest.importorskip("playwright.sync_api")
pytest.importorskip("nicegui")
uvicorn = pytest.importorskip("uvicorn")
CHROMIUM = shutil.which("chromium")
if CHROMIUM is None:
    pytest.skip("Debian's chromium is not installed", allow_module_level=True)

from standin import HOSTILE, Store, make_app  # noqa: E402

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
STATIC = Path(__file__).parents[2] / "autolog" / "page" / "static"


class Server:
    """The stand-in on a port of its own; it can be ended and started again."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.port = 0
        self.start()

    def start(self) -> None:
        bound = socket.socket()
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", self.port))
        self.port = bound.getsockname()[1]
        self.server = uvicorn.Server(
            uvicorn.Config(make_app(self.store), log_level="critical", timeout_graceful_shutdown=1)
        )
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [bound]}, daemon=True)
        self.thread.start()
        while not self.server.started:
            time.sleep(0.02)

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server(Store(120))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with sync_api.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A fresh page. A request off loopback, or an error in a script, fails the test."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.set_default_timeout(15_000)
    page.away, page.errors = [], []
    page.on(
        "request",
        lambda r: (
            page.away.append(r.url)
            if not r.url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:"))
            else None
        ),
    )
    page.on("pageerror", lambda e: page.errors.append(str(e)))
    page.on("console", lambda m: page.errors.append(m.text) if "Content Security Policy" in m.text else None)
    yield page
    errors = list(page.errors)  # what is cut off by closing the page is no error
    context.close()
    assert not page.away
    assert not errors


def open_runs(page: Any, server: Server, query: str = "") -> None:
    page.goto(f"{server.url}/runs{query}")
    page.wait_for_selector(".ag-row .vb")
    page.wait_for_selector(".chart .n-run, .chart .n-best")


def count_is(page: Any, text: str) -> None:
    page.wait_for_function("t => document.querySelector('[data-testid=count]').textContent === t", arg=text)


def module(page: Any, server: Server, name: str, expression: str) -> Any:
    """Evaluate an expression over `m`, one of the page's modules."""
    page.goto(f"{server.url}/compare")
    return page.evaluate(
        f"async () => {{ const main = document.querySelector('script[type=module]').src; const m = await import(new URL('{name}', main)); return {expression} }}"  # noqa: E501
    )


def test_the_libraries_export_what_the_page_uses(page: Any, server: Server) -> None:
    assert module(
        page,
        server,
        "lib/aggrid/index.js",
        "[typeof m.createGrid, typeof m.themeQuartz.withParams, typeof m.AllCommunityModule, typeof m.ModuleRegistry.registerModules]",  # noqa: E501
    ) == ["function", "function", "object", "function"]
    assert module(
        page, server, "lib/echart/index.js", "[typeof m.echarts.init, typeof m.echarts.connect]"
    ) == ["function", "function"]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        ("m.metric(0.94123, 4)", "0.9412"), ("m.metric(12.4712)", "12.47"), ("m.metric(1234567)", "1,234,567"), ("m.metric(0.000032)", "3.2e−5"),  # noqa: E501
        ("m.metric(-0.5)", "−0.5000"), ("m.metric(NaN)", "NaN"), ("m.metric(Infinity)", "inf"), ("m.metric(null)", "–"), ("m.metric(0)", "0.0000"),  # noqa: E501
        ("m.param(0.003)", "0.003"), ("m.param(128)", "128"), ("m.param(1e-5)", "1e−5"), ("m.param('adamw')", "adamw"), ("m.param(true)", "true"),  # noqa: E501
        ("m.difference(0.93451, 0.94118, 4)", "−0.0067"), ("m.difference(0.9, 0.90001, 4)", "0.0000"),
        ("m.duration(2712)", "45 m"), ("m.duration(3900)", "1 h 05 m"), ("m.duration(38)", "38 s"), ("m.duration(3599.9)", "59 m"), ("m.duration(7199)", "2 h 00 m"),  # noqa: E501
        ("m.ago(0, 7200e3)", "2 h ago"), ("m.bytes(44800000)", "44.8 MB"), ("m.ordinal(11)", "11th"), ("m.ordinal(22)", "22nd"), ("m.percent(0.004)", "< 1 %"),  # noqa: E501
        ("m.padding('0.3', 4)", "000"), ("m.padding('5', 2)", ".00"), ("m.padding('3.2e−5', 4)", ""), ("m.count(50000)", "50,000"),  # noqa: E501
        ("m.tick(0.025, 0.025)", "0.025"), ("m.tick(0.3, 0.1)", "0.3"),
    ],
)  # fmt: skip
def test_numbers_are_written_as_the_specification_says(
    page: Any, server: Server, call: str, text: str
) -> None:
    assert module(page, server, "format.js", call) == text


def test_curves(page: Any, server: Server) -> None:
    assert module(
        page, server, "curves.js", "[...m.smooth(Float64Array.of(1, NaN, 1, 1), 0.9)].map(String)"
    ) == ["1", "NaN", "1", "1"]
    assert module(
        page, server, "curves.js", "[m.nearest([0, 1, 2], 1.4), m.nearest([0, 1, 2], 9), m.nearest([], 1)]"
    ) == [1, 2, -1]
    assert module(page, server, "curves.js", "m.holes([0, 1, 2, 3], [1, NaN, NaN, 1])") == [[0, 3]]
    assert (
        module(page, server, "curves.js", "m.gapNote([{gaps: {nan: 5, inf: 1}}])")
        == "6 points not finite: 5 NaN, 1 inf"
    )


def test_the_verdict_and_the_first_row_say_the_same(page: Any, server: Server) -> None:
    open_runs(page, server)
    row = page.locator(".ag-center-cols-container .ag-row[row-index='0'] .vb b")
    assert page.get_by_test_id("best-value").inner_text() == row.inner_text().strip()
    assert (
        page.get_by_test_id("best-name").inner_text()
        == page.locator(".ag-row[row-index='0'] .c-name").inner_text()
    )


def test_a_wrong_filter_is_named_and_the_table_stays(page: Any, server: Server) -> None:
    open_runs(page, server)
    page.keyboard.press("/")
    page.keyboard.type("min(metrics.val_los) < 0.3")
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.get_by_test_id("filter").press("Enter")
    said = page.get_by_test_id("filter-error")
    page.wait_for_selector(".filter.is-bad")
    assert "Did you mean val_loss?" in said.inner_text()
    assert page.locator(".f-shown .bad").inner_text() == "val_los"
    assert page.locator(".ag-center-cols-container .ag-row").count() > 10
    said.get_by_role("button", name="val_loss").click()
    page.wait_for_function("() => !document.querySelector('.filter.is-bad')")
    assert page.get_by_test_id("filter").input_value() == "min(metrics.val_loss) < 0.3"


def test_the_address_holds_filter_sort_and_selection(page: Any, server: Server) -> None:
    open_runs(page, server)
    page.get_by_test_id("filter").fill("params.lr < 0.001")
    page.get_by_test_id("filter").press("Enter")
    page.wait_for_function("() => document.querySelector('[data-testid=count]').textContent !== '120 runs'")
    shown = page.get_by_test_id("count").inner_text()
    page.locator(".ag-header-cell[col-id='name'] .ag-header-cell-label").click()
    page.wait_for_url("**sort=name**")
    page.locator(".ag-row[row-index='2'] [data-testid=select]").click()
    page.wait_for_url("**sel=**")
    first, selected = (
        page.locator(".ag-row[row-index='0'] .c-name").inner_text(),
        page.get_by_test_id("selected").inner_text(),
    )
    page.reload()
    page.wait_for_selector(".ag-row .vb")
    count_is(page, shown)
    assert page.locator(".ag-row[row-index='0'] .c-name").inner_text() == first
    assert page.get_by_test_id("selected").inner_text() == selected
    page.go_back()
    page.go_back()
    count_is(page, "120 runs")
    page.go_forward()
    count_is(page, shown)


def test_a_run_keeps_its_colour(page: Any, server: Server) -> None:
    """Whichever others are selected, and when it is selected again."""
    open_runs(page, server)
    swatch = ".ag-row[row-index='1'] .sw"

    def colour() -> str:
        page.wait_for_selector(swatch)
        return str(
            page.evaluate(f"() => document.querySelector(\"{swatch}\").style.getPropertyValue('--rc')")
        )

    def click(row: int, selected: int) -> None:
        page.locator(f".ag-row[row-index='{row}'] [data-testid=select]").click()
        told = "document.querySelector('[data-testid=selected]').textContent"
        page.wait_for_function(f"() => {told} === '{selected} selected'")

    first = colour()
    click(0, 4)
    assert colour() == first
    click(1, 3)
    click(1, 4)
    assert colour() == first


def test_smoothing_asks_for_nothing(page: Any, server: Server) -> None:
    open_runs(page, server)
    page.wait_for_load_state("networkidle")
    asked: list[str] = []
    page.on("request", lambda r: asked.append(r.url))
    page.get_by_test_id("smoothing").fill("0.9")
    page.wait_for_function("() => document.querySelector('.amount').textContent === '0.90'")
    assert not [a for a in asked if "series" in a]


def hover(page: Any) -> None:
    box = page.locator(".chart .plotbox").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 90)
    page.wait_for_selector("[data-testid=tooltip]:not([hidden])")


def test_the_tooltip_has_real_values_sorted(page: Any, server: Server) -> None:
    open_runs(page, server)
    hover(page)
    lines = page.locator("[data-testid=tooltip] .l")
    values = [float(lines.nth(i).locator("b").inner_text()) for i in range(lines.count())]
    assert len(values) == 5
    assert values == sorted(values, reverse=True)
    step = int(re.search(r"Step (\d+)", page.get_by_test_id("tooltip").inner_text())[1])  # type: ignore[index]
    name = lines.nth(0).locator("span.ell").inner_text()
    run = next(r for r in server.store.runs if r["name"] == name)
    assert values[0] == pytest.approx(server.store.curve(run, "val_accuracy")[step], abs=1e-6)
    assert page.locator(".over line").count() >= 5  # the dotted line stands in all charts


def test_a_new_point_appears_and_nothing_is_lost(page: Any, server: Server) -> None:
    running = next(r for r in server.store.runs if r["status"] == "running")
    open_runs(page, server, f"?sel={running['id']}:1&q=status == 'running'")
    page.wait_for_load_state("networkidle")
    hover(page)
    before = page.locator(f".ag-row[row-id='{running['id']}'] .st").inner_text()
    started = time.monotonic()
    server.store.tick()
    page.wait_for_function(
        "([id, old]) => document.querySelector(`.ag-row[row-id='${id}'] .st`).innerText !== old",
        arg=[running["id"], before],
    )
    assert time.monotonic() - started < 3
    assert page.get_by_test_id("tooltip").is_visible()
    assert page.get_by_test_id("selected").inner_text() == "1 selected"


def test_scrolling_stays_while_runs_change(page: Any, server: Server) -> None:
    open_runs(page, server)
    page.evaluate("document.querySelector('.ag-body-viewport').scrollTop = 900")
    page.wait_for_timeout(100)
    first = page.evaluate("document.querySelector('.ag-body-viewport').scrollTop")
    server.store.tick()
    page.wait_for_timeout(1200)
    assert page.evaluate("document.querySelector('.ag-body-viewport').scrollTop") == first == 900


def test_the_page_recovers_when_the_server_comes_back(page: Any, server: Server) -> None:
    open_runs(page, server)
    server.stop()
    page.wait_for_selector("[data-testid=away]")
    assert "Server away for" in page.get_by_test_id("away").inner_text()
    assert page.locator(".ag-row").count() > 10
    server.start()
    page.wait_for_selector("[data-testid=away]", state="detached")
    running = next(r for r in server.store.runs if r["status"] == "running")
    page.get_by_test_id("filter").fill("status == 'running'")
    page.get_by_test_id("filter").press("Enter")
    count_is(page, "2 runs")
    before = page.locator(f".ag-row[row-id='{running['id']}'] .st").inner_text()
    server.store.tick()
    page.wait_for_function(
        "([id, old]) => document.querySelector(`.ag-row[row-id='${id}'] .st`).innerText !== old",
        arg=[running["id"], before],
    )


def test_the_keyboard_reaches_filter_rows_and_compare(page: Any, server: Server) -> None:
    open_runs(page, server)
    page.keyboard.press("ArrowDown")
    page.wait_for_selector(".ag-cell-focus")
    page.keyboard.press("ArrowDown")
    page.keyboard.press(" ")
    page.wait_for_function(
        "() => document.querySelector('[data-testid=selected]').textContent === '4 selected'"
    )
    page.keyboard.press("c")
    page.wait_for_url("**/compare?ids=**")
    page.wait_for_selector("[data-testid=compare-table] td.win")
    page.go_back()
    page.wait_for_selector(".ag-row .vb")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**/run/**")
    page.wait_for_selector("[data-testid=run-name]")


@pytest.mark.parametrize(
    "path",
    ["/", "/runs", "/runs?view=parallel", "/runs?view=scatter", "/runs?group=p:augment", "run", "compare"],
)
def test_hostile_names_are_shown_as_they_are(page: Any, browser: Any, path: str) -> None:
    server = Server(Store(60, hostile=True))
    try:
        ids = [r["id"] for r in server.store.runs if HOSTILE in r["name"]]
        path = {"run": f"/run/{ids[0]}", "compare": f"/compare?ids={ids[0]}:1,{ids[1]}:2"}.get(path, path)
        page.goto(server.url + path)
        page.wait_for_selector("[data-testid=verdict], [data-testid=run-name]")
        page.wait_for_load_state("networkidle")
        assert page.evaluate("window.hacked") is None
        assert page.locator("img").count() == 0
        assert HOSTILE in page.evaluate("document.body.textContent")
    finally:
        server.stop()


def test_a_brush_keeps_runs_and_becomes_the_filter(page: Any, server: Server) -> None:
    page.goto(f"{server.url}/runs?view=parallel")
    axis = page.get_by_test_id("axis-augment")
    axis.wait_for()
    box = axis.bounding_box()
    page.mouse.move(box["x"] + 16, box["y"] + 10)
    page.mouse.down()
    page.mouse.move(box["x"] + 16, box["y"] + 80, steps=4)
    page.mouse.up()
    assert "randaug" in page.get_by_test_id("says").inner_text()
    page.get_by_test_id("brush-to-filter").click()
    page.wait_for_url("**q=params.augment**")


def test_columns_can_be_hidden_and_are_remembered(page: Any, server: Server) -> None:
    open_runs(page, server)
    page.get_by_test_id("columns").click()
    page.get_by_test_id("column-menu").get_by_text("val_loss").click()
    page.wait_for_selector(".ag-header-cell[col-id='m:val_loss']", state="detached")
    page.goto(f"{server.url}/runs")
    page.wait_for_selector(".ag-row .vb")
    assert page.locator(".ag-header-cell[col-id='m:val_loss']").count() == 0


def test_text_has_enough_contrast() -> None:
    text = (STATIC / "style.css").read_text()
    blocks = [
        text.split(":root,[data-theme=light]{")[1].split("}")[0],
        text.split("[data-theme=dark]{")[1].split("}")[0],
    ]
    for block in blocks:
        tokens = dict(re.findall(r"--([\w]+):(#[0-9a-f]{3,6})\b", block))
        for ink in ("ink", "ink2", "ink3"):
            for fill in ("surface", "canvas", "hover", "sel", "sunken", "goldbg"):
                assert contrast(tokens[ink], tokens[fill]) >= 4.5, (ink, fill)
        for name in ("gold", "live", "bad", "warn"):
            assert contrast(tokens[name], tokens["surface"]) >= 4.5, name
        for k in range(1, 11):
            assert contrast(tokens[f"c{k}"], tokens["surface"]) >= 3, k


def contrast(a: str, b: str) -> float:
    def light(colour: str) -> float:
        digits = colour[1:] if len(colour) == 7 else "".join(c * 2 for c in colour[1:])
        parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        r, g, b = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    high, low = sorted((light(a), light(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_nothing_becomes_markup() -> None:
    for path in STATIC.glob("*.js"):
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|v-html",
            path.read_text(),
        ), path.name


def test_the_best_of_another_metric_is_gold_without_a_star(page: Any, server: Server) -> None:
    open_runs(page, server)
    gold = page.locator(".ag-cell[col-id='m:val_loss'] .best-in")
    gold.first.wait_for()
    assert gold.count() == 1
    assert page.locator(".ag-row .star").count() == 1
