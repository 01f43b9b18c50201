"""The event that a sampler receives for each audit write."""

from __future__ import annotations

from typing import Final, NamedTuple

from otel_keyaudit.key.api_key import ApiKey
from otel_keyaudit.key.permissions.decision import DENIED, ERROR, Decision

FAILED_OUTCOMES: Final = frozenset({"denied", "failed", "failure", "error"})
"""Outcomes in lower case that count as failed."""

BAD_REQUEST: Final = 400
"""First HTTP status that counts as failed (RFC 9110, section 15)."""


class AuditEvent(NamedTuple):
    """An audit write before its row is written.

    Attributes:
        action: The action.
        resource_type: Type of the resource.
        resource_id: Id of the resource.
        outcome: A string, a number or a bool.
        request_key: Key of the request.
        subject_key: Key that the row is about.
        decisions: Decisions of the request so far, in order.
        on_behalf_of: Party on whose behalf the key acts.
    """

    action: str | None = None
    resource_type: str | None = None
    resource_id: str | None = None
    outcome: str | int | float | bool | None = None
    request_key: ApiKey | None = None
    subject_key: ApiKey | None = None
    decisions: tuple[Decision, ...] = ()
    on_behalf_of: str | None = None

    @property
    def has_failed(self) -> bool:
        """Whether the outcome counts as failed: ``False``, 400 or more, or one of four words in any case."""
        if isinstance(self.outcome, bool):
            return not self.outcome
        if isinstance(self.outcome, (int, float)):
            return self.outcome >= BAD_REQUEST
        return self.outcome is not None and self.outcome.lower() in FAILED_OUTCOMES

    @property
    def was_refused(self) -> bool:
        """Whether a decision of the request so far was denied or an error."""
        return any(decision.outcome in (DENIED, ERROR) for decision in self.decisions)

    @property
    def resource(self) -> str | None:
        """``type:id`` of the resource; ``None`` if either is unknown."""
        if self.resource_type is None or self.resource_id is None:
            return None
        return f"{self.resource_type}:{self.resource_id}"

    @property
    def actions(self) -> tuple[str, ...]:
        """The action, alone and after the resource type as ``type.action``; empty if it is unknown."""
        if self.action is None:
            return ()
        return (self.action,) if self.resource_type is None else (self.action, f"{self.resource_type}.{self.action}")
