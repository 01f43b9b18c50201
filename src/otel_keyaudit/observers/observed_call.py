"""A call of a target while it is observed, and the target compiled for its function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_keyaudit.guard.faults import GuardedCall
from otel_keyaudit.guard.guard import run_silently
from otel_keyaudit.patching.arguments import Binding
from otel_keyaudit.patching.wrappers import Observation
from otel_keyaudit.targets.call import Call, Reader, reader
from otel_keyaudit.targets.expression import Expression
from otel_keyaudit.targets.target import Source, Target

if TYPE_CHECKING:
    from otel_keyaudit.observers.components import Runtime


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


def _truth(read: Reader, call: Call, base: Any) -> bool:
    """Say whether what is read is truthy, which may raise as well as the reading."""
    return bool(read(call, base))
