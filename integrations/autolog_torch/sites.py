"""Where in the user's code a call stands, and what the user calls the value there.

`loss.backward()` is `loss`; `scaler.scale(loss).backward()` too; `correct += (guess == y).sum().item()` is `correct`. Read from
the source, once for each place; a place without source is called by its line. `naming` reads it.
"""

from __future__ import annotations

import dis
import linecache
import sys
from functools import lru_cache
from inspect import CO_OPTIMIZED
from itertools import islice
from types import CodeType, FrameType
from typing import Any

from autolog_torch.naming import Source, loaded_for_format

LIBRARIES = frozenset(
    """torch autolog autolog_torch accelerate ignite lightning lightning_fabric pytorch_lightning torchmetrics apex deepspeed
    skorch contextlib functools torchvision torchaudio tensorboard tensorboardX wandb mlflow sklearn numpy pandas matplotlib
    tqdm""".split()
)
MANY = 10_000
PHASES = {
    "train": "train_eval/", "training": "train_eval/", "val": "val/", "valid": "val/", "validation": "val/", "dev": "val/",
    "eval": "val/", "test": "test/",
}  # fmt: skip
"""What is evaluated, by the name that a loop gives it."""


class Site:
    """One call in the user's code."""

    __slots__ = (
        "code", "is_loss", "is_summary", "keys", "library", "loop", "name", "names", "phase", "reduction", "splits", "trains",
        "weight",
    )  # fmt: skip

    def __init__(
        self, code: CodeType, name: str, library: bool, reduction: str = "", splits: tuple[str, ...] = (), phase: str = "",
        loop: str = "", names: tuple[str, ...] = (), weight: str = "", keys: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        self.code = code  # kept, so that its id stays its own
        self.name = name
        self.library = library
        self.reduction = reduction
        """`sum` or `mean`, where the source says that the value is one; `weighted`, where it multiplies it by the number of
        samples.
        """
        self.phase = phase
        """What the value is of, where a loop around it says that: `val/` of `for split in ("train", "val")`."""
        self.splits = splits
        """The variables of such loops."""
        self.keys = keys
        """The variables that are the keys of the dictionaries that loops around it are over."""
        self.loop = loop
        """What the loop is over in which the value is summed up, as it stands in the code."""
        self.is_loss = False
        """What is read here in training is a loss that goes backward, as its name says, too."""
        self.names = names
        """Variables of which the value may be any, where several are formatted at once."""
        self.weight = weight
        """The variable that says of how many samples a `weighted` value is."""
        self.is_summary = reduction in ("sum", "weighted")
        """What is read here makes another number than the mean of what is read."""
        self.trains = False
        """It is known what code is around this `backward`."""


class Sites:
    """The places that were met. Shared by all threads."""

    def __init__(self) -> None:
        self._by_instruction: dict[tuple[int, int], Site] = {}
        self._by_position: dict[tuple[int, Any], Site] = {}
        self._libraries: dict[int, bool] = {}
        self._codes: list[CodeType] = []
        """Those in `_libraries`, kept so that their ids stay their own."""
        self._sources: dict[str, Source] = {}
        self._split: dict[tuple[Site, str], Site] = {}
        self._training: set[CodeType] = set()
        """The code that goes backward, and that around it."""

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
        """Where a value is put into a text: into an f-string, or by the method `format`."""
        code, instruction = frame.f_code, frame.f_lasti
        site = self._by_instruction.get((id(code), instruction))
        if site is None:
            name = loaded_for_format(code, instruction)
            if not name:
                return self.at(frame, "format")
            keys = self._source(frame).keys_at(frame.f_lineno)
            site = Site(code, name, self._is_library(frame), splits=keys, keys=keys)
            self._by_instruction[id(code), instruction] = site
        return site

    def of_backward(self, frame: FrameType | None) -> Site | None:
        """The call of `backward` that is under way. What is around it is the training, and not an evaluation."""
        site = self.of_user(frame, "backward")
        if site is not None and not site.trains:
            site.trains = True
            while frame is not None:
                self._training.add(frame.f_code)
                frame = frame.f_back
        return site

    def evaluated(self, frame: FrameType | None) -> str:
        """What is evaluated in `frame`, as the calls from the training to it say: `test` of `loss = evaluate(test_data)`."""
        frame = self._users(frame)
        while frame is not None and frame.f_code not in self._training:
            frame = self._users(frame.f_back)
            said = "" if frame is None else self._source(frame).phase_at(*_position(frame))
            if said:
                return said
        return ""

    def weight(self, site: Site, frame: FrameType) -> int:
        """Of how many samples a value is; 0 if that cannot be told."""
        (held,) = _locals(frame, (site.weight,))
        if type(held) is int:
            return held
        if type(held) in (list, tuple):
            return len(held)
        shape = held.shape if type(held).__name__ == "Tensor" and type(held).__module__ == "torch" else ()
        return int(shape[0]) if shape else 0

    def named(self, site: Site, frame: FrameType, tensor: Any) -> Site:
        """The place of one of several values that are formatted at once: that of the variable that holds the tensor."""
        values = _locals(frame, site.names)
        name = next((name for name, one in zip(site.names, values, strict=True) if one is tensor), "")
        found = self._split.get((site, name))
        if found is None:
            found = self._split[site, name] = Site(site.code, name, site.library)
        return found

    def split(self, site: Site, frame: FrameType, keys: bool = False) -> Site:
        """The place within the present turn of a loop over names, such as `for split in ("train", "val")`; with `keys`, over
        those of a dictionary.
        """
        values = _locals(frame, site.keys if keys else site.splits)
        value = next((one for one in values if isinstance(one, str)), None)
        if value is None or len(self._split) > MANY:
            return site
        found = self._split.get((site, value))
        if found is None:
            phase = PHASES.get(value.lower(), "")
            name = site.name if phase else value if site.keys else f"{site.name}.{value}"
            found = Site(site.code, name, site.library, site.reduction, phase=phase)
            self._split[site, value] = found
        return found

    def loop(self, frame: FrameType | None) -> str:
        """What the user calls the data that a loop in his code is over, nothing if that cannot be told."""
        frame = self._users(frame)
        if frame is None:
            return ""
        line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
        _, found, data = line.partition(" in ")
        return data.strip().rstrip(":") if found else ""

    def _users(self, frame: FrameType | None) -> FrameType | None:
        while frame is not None and self._is_library(frame):
            frame = frame.f_back
        return frame

    def _source(self, frame: FrameType) -> Source:
        file = frame.f_code.co_filename
        if file not in self._sources:
            self._sources[file] = Source(linecache.getlines(file))
        return self._sources[file]

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
        position, line = _position(frame)
        site = self._by_position.get((id(code), position))
        if site is None:
            said = self._source(frame).at(position, line, method)
            site = Site(
                code, said.name, self._is_library(frame), said.reduction, said.splits, loop=said.loop, names=said.names,
                weight=said.weight, keys=said.keys,
            )  # fmt: skip
            self._by_position[id(code), position] = site
        self._by_instruction[id(code), instruction] = site
        return site


def _position(frame: FrameType) -> tuple[Any, int]:
    """The lines and columns of the call under way, where Python tells these, and its line."""
    position: Any = frame.f_lineno, frame.f_lasti
    if sys.version_info >= (3, 11):
        number = frame.f_lasti // 2
        position = next(islice(frame.f_code.co_positions(), number, number + 1), position)
    else:
        position = _found_by_bytecode(frame) or position
    return position, frame.f_lineno


def _found_by_bytecode(frame: FrameType) -> tuple[int, int | None, int, int | None] | None:
    """Python 3.10 tells only the line, on which there may be several calls."""
    try:
        from executing import Source as Executed

        node: Any = Executed.executing(frame).node
        return node.lineno, node.end_lineno, node.col_offset, node.end_col_offset
    except Exception:  # not installed, or a node that it cannot tell from others
        return None


OF_LOCALS = frozenset(("locals", "vars", "dir", "eval", "exec"))
"""Functions by which a script gets at the dictionary of its own variables."""


@lru_cache(maxsize=MANY)
def _asks_for_its_locals(code: CodeType) -> bool:
    loaded = {one.argval for one in dis.get_instructions(code) if one.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    return not OF_LOCALS.isdisjoint(loaded)


def _locals(frame: FrameType, names: tuple[str, ...]) -> list[Any]:
    """The values of these variables; None for each where to ask would change what the script has."""
    if sys.version_info < (3, 13) and frame.f_code.co_flags & CO_OPTIMIZED:
        # A function has one dictionary of its variables, which is brought up to date each time that somebody asks for it.
        if _asks_for_its_locals(frame.f_code):
            return [None] * len(names)
        held = frame.f_locals
        values = [held.get(name, frame.f_globals.get(name)) for name in names]
        held.clear()  # or it would keep what it holds alive as long as the function runs
        return values
    return [frame.f_locals.get(name, frame.f_globals.get(name)) for name in names]
