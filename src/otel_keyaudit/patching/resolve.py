"""Resolve the name of a target to the callable that is instrumented."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from types import (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    FunctionType,
    MethodDescriptorType,
    MethodType,
    WrapperDescriptorType,
)
from typing import Any

import wrapt

from otel_keyaudit.errors import WrongTargetError, hint
from otel_keyaudit.patching.arguments import Binding
from otel_keyaudit.patching.code_exchange import original_code
from otel_keyaudit.patching.definitions import LOCALS, Definition, find_definition
from otel_keyaudit.patching.events import BEFORE_INSERT, ModelEvent, has_event
from otel_keyaudit.patching.modules import MISSING, lookup
from otel_keyaudit.patching.references import Own, Place
from otel_keyaudit.patching.replacement import Replacement, flattened


@dataclass(frozen=True, eq=False)
class Found(Own):
    """The callable that the name of a target leads to.

    Attributes:
        value: The function, whose code is exchanged; or a callable without Python code, which is replaced; or an event.
        has_self: The first argument is the object or class that the function is a method of.
        receiver: Only calls for this object are observed, or for this class and those below it, because other objects
            share the code of a method.
        described: The object whose signature tells the parameters behind ``*args`` and ``**kwargs``.
        place: Where the value was found.
    """

    __slots__ = ("described", "has_self", "place", "receiver", "value")
    value: Any
    has_self: bool
    receiver: Any
    described: Any
    place: Place | None

    @property
    def function(self) -> Any:
        """The callable; that inside a static or class method."""
        return self.value.__func__ if is_method_object(self.value) else self.value

    @property
    def identity(self) -> Any:
        """The same object for all targets whose calls are the same function's, under whatever names it was found."""
        function = self.function
        if type(function) is ModelEvent:
            return function.model
        if type(function) is Definition:
            return function.code
        return function._self_function if type(function) is Replacement else function

    @property
    def free_variables(self) -> tuple[str, ...]:
        """The names of the free variables, whose values are in the ``__closure__`` of the original function."""
        function = self.function.function if type(self.function) is Definition else self.function
        return original_code(function.__code__).co_freevars if type(function) is FunctionType else ()

    def binding(self) -> Binding:
        """Return the binding of the arguments that an observer gets."""
        function = self.function
        if type(function) is ModelEvent:
            function = BEFORE_INSERT
        if type(function) is Definition:
            function = function.function
        called, *_ = flattened(function.__wrapped__ if type(function) is Replacement else function)
        return Binding(called, has_self=self.has_self, described=self.described)


def _found(
    value: Any, *, place: Place | None = None, has_self: bool = False, receiver: Any = None, described: Any = None
) -> Found:
    return Found(value, has_self, receiver, described, place)


def find(module: object, qualified_name: str) -> Found:
    """Resolve a qualified name in a module.

    Raises:
        WrongTargetError: There is no such name, or it is no function, or it serves more than the application.
    """
    factory, _, path = qualified_name.partition(LOCALS)
    if path:
        definition = find_definition(find(module, factory).function, path)
        return _found(definition, has_self=definition.is_method)
    outer, _, name = qualified_name.rpartition(".")
    owner: Any = _peeled(lookup(module, outer), None)[0] if outer else module
    if issubclass(type(owner), type):
        found = _in_class(owner, name)
    else:
        value = MISSING if owner is MISSING else getattr(owner, name, MISSING)
        if value is MISSING:
            raise WrongTargetError(_missing(module, qualified_name))
        found = _of_value(*_peeled(value, _place(owner, name)), name)
    _refuse_shared(found.function)
    return found


def _missing(module: Any, qualified_name: str) -> str:
    """Return the reason for a missing name, with the nearest existing one."""
    names: Iterable[object] = vars(module) if hasattr(module, "__dict__") else ()
    first, _, rest = qualified_name.partition(".")
    owner = vars(module).get(first) if rest and hasattr(module, "__dict__") else None
    if issubclass(type(owner), type):
        names = [f"{first}.{name}" for name in vars(owner)]
    return f"module {getattr(module, '__name__', '')!r} has no {qualified_name!r}{_hint(qualified_name, names)}"


def _hint(name: str, names: Iterable[object]) -> str:
    """Return the question whether the nearest of several names was meant; private names are for private names."""
    is_private = name.startswith("_")
    return hint(name, [one for one in names if isinstance(one, str) and one.startswith("_") == is_private])


def _place(owner: Any, name: str) -> Place | None:
    namespace = getattr(owner, "__dict__", None)
    return Place("item", namespace, name) if type(namespace) is dict and name in namespace else None


def _in_class(owner: type, name: str) -> Found:
    definer = next((cls for cls in owner.__mro__ if name in vars(cls)), None)
    if definer is None and has_event(owner, name):
        return _found(ModelEvent(owner))
    if definer is None:
        names = {name for cls in owner.__mro__ for name in vars(cls)}
        raise WrongTargetError(f"class {owner.__qualname__!r} has no {name!r}{_hint(name, names)}")
    raw, place = _peeled(vars(definer)[name], Place("class", definer, name))
    receiver = None if definer is owner else owner
    if is_method_object(raw):
        has_self = issubclass(type(raw), classmethod)
        inner, inner_place = _peeled(raw.__func__, None)
        value, place = (inner, inner_place) if type(inner) is FunctionType else (raw, place)
        return _found(value, place=place, has_self=has_self, receiver=receiver if has_self else None)
    if _binds(raw):
        return _found(raw, place=place, has_self=True, receiver=receiver)
    return _of_value(raw, place, name)


def is_method_object(value: Any) -> bool:
    """Return whether a value is a ``staticmethod`` or ``classmethod`` object."""
    return issubclass(type(value), (staticmethod, classmethod))


def _binds(value: Any) -> bool:
    """Return whether a callable becomes a method in a class, as a function does and the object of ``lru_cache``."""
    kind = type(value)
    return hasattr(kind, "__get__") and callable(value) and type(vars(kind).get("__call__")) is not FunctionType


def _of_value(value: Any, place: Place | None, name: str) -> Found:
    if issubclass(type(value), type):
        raise WrongTargetError(f"{name!r} is a class, not a function; a target may be its method, as in {name}.method")
    if type(value) is MethodType and type(method := _peeled(value.__func__, None)[0]) is FunctionType:
        return _found(method, has_self=True, receiver=value.__self__)
    if not callable(value):
        raise WrongTargetError(f"{name!r} is a {type(value).__name__}, not a function")
    call = next(vars(cls)["__call__"] for cls in type(value).__mro__ if "__call__" in vars(cls))
    if type(call) is FunctionType:
        return _found(call, has_self=True, receiver=value, described=value)
    return _found(value, place=place)


_OF_COMPILED_CLASSES = (MethodDescriptorType, ClassMethodDescriptorType, WrapperDescriptorType)


def _refuse_shared(function: Any) -> None:
    """Refuse a function that is not the application's: replaced, all of the process would call it."""
    if type(function) in _OF_COMPILED_CLASSES:
        raise WrongTargetError(f"it is {function.__qualname__}, of a compiled class, which cannot be exchanged")
    if type(function) is BuiltinFunctionType and (function.__module__ or "").split(".")[0] in sys.stdlib_module_names:
        own = f"{function.__module__}.{function.__qualname__}"
        raise WrongTargetError(f"it is Python's own {own}; name the function of the application that calls it")


def _peeled(value: Any, place: Place | None) -> tuple[Any, Place | None]:
    """Return the object inside the wrappers of other instrumentations, which stay, and where it is."""
    while issubclass(type(value), wrapt.BaseObjectProxy) and type(value) is not Replacement:
        place = Place("proxy", value)
        value = value.__wrapped__
    return value, place
