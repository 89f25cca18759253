"""Every way a training can end: the exit code is the plain one, and the run says what happened."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers import clean_script, environment, running, script

from autolog.store.records import Store

FIT = """
    import os, sys, signal
    import autolog
    {on}
    import toy
    class Ends:
        def after_round(self, number, loss):
            if number == 2:
                {what}
    toy.Slope(rounds=5).fit([1.0, 2.0], [2.0, 4.0], [Ends()])
    print("over")
"""
ENDS = {
    "an exception": ("raise KeyError('mine')", "failed", "KeyError: 'mine'"),
    "sys.exit": ("sys.exit(3)", "interrupted", "SystemExit: 3"),
    "sys.exit with a text": ("sys.exit('no')", "interrupted", "SystemExit: no"),
    "Ctrl-C": ("os.kill(os.getpid(), signal.SIGINT)", "interrupted", "KeyboardInterrupt"),
    "an exception that cannot be shown": ("raise type('Odd', (Exception,), {'__str__': lambda self: 1 / 0})", "failed", None),
    "nothing": ("pass", "finished", None),
}  # fmt: skip


def last_lines(text: str) -> list[str]:
    """The user's part of a traceback: its frames' source lines and the exception, without autolog's frames."""
    return [line for line in text.splitlines() if not line.startswith(" ")]


@pytest.mark.parametrize("end", ENDS)
def test_a_training_ends_as_without_autolog(tmp_path: Path, end: str) -> None:
    """Transparent: exit code, output and exception are the plain ones; the run has its outcome and the rounds before it."""
    what, status, error = ENDS[end]
    plain = script(FIT.format(on="", what=what), tmp_path)
    done = script(FIT.format(on="autolog.autolog(silent=True)", what=what), tmp_path)
    assert (done.returncode, done.stdout) == (plain.returncode, plain.stdout)
    assert last_lines(done.stderr) == last_lines(plain.stderr)
    (run,) = Store(tmp_path / ".autolog").runs()
    assert (run.status, run.error or None) == (status, error or run.error)
    assert len(run.history("loss")) == (5 if status == "finished" else 2)


@pytest.mark.parametrize("end", ENDS)
def test_an_explicit_run_ends_as_without_autolog(tmp_path: Path, end: str) -> None:
    what, status, _ = ENDS[end]
    code = """
        import os, sys, signal, autolog
        with autolog.run("x") as run:
            run.log_metrics({{"m": 1}})
            {}
    """
    plain = script(
        code.replace('autolog.run("x")', "open(os.devnull)").replace("run.log_metrics", "str").format(what),
        tmp_path,
    )
    done = script(code.format(what), tmp_path)
    assert done.returncode == plain.returncode or end == "nothing"
    (run,) = Store(tmp_path / ".autolog").runs()
    assert (run.status, run.metrics["m"]["last"]) == (status, 1)


def test_sigint_ends_a_training_process_by_sigint(tmp_path: Path) -> None:
    code = FIT.format(on="autolog.autolog(silent=True)", what='print("ready", flush=True); signal.pause()')
    with running(code, tmp_path) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (-signal.SIGINT, "")
    assert err.rstrip().endswith("KeyboardInterrupt")
    (run,) = Store(tmp_path / ".autolog").runs()
    assert (run.status, run.error) == ("interrupted", "KeyboardInterrupt")


def test_a_script_that_ends_at_once_is_recorded_with_its_environment(tmp_path: Path) -> None:
    """Nothing lost: the exit waits for the description of code and machine, which is made in the background."""
    done = script('import autolog\nwith autolog.run("x"): pass', tmp_path, "--argument")
    assert done.returncode == 0
    (run,) = Store(tmp_path / ".autolog").runs()
    assert run.environment["script"] == str(tmp_path / "script.py")
    assert run.environment["arguments"][1:] == ["--argument"]


def test_a_training_in_an_atexit_function_is_recorded(tmp_path: Path) -> None:
    code = """
        import atexit, autolog, toy
        autolog.autolog(silent=True)
        atexit.register(lambda: toy.Mean().fit([1.0], [2.0]))
    """
    clean_script(code, tmp_path)
    assert [run.status for run in Store(tmp_path / ".autolog").runs()] == ["finished"]


def test_a_training_in_a_daemon_thread_does_not_delay_the_exit_and_is_lost(tmp_path: Path) -> None:
    code = """
        import threading, autolog, toy
        autolog.autolog(silent=True)
        inside = threading.Event()
        class Waits:
            def after_round(self, number, loss):
                inside.set()
                threading.Event().wait()
        threading.Thread(target=lambda: toy.Slope().fit([1.0], [2.0], [Waits()]), daemon=True).start()
        inside.wait(30)
    """
    clean_script(code, tmp_path, timeout=30)
    assert [run.status for run in Store(tmp_path / ".autolog").runs()] == ["lost"]


def announced(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("autolog: ")]


def test_each_outermost_run_is_one_line_on_standard_error(tmp_path: Path) -> None:
    """As the design shows it: name, model, counts, how to see it; none with `silent`, none on standard output, ten at most."""
    code = """
        import sys, autolog, toy
        autolog.autolog(silent={silent})
        toy.tune(toy.Slope, [0.1, 0.2], [1.0], [2.0])
        for _ in range({times}):
            toy.Slope(rounds=3).fit([1.0], [2.0])
    """
    done = script(code.format(silent=False, times=1), tmp_path)
    search, fit = announced(done.stderr)
    assert (done.stdout, len(done.stderr.splitlines())) == ("", 2)
    name = fit.split()[1]
    assert fit == f"autolog: {name} · Slope · 2 params · 1 metric · autolog show {name}"
    assert " · Slope · 0 params · 0 metrics · " in search
    many = announced(script(code.format(silent=False, times=30), tmp_path).stderr)
    assert (len(many), many[-1]) == (
        11,
        "autolog: further runs are recorded without a line each · autolog ls",
    ) or len(many) == 10
    assert script(code.format(silent=True, times=3), tmp_path).stderr == ""


def test_a_line_is_printed_after_a_progress_bar_and_not_inside(tmp_path: Path) -> None:
    pytest.importorskip("tqdm")
    code = """
        import sys, autolog, toy
        from tqdm import tqdm
        autolog.autolog(silent={silent})
        with tqdm(range(3), ascii=True, bar_format="{{n}}/{{total}}", mininterval=0) as bar:
            for rounds in bar:
                toy.Slope(rounds=rounds + 1).fit([1.0], [2.0])
        print("between", file=sys.stderr)
        toy.Mean().fit([1.0], [2.0])
        for _ in tqdm(range(1), bar_format="{{n}}/{{total}}"):
            toy.Slope(rounds=9).fit([1.0], [2.0])
    """
    plain, done = (script(code.format(silent=silent), tmp_path).stderr for silent in (True, False))
    assert "".join(line for line in done.splitlines(keepends=True) if "autolog: " not in line) == plain
    ours = [line for line in done.splitlines() if line not in plain.splitlines()]
    assert [line.split()[0] for line in ours] == ["autolog:"] * 5
    assert [line.split(" · ")[1] for line in ours] == ["Slope", "Slope", "Slope", "Mean", "Slope"]
    assert done.splitlines().index("between") < done.splitlines().index(ours[0])


RANKS: dict[str, tuple[dict[str, str], int]] = {
    "torchrun, rank 0": ({"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}, 1),
    "torchrun, rank 1": ({"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}, 0),
    "Lightning's launcher": ({"LOCAL_RANK": "1"}, 0),
    "Lightning on a second node": ({"LOCAL_RANK": "0", "NODE_RANK": "1"}, 0),
    "Slurm, task 3": ({"SLURM_PROCID": "3", "SLURM_NTASKS": "4"}, 0),
    "a Slurm job of one task": ({"SLURM_PROCID": "0", "SLURM_NTASKS": "1"}, 1),
    "Open MPI, rank 1": ({"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"}, 0),
    "no launcher": ({}, 1),
}


@pytest.mark.parametrize("launcher", RANKS)
def test_only_rank_0_of_a_distributed_job_records(tmp_path: Path, launcher: str) -> None:
    variables, runs = RANKS[launcher]
    code = """
        import autolog, toy
        autolog.autolog(silent=True)
        print(toy.Slope().fit([1.0, 2.0], [2.0, 4.0]).weight)
        with autolog.run("explicit") as run:
            run.log_metrics({"m": 1})
    """
    outside = {"RANK", "LOCAL_RANK", "SLURM_PROCID"} & set(environment(tmp_path))
    assert not outside, f"run the tests outside a job: {outside}"
    clean_script(code, tmp_path, **variables)
    recorded: list[Any] = (
        list(Store(tmp_path / ".autolog").runs()) if (tmp_path / ".autolog").exists() else []
    )
    assert len(recorded) == 2 * runs


ENDING = """
    import codecs, sys, types
    import __main__, toy
    class Own(toy.Slope):
        def fit(self, X, y):
            return "fitted"
    def holder(name):
        sys.modules[name] = types.ModuleType(name)
        return sys.modules[name]
    class Ends:
        def __init__(self, name):
            self.name, self.model, self.print, self.new = name, Own(), print, object.__new__
        def __del__(self):
            self.print(self.name, self.model.fit([1.0], [2.0]), self.model.predict)
    earlier = holder("earlier")
    {on}
    later = holder("later")
    toy.Slope().fit([1.0], [2.0])
    Own.predict = "none"
    codecs.register(eval("lambda _: None", dict(held={held})))  # Python lets go of it after all modules
    earlier.one, later.one, one = map(Ends, ("earlier", "later", "main"))
"""


HELD = pytest.mark.parametrize("held", ["None", "__main__", "list(sys.modules.values())"])
"""Modules that are held beyond the end: they decide in which order modules are taken apart, and whether their names are."""


@HELD
def test_finalizers_of_the_users_objects_work_while_python_ends(tmp_path: Path, held: str) -> None:
    """Transparent: finalizers train whatever of Python has been taken apart by then, ours included; nothing is ignored on
    standard error.
    """
    plain = script(ENDING.format(on="", held=held), tmp_path)
    assert plain.stderr == ""
    assert sorted(line.split()[0] for line in plain.stdout.splitlines()) == ["earlier", "later", "main"]
    ours = clean_script(ENDING.format(on="import autolog; autolog.autolog(silent=True)", held=held), tmp_path)
    # On Python 3.13 the order depends on how often Python has collected garbage before: a plain script that calls
    # `gc.collect(1)` three times where autolog is switched on has the order that it has with autolog.
    lines = [sorted(one.splitlines()) if sys.version_info >= (3, 13) else one for one in (ours, plain.stdout)]
    assert lines[0] == lines[1]
    assert [run.estimator for run in Store(tmp_path / ".autolog").runs()] == ["toy.core.Slope"]


LEFT_OPEN = """
    import codecs, sys
    import __main__, autolog, toy
    autolog.autolog(silent=True)
    codecs.register(eval("lambda _: None", dict(held={held})))
    def left_open(block):
        with block:
            toy.Slope().fit([1.0], [2.0])
            yield
    blocks = [left_open(one) for one in (autolog.run("x"), autolog.suspended(), autolog.suspended("toy"))]
    for one in blocks:
        next(one)
    class Logs:
        def __init__(self, run):
            self.run, self.print = run, print
        def __del__(self):
            self.run.log_metrics({{"m": 2}})
            self.run.log_params({{"p": 1}})
            self.run.log_json("a.json", {{}})
            self.run.log_text("a.txt", "")
            self.run.log_artifact("script.py")
            self.run.set_tags({{"a": "b"}})
            self.run.note("a note")
            self.print("logged", self.run)
    with autolog.run("y") as run:
        run.log_metrics({{"m": 1}})
    logs = Logs(run)
"""


@HELD
def test_logging_while_python_ends_raises_and_records_nothing(tmp_path: Path, held: str) -> None:
    """Harmless: a generator leaves its block while Python is taken apart; a finalizer logs to a run. Neither is recorded."""
    assert clean_script(LEFT_OPEN.format(held=held), tmp_path).startswith("logged <Run y ")
    (y,) = Store(tmp_path / ".autolog").runs("name == 'y'", children=True)
    assert (y.metrics["m"]["last"], y.params, y.artifacts) == (1, {}, [])


def test_autolog_does_not_hold_main_while_python_ends(tmp_path: Path) -> None:
    """Transparent: whether `__main__` is held decides in which order its objects die, and which weak references tell of it."""
    code = """
        import atexit, gc, sys, types, weakref
        from toy import Slope, train

        def report():
            main = sys.modules["__main__"]
            for one in (main, vars(main)):
                kinds = [type(referrer).__name__ for referrer in gc.get_referrers(one)]
                print(sorted(kind for kind in kinds if kind not in ("function", "frame")))

        atexit.register(report)
        {on}
        Slope().fit([1.0], [2.0])
        try:
            sys.exit(0)
        except SystemExit:
            pass
        train({{}}, [1.0], [2.0])
        model = Slope()
        told = weakref.ref(model, lambda _: print("told"))
    """
    plain = script(code.format(on=""), tmp_path)
    done = script(code.format(on="import autolog; autolog.autolog(silent=True)"), tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, plain.stdout, plain.stderr)
    assert len(Store(tmp_path / ".autolog").runs()) == 2


SUBINTERPRETER = """
    import sys, _interpreters
    one = _interpreters.create("legacy")
    _interpreters.run_string(one, f"import sys; sys.path[:] = {sys.path!r}")
    _interpreters.run_string(one, "import autolog; autolog.autolog(silent=True)")
    _interpreters.run_string(one, "with autolog.run('in a subinterpreter'): pass")
    _interpreters.destroy(one)
    print("goes on")
"""


@pytest.mark.skipif(sys.version_info < (3, 13), reason="before, Python runs no code in one that has threads")
def test_a_subinterpreter_ends_without_ending_the_process(tmp_path: Path) -> None:
    done = script(SUBINTERPRETER, tmp_path)
    assert (done.stdout, done.returncode) == ("goes on\n", 0), done.stderr
    assert [run.name for run in Store(tmp_path / ".autolog").runs()] == ["in a subinterpreter"]
