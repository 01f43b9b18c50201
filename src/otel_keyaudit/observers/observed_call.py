"""The base classes of all observers: a target that is compiled for its function, and one observed call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import FunctionType, TracebackType
from typing import Any

from otel_keyaudit.guard.collection import ResetToken, Variable
from otel_keyaudit.guard.faults import Faults, GuardedCall
from otel_keyaudit.guard.guard import Step, quietly
from otel_keyaudit.guard.metrics import Count, Tally
from otel_keyaudit.names import STAGES
from otel_keyaudit.observers.components import Components
from otel_keyaudit.patching.arguments import Binding
from otel_keyaudit.patching.wrappers import Observation, Observe
from otel_keyaudit.targets.base_target import Target
from otel_keyaudit.targets.call import Call, Reader, reader
from otel_keyaudit.targets.expressions.expression import Expression, Source
from otel_keyaudit.targets.key_objects.key_source import KeySource

AFTER_THE_CALL = frozenset({"return", "exc"})
"""The roots of expressions that can be read only after the call."""


class CompiledTarget:
    """A target, compiled for its function.

    Args:
        components: The components that its calls need.
        target: The target.
        binding: Finds the function's arguments by name.

    Attributes:
        is_on: Calls are observed.
        when: Reads the condition ``when``; ``None`` without one.
        when_needs_end: The condition needs the result or the exception.
        when_needs_key: The condition needs the key object.
        late_when: Reads a condition that needs the end of the call or the key object; ``None`` without one.
        calls: Number of observed calls.
        excluded: Number of calls that ``when`` excluded.
        failures: Counts failures by field or class of error.
        last_member: The last member that a row received, for ``doctor``.
        problem: The reason why the target is wrong, ``None`` if it is not.
    """

    is_on = True
    problem: str | None = None
    last_member: Any = None

    def __init__(self, components: Components, target: Target, binding: Binding) -> None:
        self.components = components
        self.target = target
        self.binding = binding
        self.faults: Faults = components.faults
        self.target_string = target.target_string
        self.calls = Count()
        self.excluded = Count()
        self.failures = Tally("name")
        source = target.sources.get("when")
        self.when = self.reader(source)
        self.when_is_function = source is not None and not isinstance(source, Expression)
        self.when_needs_end = self.needs_end(source)
        self.when_needs_key = isinstance(source, Expression) and None in source.roots
        self.late_when = self.when if self.when_needs_end or self.when_needs_key else None

    @property
    def outcomes(self) -> dict[str, int]:
        """Number of calls by outcome."""
        raise NotImplementedError

    @property
    def unreadable(self) -> dict[str, int]:
        """Number of failures by field or class of error, for ``doctor``."""
        return self.failures.by_name()

    def observer(self) -> Observe:
        """Return the function that starts the observation of a call."""
        raise NotImplementedError

    def observer_of_excluded(self) -> Observe | None:
        """Return the function that starts the observation of a call that an earlier target may exclude at the end.

        Returns:
            The function; ``None`` if the target changes the arguments, which is too late at the end.
        """
        return self.observer()

    def observing(self, kind: type[ObservedCall], steps: Sequence[Step] = ()) -> Observe:
        """Return the function that starts the observation of a call, unless the condition excludes the call.

        Args:
            kind: The class of the observed calls.
            steps: The steps before the call.
        """
        when = None if self.late_when is not None else self.when

        def observe(
            positional: tuple[Any, ...], keywords: dict[str, Any], function: FunctionType
        ) -> ObservedCall | None:
            if not self.is_on:
                return None
            call = kind(self, positional, keywords, function)
            if when is not None and not call.holds("when", when):
                self.excluded.increment()
                return None
            if steps:
                call.run(steps)
            return call

        return observe

    def close(self) -> None:
        """Stop observing calls. References that could not be restored then call the original function only."""
        self.is_on = False

    def source(self, name: str) -> Source | None:
        """Return the configured source of a field, ``None`` without one."""
        return self.target.sources.get(name)

    def reader(self, source: Source | None) -> Reader | None:
        """Compile a source to a reader, ``None`` without a source."""
        return None if source is None else self.compiled(source)

    def compiled(self, source: Source) -> Reader:
        """Compile a source to a reader."""
        return reader(source, deferred=self.components.deferred, binding=self.binding)

    def source_of_keys(self, sources: Mapping[str, Source], prefix: str = "") -> KeySource:
        """Return the reader of key objects.

        Args:
            sources: The source of each field, with defaults.
            prefix: Prefix of these fields in the target string.
        """
        return KeySource(
            sources,
            [name for name in sources if f"{prefix}{name}" in self.target.sources],
            self.components.key_types,
            deferred=self.components.deferred,
            target=self.target_string,
        )

    def needs_end(self, source: Source | None) -> bool:
        """Return whether a source must be read after the call. A function may need the result, so it must."""
        if source is None:
            return False
        return not source.roots.isdisjoint(AFTER_THE_CALL) if isinstance(source, Expression) else True


class ObservedCall(Call, Observation, GuardedCall):
    """One observed call of a target. Observers may change the arguments that the original function receives.

    Attributes:
        stage: The stage in which the call reads its condition, its event and keys.
        alternatives: The next targets of the kind on the function. They observe the call if this one excludes it.
    """

    stage: str
    alternatives: tuple[Any, ...] = ()

    def __init__(
        self, target: Any, positional: tuple[Any, ...], keywords: dict[str, Any], function: FunctionType | None = None
    ) -> None:
        # The initializers of the bases are not called, because every call creates an instance.
        self.target = target
        self.positional = positional
        self.keywords = keywords
        self.function = function

    @property
    def binding(self) -> Binding:
        """Finds the arguments by name."""
        binding: Binding = self.target.binding
        return binding

    @property
    def faults(self) -> Faults:  # type: ignore[override]
        """Counts and logs failures."""
        faults: Faults = self.target.faults
        return faults

    @property
    def target_string(self) -> str:  # type: ignore[override]
        """The target string."""
        target_string: str = self.target.target_string
        return target_string

    def report(self, name: str, error: BaseException) -> None:
        """Count and log a failure, in total and for this target.

        Args:
            name: The stage that failed, or the unreadable field of the target, a key or the event.
            error: The failure.
        """
        is_stage = name in STAGES
        super().report(name if is_stage else self.stage, error)
        self.target.failures.add(type(error).__name__ if is_stage else name)

    def holds(self, field: str, read: Reader, base: Any = None) -> bool:
        """Return whether the value of a field is truthy. An unreadable value is not, and is counted.

        Args:
            field: The name of the field.
            read: Reads the value.
            base: The object at which relative paths start.
        """
        return bool(self.guarded(field, _truth, read, self, base))

    @property
    def may_exclude(self) -> bool:  # type: ignore[override]
        """Whether the condition is read only at the end."""
        return self.target.late_when is not None

    def add_alternative(self, other: Observation) -> None:
        """Have another target observe the call if the condition of this one excludes it."""
        if isinstance(other, ObservedCall):
            self.alternatives += (other.target,)

    def find_target(self) -> bool:
        """Make the first target whose late condition holds the target of the call; return whether there is one."""
        while (when := self.target.late_when) is not None and not self.matches(when):
            self.target.excluded.increment()
            if not self.alternatives:
                return False
            self.observe_as(self.alternatives[0])
            self.alternatives = self.alternatives[1:]
        return True

    def matches(self, when: Reader) -> bool:
        """Return whether a late condition holds. After an exception, one that needs the result counts as met."""
        if self.exc is not None:
            return self.may_hold(when) if self.target.when_is_function else True
        return self.holds("when", when)

    def observe_as(self, target: Any) -> None:
        """Continue as a call of another target of the same function."""
        self.target = target

    def may_hold(self, read: Reader) -> bool:
        """Return whether a value may be truthy after an exception. A function that needs the missing result may be."""
        return quietly(_truth, read, self, None) is not False

    def forget(self) -> None:
        """Release the arguments and the result, because a copied context may keep this object alive."""
        self.positional = ()
        self.keywords = {}
        self.function = self.result = self.exc = None


class NestedCall(ObservedCall):
    """A call inside which others of its kind may be open. It has an outcome, unless it is cancelled.

    Attributes:
        innermost: Holds the innermost open call of the kind.
        has_ended: The call has concluded.
    """

    innermost: Variable[Any]
    has_ended = False
    _before: ResetToken = None
    """Restores the call that was innermost before this one."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Restore the outer call, and conclude with an exception."""
        self.innermost.reset(self._before)
        self._before = None
        if error is not None and not self.has_ended:
            self.raised(error)

    def raised(self, error: BaseException) -> None:
        """Conclude with an exception, unless it is a cancellation or exit."""
        if isinstance(error, Exception):
            self.exc = error
            self._conclude()
        self._end()

    def _conclude(self) -> None:
        """Record the outcome."""
        raise NotImplementedError

    def _end(self) -> None:
        """Release everything of the call."""
        raise NotImplementedError


def _truth(read: Reader, call: Call, base: Any) -> bool:
    """Return the truth of a value; computing it may fail, as reading the value may."""
    return bool(read(call, base))
