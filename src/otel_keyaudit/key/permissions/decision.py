"""One authorization check: the required permissions, the answer, and the scope that explains it."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from otel_keyaudit.key.encoded_object import cut

GRANTED: Final = "granted"
"""Outcome: the check allowed the call."""

DENIED: Final = "denied"
"""Outcome: the check refused the call."""

ERROR: Final = "error"
"""Outcome: the check failed, for example because a store is down. It denied nothing."""

BY_SCOPE: Final = "scope"
"""Cause: a scope covers the granted permissions, or no scope covers the denied ones."""

BY_ALLOW_LIST: Final = "allow_list"
"""Cause: the scopes cover the denied permissions, but the allow list does not allow the resource."""

BY_OTHER: Final = "other"
"""Cause: neither scopes nor allow list explain the outcome."""

UNKNOWN: Final = "unknown"
"""Cause: key, scopes or requirement are unknown."""


class Decision(NamedTuple):
    """One check.

    Attributes:
        required: Permissions that the check required; empty if they are unknown.
        outcome: ``granted``, ``denied`` or ``error``; ``None`` while the check is open.
        cause: ``scope``, ``allow_list``, ``other`` or ``unknown``; ``None`` for an error and while the check is open.
        scopes: Scopes of the key that cover the granted permissions, in the order presented.
        missing: Required permissions that no scope of the key covers.
        resource: ``type:id`` of the resource; ``None`` if it is unknown.
        reason: Class of the exception with which the check denied or failed, as in ``error.type``.
    """

    required: tuple[str, ...] = ()
    outcome: str | None = None
    cause: str | None = None
    scopes: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    resource: str | None = None
    reason: str | None = None

    def members(self, max_items: int) -> dict[str, Any]:
        """Return one element of a row's ``decisions``: unknown members are absent, and long lists are cut tuples."""
        members: dict[str, Any] = {}
        for name, value in zip(Decision._fields, self, strict=True):
            if type(value) is str:
                members[name] = value
            elif value:
                cut(members, name, value, max_items)
        return members
