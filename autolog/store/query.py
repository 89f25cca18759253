"""Filters: Python-like expressions over runs, compiled to SQL with bound parameters.

    metrics.loss < 0.3 and params.C in (1, 10) and "forest" in estimator and started > "2026-11-01"

Only what is listed here is allowed, and no name or value ever becomes part of the SQL text. A metric stands for its value: that
of the kept model (with early stopping, its best round's), else the last one. Its other numbers are `min(metrics.loss)`,
`max(metrics.loss)` and `count(metrics.loss)`. Text is compared as it is, but `in` ignores the case of A to Z. Times are text,
in UTC unless they say otherwise. A thing that a run does not have is None, and so is a metric that is NaN: it is not equal to
anything else, and neither greater nor smaller. `"loss" in metrics` tells whether there is one.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

ATTRIBUTES = {
    "id": "r.id", "name": "r.name", "experiment": "r.experiment", "parent": "r.parent", "status": "r.status",
    "framework": "r.framework", "framework_version": "r.framework_version", "kind": "r.kind", "estimator": "r.estimator",
    "started": "r.started", "ended": "r.ended", "duration": "((r.ended - r.started) / 1000.0)", "overhead": "r.overhead",
    "error": "r.error", "description": "r.description", "starred": "r.starred", "archived": "r.archived",
}  # fmt: skip
_MAPPINGS = {"params": "value", "metrics": "value", "tags": "value"}
_VALUE = "coalesce(kept, last)"
"""A metric's value: that of the kept model, else the last one."""
_COMPARISONS: dict[type[ast.cmpop], str] = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
_TIMES = ("started", "ended")
_NUMBERS = ("duration", "overhead", "starred", "archived")
_SQL_TYPES = {"number": "('integer', 'real')", "text": "('text')"}
# SQLite's own limits (on the parser's stack, an expression's depth, bound values) are well above these.
_MAX_TEXT = 20_000
_MAX_DEPTH = 10
_MAX_COMPARISONS = 300
_MAX_VALUES = 900


class FilterError(ValueError):
    """A filter or sort key that cannot be understood; the message points at the place. `sentence` is the message's first line,
    and `column` the place.
    """

    def __init__(self, message: str, text: str, column: int) -> None:
        super().__init__(f"{message}\n  {text}\n  {' ' * column}^")
        self.sentence = message
        self.column = column


class Metric(NamedTuple):
    """A metric as a filter or sort key names it: `function` is `value`, `min`, `max` or `count`."""

    name: str
    function: str = "value"

    def __str__(self) -> str:
        return self.name if self.function == "value" else f"{self.function}({self.name})"


class Compiled:
    """SQL for a WHERE or ORDER BY, its parameters, and the attributes and metrics that it names."""

    def __init__(
        self, sql: str, parameters: list[Any], names: Iterable[str] = (), metrics: Iterable[Metric] = ()
    ) -> None:
        self.sql = sql
        self.parameters = parameters
        self.names = set(names)
        self.metrics = list(metrics)


def compile_filter(text: str) -> Compiled:
    """Return a filter as SQL over `runs r`. Raises FilterError."""
    shown, tree = _parsed(text, "This filter is not a valid expression")
    compiler = _Compiler(shown)
    return Compiled(compiler.condition(tree), compiler.parameters, compiler.names, compiler.metrics)


def compile_order(key: str) -> Compiled:
    """Return a sort key (`started`, `-metrics.loss`) as SQL; runs without a value come last. Raises FilterError."""
    descending = key.startswith("-")
    shown, tree = _parsed(key[1:] if descending else key, "This sort key is not a name")
    compiler = _Compiler(shown)
    sql = compiler.name(tree)
    compiler.parameters *= 2
    return Compiled(
        f"({sql}) IS NULL, {sql} {'DESC' if descending else 'ASC'}",
        compiler.parameters,
        compiler.names,
        compiler.metrics,
    )


_NOT_ARCHIVED = (
    "r.id NOT IN (WITH RECURSIVE away(id) AS (SELECT id FROM runs WHERE archived"
    " UNION SELECT c.id FROM runs c JOIN away a ON c.parent = a.id) SELECT id FROM away)"
)
"""Neither the run itself nor a run above it is archived."""


def selection(
    where: str | None, order_by: str = "-started", children: bool = False, archived: bool = False, *,
    experiment: str | None = None, since: int | None = None,
) -> Compiled:  # fmt: skip
    """Return SQL that selects and sorts `runs r`: `WHERE … ORDER BY …`. Child runs are left out unless `children` is true or
    the filter mentions `parent`; archived runs and those below them unless `archived` is true or the filter mentions
    `archived`. With `since`, only runs that an update after this version of the index has changed. Raises FilterError.
    """
    filtered = compile_filter(where) if where else Compiled("1", [])
    order = compile_order(order_by)
    conditions, parameters = [filtered.sql], [*filtered.parameters]
    for sql, value in (("r.experiment = ?", experiment), ("r.version > ?", since)):
        if value is not None:
            conditions.append(sql)
            parameters.append(value)
    if not children and "parent" not in filtered.names:
        conditions.append("r.parent IS NULL")
    if not archived and "archived" not in filtered.names:
        conditions.append(_NOT_ARCHIVED)
    # Ids sort by time, and break ties in the same direction.
    newest = "DESC" if order_by.startswith("-") else "ASC"
    return Compiled(
        f"WHERE {' AND '.join(conditions)} ORDER BY {order.sql}, r.id {newest}",
        [*parameters, *order.parameters],
        filtered.names | order.names,
        [*filtered.metrics, *order.metrics],
    )


def _parsed(text: str, complaint: str) -> tuple[str, ast.expr]:
    """Return the text on one line, and its syntax tree. Raises FilterError."""
    shown = text.translate({ord(space): " " for space in "\t\r\n\f\v"}).strip()
    if not shown:
        raise FilterError(f"{complaint}: it is empty.", shown, 0)
    if len(shown) > _MAX_TEXT:
        raise FilterError(f"{complaint}: it is longer than {_MAX_TEXT} characters.", f"{shown[:60]}…", 60)
    try:
        return shown, ast.parse(shown, mode="eval").body
    except SyntaxError as error:
        column = max(0, min((error.offset or 1) - 1, len(shown)))
        hint = "Write == to compare" if _is_lone_equals(shown, column) else error.msg.partition(";")[0]
        raise FilterError(f"{complaint}: {hint}.", shown, column) from None
    except (ValueError, RecursionError, MemoryError):  # a NUL or a lone surrogate; too many parentheses
        raise FilterError(f"{complaint}.", shown.encode("utf-8", "backslashreplace").decode(), 0) from None


def _is_lone_equals(text: str, column: int) -> bool:
    return text[column : column + 1] == "=" and "=" not in (
        text[column - 1 : column],
        text[column + 1 : column + 2],
    )


class _Compiler:
    def __init__(self, text: str) -> None:
        self.text = text
        self.parameters: list[Any] = []
        self.names: set[str] = set()
        self.metrics: list[Metric] = []
        self.comparisons = 0

    def fail(self, message: str, node: ast.AST) -> FilterError:
        # Python counts columns in bytes of UTF-8.
        column = len(self.text.encode()[: getattr(node, "col_offset", 0)].decode("utf-8", "ignore"))
        return FilterError(message, self.text, column)

    def source(self, node: ast.expr) -> str:
        return ast.get_source_segment(self.text, node) or "this"

    def condition(self, node: ast.expr, depth: int = 0) -> str:
        if depth > _MAX_DEPTH:
            raise self.fail("This filter is nested too deeply.", node)
        if isinstance(node, ast.BoolOp):
            word = " AND " if isinstance(node.op, ast.And) else " OR "
            return "(" + word.join(self.condition(value, depth + 1) for value in node.values) + ")"
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return f"(NOT {self.condition(node.operand, depth + 1)})"
        if isinstance(node, ast.Compare):
            parts: list[str] = []
            left = node.left
            for operator, right in zip(node.ops, node.comparators, strict=True):
                self.count(left)
                parts.append(self.comparison(left, operator, right))
                left = right
            return "(" + " AND ".join(parts) + ")"
        if _is_name(node):
            self.count(node)
            return f"coalesce({self.name(node)} NOT IN (0, '', '[]', '{{}}'), 0)"  # like Python's truth
        if isinstance(node, ast.Constant) and isinstance(node.value, bool):
            self.count(node)
            return str(int(node.value))
        raise self.fail("A comparison is expected here, as in metrics.loss < 0.3.", node)

    def count(self, node: ast.expr) -> None:
        self.comparisons += 1
        if self.comparisons > _MAX_COMPARISONS:
            raise self.fail(f"A filter has at most {_MAX_COMPARISONS} comparisons.", node)

    def comparison(self, left: ast.expr, operator: ast.cmpop, right: ast.expr) -> str:
        """Return SQL that is 0 or 1, never NULL."""
        if isinstance(operator, (ast.In, ast.NotIn)):
            return self.membership(left, operator, right)
        for side in (left, right):
            self.refuse_sum(side)
        if not _is_name(left) and not _is_name(right):
            raise self.fail("One side of a comparison must be a name, as params.C or status.", left)
        self.check_types(left, right)
        # SQLite orders any text above any number, so that 'auto' > 5: only values of one type are compared.
        kind = _type_of(left) or _type_of(right)
        first = self.operand(left, kind)
        second = self.operand(right, kind)
        if isinstance(operator, (ast.Eq, ast.Is)):
            return f"({first} IS {second})"
        if isinstance(operator, (ast.NotEq, ast.IsNot)):
            return f"({first} IS NOT {second})"
        return f"coalesce({first} {_COMPARISONS[type(operator)]} {second}, 0)"

    def refuse_sum(self, node: ast.expr) -> None:
        """Raise FilterError for `metrics.val/loss`: it is a quotient for Python, and was meant as a name."""
        if not isinstance(node, ast.BinOp):
            return
        first: ast.expr = node
        while isinstance(first, ast.BinOp):
            if not isinstance(first.right, (ast.Name, ast.Attribute)):
                return
            first = first.left
        mapping = _mapping_of(first)
        if mapping is None or mapping.id not in _MAPPINGS:
            return
        key = self.source(node).removeprefix(mapping.id).lstrip(" .")
        raise self.fail(
            f"Nothing is computed here. A name that is no word is written in brackets: {mapping.id}[{key!r}].",
            node,
        )

    def check_types(self, left: ast.expr, right: ast.expr) -> None:
        first, second = _type_of(left), _type_of(right)
        if "time" in (first, second):
            other = right if first == "time" else left
            if first != second and not isinstance(other, ast.Constant):
                raise self.fail('A time is expected here, as "2026-11-22".', other)
        elif first and second and first != second:
            named, other = (left, right) if _is_name(left) else (right, left)
            raise self.fail(f"{self.source(named)} is a {_type_of(named)}, and this is not.", other)

    def membership(self, left: ast.expr, operator: ast.cmpop, right: ast.expr) -> str:
        negation = "NOT " if isinstance(operator, ast.NotIn) else ""
        if isinstance(right, (ast.Tuple, ast.List, ast.Set)):
            return f"({negation}{self.one_of(left, right.elts)})"
        if isinstance(left, ast.Constant) and isinstance(left.value, str):
            if isinstance(right, ast.Name) and right.id in _MAPPINGS:
                self.parameters.append(self.constant(left))
                held = " AND count > 0" if right.id == "metrics" else ""
                return f"({negation}EXISTS (SELECT 1 FROM {right.id} WHERE run = r.no AND key = ?{held}))"
            if not _is_name(right):
                raise self.fail("A name is expected here, as estimator, params.solver or tags.", right)
            if _type_of(right) not in (None, "text"):
                raise self.fail(
                    f"`in` looks into text, and {self.source(right)} is a {_type_of(right)}.", right
                )
            sql = self.name(right)
            self.parameters.append(self.constant(left))
            return f"({negation}coalesce(instr(lower({sql}), lower(?)) > 0, 0))"
        raise self.fail('`in` takes "text" in a_name, or a_name in (1, 2, 3).', left)

    def one_of(self, left: ast.expr, elements: list[ast.expr]) -> str:
        """Return SQL for `left in (elements)`, 0 or 1."""
        if not _is_name(left):
            raise self.fail("A name is expected here, as params.C in (1, 10).", left)
        if len(elements) > _MAX_VALUES:
            raise self.fail(f"`in` takes at most {_MAX_VALUES} values.", left)
        kinds = {_type_of(element) for element in elements}
        name = self.name(left, kinds.pop() if len(kinds) == 1 else None)
        values: list[str] = []
        none = False
        for element in elements:
            self.check_types(left, element)
            if isinstance(element, ast.Constant) and element.value is None:
                none = True
            else:
                self.parameters.append(self.constant(element, _type_of(left)))
                values.append("?")
        if not values:
            return f"({name} IS NULL)" if none else f"({name} IN ())"
        return f"coalesce({name} IN ({', '.join(values)}), {int(none)})"

    def operand(self, node: ast.expr, kind: str | None) -> str:
        if _is_name(node):
            return self.name(node, kind)
        self.parameters.append(self.constant(node, kind))
        return "?"

    def constant(self, node: ast.expr, kind: str | None = None) -> Any:
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
            if isinstance(node.operand, ast.Constant) and isinstance(node.operand.value, (int, float)):
                value = self.constant(node.operand)
                return -value if isinstance(node.op, ast.USub) else value
        elif isinstance(node, ast.Constant) and isinstance(node.value, (str, int, float, type(None))):
            value = node.value
            if kind == "time" and value is not None:
                return self.milliseconds(node)
            if isinstance(value, bool):
                return int(value)
            if isinstance(value, int) and not -(2**63) < value < 2**63:
                try:
                    return float(value)
                except OverflowError:
                    raise self.fail("This number is too large.", node) from None
            if isinstance(value, str) and not _is_text(value):
                raise self.fail("This text cannot be written in UTF-8.", node)
            return value
        elif isinstance(node, ast.Name):
            raise self.unknown(node)
        raise self.fail("A number, a text or None is expected here.", node)

    def milliseconds(self, node: ast.Constant) -> int:
        """Return a time in milliseconds since the epoch; UTC if it has no offset."""
        text = node.value if isinstance(node.value, str) else ""
        text = f"{text[:-1]}+00:00" if text.endswith("Z") else text
        for form in (None, "%Y-%m", "%Y"):
            try:
                time = datetime.strptime(text, form) if form else datetime.fromisoformat(text)
                if time.tzinfo is None:
                    time = time.replace(tzinfo=timezone.utc)
                return (time - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(milliseconds=1)
            except (ValueError, OverflowError):
                continue
        raise self.fail('A time is expected here, as "2026-11-22" or "2026-11-22 18:30" (UTC).', node)

    def name(self, node: ast.expr, kind: str | None = None) -> str:
        """Return SQL for a thing that runs have. With `kind`, only values of that type, where runs may have different ones."""
        if isinstance(node, ast.Call):
            return self.call(node)
        mapping = _mapping_of(node)
        if mapping is not None:
            key = _key_of(node)
            if mapping.id in ATTRIBUTES:
                raise self.fail(f"{mapping.id} has no parts.", node)
            if mapping.id not in _MAPPINGS:
                raise self.unknown(mapping)
            if not key:
                raise self.fail(
                    f"Which of the {mapping.id}? Write {mapping.id}.name or {mapping.id}['name'].", node
                )
            return self.lookup(mapping.id, _MAPPINGS[mapping.id], key, node, kind)
        if isinstance(node, ast.Name):
            if node.id not in ATTRIBUTES:
                raise self.unknown(node)
            self.names.add(node.id)
            return ATTRIBUTES[node.id]
        self.refuse_sum(node)
        raise self.fail("A name is expected here, as params.C, metrics.loss, tags.team or status.", node)

    def call(self, node: ast.Call) -> str:
        function = node.func.id if isinstance(node.func, ast.Name) else None
        if function not in ("min", "max", "count"):
            raise self.fail("There are no functions here but min, max and count, as min(metrics.loss).", node)
        argument = node.args[0] if len(node.args) == 1 and not node.keywords else None
        mapping = _mapping_of(argument) if argument is not None else None
        key = _key_of(argument) if argument is not None else None
        if mapping is None or mapping.id != "metrics" or not key:
            raise self.fail(f"{function}() takes one metric, as {function}(metrics.loss).", node)
        return self.lookup("metrics", function, key, node)

    def lookup(self, table: str, column: str, key: str, node: ast.expr, kind: str | None = None) -> str:
        if not _is_text(key):
            raise self.fail("This name cannot be written in UTF-8.", node)
        self.parameters.append(key)
        condition = ""
        if table == "metrics":
            self.metrics.append(Metric(key, column))
            column = _VALUE if column == "value" else column
            condition = " AND count > 0"
        if table == "params" and kind in _SQL_TYPES:
            condition = f" AND typeof(value) IN {_SQL_TYPES[kind]}"
        elif table == "tags" and kind == "number":
            column = "number"
        return f"(SELECT {column} FROM {table} WHERE run = r.no AND key = ?{condition})"

    def unknown(self, node: ast.Name) -> FilterError:
        from difflib import get_close_matches

        close = get_close_matches(node.id, [*ATTRIBUTES, *_MAPPINGS], 1)
        hint = (
            f" Did you mean {close[0]}?"
            if close
            else f" Write params.{node.id} or metrics.{node.id}, or put text in quotes."
        )
        return self.fail(f"There is no {node.id!r}.{hint}", node)


def unknown_metrics(named: Iterable[Metric], known: Iterable[str]) -> list[str]:
    """Return one sentence for each metric that a filter or sort key names and no run has, with what may be meant."""
    from difflib import get_close_matches

    names = set(known)
    said: list[str] = []
    for metric in dict.fromkeys(one.name for one in named):
        if metric in names:
            continue
        whole, _, end = metric.rpartition(".")
        if end in ("min", "max", "count", "value", "last") and whole in names:
            hint = f" Write {f'metrics[{whole!r}]' if end in ('value', 'last') else f'{end}(metrics[{whole!r}])'}."
        else:
            close = get_close_matches(metric, sorted(names), 1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
        said.append(f"No run has a metric {metric!r}.{hint}")
    return said


def _is_name(node: ast.expr) -> bool:
    return isinstance(node, (ast.Name, ast.Call)) or _mapping_of(node) is not None


def _type_of(node: ast.expr) -> str | None:
    """Return whether a constant or a name is always a number, a text or a time; None if it is not."""
    if isinstance(node, ast.UnaryOp):
        return "number"
    if isinstance(node, ast.Constant):
        if isinstance(node.value, (int, float)):
            return "number"
        return "text" if isinstance(node.value, str) else None
    if isinstance(node, ast.Call):
        return "number"
    if isinstance(node, ast.Name):
        if node.id in _TIMES:
            return "time"
        return "number" if node.id in _NUMBERS else "text" if node.id in ATTRIBUTES else None
    mapping = _mapping_of(node)
    return "number" if mapping is not None and mapping.id == "metrics" else None


def _is_text(value: str) -> bool:
    """Return whether SQLite can hold the text: it cannot hold a lone surrogate."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _mapping_of(node: ast.expr) -> ast.Name | None:
    """Return `params` for `params`, `params.a.b` and `params["a b"]`; also an unknown name, where a part of it is taken."""
    inner = node
    while isinstance(inner, ast.Attribute):
        inner = inner.value
    if isinstance(inner, ast.Subscript):
        inner = inner.value
    if not isinstance(inner, ast.Name) or (inner is node and inner.id not in _MAPPINGS):
        return None
    return inner


def _key_of(node: ast.expr) -> str | None:
    """Return `a.b` for `params.a.b`, and `a b` for `params["a b"]`."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if isinstance(node, ast.Subscript):
        if not isinstance(node.slice, ast.Constant):
            return None
        parts.append(str(node.slice.value))
    return ".".join(reversed(parts)) or None
