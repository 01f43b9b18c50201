"""A target that was compiled for the function it names, and one observed call of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any

from otel_keyaudit.guard.faults import Faults, GuardedCall
from otel_keyaudit.guard.guard import quietly
from otel_keyaudit.guard.metrics import Count
from otel_keyaudit.observers.components import Components
from otel_keyaudit.patching.arguments import Binding
from otel_keyaudit.patching.wrappers import Observation
from otel_keyaudit.targets.call import Call, Reader, reader
from otel_keyaudit.targets.expressions.expression import Expression
from otel_keyaudit.targets.key_objects.key_source import KeySource
from otel_keyaudit.targets.target import Source, Target

AFTER_THE_CALL = frozenset({"return", "exc"})
"""The roots of expressions that can be read only when the call has ended."""


class CompiledTarget:
    """A target, compiled for the function that it names.

    Args:
        components: The parts that its calls need.
        target: The target.
        binding: Finds the function's arguments by name.

    Attributes:
        is_on: Calls are observed.
        when: Reads whether a call is meant; ``None`` if every call is.
        when_needs_end: Only the result, or the exception, tells that.
        calls: Number of observed calls.
        passed: Number of calls that ``when`` passed on.
        unreadable: Number of failures by the name of their field or error, for ``doctor``.
        last_member: The last member that a row received, for ``doctor``.
        problem: Why the target proved wrong, ``None`` if it did not.
    """

    is_on = True
    problem: str | None = None
    last_member: Any = None

    def __init__(self, components: Components, target: Target, binding: Binding) -> None:
        self.components = components
        self.target = target
        self.binding = binding
        self.faults: Faults = components.faults
        self.written = target.written
        self.calls = Count()
        self.passed = Count()
        self.unreadable: Counter[str] = Counter()
        source = target.sources.get("when")
        self.when = self.reader(source)
        self.when_is_function = source is not None and not isinstance(source, Expression)
        self.when_needs_end = self.needs_end(source)

    @property
    def outcomes(self) -> dict[str, int]:
        """Number of calls by outcome."""
        raise NotImplementedError

    def observer(self) -> Observer:
        """Return the function that begins the observation of a call."""
        raise NotImplementedError

    def close(self) -> None:
        """Observe no more calls; references that could not be restored pass their calls through."""
        self.is_on = False

    def source(self, name: str) -> Source | None:
        """Return the source of a field as the user gave it."""
        return self.target.sources.get(name)

    def reader(self, source: Source | None) -> Reader | None:
        """Return the reader for a source, ``None`` for none."""
        return None if source is None else self.compiled(source)

    def compiled(self, source: Source) -> Reader:
        """Return the reader for a source."""
        return reader(source, deferred=self.components.deferred, binding=self.binding)

    def source_of_keys(self, sources: Mapping[str, Source], prefix: str = "") -> KeySource:
        """Return the reader of key objects.

        Args:
            sources: The source of each field, with defaults.
            prefix: Begins the names of these fields in the target.
        """
        return KeySource(
            sources,
            [name for name in sources if f"{prefix}{name}" in self.target.sources],
            self.components.key_types,
            deferred=self.components.deferred,
            target=self.written,
        )

    def needs_end(self, source: Source | None) -> bool:
        """Say whether a source can be read only after the call; a function does not tell, so it waits."""
        if source is None:
            return False
        return not source.roots.isdisjoint(AFTER_THE_CALL) if isinstance(source, Expression) else True


class ObservedCall(Call, Observation, GuardedCall):
    """One call of a target while it is observed. The original receives the arguments that it holds by then.

    Attributes:
        stage: The stage in which its keys are read.
    """

    stage: str

    def __init__(
        self, target: Any, positional: tuple[Any, ...], keywords: dict[str, Any], function: FunctionType | None = None
    ) -> None:
        # Not by the initializers of the bases: an object of this class is created for each call.
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
    def written(self) -> str:  # type: ignore[override]
        """The target as written."""
        written: str = self.target.written
        return written

    def report(self, stage: str, error: BaseException) -> None:
        """Count and log a failure, in all and for this target."""
        super().report(stage, error)
        name = getattr(error, "field", None) or type(error).__name__
        self.target.unreadable[name] += 1

    def report_unreadable(self, error: BaseException) -> None:
        """Count a field of a key that is unreadable."""
        self.report(self.stage, error)

    def holds(self, stage: str, read: Reader, base: Any = None) -> bool:
        """Say whether a value is truthy; an unreadable one is not, and is counted.

        Args:
            stage: The stage of a failure.
            read: Reads the value.
            base: The object at which relative paths start.
        """
        return bool(self.guarded(stage, _truth, read, self, base))

    def may_hold(self, read: Reader) -> bool:
        """Say the same after an exception: a function that needs the result counts as truthy."""
        return quietly(_truth, read, self, None) is not False

    def read(self, stage: str, read: Reader, base: Any = None) -> Any:
        """Return a value, ``None`` if it is unreadable, which is counted."""
        return self.guarded(stage, read, self, base)

    def forget(self) -> None:
        """Keep nothing of the call alive: a copied context may hold this object for long."""
        self.positional = ()
        self.keywords = {}
        self.function = self.result = self.exc = None


def _truth(read: Reader, call: Call, base: Any) -> bool:
    """Return the truth of a value, which may fail like reading it."""
    return bool(read(call, base))


Observer = Callable[[tuple[Any, ...], dict[str, Any], FunctionType], "ObservedCall | None"]
