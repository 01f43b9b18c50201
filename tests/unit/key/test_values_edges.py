"""Values at their limits, and what a refusal says, word by word."""

import os
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from enum import Enum
from typing import Any

import pytest

from otel_keyaudit.key import canonical as values
from otel_keyaudit.key.canonical import MAX_LENGTH, RefusedValueError

LONG = "x" * (MAX_LENGTH + 1)


class Colour(Enum):
    NUMBER = 1.5


@pytest.mark.parametrize(
    ("read", "value", "message"),
    [
        (values.text, 1.5, "expected text, an integer or a UUID, not float"),
        (values.text, Colour.NUMBER, "expected text, an integer or a UUID, not float"),
        (values.text, LONG, "expected a text of at most 16,384 characters, not str"),
        (values.identifier, "", "expected an id that is not empty, not str"),
        (values.texts, 5, "expected a list of texts, not int"),
        (values.texts, ["a", b"b"], "expected text, an integer or a UUID, not bytes"),
        (values.point_in_time, 5, "expected a time or an RFC 3339 text, not int"),
        (values.point_in_time, "2026-02-30T00:00:00Z", "expected a time or an RFC 3339 text, not str"),
        (
            values.point_in_time,
            datetime.max.replace(tzinfo=timezone(-timedelta(hours=1))),
            "expected a time within the years 1 to 9999, not datetime",
        ),
    ],
)
def test_a_refusal_names_what_is_wanted_and_what_was_given(
    read: Callable[[object], object], value: object, message: str
) -> None:
    """Both as kinds, since this text stands in the log."""
    with pytest.raises(RefusedValueError) as refused:
        read(value)
    assert str(refused.value) == message


@pytest.mark.parametrize("kind", [list, tuple])
@pytest.mark.parametrize("length", [MAX_LENGTH - 1, MAX_LENGTH])
def test_the_longest_elements_are_whole(kind: Any, length: int) -> None:
    """One of the greatest length is an element like any other, alone and beside others."""
    longest = "x" * length
    assert values.texts(kind([longest])) == (longest,)
    assert values.texts(kind([longest, "a", longest])) == (longest, "a")
    with pytest.raises(RefusedValueError):
        values.texts(kind(["a", LONG]))


def test_the_longest_time_is_read() -> None:
    """White space around it counts for the length, and is not written."""
    text = "2026-11-23T16:00:00Z"
    assert values.point_in_time(text + " " * (MAX_LENGTH - len(text))) == text


@pytest.mark.parametrize("zone", ["EST5EDT", "UTC0", "CET-1"])
def test_the_zone_of_the_machine_does_not_matter(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A time without a zone is UTC, and one with a zone is turned into UTC, wherever the process runs."""
    try:
        with monkeypatch.context() as patched:
            patched.setitem(os.environ, "TZ", zone)
            time.tzset()
            for value in (datetime(2026, 11, 23, 16), "2026-11-23T16:00:00"):  # noqa: DTZ001 - the case
                assert values.point_in_time(value) == "2026-11-23T16:00:00Z"
            for value in (datetime(2026, 11, 23, 16, tzinfo=timezone.utc), "2026-11-23T18:00:00+02:00"):
                assert values.point_in_time(value) == "2026-11-23T16:00:00Z"
    finally:
        time.tzset()


def test_a_text_with_a_zone_knows_it() -> None:
    """``Z`` is UTC and no missing zone, so nobody takes such a time for a local one."""
    moment = values.moment("2026-11-23T16:00:00Z")
    assert moment.tzinfo is not None
    assert moment.utcoffset() == timedelta()
    assert values.moment("2026-11-23T16:00:00").tzinfo is None
