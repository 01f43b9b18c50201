"""Filters at their limits: secrets behind them, kinds of mappings and sets, and what a refusal says, word by word."""

import hashlib
from typing import Any

import pytest

from otel_keyaudit.errors import ConfigurationError, UnreadableError
from otel_keyaudit.targets.expression import Expression, parse
from otel_keyaudit.targets.filters import compile_filter
from support.paths import read


class Keyed:
    """Has keys and items, and is no mapping."""

    def keys(self) -> list[str]:
        return ["a", "b"]

    def __getitem__(self, name: str) -> bool:
        return name == "b"


def filtered(text: str, value: Any) -> Any:
    """Return what a chain of filters makes of a value."""
    return read(f"return|{text}", result=value)


def emitted(text: str, result: Any) -> Any:
    """Return what would be written out."""
    expression = parse(text, emitted=True)
    assert isinstance(expression, Expression)
    return expression.read(lambda path: result)


KNOWN = "head, if, is, keys, local, prefix, sha256, split, str, strs, tail, true_keys, ts"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("upper", f"expression 'a|upper' has an unknown filter 'upper'; known are {KNOWN}"),
        ("split:", "expression 'a|split:': filter 'split' takes a separator after the colon, not ''"),
        ("keys:x", "expression 'a|keys:x': filter 'keys' takes no argument, not 'x'"),
        ("head:0", "expression 'a|head:0': filter 'head' takes a number from 1 to 1000000, not '0'"),
        ("tail", "expression 'a|tail': filter 'tail' takes a number from 1 to 1000000, not None"),
        ("ts:s", "expression 'a|ts:s': filter 'ts' takes no argument or 'ms', not 's'"),
        ("if", "expression 'a|if': filter 'if' takes a value, or two with a comma between, not None"),
        ("is:", "expression 'a|is:': filter 'is' takes a glob pattern, not ''"),
        ("prefix", "expression 'a|prefix': filter 'prefix' takes a text, not None"),
    ],
)
def test_a_wrong_filter_is_explained(text: str, message: str) -> None:
    """The expression, the filter, what it takes and what it was given."""
    with pytest.raises(ConfigurationError) as wrong:
        parse(f"a|{text}", emitted=False)
    assert str(wrong.value) == message


@pytest.mark.parametrize(
    ("text", "value", "message"),
    [
        ("keys", 5, "filter keys takes a mapping, not int"),
        ("strs", "text", "filter strs takes a list, not str"),
        ("ts", "soon", "filter ts takes a number, not str"),
        ("ts", 10**18, "filter ts takes seconds since 1970, and there is no such time"),
        ("ts:ms", 10**18, "filter ts takes milliseconds since 1970, and there is no such time"),
    ],
)
def test_a_refused_value_is_explained_by_its_kind(text: str, value: object, message: str) -> None:
    """This text stands in the log, so the value is not in it."""
    with pytest.raises(UnreadableError) as refused:
        filtered(text, value)
    assert str(refused.value) == message


def test_keys_of_what_is_no_mapping() -> None:
    """Anything with keys and items will do."""
    assert filtered("keys", Keyed()) == ["a", "b"]
    assert filtered("true_keys", Keyed()) == ["b"]


def test_a_set_is_in_the_order_of_its_texts() -> None:
    """Also where its elements have no order of their own, so that the same set is the same list."""
    assert filtered("strs", {2, "10", 1}) == ["1", "10", "2"]
    assert filtered("str", frozenset({2, "10", 1})) == ["1", "10", "2"]


@pytest.mark.parametrize("value", [b"\xff\x00", bytearray(b"\xff\x00")])
def test_bytes_are_digested_as_they_are(value: bytes) -> None:
    """A digest of bytes needs no text."""
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
def test_a_secret_behind_a_digest_or_a_tail(text: str, value: object, expected: str) -> None:
    """A digest, or at most four characters of the text, are what may be shown of a secret."""
    assert emitted(text, {"key": value}) == expected


def test_a_list_of_secrets_has_no_tail() -> None:
    """The last elements of a list would be whole secrets."""
    with pytest.raises(UnreadableError):
        emitted("return.key|tail:4", {"key": ["s3cret", "s3cret"]})


@pytest.mark.parametrize("text", ["return.key|tail:5", "return.key|head:4", "return.key|str", "return.key|prefix:a"])
def test_nothing_else_may_stand_behind_a_secret(text: str) -> None:
    """More characters, others than the last, and any other filter are refused when the target is compiled."""
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
    """Two that are written alike are equal, which is what tells that two targets are one."""
    compiled = compile_filter("", name, argument)
    assert (compiled.name, compiled.argument) == (name, shown)
    assert compiled == compile_filter("", name, argument)
