"""The errors of this package. Their texts name options, targets, fields and types, never a value that was read."""

from __future__ import annotations

from collections.abc import Iterable


class ConfigurationError(ValueError):
    """Raised by ``instrument()`` for a wrong option: which one, the value as given, and what is allowed."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.splitlines()))  # a value's own repr may have several lines


class UnreadableError(ValueError):
    """Raised where a value cannot be read or must not be written. Safe to log: it names types and fields only."""


class MissingError(UnreadableError):
    """Raised where a path leads to nothing: no such item, attribute or parameter."""

    def __init__(self, name: str, owner: object) -> None:
        super().__init__(f"{type(owner).__name__} has no {name!r}")


class UnchangeableError(UnreadableError):
    """Raised where additional fields cannot be given a member: they stay as they are."""


class CredentialError(UnreadableError):
    """Raised where a value holds the credential that the request presented: it is never written out."""

    def __init__(self) -> None:
        super().__init__("a value holds the credential that was presented")


class FullSpanError(UnreadableError):
    """Raised where attributes would push the application's own off a span."""


class ForeignContextError(UnreadableError):
    """Raised for a ``use_key`` that is left in another context than it was entered in."""


class CollisionError(UnreadableError):
    """Stands for a member of a reserved name that is not ours and was moved aside (docs/reference.md, section 4)."""


def class_name(error: BaseException) -> str:
    """Return the class of an exception as in ``error.type``: with its module unless builtin."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


LONGEST_SHOWN = 200
"""Characters of a configured value that a message repeats."""


def shown(value: object) -> str:
    """Return the ``repr`` of a configured value, cut to 200 characters."""
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "…"


def hint(name: str, known: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?`` with the known name nearest to a wrong one, or an empty string."""
    from difflib import get_close_matches  # noqa: PLC0415 - only an error needs it

    spellings = {one.lower(): one for one in known}
    matches = get_close_matches(name[:LONGEST_SHOWN].lower(), spellings, 1)
    nearest = spellings[matches[0]] if matches else name
    return "" if nearest == name else f"; did you mean {nearest!r}?"


class WrongTargetError(Exception):
    """A target can never match; the text is the reason."""
