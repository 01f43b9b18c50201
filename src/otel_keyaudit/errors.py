"""Exceptions of this package, and helpers that keep messages printable, on one line and free of recorded values."""

from __future__ import annotations

import re
from collections.abc import Iterable

MAX_SHOWN_LENGTH = 200
"""Maximum number of characters of a configured value that a message shows."""


class ConfigurationError(ValueError):
    """Raised by ``instrument()`` for a wrong option. The message names the option, the value and the allowed values."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(" ".join(message.splitlines())))  # the repr of a value may have several lines


class WrongTargetError(Exception):
    """Raised if a target can never match. The message is the reason."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class UnreadableError(ValueError):
    """Raised if a value cannot be read or must not be written. The message names types and fields, never values."""

    def __init__(self, message: str = "") -> None:
        super().__init__(printable(message))


class MissingError(UnreadableError):
    """Raised if an object lacks an attribute, an element or a parameter.

    Attributes:
        name: The missing name.
    """

    def __init__(self, name: str, owner: object) -> None:
        super().__init__(f"{type(owner).__name__} has no {name!r}")
        self.name = name


class NotLoadedError(UnreadableError):
    """Raised if an attribute of a mapped object is not loaded, because loading it would run SQL."""

    def __init__(self, name: str, owner: type) -> None:
        super().__init__(
            f"{owner.__name__}.{name} is not loaded, and the library runs no SQL; load it before the target returns "
            "(eager loading, or no expiry on commit)"
        )


class UnchangeableError(UnreadableError):
    """Raised if the additional fields cannot receive a member. They stay as they are."""


class MaskedError(UnreadableError):
    """Reports a member that the audit function replaced with another value, such as asterisks."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the function replaced the member {name!r} with a value that is not an object, so the row does not name "
            "the key; if it masks such names, choose others with request_field and subject_field"
        )


class CredentialError(UnreadableError):
    """Raised if a value contains the credential presented with the request. The library never writes it."""

    def __init__(self) -> None:
        super().__init__("a value contains the credential presented with the request")


class FullSpanError(UnreadableError):
    """Raised if the library's attributes would displace the application's own on a span."""


class ForeignContextError(UnreadableError):
    """Raised if a ``use_key`` block is entered in one context and left in another."""


class CollisionError(UnreadableError):
    """Reports that a member with a reserved name, which the library did not write, was renamed."""


class NoRequestError(UnreadableError):
    """Reports a key that was accepted outside of every request, so no row and no span can name it.

    Args:
        remedy: How the request is recognized, as the end of a sentence.
    """

    def __init__(self, remedy: str) -> None:
        super().__init__(f"it accepted a key outside of every request, so no row or span names it; {remedy}")


def class_name(error: BaseException) -> str:
    """Return the class name of an exception as in ``error.type``: with its module unless builtin."""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return printable(name)


def printable(text: str) -> str:
    """Escape every character that would break a line, control a terminal or be invisible."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


_LONG_WORD = re.compile(rf"(\S{{{MAX_SHOWN_LENGTH}}})\S{{10,}}")


def one_line(message: str) -> str:
    """Return a message for one line, in which a name or value without spaces has at most about 200 characters."""
    return _LONG_WORD.sub(r"\1…", printable(message))


def shown(value: object) -> str:
    """Return the ``repr`` of a configured value, cut to 200 characters; of a string, its first 200 characters."""
    is_string = isinstance(value, str)
    text = str(value) if is_string else repr(value)
    cut = text[:MAX_SHOWN_LENGTH]
    return (repr(cut) if is_string else cut) + ("…" if len(text) > MAX_SHOWN_LENGTH else "")


def hint(name: str, known: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?`` with the known name nearest to a wrong one, or an empty string."""
    from difflib import get_close_matches  # noqa: PLC0415 - only an error needs it

    spellings = {spelling.lower(): spelling for spelling in known}
    matches = get_close_matches(name[:MAX_SHOWN_LENGTH].lower(), spellings, 1)
    nearest = spellings[matches[0]] if matches else name
    return "" if nearest == name else f"; did you mean {nearest!r}?"
