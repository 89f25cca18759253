"""The promise: what is remembered of the user's objects is kept outside of them, by identity, and no longer than they live."""

from __future__ import annotations

import gc
import weakref

import pytest
from hostile import CALLED, hostile
from hypothesis import given
from hypothesis import strategies as st

from autolog.instrument.identity import IdentityMap


class Model:
    pass


class Slotted:
    __slots__ = ("__weakref__",)


class Closed:
    __slots__ = ()


class Equal:
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize("kind", [Model, Slotted, Equal])
def test_a_value_is_found_by_the_object_itself(kind: type) -> None:
    """Not by an equal one; a later value replaces it; taken out, it is gone."""
    held: IdentityMap[str] = IdentityMap()
    one, other = kind(), kind()
    held.set(one, "a")
    assert (held.get(one), held.get(other), len(held)) == ("a", None, 1)
    held.set(one, "b")
    assert (held.pop(one), held.get(one), held.pop(one), len(held)) == ("b", None, None, 0)


def test_an_object_is_not_kept_alive_and_is_forgotten_when_it_dies() -> None:
    """Its successor at the same address is another one."""
    held: IdentityMap[int] = IdentityMap()
    dead = []
    for number in range(100):
        one = Model()
        assert held.get(one) is None
        held.set(one, number)
        dead.append(weakref.ref(one))
        del one
    gc.collect()
    assert [reference() for reference in dead] == [None] * 100
    assert len(held) == 0


@pytest.mark.parametrize("key", [Closed(), 5, "text", (1, 2), None, [1]], ids=lambda key: type(key).__name__)
def test_what_cannot_be_held_weakly_is_ignored(key: object) -> None:
    held: IdentityMap[str] = IdentityMap()
    held.set(key, "a")
    assert (held.get(key), held.pop(key), len(held)) == (None, None, 0)


def test_nothing_of_the_object_is_asked_or_changed() -> None:
    """Neither its equality nor its hash, nor an attribute."""
    one = object.__new__(hostile())
    held: IdentityMap[str] = IdentityMap()
    CALLED.clear()
    held.set(one, "a")
    assert held.get(one) == "a"
    assert held.pop(one) == "a"
    assert CALLED == []


@given(st.lists(st.tuples(st.sampled_from(["set", "pop", "die", "get"]), st.integers(0, 4)), max_size=40))
def test_it_behaves_as_a_mapping_of_living_objects(steps: list[tuple[str, int]]) -> None:
    held: IdentityMap[int] = IdentityMap()
    objects: dict[int, Model] = {}
    expected: dict[int, int] = {}
    for count, (step, place) in enumerate(steps):
        one = objects.setdefault(place, Model())
        if step == "set":
            held.set(one, count)
            expected[place] = count
        elif step == "pop":
            assert held.pop(one) == expected.pop(place, None)
        elif step == "die":
            del objects[place], one
            expected.pop(place, None)
        else:
            assert held.get(one) == expected.get(place)
        assert len(held) == len(expected)
