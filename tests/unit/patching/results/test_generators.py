"""Generators and coroutines behind a trampoline: abandoned, closed, never begun, decorated, of ``types.coroutine``."""

from __future__ import annotations

import asyncio
import gc
import inspect
import sys
import types
import weakref
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import suppress
from functools import wraps
from types import SimpleNamespace
from typing import Any

import pytest

from support.calls.observers import observed

LOG: list[str] = []


@pytest.fixture(autouse=True)
def _empty_log() -> None:
    LOG.clear()


def opened() -> Iterator[str]:
    """Log when it is closed."""
    try:
        yield "key"
    finally:
        LOG.append("closed")


async def verified() -> str:
    """Return at once."""
    return "key"


async def aopened() -> AsyncIterator[str]:
    """Log when it is closed, after a pause."""
    try:
        yield "key"
    finally:
        await asyncio.sleep(0)
        LOG.append("closed")


def test_an_abandoned_generator_is_closed_at_once() -> None:
    """A generator that is dropped runs its clean-up, as without the library."""
    module = SimpleNamespace(f=opened)
    with observed(module, "f") as observer:
        assert next(module.f()) == "key"
        assert LOG == ["closed"]
    assert observer.calls[0].results == ["key"]


def test_a_generator_that_never_begins_was_never_called() -> None:
    """Calling a generator function runs nothing, so nothing is observed, even if an exception is thrown into it."""
    module = SimpleNamespace(f=opened)
    with observed(module, "f") as observer:
        module.f().close()
        with pytest.raises(KeyError):
            module.f().throw(KeyError)
    assert (observer.calls, LOG) == ([], [])


def test_a_generator_may_last_until_its_end() -> None:
    """An observer of the whole call pauses at each yield, and ends with the generator's result."""

    def counted() -> Generator[int, None, str]:
        yield 1
        yield 2
        return "end"

    module = SimpleNamespace(f=counted)
    with observed(module, "f", lasts=True) as observer:
        assert list(module.f()) == [1, 2]
    (call,) = observer.calls
    assert (call.pauses, call.results, call.depth) == (2, ["end"], 0)


def test_a_generator_delegates_to_an_observed_one() -> None:
    """``yield from`` passes values, exceptions and the result through."""

    def inner() -> Generator[Any, Any, str]:
        try:
            yield 1
        except KeyError:
            yield "caught"
        return "result"

    module = SimpleNamespace(f=inner)

    def outer() -> Generator[Any, Any, None]:
        yield (yield from module.f())

    with observed(module, "f"):
        generator = outer()
        assert [next(generator), generator.throw(KeyError()), next(generator)] == [1, "caught", "result"]


@pytest.mark.skipif(sys.version_info < (3, 13), reason="close() returns nothing before Python 3.13")
def test_close_returns_the_result_of_the_generator() -> None:
    """Since Python 3.13 ``close()`` has a result."""

    def stopped() -> Generator[int, None, Any]:
        try:
            yield 1
        except GeneratorExit:
            return "result"

    module = SimpleNamespace(f=stopped)
    with observed(module, "f"):
        generator = module.f()
        next(generator)
        assert generator.close() == "result"


def test_abandoned_async_generators_are_closed_once(caplog: pytest.LogCaptureFixture) -> None:
    """The event loop knows one generator, which it closes when it is dropped and when the loop ends."""
    module = SimpleNamespace(f=aopened)
    kept = []

    async def main() -> None:
        async for _ in module.f():
            break
        gc.collect()
        await asyncio.sleep(0.01)
        assert LOG == ["closed"]
        kept.append(module.f())
        await anext(kept[0])

    with observed(module, "f"):
        asyncio.run(main())
    assert LOG == ["closed", "closed"]
    assert caplog.records == []


def test_a_cancelled_coroutine_ends_where_it_waits() -> None:
    """The cancellation reaches the function, which can clean up, and there is no result."""

    async def verify() -> str:
        try:
            await asyncio.sleep(60)
        finally:
            LOG.append("cleaned up")
        return "key"

    module = SimpleNamespace(f=verify)

    async def main() -> None:
        task = asyncio.create_task(module.f())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with observed(module, "f") as observer:
        asyncio.run(main())
    assert LOG == ["cleaned up"]
    assert observer.calls[0].results == []


def test_a_generator_based_coroutine_stays_one() -> None:
    """A function of ``types.coroutine`` can be awaited and iterated as before, and its result is seen."""

    @types.coroutine
    def pause() -> Generator[None, None, str]:
        yield
        return "key"

    module = SimpleNamespace(f=pause)
    flags = pause.__code__.co_flags

    async def main() -> Any:
        return await module.f()

    with observed(module, "f") as observer:
        assert pause.__code__.co_flags & inspect.CO_ITERABLE_COROUTINE
        assert asyncio.run(main()) == "key"
        assert list(module.f()) == [None]
    assert [call.results for call in observer.calls] == [["key"], ["key"]]
    assert pause.__code__.co_flags == flags


def decorator(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate without being a generator or a coroutine function, as many decorators do."""

    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def test_decorated_generators_and_coroutines_are_followed() -> None:
    """A decorated generator, async generator or coroutine ends with the values that it yields or returns."""

    async def main() -> Any:
        return [value async for value in module.h()]

    module = SimpleNamespace(f=decorator(verified), g=decorator(opened), h=decorator(aopened))
    with observed(module, "f") as f, observed(module, "g") as g, observed(module, "h") as h:
        assert asyncio.run(module.f()) == "key"
        assert list(module.g()) == ["key"]
        assert asyncio.run(main()) == ["key"]
    assert [observer.calls[0].results for observer in (f, g, h)] == [["key"]] * 3


def test_a_coroutine_that_never_begins_is_as_it_was() -> None:
    """A decorated coroutine has its name, can be closed silently, and is warned of once if it is forgotten."""
    module = SimpleNamespace(f=decorator(verified))
    with observed(module, "f") as observer:
        coroutine = module.f()
        assert (coroutine.__name__, coroutine.__qualname__) == ("verified", "verified")
        coroutine.close()
        del coroutine
        with pytest.warns(RuntimeWarning, match="^coroutine 'verified' was never awaited$") as warned:
            module.f()
    assert len(warned) == 1
    assert [call.results for call in observer.calls] == [[], []]


def test_a_generator_that_is_a_result_is_left_alone() -> None:
    """A plain function may return a generator from elsewhere, which stays the identical object."""
    rows = (row for row in [1, 2])
    module = SimpleNamespace(f=lambda: rows)
    with observed(module, "f") as observer:
        assert module.f() is rows
    assert observer.calls[0].results == [rows]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="new in Python 3.12")
def test_a_function_marked_as_coroutine_function_is_called_as_before() -> None:
    """A function marked by ``inspect.markcoroutinefunction`` still runs when it is called."""

    @inspect.markcoroutinefunction  # type: ignore[attr-defined, untyped-decorator, unused-ignore]
    def verify() -> Any:
        LOG.append("called")
        return asyncio.sleep(0, "key")

    module = SimpleNamespace(f=verify)
    with observed(module, "f") as observer:
        assert inspect.iscoroutinefunction(module.f)
        coroutine = module.f()
        assert LOG == ["called"]
        assert asyncio.run(coroutine) == "key"
    assert observer.calls[0].results == ["key"]


@pytest.mark.parametrize("how", ["first", "lasts", "passes"])
def test_a_generator_that_ignores_close_goes_on(how: str) -> None:
    """Python allows a generator to ignore ``close()``, and the library does too."""

    def stubborn() -> Generator[str, Any, str]:
        try:
            yield "key"
        except GeneratorExit:
            yield "not yet"
        return "end"

    module = SimpleNamespace(f=stubborn)
    with observed(module, "f", lasts=how == "lasts", passes=how == "passes"):
        generator = module.f()
        assert next(generator) == "key"
        with pytest.raises(RuntimeError, match="generator ignored GeneratorExit"):
            generator.close()
        with pytest.raises(StopIteration) as stopped:
            next(generator)
    assert stopped.value.value == "end"


@pytest.mark.parametrize("how", ["first", "lasts", "passes"])
def test_an_exception_thrown_into_a_generator_is_left_in_no_cycle(how: str) -> None:
    """With the collector off, the exception is freed when its handler ends."""

    class ThrownError(Exception):
        """Something thrown."""

    module = SimpleNamespace(f=opened)
    with observed(module, "f", lasts=how == "lasts", passes=how == "passes") as observer:
        observer.keeps = False
        gc.disable()
        try:
            generator = module.f()
            next(generator)
            error = ThrownError()
            reference = weakref.ref(error)
            with suppress(ThrownError):
                generator.throw(error)
            del error, generator
            assert reference() is None
        finally:
            gc.enable()
