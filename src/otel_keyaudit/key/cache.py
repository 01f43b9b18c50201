"""Bounded caches: a hit costs one dict look-up, and a full cache forgets its oldest entries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

MAX_ENTRIES: Final = 8_192
"""Number of entries that a cache keeps at least."""

MAX_CHARACTERS: Final = 8 * 1024 * 1024
"""Total length of the cached content in characters: 1,024 for each of 8,192 entries, or 55 keys of 10,000 scopes."""

Content = TypeVar("Content")
Value = TypeVar("Value")


class Cache(dict[Content, Value]):
    """A dict that forgets its oldest entries when it has too many, or when their content is too long.

    It needs no lock, which a fork could leave locked: every step is a single operation of a dict, and threads that
    evict at the same time only evict the same entries.

    Args:
        measure: Returns the length of a value's content in characters.
        entries: Number of entries that are kept at least.
        characters: Total length of the content that is kept.
    """

    def __init__(
        self, measure: Callable[[Value], int], *, entries: int = MAX_ENTRIES, characters: int = MAX_CHARACTERS
    ) -> None:
        super().__init__()
        self._measure = measure
        self._entries = entries
        self._characters = characters
        self._used = 0

    def keep(self, content: Content, value: Value) -> None:
        """Add an entry. The newest one is always kept, so that even very long content is encoded once."""
        self[content] = value
        self._used += self._measure(value)
        if self._used > self._characters or len(self) > self._entries + self._entries // 8:
            self._evict()

    def _evict(self) -> None:
        """Forget the oldest entries.

        An eighth more than necessary goes at once because finding the oldest entry of a dict is slow. The length is
        added up again because threads that add entries at the same time can lose an addition. A copy is searched
        because the collector may run code that adds entries while a list of items is made.
        """
        limit = self._characters - self._characters // 8
        used = 0
        for position, (content, value) in enumerate(list(self.copy().items())[::-1]):
            length = self._measure(value)
            if position == 0 or (position < self._entries and used + length <= limit):
                used += length
            else:
                limit = 0  # everything older goes, too
                self.pop(content, None)
        self._used = used


class Memo(Cache[Content, Value], Generic[Content, Value]):
    """A cache that makes missing values.

    Args:
        make: Makes the value for some content.
        measure: Returns the length of a value's content in characters.
        entries: Number of entries that are kept at least.
        characters: Total length of the content that is kept.
    """

    def __init__(
        self,
        make: Callable[[Content], Value],
        measure: Callable[[Value], int],
        *,
        entries: int = MAX_ENTRIES,
        characters: int = MAX_CHARACTERS,
    ) -> None:
        super().__init__(measure, entries=entries, characters=characters)
        self._make = make

    def __missing__(self, content: Content) -> Value:
        """Make a value and keep it."""
        value = self._make(content)
        self.keep(content, value)
        return value
