"""The member that is merged into a row: a key's snapshot, or the ids of an ambiguous request."""

from __future__ import annotations

from typing import Any

import orjson

from otel_keyaudit.key.encoded_object import EncodedObject, to_json
from otel_keyaudit.request.server_span import Location


class SnapshotMember:
    """One member, as an object for rows that are mappings and as JSON for rows that are strings or bytes.

    Args:
        encoded: The snapshot in the chosen detail, encoded once per key.
        extra: Further members of this write, between the snapshot and the ids: ``decisions``, ``on_behalf_of``,
            ``actors``, their counts, ``changes``. Nobody may change them afterwards.
        location: The span in which the row is written. A subject has none.
    """

    __slots__ = ("_extra", "encoded", "location")

    def __init__(
        self, encoded: EncodedObject, extra: dict[str, Any] | None = None, location: Location | None = None
    ) -> None:
        self.encoded = encoded
        self.location = location
        self._extra = to_json(extra)[1:-1] if extra else None

    def as_object(self) -> dict[str, Any]:
        """Return the member as a dict that shares no list and no dict with any other row."""
        members = self.encoded.copy()
        if self._extra is not None:
            members.update(orjson.loads(f"{{{self._extra}}}"))
        if self.location is not None:
            members["trace_id"], members["span_id"] = self.location
        return members

    def as_json(self) -> str:
        """Return the member as compact JSON."""
        head = self.encoded.json if self._extra is None else f"{self.encoded.json},{self._extra}"
        if self.location is None:
            return head + "}"
        trace_id, span_id = self.location
        return f'{head},"trace_id":"{trace_id}","span_id":"{span_id}"}}'


def ambiguous(ids: tuple[str, ...], count: int) -> EncodedObject:
    """Encode the member of an ambiguous request, which has the ids of all keys and nothing else.

    Args:
        ids: The ids, at most ``max_items``.
        count: The number of all ids.
    """
    members: dict[str, Any] = {"ambiguous": True, "ids": ids}
    if count > len(ids):
        members["ids_count"] = count
    return EncodedObject(members)
