"""Read and replace arguments by parameter name, also those that are passed through ``*args`` and ``**kwargs``."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from inspect import Parameter
from types import FunctionType
from typing import Any, Protocol
from weakref import ref

from otel_keyaudit.errors import UnchangeableError, UnreadableError
from otel_keyaudit.guard.signals import expected
from otel_keyaudit.patching.code_exchange import bare_function, closure_values
from otel_keyaudit.patching.forwarding import forwards_arguments

_NO_EVALUATION: dict[str, Any] = {}
"""Options of ``inspect.signature`` that keep annotations as strings, because their names may exist only for type
checkers."""

if sys.version_info >= (3, 14):
    from annotationlib import Format

    _NO_EVALUATION["annotation_format"] = Format.STRING

_ANY = (Parameter("args", Parameter.VAR_POSITIONAL), Parameter("kwargs", Parameter.VAR_KEYWORD))
_OBJECT_NAMES = ("self", "cls")
_POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
_BY_KEYWORD = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)

Parameters = tuple[Parameter, ...]


class Arguments(Protocol):
    """A call with its arguments."""

    positional: tuple[Any, ...]
    keywords: dict[str, Any]


class Binding:
    """Finds arguments by parameter name, and never returns the argument of another parameter.

    A wrapper that takes ``*args`` and ``**kwargs`` passes them on to a wrapped function, whose parameters give the
    names of the arguments. These names are used only if both functions begin with the same parameters, the wrapper adds
    no argument, and the wrapped function could be called with the arguments.

    Args:
        function: The function that receives the arguments.
        has_self: The first argument is the object or class of the method.
        described: The object whose signature names the arguments in ``*args`` and ``**kwargs``, if not the function.
        parameters: The parameters, if they are not those of the function.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        has_self: bool = False,
        described: object = None,
        parameters: Parameters | None = None,
    ) -> None:
        self.has_self = has_self
        self._function = _reference(function)
        own = _own_parameters(function) if parameters is None else parameters
        self.variadic = _named(own, Parameter.VAR_POSITIONAL)
        self.keywords = _named(own, Parameter.VAR_KEYWORD)
        declared, guessed = (
            _wrapped_parameters(function, described, own) if self.variadic and self.keywords else ((), ())
        )
        wrapped = declared or guessed
        names, wrapped_names = _names(own, _POSITIONAL), _names(wrapped, _POSITIONAL)
        self._takes_any = self.keywords is not None and (
            not declared or _named(declared, Parameter.VAR_KEYWORD) is not None
        )
        self._own = {one.name: one for one in own}
        self._parameters = {**{one.name: one for one in wrapped}, **self._own}
        self._own_count = len(names)
        self._fixed_count = len(names) if parameters is None and type(function) is FunctionType else 0
        self._is_aligned = (
            bool(wrapped)
            and wrapped_names[: len(names)] == names
            and forwards_arguments(function, len(names) - (described is not None), self.variadic or "")
        )
        self._has_more = _named(wrapped, Parameter.VAR_POSITIONAL) is not None
        self._names = wrapped_names if self._is_aligned else names
        self._positions = {name: position for position, name in enumerate(self._names)}

    def __contains__(self, name: str) -> bool:
        """Return whether the function has a parameter of this name or takes any keyword."""
        return self._takes_any or name in self._parameters

    @property
    def function(self) -> Callable[..., Any] | None:
        """The function, ``None`` if it was deleted or has no weak references."""
        return self._function()

    @property
    def names(self) -> Iterable[str]:
        """The names of the parameters, including those of the function that a wrapper calls."""
        return self._parameters

    def declares(self, name: str) -> bool:
        """Return whether the function declares a parameter of this name."""
        return name in self._parameters

    def read(self, call: Arguments, name: str) -> Any:
        """Return an argument: its default if it was omitted, ``None`` if there is no such parameter.

        Raises:
            UnreadableError: The argument may be at an unknown position in ``*args``.
        """
        position = self._position(call, name)
        if position is not None:
            return call.positional[position]
        if name == self.variadic:
            return call.positional[self._own_count :]
        if name == self.keywords:
            return {key: value for key, value in call.keywords.items() if key not in self._own}
        if name in call.keywords:
            return call.keywords[name]
        parameter = self._parameters.get(name)
        return None if parameter is None or parameter.default is parameter.empty else parameter.default

    def position(self, name: str) -> int | None:
        """Return the position that a parameter has in every call, ``None`` if the position differs between calls."""
        position = self._positions.get(name, self._own_count)
        return position if position < self._fixed_count else None

    def reader(self, name: str) -> Callable[..., Any]:
        """Return a function that reads an argument of a call as :meth:`read` does, by position where that is fixed."""
        position = self.position(name)
        if position is None:
            return lambda call, _=None: self.read(call, name)

        def read(call: Arguments, _: Any = None) -> Any:
            positional = call.positional
            return positional[position] if position < len(positional) else self.read(call, name)

        return read

    def default(self, name: str) -> Any:
        """Return the default of a parameter, ``inspect.Parameter.empty`` if it has none."""
        parameter = self._parameters.get(name)
        return Parameter.empty if parameter is None else parameter.default

    def writer(self, name: str) -> Callable[[Arguments, Any], None]:
        """Return a function that replaces an argument as :meth:`write` does, by position where that is fixed."""
        position = self.position(name)
        if position is None:
            return lambda call, value: self.write(call, name, value)

        def write(call: Arguments, value: Any) -> None:
            if position < len(call.positional):
                arguments = [*call.positional]
                arguments[position] = value
                call.positional = tuple(arguments)
            else:
                self.write(call, name, value)

        return write

    def write(self, call: Arguments, name: str, value: Any) -> None:
        """Replace an argument of a call, without changing the containers that the caller passed.

        Raises:
            UnreadableError: The argument may be at an unknown position in ``*args``.
            UnchangeableError: The argument cannot be passed, or a required argument was omitted.
        """
        position = self._position(call, name)
        if position is not None:
            call.positional = (*call.positional[:position], value, *call.positional[position + 1 :])
        elif name == self.variadic:
            call.positional = (*call.positional[: self._own_count], *value)
        elif name == self.keywords:
            declared = {key: given for key, given in call.keywords.items() if key in self._own}
            call.keywords = {**declared, **value}
        elif self._can_supply(name, is_given=name in call.keywords):
            call.keywords = {**call.keywords, name: value}
        else:
            raise UnchangeableError(f"parameter {name!r} cannot be given another value")

    def by_name(self, call: Arguments) -> dict[str, Any]:
        """Return all readable arguments by parameter name, including undeclared keywords."""
        found = dict(call.keywords)
        for name in self._parameters:
            with suppress(UnreadableError):
                found[name] = self.read(call, name)
        return found

    def _position(self, call: Arguments, name: str) -> int | None:
        """Return the position of an argument, ``None`` if it is passed by keyword or omitted."""
        count = len(call.positional)
        position = self._positions.get(name, count)
        if position < self._own_count or count <= self._own_count or name in self._own or name in call.keywords:
            return position if position < count else None
        if self.keywords is None or self._fits_wrapped_function(call, is_named=name in self._positions):
            return position if position < count else None
        raise UnreadableError(
            f"parameter {name!r} may be anywhere in *{self.variadic}; name the function inside the decorator, as in "
            "'shop.audit:record.__wrapped__'"
        )

    def _fits_wrapped_function(self, call: Arguments, *, is_named: bool) -> bool:
        """Return whether the wrapped function can be called with these arguments."""
        given, rest = self._names[: len(call.positional)], self._names[len(call.positional) :]
        return (
            self._is_aligned
            and (len(call.positional) <= len(self._names) or (self._has_more and is_named))
            and call.keywords.keys().isdisjoint(given)
            and all(name in call.keywords or self._parameters[name].default is not Parameter.empty for name in rest)
        )

    def _can_supply(self, name: str, *, is_given: bool) -> bool:
        parameter = self._parameters.get(name)
        if parameter is None:
            return self._takes_any
        return parameter.kind in _BY_KEYWORD and (is_given or parameter.default is not parameter.empty)


def _reference(function: Callable[..., Any]) -> Callable[[], Callable[..., Any] | None]:
    """Return a weak reference, because a binding must not keep the functions of a reloaded module alive."""
    with expected(TypeError):
        return ref(function)
    return lambda: None


def _own_parameters(function: Callable[..., Any]) -> Parameters:
    """Return the parameters from the code object, ignoring ``__signature__`` and ``__wrapped__``."""
    if type(function) is FunctionType:
        bare = bare_function(function.__code__)
        bare.__defaults__, bare.__kwdefaults__ = function.__defaults__, function.__kwdefaults__
        return _parameters_of(bare)
    parameters = _parameters_of(function, unknown=_ANY)
    return _ANY if hasattr(function, "__code__") and not parameters else parameters  # functions of mypyc declare none


def takes_object(returned: Any) -> bool:
    """Return whether a callable that a descriptor returns for its class takes the object first, as a function does."""
    return next((one.name in _OBJECT_NAMES for one in _parameters_of(returned)), False)


def parameters_with_object(returned: Any) -> Parameters | None:
    """Return the parameters of a callable that a descriptor returns for its class, with the object as the first one.

    Returns:
        The parameters; ``None`` if the code of the callable has them all.
    """
    if not takes_object(returned):
        return (Parameter("self", Parameter.POSITIONAL_ONLY), *_parameters_of(returned, unknown=_ANY))
    is_partial = hasattr(returned, "__partialmethod__") or hasattr(returned, "_partialmethod")
    return _parameters_of(returned) if is_partial else None


def _parameters_of(function: Any, *, unknown: Parameters = ()) -> Parameters:
    with expected(TypeError, ValueError):  # compiled functions need not have a signature
        return tuple(inspect.signature(function, **_NO_EVALUATION).parameters.values())
    return unknown


def _wrapped_parameters(function: Any, described: object, own: Parameters) -> tuple[Parameters, Parameters]:
    """Return the parameters of the wrapped function: declared by the wrapper, or guessed from its closure."""
    if described is not None:
        return (), (*own[:1], *_parameters_of(described))
    if hasattr(function, "__wrapped__") or hasattr(function, "__signature__"):
        return _parameters_of(function), ()
    functions = [value for value in closure_values(function) if type(value) is FunctionType]
    return (), _parameters_of(functions[0]) if len(functions) == 1 else ()


def _named(parameters: Parameters, kind: object) -> str | None:
    return next((one.name for one in parameters if one.kind is kind), None)


def _names(parameters: Iterable[Parameter], kinds: tuple[object, ...]) -> list[str]:
    return [one.name for one in parameters if one.kind in kinds]
