"""Read points in time as datetimes in UTC, and format them as RFC 3339."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, Final

from otel_keyaudit.key.canonical import as_time, as_utc

UTC: Final = timezone.utc
EARLIEST: Final = datetime.min.replace(tzinfo=UTC)
"""Stands for the last of no times."""
LATEST: Final = datetime.max.replace(tzinfo=UTC)
"""Stands for the first of no times."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS: Final = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))
"""Minimum of a number in nanoseconds, microseconds and milliseconds, and the units per second."""

_DATE_DIGITS: Final = 8
"""Length of a date without hyphens, which is no number."""


def _from_iso_3_10(value: str) -> datetime:
    return datetime.fromisoformat(value.replace("Z", "+00:00"))


_from_iso: Final[Callable[[Any], datetime]] = datetime.fromisoformat if sys.version_info >= (3, 11) else _from_iso_3_10


def read_time(value: object) -> datetime | None:
    """Read a point in time. Without a zone, it is in UTC.

    Args:
        value: RFC 3339 or another ISO 8601 string, a ``datetime``, or a number of seconds, milliseconds, microseconds
            or nanoseconds since 1970. The magnitude of the number determines its unit.

    Returns:
        The time in UTC, ``None`` if the value is not a point in time.
    """
    try:
        found = _from_iso(value)
    except (AttributeError, TypeError, ValueError):
        return _from_unusual(value)
    return found if found.tzinfo is UTC else _from_unusual(value)


def _from_unusual(value: object) -> datetime | None:
    """Read any value but a string in UTC."""
    try:
        if isinstance(value, str):
            return _from_unusual_string(value.strip())
        if isinstance(value, datetime):
            return _in_utc(value)
        if isinstance(value, date):
            return datetime.combine(value, time(), UTC)
        if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
            return _from_number(float(value))
    except (OverflowError, ValueError):
        pass
    return None


def _from_unusual_string(value: str) -> datetime:
    """Read a number, a time in another zone, or a time that Python 3.10 does not parse."""
    if value.replace(".", "", 1).isdecimal() and len(value) != _DATE_DIGITS:
        return _from_number(float(value))
    try:
        return _in_utc(_from_iso(value))
    except ValueError:
        return _in_utc(as_time(f"{value}:00" if value[-3:-2] in ("+", "-") else value))


def _in_utc(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _from_number(number: float) -> datetime:
    size = abs(number)
    if size >= _UNITS[-1][0]:
        number /= next(units for least, units in _UNITS if size >= least)
    return _EPOCH + timedelta(seconds=number)


def rfc_3339(value: datetime | None) -> str | None:
    """Format a time as RFC 3339 in UTC, with six digits of fraction if there is one."""
    return None if value is None else as_utc(value)


def later(first: datetime | None, second: datetime | None) -> datetime | None:
    """Return the later of two times; either may be unknown."""
    return second if first is None or (second is not None and second > first) else first


def known(value: datetime) -> datetime | None:
    """Return a time, ``None`` for :data:`EARLIEST` and :data:`LATEST`."""
    return None if value in (EARLIEST, LATEST) else value
