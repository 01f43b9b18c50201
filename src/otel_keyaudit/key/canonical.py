"""Convert the values of a key object into strings, lists of strings and times; refuse every other type."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from datetime import datetime, timezone
from enum import Enum
from typing import Any, Final, TypeGuard
from uuid import UUID

from otel_keyaudit.errors import UnreadableError
from otel_keyaudit.guard.signals import expected

_RFC_3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ]((?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d)(?:\.(\d+))?"
    r"(?:([Zz])|([+-](?:[01]\d|2[0-3])):?([0-5]\d))?",
    re.ASCII,
)

MAX_LENGTH: Final = 16_384
"""Maximum length of a string in characters. It bounds rows and spans and is far longer than any id, name or scope. A
longer string is refused as a whole because two ids that are cut could become equal, and a scope another scope."""


class RefusedValueError(UnreadableError):
    """Raised for a value that is never recorded. The message describes the value, and does not show it."""

    def __init__(self, expected: str, found: str) -> None:
        super().__init__(f"expected {expected}, not {found}")


def as_string(value: object) -> str:
    """Convert a string, an integer, a UUID, or an enum member with such a value.

    Lone surrogates become escapes because no UTF-8 encoding of them exists, so that an exporter would drop them.

    Raises:
        RefusedValueError: The value has another type, or is longer than 16,384 characters.
    """
    if type(value) is str and len(value) <= MAX_LENGTH and value.isascii():
        return value
    if isinstance(value, Enum):
        return as_string(value.value)
    if isinstance(value, str):
        # the methods of the base types, because a subclass may show itself differently
        escaped = str.encode(value, "utf-8", "backslashreplace").decode("utf-8")
        if len(escaped) > MAX_LENGTH:
            raise RefusedValueError(f"a string of at most {MAX_LENGTH:,} characters", f"one of {len(escaped):,}")
        return escaped
    if isinstance(value, UUID):
        return UUID.__str__(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return int.__repr__(value)
    raise RefusedValueError("a string, an integer or a UUID", type(value).__name__)


def as_id(value: object) -> str:
    """Convert an id, which must not be empty.

    Raises:
        RefusedValueError: The value is empty or cannot be converted into a string.
    """
    result = as_string(value)
    if not result:
        raise RefusedValueError("an id", "an empty string")
    return result


def is_list(value: object) -> TypeGuard[Sequence[Any] | Set[Any]]:
    """Check whether a value is a sequence or a set, but not a string, bytes or a mapping.

    An iterator is not a list, because reading it would consume the application's elements.
    """
    return isinstance(value, (Sequence, Set)) and not isinstance(value, _NOT_LISTS)


_NOT_LISTS = (str, bytes, bytearray, memoryview, Mapping)


def as_strings(value: object) -> tuple[str, ...]:
    """Convert a list into strings in the given order without duplicates. A set is sorted; a string is one element.

    Raises:
        RefusedValueError: The value is not a list, or one of its elements cannot be converted into a string.
    """
    if (type(value) is list or type(value) is tuple) and _are_plain(value):
        return tuple(dict.fromkeys(value))
    if isinstance(value, Enum):
        return as_strings(value.value)
    if isinstance(value, str):
        return (as_string(value),)
    if not is_list(value):
        raise RefusedValueError("a list of strings", type(value).__name__)
    elements = dict.fromkeys([as_string(element) for element in value])
    return tuple(sorted(elements) if isinstance(value, Set) else elements)


def _are_plain(elements: Any) -> bool:
    """Check whether all elements are in canonical form already, which is the fast path for nearly every list."""
    if not {*map(type, elements)} <= {str}:
        return False
    joined = "".join(elements)
    return joined.isascii() and (len(joined) <= MAX_LENGTH or max(map(len, elements)) <= MAX_LENGTH)


def as_utc(value: object) -> str:
    """Convert a time into RFC 3339 in UTC, from a ``datetime`` (without zone: UTC) or from an RFC 3339 string.

    Raises:
        RefusedValueError: The value is not a time, or it has no UTC form within the years 1 to 9999.
    """
    time = as_time(value)
    with expected(OverflowError):
        utc = time if time.utcoffset() is None else time.astimezone(timezone.utc)
        return datetime.isoformat(utc.replace(tzinfo=None)) + "Z"
    raise RefusedValueError("a time within the years 1 to 9999 in UTC", "one outside of them")


def as_time(value: object) -> datetime:
    """Convert a ``datetime`` or an RFC 3339 string, whose zone may be absent, into a ``datetime``.

    Raises:
        RefusedValueError: The value is neither.
    """
    if isinstance(value, Enum):
        return as_time(value.value)
    if isinstance(value, datetime):
        return value
    if isinstance(value, str) and len(value) <= MAX_LENGTH and (match := _RFC_3339.fullmatch(value.strip())):
        day, clock, fraction, zulu, hours, minutes = match.groups()
        zone = "+00:00" if zulu else f"{hours}:{minutes}" if hours else ""
        with expected(ValueError):  # a day that does not exist, such as 30 February
            return datetime.fromisoformat(f"{day}T{clock}.{(fraction or '0')[:6]:0<6}{zone}")
    raise RefusedValueError(
        "a time or an RFC 3339 string", "another string" if isinstance(value, str) else type(value).__name__
    )
