"""Describe values by the names and types of their members. No value of the application is kept or printed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_MAX_MEMBERS = 40

_PLAIN = (str, bytes, bytearray, int, float, bool, complex, type(None), list, tuple, set, frozenset, type)


def members(value: object) -> dict[str, str]:
    """Return the public members of a mapping or an object with the names of their types.

    Only stored values are read, so that no property of the application runs. A member that is not stored has an empty
    type.
    """
    kind = type(value)
    if issubclass(kind, _PLAIN):
        return {}
    if issubclass(kind, Mapping):
        stored: Mapping[Any, Any] = value if kind is dict else {}  # type: ignore[assignment]
    else:
        stored = attributes(value)
    found = {name: type_name(content) for name, content in list(stored.items()) if _is_public(name)}
    if not issubclass(kind, Mapping):
        for name in declared(kind):
            found.setdefault(name, "")
    return dict(list(found.items())[:_MAX_MEMBERS])


def attributes(value: object) -> dict[str, Any]:
    """Return the stored attributes of an object; no code of its class runs, which could recurse or have effects."""
    try:
        stored = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return {}
    return stored if type(stored) is dict else {}


def declared(kind: type) -> list[str]:
    """Return the public names that a class declares: slots, fields of named tuples, properties and columns."""
    names = [name for one in kind.__mro__[:-1] for name, content in vars(one).items() if not _is_method(content)]
    return [name for name in names if _is_public(name)]


def _is_method(content: object) -> bool:
    return callable(content) or isinstance(content, (classmethod, staticmethod))


def _is_public(name: object) -> bool:
    return isinstance(name, str) and name.isidentifier() and not name.startswith("_")


def type_name(value: object) -> str:
    """Return the name of a type, and for a list also that of its first element."""
    if isinstance(value, (list, tuple, set, frozenset)) and value:
        return f"{type(value).__name__}[{type(next(iter(value))).__name__}]"
    return type(value).__name__
