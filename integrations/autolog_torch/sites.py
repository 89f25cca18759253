"""Where in the user's code a call stands, and what the user calls the value there.

`loss.backward()` is `loss`; `scaler.scale(loss).backward()` too; `correct += (guess == y).sum().item()` is `correct`. Read from
the source, once for each place; a place without source is called by its line.
"""

from __future__ import annotations

import ast
import linecache
import sys
from types import CodeType, FrameType
from typing import Any

LIBRARIES = frozenset(
    """torch autolog autolog_torch accelerate lightning lightning_fabric pytorch_lightning torchmetrics apex deepspeed skorch
    contextlib functools""".split()
)
MODULES = frozenset(("torch", "F", "np", "numpy"))
"""Whose functions are called as methods are, by the names that everybody gives them."""
MANY = 10_000


class Site:
    """One call in the user's code."""

    __slots__ = ("code", "library", "name", "reduction")

    def __init__(self, code: CodeType, name: str, library: bool, reduction: str = "") -> None:
        self.code = code  # kept, so that its id stays its own
        self.name = name
        self.library = library
        self.reduction = reduction
        """`sum` or `mean`, where the source says that the value is one."""


class Sites:
    """The places that were met. Shared by all threads."""

    def __init__(self) -> None:
        self._by_instruction: dict[tuple[int, int], Site] = {}
        self._by_position: dict[tuple[int, Any], Site] = {}
        self._libraries: dict[int, bool] = {}
        self._codes: list[CodeType] = []
        """Those in `_libraries`, kept so that their ids stay their own."""
        self._calls: dict[str, list[Where]] = {}

    def of_user(self, frame: FrameType | None, method: str) -> Site | None:
        """The innermost call that is not in a library's code, from `frame` outwards."""
        known = self._libraries.get
        while frame is not None:
            number = id(frame.f_code)
            library = known(number)
            if library or (library is None and self._is_library(frame)):
                frame = frame.f_back
            else:
                return self._by_instruction.get((number, frame.f_lasti)) or self.at(frame, method)
        return None

    def at(self, frame: FrameType, method: str) -> Site:
        """The call under way in `frame`; `method` is what is called in it, directly or further in."""
        code, instruction = frame.f_code, frame.f_lasti
        site = self._by_instruction.get((id(code), instruction))
        if site is None:
            site = self._new(frame, code, instruction, method)
        return site

    def formatted(self, frame: FrameType) -> Site:
        """Where a value is put into an f-string of the user's; without a name if it has none there."""
        code, instruction = frame.f_code, frame.f_lasti
        site = self._by_instruction.get((id(code), instruction))
        if site is None:
            name = _loaded_for_format(code, instruction)
            site = self._by_instruction[id(code), instruction] = Site(code, name, self._is_library(frame))
        return site

    def loop(self, frame: FrameType | None) -> str:
        """What the user calls the data that a loop in his code is over, nothing if that cannot be told."""
        while frame is not None and self._is_library(frame):
            frame = frame.f_back
        if frame is None:
            return ""
        line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
        _, found, data = line.partition(" in ")
        return data.strip().rstrip(":") if found else ""

    def _is_library(self, frame: FrameType) -> bool:
        code = frame.f_code
        known = self._libraries.get(id(code))
        if known is None:
            name = str(frame.f_globals.get("__name__", "")).partition(".")[0]
            self._codes.append(code)
            known = self._libraries[id(code)] = name in LIBRARIES
        return known

    def _new(self, frame: FrameType, code: CodeType, instruction: int, method: str) -> Site:
        if len(self._by_instruction) > MANY:  # code that is made again and again
            self._by_instruction.clear()
            self._by_position.clear()
            self._libraries.clear()
            self._codes.clear()
        # One call has several instructions, and which of them is under way depends on how far Python has specialised it.
        position: Any = frame.f_lineno, instruction
        if sys.version_info >= (3, 11):
            position = next(
                (one for number, one in enumerate(code.co_positions()) if number == instruction // 2),
                position,
            )
        site = self._by_position.get((id(code), position))
        if site is None:
            name, reduction = self._read(code.co_filename, position, frame.f_lineno, method)
            site = Site(code, name, self._is_library(frame), reduction)
            self._by_position[id(code), position] = site
        self._by_instruction[id(code), instruction] = site
        return site

    def _read(self, file: str, position: Any, line: int, method: str) -> tuple[str, str]:
        """What the value of a call is called, and whether it is a sum or a mean."""
        for call, statement, key in self._calls_in(file):
            if len(position) == 4 and None not in position:
                if (call.lineno, call.end_lineno, call.col_offset, call.end_col_offset) != position:
                    continue
            elif not call.lineno <= line <= (call.end_lineno or line) or _method(call) != method:
                continue
            name = key or _named(call, method) or _target(statement) or _called(call)
            if name:
                return name, _reduction(call)
        return f"line_{line}", ""

    def _calls_in(self, file: str) -> list[Where]:
        """A file's calls."""
        if file not in self._calls:
            calls = self._calls[file] = []
            try:
                _collect(ast.parse("".join(linecache.getlines(file))), None, "", calls)
            except (SyntaxError, ValueError, RecursionError):
                pass
        return self._calls[file]


Where = tuple[ast.Call, "ast.stmt | None", str]
"""A call, the statement that it stands in, and its key where it is a value of a dictionary there."""


def _collect(node: ast.AST, statement: ast.stmt | None, key: str, calls: list[Where]) -> None:
    if isinstance(node, ast.stmt):
        statement, key = node, ""
    elif isinstance(node, ast.Call):
        calls.append((node, statement, key))
    elif isinstance(node, ast.Dict):
        for name, value in zip(node.keys, node.values, strict=True):
            said = name.value if isinstance(name, ast.Constant) and isinstance(name.value, str) else ""
            _collect(value, statement, said, calls)
        return
    for child in ast.iter_child_nodes(node):
        _collect(child, statement, key, calls)


def _method(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else _simple(call.func)


def _named(call: ast.Call, method: str) -> str:
    """What the value is called: of `X.method()` X, of `accelerator.backward(X)` X."""
    if not isinstance(call.func, ast.Attribute) or call.func.attr != method:
        return _simple(call.args[0]) if call.args else ""
    if call.args and method == "backward":
        return _simple(call.args[0])
    return _simple(call.func.value)


def _called(call: ast.Call) -> str:
    """Of `evaluate(x).item()`, `evaluate`."""
    inner = call.func.value if isinstance(call.func, ast.Attribute) else None
    return _method(inner) if isinstance(inner, ast.Call) else ""


def _loaded_for_format(code: CodeType, instruction: int) -> str:
    """What is loaded just before it is formatted. The source does not help: until Python 3.12 it cannot tell the parts of an
    f-string apart.
    """
    import dis

    done = [
        one
        for one in dis.get_instructions(code)
        if one.offset <= instruction and not one.opname.startswith(("LOAD_CONST", "EXTENDED_ARG"))
    ]
    if len(done) < 2 or not done[-1].opname.startswith("FORMAT_"):
        return ""
    loaded = done[-2].argval[-1:] if isinstance(done[-2].argval, tuple) else [done[-2].argval]
    return loaded[0] if done[-2].opname.startswith("LOAD_") and isinstance(loaded[0], str) else ""


def _reduction(call: ast.Call) -> str:
    """Of `(guess == y).float().sum().item()`, `sum`."""
    node = call.func.value if isinstance(call.func, ast.Attribute) else None
    while isinstance(node, ast.Call):
        if _method(node) in ("sum", "mean"):
            return _method(node)
        node = node.func.value if isinstance(node.func, ast.Attribute) else None
    return ""


def _simple(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return _simple(node.value) if node.attr == "data" else node.attr
    if isinstance(node, ast.Subscript):
        return str(node.slice.value) if isinstance(node.slice, ast.Constant) else ""
    if isinstance(node, ast.BinOp):
        return _simple(node.left) or _simple(node.right)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if node.func.attr == "scale" and node.args:
            return _simple(node.args[0])
        if node.func.attr in ("mean", "sum", "detach", "cpu", "float"):
            module = isinstance(node.func.value, ast.Name) and node.func.value.id in MODULES
            return _simple(node.args[0] if module and node.args else node.func.value)
    return ""


def _target(statement: ast.stmt | None) -> str:
    """What a statement assigns to: a name, an attribute, a key."""
    target: Any = None
    if isinstance(statement, ast.Assign):
        target = statement.targets[0]
    elif isinstance(statement, (ast.AugAssign, ast.AnnAssign)):
        target = statement.target
    if isinstance(target, ast.Subscript):
        key = target.slice
        return str(key.value) if isinstance(key, ast.Constant) else _simple(target.value)
    return _simple(target) if isinstance(target, ast.expr) else ""
