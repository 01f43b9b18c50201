"""Each filter converts a value and checks its argument."""

import hashlib
import os
import time
from collections import OrderedDict, deque
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from ipaddress import ip_network
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_keyaudit.errors import ConfigurationError, UnreadableError
from otel_keyaudit.targets.expressions.expression import Expression, parse
from otel_keyaudit.targets.expressions.filters import compile_filter
from support.calls.paths import read

UTC = timezone.utc
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
SHA = hashlib.sha256(b"abc").hexdigest()


class Colour(Enum):
    RED = "red"


class Secretive:
    def __str__(self) -> str:
        return "s3cret"

    __repr__ = __str__


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
    """Each filter converts its type of value, and filters of single values map over lists."""
    assert filtered(text, value) == expected


@pytest.mark.parametrize(
    "text",
    ["split", "split:,", "keys", "true_keys", "str", "strs", "head:1", "tail:1", "sha256", "ts", "ts:ms", "if:a",
     "is:*", "prefix:x", "local"],
)  # fmt: skip
def test_none_stays_none(text: str) -> None:
    """``None`` stays ``None``, because it has no text, keys or time."""
    assert filtered(text, None) is None


def test_if_has_a_result_for_none() -> None:
    """``if`` treats ``None`` as false, and gives ``None`` without a second value."""
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
    """A value of another type is refused without converting it to a string."""
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
    """A time without a zone is in the machine's zone, and one with a zone keeps it."""
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
        ("is", "a glob"), ("is:", "a glob"), ("prefix", "a string"), ("prefix:", "a string"),
        ("head:" + "9" * 50, "from 1"),
    ],
)  # fmt: skip
def test_wrong_filters(text: str, allowed: str) -> None:
    """The error names the filter and its allowed arguments."""
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
    """Every pattern compiles without an error or a warning."""
    assert filtered(f"is:{pattern}", "aab") in (True, False)


@given(st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)))  # noqa: DTZ001 - zone below
def test_ts_is_exact(moment: datetime) -> None:
    """Milliseconds give the exact instant in every year."""
    instant = moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=UTC)
    milliseconds = (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert filtered("ts:ms", milliseconds) == instant


class Keyed:
    """Has keys and items, and is not a mapping."""

    def keys(self) -> list[str]:
        return ["a", "b"]

    def __getitem__(self, name: str) -> bool:
        return name == "b"


def filtered(text: str, value: Any) -> Any:
    """Apply a chain of filters to a value."""
    return read(f"return|{text}", result=value)


def emitted(text: str, result: Any) -> Any:
    """Return the value that would be recorded."""
    expression = parse(text, emitted=True)
    assert isinstance(expression, Expression)
    return expression.read(lambda path: result)


KNOWN = "acts, head, if, is, keys, local, prefix, sha256, split, str, strs, tail, true_keys, ts"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("upper", f"expression 'a|upper' has an unknown filter 'upper'; known are {KNOWN}"),
        ("split:", "expression 'a|split:': filter 'split' takes a separator after the colon, not ''"),
        ("keys:x", "expression 'a|keys:x': filter 'keys' takes no argument, not 'x'"),
        ("head:0", "expression 'a|head:0': filter 'head' takes a number from 1 to 1000000, not '0'"),
        ("tail", "expression 'a|tail': filter 'tail' takes a number from 1 to 1000000, not None"),
        ("ts:s", "expression 'a|ts:s': filter 'ts' takes no argument or 'ms', not 's'"),
        ("if", "expression 'a|if': filter 'if' takes a value, or two separated by a comma, not None"),
        ("is:", "expression 'a|is:': filter 'is' takes a glob pattern, not ''"),
        ("prefix", "expression 'a|prefix': filter 'prefix' takes a string, not None"),
    ],
)
def test_a_wrong_filter_is_explained(text: str, message: str) -> None:
    """The line has the expression, the filter, its allowed arguments and the given one."""
    with pytest.raises(ConfigurationError) as wrong:
        parse(f"a|{text}", emitted=False)
    assert str(wrong.value) == message


@pytest.mark.parametrize(
    ("text", "value", "message"),
    [
        ("keys", 5, "filter keys takes a mapping, not int"),
        ("strs", "text", "filter strs takes a list, not str"),
        ("ts", "soon", "filter ts takes a number, not str"),
        ("ts", 10**18, "filter ts takes seconds since 1970 within the years 1 to 9999"),
        ("ts:ms", 10**18, "filter ts takes milliseconds since 1970 within the years 1 to 9999"),
    ],
)
def test_a_refused_value_is_explained_by_its_kind(text: str, value: object, message: str) -> None:
    """The reason is logged, so it has no value."""
    with pytest.raises(UnreadableError) as refused:
        filtered(text, value)
    assert str(refused.value) == message


def test_keys_of_an_object_without_mapping_interface() -> None:
    """Any object with keys and items is a mapping."""
    assert filtered("keys", Keyed()) == ["a", "b"]
    assert filtered("true_keys", Keyed()) == ["b"]


def test_a_set_is_in_the_order_of_its_texts() -> None:
    """The order is that of the strings, so that the same set is the same list."""
    assert filtered("strs", {2, "10", 1}) == ["1", "10", "2"]
    assert filtered("str", frozenset({2, "10", 1})) == ["1", "10", "2"]


@pytest.mark.parametrize("value", [b"\xff\x00", bytearray(b"\xff\x00")])
def test_bytes_are_digested_as_they_are(value: bytes) -> None:
    """Bytes are hashed without decoding."""
    assert filtered("sha256:64", value) == hashlib.sha256(b"\xff\x00").hexdigest()


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("return.key|sha256", "s3cret-key", hashlib.sha256(b"s3cret-key").hexdigest()[:16]),
        ("return.key|tail:4", "s3cret-key", "-key"),
        ("return.key|tail:1", "s3cret-key", "y"),
        ("return.key|tail:4", 12345678, "5678"),
    ],
)
def test_secret_can_be_hashed_or_cut(text: str, value: object, expected: str) -> None:
    """Only a hash, or at most four characters, of a secret can be recorded."""
    assert emitted(text, {"key": value}) == expected


def test_a_list_of_secrets_has_no_tail() -> None:
    """The last elements of a list would be whole secrets."""
    with pytest.raises(UnreadableError):
        emitted("return.key|tail:4", {"key": ["s3cret", "s3cret"]})


@pytest.mark.parametrize("text", ["return.key|tail:5", "return.key|head:4", "return.key|str", "return.key|prefix:a"])
def test_other_filters_are_refused_after_a_secret(text: str) -> None:
    """Longer tails, other parts and all other filters are refused when the target is compiled."""
    with pytest.raises(ConfigurationError):
        parse(text, emitted=True)


@pytest.mark.parametrize(
    ("name", "argument", "shown"),
    [
        ("keys", None, None), ("true_keys", None, None), ("str", None, None), ("strs", None, None),
        ("local", None, None), ("split", None, None), ("split", ",", ","), ("head", "2", 2), ("tail", " 3 ", 3),
        ("sha256", None, 16), ("sha256", "8", 8), ("ts", None, None), ("ts", "ms", "ms"), ("if", "a,b", "a,b"),
        ("is", "a*", "a*"), ("prefix", "x", "x"),
    ],
)  # fmt: skip
def test_filters_are_told_apart_by_name_and_argument(name: str, argument: str | None, shown: object) -> None:
    """Filters that are written alike are equal, which makes their targets equal."""
    compiled = compile_filter("", name, argument)
    assert (compiled.name, compiled.argument) == (name, shown)
    assert compiled == compile_filter("", name, argument)


def act(*subjects: object) -> dict[str, object] | None:
    """Return an ``act`` claim for these subjects, the current one first."""
    claim: dict[str, object] | None = None
    for subject in reversed(subjects):
        claim = {"sub": subject} if claim is None else {"sub": subject, "act": claim}
    return claim


def test_acts_are_listed_from_the_outermost() -> None:
    """The current actor comes first (RFC 8693, section 4.1)."""
    assert filtered("acts", act("gateway")) == ["gateway"]
    assert filtered("acts", act("gateway", "agent", "job")) == ["gateway", "agent", "job"]
    assert filtered("acts", None) is None
    assert filtered("acts", {"client_id": "c_1", "act": {"sub": "a_1", "client_id": "other"}}) == ["c_1", "a_1"]


def test_acts_may_be_objects() -> None:
    """An application may parse a claim into a model, whose missing members have other names or are ``None``."""
    inner = SimpleNamespace(sub=None, client_id="job", act=None)
    assert filtered("acts", SimpleNamespace(sub="gateway", act={"sub": "agent", "act": inner})) == [
        "gateway", "agent", "job",
    ]  # fmt: skip


def test_each_act_is_listed_once() -> None:
    """An actor may act again further inside, and the count is about distinct actors."""
    actors = filtered("acts", act("gateway", "agent", "gateway"))
    assert (actors, actors.total) == (["gateway", "agent"], 2)


@pytest.mark.parametrize(("depth", "kept"), [(10, 10), (11, 10), (5_000, 10)])
def test_of_many_acts_ten_are_kept_and_all_counted(depth: int, kept: int) -> None:
    """At most ten actors are kept, and all are counted."""
    actors = filtered("acts", act(*(f"a_{number}" for number in range(depth))))
    assert actors == [f"a_{number}" for number in range(kept)]
    assert actors.total == depth


@pytest.mark.parametrize(
    "claim", [{}, {"sub": 5}, {"sub": None}, "gateway", ["gateway"], act("a", 5), {"sub": "a", "act": "b"}]
)
def test_acts_without_a_name_are_refused(claim: object) -> None:
    """A list with a gap would name the wrong actor."""
    with pytest.raises(UnreadableError, match="filter acts"):
        filtered("acts", claim)


def test_endless_acts_are_refused() -> None:
    """A mapping can contain itself."""
    claim: dict[str, object] = {"sub": "a"}
    claim["act"] = claim
    with pytest.raises(UnreadableError, match="endless"):
        filtered("acts", claim)


def test_acts_take_no_argument() -> None:
    """The number of actors cannot be configured."""
    with pytest.raises(ConfigurationError, match="takes no argument"):
        parse("act|acts:3", emitted=True)
