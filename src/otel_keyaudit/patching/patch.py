"""Finds what a target names and puts a handler around it, wherever it was already captured; takes it off exactly.

A Python function keeps its identity and gets other code (``code_exchange``). What has no Python code,
such as the object that ``lru_cache`` makes, is exchanged for a proxy in every place that holds it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from types import (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    FunctionType,
    MethodDescriptorType,
    MethodType,
    WrapperDescriptorType,
)
from typing import Any, NamedTuple, Protocol, cast

import wrapt

from otel_keyaudit.guard.guard import Guard, run_silently
from otel_keyaudit.patching.arguments import Binding
from otel_keyaudit.patching.code_exchange import duplicate, kind_of, trampoline
from otel_keyaudit.patching.modules import MISSING, lookup
from otel_keyaudit.patching.references import places_of
from otel_keyaudit.patching.replacement import Proxy, flattened
from otel_keyaudit.patching.wrappers import Handler, Observe, handler_for


class WrongTargetError(Exception):
    """Raised when a target can never fire; the text is the reason."""


class Wrap(Protocol):
    """A handler that is on."""

    function: FunctionType
    """The function whose code is exchanged."""
    unreached: int
    """How many references to the original were found that cannot be exchanged."""

    def undo(self) -> None:
        """Take it off; what others have put on stays."""


class Found(NamedTuple):
    """What a target's name leads to.

    Attributes:
        value: What is exchanged: a function keeps its identity, anything else is replaced.
        has_self: Its first argument is the object or class it is a method of.
        receiver: Only calls for this object are meant, or for this class and those below: the code of a method serves
            other objects too.
        described: What tells the parameters that ``*args`` and ``**kwargs`` stand for, if not the function itself.
        model: The SQLAlchemy model that it is an event of.
    """

    value: Any
    has_self: bool = False
    receiver: Any = None
    described: Any = None
    model: Any = None

    @property
    def function(self) -> Any:
        """What is called: of a static or class method, what is inside."""
        return self.value.__func__ if _is_method_object(self.value) else self.value

    @property
    def exchanged(self) -> Any:
        """What stands for the calls: the function whose code is exchanged, also behind a proxy of ours."""
        return self.function._self_call if type(self.function) is Proxy else self.function

    def binding(self) -> Binding:
        """Return where the parameters are among the arguments that an observer gets."""
        function = self.function
        called, *_ = flattened(function.__wrapped__ if type(function) is Proxy else function)
        return Binding(called, has_self=self.has_self, described=self.described)


def find(module: object, qualified_name: str) -> Found:
    """Return what a qualified name leads to in a module.

    Raises:
        WrongTargetError: There is no such name, or it is not a function, or one that serves more than the application.
    """
    found = _found(module, qualified_name)
    _refuse_what_is_shared(found.function)
    return found


def _found(module: object, qualified_name: str) -> Found:
    outer, _, name = qualified_name.rpartition(".")
    owner: Any = _peeled(lookup(module, outer)) if outer else module
    if issubclass(type(owner), type):
        return _in_class(owner, name)
    value = MISSING if owner is MISSING else getattr(owner, name, MISSING)
    if value is MISSING:
        raise WrongTargetError(f"module {getattr(module, '__name__', '')!r} has no {qualified_name!r}")
    return _of_value(_peeled(value), name)


def _in_class(owner: type, name: str) -> Found:
    definer = next((cls for cls in owner.__mro__ if name in vars(cls)), None)
    if definer is None and name == before_insert.__name__ and hasattr(owner, "__mapper__"):
        return Found(before_insert, model=owner)
    if definer is None:
        raise WrongTargetError(f"class {owner.__qualname__!r} has no {name!r}")
    raw = _peeled(vars(definer)[name])
    receiver = None if definer is owner else owner
    if _is_method_object(raw):
        inner = _peeled(raw.__func__)
        value = inner if type(inner) is FunctionType else raw
        return Found(value, has_self=True, receiver=receiver) if issubclass(type(raw), classmethod) else Found(value)
    if _binds(raw):
        return Found(raw, has_self=True, receiver=receiver)
    return _of_value(raw, name)


def _is_method_object(value: Any) -> bool:
    return issubclass(type(value), (staticmethod, classmethod))


def _binds(value: Any) -> bool:
    """Say whether a callable becomes a method in a class, as a function does and the object of ``lru_cache``."""
    kind = type(value)
    return hasattr(kind, "__get__") and callable(value) and type(vars(kind).get("__call__")) is not FunctionType


def _of_value(value: Any, name: str) -> Found:
    if issubclass(type(value), type):
        raise WrongTargetError(f"{name!r} is a class, not a function; a target may be its method, as in {name}.method")
    if type(value) is MethodType and type(method := _peeled(value.__func__)) is FunctionType:
        return Found(method, has_self=True, receiver=value.__self__)
    if not callable(value):
        raise WrongTargetError(f"{name!r} is a {type(value).__name__}, not a function")
    call = next(vars(cls)["__call__"] for cls in type(value).__mro__ if "__call__" in vars(cls))
    if type(call) is FunctionType and type(value) is not Proxy:
        return Found(call, has_self=True, receiver=value, described=value)
    return Found(value)


_OF_COMPILED_CLASSES = (MethodDescriptorType, ClassMethodDescriptorType, WrapperDescriptorType)


def _refuse_what_is_shared(function: Any) -> None:
    """Refuse what is no function of the application: exchanged, all of the process would call it."""
    if type(function) in _OF_COMPILED_CLASSES:
        raise WrongTargetError(f"it is {function.__qualname__}, of a compiled class, which cannot be exchanged")
    if type(function) is BuiltinFunctionType and (function.__module__ or "").split(".")[0] in sys.stdlib_module_names:
        own = f"{function.__module__}.{function.__qualname__}"
        raise WrongTargetError(f"it is Python's own {own}; name the function of the application that calls it")


def _peeled(value: Any) -> Any:
    """Return what is inside the proxies of other instrumentations: they stay on, and the function is reached below."""
    while issubclass(type(value), wrapt.BaseObjectProxy) and type(value) is not Proxy:
        value = value.__wrapped__
    return value


def wrap(found: Found, observe: Observe) -> Wrap:
    """Put a handler around what was found; from now on each call is observed."""
    if found.model is not None:
        return _Listener(found.model, _handler(observe, cast("FunctionType", before_insert)))
    if found.receiver is not None:
        observe = _only(_accepts(found.receiver), observe)
    if type(found.value) is FunctionType:
        return Exchange(found.value, partial(_handler, observe))
    return _Replacement(found, partial(_handler, observe))


def _handler(observe: Observe, original: FunctionType) -> Handler:
    return handler_for(kind_of(original), observe, original)


def _accepts(receiver: Any) -> Callable[[tuple[Any, ...]], bool]:
    if issubclass(type(receiver), type):
        return lambda args: bool(args) and any(cls is receiver for cls in _class_of(args[0]).__mro__)
    return lambda args: bool(args) and args[0] is receiver


def _class_of(value: Any) -> type:
    return value if issubclass(type(value), type) else type(value)


def _only(accepts: Callable[[tuple[Any, ...]], bool], observe: Observe) -> Observe:
    return lambda args, kwargs: observe(args, kwargs) if accepts(args) else None


_EXCHANGES: dict[FunctionType, list[Exchange]] = {}
"""What is on each function, outermost last, so that each can be taken off without the others."""


class Exchange:
    """The code of a function, exchanged.

    Args:
        function: The function.
        make_handler: Gets a function with the code that it has now, returns what stands around its calls.
    """

    unreached = 0

    def __init__(self, function: FunctionType, make_handler: Callable[[FunctionType], Handler]) -> None:
        self.function = function
        self._original = duplicate(function)
        self._code = trampoline(function, make_handler(self._original))
        function.__code__ = self._code
        _EXCHANGES.setdefault(function, []).append(self)

    def undo(self) -> None:
        """Give the function its code back, unless somebody else has changed it since."""
        exchanges = _EXCHANGES[self.function]
        position = exchanges.index(self)
        outer = exchanges[position + 1]._original if position + 1 < len(exchanges) else self.function
        if outer.__code__ is self._code:
            outer.__code__ = self._original.__code__
        del exchanges[position]
        if not exchanges:
            del _EXCHANGES[self.function]


def before_insert(mapper: Any, connection: Any, target: Any) -> None:
    """Stand for what SQLAlchemy calls before it inserts a row: a model has no method of its own that saves."""


class _Listener:
    """A handler as what a model calls before a row of it is inserted."""

    unreached = 0

    def __init__(self, model: Any, handler: Handler) -> None:
        def listen(mapper: Any, connection: Any, target: Any) -> None:
            handler((mapper, connection, target), {})

        self.function = cast("FunctionType", listen)
        self._model = model
        self._events = import_module("sqlalchemy.event")
        self._events.listen(model, before_insert.__name__, listen, propagate=True)

    def undo(self) -> None:
        """Take it off."""
        self._events.remove(self._model, before_insert.__name__, self.function)


class _Replacement:
    """A callable, exchanged for a proxy wherever the garbage collector finds it held."""

    def __init__(self, found: Found, make_handler: Callable[[FunctionType], Handler]) -> None:
        self.unreached = 0
        function = found.function
        self._proxy = function if type(function) is Proxy else self._replaced(found)
        self.function = self._proxy._self_call
        self._exchange = Exchange(self.function, make_handler)

    def undo(self) -> None:
        """Take the handler off; after the last one, put the original back wherever the proxy is by now."""
        self._exchange.undo()
        if self.function not in _EXCHANGES:
            for original, stand_in in self._proxy._self_pairs:
                for place in places_of(stand_in, besides=(self,))[0]:
                    run_silently(partial(place.put, original, expected=stand_in))

    def _replaced(self, found: Found) -> Proxy:
        """Put a proxy in the place of a callable, and of the static or class method around it."""
        function, value = found.function, found.value
        held = [places_of(function, besides=(found, value))]  # before the proxy exists, which holds the original too
        if value is not function:
            held.append(places_of(value, besides=(found,)))
        proxy = Proxy(function)
        pairs = ((function, proxy),) if value is function else ((function, proxy), (value, type(value)(proxy)))
        for (places, unreached), (original, stand_in) in zip(held, pairs, strict=True):
            put = [Guard().guarded("", partial(place.put, stand_in, expected=original)) for place in places]
            self.unreached += unreached + put.count(None)
        proxy._self_pairs = pairs
        return proxy
