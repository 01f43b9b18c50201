"""Rename foreign members with a reserved name, and insert members at the end of a JSON object.

A member is foreign if the library did not write it.
"""

from __future__ import annotations

from collections.abc import Container
from functools import lru_cache
from typing import Any

import orjson

from otel_keyaudit.errors import UnchangeableError
from otel_keyaudit.names import UNVERIFIED

_MAX_NAMES = 100
"""Maximum number of duplicates that get separate names. Names for all of them would outgrow the string."""


def spliced(text: str, added: str, has_members: bool) -> str:
    """Insert members before the last brace of a JSON object."""
    brace = text.rindex("}")
    return f"{text[:brace]}{',' if has_members else ''}{added}{text[brace:]}"


@lru_cache
def quoted(name: str) -> str:
    """Return a reserved name as JSON."""
    return orjson.dumps(name).decode()


_MAX_TRIES = 2_000
"""Maximum number of names that are tried. That many names, each longer than the last, take 22 million characters."""


class FreeNames:
    """Chooses new names for the foreign members with reserved names in one JSON object.

    Args:
        taken: The names that are not free.
    """

    def __init__(self, taken: set[str]) -> None:
        self.moved = 0
        self._taken = taken
        self._given: dict[str, str] = {}

    def name_for(self, name: str) -> str:
        """Return the new name for one more member with a reserved name."""
        self.moved += 1
        if self.moved <= _MAX_NAMES or name not in self._given:
            self._given[name] = free_name(self._given.get(name, name), self._taken)
            self._taken.add(self._given[name])
        return self._given[name]


def free_name(name: str, *taken: Container[Any]) -> str:
    """Return the name followed by ``_unverified``, repeated until it is free.

    Raises:
        UnchangeableError: No name is free, because a mapping claims to have every name.
    """
    for _ in range(_MAX_TRIES):
        name += UNVERIFIED
        if not any(name in names for names in taken):
            return name
    raise UnchangeableError("a mapping claims to have every name, so no name is free")
