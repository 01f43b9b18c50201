"""A plain function that returns an awaitable is observed until the awaitable ends."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import inspect
import time
import types
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import suppress
from contextvars import ContextVar
from types import CoroutineType, SimpleNamespace
from typing import Any, cast

import pytest

from support.calls.observers import observed

CURRENT: ContextVar[str] = ContextVar("current", default="outside")


async def look_up(key: str) -> str:
    """Return the key, or deny it, after a pause."""
    await asyncio.sleep(0)
    if key == "wrong":
        raise PermissionError(key)
    return key


class Own:
    """An awaitable with a class of its own."""

    def __init__(self, key: str) -> None:
        self.key = key

    def __await__(self) -> Generator[Any, Any, str]:
        return look_up(self.key).__await__()

    async def __aiter__(self) -> AsyncIterator[str]:
        yield self.key


class Query(Own):
    """A query of an ORM: methods build it, and it is run by ``await`` or by a method."""

    def limited(self) -> Query:
        """Return the query itself."""
        return self

    def other(self) -> Query:
        """Return another query."""
        return Query(self.key)

    async def run(self) -> str:
        """Run it in the event loop."""
        return await look_up(self.key)

    def run_sync(self) -> str:
        """Run it at once."""
        return asyncio.run(look_up(self.key))

    def submit(self) -> concurrent.futures.Future[str]:
        """Run it as a Future that is done."""
        future: concurrent.futures.Future[str] = concurrent.futures.Future()
        future.set_result(self.key)
        return future

    def __iter__(self) -> Iterator[str]:
        return iter([self.key])

    def __call__(self, suffix: str) -> str:
        return self.key + suffix


USES: dict[str, Callable[[Any], Any]] = {
    "await": lambda query: query,
    "limited": lambda query: query.limited(),
    "other": lambda query: query.other(),
    "both": lambda query: query.limited().other().limited(),
    "run": lambda query: query.limited().run(),
}


def plain(make: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return a plain function that returns the result of another one."""

    def verify(key: str) -> Any:
        return make(key)

    return verify


def as_future(key: str) -> asyncio.Future[str]:
    """Return a Future that the event loop completes."""
    future: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def conclude() -> None:
        if key == "wrong":
            future.set_exception(PermissionError(key))
        else:
            future.set_result(key)

    asyncio.get_running_loop().call_soon(conclude)
    return future


@types.coroutine
def generated(key: str) -> Generator[Any, Any, str]:
    """Return the key as a coroutine of ``types`` does."""
    return (yield from look_up(key).__await__())


def slowly(key: str) -> str:
    """Return the key, or deny it, after a while."""
    time.sleep(0.02)
    return asyncio.run(look_up(key))


KINDS: dict[str, Callable[[str], Awaitable[str]]] = {
    "coroutine": look_up,
    "task": lambda key: asyncio.get_running_loop().create_task(look_up(key)),
    "future": as_future,
    "executor": lambda key: asyncio.get_running_loop().run_in_executor(None, slowly, key),
    "gathered": lambda key: asyncio.shield(look_up(key)),
    "own": Own,
    "generator": generated,
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_result_of_an_awaitable_is_the_result_of_the_call(kind: str) -> None:
    """The call is concluded only when the awaitable ends."""
    module = SimpleNamespace(verify=plain(KINDS[kind]))

    async def main() -> None:
        awaitable = module.verify("k_1")
        assert observer.calls[0].results == []
        assert observer.calls[0].pauses == 1
        assert await awaitable == "k_1"

    with observed(module, "verify") as observer:
        asyncio.run(main())
    (call,) = observer.calls
    assert (call.results, call.errors, call.depth) == (["k_1"], [], 0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_exception_of_an_awaitable_is_the_exception_of_the_call(kind: str) -> None:
    """The application gets the identical exception."""
    module = SimpleNamespace(verify=plain(KINDS[kind]))

    async def main() -> None:
        with pytest.raises(PermissionError) as caught:
            await module.verify("wrong")
        assert observer.calls[0].errors == [caught.value]

    with observed(module, "verify") as observer:
        asyncio.run(main())
    (call,) = observer.calls
    assert (call.results, call.depth) == ([], 0)


@pytest.mark.parametrize("kind", ["task", "future", "coroutine", "own"])
def test_a_cancelled_awaitable_is_seen_as_cancelled(kind: str) -> None:
    """A cancellation reaches the application and is not a result."""
    module = SimpleNamespace(verify=plain(KINDS[kind]))

    async def main() -> None:
        task = asyncio.ensure_future(module.verify("k_1"))
        if kind != "future":  # which would be done by then
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0)

    with observed(module, "verify") as observer:
        asyncio.run(main())
    (call,) = observer.calls
    assert [type(error) for error in call.errors] == [asyncio.CancelledError]
    assert call.results == []


def test_a_future_is_the_very_future() -> None:
    """The event loop compares futures by identity, so a finished Future and one of an executor stay themselves."""
    futures: list[Any] = []

    def done(outcome: object) -> concurrent.futures.Future[object]:
        future: concurrent.futures.Future[object] = concurrent.futures.Future()
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
        futures.append(future)
        return future

    denied = PermissionError()
    module = SimpleNamespace(verify=done)
    with observed(module, "verify") as observer:
        assert module.verify("k_1") is futures[0]
        assert module.verify(denied) is futures[1]
    accepted, refused = observer.calls
    assert (accepted.results, accepted.errors, accepted.depth) == (["k_1"], [], 0)
    assert (refused.results, refused.errors, refused.depth) == ([], [denied], 0)


def test_a_done_future_is_concluded_at_once() -> None:
    """Awaiting a finished Future does not pause, so the call ends at once."""

    def done(key: str) -> asyncio.Future[str]:
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        future.set_result(key)
        return future

    module = SimpleNamespace(verify=done)

    async def main() -> None:
        future = module.verify("k_1")
        assert observer.calls[0].results == ["k_1"]
        assert await future == "k_1"

    with observed(module, "verify") as observer:
        asyncio.run(main())
    assert observer.calls[0].pauses == 0


def test_the_end_of_a_future_is_seen_in_the_context_of_its_call() -> None:
    """The Future may be completed in another request."""
    seen: list[str] = []
    module = SimpleNamespace(verify=lambda futures: futures[0])

    class Context(list[Any]):
        def append(self, result: Any) -> None:
            seen.append(CURRENT.get())

    async def complete(future: asyncio.Future[str]) -> None:
        CURRENT.set("other")
        future.set_result("k_1")

    async def main() -> None:
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        CURRENT.set("mine")
        module.verify([future])
        observer.calls[0].results = Context()
        task = asyncio.create_task(complete(future))
        await future
        await task

    with observed(module, "verify") as observer:
        asyncio.run(main())
    assert seen == ["mine"]


def test_an_exception_that_nobody_retrieves_is_still_reported(caplog: pytest.LogCaptureFixture) -> None:
    """Observing a Future does not count as retrieving its exception."""
    module = SimpleNamespace(verify=as_future)

    async def main() -> None:
        module.verify("wrong")
        for _ in range(3):
            await asyncio.sleep(0)
        gc.collect()

    with observed(module, "verify") as observer:
        asyncio.run(main())
    assert len(observer.calls[0].errors) == 1
    observer.calls.clear()
    gc.collect()
    assert ["never retrieved" in record.getMessage() for record in caplog.records] == [True]


def test_a_coroutine_looks_like_the_coroutine_that_it_follows() -> None:
    """Its class, name, code and state are the same for ``inspect``, ``asyncio`` and the abstract classes."""
    module = SimpleNamespace(verify=plain(look_up))
    with observed(module, "verify"):
        coroutine = module.verify("k_1")
        assert isinstance(coroutine, CoroutineType)
        assert inspect.iscoroutine(coroutine)
        assert asyncio.iscoroutine(coroutine)
        assert inspect.isawaitable(coroutine)
        assert not hasattr(type(coroutine), "__iter__")
        assert (coroutine.__name__, coroutine.cr_code) == ("look_up", look_up.__code__)
        assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED
        assert asyncio.run(coroutine) == "k_1"
        assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED
        with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
            coroutine.send(None)


def test_an_awaitable_may_be_used_more_than_once_or_otherwise() -> None:
    """The first ``await`` concludes the call; later uses, attributes and iteration are the object's own."""
    module = SimpleNamespace(verify=plain(Own))

    async def main() -> None:
        query = module.verify("k_1")
        assert isinstance(query, Own)
        assert query.key == "k_1"
        assert [key async for key in query] == ["k_1"]
        assert [await query, await query] == ["k_1", "k_1"]

    with observed(module, "verify") as observer:
        asyncio.run(main())
    assert observer.calls[0].results == ["k_1"]


@pytest.mark.parametrize("use", USES)
def test_an_awaitable_may_be_built_further_before_it_is_awaited(use: str) -> None:
    """Methods may return the object, another one or a coroutine; awaiting that concludes the call."""
    module = SimpleNamespace(verify=plain(Query))

    async def main() -> None:
        awaitable = USES[use](module.verify("k_1"))
        assert observer.calls[0].results == []
        assert await awaitable == "k_1"
        with pytest.raises(PermissionError):
            await USES[use](module.verify("wrong"))

    with observed(module, "verify") as observer:
        asyncio.run(main())
    accepted, denied = observer.calls
    assert (accepted.results, accepted.errors, accepted.depth) == (["k_1"], [], 0)
    assert (denied.results, [type(error) for error in denied.errors], denied.depth) == ([], [PermissionError], 0)


@pytest.mark.parametrize("method", ["run_sync", "submit"])
def test_a_method_that_runs_an_awaitable_concludes_the_call(method: str) -> None:
    """The call is concluded once, whatever is done with the object afterwards."""
    module = SimpleNamespace(verify=plain(Query))
    with observed(module, "verify") as observer:
        query = module.verify("k_1")
        result = getattr(query.limited(), method)()
        assert result == "k_1" if method == "run_sync" else result.result() == "k_1"
        assert query.run_sync() == "k_1"
    (call,) = observer.calls
    assert (call.results, call.errors, call.depth) == (["k_1"], [], 0)


def test_a_method_that_raises_is_the_exception_of_the_call() -> None:
    """The application gets the exception, which is the exception of the call."""
    module = SimpleNamespace(verify=plain(Query))
    with observed(module, "verify") as observer, pytest.raises(PermissionError):
        module.verify("wrong").run_sync()
    (call,) = observer.calls
    assert ([type(error) for error in call.errors], call.results, call.depth) == ([PermissionError], [], 0)


def test_a_query_that_is_changed_in_place_is_followed() -> None:
    """The query is followed even if the result of the changing method is not used."""
    module = SimpleNamespace(verify=plain(Query))

    async def main() -> None:
        query = module.verify("k_1")
        assert query.limited() is query
        assert await query == "k_1"

    with observed(module, "verify") as observer:
        asyncio.run(main())
    assert observer.calls[0].results == ["k_1"]


def test_an_awaitable_is_iterated_and_called_as_before() -> None:
    """The awaitable has the same abilities as before, and no others."""
    module = SimpleNamespace(verify=plain(Query), bare=plain(Own))
    with observed(module, "verify"), observed(module, "bare"):
        query, bare = module.verify("k_1"), module.bare("k_1")
        assert ([*query], query("!"), callable(query)) == (["k_1"], "k_1!", True)
        assert (callable(bare), hasattr(bare, "__iter__")) == (False, False)


@pytest.mark.parametrize("end", ["close", "throw", "forget"])
def test_a_coroutine_that_never_begins_ends_as_it_would(end: str) -> None:
    """It can be closed silently, raises what is thrown into it, or is warned of once, and never runs."""
    module = SimpleNamespace(verify=plain(look_up))
    with observed(module, "verify") as observer:
        coroutine = module.verify("k_1")
        if end == "close":
            coroutine.close()
        elif end == "throw":
            with pytest.raises(KeyError):
                coroutine.throw(KeyError("thrown"))
        else:
            with pytest.warns(RuntimeWarning, match="^coroutine 'look_up' was never awaited$") as warned:
                del coroutine
            assert len(warned) == 1
        coroutine = None
    assert observer.calls[0].results == []


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_left_in_a_cycle(kind: str) -> None:
    """With the collector off, the arguments of a call are freed, whether it returned or raised."""

    class Argument(str):
        __slots__ = ("__weakref__",)

    alive: list[weakref.ref[Argument]] = []
    module = SimpleNamespace(verify=plain(lambda key: KINDS[kind](str(key))))

    async def main() -> None:
        for text in ("k_1", "wrong"):
            key = Argument(text)
            alive.append(weakref.ref(key))
            with suppress(PermissionError):
                await module.verify(key)
            del key
        await asyncio.sleep(0)

    with observed(module, "verify") as observer:
        observer.keeps = False
        gc.disable()
        try:
            asyncio.run(main())
            assert [reference() for reference in alive] == [None, None]
        finally:
            gc.enable()


class AnswersToAll(type):
    """A metaclass whose classes have every attribute."""

    def __getattr__(cls, name: str) -> str:
        return name


class Refuses(type):
    """A metaclass whose classes cannot be inspected."""

    __hash__ = None  # type: ignore[assignment]

    def __getattribute__(cls, name: str) -> Any:
        raise AssertionError(f"{name} is not looked up on the class")


class NoFuture:
    """Has callbacks, but no result to wait for."""

    done = True

    def add_done_callback(self, callback: object) -> None:
        raise AssertionError("it is no Future")


class BrokenFuture(concurrent.futures.Future[str]):
    """Cannot tell whether it is done."""

    def done(self) -> bool:
        raise RuntimeError("broken")


class NoAwaitable:
    """Says that it cannot be awaited."""

    __await__ = None


class Proxy:
    """A proxy like werkzeug's ``LocalProxy``, which forwards every attribute."""

    def __init__(self, wrapped: object) -> None:
        self.wrapped = wrapped

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return type(self.wrapped)

    def __await__(self) -> Any:
        return self.wrapped.__await__()  # type: ignore[attr-defined]


class UnboundProxy(Proxy):
    """A proxy without an object, whose class cannot be read."""

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        raise RuntimeError("unbound")


RESULTS: dict[str, Callable[[], object]] = {
    "class that answers to all": AnswersToAll("Any", (), {}),
    "class that refuses": lambda: object.__new__(cast("Any", type.__new__(Refuses, "Closed", (), {}))),
    "callbacks only": NoFuture,
    "broken Future": BrokenFuture,
    "no awaitable": NoAwaitable,
    "proxy": lambda: Proxy("key"),
    "unbound proxy": lambda: UnboundProxy(None),
}


@pytest.mark.parametrize("kind", RESULTS)
def test_other_results_are_returned_as_they_are(kind: str) -> None:
    """Other results conclude the call at once, whatever their classes claim."""
    made = RESULTS[kind]()
    module = SimpleNamespace(verify=plain(lambda _: made))
    with observed(module, "verify") as observer:
        assert module.verify("k_1") is made
    (call,) = observer.calls
    assert call.results[0] is made
    assert (call.pauses, call.depth) == (0, 0)


def test_a_proxy_of_an_awaitable_is_awaited() -> None:
    """A proxy stands for an object that still runs."""
    module = SimpleNamespace(verify=plain(lambda key: Proxy(Own(key))))

    async def main() -> None:
        assert await module.verify("k_1") == "k_1"

    with observed(module, "verify") as observer:
        asyncio.run(main())
    assert observer.calls[0].results == ["k_1"]
