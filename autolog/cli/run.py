"""`autolog run`: runs a script or module as Python itself would, with every training in it recorded.

Kept free of the command line's libraries: whatever is loaded here is loaded in the user's process.
"""

from __future__ import annotations

import builtins
import importlib.machinery
import os
import pkgutil
import runpy
import sys
from types import CodeType, ModuleType, TracebackType
from typing import Any, NoReturn

USAGE = "Usage: autolog run SCRIPT [ARGS]...\n       autolog run -m MODULE [ARGS]...\n"


def main(arguments: list[str]) -> None:
    """Run what the arguments say. Exceptions, SystemExit too, go through as the script raised them."""
    if arguments[:1] == ["-m"]:
        if len(arguments) < 2:
            _usage("-m takes the name of a module.")
        _run_module(arguments[1], arguments[2:])
        return
    if arguments[:1] == ["--"]:
        arguments = arguments[1:]
    elif arguments and arguments[0].startswith("-"):
        _usage(f"There is no option {arguments[0]}. The script's own options stand after its name.")
    if not arguments:
        _usage("Which script?")
    _run_script(arguments[0], arguments[1:])


def _usage(problem: str) -> NoReturn:
    sys.stderr.write(f"{USAGE}\nError: {problem}\n")
    sys.exit(2)


def _run_script(script: str, arguments: list[str]) -> None:
    # Python does not tidy it up: what is in `__file__` and in tracebacks has the dots that were given.
    path = os.path.join(os.getcwd(), script) if os.name == "posix" else os.path.abspath(script)
    namespace = _new_main().__dict__
    sys.argv[:] = [script, *arguments]
    if pkgutil.get_importer(path) is not None:  # a folder or zip file with a __main__.py
        _put_first_on_path(path)
        _record()
        _execute(namespace, module="__main__")
        return
    if not os.path.isfile(path):
        sys.stderr.write(f"autolog run: there is no file {path}\n")
        sys.exit(2)
    _put_first_on_path(os.path.dirname(os.path.realpath(path)))
    loader: Any = importlib.machinery.SourceFileLoader("__main__", path)
    if path.endswith(".pyc"):
        loader = importlib.machinery.SourcelessFileLoader("__main__", path)
    namespace.update(__file__=path, __cached__=None, __loader__=loader)
    _record()
    _execute(namespace, path=path)


def _run_module(module: str, arguments: list[str]) -> None:
    namespace = _new_main().__dict__
    sys.argv[:] = ["-m", *arguments]
    _put_first_on_path(os.getcwd())
    _record()
    _execute(namespace, module=module)


def _new_main() -> ModuleType:
    """An empty `__main__`, so that the script's names, its pickles and its worker processes find it there."""
    main = ModuleType("__main__")
    main.__dict__["__builtins__"] = builtins
    if sys.version_info < (3, 14):
        main.__annotations__ = {}
    sys.modules["__main__"] = main
    return main


def _put_first_on_path(folder: str) -> None:
    """In the place of what Python put there for the sake of our own command."""
    if not (getattr(sys.flags, "safe_path", False) or sys.flags.isolated):
        sys.path[0] = folder


def _record() -> None:
    import autolog

    try:
        autolog.autolog()
    except ValueError as error:  # a setting that is wrong
        sys.stderr.write(f"autolog run: {error}\n")
        sys.exit(1)


def _execute(namespace: dict[str, Any], path: str = "", module: str = "") -> None:
    """Run a file, or a module as `python -m` does, in `namespace`; on an exception, arrange for Python to print it as if
    we were not here.
    """
    try:
        if module:
            # What `python -m` itself calls.
            runpy._run_module_as_main(module, module != "__main__")  # type: ignore[attr-defined]  # pyright: ignore
        else:
            exec(_code(path), namespace)
    except SystemExit:
        raise
    except BaseException:
        hook = sys.excepthook

        def without_us(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
            trace = _below(trace)
            sys.last_traceback = trace  # pyright: ignore[reportAttributeAccessIssue]
            hook(kind, error.with_traceback(trace), trace)

        sys.excepthook = without_us
        raise


def _code(path: str) -> CodeType:
    if path.endswith(".pyc"):
        code = importlib.machinery.SourcelessFileLoader("__main__", path).get_code("__main__")
        assert code is not None
        return code
    with open(path, "rb") as file:
        return compile(file.read(), path, "exec", dont_inherit=True)


def _below(trace: TracebackType | None) -> TracebackType | None:
    """The part of a traceback below `_execute`."""
    part = trace
    while part is not None:
        if part.tb_frame.f_code is _execute.__code__:
            below = part.tb_next
            while below is not None and below.tb_frame.f_code is _code.__code__:
                below = below.tb_next
            return below
        part = part.tb_next
    return trace
