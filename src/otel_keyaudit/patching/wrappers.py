"""Observe one call: around the original, which is called exactly once, outside of any guard; for each kind of callable.

The trampoline (``code_exchange``) holds the sequence: begin the observation, enter it, call the original with its
arguments, conclude it. This module holds what a trampoline needs: the observation, what follows a result that goes on
later (a coroutine, Future, Task or other awaitable), and the iteration of generators.
"""

from __future__ import annotations

import copy
import inspect
import sys
from asyncio import CancelledError, isfuture
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import ExitStack
from contextvars import Context, copy_context
from types import AsyncGeneratorType, FunctionType, GeneratorType, TracebackType
from typing import Any

import wrapt

from otel_keyaudit.patching.code_exchange import closure_values


class Observation:
    """One observed call. It is entered around the call, as a context manager, and again whenever the call goes on.

    Attributes:
        positional: Positional arguments that the original is called with.
        keywords: Keyword arguments that the original is called with.
        lasts: The call goes on until a generator is exhausted; else it is concluded with the first yielded value.
    """

    positional: tuple[Any, ...]
    keywords: dict[str, Any]
    lasts: bool = False

    def called(self, result: Any, original: Callable[..., Any] | None = None) -> Any:
        """Conclude the call of a plain function, or follow its result until that ends.

        Args:
            result: What the function returned.
            original: The function.

        Returns:
            The result for the caller.
        """
        kind = type(result)
        if hasattr(kind, "__await__") or hasattr(kind, "add_done_callback") or kind in _GENERATORS:
            return _follow(self, result, original)
        return self.returned(result)

    def returned(self, result: Any) -> Any:
        """Conclude the call; return the result for the caller."""
        return result

    def pause(self) -> None:
        """Leave without an end: the call goes on later."""

    def yielded(self, value: Any) -> Any:
        """Conclude the call with the first value that a generator yields, or leave until it goes on."""
        if not self.lasts:
            return self.returned(value)
        self.pause()
        return value

    def generator(self, generator: Any) -> Relay:
        """Return the iteration of a generator."""
        return Relay(generator, self)

    def async_generator(self, generator: Any) -> AsyncRelay:
        """Return the iteration of an asynchronous generator."""
        return AsyncRelay(generator, self)

    def __enter__(self) -> object: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


Observe = Callable[[tuple[Any, ...], dict[str, Any], FunctionType], "Observation | None"]
"""Begins the observation of a call. It gets the positional arguments, the keyword arguments and the original function,
whose ``__closure__`` can be read. For ``None``, the call passes through."""


class Several(Observation):
    """Observations of one call by several observers, outermost first."""

    def __init__(self, observations: Sequence[Observation]) -> None:
        self._observations = observations
        self._entered = ExitStack()
        self.positional, self.keywords = observations[-1].positional, observations[-1].keywords
        self.lasts = any(one.lasts for one in observations)

    def returned(self, result: Any) -> Any:
        """Conclude the call, innermost first."""
        for one in reversed(self._observations):
            result = one.returned(result)
        return result

    def yielded(self, value: Any) -> Any:
        """Conclude the call for those that do not last."""
        for one in reversed(self._observations):
            value = one.yielded(value)
        self._observations = [one for one in self._observations if one.lasts]
        return value

    def pause(self) -> None:
        """Leave without an end."""
        for one in self._observations:
            one.pause()

    def __enter__(self) -> None:
        with ExitStack() as stack:
            for one in self._observations:
                stack.enter_context(one)
            self._entered = stack.pop_all()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._entered.__exit__(kind, error, traceback)


# Results that go on later.

_GENERATORS = frozenset((GeneratorType, AsyncGeneratorType))


def _follow(observation: Observation, result: Any, original: Callable[..., Any] | None) -> Any:
    """Conclude a call with its result, or follow the result until that ends."""
    kind = type(result)
    if kind in _GENERATORS and _is_made_inside(original, result):
        observation.pause()
        if kind is GeneratorType:
            return _iterate(observation.generator(result))
        return _iterate_async(observation.async_generator(result))
    if hasattr(kind, "add_done_callback"):
        return _follow_future(observation, result)
    if not inspect.isawaitable(result):
        return observation.returned(result)
    observation.pause()
    return _awaitable_class(kind)(result, observation)


def _awaitable_class(kind: type) -> type[_Awaitable]:
    if kind is GeneratorType:
        return _GeneratorCoroutine
    if hasattr(kind, "send"):
        return _Coroutine
    return _IterableAwaitable if hasattr(kind, "__aiter__") else _Awaitable


def _is_made_inside(original: Callable[..., Any] | None, generator: Any) -> bool:
    """Return whether a decorator returns the generator of the function that it decorates.

    Any other generator is a result like any other.
    """
    code = generator.gi_code if type(generator) is GeneratorType else generator.ag_code
    decorated = [inside for inside in closure_values(original) if type(inside) is FunctionType]
    if original is not None:
        decorated.append(original)  # type: ignore[arg-type]
    return any(getattr(inspect.unwrap(function), "__code__", None) is code for function in decorated)


def _follow_future(observation: Observation, future: Any) -> Any:
    """Conclude a call when a Future is done; the caller gets the very Future."""
    if not future.done():
        observation.pause()
        _call_when_done(future, observation, copy_context())
        return future
    error = _error_of(future)
    if error is None:
        observation.returned(future.result())
        return future
    # The observation is entered and sees no exception, because the caller gets that from the Future: a second one does.
    failed = copy.copy(observation)
    observation.pause()
    _conclude(failed, error, future)
    return future


def _call_when_done(future: Any, observation: Observation, context: Context) -> None:
    def done(future: Any) -> None:
        context.run(_conclude, observation, _error_of(future), future)

    if isfuture(future):
        future.add_done_callback(done, context=context.copy())
    else:
        future.add_done_callback(done)


def _conclude(observation: Observation, error: BaseException | None, future: Any) -> None:
    if error is None:
        with observation:
            observation.returned(future.result())
    else:
        observation.__enter__()
        observation.__exit__(type(error), error, None)


def _error_of(future: Any) -> BaseException | None:
    """Return the exception of a Future that is done.

    ``exception()`` would count as retrieving it, and the event loop would no longer warn of one that nobody retrieves.
    """
    if future.cancelled():
        return CancelledError()
    error: BaseException | None = future._exception if hasattr(future, "_exception") else future.exception()
    return error


async def _awaited(observation: Observation, result: Any) -> Any:
    with observation:
        return observation.returned(await result)


class _Awaitable(wrapt.BaseObjectProxy):  # type: ignore[type-arg]
    """An awaitable that concludes the call when it is awaited for the first time."""

    def __init__(self, result: Any, observation: Observation) -> None:
        super().__init__(result)
        self._self_observation: Observation | None = observation

    def __await__(self) -> Any:
        return self._self_begun().__await__()

    def _self_begun(self) -> Any:
        observation, self._self_observation = self._self_observation, None
        return self.__wrapped__ if observation is None else _awaited(observation, self.__wrapped__)


class _Coroutine(_Awaitable):
    """A coroutine that concludes the call when it ends. Until it is begun, all of it is the original's."""

    def __init__(self, result: Any, observation: Observation) -> None:
        super().__init__(result, observation)
        self._self_running: Any = None

    def _self_begun(self) -> Any:
        if self._self_running is None:
            self._self_running = super()._self_begun()
        return self._self_running

    def send(self, value: Any) -> Any:
        """Go on."""
        return self._self_begun().send(value)

    def throw(self, *error: Any) -> Any:
        """Go on with an exception; thrown into a coroutine that has not begun, it is raised and runs nothing."""
        return (self._self_running or self.__wrapped__).throw(*error)

    def close(self) -> Any:
        """End."""
        return (self._self_running or self.__wrapped__).close()


class _GeneratorCoroutine(_Coroutine):
    """A coroutine that a function of ``types.coroutine`` made."""

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        return self.send(None)


class _IterableAwaitable(_Awaitable):
    """An awaitable that can be iterated instead, such as the query of an ORM."""

    def __aiter__(self) -> Any:
        return self.__wrapped__.__aiter__()


# The iteration of generators.


class _Iteration:
    """Passes on what is sent and thrown between a generator and its caller.

    Used as a context manager around a ``yield``, it takes an exception that is thrown there, for the next step.
    """

    def __init__(self, generator: Any, observation: Observation) -> None:
        self.value: Any = None
        self.sent: Any = None
        self._generator = generator
        self._observation: Observation | None = observation
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

    def _observed(self, observation: Observation, *, more: bool) -> None:
        self.value = observation.yielded(self.value) if more else observation.returned(self.value)
        if not (more and observation.lasts):
            self._observation = None


class Relay(_Iteration):
    """The iteration of a generator; ``value`` is what it yielded, at the end what it returned."""

    def advance(self) -> bool:
        """Go on to the next value; return ``False`` at the end."""
        observation = self._observation
        if observation is None:
            return self._step()
        with observation:
            more = self._step()
            self._observed(observation, more=more)
            return more

    def _step(self) -> bool:
        thrown = self._take_thrown()
        try:
            self.value = self._generator.send(self.sent) if thrown is None else self._generator.throw(thrown)
        except StopIteration as stop:
            self.value = stop.value
            return False
        finally:
            del thrown  # a frame that keeps its exception is a reference cycle
        return True


class AsyncRelay(_Iteration):
    """The iteration of an asynchronous generator."""

    async def advance(self) -> bool:
        """Go on to the next value; return ``False`` at the end."""
        observation = self._observation
        if observation is None:
            return await self._step()
        with observation:
            more = await self._step()
            self._observed(observation, more=more)
            return more

    async def _step(self) -> bool:
        thrown = self._take_thrown()
        try:
            self.value = await (self._send() if thrown is None else self._generator.athrow(thrown))
        except StopAsyncIteration:
            self.value = None
            return False
        finally:
            del thrown
        return True

    def _send(self) -> Any:
        """Go on, unnoticed by the event loop, as ``first_step`` in ``code_exchange``."""
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(None, None)
        try:
            return self._generator.asend(self.sent)
        finally:
            sys.set_asyncgen_hooks(*hooks)


def _iterate(relay: Relay) -> Generator[Any, Any, Any]:
    while relay.advance():
        with relay:
            relay.sent = yield relay.value
    return relay.value


async def _iterate_async(relay: AsyncRelay) -> AsyncGenerator[Any, Any]:
    while await relay.advance():
        with relay:
            relay.sent = yield relay.value
