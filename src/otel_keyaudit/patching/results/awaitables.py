"""Follow an awaitable or a generator that an observed plain function returned, until it ends.

A synchronous decorator returns the coroutine of the function that it wraps. Other functions return a Future, a Task, a
generator, or an object with ``__await__`` such as an ORM query, which may also be run by one of its methods.
"""

from __future__ import annotations

import inspect
from asyncio import CancelledError, isfuture
from collections.abc import Callable
from contextvars import Context, copy_context
from functools import lru_cache, partial
from types import AsyncGeneratorType, CoroutineType, FunctionType, GeneratorType, MethodType
from typing import Any

import wrapt

from otel_keyaudit.guard.guard import quietly
from otel_keyaudit.patching.code_exchange import closure_values
from otel_keyaudit.patching.results.class_members import defines, has_method, is_row
from otel_keyaudit.patching.results.generators import AsyncRelay, Observed, Relay, iterate, iterate_async

_FUTURE = ("add_done_callback", "cancelled", "done", "exception", "result")
"""The methods of a Future."""


def ends_later(kind: type) -> bool:
    """Return whether a result of this class may end later than the function that returned it."""
    if type(kind) is type:  # looking up its attributes runs no code of the application
        is_generator = kind is GeneratorType or kind is AsyncGeneratorType
        return is_generator or hasattr(kind, "__await__") or hasattr(kind, "add_done_callback")
    return defines(kind, "__await__") or defines(kind, "add_done_callback")


def follow(observation: Observed, result: Any, original: Callable[..., Any] | None) -> Any:
    """Conclude a call with its result, or follow the result until it ends."""
    kind = type(result)
    is_generator = kind is GeneratorType or kind is AsyncGeneratorType
    is_awaitable = _is_awaitable(result)
    if is_generator and not is_awaitable and quietly(_is_made_inside, original, result):
        observation.pause()
        if kind is GeneratorType:
            return iterate(Relay(result, observation))
        return iterate_async(AsyncRelay(result, observation))
    if all(has_method(kind, name) for name in _FUTURE):
        return _follow_future(observation, result)
    if not is_awaitable:
        return observation.returned(result)
    observation.pause()
    return _awaitable_class(kind)(result, observation)


def _is_awaitable(result: Any) -> bool:
    """Return whether a result is awaitable. ``inspect.isawaitable`` would need a hash of the result's class.

    A proxy such as werkzeug's ``LocalProxy`` is awaitable if its object is.
    """
    kind = type(result)
    if kind is GeneratorType:
        return inspect.isawaitable(result)
    if is_row(kind):
        return False
    claimed: Any = quietly(getattr, result, "__class__") if has_method(kind, "__await__") else None
    return claimed is kind or (issubclass(type(claimed), type) and has_method(claimed, "__await__"))


def _awaitable_class(kind: type) -> type[_Awaitable]:
    if kind is CoroutineType:
        return _Coroutine
    if kind is GeneratorType:
        return _GeneratorCoroutine
    defined = frozenset(name for name in _OTHER_USES if has_method(kind, name))
    return _with_other_uses(_Coroutine if has_method(kind, "send") else _Awaitable, defined)


def _is_made_inside(original: Callable[..., Any] | None, generator: Any) -> bool:
    """Return whether the called function, or the function that it decorates, created a generator.

    Any other generator is an ordinary result.
    """
    code = generator.gi_code if type(generator) is GeneratorType else generator.ag_code
    decorated = [inside for inside in closure_values(original) if type(inside) is FunctionType]
    if original is not None:
        decorated.append(original)  # type: ignore[arg-type]
    return any(getattr(inspect.unwrap(function), "__code__", None) is code for function in decorated)


def _follow_future(observation: Observed, future: Any) -> Any:
    """Conclude a call when a Future is done. The caller gets the Future itself."""
    is_done = quietly(future.done)
    if is_done is False:
        observation.pause()
        _call_when_done(future, observation, copy_context())
        return future
    outcome = quietly(_outcome, future) if is_done else None
    if outcome is None:
        return observation.returned(future)  # an unreadable Future is an ordinary result
    result, error = outcome
    if error is None:
        observation.resolved(result)
    else:
        observation.pause()
        observation.raised(error)
    return future


def _call_when_done(future: Any, observation: Observed, context: Context) -> None:
    def done(future: Any) -> None:
        context.run(_conclude, observation, *_outcome(future))

    if isfuture(future):
        future.add_done_callback(done, context=context.copy())
    else:
        future.add_done_callback(done)


def _conclude(observation: Observed, result: Any, error: BaseException | None) -> None:
    if error is None:
        with observation:
            observation.resolved(result)
    else:
        observation.__enter__()
        observation.__exit__(type(error), error, None)


def _outcome(future: Any) -> tuple[Any, BaseException | None]:
    """Return the result and the exception of a Future that is done.

    ``exception()`` is avoided, because it marks the exception as retrieved, and asyncio would no longer warn if nobody
    retrieves it.
    """
    if future.cancelled():
        return None, CancelledError()
    error: BaseException | None = future._exception if hasattr(future, "_exception") else future.exception()
    return (future.result() if error is None else None), error


async def _awaited(observation: Observed, result: Any) -> Any:
    with observation:
        return observation.returned(await result)


class _Awaitable(wrapt.BaseObjectProxy):  # type: ignore[type-arg]
    """A proxy for an awaitable that concludes the call when it is first awaited, or by one of its methods.

    A method that returns the awaitable itself only changes it, as a builder does. The result of any other method is
    the result of the call, and is followed in turn.
    """

    def __init__(self, result: Any, observation: Observed) -> None:
        super().__init__(result)
        self._self_observation: Observed | None = observation

    def __await__(self) -> Any:
        return self._self_begun().__await__()

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.__wrapped__, name)
        is_method = type(value) is MethodType and not name.startswith("_")
        return partial(self._self_called, value) if is_method and self._self_observation is not None else value

    def _self_begun(self) -> Any:
        observation, self._self_observation = self._self_observation, None
        return self.__wrapped__ if observation is None else _awaited(observation, self.__wrapped__)

    def _self_called(self, method: MethodType, /, *args: Any, **kwargs: Any) -> Any:
        observation, self._self_observation = self._self_observation, None
        if observation is None:
            return method(*args, **kwargs)
        with observation:
            result = method(*args, **kwargs)
            if result is not self.__wrapped__:
                return follow(observation, result, None)
            observation.pause()
        self._self_observation = observation
        return self


class _Coroutine(_Awaitable):
    """A proxy for a coroutine that concludes the call when it ends. A coroutine that never starts concludes nothing."""

    def __init__(self, result: Any, observation: Observed) -> None:
        super().__init__(result, observation)
        self._self_running: Any = None

    def _self_begun(self) -> Any:
        if self._self_running is None:
            self._self_running = super()._self_begun()
        return self._self_running

    def send(self, value: Any) -> Any:
        """Resume the coroutine with a value."""
        return self._self_begun().send(value)

    def throw(self, *error: Any) -> Any:
        """Resume the coroutine with an exception. If it was not started, the exception is raised and nothing runs."""
        return (self._self_running or self.__wrapped__).throw(*error)

    def close(self) -> Any:
        """Close the coroutine."""
        return (self._self_running or self.__wrapped__).close()


class _GeneratorCoroutine(_Coroutine):
    """A proxy for a generator-based coroutine (``types.coroutine``)."""

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        return self.send(None)


_OTHER_USES = ("__aiter__", "__anext__", "__call__", "__iter__", "__next__")
"""Special methods that Python looks up in the class of an object, and that wrapt's proxy does not define."""


@lru_cache
def _with_other_uses(base: type[_Awaitable], names: frozenset[str]) -> type[_Awaitable]:
    """Return a subclass whose objects also have some special methods of the proxied object."""
    return type(base.__name__, (base,), {name: _forwarded(name) for name in names}) if names else base


def _forwarded(name: str) -> Callable[..., Any]:
    return lambda self, *args, **kwargs: getattr(self.__wrapped__, name)(*args, **kwargs)
