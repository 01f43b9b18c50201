"""Find the members of a JSON object in a string, so that one can be renamed without serializing the others again.

The search is linear in the length of the string and not recursive, because a client chooses how deeply its data is
nested.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from otel_keyaudit.errors import UnchangeableError

# Numbers stay strings, because they are not needed and Python refuses to convert very long ones.
_READ = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str).raw_decode
_OPEN_OBJECT = re.compile(r"[ \t\n\r]*\{[ \t\n\r]*")
_OPEN = re.compile(r"[\[{][ \t\n\r]*")
_COLON = re.compile(r"[ \t\n\r]*:[ \t\n\r]*")
_COMMA = re.compile(r"[ \t\n\r]*,[ \t\n\r]*")
_CLOSE = {"{": re.compile(r"[ \t\n\r]*\}"), "[": re.compile(r"[ \t\n\r]*\]")}
_END = re.compile(r"[ \t\n\r]*\}[ \t\n\r]*\Z")


@dataclass(frozen=True)
class MemberPosition:
    """The position of one member in the text of a JSON object.

    Attributes:
        name: The name, without escapes.
        start: Where the name begins, at its quotation mark.
        name_end: Where the name ends.
        value: Where the value begins.
        end: Where the value ends.
    """

    name: str
    start: int
    name_end: int
    value: int
    end: int


def members_of(text: str) -> list[MemberPosition]:
    """Return the members of a JSON object in order, duplicates included, as Python's ``json`` reads it at any depth.

    Raises:
        UnchangeableError: The text is not a JSON object.
    """
    try:
        return list(_members(text))
    except json.JSONDecodeError:
        raise _not_an_object() from None


def _members(text: str) -> Iterator[MemberPosition]:
    start = _after(_OPEN_OBJECT, text, 0)
    ended = _END.match(text, start)
    while not ended:
        name, name_end = _name(text, start)
        value = _after(_COLON, text, name_end)
        end = _end_of_value(text, value)
        yield MemberPosition(name, start, name_end, value, end)
        ended = _END.match(text, end)
        start = end if ended else _after(_COMMA, text, end)


def _end_of_value(text: str, start: int) -> int:
    """Return the end position of a value. A value nested too deeply for Python's ``json`` is scanned without it."""
    try:
        return _READ(text, start)[1]
    except RecursionError:
        return _end_of_deep_value(text, start)


def _end_of_deep_value(text: str, position: int) -> int:
    open_brackets: list[str] = []
    while True:
        opening = _OPEN.match(text, position)
        if opening is None:
            position = _READ(text, position)[1]  # neither object nor array, so it does not recurse
        else:
            open_brackets.append(text[position])
            position = opening.end()
            if not _CLOSE[open_brackets[-1]].match(text, position):
                position = _start_of_element(text, position, open_brackets[-1])
                continue
        while open_brackets:
            closing = _CLOSE[open_brackets[-1]].match(text, position)
            if closing is None:
                position = _start_of_element(text, _after(_COMMA, text, position), open_brackets[-1])
                break
            open_brackets.pop()
            position = closing.end()
        else:
            return position


def _start_of_element(text: str, position: int, bracket: str) -> int:
    """Return the start position of the next value in an array, or in an object, where it follows a name."""
    return _after(_COLON, text, _name(text, position)[1]) if bracket == "{" else position


def _name(text: str, position: int) -> tuple[str, int]:
    if text[position : position + 1] != '"':
        raise _not_an_object()
    return _READ(text, position)


def _after(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    if match is None:
        raise _not_an_object()
    return match.end()


def _not_an_object() -> UnchangeableError:
    return UnchangeableError("the additional fields are not a JSON object")
