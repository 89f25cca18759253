"""Filters and sort keys: what they select, and what they say when they are wrong."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import examples, write_journal
from hypothesis import example, given, settings
from hypothesis import strategies as st

from autolog.store.layout import Layout
from autolog.store.query import FilterError, compile_filter, compile_order
from autolog.store.records import Store
from autolog.tracking.events import Event, MetricsLogged, ParamsLogged, RunEnded, RunStarted, TagsSet

HOUR = 3_600_000
NEW_YEAR = 1_767_225_600_000  # 2026-01-01T00:00:00Z
VALUES = [
    None,
    True,
    False,
    0,
    1,
    -1,
    5,
    10,
    2**62,
    0.5,
    1e300,
    "",
    "5",
    "auto",
    "Auto",
    "é",
    "a  b",
    [1, 2],
    {"k": 1},
]


def store_of(folder: Path, events: list[Event]) -> Store:
    layout = Layout(folder)
    write_journal(layout, events)
    return Store(layout)


def run(number: int, name: str, started: int = NEW_YEAR, **more: Any) -> list[Event]:
    id = f"{number:026d}"
    fields = {
        "framework": "sklearn",
        "version": "1.9.1",
        "estimator": "sklearn.ensemble.RandomForestClassifier",
        **more,
    }
    metrics: list[tuple[int, dict[str, float]]] = fields.pop("metrics", [])
    params, tags, ended = (
        fields.pop("params", {}),
        fields.pop("tags", {}),
        fields.pop("ended", started + 2000),
    )
    status, error = fields.pop("status", "finished"), fields.pop("error", None)
    return [
        RunStarted(id, started, name, fields.pop("experiment", "default"), kind="fit", **fields),
        ParamsLogged(id, params),
        *(MetricsLogged(id, step, started, values) for step, values in metrics),
        TagsSet(id, tags),
        RunEnded(id, ended, status, error, 0.25),
    ]


@pytest.fixture(scope="module")
def forest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Three runs: `falling` does well, `diverged` ends at infinity, `broken` at NaN and fails."""
    store = store_of(
        tmp_path_factory.mktemp("forest"),
        [
            *run(
                1, "falling", params={"C": 10, "solver": "auto", "a b": 1, "opt.lr": 0.1, "deep": [1, 2]},
                metrics=[(0, {"loss": 0.9, "acc": 0.5}), (1, {"loss": 0.2, "acc": 0.8})],
                tags={"team": "Blue", "fold": "3", "day": "2026-11-22"},
            ),
            *run(
                2, "diverged", NEW_YEAR + HOUR, params={"C": "auto", "shuffle": True, "empty": "", "zero": 0},
                metrics=[(0, {"loss": 0.1}), (1, {"loss": math.inf})], framework="keras", version="3.1", estimator=None,
                tags={"fold": "10"},
            ),
            *run(
                3, "broken", NEW_YEAR + 2 * HOUR, params={"C": None, "shuffle": False},
                metrics=[(0, {"loss": 0.5}), (1, {"loss": math.nan})], status="failed", error="ValueError: 100% _bad_",
                experiment="other's", ended=NEW_YEAR + 3 * HOUR,
            ),
        ],
    )  # fmt: skip
    yield store
    store.close()


@pytest.fixture(scope="module")
def values(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A run for each of VALUES as the param x, named by its place, and one named `missing` without it."""
    events = [event for place, x in enumerate(VALUES) for event in run(place, str(place), params={"x": x})]
    store = store_of(tmp_path_factory.mktemp("values"), [*events, *run(99, "missing")])
    yield store
    store.close()


def names(store: Store, where: str) -> str:
    return " ".join(sorted(run.name for run in store.runs(where)))


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("metrics.loss < 0.3", "falling"),
        ("metrics.loss <= 0.2", "falling"),
        ("metrics.loss > 0.2", "diverged"),
        ("metrics.loss >= 0.2", "diverged falling"),
        ("0.1 < metrics.loss < 0.3", "falling"),
        ("metrics.loss == 0.2", "falling"),
        ("metrics.loss != 0.2", "broken diverged"),
        ("metrics['loss'] < 0.3", "falling"),
        ("min(metrics.loss) < 0.3", "diverged falling"),
        ("max(metrics.loss) > 1", "diverged"),
        ("count(metrics.acc) == 2", "falling"),
        ("metrics.loss < metrics.acc", "falling"),
        ("params.C == 10", "falling"),
        ("params.C == 10.0", "falling"),
        ("params.C > 5", "falling"),
        ("params.C < 'b'", "diverged"),
        ("params.C == 'auto'", "diverged"),
        ("params.C in (1, 10)", "falling"),
        ("params.C in ['auto']", "diverged"),
        ("params.C in {'auto', 10}", "diverged falling"),
        ("params.C not in (1, 10)", "broken diverged"),
        ("params['a b'] == 1", "falling"),
        ("params.opt.lr == 0.1", "falling"),
        ("params['opt.lr'] == 0.1", "falling"),
        ("params.opt.lr == -0.1", ""),
        ("params.deep == '[1,2]'", "falling"),
        ("params.shuffle", "diverged"),
        ("params.shuffle == True", "diverged"),
        ("params.shuffle == False", "broken"),
        ("not params.shuffle", "broken falling"),
        ("params.solver", "falling"),
        ("params.empty or params.zero", ""),
        ("tags.team == 'Blue'", "falling"),
        ("tags.team == 'blue'", ""),
        ("tags.fold == 3", "falling"),
        ("tags.fold > 3", "diverged"),
        ("tags.fold in (3, 4)", "falling"),
        ("tags.day > 5", ""),
        ("'UE' in tags.team", "falling"),
        ("status == 'failed'", "broken"),
        ("status is not 'failed'", "diverged falling"),
        ("'forest' in estimator", "broken falling"),
        ("'forest' not in estimator", "diverged"),
        ("'100%' in error", "broken"),
        ("'_bad_' in error", "broken"),
        ("'xbad' in error", ""),
        ('experiment == "other\'s"', "broken"),
        ("framework in ('keras', 'torch') or status == 'failed'", "broken diverged"),
        ("framework == 'sklearn' and not status == 'failed'", "falling"),
        ("duration > 60", "broken"),
        ("overhead == 0.25", "broken diverged falling"),
        ("started > '2026-01-01'", "broken diverged"),
        ("started >= '2026-01'", "broken diverged falling"),
        ("started < '2026'", ""),
        ("started == '2026-01-01T01:00:00.000Z'", "diverged"),
        ("started == '2026-01-01 03:00+02:00'", "diverged"),
        ("ended >= '2026-01-01 03:00'", "broken"),
        ("started < ended", "broken diverged falling"),
        ("'loss' in metrics", "broken diverged falling"),
        ("'acc' not in metrics", "broken diverged"),
        ("'solver' in params", "falling"),
        ("'team' in tags", "falling"),
        ("name == 'falling' or name == 'broken'", "broken falling"),
        ("\n name\t== \r\n 'falling' ", "falling"),
        ("True", "broken diverged falling"),
        ("False", ""),
    ],
)
def test_a_filter_selects_the_runs_that_it_describes(forest: Store, where: str, expected: str) -> None:
    assert names(forest, where) == expected


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("params.missing == 1", ""),
        ("params.missing != 1", "broken diverged falling"),
        ("params.missing < 1 or params.missing >= 1", ""),
        ("params.missing is None", "broken diverged falling"),
        ("params.C is None", "broken"),
        ("params.C == None", "broken"),
        ("params.C is not None", "diverged falling"),
        ("params.C in (None, 10)", "broken falling"),
        ("params.C not in (None, 10)", "diverged"),
        ("params.C in (None,)", "broken"),
        ("params.C in ()", ""),
        ("params.C not in ()", "broken diverged falling"),
        ("params.C < None", ""),
        ("error is None", "diverged falling"),
        ("metrics.acc > 0.5", "falling"),
        ("not metrics.acc > 0.5", "broken diverged"),
        ("tags.team != 'Blue'", "broken diverged"),
        ("parent is None", "broken diverged falling"),
    ],
)
def test_a_value_that_a_run_lacks_compares_as_none(forest: Store, where: str, expected: str) -> None:
    assert names(forest, where) == expected


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("metrics.loss is None", "broken"),
        ("metrics.loss is None and 'loss' in metrics", "broken"),
        ("metrics.loss < 1e999", "falling"),
        ("metrics.loss == 1e999", "diverged"),
        ("metrics.loss > 1e308", "diverged"),
        ("metrics.loss != metrics.loss", ""),
        ("max(metrics.loss) == 0.5", "broken"),
    ],
)
def test_a_nan_is_none_and_an_infinity_is_a_number(forest: Store, where: str, expected: str) -> None:
    assert names(forest, where) == expected


COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


def kind(value: Any) -> str:
    return "number" if isinstance(value, (bool, int, float)) else type(value).__name__


@settings(deadline=None, max_examples=examples(300))
@given(
    symbol=st.sampled_from(sorted(COMPARE)),
    constant=st.one_of(
        st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False),
        st.text(st.characters(codec="utf-8")),
        st.sampled_from([value for value in VALUES if not isinstance(value, (list, dict))]),
    ),
)  # fmt: skip
def test_comparisons_are_those_of_python_except_between_numbers_and_texts(
    values: Store, symbol: str, constant: Any
) -> None:
    literal = repr(constant).replace("inf", "1e999")
    expected: set[str] = set()
    for name, value in [*((str(place), value) for place, value in enumerate(VALUES)), ("missing", None)]:
        if isinstance(value, (list, dict)):
            continue  # compared as their JSON
        if symbol in ("==", "!="):
            if COMPARE[symbol](value, constant):
                expected.add(name)
        elif kind(value) == kind(constant) != "NoneType" and COMPARE[symbol](value, constant):
            expected.add(name)
    found = {run.name for run in values.runs(f"params.x {symbol} {literal}")}
    assert found - {str(VALUES.index([1, 2])), str(VALUES.index({"k": 1}))} == expected


def test_truth_is_that_of_python(values: Store) -> None:
    expected = {str(place) for place, value in enumerate(VALUES) if value}
    assert {run.name for run in values.runs("params.x")} == expected


TIME = 'A time is expected here, as "2026-11-22" or "2026-11-22 18:30" (UTC).'
QUOTES = "Write params.{0} or metrics.{0}, or put text in quotes."
NO_SUM = "Nothing is computed here. A name that is no word is written in brackets:"
ONE_SIDE = "One side of a comparison must be a name, as params.C or status."


@pytest.mark.parametrize(
    ("where", "place", "message"),
    [
        ("los < 3", "los", f"There is no 'los'. {QUOTES.format('los')}"),
        ("status == 'x' and nme == 3", "nme", "There is no 'nme'. Did you mean name?"),
        ("'é日' in name and nme == 3", "nme", "There is no 'nme'. Did you mean name?"),
        ("status == finished", "finished", f"There is no 'finished'. {QUOTES.format('finished')}"),
        ("param.C > 1", "param", "There is no 'param'. Did you mean params?"),
        ("name.x > 1", "name", "name has no parts."),
        ("metrics < 1", "metrics", "Which of the metrics? Write metrics.name or metrics['name']."),
        ("params[status] < 1", "params", "Which of the params? Write params.name or params['name']."),
        ("metrics.loss < 'x'", "'x'", "metrics.loss is a number, and this is not."),
        ("3 == status", "3", "status is a text, and this is not."),
        ("name in ('a', 3)", "3", "name is a text, and this is not."),
        ("started > 5", "5", TIME),
        ("started > 'now'", "'now'", TIME),
        ("started > name", "name", 'A time is expected here, as "2026-11-22".'),
        ("'3' in duration", "duration", "`in` looks into text, and duration is a number."),
        ("3 in params.C", "3", '`in` takes "text" in a_name, or a_name in (1, 2, 3).'),
        ("'a' in 'b'", "'b'", "A name is expected here, as estimator, params.solver or tags."),
        ("1 in (1, 2)", "1", "A name is expected here, as params.C in (1, 10)."),
        ("min(metrics) < 1", "min", "min() takes one metric, as min(metrics.loss)."),
        ("max(params.C) < 1", "max", "max() takes one metric, as max(metrics.loss)."),
        (
            "eval('1') == 1", "eval",
            "There are no functions here but min, max and count, as min(metrics.loss).",
        ),
        ("5 > 3", "5", ONE_SIDE),
        ("params.C + 1 > 2", "params", ONE_SIDE),
        ("metrics.val/loss < 1", "metrics", f"{NO_SUM} metrics['val/loss']."),
        ("1 > params.batch-size", "params", f"{NO_SUM} params['batch-size']."),
        ("3 - metrics.val/loss < 1", "3", ONE_SIDE),
        ("params.C == [1]", "[1]", "A number, a text or None is expected here."),
        ("5", "5", "A comparison is expected here, as in metrics.loss < 0.3."),
        ("not " * 11 + "params.C", "params", "This filter is nested too deeply."),
        ("status = 'x'", "=", "This filter is not a valid expression: Write == to compare."),
        ("", "", "This filter is not a valid expression: it is empty."),
        (r"params.C == '\ud800'", "'", "This text cannot be written in UTF-8."),
        ("params.C == " + "9" * 400, "9", "This number is too large."),
    ],
)  # fmt: skip
def test_a_wrong_filter_is_an_error_that_says_what_is_wrong_and_where(
    where: str, place: str, message: str
) -> None:
    with pytest.raises(FilterError) as caught:
        compile_filter(where)
    assert str(caught.value) == f"{message}\n  {where}\n  {' ' * where.index(place)}^"


@pytest.mark.parametrize(
    "where",
    [
        "status == 'x'; DROP TABLE runs",
        "params.a) OR 1=1 --",
        "__import__('os').system('true')",
        "().__class__.__bases__",
        "[run for run in name]",
        "lambda: 1",
        "(name := 'x') == 'x'",
        "f'{name}' == name",
        "name == b'x'",
        "name == name.__class__",
        "*name",
        "params.C if name else status",
    ],
)
def test_syntax_that_is_not_listed_is_refused(where: str) -> None:
    with pytest.raises(FilterError):
        compile_filter(where)


@pytest.mark.parametrize(
    "text", ["x' OR 1=1 --", '") OR ("1"="1', "?; DROP TABLE runs; --", "%", "_", "\\", "a\x00b"]
)
def test_text_of_the_user_is_never_sql(forest: Store, text: str) -> None:
    """Names and values are bound, so that they find what is called so and nothing else."""
    for where in (f"name == {text!r}", f"params[{text!r}] == 1", f"{text!r} in tags", f"{text!r} in name"):
        compiled = compile_filter(where)
        assert text in compiled.parameters
        assert text not in compiled.sql or text in "?_"
        assert names(forest, where) == ""
    assert forest.count() == 3


WORDS = st.sampled_from(
    ["params.a", "metrics.a", "tags['a']", "min(metrics.a)", "status", "started", "duration", "parent", "nothing", "params",
     "1", "-1", "1.5", "1e999", "'text'", "'2026'", "None", "True", "(1, 2)", "('a', None)", "()", "[1]", "{}", "9" * 30]
)  # fmt: skip
EXPRESSIONS = st.recursive(
    st.one_of(
        WORDS,
        st.builds(
            " ".join,
            st.tuples(
                WORDS,
                st.sampled_from(["<", "<=", "==", "!=", ">", ">=", "in", "not in", "is", "is not", "<", "+"]),
                WORDS,
            ),
        ),
    ),
    lambda inner: st.one_of(
        st.builds("({}) and ({})".format, inner, inner),
        st.builds("({}) or ({})".format, inner, inner),
        st.builds("not ({})".format, inner),
        st.builds("{} < {}".format, inner, inner),
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=examples(1000))
@given(st.one_of(EXPRESSIONS, st.text(), st.text(st.sampled_from("()[]{}'\"\\.,<>=!-+ \n\0anot1éinparmsetci_")) ))  # fmt: skip
@example("(" * 300)
@example("-" * 9000 + "1 < params.a")
@example("not " * 4900 + "params.a")
@example("params" + ".a" * 5000 + " < 1")
@example("params.a and " * 299 + "params.a")
@example("params.a and " * 300 + "params.a")
@example("(params.a or " * 190 + "params.a" + ")" * 190)
@example("(params.a or " * 9 + "params.a" + ")" * 9)
@example("not (params.a and not (" * 5 + "min(metrics.a) in (1, None)" + "))" * 5)
@example("params.a in (" + "1, " * 900 + ")")
@example("params.a in (" + "1, " * 901 + ")")
@example("'" + "a" * 19_000 + "' in name")
@example("a" * 30_000)
@example("params.a == '\udc80'")
def test_any_text_either_compiles_to_sql_that_runs_or_raises_filter_error(forest: Store, where: str) -> None:
    try:
        compile_filter(where)
    except FilterError as error:
        column = str(error).rpartition("\n")[2]
        assert column.endswith("^")
        return
    forest.runs(where)


@settings(deadline=None, max_examples=examples(500))
@given(st.one_of(WORDS, WORDS.map("-{}".format), st.text()))
@example("-" * 9000)
@example("(" * 300)
@example("metrics" + ".a" * 5000)
def test_any_text_either_sorts_or_raises_filter_error(forest: Store, key: str) -> None:
    try:
        compile_order(key)
    except FilterError:
        return
    assert len(forest.runs(order_by=key)) == 3


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("started", "falling diverged broken"),
        ("-started", "broken diverged falling"),
        ("metrics.loss", "falling diverged broken"),
        ("-metrics.loss", "diverged falling broken"),
        ("min(metrics.loss)", "diverged falling broken"),
        ("-metrics.acc", "falling broken diverged"),
        ("params.C", "falling diverged broken"),
        ("name", "broken diverged falling"),
        ("-duration", "broken diverged falling"),
    ],
)
def test_runs_are_sorted_and_those_without_a_value_come_last(forest: Store, key: str, expected: str) -> None:
    assert " ".join(run.name for run in forest.runs(order_by=key)) == expected
