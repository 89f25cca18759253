"""Every way a process can end while a loop of the user's own is under way: its exit is the plain one, and the run says what
happened.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from helpers import script

from autolog.store.records import Store

LOOP = """
    import os, sys, signal
    import autolog
    from autolog import process
    from autolog.manager import IntegrationState
    from autolog.registry import Entry
    from autolog.integration import Integration

    class Loops(Integration):
        name = "toy"
        supports = "toy>=1"

        def patches(self):
            self.run = self.start_run(lambda: self.run.log_metrics({{"left": 1}}), kind="train")
            return ()

    autolog.autolog()
    here = process.get()
    here.manager.states["toy"] = IntegrationState(Entry("toy", ("toy",), loaded=Loops))
    here.enable("toy")
    import toy
    {what}
"""
ENDS = {
    "nothing": ("pass", 0, "finished", None),
    "an exception": ("raise KeyError('mine')", 1, "failed", "KeyError: 'mine'"),
    "an exit that says so": ("sys.exit('no data')", 1, "interrupted", "SystemExit: no data"),
    "an exit in spite of what stands around it": (
        "try: sys.exit(3)\n    finally: [0 for _ in '12']", 3, "interrupted", "SystemExit: 3",
    ),
    "an exit with success": ("sys.exit(0)", 0, "finished", None),
    "an exit without a word": ("sys.exit()", 0, "finished", None),
    "an exit that was caught": ("try: sys.exit(1)\n    except SystemExit: pass", 0, "finished", None),
    "an exit of a thread only": (
        "import threading; t = threading.Thread(target=sys.exit, args=(1,)); t.start(); t.join()", 0, "finished", None,
    ),
    "exit() of the interactive shell": ("exit(2)", 2, "interrupted", "SystemExit: 2"),
    "quit() without a word": ("quit()", 0, "finished", None),
    # Python tells nobody of these: it is read from where the script's own code has stopped.
    "SystemExit raised by hand": ("raise SystemExit(1)", 1, "interrupted", "SystemExit: 1"),
    "SystemExit raised by hand with a text": ("for _ in 'ab': raise SystemExit('no')", 1, "interrupted", "SystemExit: no"),
    "SystemExit raised by hand with a text that is put together": (
        "raise SystemExit(f'no {os.sep}')", 1, "interrupted", "SystemExit",
    ),
    "SystemExit raised by hand with a status by its name": (
        "status = 4\n    raise SystemExit(status)", 4, "interrupted", "SystemExit: 4",
    ),
    "SystemExit that was made before": (
        "error = SystemExit(3)\n    raise error", 3, "interrupted", "SystemExit: 3",
    ),
    "SystemExit from another exception": (
        "try: 1 / 0\n    except ZeroDivisionError as error: raise SystemExit(5) from error", 5, "interrupted", "SystemExit: 5",
    ),
    "SystemExit raised again": (
        "try: exit(6)\n    except SystemExit as error: raise error", 6, "interrupted", "SystemExit: 6",
    ),
    "SystemExit raised by hand with success": ("raise SystemExit(0)", 0, "finished", None),
    "SystemExit raised by hand without a word": ("raise SystemExit", 0, "finished", None),
    "SystemExit raised further in, with what cannot be known": (
        "def f(): raise SystemExit(2)\n    f()", 2, "interrupted", "SystemExit",
    ),
    "SystemExit with what the program returns, which cannot be known": (
        "def main(): return 2\n    raise SystemExit(main())", 2, "finished", None,
    ),
    "SystemExit that was caught": ("try: raise SystemExit(1)\n    except SystemExit: pass", 0, "finished", None),
    "an end that is played in the middle": ("import atexit; atexit._run_exitfuncs(); assert sys", 0, "finished", None),
    "Ctrl-C": ("os.kill(os.getpid(), signal.SIGINT)", -2, "interrupted", "KeyboardInterrupt"),
    "an exception that was caught": ("try: 1 / 0\n    except ZeroDivisionError: pass", 0, "finished", None),
}  # fmt: skip


@pytest.mark.parametrize("end", ENDS)
def test_a_loop_ends_with_its_process(tmp_path: Path, end: str) -> None:
    """Transparent: the exit code; complete: the outcome, what was left to log, and the line that says so."""
    what, code, status, error = ENDS[end]
    done = script(LOOP.format(what=what), tmp_path)
    (run,) = Store(tmp_path / ".autolog").runs()
    assert (run.status, run.error or None, run.metrics["left"]["count"]) == (status, error, 1)
    assert done.returncode == code
    assert f"autolog: {run.name} · train" in done.stderr
    assert done.stdout == ""


def test_a_loop_ends_before_exit_functions_of_libraries_imported_after_autolog(tmp_path: Path) -> None:
    """Nothing lost: its model is saved before a library's own exit function, registered later than autolog's, takes away what
    that needs, as h5py's does; and what such a function of the user's logs after that is there, too.
    """
    before = """import atexit
    needed = [1]
    atexit.register(lambda: autolog.last_run().log_metrics({{"late": 2}}))
    atexit.register(needed.clear)
    import toy"""
    code = LOOP.replace("import toy", before).replace('{{"left": 1}}', '{{"left": len(needed)}}')
    done = script(code.format(what="pass"), tmp_path)
    (run,) = Store(tmp_path / ".autolog").runs()
    assert (done.returncode, run.status, run.errors) == (0, "finished", [])
    assert {name: values["last"] for name, values in run.metrics.items()} == {"left": 1, "late": 2}


IN_THREADS = {
    "Ctrl-C, later": ("train.start(); train.join(); os.kill(os.getpid(), signal.SIGINT)", "finished", None),
    "Ctrl-C, while it waits for the thread": (
        "train.start(); trained.wait(); os.kill(os.getpid(), signal.SIGINT)", "finished", None,
    ),
    "Ctrl-C, while the thread trains that is not waited for": (
        "goes_on = True; train.daemon = True; train.start(); trained.wait(); os.kill(os.getpid(), signal.SIGINT)",
        "interrupted", "KeyboardInterrupt",
    ),
    "an exit, later": ("train.start(); train.join(); sys.exit('no data')", "finished", None),
    "an exit, while the thread trains that is not waited for": (
        "goes_on = True; train.daemon = True; train.start(); trained.wait(); sys.exit('no data')",
        "interrupted", "SystemExit: no data",
    ),
    "the thread's own exception, which is raised again": (
        "fails = True; ThreadPoolExecutor(1).submit(work).result()", "failed", "KeyError: 'mine'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("end", IN_THREADS)
def test_a_loop_in_a_thread_ends_with_its_thread(tmp_path: Path, end: str) -> None:
    """True: what interrupts the main thread has not interrupted a training whose own thread came to its end."""
    what, status, error = IN_THREADS[end]
    work = """import threading
    from concurrent.futures import ThreadPoolExecutor
    trained, goes_on, fails = threading.Event(), False, False
    def work():
        import toy
        trained.set()
        if goes_on: threading.Event().wait()
        if fails: raise KeyError("mine")
    train = threading.Thread(target=work)"""
    done = script(LOOP.replace("import toy", work).format(what=what), tmp_path)
    (run,) = Store(tmp_path / ".autolog").runs()
    assert (run.status, run.error or None, run.metrics["left"]["count"]) == (status, error, 1)
    assert done.returncode != 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_leaves_the_loop_to_its_parent(tmp_path: Path) -> None:
    what = "pid = os.fork()\n    if pid == 0: sys.exit(0)\n    os.waitpid(pid, 0)"
    done = script(LOOP.format(what=what), tmp_path)
    (run,) = Store(tmp_path / ".autolog").runs()
    assert (run.status, run.metrics["left"]["count"]) == ("finished", 1)
    assert done.stderr.count("autolog:") == 1
