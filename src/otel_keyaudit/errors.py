"""The errors of this package. Their texts name options, targets, fields and types, never a value that was read."""

from __future__ import annotations


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
