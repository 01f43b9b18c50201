"""The decisions of one request: a bounded list for rows, and a single decision for spans."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otel_keyaudit import names
from otel_keyaudit.key.permissions.decision import Decision

MAX_DECISIONS = 8
"""Maximum number of decisions in a row."""


class DecisionLog:
    """The decisions of a request so far.

    Attributes:
        count: Number of all decisions, including repeated ones.
        shown: Attributes of the decision on the server span.
    """

    shown: Mapping[str, Any] = {}

    def __init__(self) -> None:
        self.count = 0
        self._distinct: dict[Decision, None] = {}
        self._last: Decision | None = None
        self._last_refused: Decision | None = None

    def add(self, decision: Decision, max_items: int) -> None:
        """Add a decision; when the list is full, a new denial or error replaces the oldest grant.

        Args:
            decision: The decision.
            max_items: Maximum length of a list on the span.
        """
        self.count += 1
        before = self.outstanding
        self._last = decision
        if decision.outcome != names.GRANTED:
            self._last_refused = decision
        if self.outstanding != before and self.outstanding is not None:
            self.shown = decision_attributes(self.outstanding, max_items)
        distinct = self._distinct
        if decision in distinct:
            return
        if len(distinct) < MAX_DECISIONS:
            distinct[decision] = None
        elif decision.outcome != names.GRANTED:
            grant = next((one for one in distinct if one.outcome == names.GRANTED), None)
            if grant is not None:
                del distinct[grant]
                distinct[decision] = None

    @property
    def listed(self) -> list[Decision]:
        """The decisions for a row, in order."""
        return [*self._distinct]

    @property
    def outstanding(self) -> Decision | None:
        """The decision for spans: the last denial or error, else the last grant."""
        return self._last_refused or self._last

    @property
    def has_refusal(self) -> bool:
        """Whether any decision was a denial or an error."""
        return self._last_refused is not None


def decision_attributes(decision: Decision, max_items: int) -> dict[str, Any]:
    """Return the known span attributes of a decision, with lists cut at ``max_items``."""
    attributes = {
        names.DECISION_OUTCOME: decision.outcome,
        names.DECISION_CAUSE: decision.cause,
        names.DECISION_REASON: decision.reason,
        names.DECISION_RESOURCE: decision.resource,
        names.DECISION_REQUIRED: decision.required[:max_items],
        names.DECISION_SCOPES: decision.scopes[:max_items],
        names.DECISION_MISSING: decision.missing[:max_items],
    }
    return {name: value for name, value in attributes.items() if value is not None and value != ()}
