"""One call of a target: its arguments by name, what it returned or raised, and how sources read from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from otel_keyaudit.guard.faults import GuardedCall
from otel_keyaudit.guard.guard import run_silently
from otel_keyaudit.patching.arguments import Binding
from otel_keyaudit.patching.wrappers import Observation
from otel_keyaudit.request.context import current_request
from otel_keyaudit.targets.expression import Expression, FunctionReference, Path
from otel_keyaudit.targets.function_reference import LazyFunction
from otel_keyaudit.targets.target import Source, Target

if TYPE_CHECKING:
    from otel_keyaudit.observers.components import Runtime

Reader = Callable[["Call", Any], Any]
"""Reads a value: gets the call and the object that relative paths start from."""


class Call:
    """One call of a target, as functions of the user's get it.

    Attributes:
        positional: The positional arguments that the original gets.
        keywords: The keyword arguments that it gets.
        result: What it returned, or what a generator yielded first.
        exc: What it raised.
    """

    result: Any = None
    exc: BaseException | None = None

    def __init__(self, binding: Binding, positional: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        self._binding = binding
        self.positional = positional
        self.keywords = keywords

    def __repr__(self) -> str:
        """Show nothing of what was passed."""
        return "<Call>"

    @property
    def binding(self) -> Binding:
        """Where the parameters are among the arguments."""
        return self._binding

    @property
    def args(self) -> Mapping[str, Any]:
        """The arguments by parameter name, defaults included."""
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


class Plan:
    """A target, compiled for the function that it was found to be.

    Args:
        runtime: What its calls need.
        target: The target.
        binding: Where the function's parameters are among the arguments of a call.

    Attributes:
        when: Reads whether a call is meant; ``None`` when every one is.
        when_is_function: That is a function of the user's, which does not say what it needs.
        is_on: Calls are observed; when it is not, those that still come here pass through.
    """

    is_on = True

    def __init__(self, runtime: Runtime, target: Target, binding: Binding) -> None:
        self.faults = runtime.faults
        self.written = target.written
        self.runtime = runtime
        self.binding = binding
        when = target.sources.get("when")
        self.when = self.reader(when)
        self.when_is_function = when is not None and not isinstance(when, Expression)

    def reader(self, source: Source | None) -> Reader | None:
        """Return what reads a source from the target's calls; ``None`` for none."""
        return None if source is None else self.compiled(source)

    def compiled(self, source: Source) -> Reader:
        """Return what reads a source from the target's calls."""
        return reader(source, deferred=self.runtime.deferred, binding=self.binding)


class ObservedCall(Call, GuardedCall, Observation):
    """A call of a target while it is observed: what is passed to the original is what it holds by then."""

    def __init__(self, plan: Plan, positional: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        # not by the initialisers of both bases: this is made for each call
        self.watched: Plan = plan
        self.faults = plan.faults
        self.written = plan.written
        self.positional = positional
        self.keywords = keywords

    @property
    def binding(self) -> Binding:
        """Where the parameters are among the arguments."""
        return self.watched.binding

    def holds(self, stage: str, read: Reader, base: Any = None) -> bool:
        """Say whether what is read is truthy; what cannot be read is not, and is counted.

        Args:
            stage: As what it is counted.
            read: Reads it.
            base: What relative paths start from.
        """
        return bool(self.guarded(stage, _truth, read, self, base))

    def may_hold(self, read: Reader) -> bool:
        """Say the same after an exception: a function that cannot tell without a result counts as truthy."""
        return run_silently(_truth, read, self, None) is not False


_ROOTS: dict[str | None, Callable[[Call, Path, Any], Any]] = {
    None: lambda call, path, base: base,
    "args": lambda call, path, base: call.argument(path.parameter or ""),
    "return": lambda call, path, base: call.result,
    "self": lambda call, path, base: call.self,
    "exc": lambda call, path, base: call.exc,
    "scope": lambda call, path, base: call.scope,
}


def reader(source: Source, *, deferred: bool, binding: Binding | None = None) -> Reader:
    """Return the function that reads a source.

    Args:
        source: An expression, a reference to a function, or a function.
        deferred: The package of a referenced function need not be importable yet.
        binding: That of all calls it will read from, if they have one in common: a parameter is read faster then.
    """
    if isinstance(source, FunctionReference):
        function = LazyFunction(source.text, deferred=deferred)
        return lambda call, base: function(call)
    if not isinstance(source, Expression):
        return lambda call, base: source(call)
    path, *others = source.paths
    parameter = plain_parameter(source)
    if parameter is not None and binding is not None:
        return binding.reader(parameter)
    read = _path_reader(source)
    return MemberReader(path.steps[0].operand, read, is_all=not others) if _is_member(path) else read


def plain_parameter(source: Source) -> str | None:
    """Return the parameter whose argument a source is, ``None`` for one that is anything else."""
    if not isinstance(source, Expression) or len(source.paths) > 1:
        return None
    (path,) = source.paths
    return None if path.steps or path.filters else path.parameter


def _truth(read: Reader, call: Call, base: Any) -> bool:
    """Say whether what is read is truthy, which may raise as well as the reading."""
    return bool(read(call, base))


def _path_reader(expression: Expression) -> Reader:
    if len(expression.paths) == 1 and not expression.lenient:
        (path,) = expression.paths
        start, follow = _ROOTS[path.root], path.follow
        return lambda call, base: follow(start(call, path, base))
    return lambda call, base: expression.read(lambda path: _ROOTS[path.root](call, path, base))


def _is_member(path: Path) -> bool:
    """Say whether a path is a member of the key object and nothing more, as nearly all are."""
    return path.root is None and not path.filters and [step.kind for step in path.steps] == ["name"]


class MemberReader:
    """Reads an expression whose first alternative is a member of the key object.

    Args:
        name: The member. Where an object is no mapping and its attribute of that name is not ``None``, that is the
            value: who reads many such objects need not ask this reader.
        read: Reads the expression from any object.
        is_all: There is no other alternative.
    """

    def __init__(self, name: str, read: Reader, *, is_all: bool) -> None:
        self.name = name
        self.is_all = is_all
        self._read = read

    def __call__(self, call: Call, base: Any) -> Any:
        """Read the expression."""
        return self._read(call, base)
