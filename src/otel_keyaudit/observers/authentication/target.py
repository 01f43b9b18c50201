"""An authentication target, compiled for its function: readers of the key, the condition and the delegation."""

from __future__ import annotations

from collections.abc import Callable
from weakref import ref

from otel_keyaudit import names
from otel_keyaudit.guard.metrics import Count
from otel_keyaudit.observers.authentication.delegation import DelegationReader
from otel_keyaudit.observers.components import Components
from otel_keyaudit.observers.observed_call import CompiledTarget
from otel_keyaudit.patching.arguments import Binding
from otel_keyaudit.targets.expressions.expression import Expression, ObjectReference
from otel_keyaudit.targets.key_objects.key_source import is_relative
from otel_keyaudit.targets.presented_credential import CredentialSource
from otel_keyaudit.targets.target import AuthTarget


class CompiledAuthTarget(CompiledTarget):
    """An authentication target, compiled for its function.

    Attributes:
        stored_names: The last names of the places at which the call stores the key (``key=flask:g.api_key``), where it
            may be missing; ``None`` for another key.
        reads_key_early: The call stores the key, and the key can be read before the end.
    """

    def __init__(self, components: Components, target: AuthTarget, binding: Binding) -> None:
        super().__init__(components, target, binding)
        key, valid = self.source("key"), self.source("valid")
        self.key = self.reader(key)
        self.key_reads_exception = isinstance(key, Expression) and "exc" in key.roots
        self.when_needs_result = self.when_needs_end or (self.when_needs_key and _is_result(key))
        self.valid = self.reader(valid)
        self.valid_needs_key = is_relative(valid)
        self.stored_names = _last_names(key) if _is_stored(key) else None
        self.reads_key_early = self.stored_names is not None and not (self.needs_end(valid) or self.when_needs_end)
        self.key_source = self.source_of_keys(target.key_sources())
        self.delegation = DelegationReader.of(self)
        self.is_actor = target.is_actor
        self.credentials = CredentialSource(binding)
        tally = components.metrics.authentications
        self.accepted = tally.counter(names.ACCEPTED, None)
        self.denied = tally.counter(names.DENIED, None)
        self.denials_by_error = Count()
        self.known_class: Callable[[], type | None] = ref(type(None))
        """The class of the last key object, nearly always the class of the next one. It is weak because of reloads."""

    @property
    def outcomes(self) -> dict[str, int]:
        """Number of calls by outcome."""
        return {
            names.ACCEPTED: self.accepted.value,
            names.DENIED: self.denied.value + self.denials_by_error.value,
        }

    def close(self) -> None:
        """Stop observing calls."""
        super().close()
        tally, counters = self.components.metrics.authentications, [self.accepted, self.denied]
        self.accepted, self.denied = (  # for calls that have not ended
            tally.shared(outcome, None) for outcome in (names.ACCEPTED, names.DENIED)
        )
        tally.close(counters)


def _is_stored(key: object) -> bool:
    """Return whether the application stores the key somewhere, where it can be read before the call has ended.

    A bare parameter does not count, because it may hold a key that has not been checked.
    """
    if isinstance(key, Expression):
        return all(path.root not in (None, "return", "exc") and bool(path.steps) for path in key.paths)
    return isinstance(key, ObjectReference)


def _last_names(key: object) -> frozenset[str]:
    """Return the last name of each path at which the application stores the key."""
    if isinstance(key, Expression):
        return frozenset(str(path.steps[-1].operand) for path in key.paths)
    return frozenset({key.text.rpartition(".")[2].rpartition(":")[2]} if isinstance(key, ObjectReference) else ())


def _is_result(key: object) -> bool:
    """Return whether the key object is the result or a part of it, so that a call that raises has none."""
    if isinstance(key, Expression):
        return "return" in key.roots and "exc" not in key.roots
    return key is None
