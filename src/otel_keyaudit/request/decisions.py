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
        self._listed: dict[Decision, dict[str, Any]] = {}

    def add(self, decision: Decision, max_items: int) -> None:
        """Add a decision; when the list is full, a new denial or error replaces the oldest grant.

        Args:
            decision: The decision.
            max_items: Maximum length of a list in rows and on the span.
        """
        self.count += 1
        is_refusal, before = decision.outcome != names.GRANTED, self._shown_decision
        listed = self._listed
        members = listed.get(decision)
        if members is None:
            members = decision.members(max_items)
            if len(listed) < MAX_DECISIONS:
                listed[decision] = members
            elif is_refusal:
                grant = next((one for one in list(listed) if one.outcome == names.GRANTED), None)
                if grant is not None:
                    del listed[grant]
                    listed[decision] = members
        if decision != before and (is_refusal or before is None or before.outcome == names.GRANTED):
            self._shown_decision = decision
            self.shown = decision_attributes(members)

    @property
    def listed(self) -> dict[Decision, dict[str, Any]]:
        """The decisions for a row, in order, with their members, which nobody may change."""
        return self._listed.copy()


def decision_attributes(members: Mapping[str, Any]) -> dict[str, Any]:
    """Return the span attributes of a decision.

    Args:
        members: The members of the decision in a row.
    """
    return {
        _ATTRIBUTES[name]: value if type(value) is str else ListAttribute(value)
        for name, value in members.items()
        if name in _ATTRIBUTES
    }


_ATTRIBUTES = {
    "required": names.DECISION_REQUIRED,
    "outcome": names.DECISION_OUTCOME,
    "cause": names.DECISION_CAUSE,
    "scopes": names.DECISION_SCOPES,
    "missing": names.DECISION_MISSING,
    "resource": names.DECISION_RESOURCE,
    "reason": names.DECISION_REASON,
}
"""The span attributes of a decision by member of a row."""
