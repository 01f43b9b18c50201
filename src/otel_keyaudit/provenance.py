"""Which members this library wrote: one that comes by again is replaced, one that only looks like ours is not trusted."""

from __future__ import annotations

from typing import Any

from otel_keyaudit.member import AmbiguousMember, Member

REMEMBERED_MEMBERS = 1024
"""How many members written last are recognised at the least; up to twice as many are."""

_Reference = tuple[Any, Any, Any, Any]


class Provenance:
    """Recognises a member by its whole content: an event that is reused, a write inside a write.

    Identity would not do, since the application may have turned the member into JSON in between; and a list that is
    kept for ever would grow. Two generations are kept, and the older one is dropped when the younger one is full.
    """

    def __init__(self) -> None:
        self._younger: dict[_Reference, Member] = {}
        self._older: dict[_Reference, Member] = {}

    def remember(self, member: Member) -> None:
        """Take note of a member that is being written."""
        if len(self._younger) >= REMEMBERED_MEMBERS:
            self._older, self._younger = self._younger, {}
        self._younger[_reference(member)] = member

    def is_ours(self, value: Any) -> bool:
        """Say whether a value is exactly a member that was written lately."""
        if not isinstance(value, dict):
            return False
        parts = [value.get(name) for name in ("digest", "detail", "trace_id", "span_id")]
        if not all(part is None or isinstance(part, str) for part in parts):
            return False
        reference: _Reference = (parts[0], parts[1], parts[2], parts[3])
        member = self._younger.get(reference) or self._older.get(reference)
        return member is not None and member.as_object() == value


def _reference(member: Member) -> _Reference:
    location = (None, None) if member.location is None else (member.location.trace_id, member.location.span_id)
    if isinstance(member, AmbiguousMember):
        return (None, None, *location)
    return (member.snapshot.digest, member.detail.value, *location)
