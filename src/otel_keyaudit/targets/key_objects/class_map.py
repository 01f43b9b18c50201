"""Map classes to values by identity, without keeping classes alive."""

from __future__ import annotations

from typing import Generic, TypeVar
from weakref import ref

from otel_keyaudit.key.cache import MAX_ENTRIES, Cache

Value = TypeVar("Value")


class ClassMap(Generic[Value]):
    """Maps a bounded number of classes to values.

    Classes are compared by identity, because a metaclass may define equality. The weak references have no callbacks,
    because an exception that a signal handler raises in one would be lost.

    Args:
        entries: Minimum number of classes that are kept.
    """

    def __init__(self, entries: int = MAX_ENTRIES) -> None:
        self._entries: Cache[int, tuple[ref[type], Value]] = Cache(lambda _: 1, entries=entries)

    def get(self, kind: type) -> Value | None:
        """Return the value of a class, ``None`` if it has none."""
        entry = self._entries.get(id(kind))
        return entry[1] if entry is not None and entry[0]() is kind else None  # the id of a deleted class may be reused

    def keep(self, kind: type, value: Value) -> None:
        """Set the value of a class."""
        self._entries.keep(id(kind), (ref(kind), value))
