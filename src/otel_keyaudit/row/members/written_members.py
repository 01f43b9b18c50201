"""Recognize the members that the library wrote, so that they are replaced or kept, and all others are renamed.

A client may send the content of an earlier row again, so content identifies a member only within one request:

* A member of the same request is recognized by identity or by content, because an application may serialize a row
  between two targets. Content that equals a member of this request cannot name a wrong key.
* A member of another request is recognized only in the very dict, string or bytes object that the library passed on.

Comparing identity requires a reference, which must not keep the application's rows alive. So entries whose reference
count shows that nobody else holds them are dropped soon.
"""

from __future__ import annotations

import sys
from collections import deque
from typing import Any

import orjson

from otel_keyaudit.row.members.snapshot_member import SnapshotMember

Request = object
"""Number of a request, unique in the process; ``None`` outside of every request."""

MAX_HELD = 20_000
"""Maximum number of objects that are recognized while the application holds them. A row can have two members."""

MAX_RECENT = 1_024
"""Number of latest members that are recognized by content in their request."""

SWEEP_THRESHOLD = 64 * 1024
"""Approximate size of new entries in bytes, after which entries that nobody else holds are dropped."""

_Entry = tuple[Any, Any, int]
"""An object that was passed on, the request that wrote its member (for a string: by member name), and its size."""


class WrittenMembers:
    """Remembers the members that the library has written since ``instrument()``.

    It has no lock, because a fork could leave it locked.

    Attributes:
        recent: The latest members, each with its request, for recognition by content.
    """

    def __init__(self) -> None:
        self._held: dict[int, _Entry] = {}
        self._size = 0
        self._next_sweep = SWEEP_THRESHOLD
        self.recent: deque[tuple[Request, SnapshotMember]] = deque(maxlen=MAX_RECENT)

    def note(self, passed_on: object, request: Any, size: int = 1_000) -> None:
        """Remember an object that is passed on to the application with a member in it.

        Args:
            passed_on: The member in a mapping, or the whole string or bytes object.
            request: The request that wrote it; for a string or bytes object, the requests by member name.
            size: Approximate size of the object in bytes.
        """
        self._held[id(passed_on)] = passed_on, request, size
        self._size += size
        if self._size > self._next_sweep:
            self._sweep()

    def request_of(self, passed_on: object) -> Any:
        """Return the request that was noted with this very object; ``None`` if there is none."""
        entry = self._held.get(id(passed_on))
        return None if entry is None else entry[1]

    def contents(self, request: Request) -> dict[bytes | None, dict[str, Any]]:
        """Return the latest members of a request by their content."""
        members = [member.as_object() for by, member in list(self.recent) if by == request]
        return {content(member): member for member in members}

    def _sweep(self) -> None:
        """Drop entries that nobody else holds, and the oldest entries if there are too many."""
        entries = self._held.copy()
        for identity, entry in entries.items():
            if _references(entry) <= _ENTRY_REFERENCES:
                self._held.pop(identity, None)
        for identity in list(self._held)[:-MAX_HELD]:
            self._held.pop(identity, None)
        self._size = sum(size for _, _, size in list(self._held.values()))
        self._next_sweep = 2 * self._size + SWEEP_THRESHOLD


def content(member: dict[str, Any]) -> bytes:
    """Return the same bytes for members that differ only in the order of their names.

    Raises:
        TypeError: The member cannot be JSON.
    """
    return orjson.dumps(member, option=orjson.OPT_SORT_KEYS)


def _references(entry: _Entry) -> int:
    return sys.getrefcount(entry[0])


_ENTRY_REFERENCES = _references((object(), None, 0))
"""Reference count of an object that only its entry holds."""
