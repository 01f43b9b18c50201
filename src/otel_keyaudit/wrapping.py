"""Finds what a target names and puts a handler around it, wherever it was already captured; takes it off exactly.

A Python function keeps its identity and gets other code (:mod:`otel_keyaudit.trampoline`). What has no Python code,
such as the object that ``lru_cache`` makes, is exchanged for a wrapt proxy in every place that holds it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType, MethodType
from typing import Any, Protocol

import wrapt

from otel_keyaudit.functions import MISSING, lookup
from otel_keyaudit.handlers import Observe, handler_for
from otel_keyaudit.references import places_of
from otel_keyaudit.trampoline import can_exchange, duplicate, kind_of, trampoline


class WrongTargetError(Exception):
    """Raised when a target can never fire; the text is the reason."""


class Wrap(Protocol):
    """A handler that is on."""

    unreached: int
    """How many references to the original were found that cannot be exchanged."""

    def undo(self) -> None:
        """Take it off; somebody else's wrappers stay on."""


@dataclass(frozen=True)
class Found:
    """What a target's name leads to.

    Attributes:
        function: A function whose code can be exchanged, or any other callable.
        has_self: Its first argument is the object or class it is a method of.
        accepts: Whether a call is meant, by its arguments: the code of an inherited method serves other classes too.
        place: For a callable without exchangeable code: the object and name under which it was found.
    """

    function: Any
    has_self: bool = False
    accepts: Callable[[tuple[Any, ...]], bool] | None = None
    place: tuple[Any, str] | None = None


class _Proxy(wrapt.FunctionWrapper):  # type: ignore[type-arg]
    """A proxy that pickles by name and copies as itself, as the callable it stands for does."""

    def __reduce__(self) -> str:
        return str(self.__wrapped__.__qualname__)

    def __reduce_ex__(self, protocol: Any) -> str:
        return self.__reduce__()

    def __copy__(self) -> _Proxy:
        return self

    def __deepcopy__(self, memo: object) -> _Proxy:
        return self


def find(module: object, qualified_name: str) -> Found:
    """Return what a qualified name leads to in a module.

    Raises:
        WrongTargetError: There is no such name, or it is not a function.
    """
    outer, _, name = qualified_name.rpartition(".")
    owner = lookup(module, outer) if outer else module
    if isinstance(owner, type):
        return _in_class(owner, name)
    value = MISSING if owner is MISSING else getattr(owner, name, MISSING)
    if value is MISSING:
        raise WrongTargetError(f"module {getattr(module, '__name__', '')!r} has no {qualified_name!r}")
    return _of_value(_peeled(value), owner, name)


def _in_class(owner: type, name: str) -> Found:
    definer = next((cls for cls in owner.__mro__ if name in vars(cls)), None)
    if definer is None:
        raise WrongTargetError(f"class {owner.__qualname__!r} has no {name!r}")
    raw = _peeled(vars(definer)[name])
    inherited = definer is not owner
    if isinstance(raw, staticmethod):
        return Found(_exchangeable(_peeled(raw.__func__), name))
    if isinstance(raw, classmethod):
        accepts = (lambda args: issubclass(args[0], owner)) if inherited else None
        return Found(_exchangeable(_peeled(raw.__func__), name), has_self=True, accepts=accepts)
    return Found(
        _exchangeable(raw, name),
        has_self=True,
        accepts=(lambda args: isinstance(args[0], owner)) if inherited else None,
    )


def _exchangeable(function: Any, name: str) -> FunctionType:
    if type(function) is not FunctionType or not can_exchange(function):
        raise WrongTargetError(f"{name!r} is a {type(function).__name__}, not a Python function")
    return function


def _of_value(value: Any, owner: Any, name: str) -> Found:
    if isinstance(value, type):
        raise WrongTargetError(f"{name!r} is a class, not a function; a target may be its method, as in {name}.method")
    if type(value) is FunctionType and can_exchange(value):
        return Found(value)
    if type(value) is MethodType and can_exchange(_peeled(value.__func__)):
        return Found(_peeled(value.__func__), has_self=True, accepts=lambda args: args[0] is value.__self__)
    if not callable(value):
        raise WrongTargetError(f"{name!r} is a {type(value).__name__}, not a function")
    call = next((vars(cls)["__call__"] for cls in type(value).__mro__ if "__call__" in vars(cls)), None)
    if type(call) is FunctionType and can_exchange(call) and type(value) is not _Proxy:
        return Found(call, has_self=True, accepts=lambda args: args[0] is value)
    return Found(value, place=(owner, name))


def _peeled(value: Any) -> Any:
    """Return what is inside the proxies of other instrumentations: they stay on, and the function is reached below."""
    while issubclass(type(value), wrapt.BaseObjectProxy) and type(value) is not _Proxy:
        value = value.__wrapped__
    return value


def wrap(found: Found, observe: Observe) -> Wrap:
    """Put a handler around what was found; from now on each call is observed."""
    if found.accepts is not None:
        observe = _only(found.accepts, observe)
    return _Exchange(found.function, observe) if found.place is None else _Replacement(found, observe)


def _only(accepts: Callable[[tuple[Any, ...]], bool], observe: Observe) -> Observe:
    return lambda args, kwargs: observe(args, kwargs) if accepts(args) else None


class _Exchange:
    """The code of a function, exchanged."""

    unreached = 0

    def __init__(self, function: FunctionType, observe: Observe) -> None:
        self._function = function
        self._old = function.__code__
        self._new = trampoline(function, handler_for(kind_of(function), observe, duplicate(function), native=False))
        function.__code__ = self._new

    def undo(self) -> None:
        if self._function.__code__ is self._new:
            self._function.__code__ = self._old


class _Replacement:
    """A callable, exchanged for a proxy wherever the garbage collector finds it held."""

    def __init__(self, found: Found, observe: Observe) -> None:
        original = found.function
        # Before the proxy and the handler exist, which go on holding the original.
        self._places, self.unreached = places_of(original, besides=found)
        handler = handler_for(kind_of(original), observe, original, native=True)
        self._proxy = _Proxy(original, lambda wrapped, instance, args, kwargs: handler(args, kwargs))
        for place in self._places:
            place.put(self._proxy, expected=original)

    def undo(self) -> None:
        for place in reversed(self._places):
            place.put(self._proxy.__wrapped__, expected=self._proxy)
