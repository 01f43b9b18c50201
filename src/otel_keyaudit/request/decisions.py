"""The decisions of one request: a bounded list for rows, and a single decision for spans."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otel_keyaudit import names
from otel_keyaudit.key.permissions.decision import Decision
from otel_keyaudit.key.snapshot import ListAttribute

MAX_DECISIONS = 8
"""Maximum number of decisions in a row."""


class DecisionLog:
    """The decisions of a request so far.

    Attributes:
        count: Number of all decisions, including repeated ones.
        shown: Span attributes of the last denial or error; without any, of the last grant.
    """

    count = 0
    shown: Mapping[str, Any] = {}
    _shown_decision: Decision | None = None

    def __init__(self) -> None:
        self._distinct: dict[Decision, None] = {}

    def add(self, decision: Decision, max_items: int) -> None:
        """Add a decision; when the list is full, a new denial or error replaces the oldest grant.

        Args:
            decision: The decision.
            max_items: Maximum length of a list on the span.
        """
        self.count += 1
        is_refusal, before = decision.outcome != names.GRANTED, self._shown_decision
        if decision != before and (is_refusal or before is None or before.outcome == names.GRANTED):
            self._shown_decision = decision
            self.shown = decision_attributes(decision, max_items)
        distinct = self._distinct
        if decision in distinct:
            return
        if len(distinct) < MAX_DECISIONS:
            distinct[decision] = None
        elif is_refusal:
            grant = next((one for one in distinct if one.outcome == names.GRANTED), None)
            if grant is not None:
                del distinct[grant]
                distinct[decision] = None

    @property
    def listed(self) -> list[Decision]:
        """The decisions for a row, in order."""
        return [*self._distinct]


def decision_attributes(decision: Decision, max_items: int) -> dict[str, Any]:
    """Return the known span attributes of a decision, with lists cut at ``max_items``."""
    attributes: dict[str, Any] = {}
    for name, value in zip(_ATTRIBUTES, decision, strict=True):
        if value:
            attributes[name] = value if isinstance(value, str) else ListAttribute(value[:max_items])
    return attributes


_ATTRIBUTES = (
    names.DECISION_REQUIRED,
    names.DECISION_OUTCOME,
    names.DECISION_CAUSE,
    names.DECISION_SCOPES,
    names.DECISION_MISSING,
    names.DECISION_RESOURCE,
    names.DECISION_REASON,
)
"""The span attributes of a decision, in the order of its fields."""
