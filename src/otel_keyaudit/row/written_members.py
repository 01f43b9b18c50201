"""Which members this library wrote: one that comes by again is replaced, one that only looks like ours is not."""

from __future__ import annotations

from typing import Any

from otel_keyaudit.key.encoded_object import fingerprint
from otel_keyaudit.row.snapshot_member import Member

REMEMBERED_MEMBERS = 4_096
"""How many members written last are recognised at the least; up to twice as many are."""


class Provenance:
    """Recognises a member by its whole content: an event that is reused, a write inside a write.

    Identity would not do, since the application may have turned the member into JSON in between; and what is kept for
    ever would grow. Two generations are kept, and the older one is dropped when the younger one is full. There is no
    lock, which a fork could leave locked: threads that meet at the change of generations may forget a member too early.
    """

    def __init__(self) -> None:
        self._younger: set[int] = set()
        self._older: set[int] = set()

    def remember(self, member: Member) -> None:
        """Take note of a member that is being written."""
        younger = self._younger
        if len(younger) >= REMEMBERED_MEMBERS:
            self._older, younger = younger, set()
            self._younger = younger
        younger.add(hash((member.form.fingerprint, member.location)))  # a set of numbers keeps nothing alive

    def is_ours(self, value: Any) -> bool:
        """Say whether a value is exactly a member that was written lately."""
        if not isinstance(value, dict):
            return False
        content = dict(value)
        location = content.pop("trace_id", None), content.pop("span_id", None)
        try:
            reference = hash((fingerprint(content), None if location == (None, None) else location))
            return reference in self._younger or reference in self._older
        except TypeError:  # something in it is not JSON, or no text where a text must be
            return False
