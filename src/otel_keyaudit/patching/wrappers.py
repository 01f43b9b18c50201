"""Around one call: observe, call the original exactly once outside of any guard, observe. For each kind of callable."""

from __future__ import annotations

import inspect
import sys
import weakref
from collections.abc import AsyncGenerator, Callable, Generator
from types import AsyncGeneratorType, CoroutineType, GeneratorType, TracebackType
from typing import Any, Protocol

Handler = Callable[[tuple[Any, ...], dict[str, Any]], Any]


class Moment(Protocol):
    """One observed call. It is entered around the call and sees how it ends, as a context manager does."""

    lasts: bool
    """It goes on until a generator is exhausted; else it ends with what is yielded first."""
    is_settled: bool
    """Nothing about how the call ends is worth observing any more."""

    @property
    def positional(self) -> tuple[Any, ...]:
        """Positional arguments for the original."""

    @property
    def keywords(self) -> dict[str, Any]:
        """Keyword arguments for the original."""

    def returned(self, result: Any) -> Any:
        """Take note of the result; return what the caller gets."""

    def pause(self) -> None:
        """Leave without an end: the call goes on later."""

    def __enter__(self) -> object: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


Observe = Callable[[tuple[Any, ...], dict[str, Any]], Moment | None]
"""Begins the observation of a call; ``None`` passes it through."""


def handler_for(kind: str, observe: Observe, original: Callable[..., Any]) -> Handler:
    """Return the handler for a callable.

    Args:
        kind: As ``kind_of`` says; for generators the handler returns a relay, over which a
            trampoline iterates.
        observe: Begins the observation of a call.
        original: What is called, once.
    """
    if kind in ("coroutine", "generator_coroutine"):
        return _coroutine(observe, original)
    if kind == "sync":
        return _sync(observe, original)
    return _relays(_Relay if kind == "generator" else _AsyncRelay, observe, original)


def _sync(observe: Observe, original: Callable[..., Any]) -> Handler:
    decorates_generator = _decorates_generator(original)

    def handler(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        moment = observe(args, kwargs)
        if moment is None:
            return original(*args, **kwargs)
        if moment.is_settled:
            return original(*moment.positional, **moment.keywords)
        with moment:
            result = original(*moment.positional, **moment.keywords)
            if type(result) not in _RUN_LATER or (later := _later(type(result), decorates_generator)) is None:
                return moment.returned(result)
            moment.pause()
        return later(moment, result)

    return handler


_RUN_LATER = (CoroutineType, GeneratorType, AsyncGeneratorType)


def _later(kind: type, decorates_generator: bool) -> Callable[[Moment, Any], Any] | None:
    """Return what goes on with a call whose result has yet to run, as that of many decorators does."""
    if kind is CoroutineType:
        return _when_awaited
    if decorates_generator and kind is GeneratorType:  # elsewhere a generator is a result like any other
        return lambda moment, result: _iterate(_Relay(result, moment))
    if decorates_generator and kind is AsyncGeneratorType:
        return lambda moment, result: _iterate_async(_AsyncRelay(result, moment))
    return None


def _decorates_generator(function: Callable[..., Any]) -> bool:
    inner = inspect.unwrap(function)
    return inner is not function and (inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner))


def _when_awaited(moment: Moment, result: CoroutineType[Any, Any, Any]) -> Any:
    coroutine: Any = _awaited(moment, result)
    coroutine.__name__, coroutine.__qualname__ = result.__name__, result.__qualname__
    weakref.finalize(coroutine, result.close).atexit = False  # one that never began is closed, or warned of, once
    return coroutine


async def _awaited(moment: Moment, result: CoroutineType[Any, Any, Any]) -> Any:
    with moment:
        return moment.returned(await result)


def _coroutine(observe: Observe, original: Callable[..., Any]) -> Handler:
    async def handler(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        moment = observe(args, kwargs)
        if moment is None:
            return await original(*args, **kwargs)
        if moment.is_settled:
            return await original(*moment.positional, **moment.keywords)
        with moment:
            return moment.returned(await original(*moment.positional, **moment.keywords))

    return handler


def _relays(kind: type[_Relay] | type[_AsyncRelay], observe: Observe, original: Callable[..., Any]) -> Handler:
    def handler(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        moment = observe(args, kwargs)
        if moment is None:
            return kind(original(*args, **kwargs), None)
        return kind(original(*moment.positional, **moment.keywords), None if moment.is_settled else moment)

    return handler


class _Yielding:
    """Stands between a generator and whoever iterates it: passes on what is sent and thrown, either way.

    Used as a context manager around a ``yield``, it takes what is thrown there and throws it into the generator next.
    """

    def __init__(self, generator: Any, moment: Moment | None) -> None:
        self.value: Any = None
        self.sent: Any = None
        self._generator = generator
        self._moment = moment
        self._thrown: BaseException | None = None

    def __enter__(self) -> None:
        self.sent = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        self._thrown = error
        return error is not None

    def _take_thrown(self) -> BaseException | None:
        thrown, self._thrown = self._thrown, None
        return thrown

    def _observed(self, moment: Moment, *, more: bool) -> None:
        if more and moment.lasts:
            moment.pause()
        else:
            self.value = moment.returned(self.value)
            self._moment = None


class _Relay(_Yielding):
    """For a generator; ``value`` is what it yielded, at the end what it returned."""

    def advance(self) -> bool:
        """Go on to the next value; ``False`` at the end."""
        moment = self._moment
        if moment is None:
            return self._step()
        with moment:
            more = self._step()
            self._observed(moment, more=more)
            return more

    def _step(self) -> bool:
        thrown = self._take_thrown()
        try:
            self.value = self._generator.send(self.sent) if thrown is None else self._generator.throw(thrown)
        except StopIteration as stop:
            self.value = stop.value
            return False
        return True


class _AsyncRelay(_Yielding):
    """For an asynchronous generator."""

    async def advance(self) -> bool:
        """Go on to the next value; ``False`` at the end."""
        moment = self._moment
        if moment is None:
            return await self._step()
        with moment:
            more = await self._step()
            self._observed(moment, more=more)
            return more

    async def _step(self) -> bool:
        thrown = self._take_thrown()
        try:
            self.value = await (self._send() if thrown is None else self._generator.athrow(thrown))
        except StopAsyncIteration:
            self.value = None
            return False
        return True

    def _send(self) -> Any:
        """Go on, unnoticed by the event loop: it knows the generator in front, and would close both at once."""
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(None, None)
        try:
            return self._generator.asend(self.sent)
        finally:
            sys.set_asyncgen_hooks(*hooks)


def _iterate(relay: _Relay) -> Generator[Any, Any, Any]:
    while relay.advance():
        with relay:
            relay.sent = yield relay.value
    return relay.value


async def _iterate_async(relay: _AsyncRelay) -> AsyncGenerator[Any, Any]:
    while await relay.advance():
        with relay:
            relay.sent = yield relay.value
