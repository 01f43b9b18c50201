"""Render the timeline of a key: its rows over time as a small SVG."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Final
from xml.etree.ElementTree import Element

from otel_keyaudit.cli.output import counted
from otel_keyaudit.cli.report.rendering.markup import tag

_BARS: Final = 60
_HEIGHT: Final = 36
_WIDTH: Final = 10


def timeline(days: Mapping[int, int], start: datetime | None, end: datetime | None) -> Element | None:
    """Return the timeline, which has at most 60 bars of an equal number of days.

    Args:
        days: Number of rows by day, which is a proleptic Gregorian ordinal.
        start: Start of the period.
        end: End of the period.
    """
    if not days or start is None or end is None:
        return None
    first, last = start.toordinal(), end.toordinal()
    first, last = min(first, *days), max(last, *days)
    width = -(-(last - first + 1) // _BARS)
    counts = [0] * -(-(last - first + 1) // width)
    for day, count in days.items():
        counts[(day - first) // width] += count
    highest = max(counts)
    bars = [_bar(place, count, highest, first + place * width, width) for place, count in enumerate(counts)]
    label = f"{counted(sum(counts), 'row')} from {_date(first)} to {_date(last)}"
    size = f"0 0 {len(counts) * _WIDTH} {_HEIGHT}"
    picture = tag("svg", *bars, viewBox=size, preserveAspectRatio="none", role="img", aria_label=label)
    captions = (_date(first), f"at most {counted(highest, 'row')} in {_days(width)}", _date(last))
    scale = tag("figcaption", *(tag("span", caption) for caption in captions))
    return tag("figure", picture, scale, class_="timeline")


def _bar(place: int, count: int, highest: int, day: int, width: int) -> Element:
    height = max(2.0, round(count * _HEIGHT / highest, 1)) if count else 1.0
    period = _date(day) if width == 1 else f"{_date(day)} and {_days(width - 1)} more"
    return tag(
        "rect",
        tag("title", f"{period}: {counted(count, 'row')}"),
        x=place * _WIDTH + 1,
        y=_HEIGHT - height,
        width=_WIDTH - 2,
        height=height,
        class_=None if count else "empty",
    )


def _days(number: int) -> str:
    return "a day" if number == 1 else f"{number} days"


def _date(day: int) -> str:
    return date.fromordinal(day).isoformat()
