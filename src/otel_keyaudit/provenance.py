"""Which members this library wrote: one that comes by again is replaced, one that only looks like ours is not."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import Any

import orjson

from otel_keyaudit.member import KeyMember, Member
from otel_keyaudit.snapshot import CACHED_SNAPSHOTS, Detail, Snapshot

REMEMBERED_MEMBERS = 10_000
"""How many members written last are recognised at the least; up to twice as many are."""

_Reference = tuple[bytes, Any, Any]


class Provenance:
    """Recognises a member by its whole content: an event that is reused, a write inside a write.

    Identity would not do, since the application may have turned the member into JSON in between; and what is kept for
    ever would grow. Two generations are kept, and the older one is dropped when the younger one is full. There is no
    lock, which a fork could leave locked: threads that meet at the change of generations may forget a member too early.
    """

    def __init__(self) -> None:
        self._younger: set[_Reference] = set()
        self._older: set[_Reference] = set()
        self._fingerprint_of = lru_cache(CACHED_SNAPSHOTS)(_snapshot_fingerprint)

    def remember(self, member: Member) -> None:
        """Take note of a member that is being written."""
        location = member.location
        if isinstance(member, KeyMember):
            content = self._fingerprint_of(member.snapshot, member.detail)
        else:
            content = _fingerprint(member._replace(location=None).as_object())
        younger = self._younger
        if len(younger) >= REMEMBERED_MEMBERS:
            self._older, self._younger = younger, set()
        self._younger.add((content, location and location.trace_id, location and location.span_id))

    def is_ours(self, value: Any) -> bool:
        """Say whether a value is exactly a member that was written lately."""
        if not isinstance(value, dict):
            return False
        content = dict(value)
        location = content.pop("trace_id", None), content.pop("span_id", None)
        try:
            reference = (_fingerprint(content), *location)
            return reference in self._younger or reference in self._older
        except TypeError:  # something in it is not JSON, or no text where a text must be
            return False


def _snapshot_fingerprint(snapshot: Snapshot, detail: Detail) -> bytes:
    return _fingerprint(snapshot.members(detail))


def _fingerprint(content: dict[str, Any]) -> bytes:
    """Return what identifies a content in a few bytes, whatever the order of its members."""
    return blake2b(orjson.dumps(content, option=orjson.OPT_SORT_KEYS), digest_size=16).digest()
