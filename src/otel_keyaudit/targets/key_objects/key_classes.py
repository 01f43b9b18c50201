"""Inspect the class of a key object: is it generic, which members are readable without running code, public names."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import repeat
from pathlib import Path
from types import MemberDescriptorType
from typing import Any

from otel_keyaudit.guard.guard import quietly
from otel_keyaudit.patching.results.class_members import defines
from otel_keyaudit.targets.expressions import loaded_values

ABSENT = object()
"""Marker for a member that an object lacks."""

UNKNOWN = object()
"""Marker for a value that could not be read or is not loaded, so that the snapshot must not be cached."""

MAX_NAMES = 30
"""Maximum number of public names of a class in a message."""

_ROW_LIBRARIES = frozenset({
    "aiomysql", "aiopg", "aioodbc", "aiosqlite", "asyncmy", "asyncpg", "attrdict", "addict", "benedict", "bson",
    "box", "clickhouse_connect", "cx_Oracle", "databases", "duckdb", "frozendict", "immutabledict",
    "immutables", "MySQLdb", "multidict", "munch", "mysql", "oracledb", "pandas", "pg8000", "piccolo", "polars",
    "psycopg", "psycopg2", "psycopg_pool", "psycopgbinary", "pyarrow", "pymongo", "pymssql", "pymysql",
    "pyodbc", "pyrsistent", "records", "snowflake", "sortedcontainers", "sqlalchemy", "sqlite3", "sqlmodel",
    "starlette", "tortoise", "werkzeug", "wrapt",
})  # fmt: skip
"""Packages whose classes are generic rows, mappings or proxies."""

_INSTALLED = frozenset({"site-packages", "dist-packages"})
"""Folders of installed packages."""

_LIBRARIES = frozenset({"django", "msgspec", "pydantic", "sqlalchemy", "sqlmodel", "peewee", "tortoise", "piccolo"})
"""Packages whose base classes have public members that are not fields of a key."""


def is_generic_class(kind: type, own_package: str = "") -> bool:
    """Return whether a class is generic: if one of its objects is a key, others need not be keys.

    Builtin types, classes of the standard library, and rows and mappings of database drivers and other libraries are
    generic. A class of the application that inherits from one of them is not generic.

    Args:
        kind: The class.
        own_package: The package of the application, which may be installed like a library.
    """
    package = kind.__module__.partition(".")[0]
    if package in sys.stdlib_module_names or package in _ROW_LIBRARIES or _is_proxy(kind):
        return True
    return package != own_package and _is_installed(kind) and (is_mapping_class(kind) or hasattr(kind, "keys"))


def _is_proxy(kind: type) -> bool:
    """Return whether the objects of a class claim to have another class."""
    return any("__class__" in vars(base) for base in kind.__mro__[:-1])


def _is_installed(kind: type) -> bool:
    file = getattr(sys.modules.get(kind.__module__), "__file__", None) or ""
    return not _INSTALLED.isdisjoint(Path(file).parts)


def class_names(kind: type) -> Iterator[str]:
    """Yield the names of a class and of its base classes as ``module:Class``."""
    return (f"{base.__module__}:{base.__qualname__}" for base in kind.__mro__)


def is_mapping_class(kind: type) -> bool:
    """Return whether a class is a mapping. A class without a hash is not, because ABCs look it up by its hash."""
    return bool(quietly(issubclass, kind, Mapping))


def plain_members(kind: type, names: Collection[str]) -> list[str]:
    """Return the members that can be read from objects of a class without running code of the class."""
    if _is_plain_dict(kind):
        return [name for name in names if not defines(kind, name)]
    has_items = is_mapping_class(kind) or hasattr(kind, "keys")
    if has_items or _is_proxy(kind):
        return []
    if loaded_values.is_mapped(kind):
        return [name for name in names if loaded_values.is_column(kind, name) or not defines(kind, name)]
    if _is_dynamic(kind) and not _is_closed_model(kind):
        return []
    return [name for name in names if not _has_descriptor(kind, name)]


def member_reader(kind: type, names: tuple[str, ...], defaults: tuple[Any, ...]) -> Callable[[Any], list[Any]]:
    """Return a function that reads all plain members of an object.

    Args:
        kind: The class of the objects.
        names: The members, from :func:`plain_members`.
        defaults: The value for each member that an object lacks. A missing item of a dict is ``None``.
    """
    if not names:
        return lambda key: []
    if _is_plain_dict(kind):
        return lambda key: [*map(key.get, names)]
    if loaded_values.is_mapped(kind):
        unloaded = tuple(
            UNKNOWN if loaded_values.is_column(kind, name) else default
            for name, default in zip(names, defaults, strict=True)
        )
        return lambda key: [*map(key.__dict__.get, names, unloaded)]
    if _is_dynamic(kind):
        return lambda key: [*map(key.__dict__.get, names, defaults)]
    return lambda key: [*map(getattr, repeat(key), names, defaults)]


def has_member(key: Any, name: str) -> bool:
    """Return whether an object has a member, without reading it."""
    if isinstance(key, Mapping) and name in key:
        return True
    return name in getattr(key, "__dict__", ()) or defines(type(key), name)


def public_names(key: Any) -> list[str]:
    """Return the sorted public names of a key object's items or attributes, without reading any value."""
    if isinstance(key, Mapping):
        found = {name for name in key if isinstance(name, str) and name.isidentifier()}
    else:
        bases = [base for base in type(key).__mro__[:-1] if not _is_library_class(base)]
        found = {name for base in bases for name, value in vars(base).copy().items() if not _is_method(value)}
        found.update(*(getattr(base, "__annotations__", ()) for base in bases if sys.version_info < (3, 14)))
        found.update(getattr(key, "__dict__", ()))
    return sorted(name for name in found if not name.startswith("_") and name != "model_config")[:MAX_NAMES]


def _is_plain_dict(kind: type) -> bool:
    return kind is dict or (
        issubclass(kind, dict)
        and kind.get is dict.get
        and kind.__getitem__ is dict.__getitem__
        and kind.__contains__ is dict.__contains__
        and kind.__getattribute__ is dict.__getattribute__
        and not hasattr(kind, "__getattr__")
    )


def _is_dynamic(kind: type) -> bool:
    """Return whether a class computes attributes by name."""
    bases = [vars(base) for base in kind.__mro__ if base.__module__ != "builtins"]
    return any("__getattr__" in base or "__getattribute__" in base for base in bases)


def _is_closed_model(kind: type) -> bool:
    """Return whether a class is a pydantic model without extra members, so that all fields are in ``__dict__``."""
    owners = [base for base in kind.__mro__[:-1] if "__getattr__" in vars(base) or "__getattribute__" in vars(base)]
    config = getattr(kind, "model_config", {})
    return (
        [base.__module__ for base in owners] == ["pydantic.main"]
        and isinstance(config, dict)
        and config.get("extra") != "allow"
    )


def _has_descriptor(kind: type, name: str) -> bool:
    """Return whether a descriptor computes an attribute. Slots do not count, nor do defaults in the class."""
    found = next((vars(base)[name] for base in kind.__mro__ if name in vars(base)), None)
    return hasattr(type(found), "__get__") and not isinstance(found, MemberDescriptorType)


def _is_library_class(base: type) -> bool:
    return is_generic_class(base) or base.__module__.partition(".")[0] in _LIBRARIES


def _is_method(value: object) -> bool:
    return isinstance(value, (staticmethod, classmethod, type)) or callable(value)
