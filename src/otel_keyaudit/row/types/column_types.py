"""Determine from a mapped column whether it takes a string, bytes or a mapping, without importing the mapper.

Supported mappers are SQLAlchemy, SQLModel, Django, Peewee, Tortoise, Piccolo and Pony.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import takewhile
from typing import Any, Final, NamedTuple

from otel_keyaudit.guard.signals import expected

UNKNOWN: Final = "unknown"
"""The kind of a place whose type is known but is neither a string, bytes nor a mapping."""


def kind_of_column(owner: type, name: str) -> str | None:
    """Return the kind of a column: ``text``, ``bytes``, ``dict`` or ``UNKNOWN``; ``None`` if there is no such column.

    Args:
        owner: The mapped class.
        name: The attribute.
    """
    for column in _columns(owner, name):
        for mapper in _MAPPERS:
            if _is_from(type(column), mapper.package):
                return mapper.kind(column) if _has_usual_conversion(column, mapper) else UNKNOWN
    return None


def takes_strings_only(owner: type, name: str) -> bool:
    """Return whether a column stores a mapping of strings to strings, and would refuse or change a dict in it."""
    return any(
        _is_one_of(column, "HSTORE", "HStoreField") and _has_usual_conversion(column, mapper)
        for column in _columns(owner, name)
        for mapper in _MAPPERS
        if _is_from(type(column), mapper.package)
    )


def key_of_column(row: Mapping[Any, Any], name: str) -> Any:
    """Return the key of a column in a row: its name, or the column itself, as in ``{Log.extra: …}``."""
    if name in row or isinstance(next(iter(row), ""), str):
        return name
    return next((key for key in row if _is_column_named(key, name)), name)


def _is_column_named(key: Any, name: str) -> bool:
    if not any(_is_from(type(key), mapper.package) for mapper in _MAPPERS):
        return False
    piccolo = getattr(key, "_meta", None)
    return name in (getattr(key, "key", None), getattr(key, "name", None), getattr(piccolo, "name", None))


def _columns(owner: type, name: str) -> Iterator[Any]:
    column = getattr(owner, name, None)
    yield getattr(column, "type", None)  # SQLAlchemy, SQLModel
    yield getattr(column, "field", None)  # Django
    yield column  # Peewee, Piccolo, Pony
    fields = getattr(getattr(owner, "_meta", None), "fields_map", None)
    if isinstance(fields, Mapping):  # Tortoise
        yield fields.get(name)


def _is_from(kind: type, package: str) -> bool:
    return any(f"{base.__module__}.".startswith(package) for base in kind.__mro__)


class _Mapper(NamedTuple):
    """A database mapper.

    Attributes:
        package: The package of its column types, with a dot at the end.
        conversions: Methods that convert a value before it is stored. If the application overrides one, the column may
            take any value.
        kind: Returns the kind of a column.
    """

    package: str
    conversions: tuple[str, ...]
    kind: Callable[[Any], str]


def _has_usual_conversion(column: Any, mapper: _Mapper) -> bool:
    """Return whether the mapper's own code converts the value, not a class of the application."""
    libraries = (mapper.package.partition(".")[0], "playhouse", "sqlmodel")
    own = takewhile(lambda base: base.__module__.partition(".")[0] not in libraries, type(column).__mro__)
    return not any(name in vars(base) for base in own for name in mapper.conversions)


def _of_type(kind: Any) -> str:
    if not isinstance(kind, type):
        return UNKNOWN
    if issubclass(kind, str):
        return "text"
    if issubclass(kind, (bytes, bytearray, memoryview)):
        return "bytes"
    return "dict" if issubclass(kind, Mapping) else UNKNOWN


def _is_one_of(column: Any, *names: str) -> bool:
    """Return whether the class of a column, or one of its bases, has one of these names."""
    return not {base.__name__ for base in type(column).__mro__}.isdisjoint(names)


def _of_sqlalchemy(column: Any) -> str:
    kinds = {_of_sqlalchemy_type(one) for one in (column, *getattr(column, "_variant_mapping", {}).values())}
    return kinds.pop() if len(kinds) == 1 else UNKNOWN  # its type depends on the database


def _of_sqlalchemy_type(column: Any) -> str:
    if _is_one_of(column, "JSON", "PickleType"):
        return "dict"
    if _is_one_of(column, "Enum", "HSTORE"):
        return UNKNOWN
    with expected(NotImplementedError):
        found = _of_type(column.python_type)
        if found != UNKNOWN:
            return found
    implementation = getattr(column, "impl", None)  # of a TypeDecorator
    return UNKNOWN if implementation is None else _of_sqlalchemy_type(implementation)


def _of_django(field: Any) -> str:
    if _is_one_of(field, "JSONField"):
        return "dict"
    if _is_one_of(field, "TextField", "CharField", "FilePathField"):
        return "text"
    return "bytes" if _is_one_of(field, "BinaryField") else UNKNOWN


def _of_peewee(field: Any) -> str:
    if _is_one_of(field, "JSONField"):
        return "dict"
    stored = str(getattr(field, "field_type", "")).upper()
    if stored in ("TEXT", "VARCHAR", "CHAR"):
        return "text"
    return "bytes" if stored in ("BLOB", "BYTEA") else UNKNOWN


def _of_tortoise(field: Any) -> str:
    return "dict" if _is_one_of(field, "JSONField") else _of_type(getattr(field, "field_type", None))


def _of_piccolo(column: Any) -> str:
    return "dict" if _is_one_of(column, "JSON") else _of_type(getattr(column, "value_type", None))


def _of_pony(attribute: Any) -> str:
    kind = getattr(attribute, "py_type", None)
    return "dict" if getattr(kind, "__name__", "") == "Json" else _of_type(kind)


_MAPPERS = (
    _Mapper("sqlalchemy.", ("process_bind_param", "bind_processor", "process_literal_param"), _of_sqlalchemy),
    _Mapper("django.db.models.", ("get_prep_value", "get_db_prep_value", "get_db_prep_save"), _of_django),
    _Mapper("peewee.", ("db_value", "adapt"), _of_peewee),
    _Mapper("tortoise.", ("to_db_value",), _of_tortoise),
    _Mapper("piccolo.", (), _of_piccolo),
    _Mapper("pony.", (), _of_pony),
)
