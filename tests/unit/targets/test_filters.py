"""The filters of the path language, each with what it takes, ``None``, lists and what it refuses."""

import hashlib
import os
import time
from collections import OrderedDict, deque
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from ipaddress import ip_network
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_keyaudit.errors import ConfigurationError, UnreadableError
from otel_keyaudit.targets.expression import parse
from support.paths import read

UTC = timezone.utc
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
SHA = hashlib.sha256(b"abc").hexdigest()


class Colour(Enum):
    RED = "red"


class Secretive:
    def __str__(self) -> str:
        return "s3cret"

    __repr__ = __str__


def filtered(text: str, value: Any) -> Any:
    """Return what a chain of filters makes of a value."""
    return read(f"return|{text}", result=value)


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("split", " a  b\tc\n", ["a", "b", "c"]),
        ("split", "", []),
        ("split:,", "a, b,,c ,", ["a", "b", "c"]),
        ("split::", "a:b", ["a", "b"]),
        ("split: ", "a  b", ["a", "b"]),
        ("split:, ", "a,b", ["a", "b"]),
        ("split", ["a b", "c"], ["a", "b", "c"]),
        ("split", b"a b", ["a", "b"]),
        ("keys", {"b": 0, "a": 1}, ["b", "a"]),
        ("true_keys", OrderedDict(b=False, a=True, c=1, d=[]), ["a", "c"]),
        ("str", 5, "5"),
        ("str", True, "True"),
        ("str", 1.5, "1.5"),
        ("str", UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ("str", Colour.RED, "red"),
        ("str", ip_network("10.0.0.0/8"), "10.0.0.0/8"),
        ("str", Decimal("1.50"), "1.50"),
        ("str", [1, 2], ["1", "2"]),
        ("strs", [1, Colour.RED, ip_network("10.0.0.0/8")], ["1", "red", "10.0.0.0/8"]),
        ("strs", {2, 1}, ["1", "2"]),
        ("strs", deque([1]), ["1"]),
        ("head:2", "abc", "ab"),
        ("head:9", "abc", "abc"),
        ("head:2", ["a", "b", "c"], ["a", "b"]),
        ("head:1", {"b", "a"}, ["a"]),
        ("head:1", deque(["x", "y"]), ["x"]),
        ("head:1", 57, "5"),
        ("tail:2", "abc", "bc"),
        ("tail:9", "abc", "abc"),
        ("tail:2", ("a", "b", "c"), ["b", "c"]),
        ("sha256", "abc", SHA[:16]),
        ("sha256:8", "abc", SHA[:8]),
        ("sha256:64", b"abc", SHA),
        ("sha256", ["abc", None], [SHA[:16], None]),
        ("ts", 1_795_435_200, NOON),
        ("ts", 1_795_435_200.5, NOON + timedelta(milliseconds=500)),
        ("ts:ms", 1_795_435_200_001, NOON + timedelta(milliseconds=1)),
        ("ts:ms", 253_402_300_799_999, datetime(9999, 12, 31, 23, 59, 59, 999_000, UTC)),
        ("ts", 0, datetime(1970, 1, 1, tzinfo=UTC)),
        ("ts", -1, datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("ts", NOON, NOON),
        ("ts", [0], [datetime(1970, 1, 1, tzinfo=UTC)]),
        ("if:a,b", 1, "a"),
        ("if:a,b", 0, "b"),
        ("if:a,b", "", "b"),
        ("if: a , b ", 1, "a"),
        ("if:a", 1, "a"),
        ("if:a,b", [1, 0, None], ["a", "b", "b"]),
        ("is:k_*", "k_1", True),
        ("is:k_*", "K_1", False),
        ("is:k_?", "k_12", False),
        ("is:[ab]*", "b\nc", True),
        ("is:*", 5, True),
        ("is:a*", ["a", "b"], [True, False]),
        ("prefix:user:", "5", "user:5"),
        ("prefix:p-", 5, "p-5"),
        ("prefix:x", ["a", "b"], ["xa", "xb"]),
        ("prefix:x", {"b", "a"}, ["xa", "xb"]),
        ("local", NOON, NOON),
        ("split | prefix:x | head:1", "a b", ["xa"]),
        ("tail:1|str", [1, 2], ["2"]),
    ],
)
def test_filters(text: str, value: object, expected: object) -> None:
    """Each filter converts what it takes; one for a single value maps over a list."""
    assert filtered(text, value) == expected


@pytest.mark.parametrize(
    "text",
    ["split", "split:,", "keys", "true_keys", "str", "strs", "head:1", "tail:1", "sha256", "ts", "ts:ms", "if:a",
     "is:*", "prefix:x", "local"],
)  # fmt: skip
def test_none_stays_none(text: str) -> None:
    """``None`` has no text, keys or time; it stays what it is."""
    assert filtered(text, None) is None


def test_if_has_a_result_for_none() -> None:
    """``if`` with two values takes ``None`` as not truthy, and without the second gives ``None``."""
    assert filtered("if:a,b", None) == "b"
    assert filtered("if:a", 0) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("split", {"a": 1}), ("split", Secretive()), ("split", [["a"]]), ("keys", ["a"]), ("keys", "a"), ("keys", 5),
        ("true_keys", {"a"}), ("str", {"a": 1}), ("str", Secretive()), ("str", [None, Secretive()]),
        ("strs", "text"), ("strs", b"bytes"), ("strs", {"a": 1}), ("strs", 5), ("strs", [None]),
        ("strs", [Secretive()]),
        ("head:1", {"a": 1}), ("head:1", Secretive()), ("tail:1", None.__class__), ("sha256", {"a": 1}),
        ("sha256", Secretive()), ("sha256", memoryview(b"a")), ("ts", "1700000000"), ("ts", True), ("ts", {"a": 1}),
        ("ts", float("nan")), ("ts", float("inf")), ("ts", 10**18), ("ts", 10**400), ("ts", -(10**12)), ("ts", ["a"]),
        ("is:*", {"a": 1}), ("is:*", Secretive()), ("prefix:x", Secretive()), ("prefix:x", {"a": 1}), ("local", 5),
        ("local", "soon"), ("local", [5]),
    ],
)  # fmt: skip
def test_refused_values(text: str, value: object) -> None:
    """A value of another kind is refused, and its text is never asked for."""
    with pytest.raises(UnreadableError) as refused:
        filtered(text, value)
    assert "s3cret" not in str(refused.value)


def test_iterators_are_left_alone() -> None:
    """``strs`` takes nothing from an iterator of the application."""
    scopes: Iterator[str] = iter(["a"])
    with pytest.raises(UnreadableError):
        filtered("strs", scopes)
    assert list(scopes) == ["a"]


@pytest.mark.parametrize("value", [datetime(2026, 7, 1, 12), "2026-07-01T12:00:00"])  # noqa: DTZ001 - the case
def test_local(value: object) -> None:
    """A time without zone, or such a text, is the machine's own; one with a zone keeps it."""
    zone = os.environ.get("TZ")
    try:
        os.environ["TZ"] = "EST5EDT,M3.2.0,M11.1.0"
        time.tzset()
        assert filtered("local", value) == datetime(2026, 7, 1, 16, tzinfo=UTC)
        assert filtered("local", "2026-07-01T12:00:00Z") == datetime(2026, 7, 1, 12, tzinfo=UTC)
    finally:
        os.environ.pop("TZ")
        if zone is not None:
            os.environ["TZ"] = zone
        time.tzset()


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("upper", "known are"), ("Split", "known are"), ("split:", "a separator"), ("keys:a", "no argument"),
        ("true_keys:", "no argument"), ("str:5", "no argument"), ("strs:x", "no argument"), ("local:x", "no argument"),
        ("head", "from 1 to"), ("head:", "from 1 to"), ("head:0", "from 1 to"), ("head:-1", "from 1 to"),
        ("head:x", "from 1 to"), ("head:٣", "from 1 to"), ("tail", "from 1 to"), ("tail:1.5", "from 1 to"),
        ("sha256:7", "from 8 to 64"), ("sha256:65", "from 8 to 64"), ("sha256:", "from 8 to 64"),
        ("sha256:x", "from 8 to 64"), ("ts:s", "'ms'"), ("ts:", "'ms'"), ("if", "a value"), ("if:", "a value"),
        ("is", "a glob"), ("is:", "a glob"), ("prefix", "a text"), ("prefix:", "a text"),
        ("head:" + "9" * 5000, "from 1"),
    ],
)  # fmt: skip
def test_wrong_filters(text: str, allowed: str) -> None:
    """A filter that does not exist, or not with that argument, is an error that names it and says what is allowed."""
    with pytest.raises(ConfigurationError) as wrong:
        parse(f"a|{text}", emitted=False)
    assert repr(f"a|{text}") in str(wrong.value)
    assert allowed in str(wrong.value)
    assert "\n" not in str(wrong.value)


@given(
    st.text(st.sampled_from("[]!-^*?a&~|b"), min_size=1, max_size=8).filter(
        lambda text: "|" not in text and "??" not in text
    )
)
def test_any_glob_compiles(pattern: str) -> None:
    """No pattern fails, nor makes Python warn."""
    assert filtered(f"is:{pattern}", "aab") in (True, False)


@given(st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)))  # noqa: DTZ001 - zone below
def test_ts_is_exact(moment: datetime) -> None:
    """Milliseconds lead to the instant exactly, over all years."""
    instant = moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=UTC)
    milliseconds = (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert filtered("ts:ms", milliseconds) == instant
