"""Iterate the generator of an observed call on behalf of its caller."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from types import TracebackType
from typing import Any, Protocol

from otel_keyaudit.patching.code_exchange import next_step


class Observed(Protocol):
    """The observation of a call; see ``Observation`` in ``wrappers``."""

    lasts: bool

    def returned(self, result: Any) -> Any:
        """Conclude the call."""

    def yielded(self, value: Any) -> Any:
        """Conclude the call with the first yielded value, or pause until it continues."""

    def resolved(self, result: Any) -> Any:
        """Conclude the call with the result of the Future that its caller has."""

    def raised(self, error: BaseException) -> None:
        """Conclude the call with the exception of the Future that its caller has."""

    def pause(self) -> None:
        """Leave the call without concluding it."""

    def __enter__(self) -> object: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class _Iteration:
    """Passes sent values and thrown exceptions between a generator and its caller.

    As a context manager around a ``yield``, it catches an exception that is thrown there, and the next step passes it
    on.
    """

    def __init__(self, generator: Any, observation: Observed) -> None:
        self.value: Any = None
        self.sent: Any = None
        self._generator = generator
        self._observation: Observed | None = observation
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

    def _observed(self, observation: Observed, *, more: bool) -> None:
        self.value = observation.yielded(self.value) if more else observation.returned(self.value)
        if not (more and observation.lasts):
            self._observation = None


class Relay(_Iteration):
    """The iteration of a generator. ``value`` is the last yielded value, and at the end the returned value."""

    def advance(self) -> bool:
        """Advance to the next value; return ``False`` at the end."""
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
            del thrown  # an exception in a local variable of its own frame is a reference cycle
        return True


class AsyncRelay(_Iteration):
    """The iteration of an asynchronous generator."""

    async def advance(self) -> bool:
        """Advance to the next value; return ``False`` at the end."""
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
            generator = self._generator
            self.value = await (next_step(generator, self.sent) if thrown is None else generator.athrow(thrown))
        except StopAsyncIteration:
            self.value = None
            return False
        finally:
            del thrown
        return True


def iterate(relay: Relay) -> Generator[Any, Any, Any]:
    """Yield the values of a generator to the caller of a function that returned it."""
    while relay.advance():
        with relay:
            relay.sent = yield relay.value
    return relay.value


async def iterate_async(relay: AsyncRelay) -> AsyncGenerator[Any, Any]:
    """Yield the values of an asynchronous generator to the caller of a function that returned it."""
    while await relay.advance():
        with relay:
            relay.sent = yield relay.value
