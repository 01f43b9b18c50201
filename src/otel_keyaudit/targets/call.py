"""One call of a target: its arguments by name, its result or exception, and the readers of sources."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from otel_keyaudit.errors import MissingError
from otel_keyaudit.guard.signals import expected
from otel_keyaudit.patching.arguments import Binding
from otel_keyaudit.request.context import current_request
from otel_keyaudit.targets.expressions.expression import Expression, ObjectReference, Path, Source
from otel_keyaudit.targets.expressions.steps import apply
from otel_keyaudit.targets.function_reference import LazyValue

Reader = Callable[["Call", Any], Any]
"""Reads a value. It takes the call, and the key object from which paths without a root start."""


class Call:
    """One call of a target, which functions of users take as their argument.

    Args:
        binding: The positions of the parameters.
        positional: The positional arguments of the original function.
        keywords: The keyword arguments of the original function.
        function: The function object that was called.

    Attributes:
        result: The result, or the first value that a generator yielded.
        exc: The exception.
    """

    result: Any = None
    exc: BaseException | None = None
    function: Any = None

    def __init__(
        self, binding: Binding, positional: tuple[Any, ...], keywords: dict[str, Any], function: Any = None
    ) -> None:
        self._binding = binding
        self.positional = positional
        self.keywords = keywords
        self.function = function

    def __repr__(self) -> str:
        """Return a constant, because arguments may be secret."""
        return "<Call>"

    @property
    def binding(self) -> Binding:
        """The positions of the parameters."""
        return self._binding

    @property
    def args(self) -> Mapping[str, Any]:
        """The arguments by parameter name, with defaults."""
        return self.binding.by_name(self)

    @property
    def self(self) -> Any:
        """The object or class whose method was called; ``None`` for a function."""
        return self.positional[0] if self.binding.has_self else None

    @property
    def scope(self) -> Any:
        """The ASGI scope of the request, ``None`` outside of one."""
        request = current_request()
        return None if request is None else request.scope

    def argument(self, name: str) -> Any:
        """Return one argument."""
        return self.binding.read(self, name)

    def closure(self, name: str) -> Any:
        """Return the value of a free variable of the called function.

        Raises:
            MissingError: The function has no such variable, or it has no value yet.
        """
        code, cells = getattr(self.function, "__code__", None), getattr(self.function, "__closure__", None)
        for variable, cell in zip(getattr(code, "co_freevars", ()), cells or (), strict=False):
            if variable == name:
                with expected(ValueError):  # it is empty
                    return cell.cell_contents
        raise MissingError(name, self.function)


_ROOTS: dict[str | None, Callable[[Call, Path, Any], Any]] = {
    None: lambda call, path, base: base,
    "args": lambda call, path, base: call.argument(path.name or ""),
    "closure": lambda call, path, base: call.closure(path.name or ""),
    "return": lambda call, path, base: call.result,
    "self": lambda call, path, base: call.self,
    "exc": lambda call, path, base: call.exc,
    "scope": lambda call, path, base: call.scope,
}


def reader(source: Source, *, deferred: bool, binding: Binding | None = None) -> Reader:
    """Return the function that reads a source.

    Args:
        source: An expression, a reference to an object, or a function.
        deferred: The package of a referenced object need not be importable yet.
        binding: The binding of all calls, if they share one. With it, a parameter is read faster.
    """
    if isinstance(source, ObjectReference):
        value = LazyValue(source.text, deferred=deferred)
        return lambda call, base: value.read(call)
    if not isinstance(source, Expression):
        return lambda call, base: apply(source, call)
    parameter = plain_parameter(source)
    if parameter is not None and binding is not None:
        return binding.reader(parameter)
    if len(source.paths) == 1 and not source.is_default:
        (path,) = source.paths
        start, follow = _ROOTS[path.root], path.follow
        return lambda call, base: follow(start(call, path, base))
    return lambda call, base: source.read(lambda path: _ROOTS[path.root](call, path, base))


def plain_parameter(source: Source) -> str | None:
    """Return the parameter that a source reads without steps and filters, ``None`` for any other source."""
    if not isinstance(source, Expression) or len(source.paths) > 1:
        return None
    (path,) = source.paths
    return None if path.steps or path.filters else path.parameter
