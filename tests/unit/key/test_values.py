"""What may leave a key object, and what is refused."""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_keyaudit.key import canonical as values
from otel_keyaudit.key.canonical import MAX_LENGTH, RefusedValueError

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


class OwnText(str):
    """A text that shows itself in another way."""

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
        (OwnText("text"), "text"),
        (OwnText("téxt"), "téxt"),
        (OwnNumber(4), "4"),
        ("a\ud800b", "a\\ud800b"),
    ],
)
def test_text(value: object, expected: str) -> None:
    """Text, integers, UUIDs and enum members become plain text; what a subclass shows of itself does not count."""
    result = values.text(value)
    assert result == expected
    assert type(result) is str


@pytest.mark.parametrize(
    "value", [None, True, False, 1.5, b"bytes", bytearray(b"b"), Decimal(1), ["a"], {"a": 1}, Secretive(), Colour.FLAG]
)
def test_text_refuses_other_kinds(value: object) -> None:
    """Any other kind is refused, and the error names the kind and never the value."""
    with pytest.raises(RefusedValueError) as refused:
        values.text(value)
    assert type(value).__name__ in str(refused.value) or isinstance(value, Enum)
    assert "s3cret" not in str(refused.value)


def test_identifier_is_not_empty() -> None:
    """An empty text identifies no key."""
    assert values.identifier(5) == "5"
    with pytest.raises(RefusedValueError):
        values.identifier("")


LONGEST = "x" * MAX_LENGTH


@pytest.mark.parametrize("value", [LONGEST, "é" * MAX_LENGTH, OwnText(LONGEST), "\ud800" * (MAX_LENGTH // 6)])
def test_the_longest_text_is_whole(value: str) -> None:
    """Up to the limit, which counts what is written, no text is cut, and reading it again changes nothing."""
    result = values.text(value)
    assert result == str.encode(value, "utf-8", "backslashreplace").decode()
    assert values.text(result) == result == values.identifier(value)
    assert values.texts([value, "a"]) == (result, "a")


@pytest.mark.parametrize("value", [LONGEST + "x", LONGEST + "é", "x" * 10_000_000, "\ud800" * (MAX_LENGTH // 6 + 1)])
def test_a_longer_text_is_refused(value: str) -> None:
    """It is no id, no element of a list and no time, rather than a part of itself."""
    reads: list[Callable[[], object]] = [
        lambda: values.text(value),
        lambda: values.text(OwnText(value)),
        lambda: values.identifier(value),
        lambda: values.texts(value),
        lambda: values.texts(["a", value]),
        lambda: values.texts({"a", value}),
        lambda: values.point_in_time(value),
        lambda: values.point_in_time("2026-11-23T16:00:00Z" + " " * MAX_LENGTH),
    ]
    for read in reads:
        with pytest.raises(RefusedValueError) as refused:
            read()
        assert len(str(refused.value)) < 100


def test_a_long_list_is_whole() -> None:
    """Only its elements have a longest length: what is written of a list is another limit."""
    elements = [f"{'x' * 1000}:{number}" for number in range(10_000)]
    assert values.texts(elements) == tuple(elements)


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
def test_texts(value: object, expected: tuple[str, ...]) -> None:
    """Lists keep their order without duplicates, sets are sorted, a single text is a list of one, none stays none."""
    assert values.texts(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        None, 5, A_UUID, Colour.NUMBER, b"ab", bytearray(b"ab"), memoryview(b"ab"), {"a": 1}, OrderedDict(a=1),
        object(), ["a", None], ["a", 1.5], ["a", True], [["a"]], [b"a"], {("a",)}, ["a", Secretive()],
    ],
)  # fmt: skip
def test_texts_refuses_other_kinds(value: object) -> None:
    """Whatever is no list, and a list with one element of another kind, is refused as a whole."""
    with pytest.raises(RefusedValueError) as refused:
        values.texts(value)
    assert "s3cret" not in str(refused.value)


def test_iterators_keep_their_elements() -> None:
    """An iterator is refused before anything is taken from it."""
    scopes: Iterator[str] = iter(["a", "b"])
    with pytest.raises(RefusedValueError):
        values.texts(scopes)
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
def test_point_in_time(value: object, expected: str) -> None:
    """A time, with or without zone, or such a text becomes RFC 3339 in UTC, with six digits of fraction if any."""
    assert values.point_in_time(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        None, 1_700_000_000, 1.5, "1700000000", date(2026, 11, 23), "2026-11-23", "2026-13-01T00:00:00Z", "soon", "",
        "2026-02-30T00:00:00Z", "2026-11-23T24:00:00Z", "2026-11-23T16:60:00Z", "2026-11-23T16:00:00+25:00",
        "2026-11-23T16:00:00+01:75", "٢٠٢٦-11-23T16:00:00Z", "9999-12-31T23:59:59-01:00", "0000-01-01T00:00:00Z",
        datetime.min.replace(tzinfo=timezone(timedelta(hours=1))), b"2026-11-23T16:00:00Z", Colour.RED,
    ],
)  # fmt: skip
def test_point_in_time_refuses_other_kinds(value: object) -> None:
    """A number, a day, a text of another form and a time that cannot be said in UTC are refused."""
    with pytest.raises(RefusedValueError):
        values.point_in_time(value)


@given(st.datetimes(min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 29)), st.integers(-1439, 1439))  # noqa: DTZ001
def test_point_in_time_is_the_same_instant(naive: datetime, minutes: int) -> None:
    """The text leads back to the instant, and is its own canonical form."""
    moment = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    text = values.point_in_time(moment)
    assert datetime.fromisoformat(text[:-1] + "+00:00") == moment
    assert values.point_in_time(text) == text == values.point_in_time(moment.isoformat())


@given(st.lists(st.text(max_size=5) | st.integers() | st.uuids()))
def test_texts_is_idempotent(elements: list[object]) -> None:
    """A list that was read once is read again as it is."""
    once = values.texts(elements)
    assert values.texts(once) == once
    assert len(set(once)) == len(once)
