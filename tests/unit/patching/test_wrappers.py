"""Observed callables of each kind receive and return the same, whether a call is selected or not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator
from types import SimpleNamespace
from typing import Any

import pytest

from otel_keyaudit.patching.patch import wrap
from otel_keyaudit.patching.resolve import resolve
from support.calls.observers import Observer, Seen, observed


class PassingThrough(Observer):
    """Has no call observed."""

    def __call__(self, args: tuple[Any, ...], kwargs: dict[str, Any], original: object) -> Any:
        return None


def function(*given: object, **named: object) -> object:
    """Return the arguments."""
    return given, named


async def coroutine(*given: object, **named: object) -> object:
    """Return the arguments."""
    await asyncio.sleep(0)
    return given, named


def generator(*given: object, **named: object) -> Generator[object, str, object]:
    """Yield the arguments and then everything that is sent or thrown in; return all of it."""
    taken: list[object] = []
    value: object = (given, named)
    while len(taken) < 3:
        try:
            taken.append((yield value))
        except LookupError as error:
            taken.append(repr(error))
        value = taken[-1]
    return taken


async def async_generator(*given: object, **named: object) -> AsyncIterator[object]:
    """Yield the arguments and then everything that is sent or thrown in."""
    values: list[object] = [(given, named)]
    while len(values) < 5:
        try:
            values.append((yield values[-1]))
        except LookupError as error:  # noqa: PERF203 - each is to be caught
            values.append(repr(error))


GIVEN: tuple[Any, ...] = (1, "two")
NAMED: dict[str, Any] = {"three": 3}


@pytest.fixture(params=[Observer, PassingThrough], ids=["observed", "passed through"])
def module(request: pytest.FixtureRequest) -> Any:
    """The callables, each with an observer on it."""
    functions = SimpleNamespace(
        function=function, coroutine=coroutine, generator=generator, async_generator=async_generator
    )
    wraps = [wrap(resolve(functions, name), request.param(lasts=True)) for name in vars(functions)]
    yield functions
    for one in wraps:
        one.undo()


def test_a_function(module: Any) -> None:
    """Positional and keyword arguments and the result are the same."""
    assert module.function(*GIVEN, **NAMED) == (GIVEN, NAMED)


def test_a_coroutine(module: Any) -> None:
    """The arguments and the awaited result are the same."""
    assert asyncio.run(module.coroutine(*GIVEN, **NAMED)) == (GIVEN, NAMED)


def test_a_generator(module: Any) -> None:
    """Values and exceptions pass in and out of the generator."""
    running = module.generator(*GIVEN, **NAMED)
    assert next(running) == (GIVEN, NAMED)
    assert running.send("sent") == "sent"
    assert running.throw(LookupError("thrown")) == "LookupError('thrown')"
    with pytest.raises(StopIteration) as stopped:
        next(running)
    assert stopped.value.value == ["sent", "LookupError('thrown')", None]


def test_an_async_generator(module: Any) -> None:
    """Values and exceptions pass in and out; an async generator has no result."""

    async def use() -> list[object]:
        running = module.async_generator(*GIVEN, **NAMED)
        values = [await anext(running), await running.asend("sent"), await running.athrow(LookupError("thrown"))]
        return [*values, await anext(running), [value async for value in running]]

    assert asyncio.run(use()) == [(GIVEN, NAMED), "sent", "LookupError('thrown')", None, []]


def test_each_is_a_call_until_its_end() -> None:
    """An observer of the whole call sees each yield as a pause, and the end once."""
    functions = SimpleNamespace(generator=generator, async_generator=async_generator)

    async def use() -> None:
        async for _ in functions.async_generator():
            pass

    with observed(functions, "generator", lasts=True) as one, observed(functions, "async_generator", lasts=True) as two:
        assert len(list(functions.generator())) == 3
        asyncio.run(use())
    (first,), (second,) = one.calls, two.calls
    assert (first.pauses, first.results, first.errors, first.depth) == (3, [[None] * 3], [], 0)
    assert (second.pauses, second.results, second.errors, second.depth) == (4, [None], [], 0)


class _Incomparable(type):
    """A metaclass whose classes have no hash and cannot be compared."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(cls, other: object) -> bool:
        raise AssertionError("nobody compares")


class _Result(metaclass=_Incomparable):
    pass


def test_result_of_a_class_without_hash_is_returned() -> None:
    """Classes of results are compared by identity, because the metaclass is the application's code."""

    def give(value: object) -> object:
        return value

    functions = SimpleNamespace(give=give)
    observer, result = Observer(), _Result()
    patch = wrap(resolve(functions, "give"), observer)
    assert functions.give(result) is result
    patch.undo()
    assert [call.results for call in observer.calls] == [[result]]


class ClosedError(Exception):
    """Cannot be inspected."""

    def __getattribute__(self, name: str) -> Any:
        raise AssertionError(name)


def test_several_observers_do_not_touch_an_exception() -> None:
    """The application's exception arrives as it is, and each observer sees it."""
    error = BaseException.__new__(ClosedError)

    def fail() -> None:
        raise error

    functions = SimpleNamespace(fail=fail)
    with observed(functions, "fail") as outer, observed(functions, "fail") as inner:
        caught: list[bool] = []
        try:
            functions.fail()
        except ClosedError as arrived:
            caught.append(arrived is error)
    assert caught == [True]
    assert [[one is error for one in call.errors] for call in (*outer.calls, *inner.calls)] == [[True], [True]]


class Interrupted(Observer):
    """Is interrupted when a call is entered or left."""

    def __init__(self, method: str) -> None:
        super().__init__()
        self.method = method

    def __call__(self, args: tuple[Any, ...], kwargs: dict[str, Any], original: object) -> Any:
        """Return an observation that is interrupted."""

        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        return type("Interrupted", (Seen,), {self.method: interrupted})(args, kwargs)


@pytest.mark.parametrize("method", ["__enter__", "__exit__"])
def test_an_interrupt_of_one_observer_leaves_all_others(method: str) -> None:
    """A call that was entered is left, in whichever order the observers came."""
    functions = SimpleNamespace(function=function)
    observers = Observer(), Interrupted(method), Observer()
    patches = [wrap(resolve(functions, "function"), one) for one in observers]
    with pytest.raises(KeyboardInterrupt):
        functions.function()
    assert [call.depth for one in observers for call in one.calls] == [0] * len(observers[0].calls + observers[2].calls)
    for patch in reversed(patches):
        patch.undo()
