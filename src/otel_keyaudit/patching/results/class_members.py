"""Look up members of a class without running code of its metaclass, which may raise or have every attribute."""

from __future__ import annotations

from typing import Any

_BASES = type.__dict__["__mro__"].__get__
_MEMBERS = type.__dict__["__dict__"].__get__


def defines(kind: type, name: str) -> bool:
    """Return whether a class or one of its bases defines a name."""
    return any(name in _MEMBERS(base) for base in _BASES(kind))


def has_method(kind: type, name: str) -> bool:
    """Return whether objects of a class have a method. A class attribute of ``None`` declares that they do not."""
    found: Any = next((members[name] for members in map(_MEMBERS, _BASES(kind)) if name in members), None)
    return callable(found)


def is_row(kind: type) -> bool:
    """Return whether objects of a class are rows of Tortoise: they are awaitable, but awaiting one only returns it."""
    return any(_MEMBERS(base).get("__module__") == "tortoise.models" for base in _BASES(kind))
