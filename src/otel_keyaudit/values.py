"""What may leave a key object: text, lists of text, points in time. Anything else is refused, never stringified."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from datetime import datetime, timedelta, timezone
from enum import Enum
from uuid import UUID

from otel_keyaudit.errors import UnreadableError

_RFC_3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:([Zz])|([+-])(\d\d):?(\d\d))?", re.ASCII
)


class RefusedValueError(UnreadableError):
    """Raised for a value of a kind that is never written out. Its text names the type, not the value."""

    def __init__(self, wanted: str, value: object) -> None:
        super().__init__(f"expected {wanted}, not {type(value).__name__}")


def text(value: object) -> str:
    """Return a scalar as text: a string, an integer, a UUID, or an enum member with such a value.

    Lone surrogates are written as escapes, since no UTF-8 encoding of them exists and an exporter would drop them.
    """
    if type(value) is str and value.isascii():
        return value
    if isinstance(value, Enum):
        return text(value.value)
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, UUID) or (isinstance(value, int) and not isinstance(value, bool)):
        return str(value)
    raise RefusedValueError("text, an integer or a UUID", value)


def identifier(value: object) -> str:
    """Return an id as text; an empty one identifies nothing and is refused."""
    result = text(value)
    if not result:
        raise RefusedValueError("an id that is not empty", value)
    return result


def texts(value: object) -> tuple[str, ...]:
    """Return a list of scalars as texts, first-seen order, no duplicates; a set is sorted, a string is one element.

    Iterators are refused: reading one would take its elements away from the application.
    """
    if isinstance(value, (str, Enum)):
        return (text(value),)
    if isinstance(value, Mapping) or not isinstance(value, (Sequence, Set)) or isinstance(value, (bytes, bytearray)):
        raise RefusedValueError("a list of texts", value)
    elements = dict.fromkeys([text(element) for element in value])
    return tuple(sorted(elements) if isinstance(value, Set) else elements)


def point_in_time(value: object) -> str:
    """Return a time as RFC 3339 in UTC, from a ``datetime`` (without zone: UTC) or from such a text."""
    moment = value if isinstance(value, datetime) else _parse(value)
    if moment.tzinfo is not None:
        moment = moment.astimezone(timezone.utc)
    return moment.replace(tzinfo=None).isoformat() + "Z"


def _parse(value: object) -> datetime:
    if isinstance(value, str) and (match := _RFC_3339.fullmatch(value.strip())):
        day, clock, fraction, _, sign, hours, minutes = match.groups()
        moment = datetime.fromisoformat(f"{day}T{clock}.{(fraction or '0')[:6]:0<6}")
        if sign:
            offset = timedelta(hours=int(hours), minutes=int(minutes))
            moment = moment - offset if sign == "+" else moment + offset
        return moment
    raise RefusedValueError("a time or an RFC 3339 text", value)
