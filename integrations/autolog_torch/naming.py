"""What a script calls a value: read from its source.

`loss.backward()` is `loss`; `D_x = output.mean().item()` is `D_x`; `correct += (guess == y).sum().item()` is `correct`. A value
that is assigned as it is has the name that it is assigned to; else what the value is made of comes first.
"""

from __future__ import annotations

import ast
import dis
import re
import sys
from collections.abc import Iterator, Sequence
from types import CodeType
from typing import Any, NamedTuple, TypeGuard

MODULES = frozenset(("torch", "F", "np", "numpy"))
"""Whose functions are called as methods are, by the names that everybody gives them."""
FUNCTIONS = frozenset("math float int abs round min max sum len".split())
SCORES = frozenset(
    """accuracy_score average_precision_score balanced_accuracy_score cohen_kappa_score f1_score jaccard_score log_loss
    matthews_corrcoef mean_absolute_error mean_squared_error precision_score r2_score recall_score roc_auc_score""".split()
)
"""Functions of scikit-learn by which a script may evaluate."""
MAKERS = frozenset(
    "tensor as_tensor Tensor FloatTensor LongTensor full scalar_tensor array asarray asanyarray".split()
)
"""Functions that read numbers only to make a tensor of them."""
DRAWN = frozenset("randint randperm multinomial bernoulli rand randn normal sample".split())
"""Functions whose result says nothing of a model."""
UNCHANGED = frozenset("squeeze view reshape flatten detach cpu clone long int".split())
"""Methods that give the same number."""
SETTINGS = frozenset(
    "args arg config cfg params size sizes step steps epoch epochs mode logger writer fn opt".split()
)
"""Words of names that are no data, though they say `train`: `training_args`."""
SIZES = frozenset("n bs bsz batch_size".split())
TAKING = frozenset(("backward", "step"))
"""Methods that are called with the value, as `accelerator.backward(loss)`."""


class Said(NamedTuple):
    """What the source says of the value of a call."""

    name: str
    reduction: str = ""
    """`sum` or `mean`, where it says that the value is one; `weighted`, where it multiplies it by the number of samples."""
    splits: tuple[str, ...] = ()
    """The variables of loops around it, but for counters."""
    keys: tuple[str, ...] = ()
    """Those that are the keys of a dictionary, as `name` of `for name, loss in losses.items()`."""
    loop: str = ""
    """What the loop is over in which the value is summed up."""
    names: tuple[str, ...] = ()
    """Variables of which the value may be any, where several are formatted at once."""
    weight: str = ""
    """The variable that says of how many samples a `weighted` value is."""


class Where(NamedTuple):
    """A call, or a text that is formatted by `%`, and where it stands."""

    call: ast.Call | ast.BinOp
    statement: ast.stmt | None = None
    key: str = ""
    """Of the dictionary that it is a value of."""
    splits: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    sums: frozenset[str] = frozenset()
    """Variables that are divided by the length of a data set, in the same function."""
    loops: dict[str, str] = {}
    """Variables that are summed up in a loop there, and what that is over."""
    outer: ast.Call | None = None
    """The call that it is an argument of."""
    unnamed: frozenset[str] = frozenset()
    """The parameters of a lambda, which may be anything."""


class Source:
    """A file."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._calls: list[Where] = []
        self._loops: list[tuple[int, int, tuple[str, ...]]] = []
        """The lines of loops over dictionaries, and their keys."""
        try:
            self._collect(ast.parse("".join(lines)), Where(ast.Call(ast.Name("")), None))
        except (SyntaxError, ValueError, RecursionError):
            pass

    def at(self, position: Any, line: int, method: str) -> Said:
        """What is said of the call at this position: its lines and columns, or where Python does not tell these, its line."""
        for where in self._calls:
            call = where.call
            if len(position) == 4 and None not in position:
                if (call.lineno, call.end_lineno, call.col_offset, call.end_col_offset) != position:
                    continue
            elif (
                not call.lineno <= line <= (call.end_lineno or line)
                or isinstance(call, ast.BinOp)
                or _method(call) != method
            ):
                continue
            if isinstance(call, ast.BinOp) or (method == "format" and _method(call) == "format"):
                names, is_all = _formatted(call)
                is_one = len(names) == 1 and is_all
                return Said(names[0] if is_one else "", names=() if is_one else names)
            if _is_no_measure(call, where):
                return Said("")
            name = where.key or _name_of(where, call, method)
            if name:
                said = (
                    where.loops.get(_simple(call.func.value), "")
                    if isinstance(call.func, ast.Attribute)
                    else ""
                )
                reduction, weight = _reduction(where, call)
                target = _target(where.statement)
                if reduction == "sum" and target in where.sums:
                    name = target
                return Said(name, reduction, where.splits, where.keys, said, weight=weight)
        return Said(f"line_{line}")

    def keys_at(self, line: int) -> tuple[str, ...]:
        """The keys of dictionaries that loops on this line are over."""
        return tuple(key for first, last, keys in self._loops if first <= line <= last for key in keys)

    def phase_at(self, position: Any, line: int) -> str:
        """What the call at this position is given, or what its result is called: `train`, `val` or `test`, or nothing."""
        for where in self._calls:
            call = where.call
            if isinstance(call, ast.Call) and (
                (call.lineno, call.end_lineno, call.col_offset, call.end_col_offset) == position
                or (len(position) != 4 and call.lineno <= line <= (call.end_lineno or line))
            ):
                return _phase_of(call, where.statement)
        return ""

    def _collect(self, node: ast.AST, where: Where) -> None:
        if isinstance(node, ast.stmt):
            where = where._replace(statement=node, key="")
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Module)):
            where = where._replace(
                splits=(), keys=(), sums=frozenset(_sums(node)), loops=dict(_summed_up(node, ""))
            )
        elif isinstance(node, ast.For):
            where = self._looped(node, where, node)
        elif isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
            for one in node.generators:
                where = self._looped(one, where, node)
        elif isinstance(node, ast.Call):
            self._calls.append(where._replace(call=node))
            where = where._replace(outer=node)
        elif isinstance(node, ast.Lambda):
            where = where._replace(unnamed=frozenset(one.arg for one in node.args.args))
        elif _is_text(node):
            self._calls.append(where._replace(call=node))
        elif isinstance(node, ast.Dict):
            for name, value in zip(node.keys, node.values, strict=True):
                said = name.value if isinstance(name, ast.Constant) and isinstance(name.value, str) else ""
                self._collect(value, where._replace(key=said))
            return
        for child in ast.iter_child_nodes(node):
            self._collect(child, where)

    def _looped(self, loop: ast.For | ast.comprehension, where: Where, node: ast.expr | ast.For) -> Where:
        """What is known of what a loop does, or a part of a comprehension."""
        if _counts(loop.iter):
            return where
        names = _names_in(loop.target)
        if isinstance(loop.iter, ast.Call) and _method(loop.iter) == "items" and len(names) == 2:
            where = where._replace(keys=(*where.keys, names[0]))
            self._loops.append((node.lineno, node.end_lineno or node.lineno, (names[0],)))
        return where._replace(splits=(*where.splits, *names))


def _counts(iterated: ast.expr) -> bool:
    return isinstance(iterated, ast.Call) and _simple(iterated.func) in ("range", "trange", "count")


def _names_in(target: ast.expr) -> list[str]:
    parts = target.elts if isinstance(target, ast.Tuple) else [target]
    return [one.id for one in parts if isinstance(one, ast.Name)]


def _sums(function: ast.AST) -> Iterator[str]:
    """What is divided by the length of a data set: `total / len(loader.dataset)`."""
    for node in ast.walk(function):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            divided, by = node.left, node.right
        elif isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Div):
            divided, by = node.target, node.value
        else:
            continue
        counted = by.args[0] if isinstance(by, ast.Call) and _simple(by.func) == "len" and by.args else None
        if isinstance(counted, ast.Attribute) and counted.attr == "dataset":
            yield _simple(divided)


def _summed_up(node: ast.AST, loop: str) -> Iterator[tuple[str, str]]:
    """The variables that are summed up in loops, and what these are over."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.AugAssign) and isinstance(child.target, ast.Name) and loop:
            yield child.target.id, loop
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield from _summed_up(child, ast.unparse(child.iter) if isinstance(child, ast.For) else loop)


def _is_text(node: ast.AST) -> TypeGuard[ast.BinOp]:
    """Whether it is `"…" % values`."""
    return (
        isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Mod)
        and isinstance(node.left, ast.Constant)
        and isinstance(node.left.value, str)
    )


def _formatted(text: ast.Call | ast.BinOp) -> tuple[tuple[str, ...], bool]:
    """The variables that are put into a text, and whether nothing else is, as the values of `**self.__dict__`."""
    parts: list[ast.expr]
    if isinstance(text, ast.Call):
        parts = [*text.args, *(one.value for one in text.keywords if one.arg)]
        is_all = len(parts) == len(text.args) + len(text.keywords)
    else:
        parts = text.right.elts if isinstance(text.right, ast.Tuple) else [text.right]
        is_all = True
    is_all = is_all and not any(isinstance(part, ast.Starred) for part in parts)
    return tuple(name for part in parts if (name := _simple(part))), is_all


def _is_no_measure(call: ast.Call, where: Where) -> bool:
    """Whether what is read only makes a tensor, was drawn at random, or is what a lambda is given."""
    if _method(call) in MAKERS:
        return True
    node = call.func.value if isinstance(call.func, ast.Attribute) else None
    if isinstance(node, ast.Name) and node.id in where.unnamed:
        return True
    while isinstance(node, ast.Subscript) or (isinstance(node, ast.Call) and _method(node) in UNCHANGED):
        if isinstance(node, ast.Subscript):
            node = node.value
        else:
            node = node.func.value if isinstance(node.func, ast.Attribute) else None
    return isinstance(node, ast.Call) and _method(node) in DRAWN


def _name_of(where: Where, call: ast.Call, method: str) -> str:
    statement = where.statement
    if method in SCORES:  # what it computes, not what it is called with
        return _given_to(statement, call) or _target(statement) or _method(call)
    return _given_to(statement, call) or _named(call, method) or _target(statement) or _called(call)


def _given_to(statement: ast.stmt | None, call: ast.Call) -> str:
    """What a statement assigns to, if it assigns just this value, perhaps as `float(…)` or rounded."""
    if not isinstance(statement, (ast.Assign, ast.AnnAssign)):
        return ""
    value = statement.value
    while isinstance(value, ast.Call) and value is not call and _simple(value.func) in ("float", "round"):
        value = value.args[0] if value.args else None
    return _target(statement) if value is call else ""


def _method(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else _simple(call.func)


def _named(call: ast.Call, method: str) -> str:
    """What the value is called: of `X.method()` X, of `accelerator.backward(X)` X."""
    if not isinstance(call.func, ast.Attribute) or call.func.attr != method:
        return _simple(call.args[0]) if call.args else ""
    if call.args and method in TAKING:
        return _simple(call.args[0])
    return _simple(call.func.value)


def _called(call: ast.Call) -> str:
    """Of `evaluate(x).item()`, `evaluate`."""
    inner = call.func.value if isinstance(call.func, ast.Attribute) else None
    return _method(inner) if isinstance(inner, ast.Call) else ""


def _phase_of(call: ast.Call, statement: ast.stmt | None) -> str:
    given = [*call.args, *(one.value for one in call.keywords)]
    names = [name for one in given for name in _identifiers(one)]
    targets: list[str] = []
    if isinstance(statement, ast.Assign) and statement.value is call:
        targets = [name for one in statement.targets for name in _identifiers(one)]
    for said in ({*names, *targets}, names):
        phases = {phase for name in said if (phase := _phase(name))}
        if len(phases) == 1:
            return phases.pop()
    return ""


def _identifiers(node: ast.expr) -> list[str]:
    if isinstance(node, (ast.Tuple, ast.List)):
        return [name for one in node.elts for name in _identifiers(one)]
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else []
    return [_simple(node.value if isinstance(node, ast.Starred) else node)]


def _phase(name: str) -> str:
    words = re.split("[^a-z]+", name.lower())
    if not SETTINGS.isdisjoint(words):
        return ""
    for word in words:
        for phase, begins in (("train", "train"), ("test", "test"), ("val", "valid")):
            if word.startswith(begins):
                return phase
        if word in ("val", "dev", "eval"):
            return "val"
    return ""


def _reduction(where: Where, call: ast.Call) -> tuple[str, str]:
    """Of `(guess == y).float().sum().item()`, `sum`. Of a weighted one, what it is weighted by, too."""
    statement = where.statement
    node = call.func.value if isinstance(call.func, ast.Attribute) else None
    while isinstance(node, ast.Call):
        if _method(node) in ("sum", "mean"):
            return _method(node), ""
        for keyword in node.keywords:
            if keyword.arg == "reduction" and isinstance(keyword.value, ast.Constant):
                return str(keyword.value.value), ""
        node = node.func.value if isinstance(node.func, ast.Attribute) else None
    if isinstance(statement, ast.AugAssign) and isinstance(statement.op, ast.Add):
        value = statement.value
        if value is call and _target(statement) in where.sums:
            return "sum", ""
        if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Mult):
            sides = (value.left, value.right)
            other = sides[sides.index(call) ^ 1] if call in sides else None
            if other is not None and _is_size(other):
                return "weighted", _sized(other)
    outer = where.outer
    if outer is not None and outer.args and outer.args[0] is call:  # `meter.update(loss.item(), x.size(0))`
        others = [*outer.args[1:], *(one.value for one in outer.keywords)]
        size = next((one for one in others if _is_size(one)), None)
        if size is not None:
            return "weighted", _sized(size)
    return "", ""


def _is_size(node: ast.expr) -> bool:
    """`len(x)`, `x.size(0)`, `x.shape[0]`, `batch_size`."""
    if isinstance(node, ast.Name):
        return node.id in SIZES
    if isinstance(node, ast.Call):
        return _method(node) in ("len", "size")
    return (
        isinstance(node, ast.Subscript)
        and isinstance(node.value, ast.Attribute)
        and node.value.attr == "shape"
    )


def _sized(node: ast.expr) -> str:
    """The variable of which a size is: `x` of `len(x)`, `x.size(0)`, `x.shape[0]`."""
    held: ast.expr | None = node
    if isinstance(node, ast.Call):
        held = (
            node.func.value if isinstance(node.func, ast.Attribute) else node.args[0] if node.args else None
        )
        if _method(node) == "size" and not (node.args and _is_first(node.args[0])):
            return ""
    elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.Attribute):
        held = node.value.value if _is_first(node.slice) else None
    return held.id if isinstance(held, ast.Name) else ""


def _is_first(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value == 0


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


def loaded_for_format(code: CodeType, instruction: int) -> str:
    """What is loaded, or called, just before it is formatted: `loss`, or `out.val` of `out["val"]`; of an expression, what
    comes first in it. The source does not help: until Python 3.12 it cannot tell the parts of an f-string apart.
    """
    done = [
        one
        for one in dis.get_instructions(code)
        if one.offset <= instruction and not one.opname.startswith("EXTENDED_ARG")
    ]
    if not done or not done.pop().opname.startswith("FORMAT_"):
        return ""
    if done and done[-1].opname == "LOAD_CONST":  # how it is to be formatted
        done.pop()
    whole, key = list(done), ""
    if len(done) > 2 and _is_subscript(done[-1]) and done[-2].opname == "LOAD_CONST":
        key = f".{done[-2].argval}"
        del done[-2:]
    if done and done[-1].opname.startswith("CALL"):  # a method, as of `mean.compute()`
        while done and done[-1].opname.startswith(("CALL", "PRECALL", "PUSH_NULL", *OF_ATTRIBUTES)):
            done.pop()
    if done and done[-1].opname.startswith("LOAD_"):
        loaded = _loaded(done[-1])
        if loaded:
            return f"{loaded}{key}"
    return _first_of(whole)


OF_ATTRIBUTES = ("LOAD_ATTR", "LOAD_METHOD")


def _is_subscript(one: dis.Instruction) -> bool:
    return one.opname == "BINARY_SUBSCR" or (one.opname == "BINARY_OP" and one.argrepr == "[]")


def _loaded(one: dis.Instruction) -> str:
    name = one.argval[-1] if isinstance(one.argval, tuple) else one.argval
    return name if isinstance(name, str) and one.opname != "LOAD_CONST" else ""


def _first_of(done: list[dis.Instruction]) -> str:
    """The first variable of the expression that these instructions end with: `acc` of `100 * acc / n`."""
    depth, start = 0, len(done)
    while start and depth >= 0:
        start -= 1
        depth -= dis.stack_effect(done[start].opcode, done[start].arg)
    name = ""
    for one in done[start:]:
        is_attribute = one.opname.startswith(OF_ATTRIBUTES)
        if name and not is_attribute:
            return name
        loaded = _loaded(one) if one.opname.startswith("LOAD_") else ""
        if (name and not _is_method(one)) if is_attribute else loaded not in (*MODULES, *FUNCTIONS):
            name = loaded
    return name


def _is_method(one: dis.Instruction) -> bool:
    return one.opname == "LOAD_METHOD" or (sys.version_info >= (3, 12) and bool((one.arg or 0) & 1))
