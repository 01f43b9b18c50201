"""What may leave a key object: text, lists of text, points in time. Anything else is refused, never stringified."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from datetime import datetime, timezone
from enum import Enum
from typing import Any, TypeGuard
from uuid import UUID

from otel_keyaudit.errors import UnreadableError

_RFC_3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ]((?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d)(?:\.(\d+))?"
    r"(?:([Zz])|([+-](?:[01]\d|2[0-3])):?([0-5]\d))?",
    re.ASCII,
)

MAX_LENGTH = 16_384
"""Longest text, in characters, that is a value. It bounds rows and spans, and is far beyond any id, name or scope. A
longer one is refused as a whole, since two ids that are cut could become one, and a scope another scope."""


class RefusedValueError(UnreadableError):
    """Raised for a value of a kind that is never written out. Its text names the type, not the value."""

    def __init__(self, wanted: str, value: object) -> None:
        super().__init__(f"expected {wanted}, not {type(value).__name__}")


def text(value: object) -> str:
    """Return a scalar as text: a string, an integer, a UUID, or an enum member with such a value.

    Lone surrogates are written as escapes, since no UTF-8 encoding of them exists and an exporter would drop them.
    """
    if type(value) is str and len(value) <= MAX_LENGTH and value.isascii():
        return value
    if isinstance(value, Enum):
        return text(value.value)
    if isinstance(value, str):
        return _not_too_long(value, str.encode(value, "utf-8", "backslashreplace").decode("utf-8"))
    if isinstance(value, UUID):
        return UUID.__str__(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return int.__repr__(value)  # whatever a subclass makes of its text
    raise RefusedValueError("text, an integer or a UUID", value)


def _not_too_long(value: object, result: str) -> str:
    if len(result) > MAX_LENGTH:
        raise RefusedValueError(f"a text of at most {MAX_LENGTH:,} characters", value)
    return result


def identifier(value: object) -> str:
    """Return an id as text; an empty one identifies nothing and is refused."""
    result = text(value)
    if not result:
        raise RefusedValueError("an id that is not empty", value)
    return result


def is_list(value: object) -> TypeGuard[Sequence[Any] | Set[Any]]:
    """Say whether a value is a list of some kind, which text, bytes and mappings are not, nor an iterator.

    Reading an iterator would take its elements away from the application.
    """
    return isinstance(value, (Sequence, Set)) and not isinstance(value, _NO_LISTS)


_NO_LISTS = (str, bytes, bytearray, memoryview, Mapping)


def texts(value: object) -> tuple[str, ...]:
    """Return a list of scalars as texts, first-seen order, no duplicates; a set is sorted, a string is one element."""
    if (type(value) is list or type(value) is tuple) and _are_plain(value):
        return tuple(dict.fromkeys(value))
    if isinstance(value, Enum):
        return texts(value.value)
    if isinstance(value, str):
        return (text(value),)
    if not is_list(value):
        raise RefusedValueError("a list of texts", value)
    elements = dict.fromkeys([text(element) for element in value])
    return tuple(sorted(elements) if isinstance(value, Set) else elements)


def _are_plain(elements: Any) -> bool:
    """Say whether nothing about the elements needs another form: the short way for nearly every list there is."""
    if not {*map(type, elements)} <= _PLAIN:
        return False
    joined = "".join(elements)
    return joined.isascii() and (len(joined) <= MAX_LENGTH or max(map(len, elements)) <= MAX_LENGTH)


_PLAIN = {str}


def point_in_time(value: object) -> str:
    """Return a time as RFC 3339 in UTC, from a ``datetime`` (without zone: UTC) or from such a text."""
    found = moment(value)
    try:
        utc = found if found.utcoffset() is None else found.astimezone(timezone.utc)
    except OverflowError:
        raise RefusedValueError("a time within the years 1 to 9999", value) from None
    return datetime.isoformat(utc.replace(tzinfo=None)) + "Z"


def moment(value: object) -> datetime:
    """Return a time, from itself or from an RFC 3339 text, whose zone may be absent."""
    if isinstance(value, Enum):
        return moment(value.value)
    if isinstance(value, datetime):
        return value
    if isinstance(value, str) and len(value) <= MAX_LENGTH and (match := _RFC_3339.fullmatch(value.strip())):
        day, clock, fraction, zulu, hours, minutes = match.groups()
        zone = "+00:00" if zulu else f"{hours}:{minutes}" if hours else ""
        try:
            return datetime.fromisoformat(f"{day}T{clock}.{(fraction or '0')[:6]:0<6}{zone}")
        except ValueError:  # no such day
            pass
    raise RefusedValueError("a time or an RFC 3339 text", value)
