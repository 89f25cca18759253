"""Names the metrics that are measured after a training: one name for one quantity.

A quantity is known by its data (by content where that can be read, else by the object), by the part of the predictions, the
method that made them, the settings, the truth and the weights. The same quantity has the same name each time, and is one
series; another quantity has another name. Data that the training knows is named by its role, such as `train`; other data by the
variable that the script passes. Numbers tell equal names apart: `X`, `X_2`. Knows no framework, and no events.
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
"""Number of quantities with one name that are told apart; further ones become steps of one series."""
MOST_KNOWN = 10_000
"""Number of data fingerprints that are remembered."""
SHORT = 4
"""Length up to which a list is part of a name."""


class Keys:
    """What data is known by: its content; also the object, if only a part of the content is read, or none."""

    def __init__(self) -> None:
        self._alike: OrderedDict[Hashable, list[Callable[[], Any]]] = OrderedDict()
        self._unread: IdentityMap[int] = IdentityMap()
        self._last = 0

    def of(self, data: Any, looks: datasets.Fingerprint | None = None) -> Hashable:
        """Return a key that is equal for the same data, without a pass over it. `looks` is the fingerprint, if that is known.

        Two objects that look alike are different data while both exist: they may differ in cells that were not read. An object
        that looks like one that is gone is the same data, made anew, as a script does in each epoch.
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
        """Return a key for each object. For one that cannot be held weakly, it is the class."""
        number = self._unread.get(data)
        if number is None:
            self._last += 1
            number = self._last
            self._unread.set(data, number)
            if self._unread.get(data) is None:
                return class_path(data)
        return "object", number

    def _number(self, cells: Hashable, data: Any) -> int:
        """Return the number of this object among those that look alike."""
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
    """Return the layout of a NumPy array; None for anything else."""
    if module_name(cast("type[Any]", type(value))).partition(".")[0] != "numpy" or not getattr(
        value, "shape", ()
    ):
        return None
    return Layout(value.__array_interface__["data"][0], tuple(value.shape), tuple(value.strides))


class Part(NamedTuple):
    """A part of a prediction: `text` as in Python, `name` as in a metric's name; both are empty for the whole."""

    text: str = ""
    name: str = ""


WHOLE = Part()
LABELS = Part("labels")
"""The labels that follow from a prediction."""


def part_of(value: Any, whole: Layout | None, probabilities: bool) -> Part:
    """Return which part of a prediction a view is. With two classes, the second one's probabilities count as the whole."""
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
    """What holds a data name: its key, how to reach its data, and how often the model had been trained at its last use."""

    key: Hashable
    data: Callable[[], Any]
    trainings: int


class Names:
    """The names that the metrics of one run have."""

    def __init__(self) -> None:
        self.trainings = 0
        self._names: dict[Hashable, str] = {}
        self._taken: dict[str, _Taken] = {}
        self._metrics: dict[str, dict[tuple[str, Hashable], str]] = {}
        self._used: set[str] = set()
        self._shared: set[str] = set()

    def of_data(self, name: str, key: Hashable, data: Callable[[], Any]) -> str:
        """Return the name of this data: the one it already has, else the script's `name`, with a number if that is taken.

        A model that is trained on and on is measured on changing data, such as batches: if the earlier data is gone, the new
        data takes its name and is the next step of the series.
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
        """Return the name of the quantity with this key: `base`, with a number if another quantity has that name."""
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
    """Return the name of a metric. `data` is its data's name, key and how to reach it; None if that is not known. `settings`
    are those that are not the defaults; `by` is whatever else distinguishes the metric, such as the truth.
    """
    called = "" if data is None else names.of_data(*data)
    texts = [_text_of(name, settings[name]) for name in sorted(settings)]
    base = _joined(metric, *texts, called, part.name)
    key = (part.text, tuple((name, keys.of(settings[name])) for name in sorted(settings)), by)
    said = {name: plain(value) if _is_short(value) else "given" for name, value in settings.items()}
    about = {"data": called or None, "part": part.text or None, "settings": said or None}
    return Named(names.of_metric(base, called, key), about, called)


def _text_of(name: str, value: Any) -> str:
    """Return a setting's part of a name: a string alone, a number or short list with the setting's name, else that name."""
    if type(value) is str:
        return value
    if not _is_short(value):
        return name
    return _joined(name, *(str(one) for one in (value if type(value) in (list, tuple) else (value,))))


def _is_short(value: Any) -> bool:
    if type(value) in (list, tuple):
        return len(value) <= SHORT and all(type(one) in (str, int, float, bool) for one in value)
    return type(value) in (str, int, float, bool)
