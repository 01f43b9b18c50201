"""Stands for a callable without Python code, and behaves like it in all but the calls: those pass a Python function."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from types import FunctionType, MethodType
from types import coroutine as generator_coroutine
from typing import Any

import wrapt

from otel_keyaudit.patching.code_exchange import duplicate, kind_of, trampoline
from otel_keyaudit.patching.wrappers import handler_for


def flattened(original: Any) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
    """Return what a callable calls in the end, and the arguments it has already, as a ``partial`` and a method have."""
    flat = original if type(original) is partial else partial(original)
    if type(flat.func) is MethodType:
        return flat.func.__func__, (flat.func.__self__, *flat.args), flat.keywords
    return flat.func, flat.args, flat.keywords


class Proxy(wrapt.CallableObjectProxy):  # type: ignore[type-arg]
    """A proxy that binds, pickles and copies as the callable it stands for does.

    Its calls pass ``_self_call``, a function whose code can be exchanged; that of a ``partial`` gets all the arguments.
    ``_self_pairs`` are the originals and what was put in their places.
    """

    def __init__(self, original: Any) -> None:
        super().__init__(original)
        called, self._self_before, self._self_keywords = flattened(original)
        self._self_call = _pass_through(called)
        self._self_pairs: tuple[tuple[Any, Any], ...] = ()

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Call what it stands for."""
        return self._self_call(*self._self_before, *args, **{**self._self_keywords, **kwargs})

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        """Become a method where the original does."""
        original = self.__wrapped__
        bound = original.__get__(instance, owner) if hasattr(type(original), "__get__") else original
        if type(bound) is MethodType and bound.__func__ is original:
            return MethodType(self, bound.__self__)
        return self if bound is original else bound

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.__wrapped__.__reduce_ex__(protocol)

    def __copy__(self) -> Any:
        return self._copied(copy.copy(self.__wrapped__))

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self._copied(copy.deepcopy(self.__wrapped__, memo))

    def _copied(self, made: Any) -> Any:
        return self if made is self.__wrapped__ else made


def _pass_through(called: Callable[..., Any]) -> FunctionType:
    """Return a Python function of the same kind that calls something, with the parameters of a Python function."""
    kind = kind_of(called)
    function = duplicate(called if type(called) is FunctionType else _SHAPES[kind])
    function.__wrapped__ = called  # type: ignore[attr-defined]
    function.__code__ = trampoline(function, handler_for(kind, lambda args, kwargs: None, called))
    return function


def _sync(*_: Any, **__: Any) -> None: ...


async def _coroutine(*_: Any, **__: Any) -> None: ...


@generator_coroutine
def _generator_coroutine(*_: Any, **__: Any) -> Iterator[None]:
    yield


def _generator(*_: Any, **__: Any) -> Iterator[None]:
    yield


async def _async_generator(*_: Any, **__: Any) -> AsyncIterator[None]:
    yield


_SHAPES: dict[str, Any] = {
    "sync": _sync,
    "coroutine": _coroutine,
    "generator_coroutine": _generator_coroutine,
    "generator": _generator,
    "async_generator": _async_generator,
}
"""Functions whose code is exchanged for the call."""
