"""One call of a target: its arguments by name, what it returned or raised, and how sources read from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from otel_keyaudit.binding import Binding
from otel_keyaudit.errors import MissingError
from otel_keyaudit.expressions import Expression, FunctionReference, Path, member
from otel_keyaudit.functions import LazyFunction
from otel_keyaudit.guard import Faults, GuardedCall
from otel_keyaudit.request_state import current_request
from otel_keyaudit.targets import Source

Reader = Callable[["Call", Any], Any]
"""Reads a value: gets the call and the object that relative paths start from."""


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


class ObservedCall(GuardedCall):
    """A call of a target while it is observed: what is passed to the original is what the call holds by then."""

    __slots__ = ("_call",)

    def __init__(self, faults: Faults, target: str, call: Call) -> None:
        super().__init__(faults, target)
        self._call = call

    @property
    def positional(self) -> tuple[Any, ...]:
        """Positional arguments for the original."""
        return self._call.positional

    @property
    def keywords(self) -> dict[str, Any]:
        """Keyword arguments for the original."""
        return self._call.keywords


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
    return _member_reader(source) or _argument_reader(source) or _path_reader(source)


def _path_reader(expression: Expression) -> Reader:
    if len(expression.paths) == 1 and not expression.lenient:
        (path,) = expression.paths
        start, follow = _ROOTS[path.root], path.follow
        return lambda call, base: follow(start(call, path, base))
    return lambda call, base: expression.read(lambda path: _ROOTS[path.root](call, path, base))


def _argument_reader(expression: Expression) -> Reader | None:
    """Return the short way for a parameter."""
    (path, *others) = expression.paths
    if others or path.parameter is None or path.steps or path.filters:
        return None
    name = path.parameter
    return lambda call, base: call.argument(name)


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
