"""The member that is added to a row: a key's snapshot, or the ids of a request that showed more than one."""

from __future__ import annotations

from typing import Any, NamedTuple

from otel_keyaudit.snapshot import Detail, Snapshot, as_json, cut


class Location(NamedTuple):
    """The span in which a row is written, as lower-case hex of 32 and 16 digits (W3C trace context)."""

    trace_id: str
    span_id: str


class KeyMember(NamedTuple):
    """A snapshot in the chosen detail; a subject has no location."""

    snapshot: Snapshot
    detail: Detail
    location: Location | None

    def as_object(self) -> dict[str, Any]:
        """Return the member as an object that shares nothing with any other row."""
        members = self.snapshot.members(self.detail)
        if self.location is not None:
            members["trace_id"] = self.location.trace_id
            members["span_id"] = self.location.span_id
        return members

    def as_json(self) -> str:
        """Return the member as compact JSON text; the snapshot in it was encoded once."""
        return self.snapshot.json(self.detail) + _location_json(self.location)


class AmbiguousMember(NamedTuple):
    """What is said when a request showed several keys: which, and nothing that would choose one of them."""

    ids: tuple[str, ...]
    max_items: int
    location: Location | None

    def as_object(self) -> dict[str, Any]:
        """Return the member as an object."""
        members: dict[str, Any] = {"ambiguous": True}
        cut(members, "ids", self.ids, self.max_items)
        if self.location is not None:
            members["trace_id"] = self.location.trace_id
            members["span_id"] = self.location.span_id
        return members

    def as_json(self) -> str:
        """Return the member as compact JSON text."""
        return as_json(self.as_object())


Member = KeyMember | AmbiguousMember


def _location_json(location: Location | None) -> str:
    if location is None:
        return "}"
    return f',"trace_id":"{location.trace_id}","span_id":"{location.span_id}"}}'
