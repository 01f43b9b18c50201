"""Read the stored members of values without running code of the application. No value is kept or printed."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from enum import Enum
from functools import cache
from types import MemberDescriptorType, SimpleNamespace
from typing import Any, Final, TypeGuard, TypeVar, cast

Kind = TypeVar("Kind")

_MAX_MEMBERS: Final = 40
_MAX_ATTRIBUTES: Final = 4

_PLAIN = (str, bytes, bytearray, int, float, bool, complex, type(None), list, set, frozenset, type, Enum)
_ROWS: Final = {
    "sqlite3": ("Row",), "sqlalchemy": ("Row", "RowMapping"), "asyncpg": ("Record",),
    "psycopg2": ("DictRow", "RealDictRow"),
    "collections": ("UserDict", "ChainMap", "OrderedDict", "defaultdict"),
}  # fmt: skip
"""Mappings and rows whose keys can be read without side effects, as module and classes."""


_NO_KEY_PACKAGES: Final = frozenset({
    "aiohttp", "anyio", "asyncpg", "httpcore", "httpx", "jinja2", "peewee", "psycopg", "psycopg2", "pydantic",
    "pymongo", "redis", "requests", "sqlalchemy", "sqlmodel", "structlog", "loguru", "urllib3", "uvicorn", "werkzeug",
})  # fmt: skip


_MONGO_ID: Final = "_id"


class _Declared:
    """Marker for a member that the class declares but the object does not store, such as a property."""


DECLARED: Final = _Declared()


def is_a(value: object, kind: type[Kind] | tuple[type[Kind], ...]) -> TypeGuard[Kind]:
    """Check the class of a value. ``isinstance`` would ask a proxy for the class of the object behind it.

    The answer of Werkzeug's ``LocalProxy`` or Django's ``SimpleLazyObject``, such as the current user, may begin an
    authentication.
    """
    return issubclass(type(value), kind)


def is_plain(value: object) -> bool:
    """Check whether a value has no members."""
    return is_a(value, _PLAIN) or type(value) is tuple


def is_standard(kind: type) -> bool:
    """Check for a class of the standard library, such as ``UUID``, except generic objects."""
    return kind.__module__.partition(".")[0] in sys.stdlib_module_names and kind is not SimpleNamespace


def is_infrastructure(kind: type) -> bool:
    """Check for a class of the standard library, an ORM or a client library, whose objects are not keys."""
    is_foreign = is_standard(kind) or kind.__module__.partition(".")[0] in _NO_KEY_PACKAGES
    return is_foreign and kind is not dict and not _is_row(kind)


def content(value: object) -> dict[str, Any]:
    """Return the public members of a mapping or an object, and the id of a MongoDB document.

    Only stored values are read, so that no property of the application runs. A member that is not stored is
    ``DECLARED``.
    """
    kind = type(value)
    if is_plain(value):
        return {}
    if kind is dict:
        found = dict(value)  # type: ignore[call-overload]
    elif _is_row(kind):
        found = {name: _item(value, name) for name in _keys(value)}
    elif issubclass(kind, Mapping):
        found = {}
    else:
        found = attributes(value)
        found |= _prefetched(found)
        for name in declared(kind):
            found.setdefault(name, DECLARED)
    return dict([item for item in found.items() if _is_public(item[0])][:_MAX_MEMBERS])


def _prefetched(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the related objects that Django has fetched for an object with these attributes."""
    queries = stored.get("_prefetched_objects_cache")
    fetched = {name: attributes(query).get("_result_cache") for name, query in (queries or {}).items()}
    return {name: objects for name, objects in fetched.items() if type(objects) is list}


def members(value: object) -> dict[str, str]:
    """Return the names of public members with the names of their types, which are empty for members not stored."""
    return {name: type_name(stored) for name, stored in content(value).items()}


def attributes(value: object) -> dict[str, Any]:
    """Return the stored attributes of an object, without running code of its class, which may have side effects."""
    kind: Any = type(value)
    if issubclass(kind, tuple):
        names: tuple[str, ...] = kind.__dict__.get("_fields", ())
        return dict(zip(names, tuple.__iter__(cast("tuple[Any, ...]", value)), strict=False))
    try:
        stored = object.__getattribute__(value, "__dict__")
    except AttributeError:
        stored = {}
    found = dict(stored) if type(stored) is dict else {}
    for name, slot in _slots(kind).items():
        if name not in found:
            try:
                found[name] = slot.__get__(value)
            except AttributeError:  # it was never set
                continue
    return found


def few_attributes(value: object) -> list[Any]:
    """Return the stored attributes of an object if it has at most four."""
    kind: Any = type(value)
    if issubclass(kind, (int, float, type(None), set, frozenset, type, Enum)):
        return []
    try:
        stored = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return list(attributes(value).values()) if len(_slots(kind)) <= _MAX_ATTRIBUTES else []
    return list(stored.values()) if type(stored) is dict and len(stored) <= _MAX_ATTRIBUTES else []


@cache
def _slots(kind: Any) -> dict[str, MemberDescriptorType]:
    """Return the slots of a class."""
    return {
        name: slot
        for one in reversed(kind.__mro__[:-1])
        for name, slot in vars(one).copy().items()
        if type(slot) is MemberDescriptorType
    }


def declared(kind: type) -> list[str]:
    """Return the public names that a class declares: slots, named tuple fields, properties and columns.

    Bases of other libraries, such as ``pydantic.BaseModel``, and constants declare nothing that is specific to a key.
    """
    bases = kind.__mro__[:-1]
    foreign = {name for one in bases if one is not kind and is_infrastructure(one) for name in list(vars(one))}
    stored = [(name, one) for base in bases for name, one in vars(base).copy().items() if name not in foreign]
    return [name for name, one in stored if _is_public(name) and not (_is_method(one) or _is_constant(name, one))]


def type_name(value: object) -> str:
    """Return the type name of a value, with the type of a list's first element; empty if the value is not stored."""
    if value is DECLARED:
        return ""
    if is_a(value, (list, tuple, set, frozenset)) and value:
        return f"{type(value).__name__}[{type(next(iter(value))).__name__}]"
    return type(value).__name__


def _is_method(stored: object) -> bool:
    return callable(stored) or is_a(stored, (classmethod, staticmethod))


def _is_constant(name: str, stored: object) -> bool:
    return name.isupper() and not hasattr(type(stored), "__get__")


def _is_public(name: object) -> bool:
    return isinstance(name, str) and name.isidentifier() and (name == _MONGO_ID or not name.startswith("_"))


def _is_row(kind: type) -> bool:
    return any(
        one.__name__ in _ROWS.get(one.__module__.partition(".")[0], ()) for one in kind.__mro__[:-1] if one.__module__
    )


def _keys(value: Any) -> list[str]:
    if is_a(value, tuple) or not hasattr(value, "keys"):
        return list(value._fields)
    return list(value.keys())


def _item(value: Any, name: str) -> Any:
    return getattr(value, name, DECLARED) if is_a(value, tuple) or not hasattr(value, "keys") else value[name]
