"""The promise: what users call does what it says, whatever they pass it, in whatever order; nothing of it needs a framework."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import autolog
from autolog import process
from autolog.manager import IntegrationState

pytestmark = pytest.mark.usefixtures("fresh")

X, Y = [1.0, 2.0], [2.0, 4.0]


def shown(*keys: str, children: bool = True) -> list[tuple[Any, ...]]:
    """The runs of the store, in the order in which they began, by some of their fields."""
    found = autolog.runs(order_by="started", children=children)
    return [tuple(getattr(one, key) for key in keys) for one in sorted(found, key=lambda one: one.id)]


@pytest.fixture
def warned(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """What autolog has said in the log."""
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("autolog").addHandler(handler)
    yield said
    logging.getLogger("autolog").removeHandler(handler)


# -- explicit runs


def test_an_explicit_run_is_recorded_even_if_autolog_is_off() -> None:
    Path("notes.txt").write_text("ok")
    with autolog.run("baseline", tags={"team": "blue"}) as run:
        run.log_params({"lr": 0.1})
        run.log_metrics({"loss": 0.5})
        run.log_metrics({"loss": 0.25})
        run.log_artifact("notes.txt")
        assert autolog.current_run() is run
    assert (autolog.current_run(), autolog.last_run()) == (None, run)
    [record] = autolog.runs()
    assert (record.id, record.name, record.experiment, record.status, record.kind, record.parent) == (
        run.id, "baseline", "default", "finished", "run", None,
    )  # fmt: skip
    assert (record.params, record.tags) == ({"lr": 0.1}, {"team": "blue"})
    assert record.metrics["loss"]["last"] == 0.25
    assert [artifact["path"] for artifact in record.artifacts] == ["notes.txt"]


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (ValueError("bad"), "failed", "ValueError: bad"),
        (ValueError(), "failed", "ValueError"),
        (RuntimeError("cannot reach postgres://me:s3cret!@db/x"), "failed", "RuntimeError: cannot reach postgres://S@db/x"),
        (KeyboardInterrupt(), "interrupted", "KeyboardInterrupt"),
        (SystemExit(3), "interrupted", "SystemExit: 3"),
        (GeneratorExit(), "interrupted", "GeneratorExit"),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_a_runs_status_says_how_its_block_ended(error: BaseException, status: str, said: str) -> None:
    """The exception passes through unchanged; the run's error holds no secrets."""
    import re

    with pytest.raises(type(error)) as caught, autolog.run():
        raise error
    assert caught.value is error
    assert (error.__context__, error.__cause__) == (None, None)
    [(found, text)] = shown("status", "error")
    assert (found, re.sub("<redacted:....>", "S", text)) == (status, said)


def test_an_exception_without_a_readable_text_fails_only_the_run() -> None:
    class Rude(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    with pytest.raises(Rude), autolog.run():
        raise Rude
    [(status, error)] = shown("status", "error")
    assert (status, error.startswith("Rude")) == ("failed", True)


def test_a_run_inside_a_run_is_its_child() -> None:
    """Of the innermost run around it; numbered unless it has a name."""
    with autolog.run("outer") as outer:
        with autolog.run() as first:
            with autolog.run("deep") as deep:
                assert autolog.current_run() is deep
            assert autolog.current_run() is first
        with autolog.run():
            pass
        assert autolog.current_run() is outer
    assert shown("name", "parent") == [
        ("outer", None), ("outer/1", outer.id), ("deep", first.id), ("outer/2", outer.id),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (None, None), ("", None), (5, "5"), ("a\udc80", "a\\udc80"), ("x" * 1000, "x" * 250 + "… [cut: 1000 characters]"),
        ("with spaces / and slashes", "with spaces / and slashes"), (["a"], "['a']"),
    ],
    ids=lambda value: str(value)[:10],
)  # fmt: skip
def test_a_run_may_have_any_name(name: Any, text: str | None) -> None:
    with autolog.run(name):
        pass
    [(found, status)] = shown("name", "status")
    assert status == "finished"
    assert found == text if text is not None else "-" in found


@pytest.mark.parametrize("tags", [{}, None, {"a": 1, 5: None}, [("a", "b")]])
def test_tags_may_be_any_mapping_and_become_text(tags: Any) -> None:
    with autolog.run(tags=tags):
        pass
    assert shown("tags") == [({str(key): str(value) for key, value in dict(tags or {}).items()},)]


def test_one_run_object_makes_a_new_run_for_each_with_block() -> None:
    block = autolog.run("again")
    for _ in range(3):
        with block:
            pass
    assert shown("name", "status") == [("again", "finished")] * 3


def test_an_ended_run_still_takes_metrics_and_tags() -> None:
    with autolog.run() as run:
        pass
    run.log_metrics({"test_score": 0.5})
    run.set_tags({"late": "yes"})
    [(metrics, tags, status)] = shown("metrics", "tags", "status")
    assert (metrics["test_score"]["last"], tags, status) == (0.5, {"late": "yes"}, "finished")


def test_each_asyncio_task_has_its_own_current_run() -> None:
    async def work(name: str) -> bool:
        with autolog.run(name) as run:
            for _ in range(3):
                await asyncio.sleep(0)
                if autolog.current_run() is not run:
                    return False
        return autolog.current_run() is None

    async def both() -> list[bool]:
        return await asyncio.gather(work("a"), work("b"))

    assert asyncio.run(both()) == [True, True]
    assert sorted(shown("name", "parent", "status")) == [("a", None, "finished"), ("b", None, "finished")]


def test_each_thread_has_its_own_last_run() -> None:
    seen: list[Any] = []

    def work() -> None:
        seen.append(autolog.last_run())
        with autolog.run("there"):
            pass
        seen.append(autolog.last_run())

    with autolog.run("here") as here:
        pass
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen[0] is None
    assert seen[1].name == "there"
    assert autolog.last_run() is here


# -- trainings inside a block


def test_the_first_training_in_a_run_is_that_run_and_the_next_ones_are_children(toy: ModuleType) -> None:
    autolog.autolog(silent=True)
    with autolog.run("block") as run:
        toy.Slope().fit(X, Y)
        toy.Mean().fit(X, Y)
        toy.Slope().fit(X, Y)
    toy.Mean().fit(X, Y)
    assert [one[1:] for one in shown("name", "parent", "kind", "estimator")] == [
        (None, "fit", "toy.core.Slope"), (run.id, "fit", "toy.core.Mean"), (run.id, "fit", "toy.core.Slope"),
        (None, "fit", "toy.core.Mean"),
    ]  # fmt: skip
    assert [name for (name,) in shown("name")][:3] == ["block", "block/1", "block/2"]


def test_with_children_every_training_in_a_run_is_a_child(toy: ModuleType) -> None:
    autolog.autolog(silent=True)
    with autolog.run("sweep", children=True) as run:
        for _ in range(2):
            toy.Slope().fit(X, Y)
    assert shown("name", "parent", "kind", "status") == [
        ("sweep", None, "run", "finished"), ("sweep/1", run.id, "fit", "finished"), ("sweep/2", run.id, "fit", "finished"),
    ]  # fmt: skip


def test_callbacks_see_the_run_of_their_training_as_the_current_run(toy: ModuleType) -> None:
    seen: list[Any] = []

    class Watch:
        def after_round(self, number: int, loss: float) -> None:
            seen.append(autolog.current_run())

    autolog.autolog(silent=True)
    toy.Slope(rounds=2).fit(X, Y, [Watch()])
    assert len(set(seen)) == 1
    assert seen[0] is autolog.last_run()


# -- switching on and off


def states() -> dict[str, str]:
    return {one.name: one.state for one in autolog.status()}


def test_an_integration_waits_for_its_framework_and_is_active_once_that_is_imported() -> None:
    """autolog imports neither the framework nor the integration."""
    autolog.autolog(include=["toy"], silent=True)
    assert states()["toy"] == "waiting for import"
    assert "toy" not in sys.modules
    import toy

    assert states()["toy"] == "active"
    toy.Slope().fit(X, Y)
    toy.train({}, X, Y)
    assert "toy.tuning" not in sys.modules
    toy.tune(toy.Slope, [0.1], X, Y)
    kinds = [("toy", "fit"), ("toy", "train"), ("toy", "search"), ("toy", "candidate")]
    assert shown("framework", "kind") == kinds


def test_a_second_autolog_call_changes_only_the_settings_it_is_given(toy: ModuleType) -> None:
    autolog.autolog(experiment="a", tags={"x": 1}, silent=True)
    toy.Slope(rounds=1).fit(X, Y)
    autolog.autolog(experiment="b", log_datasets=False)
    toy.Slope(rounds=1).fit(X, Y)
    first, second = sorted(autolog.runs(), key=lambda one: one.id)
    assert (first.experiment, first.tags, len(first.datasets)) == ("a", {"x": "1"}, 1)
    assert (second.experiment, second.tags, len(second.datasets)) == ("b", {"x": "1"}, 0)


def test_enable_switches_one_framework_on_with_its_options(toy: ModuleType) -> None:
    autolog.enable("toy", log_rounds=False)
    toy.Slope().fit(X, Y)
    assert shown("framework", "metrics") == [("toy", {})]
    assert {state for name, state in states().items() if name != "toy"} <= {"disabled", "failed"}
    autolog.enable("toy", log_rounds=True)
    toy.Slope().fit(X, Y)
    assert "loss" in shown("metrics")[1][0]


def test_what_is_disabled_is_neither_recorded_nor_patched(toy: ModuleType) -> None:
    """A framework that is disabled by name stays off until it is enabled by name."""
    fit = vars(toy.Slope)["fit"]
    autolog.autolog(silent=True)
    assert vars(toy.Slope)["fit"] is not fit
    autolog.disable("toy")
    assert vars(toy.Slope)["fit"] is fit
    autolog.autolog()
    assert (vars(toy.Slope)["fit"] is fit, states()["toy"]) == (True, "disabled")
    autolog.enable("toy")
    assert vars(toy.Slope)["fit"] is not fit
    autolog.disable()
    assert vars(toy.Slope)["fit"] is fit
    autolog.autolog(exclude=["toy"])
    assert (vars(toy.Slope)["fit"] is fit, states()["toy"]) == (True, "disabled")
    toy.Slope().fit(X, Y)
    assert shown("id") == []


def test_disable_is_no_error_where_nothing_is_on() -> None:
    autolog.disable()
    autolog.disable("toy")
    autolog.autolog(silent=True)
    autolog.disable("toy")
    autolog.disable("toy")
    autolog.disable()
    assert autolog.flush()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: autolog.autolog(experimnet="x"), "'experimnet' is not a setting or an option common to all integrations. Did you mean 'experiment'?"),  # noqa: E501
        (lambda: autolog.autolog(include=["tyo"]), "include: there is no integration 'tyo'. Did you mean 'toy'?"),
        (lambda: autolog.autolog(log_models="perhaps"), "The option log_models cannot be 'perhaps'. It takes True, False or 'best'."),  # noqa: E501
        (lambda: autolog.enable("tyo"), "There is no integration 'tyo'. Did you mean 'toy'? Installed are: "),
        (lambda: autolog.enable("toy", log_round=True), "There is no option 'log_round'. Did you mean 'log_rounds'? Valid are: log_models,"),  # noqa: E501
        (lambda: autolog.enable("toy", log_rounds="perhaps"), "The option log_rounds cannot be 'perhaps'. It takes True or False."),  # noqa: E501
        (lambda: autolog.disable("tyo"), "There is no integration 'tyo'. Did you mean 'toy'?"),
    ],
)  # fmt: skip
def test_a_wrong_name_or_option_is_a_value_error_that_suggests_the_nearest_one(
    call: Any, message: str
) -> None:
    """Nothing is changed by it."""
    with pytest.raises(ValueError) as error:
        call()
    assert message in str(error.value)
    assert set(states().values()) <= {"disabled", "failed"}
    autolog.autolog(silent=True)
    assert states()["toy"] == "waiting for import"


@pytest.mark.parametrize("on", [True, False])
def test_a_wrong_name_is_an_error_of_suspended_too(on: bool) -> None:
    if on:
        autolog.autolog(silent=True)
    with (
        pytest.raises(ValueError, match=r"There is no integration 'tyo'\. Did you mean 'toy'\?"),
        autolog.suspended("tyo"),
    ):
        pass


def test_a_store_that_is_no_folder_is_warned_of_once_and_ignored(
    monkeypatch: pytest.MonkeyPatch, warned: list[str], own_folder: Path
) -> None:
    monkeypatch.setenv("AUTOLOG_DIR", "s3://bucket/runs")
    autolog.autolog(silent=True)
    autolog.autolog(silent=True)
    with autolog.run("x"):
        pass
    here = process.get()
    assert here is not None
    said = "AUTOLOG_DIR: A store is a folder, not s3://…; `autolog sync` sends what is in a folder on."
    assert warned == [f"{said} It is left out: runs are in {here.layout.root}."]
    assert [run.name for run in autolog.runs()] == ["x"]
    assert not list(own_folder.glob("s3*"))


def test_a_run_that_recorded_nothing_says_that_autolog_is_off(toy: ModuleType) -> None:
    """Where a framework is imported, nothing was logged by hand, and autolog is not on."""

    def notes(fill: Callable[[Any], object]) -> list[str]:
        with autolog.run() as run:
            toy.Slope().fit(X, Y)
            fill(run)
        # Other tests have imported other frameworks.
        return [
            re.sub(r"\([^)]*\btoy\b[^)]*\)", "(toy)", note)
            for note in autolog.runs(f"id == {run.id!r}")[0].notes
        ]

    hint = ["Trainings are not recorded (toy): call autolog.autolog() before them."]
    assert notes(lambda run: None) == hint
    assert notes(lambda run: run.set_tags({"team": "blue"})) == hint
    for fill in (
        lambda run: run.log_params({"C": 1}),
        lambda run: run.log_metrics({"loss": 1}),
        lambda run: run.log_text("notes.txt", "fine"),
    ):
        assert notes(fill) == []
    autolog.autolog(silent=True)
    assert notes(lambda run: None) == []


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_changed_system_clock_changes_no_duration(monkeypatch: pytest.MonkeyPatch, hours: int) -> None:
    with autolog.run() as run:
        real = time.time_ns
        monkeypatch.setattr(time, "time_ns", lambda: real() + hours * 3_600_000_000_000)
        time.sleep(0.02)
    monkeypatch.undo()
    record = autolog.runs(f"id == {run.id!r}")[0]
    assert record.duration is not None
    assert 0.02 <= record.duration < 60


def test_runs_warns_of_a_metric_that_no_run_has() -> None:
    with autolog.run() as run:
        run.log_metrics({"loss": 1.0})
    with pytest.warns(UserWarning, match=r"^No run has a metric 'los'\. Did you mean 'loss'\?$"):
        assert len(autolog.runs("metrics.los < 2")) == 0
    with pytest.warns(UserWarning, match="'los'"):
        assert len(autolog.runs(order_by="-metrics.los")) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(autolog.runs("metrics.loss > 2", order_by="metrics.loss")) == 0
        assert len(autolog.runs("'los' in metrics")) == 0


def test_enable_of_a_framework_that_is_not_installed_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import autolog_toy

    monkeypatch.setitem(sys.modules, "toy", None)
    del sys.modules["toy"]
    paths = [path for path in sys.path if not os.path.isdir(os.path.join(path, "toy"))]
    monkeypatch.setattr(sys, "path", paths)
    monkeypatch.setattr(autolog_toy, "__file__", autolog_toy.__file__)
    process.get_or_make().manager.states["toy"] = IntegrationState(_toy_entry(autolog_toy.ToyIntegration))
    with pytest.raises(ModuleNotFoundError, match=r"toy is not installed: pip install 'toy>=1,<3'"):
        autolog.enable("toy")
    autolog.autolog(silent=True)
    assert states()["toy"] == "waiting for import"


def _toy_entry(cls: type) -> Any:
    from autolog.registry import Entry

    return Entry("toy", ("toy",), loaded=cls)


def test_a_framework_that_is_too_old_is_refused_in_one_line(toy: ModuleType, warned: list[str]) -> None:
    """The training goes on unrecorded; `enable` raises."""
    toy.__version__ = "0.9"
    fit = vars(toy.Slope)["fit"]
    autolog.autolog(silent=True)
    autolog.autolog()
    said = "autolog does not record toy 0.9: it needs toy>=1,<3."
    assert [text for text in warned if "toy" in text] == [said]
    assert vars(toy.Slope)["fit"] is fit
    [one] = [one for one in autolog.status() if one.name == "toy"]
    assert (one.state, one.reason) == ("unsupported", said)
    with pytest.raises(RuntimeError, match="it needs toy>=1,<3"):
        autolog.enable("toy")


# -- suspended


def test_nothing_is_recorded_inside_suspended(toy: ModuleType) -> None:
    """Of all frameworks or of those named; nested; it ends with an exception too."""
    autolog.autolog(silent=True)
    with autolog.suspended():
        toy.Slope().fit(X, Y)
        with autolog.suspended("toy"):
            toy.Mean().fit(X, Y)
        toy.Mean().fit(X, Y)
    with autolog.suspended("toy"):
        toy.Slope().fit(X, Y)
    with pytest.raises(ZeroDivisionError), autolog.suspended():
        raise ZeroDivisionError
    assert shown("id") == []
    toy.Mean().fit(X, Y)
    assert shown("estimator") == [("toy.core.Mean",)]


def test_suspending_another_framework_leaves_this_one_on(toy: ModuleType) -> None:
    autolog.autolog(silent=True)
    others = [name for name in states() if name != "toy"]
    with autolog.suspended(*(others or ["toy"])):
        toy.Mean().fit(X, Y)
    assert shown("estimator") == ([("toy.core.Mean",)] if others else [])


def test_an_explicit_run_is_recorded_inside_suspended_and_trainings_are_not(toy: ModuleType) -> None:
    autolog.autolog(silent=True)
    with autolog.suspended(), autolog.run("mine") as run:
        toy.Slope().fit(X, Y)
        run.log_metrics({"x": 1})
    assert shown("name", "kind", "params") == [("mine", "run", {})]


# -- status, flush


def test_status_is_data_that_prints_as_a_table(toy: ModuleType) -> None:
    autolog.enable("toy")
    toy.tune
    status = autolog.status()
    [one] = [one for one in status if one.name == "toy"]
    assert one._asdict() == {
        "name": "toy", "state": "active", "framework_version": "1.2", "supports": "toy>=1,<3", "tested": "", "reason": "",
        "patches": (
            ("toy.core:Model.{fit}", "found"), ("toy:train", "found"), ("toy.tuning:tune", "found"),
            ("toy.service:learn", "waiting"), ("toy.events:subscribe", "waiting"),
        ),
    }  # fmt: skip
    assert (status.recording, status.store) == (True, str(Path(".autolog").absolute()))
    text = repr(status)
    assert text.splitlines()[0] == f"autolog: recording into {status.store}"
    assert "toy" in text
    assert "3 of 5" in text
    data = status.to_dict()
    assert data["recording"] is True
    assert {"target": "toy:train", "state": "found"} in next(
        one for one in data["integrations"] if one["name"] == "toy"
    )["patches"]
    assert len(status) == len(list(status)) == len(status[:])


def test_status_says_which_patch_points_are_missing(toy: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOLOG_STRICT", "0")
    monkeypatch.delattr(toy, "train")
    autolog.autolog(silent=True)
    [one] = [one for one in autolog.status() if one.name == "toy"]
    assert {("toy:train", "missing"), ("toy.core:Model.{fit}", "found")} <= {*one.patches}
    assert "missing: toy:train" in repr(autolog.status())


def test_status_works_in_a_process_that_records_nothing_and_creates_nothing() -> None:
    status = autolog.status()
    assert (status.recording, {one.state for one in status} <= {"disabled", "failed"}) == (False, True)
    assert repr(status).startswith("autolog: not recording; the store is ")
    assert not Path(".autolog").exists()


def test_flush_waits_until_all_is_on_the_disk() -> None:
    assert autolog.flush()
    with autolog.run() as run:
        run.log_metrics({"loss": 0.125})
        assert autolog.flush()
        [journal] = Path(".autolog/journal").iterdir()
        assert b"0.125" in journal.read_bytes()


def test_no_folder_is_created_before_there_is_a_run() -> None:
    autolog.autolog(silent=True)
    autolog.flush()
    assert not Path(".autolog").exists()


# -- environment and files


def test_autolog_disabled_switches_everything_off(toy: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is patched, written or raised, not even for a wrong name."""
    monkeypatch.setenv("AUTOLOG_DISABLED", "1")
    fit = vars(toy.Slope)["fit"]
    threads = set(threading.enumerate())
    autolog.autolog(nonsense=True)
    autolog.enable("tyo")
    with autolog.run("x") as run:
        run.log_params({"a": 1})
        run.log_artifact(__file__)
        run.log_json("x.json", {})
        assert autolog.current_run() is run
        toy.Slope().fit(X, Y)
    with autolog.suspended():
        pass
    autolog.disable()
    assert vars(toy.Slope)["fit"] is fit
    assert set(threading.enumerate()) <= threads
    assert list(autolog.runs()) == []
    assert autolog.status().recording is False
    assert not Path(".autolog").exists()


@pytest.mark.parametrize("variable", ["AUTOLOG_DISABLED", "LOCAL_RANK"])
def test_last_run_can_be_used_where_nothing_is_recorded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str
) -> None:
    """Where autolog is disabled, or in the second process of a distributed job."""
    monkeypatch.setenv(variable, "1")
    with pytest.raises(KeyError), autolog.run("mine") as run:
        raise KeyError
    last = autolog.last_run()
    assert last is run
    last.log_metrics({"late": 1})
    assert (last.name, last.status) == ("mine", "failed")
    assert not Path(".autolog").exists()
    assert capsys.readouterr().err == ""


def test_recording_works_after_autolog_disabled_is_unset(
    toy: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOLOG_DISABLED", "1")
    with autolog.run("off"):
        pass
    monkeypatch.delenv("AUTOLOG_DISABLED")
    autolog.autolog(silent=True)
    toy.Slope().fit(X, Y)
    with autolog.run("on"):
        pass
    assert shown("estimator") == [("toy.core.Slope",), (None,)]


def test_settings_come_from_the_environment_and_a_file(
    toy: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("autolog.toml").write_text(
        'experiment = "file"\nlog_datasets = false\nsilent = true\n[toy]\nlog_rounds = false\n'
    )
    monkeypatch.setenv("AUTOLOG_TAGS", "team=blue")
    autolog.autolog()
    toy.Slope().fit(X, Y)
    with autolog.run():
        pass
    assert shown("experiment", "tags", "datasets", "metrics") == [("file", {"team": "blue"}, [], {})] * 2
    monkeypatch.setenv("AUTOLOG_TOY_LOG_ROUNDS", "1")
    monkeypatch.setenv("AUTOLOG_LOG_DATASETS", "yes")


def test_variables_are_read_by_the_type_of_their_option(
    toy: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`0` is false for a switch and a number for a limit."""
    for name, text in {
        "LOG_DATASETS": "0",
        "MAX_MODEL_BYTES": "1",
        "TOY_LOG_ROUNDS": "off",
        "SILENT": "1",
    }.items():
        monkeypatch.setenv(f"AUTOLOG_{name}", text)
    autolog.autolog()
    here = process.get()
    assert here is not None
    options: Any = here.manager.states["toy"].integration.options  # type: ignore[union-attr]
    assert (options.log_datasets, options.max_model_bytes, options.log_rounds) == (False, 1, False)


@pytest.mark.parametrize(
    ("variables", "file", "message"),
    [
        (
            {"AUTOLOG_LOG_DATASETS": "perhaps"},
            "",
            "The option log_datasets cannot be 'perhaps'. It takes True or False.",
        ),
        (
            {"AUTOLOG_TOY_LOG_ROUND": "0"},
            "",
            "toy: There is no option 'log_round'. Did you mean 'log_rounds'?",
        ),
        (
            {"AUTOLOG_TOY_LOG_ROUNDS": "perhaps"},
            "",
            "toy: The option log_rounds cannot be 'perhaps'. It takes True or False.",
        ),
        ({}, "log_datasets = 7", "The option log_datasets cannot be 7. It takes True or False."),
        ({}, "[toy]\nlog_round = true", "toy: There is no option 'log_round'. Did you mean 'log_rounds'?"),
        (
            {},
            "[toy]\nlog_rounds = 'perhaps'\nlog_datasets = true",
            "toy: The option log_rounds cannot be 'perhaps'. It takes True or False.",
        ),
        ({}, "experiment = ", "autolog.toml cannot be read: TOMLDecodeError"),
        ({"AUTOLOG_EXIT_TIMEOUT": "soon"}, "", "the environment: exit_timeout='soon' is not valid"),
    ],
)
def test_a_wrong_variable_or_line_of_a_file_is_warned_of_once_and_ignored(
    variables: dict[str, str],
    file: str,
    message: str,
    toy: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    warned: list[str],
) -> None:
    """The training is recorded with all other settings."""
    for name, text in variables.items():
        monkeypatch.setenv(name, text)
    Path("autolog.toml").write_text(file)
    autolog.autolog(silent=True)
    autolog.autolog()
    with autolog.run("block"):
        toy.Slope().fit(X, Y)
    assert [text.replace(f"{Path.cwd()}{os.sep}", "")[: len(message)] for text in warned] == [message]
    [(framework, metrics, datasets)] = shown("framework", "metrics", "datasets")
    assert (framework, "loss" in metrics, len(datasets)) == ("toy", True, 1)


def test_the_store_is_where_the_variable_says_or_the_nearest_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`AUTOLOG_DIR`, else a `.autolog` at or above the working directory, else a new one here."""
    below = tmp_path / "project" / "scripts"
    below.mkdir(parents=True)
    (tmp_path / "project" / ".autolog").mkdir()
    monkeypatch.chdir(below)
    with autolog.run("a"):
        pass
    assert autolog.status().store == str(tmp_path / "project" / ".autolog")
    process.get().at_exit()  # type: ignore[union-attr]
    process.put(None)
    monkeypatch.setenv("AUTOLOG_DIR", str(tmp_path / "elsewhere"))
    with autolog.run("b"):
        pass
    assert shown("name") == [("b",)]
    assert (tmp_path / "elsewhere" / "journal").is_dir()


def test_a_store_that_cannot_be_written_costs_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warned: list[str], toy: ModuleType
) -> None:
    """The training has the same result."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AUTOLOG_DIR", str(tmp_path / "file" / "store"))
    plain = toy.Slope().fit(X, Y).weight
    autolog.autolog(silent=True)
    for _ in range(3):
        assert toy.Slope().fit(X, Y).weight == plain
    with autolog.run("x") as run:
        run.log_artifact(__file__)
    assert len(warned) == 1
    assert "Your training goes on" in warned[0]


# -- the line at the end


def test_one_line_on_standard_error_says_what_was_recorded(
    toy: ModuleType, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an outermost run, when it ends; ten times at most."""
    monkeypatch.setattr(sys, "stderr", sys.__stderr__)
    autolog.autolog()
    with autolog.run("brave-otter"):
        toy.Slope().fit(X, Y)
    with autolog.run("two words") as run:
        toy.Slope().fit(X, Y)
    for _ in range(20):
        toy.Mean().fit(X, Y)
    out, err = capfd.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert lines[0] == "autolog: brave-otter · Slope · 2 params · 1 metric · autolog show brave-otter"
    assert lines[1] == f"autolog: two words · Slope · 2 params · 1 metric · autolog show {run.id}"
    assert len(lines) == 11
    assert lines[10] == "autolog: further runs are recorded without a line each · autolog ls"


def test_nothing_is_printed_when_silent_or_when_standard_error_is_redirected(
    toy: ModuleType, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    monkeypatch.setattr(sys, "stderr", sys.__stderr__)
    autolog.autolog(silent=True)
    toy.Slope().fit(X, Y)
    autolog.autolog(silent=False)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    toy.Slope().fit(X, Y)
    monkeypatch.setattr(sys, "stderr", None)
    toy.Slope().fit(X, Y)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("module", [None, 5, "", "toy"])
def test_a_model_of_an_odd_class_is_trained_as_without_autolog(toy: ModuleType, module: Any) -> None:
    """A class without a module's name, whose instances lie about their class."""
    asked: list[str] = []

    class Odd(toy.Slope):  # type: ignore[name-defined]
        @property
        def __class__(self) -> Any:  # type: ignore[override]
            asked.append("__class__")
            raise RuntimeError("do not ask")

    Odd.__module__ = module
    plain = Odd(rounds=2).fit(X, Y).weight
    autolog.autolog(silent=True)
    asked.clear()
    assert Odd(rounds=2).fit(X, Y).weight == plain
    assert asked == []
    assert len(shown("id")) == 1
