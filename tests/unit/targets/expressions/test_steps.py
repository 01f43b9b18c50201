"""Steps lead from object to object without consuming, awaiting or keeping any of them."""

from __future__ import annotations

import asyncio
import gc
import inspect
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from otel_keyaudit.errors import MissingError, UnreadableError
from otel_keyaudit.targets.expressions.steps import MAX_ELEMENTS, Step, apply, follow
from support.calls.paths import read
from support.environment.garbage import garbage_after


class Key:
    """Makes iterators and coroutines, and holds some of them."""

    def __init__(self) -> None:
        self.iterator = iter(["a", "b"])
        self.coroutine = self.scopes()

    async def scopes(self) -> list[str]:
        return ["a"]

    async def many(self) -> AsyncIterator[str]:
        yield "a"

    @property
    async def name(self) -> str:
        return "n"

    @property
    def held(self) -> Any:
        return self.coroutine

    def held_coroutine(self) -> Any:
        return self.coroutine

    def held_iterator(self) -> Iterator[str]:
        return self.iterator

    def generator(self) -> Iterator[str]:
        yield from "ab"

    def mapped(self) -> Iterator[str]:
        return map(str.upper, "ab")

    def rows(self) -> Iterator[Any]:
        return iter([SimpleNamespace(id="a"), SimpleNamespace(id="b")])

    def endless(self) -> Iterator[int]:
        return itertools.count()

    def own_awaitable(self) -> Any:
        return Awaitable()


class Awaitable:
    def __await__(self) -> Any:
        return iter(())


@pytest.fixture
def key() -> Iterator[Key]:
    """A key whose own coroutine is awaited in the end."""
    key = Key()
    yield key
    assert asyncio.run(key.coroutine) == ["a"]


@pytest.mark.parametrize(
    "text", ["name", "scopes()", "name.first", "scopes()[]", "scopes()[0]", "scopes() | split", "name ?? id", "many()"]
)
def test_a_coroutine_made_by_reading_is_refused_and_closed(key: Key, text: str) -> None:
    """The coroutine is closed, so Python does not warn that it was never awaited."""
    for _ in range(100):
        with pytest.raises(UnreadableError, match="would have to be awaited"):
            read(text, key)
    gc.collect()


@pytest.mark.parametrize("text", ["coroutine", "held", "held_coroutine()", "held.first"])
def test_a_coroutine_of_the_application_is_refused_and_left_alone(key: Key, text: str) -> None:
    """The application awaits it later."""
    for _ in range(100):
        with pytest.raises(UnreadableError, match="would have to be awaited"):
            read(text, key)
    assert inspect.getcoroutinestate(key.coroutine) == inspect.CORO_CREATED


def test_other_awaitables_are_refused(key: Key) -> None:
    """Their value is not there yet, because the library does not await."""

    async def main() -> None:
        future = asyncio.get_running_loop().create_future()
        for value in (future, asyncio.ensure_future(future)):
            with pytest.raises(UnreadableError, match="would have to be awaited"):
                read("a", {"a": value})
        future.set_result(1)

    asyncio.run(main())
    with pytest.raises(UnreadableError, match="Awaitable would have to be awaited"):
        read("own_awaitable()", key)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("generator()", ["a", "b"]),
        ("generator()[]", ["a", "b"]),
        ("mapped()", ["A", "B"]),
        ("mapped()[].lower()", ["a", "b"]),
        ("rows()[].id", ["a", "b"]),
        ("generator() | strs", ["a", "b"]),
    ],
)
def test_an_iterator_that_a_method_made_for_us_is_read(key: Key, text: str, expected: list[str]) -> None:
    """Nobody else can read such an iterator."""
    assert [read(text, key) for _ in range(100)] == [expected] * 100


@pytest.mark.parametrize("text", ["iterator", "iterator[]", "held_iterator()", "held_iterator()[]", "iterator | strs"])
def test_an_iterator_of_the_application_is_not_consumed(key: Key, text: str) -> None:
    """The application's iterator is refused, even if a method returns it."""
    for _ in range(100):
        with pytest.raises(UnreadableError, match=r"can be read only once|\[\] maps over a list"):
            read(text, key)
    assert list(key.iterator) == ["a", "b"]


def test_an_endless_iterator_is_refused(key: Key) -> None:
    """Reading it to its end would hang the application."""
    with pytest.raises(UnreadableError, match=f"more than {MAX_ELEMENTS:,} elements"):
        read("endless()", key)


def test_an_attribute_of_an_iterator_is_read() -> None:
    """A file is an iterator too, and reading its name consumes nothing."""
    with Path(__file__).open(encoding="utf-8") as file:
        assert read("file.name", {"file": file}) == __file__


def test_functions_are_applied_in_the_same_way() -> None:
    """The value of a user's function is treated like any other value."""
    assert apply(len, "ab") == 2
    assert apply(iter, "ab") == ["a", "b"]
    held = iter("ab")
    with pytest.raises(UnreadableError):
        apply(lambda _: held, None)
    assert list(held) == ["a", "b"]


def test_none_ends_a_path() -> None:
    """Nothing is read from ``None``."""
    assert follow(None, (Step("call", "x"), Step("each"))) is None


class Failing:
    @property
    def name(self) -> str:
        raise AttributeError("s3cret")


def test_an_attribute_error_of_a_property_is_no_missing_attribute() -> None:
    """The attribute exists, and reading it failed."""
    with pytest.raises(AttributeError, match="s3cret") as raised:
        read("name", Failing())
    assert raised.type is AttributeError


def test_nothing_is_kept_alive_by_a_missing_attribute() -> None:
    """No exception and frame refer to each other."""

    def read_missing() -> None:
        for text in ("b", "b ?? c", "a.b", "['b']"):
            with suppress(MissingError):
                read(text, SimpleNamespace(a=5))

    assert garbage_after(read_missing, rounds=20) == []
