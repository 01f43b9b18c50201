"""Remembers what was worked out lately, by content: so many things at the most, and none of them long."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

MOST_REMEMBERED = 1024
"""How many things are kept, if nothing else is said; more than that are worked out again, never remembered longer."""

LONGEST_CONTENT = 16_384
"""Characters of a content that is remembered; what is longer is worked out each time."""

Content = TypeVar("Content")
Made = TypeVar("Made")


def remember(memory: dict[Content, Made], content: Content, made: Made, most: int = MOST_REMEMBERED) -> None:
    """Remember one thing more; what is full forgets everything first, for which it needs no lock."""
    if len(memory) >= most:
        memory.clear()
    memory[content] = made


class Memory(dict[Content, Made]):
    """Works out what it does not remember; a hit is one look-up in a dict.

    Args:
        make: Works out what belongs to a content.
        length: Tells how long that is.
    """

    def __init__(self, make: Callable[[Content], Made], length: Callable[[Made], int]) -> None:
        super().__init__()
        self._make = make
        self._length = length

    def __missing__(self, content: Content) -> Made:
        """Work it out."""
        made = self._make(content)
        if self._length(made) <= LONGEST_CONTENT:
            remember(self, content, made)
        return made
