"""What a metric is called that is measured after the training: one name for one quantity.

What is measured is known by its data (by content where that can be read, else by the object), by the part of the predictions,
the method that made them, the settings, the truth and the weights. What is the same has the same name each time, and is one
series; what differs has another name. Data that the training knows is named by its context, as `train`; other data by the
variable that the script passes. Where names are not enough, numbers follow: `X`, `X_2`. Knows no framework, and no events.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from itertools import islice
from typing import Any, NamedTuple, cast

from autolog.instrument.identity import IdentityMap
from autolog.tracking import datasets
from autolog.tracking.datasets import class_path
from autolog.tracking.values import module_name, plain, weakly

MOST_NAMES = 20
"""So many different quantities of one name are told apart; further ones are steps of one series."""
MOST_KNOWN = 10_000
"""So many looks of data are remembered."""
SHORT = 4
"""A list of so many values is part of a name."""


class Keys:
    """What data is known by: its content; where only a part of that is looked at, or none, also the object."""

    def __init__(self) -> None:
        self._alike: OrderedDict[Hashable, list[Callable[[], Any]]] = OrderedDict()
        self._unread: IdentityMap[int] = IdentityMap()
        self._last = 0

    def of(self, data: Any, looks: datasets.Fingerprint | None = None) -> Hashable:
        """Equal for the same data; costs no pass over it. `looks`: its fingerprint, where that is known.

        Two objects that look alike are different data as long as both are there: a few cells may differ that were not looked
        at. One that looks like another that is gone is the same, made anew, as a script does in each epoch.
        """
        kind = cast("type[Any]", type(data))
        if data is None or kind in (str, int, float, bool):
            return data
        if kind in (list, tuple) and 0 < len(data) <= SHORT and all(hasattr(one, "shape") for one in data):
            return tuple(self.of(one) for one in data)  # the inputs of a model that has several
        if kind is dict:
            return tuple((name, self.of(one)) for name, one in islice(data.items(), 100))
        found = looks or datasets.fingerprint(data)
        if found is None:
            return self._unread_number(data)
        return found.cells if found.whole else (found.cells, self._number(found.cells, data))

    def _unread_number(self, data: Any) -> Hashable:
        """One for each object; of what cannot be weakly held, its class."""
        number = self._unread.get(data)
        if number is None:
            self._last += 1
            number = self._last
            self._unread.set(data, number)
            if self._unread.get(data) is None:
                return class_path(data)
        return "object", number

    def _number(self, cells: Hashable, data: Any) -> int:
        """Which of the objects that look alike this one is."""
        alike = self._alike.setdefault(cells, [])
        self._alike.move_to_end(cells)
        if len(self._alike) > MOST_KNOWN:
            self._alike.popitem(last=False)
        held = [reach() for reach in alike]
        number = next((place for place, one in enumerate(held) if one is data), None)
        if number is None:
            number = next((place for place, one in enumerate(held) if one is None), len(alike))
        alike[number : number + 1] = [weakly(data)]
        return number


class Layout(NamedTuple):
    """Where the values of an array lie in memory, in bytes."""

    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def size(self) -> int:
        count = 1
        for length in self.shape:
            count *= length
        return count


def layout_of(value: Any) -> Layout | None:
    """Of an array of NumPy's; None of anything else."""
    if module_name(cast("type[Any]", type(value))).partition(".")[0] != "numpy" or not getattr(
        value, "shape", ()
    ):
        return None
    return Layout(value.__array_interface__["data"][0], tuple(value.shape), tuple(value.strides))


class Part(NamedTuple):
    """Of a prediction: `text` as in Python, `name` as in a metric's name; both empty for the whole."""

    text: str = ""
    name: str = ""


WHOLE = Part()


def part_of(value: Any, whole: Layout | None, probabilities: bool) -> Part:
    """Which part of a prediction a view of it is. Of the probabilities of two classes, those of the second say everything."""
    view = layout_of(value)
    if whole is None or view is None or (view.size == whole.size and view.address == whole.address):
        return WHOLE
    offset, row = view.address - whole.address, whole.strides[0]
    if len(whole.shape) == 2 and len(view.shape) == 1:
        cell = whole.strides[1]
        if (
            view.shape[0] == whole.shape[0]
            and view.strides[0] == row
            and cell
            and 0 <= offset // cell < whole.shape[1]
        ):
            column = offset // cell
            if probabilities and whole.shape[1] == 2 and column == 1:
                return WHOLE
            return Part(f"[:, {column}]", f"column_{column}")
    if view.shape[1:] == whole.shape[1:] and view.strides == whole.strides and row and offset % row == 0:
        start = offset // row
        stop = start + view.shape[0]
        return Part(f"[{start}:{stop}]", f"rows_{start}_{stop}")
    return Part(f"[offset {offset}, shape {view.shape}, strides {view.strides}]", "part")


class Named(NamedTuple):
    """A metric's name, what is said about it (see `Run.describe_metrics`), and the name of its data."""

    name: str
    about: dict[str, Any]
    data: str


class _Taken(NamedTuple):
    """By what a name of data is taken, and how often the model had been trained when it was used last."""

    key: Hashable
    data: Callable[[], Any]
    trainings: int


class Names:
    """The names that the metrics of one run have been given."""

    def __init__(self) -> None:
        self.trainings = 0
        self._names: dict[Hashable, str] = {}
        self._taken: dict[str, _Taken] = {}
        self._metrics: dict[str, dict[tuple[str, Hashable], str]] = {}
        self._used: set[str] = set()
        self._shared: set[str] = set()

    def of_data(self, name: str, key: Hashable, data: Callable[[], Any]) -> str:
        """What these data are called: as at first, or as the script calls them, `name`.

        A model that is trained on and on is measured on what comes next, as batches do: that is the next step of the series
        if the data before is gone.
        """
        called = self._names.get(key)
        if called is None:
            called = self._free(name)
            if called in self._shared:
                return called
            self._names[key] = called
        self._taken[called] = _Taken(key, data, self.trainings)
        return called

    def _free(self, name: str) -> str:
        for number in range(1, MOST_NAMES + 1):
            numbered = _numbered(name, number)
            taken = self._taken.get(numbered)
            if taken is None:
                return numbered
            if taken.trainings < self.trainings and taken.data() is None:
                self._names.pop(taken.key, None)
                self._used.difference_update(self._metrics.pop(numbered, {}).values())
                return numbered
        others = _joined(name, "others")
        self._shared.add(others)
        return others

    def of_metric(self, base: str, data: str, key: Hashable) -> str:
        """The name of what is known by this key, where `base` and the name of the data would be its name."""
        if data in self._shared:
            return base
        names = self._metrics.setdefault(data, {})
        name = names.get((base, key))
        if name is None:
            free = (_numbered(base, number) for number in range(1, MOST_NAMES + 1))
            name = next((one for one in free if one not in self._used), None)
            if name is None:
                return _joined(base, "others")
            names[base, key] = name
            self._used.add(name)
        return name


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else _joined(name, str(number))


def _joined(*parts: str) -> str:
    return "_".join(part for part in parts if part)


def named(
    names: Names, keys: Keys, metric: str, *, data: tuple[str, Hashable, Callable[[], Any]] | None, part: Part = WHOLE,
    settings: Mapping[str, Any] = {}, by: Hashable = None,
) -> Named:  # fmt: skip
    """The name of a metric. `data`: what it is called, what it is known by, and how to reach it; None where that is not known.
    `settings`: those that are not the defaults; `by`: what else tells it apart, as the truth.
    """
    called = "" if data is None else names.of_data(*data)
    texts = [_text_of(name, settings[name]) for name in sorted(settings)]
    base = _joined(metric, *texts, called, part.name)
    key = (part.text, tuple((name, keys.of(settings[name])) for name in sorted(settings)), by)
    said = {name: plain(value) if _is_short(value) else "given" for name, value in settings.items()}
    about = {"data": called or None, "part": part.text or None, "settings": said or None}
    return Named(names.of_metric(base, called, key), about, called)


def _text_of(name: str, value: Any) -> str:
    """A setting in a name: a text is its own name, a number and a short list get one; of others, that they are given."""
    if type(value) is str:
        return value
    if not _is_short(value):
        return name
    return _joined(name, *(str(one) for one in (value if type(value) in (list, tuple) else (value,))))


def _is_short(value: Any) -> bool:
    if type(value) in (list, tuple):
        return len(value) <= SHORT and all(type(one) in (str, int, float, bool) for one in value)
    return type(value) in (str, int, float, bool)
