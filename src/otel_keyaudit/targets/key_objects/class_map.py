"""Values by class: compared by identity, because a metaclass may define equality, and holding no class alive."""

from __future__ import annotations

from typing import Generic, TypeVar
from weakref import ref

from otel_keyaudit.key.cache import MAX_ENTRIES, Cache

Value = TypeVar("Value")


class ClassMap(Generic[Value]):
    """Maps classes to values, for a bounded number of classes.

    The weak references have no callbacks, in which an exception of a signal handler would be lost.

    Args:
        entries: Number of classes that are kept at least.
    """

    def __init__(self, entries: int = MAX_ENTRIES) -> None:
        self._entries: Cache[int, tuple[ref[type], Value]] = Cache(lambda _: 1, entries=entries)

    def get(self, kind: type) -> Value | None:
        """Return the value of a class, ``None`` if it has none."""
        entry = self._entries.get(id(kind))
        return entry[1] if entry is not None and entry[0]() is kind else None  # another class may get a freed id

    def keep(self, kind: type, value: Value) -> None:
        """Set the value of a class."""
        self._entries.keep(id(kind), (ref(kind), value))
