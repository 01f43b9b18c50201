"""The public status of a target."""

from __future__ import annotations

from typing import Final, NamedTuple

ACTIVE: Final = "active"
PENDING: Final = "pending"
WRONG: Final = "wrong"

OBSERVED: Final = "all of its calls are observed"
"""The reason of an active target without limits."""

REPLACED: Final = (
    "{!r} was replaced after it was instrumented; calls of the new function are not recorded, unless it calls the old "
    "one; call uninstrument() and instrument() again"
)
"""The reason of an active target whose module has another function under the name now."""


class TargetStatus(NamedTuple):
    """The state of a target, and the number of observed calls.

    Attributes:
        target: The target as written.
        kind: ``auth``, ``audit``, ``authz`` or ``subject``.
        state: ``active``, ``pending`` (its module is not imported yet) or ``wrong`` (it can never match).
        reason: A sentence that explains the state.
        calls: Number of observed calls.
        preset: Name of the preset that it belongs to, ``None`` for a target of the user.
    """

    target: str
    kind: str
    state: str
    reason: str
    calls: int = 0
    preset: str | None = None
