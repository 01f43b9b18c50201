"""Conversion of the values of a key object, and the refusal of other types."""

import os
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_keyaudit.key.canonical import (
    MAX_LENGTH,
    RefusedValueError,
    as_id,
    as_string,
    as_strings,
    as_time,
    as_utc,
)

A_UUID = UUID("12345678-1234-5678-1234-567812345678")


class Colour(Enum):
    RED = "red"
    NUMBER = 7
    LIST = ("a", "b")
    TIME = "2026-11-23T16:00:00Z"
    FLAG = True


class TextColour(str, Enum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class OwnString(str):
    """A string that shows itself in another way."""

    __slots__ = ()

    def __str__(self) -> str:
        return "shown"

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return b"encoded"


class OwnNumber(int):
    def __str__(self) -> str:
        return "shown"

    __repr__ = __str__


class Secretive:
    def __str__(self) -> str:
        return "s3cret"

    __repr__ = __str__


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("ci-bot", "ci-bot"),
        ("", ""),
        ("Zoë ☃", "Zoë ☃"),
        (0, "0"),
        (-5, "-5"),
        (2**70, str(2**70)),
        (A_UUID, "12345678-1234-5678-1234-567812345678"),
        (Colour.RED, "red"),
        (Colour.NUMBER, "7"),
        (TextColour.RED, "red"),
        (Level.HIGH, "3"),
        (OwnString("text"), "text"),
        (OwnString("téxt"), "téxt"),
        (OwnNumber(4), "4"),
        ("a\ud800b", "a\\ud800b"),
    ],
)
def test_strings_numbers_uuids_and_enum_members_become_strings(value: object, expected: str) -> None:
    """The methods of a subclass do not change the result."""
    result = as_string(value)
    assert result == expected
    assert type(result) is str


@pytest.mark.parametrize(
    "value", [None, True, False, 1.5, b"bytes", bytearray(b"b"), Decimal(1), ["a"], {"a": 1}, Secretive(), Colour.FLAG]
)
def test_other_types_are_no_strings(value: object) -> None:
    """Any other type is refused, and the error names the type and never the value."""
    with pytest.raises(RefusedValueError) as refused:
        as_string(value)
    assert type(value).__name__ in str(refused.value) or isinstance(value, Enum)
    assert "s3cret" not in str(refused.value)


def test_an_id_is_not_empty() -> None:
    """An empty string identifies no key."""
    assert as_id(5) == "5"
    with pytest.raises(RefusedValueError):
        as_id("")


LONGEST = "x" * MAX_LENGTH


@pytest.mark.parametrize("value", [LONGEST, "é" * MAX_LENGTH, OwnString(LONGEST), "\ud800" * (MAX_LENGTH // 6)])
def test_a_string_of_maximum_length_is_kept(value: str) -> None:
    """The limit counts the converted string, which is never cut; converting it again changes nothing."""
    result = as_string(value)
    assert result == str.encode(value, "utf-8", "backslashreplace").decode()
    assert as_string(result) == result == as_id(value)
    assert as_strings([value, "a"]) == (result, "a")


@pytest.mark.parametrize("value", [LONGEST + "x", LONGEST + "é", "x" * 10_000_000, "\ud800" * (MAX_LENGTH // 6 + 1)])
def test_a_longer_string_is_refused(value: str) -> None:
    """It is refused as a whole as an id, as an element of a list and as a time."""
    reads: list[Callable[[], object]] = [
        lambda: as_string(value),
        lambda: as_string(OwnString(value)),
        lambda: as_id(value),
        lambda: as_strings(value),
        lambda: as_strings(["a", value]),
        lambda: as_strings({"a", value}),
        lambda: as_utc(value),
        lambda: as_utc("2026-11-23T16:00:00Z" + " " * MAX_LENGTH),
    ]
    for read in reads:
        with pytest.raises(RefusedValueError) as refused:
            read()
        assert len(str(refused.value)) < 100


def test_a_long_list_is_kept() -> None:
    """Only the length of its elements is limited here; ``max_items`` cuts a list when it is encoded."""
    elements = [f"{'x' * 1000}:{number}" for number in range(10_000)]
    assert as_strings(elements) == tuple(elements)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (["b", "a", "b"], ("b", "a")),
        (("x", A_UUID, 3, Colour.RED), ("x", str(A_UUID), "3", "red")),
        ([1, "1"], ("1",)),
        ({"c", "a", "b"}, ("a", "b", "c")),
        (frozenset({"c", "a"}), ("a", "c")),
        (deque(["b", "a"]), ("b", "a")),
        ({"b": 1, "a": 2}.keys(), ("a", "b")),
        ("a single one", ("a single one",)),
        ("", ("",)),
        (TextColour.RED, ("red",)),
        (Colour.RED, ("red",)),
        (Colour.LIST, ("a", "b")),
        ([], ()),
        (set(), ()),
        ([" a", "a"], (" a", "a")),
    ],
)
def test_lists_become_tuples_of_strings(value: object, expected: tuple[str, ...]) -> None:
    """Lists keep their order without duplicates, sets are sorted, and a single string is a list of one."""
    assert as_strings(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        None, 5, A_UUID, Colour.NUMBER, b"ab", bytearray(b"ab"), memoryview(b"ab"), {"a": 1}, OrderedDict(a=1),
        object(), ["a", None], ["a", 1.5], ["a", True], [["a"]], [b"a"], {("a",)}, ["a", Secretive()],
    ],
)  # fmt: skip
def test_other_types_are_no_lists(value: object) -> None:
    """Anything but a list, and a list with one element of another type, is refused as a whole."""
    with pytest.raises(RefusedValueError) as refused:
        as_strings(value)
    assert "s3cret" not in str(refused.value)


def test_iterators_keep_their_elements() -> None:
    """An iterator is refused before an element is taken from it."""
    scopes: Iterator[str] = iter(["a", "b"])
    with pytest.raises(RefusedValueError):
        as_strings(scopes)
    assert list(scopes) == ["a", "b"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (datetime(2026, 11, 23, 16, tzinfo=timezone.utc), "2026-11-23T16:00:00Z"),
        (datetime(2026, 11, 23, 16), "2026-11-23T16:00:00Z"),  # noqa: DTZ001 - without zone is the case
        (datetime(2026, 11, 23, 18, tzinfo=timezone(timedelta(hours=2))), "2026-11-23T16:00:00Z"),
        (datetime(2026, 11, 23, 16, 0, 0, 5, timezone.utc), "2026-11-23T16:00:00.000005Z"),
        (datetime(2026, 11, 23, 16, 0, 0, 500000, timezone.utc), "2026-11-23T16:00:00.500000Z"),
        (datetime.max.replace(tzinfo=timezone.utc), "9999-12-31T23:59:59.999999Z"),
        (datetime.min.replace(tzinfo=timezone.utc), "0001-01-01T00:00:00Z"),
        ("2026-11-23T16:00:00Z", "2026-11-23T16:00:00Z"),
        ("2026-11-23t16:00:00z", "2026-11-23T16:00:00Z"),
        ("2026-11-23 16:00:00", "2026-11-23T16:00:00Z"),
        (" 2026-11-23T16:00:00 ", "2026-11-23T16:00:00Z"),
        ("2026-11-23T18:00:00+02:00", "2026-11-23T16:00:00Z"),
        ("2026-11-22T18:30:00-21:30", "2026-11-23T16:00:00Z"),
        ("2026-11-23T16:00:00.5Z", "2026-11-23T16:00:00.500000Z"),
        ("2026-11-23T16:00:00.123456789Z", "2026-11-23T16:00:00.123456Z"),
        ("2026-11-23T16:00:00.000Z", "2026-11-23T16:00:00Z"),
        (Colour.TIME, "2026-11-23T16:00:00Z"),
    ],
)
def test_times_become_rfc_3339_in_utc(value: object, expected: str) -> None:
    """A time or an RFC 3339 string, with or without zone, has six digits of fraction if it has one."""
    assert as_utc(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        None, 1_700_000_000, 1.5, "1700000000", date(2026, 11, 23), "2026-11-23", "2026-13-01T00:00:00Z", "soon", "",
        "2026-02-30T00:00:00Z", "2026-11-23T24:00:00Z", "2026-11-23T16:60:00Z", "2026-11-23T16:00:00+25:00",
        "2026-11-23T16:00:00+01:75", "٢٠٢٦-11-23T16:00:00Z", "9999-12-31T23:59:59-01:00", "0000-01-01T00:00:00Z",
        datetime.min.replace(tzinfo=timezone(timedelta(hours=1))), b"2026-11-23T16:00:00Z", Colour.RED,
    ],
)  # fmt: skip
def test_other_types_are_no_times(value: object) -> None:
    """A number, a day, a string of another form and a time without a UTC form are refused."""
    with pytest.raises(RefusedValueError):
        as_utc(value)


@given(st.datetimes(min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 29)), st.integers(-1439, 1439))  # noqa: DTZ001
def test_a_converted_time_is_the_same_instant(naive: datetime, minutes: int) -> None:
    """The string leads back to the instant, and is its own canonical form."""
    moment = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    text = as_utc(moment)
    assert datetime.fromisoformat(text[:-1] + "+00:00") == moment
    assert as_utc(text) == text == as_utc(moment.isoformat())


@given(st.lists(st.text(max_size=5) | st.integers() | st.uuids()))
def test_converting_a_list_again_changes_nothing(elements: list[object]) -> None:
    """The canonical form of a list is its own canonical form."""
    once = as_strings(elements)
    assert as_strings(once) == once
    assert len(set(once)) == len(once)


@pytest.mark.parametrize(
    ("read", "value", "message"),
    [
        (as_string, 1.5, "expected a string, an integer or a UUID, not float"),
        (as_string, Colour.LIST, "expected a string, an integer or a UUID, not tuple"),
        (as_string, LONGEST + "x", "expected a string of at most 16,384 characters, not one of 16,385"),
        (as_id, "", "expected an id, not an empty string"),
        (as_strings, 5, "expected a list of strings, not int"),
        (as_strings, ["a", b"b"], "expected a string, an integer or a UUID, not bytes"),
        (as_utc, 5, "expected a time or an RFC 3339 string, not int"),
        (as_utc, "2026-02-30T00:00:00Z", "expected a time or an RFC 3339 string, not another string"),
        (
            as_utc,
            datetime.max.replace(tzinfo=timezone(-timedelta(hours=1))),
            "expected a time within the years 1 to 9999 in UTC, not one outside of them",
        ),
    ],
)
def test_a_refusal_describes_the_expected_and_the_actual_value(
    read: Callable[[object], object], value: object, message: str
) -> None:
    """The message names no value because it is logged."""
    with pytest.raises(RefusedValueError) as refused:
        read(value)
    assert str(refused.value) == message


@pytest.mark.parametrize("kind", [list, tuple])
@pytest.mark.parametrize("length", [MAX_LENGTH - 1, MAX_LENGTH])
def test_elements_of_maximum_length_are_kept(kind: Any, length: int) -> None:
    """Such an element is kept alone and beside others; a longer one makes the list unreadable."""
    longest = "x" * length
    assert as_strings(kind([longest])) == (longest,)
    assert as_strings(kind([longest, "a", longest])) == (longest, "a")
    with pytest.raises(RefusedValueError):
        as_strings(kind(["a", LONGEST + "x"]))


def test_white_space_around_a_time_is_ignored() -> None:
    """It counts for the maximum length and is removed."""
    text = "2026-11-23T16:00:00Z"
    assert as_utc(text + " " * (MAX_LENGTH - len(text))) == text


@pytest.mark.parametrize("zone", ["EST5EDT", "UTC0", "CET-1"])
def test_the_zone_of_the_machine_is_ignored(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A time without a zone is UTC, and one with a zone is converted into UTC, wherever the process runs."""
    try:
        with monkeypatch.context() as patched:
            patched.setitem(os.environ, "TZ", zone)
            time.tzset()
            for value in (datetime(2026, 11, 23, 16), "2026-11-23T16:00:00"):  # noqa: DTZ001 - the case
                assert as_utc(value) == "2026-11-23T16:00:00Z"
            for value in (datetime(2026, 11, 23, 16, tzinfo=timezone.utc), "2026-11-23T18:00:00+02:00"):
                assert as_utc(value) == "2026-11-23T16:00:00Z"
    finally:
        time.tzset()


def test_a_string_with_a_zone_keeps_it() -> None:
    """``Z`` is UTC and not a missing zone, so that the filter ``local`` does not change it."""
    moment = as_time("2026-11-23T16:00:00Z")
    assert moment.tzinfo is not None
    assert moment.utcoffset() == timedelta()
    assert as_time("2026-11-23T16:00:00").tzinfo is None
