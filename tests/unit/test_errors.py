"""Errors are one line with classes and names, and never with a value."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from otel_keyaudit import ConfigurationError
from otel_keyaudit.errors import (
    MAX_SHOWN_LENGTH,
    CredentialError,
    MissingError,
    NoRequestError,
    NotLoadedError,
    UnreadableError,
    WrongTargetError,
    class_name,
    hint,
    one_line,
    printable,
    shown,
)


class RefusedError(Exception):
    class InnerError(Exception):
        """An exception in a class."""


def test_message_about_a_wrong_option_is_one_line() -> None:
    """A given value may have several lines."""
    assert str(ConfigurationError("option 'sampler':\n'a\nb'")) == "option 'sampler': 'a b'"


@pytest.mark.parametrize(
    ("owner", "text"),
    [(SimpleNamespace(secret="s"), "SimpleNamespace has no 'id'"), ({"secret": "s"}, "dict has no 'id'")],
)
def test_missing_name_is_reported_with_the_class_of_its_owner(owner: object, text: str) -> None:
    """The owner itself may hold a secret."""
    assert str(MissingError("id", owner)) == text


def test_a_credential_is_not_repeated() -> None:
    """The message says only that there is a credential."""
    assert str(CredentialError()) == "a value contains the credential presented with the request"


def test_messages_say_what_to_do() -> None:
    """An attribute that is not loaded can be loaded before, and a request must be recognized."""
    assert str(NotLoadedError("scopes", RefusedError)) == (
        "RefusedError.scopes is not loaded, and the library runs no SQL; load it before the target returns (eager "
        "loading, or no expiry on commit)"
    )
    assert str(NoRequestError("add a middleware")) == (
        "it accepted a key outside of every request, so no row or span names it; add a middleware"
    )


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (KeyError("secret"), "KeyError"),
        (RefusedError("secret"), f"{__name__}.RefusedError"),
        (RefusedError.InnerError(), f"{__name__}.RefusedError.InnerError"),
    ],
)
def test_the_class_of_an_exception(error: BaseException, name: str) -> None:
    """The class is shown with its module unless it is builtin."""
    assert class_name(error) == name


FORGED = "Err\nWARNING:root:admin logged in"


def test_the_class_of_an_exception_is_printable() -> None:
    """A line break in the name would forge a log line."""
    kind = type(FORGED, (Exception,), {"__module__": "a\rb"})
    assert class_name(kind()) == "a\\rb.Err\\nWARNING:root:admin logged in"


@pytest.mark.parametrize(
    "error",
    [
        MissingError(FORGED, type(FORGED, (), {})()),
        NotLoadedError(FORGED, type(FORGED, (), {})),
        UnreadableError(FORGED),
        ConfigurationError(FORGED),
        ConfigurationError("\x1b[2J\u202e\u2028\ud800"),
    ],
)
def test_messages_are_printable(error: Exception) -> None:
    """Messages are printable, whatever the names of classes hold."""
    assert str(error).isprintable()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain é 日本", "plain é 日本"),
        ("a\nb", "a\\nb"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\u202e", "\\u202e"),
        ("\ud800", "\\ud800"),
    ],
)
def test_characters_that_are_not_printable_are_escaped(text: str, expected: str) -> None:
    """The escapes are those of a Python string."""
    assert printable(text) == expected


@pytest.mark.parametrize("kind", [ConfigurationError, WrongTargetError])
def test_a_long_name_in_a_message_is_cut(kind: type[Exception]) -> None:
    """A name without spaces has at most 200 characters; a long sentence stays whole."""
    sentence = "allowed are " + ", ".join(map(str, range(100)))
    error = kind(f"target {'x' * 100_000} is wrong; {sentence}")
    assert str(error) == f"target {'x' * 200}… is wrong; {sentence}"
    assert one_line(f"{'x' * 200}: wrong") == f"{'x' * 200}: wrong"


def test_a_long_value_is_cut() -> None:
    """A shorter value is shown as it is."""
    assert shown("a" * 100) == repr("a" * 100)
    assert shown("a" * MAX_SHOWN_LENGTH) == repr("a" * MAX_SHOWN_LENGTH)
    assert shown("a" * 100_000) == repr("a" * MAX_SHOWN_LENGTH) + "…"
    assert len(shown(["x"] * 100_000)) == MAX_SHOWN_LENGTH + 1


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("scops", "; did you mean 'scopes'?"),
        ("SCOPE", "; did you mean 'scopes'?"),
        ("scopes", ""),
        ("xyzzy", ""),
        ("", ""),
        ("s" * 100_000, ""),
    ],
)
def test_the_nearest_name_is_suggested(name: str, expected: str) -> None:
    """Case does not matter, and without a near name nothing is suggested."""
    assert hint(name, ["id", "scopes", "allow_list"]) == expected
