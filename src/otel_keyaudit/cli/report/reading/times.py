"""Convert points in time into seconds since 1970 and into RFC 3339."""

from __future__ import annotations

import math
import sys
from datetime import date, datetime, time, timezone
from decimal import Decimal
from typing import Final

from otel_keyaudit.key.canonical import as_time, as_utc

_READS_Z: Final = sys.version_info >= (3, 11)
_YEARS: Final = (-62_135_596_800, 253_402_300_800)
"""Start of the year 1 and of the year 10000, in seconds since 1970."""

_UNITS: Final = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))
"""Minimum of a number in nanoseconds, microseconds and milliseconds, and the units per second."""


def seconds(value: object) -> float | None:
    """Read a point in time. Without a zone, it is in UTC.

    Args:
        value: RFC 3339 or another ISO 8601 string, a ``datetime``, or a number of seconds, milliseconds, microseconds
            or nanoseconds since 1970. The magnitude of the number determines its unit.

    Returns:
        Seconds since 1970, ``None`` if the value is not a point in time.
    """
    if isinstance(value, str):
        try:
            found = datetime.fromisoformat(value if _READS_Z else value.replace("Z", "+00:00"))
            return (found if found.tzinfo else found.replace(tzinfo=timezone.utc)).timestamp()
        except (OverflowError, ValueError):
            return _from_unusual_string(value)
    if isinstance(value, datetime):
        return _from_datetime(value)
    if isinstance(value, date):
        return _from_datetime(datetime.combine(value, time()))
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        return _from_number(value)
    return None


def _from_unusual_string(value: str) -> float | None:
    """Read a number, or a time with a fraction or a zone (``+00``) that Python 3.10 does not parse."""
    if value[-3:-2] in ("+", "-"):
        value += ":00"
    try:
        if value.strip().replace(".", "", 1).isdecimal():
            return _from_number(float(value))
        return _from_datetime(as_time(value))
    except ValueError:
        return None


def _from_datetime(value: datetime) -> float | None:
    try:
        return (value if value.tzinfo else value.replace(tzinfo=timezone.utc)).timestamp()
    except (OverflowError, ValueError):
        return None


def _from_number(value: float | Decimal) -> float | None:
    try:
        number = float(value)
    except (OverflowError, ValueError):
        return None
    size = abs(number)
    if size >= _UNITS[-1][0]:
        number /= next(units for least, units in _UNITS if size >= least)
    return number if _YEARS[0] <= number < _YEARS[1] else None


def rfc_3339(value: float | None) -> str | None:
    """Format seconds since 1970 as RFC 3339 in UTC, with six digits of fraction if there is one.

    Returns:
        ``None`` for ``None`` and for a time outside of the years 1 to 9999.
    """
    try:
        return None if value is None else as_utc(datetime.fromtimestamp(value, timezone.utc))
    except (OverflowError, ValueError, OSError):
        return None


def later(first: float | None, second: float | None) -> float | None:
    """Return the later of two times; either may be unknown."""
    return second if first is None or (second is not None and second > first) else first


def known(value: float) -> float | None:
    """Return a time, ``None`` if it is infinite."""
    return value if math.isfinite(value) else None
