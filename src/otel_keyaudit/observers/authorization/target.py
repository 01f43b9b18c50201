"""An authorization target, compiled for its function, and the decisions that it records."""

from __future__ import annotations

from typing import Any, NamedTuple

from otel_keyaudit import names
from otel_keyaudit.guard.metrics import Tally
from otel_keyaudit.key.api_key import ApiKey
from otel_keyaudit.key.permissions.decision import Decision
from otel_keyaudit.observers.components import Components
from otel_keyaudit.observers.observed_call import CompiledTarget
from otel_keyaudit.patching.arguments import Binding
from otel_keyaudit.request.state import RequestState
from otel_keyaudit.targets.expressions.expression import Expression, Source, parse
from otel_keyaudit.targets.plain_arguments import plain_reader
from otel_keyaudit.targets.target import AuthzTarget

_REQUIREMENTS = ("required", "permission", "permissions", "scope", "scopes")
"""Parameters that hold the requirement by default; the first that the function has counts."""


class CompiledAuthzTarget(CompiledTarget):
    """An authorization target, compiled for its function.

    Attributes:
        supplies_requirement: The function returns the requirement of the outer check, and is not a check itself.
        has_requirement: The target has its own requirement, so it does not adopt the requirements of inner checks.
        is_decided: The decision has been made when the function is called.
        is_part: A call counts only as a part of another check.
    """

    def __init__(self, components: Components, target: AuthzTarget, binding: Binding) -> None:
        super().__init__(components, target, binding)
        self.is_decided, self.is_part = target.is_decided, target.is_part
        if self.is_part:
            self.late_when, self.when_is_function = _is_inner, True
        required = self._requirement()
        self.supplies_requirement = isinstance(required, Expression) and "return" in required.roots
        resource_type, resource_id, action = (
            self.source(name) or self._parameter(name) for name in ("resource_type", "resource_id", "action")
        )
        self.required, self.read_plain_required = self.reader(required), plain_reader([required], binding)
        self.resource_type, self.resource_id = self.reader(resource_type), self.reader(resource_id)
        self.read_plain_resource = plain_reader([resource_type, resource_id], binding)
        self.action = self.reader(action)
        self.has_requirement = self.required is not None or not (self.resource_type is None or self.action is None)
        self.any_of, self.granted, self.denied = (
            self.reader(self.source(name)) for name in ("any_of", "granted", "denied")
        )
        self._outcomes = Tally(names.DECISION_OUTCOME)

    @property
    def outcomes(self) -> dict[str, int]:
        """Number of decisions by outcome."""
        return self._outcomes.by_name()

    def count(self, outcome: str, cause: str | None) -> None:
        """Count one decision."""
        self.components.metrics.decisions.add(outcome, cause)
        self._outcomes.add(outcome)

    def _requirement(self) -> Source | None:
        given = self.source("required")
        if given is not None:
            return given
        return next((source for name in _REQUIREMENTS if (source := self._parameter(name)) is not None), None)

    def _parameter(self, name: str) -> Source | None:
        return parse(f"args.{name}", emitted=True) if self.binding.declares(name) else None


def _is_inner(check: Any, _: object) -> bool:
    """Return whether another check is open around a check."""
    return check.outermost is not check


class ExplainedDecision(NamedTuple):
    """A decision, and everything that is needed to record it.

    Attributes:
        target: The target whose call decided.
        decision: The decision.
        key: The key that was checked or refused.
        is_refused: An authentication inside the check refused the key.
        request: The request; it may have ended.
    """

    target: CompiledAuthzTarget
    decision: Decision
    key: ApiKey | None
    is_refused: bool
    request: RequestState | None

    def record(self) -> None:
        """Count the decision, and record it in the request and on its server span."""
        decision, request, components = self.decision, self.request, self.target.components
        self.target.count(decision.outcome, decision.cause)  # type: ignore[arg-type] # only an open check has none
        if components.events is not None:
            components.events.decided(decision, self.key, is_refused=self.is_refused)
        if request is not None and request.is_open:
            attribution = request.attribution
            has_key = self.key is not None or attribution.kind != names.NO_KEY or request.used_key is not None
            if has_key:
                request.decide(decision, max_items=components.settings.max_items)
