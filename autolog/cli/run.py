"""`autolog run`: runs a script or module as Python itself does, and records every training in it.

The user's code shares this process, so this module loads none of the command line's libraries.
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
    """Run the script or module that the arguments name. Its exceptions, SystemExit included, pass through unchanged."""
    if arguments[:1] == ["-m"]:
        if len(arguments) < 2:
            _usage("-m needs the name of a module.")
        _run_module(arguments[1], arguments[2:])
        return
    if arguments[:1] == ["--"]:
        arguments = arguments[1:]
    elif arguments and arguments[0].startswith("-"):
        _usage(f"Unknown option {arguments[0]}. Put options for the script after its name.")
    if not arguments:
        _usage("No script is given.")
    _run_script(arguments[0], arguments[1:])


def _usage(problem: str) -> NoReturn:
    sys.stderr.write(f"{USAGE}\nError: {problem}\n")
    sys.exit(2)


def _run_script(script: str, arguments: list[str]) -> None:
    # Keep dots in the path: Python shows them in `__file__` and in tracebacks.
    path = os.path.join(os.getcwd(), script) if os.name == "posix" else os.path.abspath(script)
    namespace = _new_main().__dict__
    sys.argv[:] = [script, *arguments]
    if pkgutil.get_importer(path) is not None:  # a folder or zip file with a __main__.py
        _put_first_on_path(path)
        _record()
        _execute(namespace, module="__main__")
        return
    if not os.path.isfile(path):
        sys.stderr.write(f"autolog run: the file {path} does not exist\n")
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
    """Install an empty `__main__` for the script's names. Its pickles and worker processes look there."""
    main = ModuleType("__main__")
    main.__dict__["__builtins__"] = builtins
    if sys.version_info < (3, 14):
        main.__annotations__ = {}
    sys.modules["__main__"] = main
    return main


def _put_first_on_path(folder: str) -> None:
    """Replace the folder of the `autolog` command, which Python put first on the path."""
    if not (getattr(sys.flags, "safe_path", False) or sys.flags.isolated):
        sys.path[0] = folder


def _record() -> None:
    import autolog

    try:
        autolog.autolog()
    except ValueError as error:  # an invalid setting
        sys.stderr.write(f"autolog run: {error}\n")
        sys.exit(1)


def _execute(namespace: dict[str, Any], path: str = "", module: str = "") -> None:
    """Run a file in `namespace`, or a module as `python -m` does. Python prints exceptions without the frames of autolog."""
    try:
        if module:
            # `python -m` calls this function, too.
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
    """Return the part of a traceback below `_execute`."""
    part = trace
    while part is not None:
        if part.tb_frame.f_code is _execute.__code__:
            below = part.tb_next
            while below is not None and below.tb_frame.f_code is _code.__code__:
                below = below.tb_next
            return below
        part = part.tb_next
    return trace
