"""One call of a target: its arguments by name, what it returned or raised, and how sources read from it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from otel_keyaudit.errors import MissingError, UnchangeableError
from otel_keyaudit.expressions import Expression, FunctionReference, Path, member
from otel_keyaudit.functions import LazyFunction
from otel_keyaudit.request_state import current_request
from otel_keyaudit.targets import Source

Reader = Callable[["Call", Any], Any]
"""Reads a value: gets the call and the object that relative paths start from."""


class Binding:
    """Where the parameters of a function are among the arguments it gets.

    Args:
        function: The function; one that wraps another (``__wrapped__``) has the parameters of both.
        has_self: Its first argument is the object, or the class, it is a method of.
    """

    def __init__(self, function: Callable[..., Any], *, has_self: bool) -> None:
        self.has_self = has_self
        self._parameters = dict(inspect.signature(function, follow_wrapped=False).parameters)
        self.variadic = self._named(inspect.Parameter.VAR_POSITIONAL)
        self.keywords = self._named(inspect.Parameter.VAR_KEYWORD)
        if self.variadic and self.keywords:
            for name, parameter in inspect.signature(function).parameters.items():
                self._parameters.setdefault(name, parameter)
        positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        names = [name for name, parameter in self._parameters.items() if parameter.kind in positional]
        self._positions = {name: position for position, name in enumerate(names)}

    def _named(self, kind: object) -> str | None:
        return next((name for name, parameter in self._parameters.items() if parameter.kind is kind), None)

    def __contains__(self, name: str) -> bool:
        """Say whether the function has such a parameter or takes any keyword."""
        return self.keywords is not None or name in self._parameters

    def declares(self, name: str) -> bool:
        """Say whether the function has such a parameter by name."""
        return name in self._parameters

    def read(self, call: Call, name: str) -> Any:
        """Return an argument; one that was left out is its default, and ``None`` where there is no such parameter."""
        position = self._positions.get(name)
        if position is not None and position < len(call.positional):
            return call.positional[position]
        if name in call.keywords:
            return call.keywords[name]
        if name == self.variadic:
            return call.positional[len(self._positions) :]
        if name == self.keywords:
            return {key: value for key, value in call.keywords.items() if key not in self._parameters}
        parameter = self._parameters.get(name)
        return None if parameter is None or parameter.default is parameter.empty else parameter.default

    def is_left_out(self, name: str, value: Any) -> bool:
        """Say whether a value is the parameter's default, and nothing that fields could be merged into."""
        parameter = self._parameters.get(name)
        return parameter is not None and value is parameter.default and not isinstance(value, (str, bytes, Mapping))

    def write(self, call: Call, name: str, value: Any) -> None:
        """Put another argument in place of the one the caller gave, in containers of the call's own.

        Raises:
            UnchangeableError: It cannot be given, or it was left out though the function requires it.
        """
        position = self._positions.get(name, len(call.positional))
        parameter = self._parameters.get(name)
        if position < len(call.positional):
            call.positional = (*call.positional[:position], value, *call.positional[position + 1 :])
        elif name == self.variadic:
            call.positional = (*call.positional[: len(self._positions)], *value)
        elif name == self.keywords:
            declared = {key: given for key, given in call.keywords.items() if key in self._parameters}
            call.keywords = {**declared, **value}
        elif self._can_supply(parameter, name in call.keywords):
            call.keywords = {**call.keywords, name: value}
        else:
            raise UnchangeableError(f"parameter {name!r} cannot be given another value")

    def _can_supply(self, parameter: inspect.Parameter | None, is_given: bool) -> bool:
        if parameter is None:
            return self.keywords is not None
        by_keyword = parameter.kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        return by_keyword and (is_given or parameter.default is not parameter.empty)

    def by_name(self, call: Call) -> dict[str, Any]:
        """Return all arguments by parameter name, further keywords among them."""
        return {name: self.read(call, name) for name in self._parameters} | call.keywords


class Call:
    """One call of a target, as functions of the user's get it.

    Attributes:
        result: What it returned, or what a generator yielded first.
        exc: What it raised.
    """

    __slots__ = ("_binding", "exc", "keywords", "positional", "result")

    def __init__(self, binding: Binding, positional: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        self._binding = binding
        self.positional = positional
        self.keywords = keywords
        self.result: Any = None
        self.exc: BaseException | None = None

    def __repr__(self) -> str:
        """Show nothing of what was passed."""
        return "<Call>"

    @property
    def args(self) -> Mapping[str, Any]:
        """The arguments by parameter name, defaults included."""
        return self._binding.by_name(self)

    @property
    def self(self) -> Any:
        """The object or class whose method was called; ``None`` for a function."""
        return self.positional[0] if self._binding.has_self else None

    @property
    def scope(self) -> Any:
        """The ASGI scope of the request, ``None`` outside of one."""
        request = current_request()
        return None if request is None else request.scope

    def argument(self, name: str) -> Any:
        """Return one argument."""
        return self._binding.read(self, name)


_ROOTS: dict[str | None, Callable[[Call, Path, Any], Any]] = {
    None: lambda call, path, base: base,
    "args": lambda call, path, base: call.argument(path.parameter or ""),
    "return": lambda call, path, base: call.result,
    "self": lambda call, path, base: call.self,
    "exc": lambda call, path, base: call.exc,
    "scope": lambda call, path, base: call.scope,
}


def reader(source: Source, *, deferred: bool) -> Reader:
    """Return the function that reads a source.

    Args:
        source: An expression, a reference to a function, or a function.
        deferred: The package of a referenced function need not be importable yet.
    """
    if isinstance(source, FunctionReference):
        function = LazyFunction(source.text, deferred=deferred)
        return lambda call, base: function(call)
    if not isinstance(source, Expression):
        return lambda call, base: source(call)
    return _member_reader(source) or _path_reader(source)


def _path_reader(expression: Expression) -> Reader:
    if len(expression.paths) == 1 and not expression.lenient:
        (path,) = expression.paths
        start, follow = _ROOTS[path.root], path.follow
        return lambda call, base: follow(start(call, path, base))
    return lambda call, base: expression.read(lambda path: _ROOTS[path.root](call, path, base))


def _member_reader(expression: Expression) -> Reader | None:
    """Return the short way for the most frequent expression, one member of the key object."""
    (path, *others) = expression.paths
    if others or path.root is not None or path.filters or [step.kind for step in path.steps] != ["name"]:
        return None
    name = path.steps[0].operand

    def read(_: Call, base: Any) -> Any:
        try:
            return None if base is None else member(base, name)
        except MissingError:
            if expression.lenient:
                return None
            raise

    return read
