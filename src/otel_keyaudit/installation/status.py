"""The status of a target, as users see it."""

from __future__ import annotations

from typing import Final, NamedTuple

ACTIVE: Final = "active"
PENDING: Final = "pending"
WRONG: Final = "wrong"


class TargetStatus(NamedTuple):
    """Whether a target's calls are observed.

    Attributes:
        target: The target as written.
        kind: ``auth``, ``audit``, ``authz`` or ``subject``.
        state: ``active``, ``pending`` (its module is not imported yet) or ``wrong`` (it can never match).
        reason: A sentence that explains the state.
        calls: Number of observed calls.
        preset: Name of the preset that it belongs to, ``None`` for a target of the user's own.
    """

    target: str
    kind: str
    state: str
    reason: str
    calls: int = 0
    preset: str | None = None
