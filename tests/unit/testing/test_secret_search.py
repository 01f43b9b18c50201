"""A secret is searched in every encoding and in every place of a value."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from otel_keyaudit.testing.secret_search import finder, texts

SECRET = 'pa"ss/wörd +1'
RAW = b"\xfb\xef\xbe\xff\xfe?>key"
BESIDE = b"0123456789"


@dataclass
class Pair:
    """Has fields."""

    first: Any
    second: Any


class Shown:
    def __str__(self) -> str:
        return "shown"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a", ["a"]),
        (b"a\xff", ["a\N{REPLACEMENT CHARACTER}"]),
        (bytearray("ä".encode()), ["ä"]),
        ({"a": {"b": "c"}, 1: None}, ["a", "1", "b", "c", "None"]),
        (["a", ("b", ["c"])], ["a", "b", "c"]),
        ({"a"}, ["a"]),
        (frozenset(["a"]), ["a"]),
        (Pair("a", Pair(b"b", 2)), ["a", "b", "2"]),
        (Shown(), ["shown"]),
        ([], []),
    ],
)
def test_every_string_in_a_value_is_searched(value: object, expected: list[str]) -> None:
    """Names, numbers and the string of an object are searched too."""
    assert list(texts(value)) == expected


@pytest.mark.parametrize("given", [SECRET, SECRET.encode()], ids=["text", "bytes"])
@pytest.mark.parametrize(
    ("text", "form"),
    [
        (f"<{SECRET}>", "as it is"),
        (json.dumps({"a": SECRET}), "escaped"),
        (json.dumps({"a": SECRET}, ensure_ascii=False), "escaped"),
        (SECRET.encode().decode("latin-1"), "read as Latin-1"),
        ("/?key=" + quote(SECRET, safe=""), "in URL form"),
        ("key=" + quote_plus(SECRET), "in URL form"),
        ("0x" + SECRET.encode().hex(), "in hex"),
        ("0x" + SECRET.encode().hex().upper(), "in hex"),
        (SECRET.replace("ö", "o"), None),
        ("", None),
    ],
)
def test_the_forms_of_a_secret(given: str | bytes, text: str, form: str | None) -> None:
    """The secret is given as a string or as bytes."""
    assert finder(given)(text) == form


@pytest.mark.parametrize(
    "written", [json.dumps, lambda text: json.dumps(text, ensure_ascii=False), repr], ids=["ascii", "json", "repr"]
)
def test_a_secret_that_is_escaped(written: Callable[[str], str]) -> None:
    """JSON and Python escape in different ways; a string without its first or last character does not match."""
    find = finder('pa"ss\x7fwörd1')
    form = written('pa"ss\x7fwörd1')[1:-1]
    assert [find(text) for text in (form, form[1:], form[:-1])] == ["escaped", None, None]


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("before", range(4))
@pytest.mark.parametrize("after", range(4))
def test_a_secret_inside_of_base64(encode: Any, before: int, after: int) -> None:
    """The secret is found with any bytes around it, in either alphabet, and one changed bit is not a match."""
    find = finder(RAW)
    assert find(encode(BESIDE[:before] + RAW + BESIDE[:after]).decode()) == "in base64"
    assert find(encode(BESIDE[:before] + RAW[:-1] + b"!" + BESIDE[:after]).decode()) is None
    assert find(encode(BESIDE[:before] + b"\xff" + RAW[1:] + BESIDE[:after]).decode()) is None


def test_a_secret_that_is_no_utf8() -> None:
    """Lone surrogates in a string and bytes that are not UTF-8 are found."""
    assert finder("key\ud800key")("a key\ud800key") == "as it is"
    assert finder(b"key\xffkey")("key\N{REPLACEMENT CHARACTER}key") == "as it is"
    assert finder(b"key\xffkey")("key\xffkey") == "read as Latin-1"


@pytest.mark.parametrize("secret", ["", "abc", b"abc", "ä!"])
def test_too_short_secret_is_refused(secret: str | bytes) -> None:
    """The length is counted in bytes."""
    with pytest.raises(ValueError, match=r"^a secret of fewer than 4 bytes would be found by chance$"):
        finder(secret)


@pytest.mark.parametrize("secret", ["abcd", b"abcd", "ää"])
def test_shortest_secret_that_is_searched(secret: str | bytes) -> None:
    """The shortest secret has four bytes."""
    assert finder(secret)("<abcd ää>") == "as it is"
