"""The member that is added to a row: a key's snapshot, or the ids of a request that showed more than one."""

from __future__ import annotations

from typing import Any

from otel_keyaudit.key.encoded_object import Form, cut

Location = tuple[str, str]
"""The span in which a row is written: trace and span id as lower-case hex of 32 and 16 digits (W3C trace context)."""


class Member:
    """What one row is given.

    Args:
        form: The snapshot in the chosen detail.
        location: The span in which the row is written; a subject has none.
    """

    __slots__ = ("form", "location")

    def __init__(self, form: Form, location: Location | None) -> None:
        self.form = form
        self.location = location

    def as_object(self) -> dict[str, Any]:
        """Return the member as an object that shares nothing with any other row."""
        members = self.form.copy()
        if self.location is not None:
            members["trace_id"], members["span_id"] = self.location
        return members

    def as_json(self) -> str:
        """Return the member as compact JSON text; the snapshot in it was encoded once."""
        if self.location is None:
            return self.form.json + "}"
        trace_id, span_id = self.location
        return f'{self.form.json},"trace_id":"{trace_id}","span_id":"{span_id}"}}'


def ambiguous(ids: tuple[str, ...], max_items: int) -> Form:
    """Return what is said when a request showed several keys: which, and nothing that would choose one of them."""
    members: dict[str, Any] = {"ambiguous": True}
    cut(members, "ids", ids, max_items)
    return Form(members)
