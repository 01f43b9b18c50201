"""Places are counted and changed one by one: what holds an object otherwise by now, what cannot be changed at all."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from functools import lru_cache, partial
from types import CellType, SimpleNamespace
from typing import Any

import pytest
import wrapt

from otel_keyaudit.patching.kinds.references import Place, references_to
from otel_keyaudit.patching.patch import find
from support.observers import Observer


class Slotted:
    __slots__ = ("function",)


class Sealed(wrapt.ObjectProxy):  # type: ignore[type-arg]
    """Wraps for good."""

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(name)


def cached() -> Any:
    """Return an object without Python code."""
    return lru_cache(lambda key: f"key {key}")


def unreached(wanted: Any, besides: tuple[object, ...] = ()) -> int:
    """Return how many holders cannot be changed."""
    return references_to([wanted], besides=besides)[0].fixed


def slotted(value: object) -> Slotted:
    """Return an instance that holds something in a slot."""
    one = Slotted()
    one.function = value  # type: ignore[attr-defined]
    return one


@pytest.mark.parametrize(
    ("kind", "holder", "key", "read"),
    [
        ("item", lambda value: {"f": value}, "f", lambda one: one.get("f")),
        ("item", lambda value: [0, value], 1, lambda one: one[1]),
        ("item", lambda value: deque([value]), 0, lambda one: one[0]),
        ("element", lambda value: {value}, None, lambda one: next(iter(one))),
        ("cell", CellType, None, lambda one: one.cell_contents),
        ("slot", slotted, "function", lambda one: one.function),
        ("class", lambda value: type("One", (), {"f": value}), "f", lambda one: one.f),
        ("proxy", wrapt.ObjectProxy, None, lambda one: one.__wrapped__),
    ],
)
def test_a_place_is_changed_if_it_still_holds_what_was_found_there(
    kind: str, holder: Callable[[object], Any], key: object, read: Callable[[Any], object]
) -> None:
    """What somebody else has put there in between stays, and either way it is done."""
    wanted, other, stand_in = cached(), cached(), cached()
    untouched, changed = holder(other), holder(wanted)
    for one in (untouched, changed):
        assert Place(kind, one, key).put(stand_in, expected=wanted) is True
    assert (read(untouched), read(changed)) == (other, stand_in)


@pytest.mark.parametrize("holder", [{}, [], deque()])
def test_a_place_that_is_gone_stays_so(holder: Any) -> None:
    """A container that has become shorter is not made longer."""
    assert Place("item", holder, 0).put(cached(), expected=cached())
    assert len(holder) == 0


def test_what_cannot_be_changed_is_counted() -> None:
    """Each tuple, frozen set, partial and compiled wrapper that it is only passed to."""
    wanted = cached()
    before = unreached(wanted)
    kept: list[object] = [(wanted,), (wanted, wanted)]
    assert unreached(wanted) == before + 2
    kept += [frozenset([wanted]), partial(wanted), wrapt.FunctionWrapper(len, wanted)]
    assert unreached(wanted) == before + 5
    assert [place for place in references_to([wanted])[0].places if place.kind == "proxy"] == []


def test_what_needs_no_change_is_not_counted() -> None:
    """A key of a dict is equal to what stands for it; a method of its own, and a frame, call nothing."""

    def frame_of(one: Any) -> Any:
        return one and sys._getframe()

    wanted = cached()
    before = unreached(wanted)
    kept = [{wanted: 1}, wanted.cache_clear, frame_of(wanted)]
    assert unreached(wanted) == before
    assert unreached(wanted, besides=(wanted,)) == before
    kept.append((wanted.cache_clear, wanted))
    assert unreached(wanted) == before + 1
    kept.clear()


def test_an_instance_that_does_not_count() -> None:
    """Neither it nor its attributes."""
    wanted = cached()
    instance, other = SimpleNamespace(f=wanted), SimpleNamespace(f=wanted)
    everywhere, but_one = (len(references_to([wanted], besides=one)[0].places) for one in ((), (instance,)))
    assert everywhere - but_one == 1
    held = {id(place.holder) for place in references_to([wanted], besides=(instance,))[0].places}
    assert id(vars(instance)) not in held
    assert id(vars(other)) in held


def test_references_that_stay_are_told_by_what_was_put_on() -> None:
    """Those to the object inside a static method count beside those to the static method itself."""

    class Tokens:
        get = staticmethod(cached())

    module = SimpleNamespace(Tokens=Tokens, plain=cached())
    quiet = Observer().put_on(module, "plain")
    count = quiet.unreached
    quiet.undo()
    kept = (Tokens.get,), Sealed(Tokens.get), (vars(Tokens)["get"],)
    one = Observer().put_on(module, "Tokens.get")
    try:
        assert one.unreached - 2 * count == 3
        assert find(module, "Tokens.get").function is not kept[0][0]
    finally:
        one.undo()
    assert Tokens.get is kept[0][0]
