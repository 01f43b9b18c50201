"""Replace a callable without Python code by a proxy that behaves like it and passes its calls through a trampoline."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from functools import partial
from operator import attrgetter
from types import CellType, CodeType, FunctionType, MethodType
from typing import Any

import wrapt

from otel_keyaudit.patching.arguments import takes_object
from otel_keyaudit.patching.code_exchange import Hook, calling_code, hook_of, kind_of

PASS_THROUGH = Hook("".format)
"""The hook of a trampoline that observes nothing."""


def flattened(original: Any) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
    """Return the innermost function of a ``partial`` or method, and the arguments that are added to its calls."""
    if not callable(original):  # a descriptor whose ``__get__`` returns a callable
        return original, (), {}
    flat = original if type(original) is partial else partial(original)
    if type(flat.func) is MethodType:
        return flat.func.__func__, (flat.func.__self__, *flat.args), flat.keywords
    return flat.func, flat.args, flat.keywords


class Replacement(wrapt.CallableObjectProxy):  # type: ignore[type-arg]
    """A proxy that binds, pickles and copies like the callable that it replaces.

    Its calls pass through the Python function ``_self_function``. For a ``partial``, that function gets all arguments.
    """

    __call__: Any = property(attrgetter("_self_call"))
    """A property adds no frame to a call; a method would."""

    def __init__(self, original: Any) -> None:
        super().__init__(original)
        called, positional, keywords = flattened(original)
        shape: Any = called if type(called) is FunctionType else _any_arguments
        code = calling_code(_named_as(called, shape.__code__), kind_of(called), PASS_THROUGH)
        self._self_function = _passing_function(called, shape, code)
        self._self_call = partial(self._self_function, *positional, **keywords)
        self._self_code: CodeType | None = None
        self._self_takes_object: bool | None = None
        self._self_replaced: Any = None

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        """Return a method if the original becomes one, else a proxy for the callable that the descriptor returns."""
        original = self.__wrapped__
        bound = original.__get__(instance, owner) if hasattr(type(original), "__get__") else original
        if type(bound) is MethodType and bound.__func__ is original:
            return MethodType(self, bound.__self__)
        if bound is original:
            return self
        if instance is None and owner is not None and not callable(original):
            if self._self_takes_object is None:
                self._self_takes_object = takes_object(bound)
            return self._self_descriptor_callable(bound, None if self._self_takes_object else owner)
        return self._self_descriptor_callable(bound, instance)

    def _self_descriptor_callable(self, bound: Any, instance: object) -> Any:
        """Return a proxy for a callable from a descriptor. Observers get the instance as the first argument."""
        if not callable(bound):
            return bound
        if self._self_code is None:
            begin = Hook(partial(_begin_as, self._self_function))
            shape = _named_as(self.__wrapped__, _any_arguments.__code__)
            self._self_code = calling_code(shape, "sync", begin)
        handed_out = _DescriptorCallable(bound, instance, self._self_code)
        attributes = getattr(instance, "__dict__", None)
        if type(attributes) is dict:  # some descriptors cache the callable there, and the next access would find it
            for name in [name for name, value in attributes.copy().items() if value is bound]:
                attributes[name] = handed_out
        return handed_out

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.__wrapped__.__reduce_ex__(protocol)

    def __copy__(self) -> Any:
        return self._self_copied(copy.copy(self.__wrapped__))

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self._self_copied(copy.deepcopy(self.__wrapped__, memo))

    def _self_copied(self, made: Any) -> Any:
        return self if made is self.__wrapped__ else made

    def __repr__(self) -> str:
        return repr(self.__wrapped__)


class _DescriptorCallable(wrapt.CallableObjectProxy):  # type: ignore[type-arg]
    """A proxy for a callable that a descriptor returned."""

    __call__: Any = property(attrgetter("_self_call"))

    def __init__(self, bound: Any, instance: object, code: CodeType) -> None:
        super().__init__(bound)
        called, positional = (bound, ()) if instance is None else (partial(_without_first, bound), (instance,))
        self._self_call = partial(_passing_function(called, _any_arguments, code), *positional)
        self._self_instance = instance
        self._self_code = code

    def __reduce_ex__(self, protocol: Any) -> Any:
        bound = self.__wrapped__  # a function is pickled by its name
        return (copy.copy, (bound,)) if type(bound) is FunctionType else bound.__reduce_ex__(protocol)

    def __copy__(self) -> Any:
        return self._self_copied(copy.copy(self.__wrapped__), self._self_instance)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        bound, instance = copy.deepcopy(self.__wrapped__, memo), self._self_instance
        return self._self_copied(bound, memo.get(id(instance), instance))

    def _self_copied(self, bound: Any, instance: object) -> Any:
        return self if bound is self.__wrapped__ else _DescriptorCallable(bound, instance, self._self_code)

    def __repr__(self) -> str:
        return repr(self.__wrapped__)


def _without_first(bound: Callable[..., Any], _: object, /, *args: Any, **kwargs: Any) -> Any:
    return bound(*args, **kwargs)


def _begin_as(function: FunctionType, args: tuple[Any, ...], kwargs: dict[str, Any], original: FunctionType) -> Any:
    """Begin the observation of a call with the hook of another function."""
    hook = hook_of(function.__code__)
    return hook and hook(args, kwargs, original)


def _named_as(called: Callable[..., Any], shape: CodeType) -> CodeType:
    """Return code with the name and source line of the Python function that a callable wraps, if there is one."""
    code = getattr(inspect.unwrap(called), "__code__", None)
    if type(code) is not CodeType:
        return shape
    place: dict[str, Any] = {"co_filename": code.co_filename, "co_firstlineno": code.co_firstlineno}
    return shape.replace(co_name=code.co_name, **place)


def _passing_function(called: Callable[..., Any], shape: Any, code: CodeType) -> FunctionType:
    """Return a Python function that calls a callable and has the parameters and defaults of another function."""
    cells = (CellType(called),)
    function = FunctionType(code, shape.__globals__, shape.__name__, shape.__defaults__, cells)
    function.__kwdefaults__, function.__qualname__ = shape.__kwdefaults__, shape.__qualname__
    return function


def _any_arguments(*_: Any, **__: Any) -> None: ...
