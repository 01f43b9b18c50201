"""Find the tables into which the SQL statements of a function insert rows."""

from __future__ import annotations

import re
from types import FrameType
from typing import Final

_INSERT: Final = re.compile(r"\binsert\s+(?:or\s+\w+\s+)?into\s+((?:[\w\"`\[\]]+\.)?[\"`\[]?\w+)", re.IGNORECASE)


def inserted_tables(frame: FrameType) -> set[str]:
    """Return the tables of INSERT statements that are strings in a function, or constants of its module."""
    constants = [frame.f_globals.get(name) for name in frame.f_code.co_names]
    strings = [one for one in (*frame.f_code.co_consts, *constants) if type(one) is str]
    return {table for one in strings for table, _ in insertions(one)}


def insertions(statement: str) -> list[tuple[str, str]]:
    """Return the tables into which a statement inserts rows, each with the beginning of the statement."""
    return [(match[1], match[0]) for match in _INSERT.finditer(statement)]
