"""The callable that a target names: its parameters, its identity, and the calls that cannot be observed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from importlib.machinery import EXTENSION_SUFFIXES
from inspect import getattr_static
from types import FunctionType
from typing import Any

from otel_keyaudit.patching.arguments import Binding, parameters_with_object, takes_object
from otel_keyaudit.patching.code_exchange import original_code
from otel_keyaudit.patching.kinds.definitions import Definition
from otel_keyaudit.patching.kinds.events import BEFORE_INSERT, ModelEvent
from otel_keyaudit.patching.kinds.references import IgnoredHolder, Reference
from otel_keyaudit.patching.kinds.replacement import Replacement, flattened

_OF_CACHES = ("cache_info", "cache_clear", "cache_key", "cache_parameters")
"""Attributes of a function, or of a callable object, that caches its results."""

_OF_CHECKERS = frozenset({"__beartype_wrapper", "raw_function"})
"""Attributes of the function of a decorator that checks the arguments (beartype, pydantic)."""


@dataclass(frozen=True, eq=False, slots=True)
class ResolvedCallable(IgnoredHolder):
    """The callable that a target names.

    Attributes:
        value: A function, whose code is exchanged; a callable without Python code, which is replaced; or an event.
        has_self: The first argument is the object or class of the method.
        receiver: Only calls on this object, or on this class and its subclasses, are observed, because other objects
            share the code of the method.
        described: The object whose signature names the arguments in ``*args`` and ``**kwargs``.
        reference: The reference through which the value was found.
        method: The class and the name by which a method was found.
    """

    value: Any
    has_self: bool = False
    receiver: Any = None
    described: Any = None
    reference: Reference | None = None
    method: tuple[type, str] | None = None

    @property
    def function(self) -> Any:
        """The callable, without the ``staticmethod`` or ``classmethod`` object around it."""
        return self.value.__func__ if is_method_object(self.value) else self.value

    @property
    def identity(self) -> Any:
        """An object that is the same for all targets that name the same function, even under different names."""
        function = self.function
        if type(function) is ModelEvent:
            return function.model
        if type(function) is Definition:
            return function.code
        return function.__wrapped__ if type(function) is Replacement else function

    @property
    def free_variables(self) -> tuple[str, ...]:
        """The names of the free variables of the original function."""
        function = self._observed
        return original_code(function.__code__).co_freevars if type(function) is FunctionType else ()

    @property
    def returns_callables(self) -> bool:
        """Whether it is a custom descriptor, which may return a different callable for each object."""
        return self.has_self and type(getattr(type(self.function), "__get__", None)) is FunctionType

    @property
    def is_memoized(self) -> bool:
        """Whether it caches results by its arguments, which must be hashable (``lru_cache``, ``cachetools``)."""
        called = self._called()
        return any(
            getattr_static(one, name, None) is not None for one in (called, self.described) for name in _OF_CACHES
        )

    @property
    def checks_arguments(self) -> bool:
        """Whether it is a decorator's function that refuses arguments unlike their annotations (beartype, pydantic)."""
        return type(self.function) is FunctionType and not _OF_CHECKERS.isdisjoint(vars(self.function))

    @property
    def limits(self) -> list[str]:
        """Descriptions of the calls that cannot be observed, for the status of a target."""
        limits = []
        if self.returns_callables:
            limits.append("methods taken from an object before instrument() are not recorded")
        names = self.reference.holder if self.reference is not None and self.reference.kind == "item" else {}
        is_compiled = str(names.get("__file__")).endswith(tuple(EXTENSION_SUFFIXES))
        if is_compiled and type(self.function) is not FunctionType:
            limits.append("calls from inside its compiled module are not recorded")
        return limits

    def binding(self) -> Binding:
        """Return the binding for the arguments that an observer gets."""
        returned = self._returned
        if returned is None:
            return Binding(self._called(), has_self=self.has_self, described=self.described)
        return Binding(
            self._called(),
            has_self=self.has_self,
            described=_method_inside(self._observed),
            parameters=parameters_with_object(returned),
        )

    def _called(self) -> Any:
        """Return the innermost function that its calls reach."""
        called, *_ = flattened(self._observed if self._returned is None else self._returned)
        return called

    @property
    def _observed(self) -> Any:
        function = self.function
        if type(function) is ModelEvent:
            return BEFORE_INSERT
        if type(function) is Definition:
            return function.function
        return function.__wrapped__ if type(function) is Replacement else function

    @property
    def _returned(self) -> Any:
        """The callable that a descriptor, which cannot be called itself, returns for its class."""
        function = self._observed
        return None if callable(function) or self.reference is None else function.__get__(None, self.reference.holder)


def _method_inside(descriptor: Any) -> Any:
    """Return the only function that a descriptor holds, without its first parameter; ``None`` without such a one."""
    held = [one for one in list(getattr(descriptor, "__dict__", {}).values()) if type(one) is FunctionType]
    return partial(held[0], None) if len(held) == 1 and takes_object(held[0]) else None


def is_method_object(value: Any) -> bool:
    """Return whether a value is a ``staticmethod`` or ``classmethod`` object."""
    return issubclass(type(value), (staticmethod, classmethod))
