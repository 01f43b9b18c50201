"""Where the members of a JSON object are in its text, for what must be changed without being written anew."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from otel_keyaudit.errors import UnchangeableError

# Numbers stay text: they are not needed, and Python refuses to convert very long ones.
_READ = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str).raw_decode
_OPENED = re.compile(r"[ \t\n\r]*\{[ \t\n\r]*")
_COLON = re.compile(r"[ \t\n\r]*:[ \t\n\r]*")
_COMMA = re.compile(r"[ \t\n\r]*,[ \t\n\r]*")
_CLOSED = re.compile(r"[ \t\n\r]*\}[ \t\n\r]*\Z")


@dataclass(frozen=True)
class Found:
    """A member of a JSON object: its name, and where in the text the name and the value begin and end."""

    name: str
    start: int
    name_end: int
    value: int
    end: int


def members_of(text: str) -> list[Found]:
    """Return the members of a JSON object, in their order and with duplicates, as Python's ``json`` reads it.

    Raises:
        UnchangeableError: It is no JSON object, or nested more deeply than Python reads.
    """
    try:
        return list(_read(text))
    except json.JSONDecodeError:
        raise UnchangeableError("additional fields are not a JSON object") from None
    except RecursionError:
        raise UnchangeableError("additional fields are nested too deeply") from None


def _read(text: str) -> Iterator[Found]:
    start = _end_of(_OPENED, text, 0)
    closed = _CLOSED.match(text, start)
    while not closed:
        if text[start : start + 1] != '"':
            raise UnchangeableError("additional fields are not a JSON object")
        name, name_end = _READ(text, start)
        value = _end_of(_COLON, text, name_end)
        _, end = _READ(text, value)
        yield Found(name, start, name_end, value, end)
        closed = _CLOSED.match(text, end)
        start = end if closed else _end_of(_COMMA, text, end)


def _end_of(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    if match is None:
        raise UnchangeableError("additional fields are not a JSON object")
    return match.end()
