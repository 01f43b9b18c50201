"""The type of a mapped column tells whether it takes a string, bytes or a mapping."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import JSON, Enum, Integer, LargeBinary, PickleType, String, Text, orm, types
from sqlalchemy.dialects import postgresql

from otel_keyaudit.row.types.column_types import key_of_column, kind_of_column

DECORATOR = types.TypeDecorator


def convert(column: object, value: object, *_: object) -> object:
    """Convert a value as the application wants."""
    return value


def subclass(base: type, **members: Any) -> Any:
    """Return a class of the application with these members."""
    return type("Own", (base,), {"cache_ok": True, "__module__": "shop", **members})


def row_of(column: Any) -> type:
    """Return a mapped class with a column of a type of SQLAlchemy."""
    members = {"__tablename__": "rows", "id": orm.mapped_column(Text, primary_key=True)}
    return type("Row", (orm.declarative_base(),), members | {"extra": orm.mapped_column(column)})


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (Text(), "text"),
        (LargeBinary(), "bytes"),
        (JSON(), "dict"),
        (PickleType(), "dict"),
        (postgresql.JSONB(), "dict"),
        (Enum("a"), "unknown"),
        (Integer(), "unknown"),
        (postgresql.HSTORE(), "unknown"),
        (postgresql.ARRAY(Text()), "unknown"),
        (String(9).with_variant(Text(), "sqlite"), "text"),
        (JSON().with_variant(postgresql.JSONB(), "postgresql"), "dict"),
        (JSON().with_variant(Text(), "sqlite"), "unknown"),
        (subclass(Text)(), "text"),
        (subclass(DECORATOR, impl=Text)(), "text"),
        (subclass(DECORATOR, impl=JSON)(), "dict"),
        (subclass(DECORATOR, impl=LargeBinary)(), "bytes"),
        (subclass(DECORATOR, impl=Integer)(), "unknown"),
        (subclass(types.UserDefinedType)(), "unknown"),
    ],
)
def test_types_of_sqlalchemy(column: Any, kind: str) -> None:
    """A column that takes only some strings, or a mapping of strings, cannot hold a member."""
    row = row_of(column)
    assert kind_of_column(row, "extra") == kind
    assert kind_of_column(row, "other") is None


@pytest.mark.parametrize(
    "column",
    [
        subclass(DECORATOR, impl=Text, process_bind_param=convert)(),
        subclass(subclass(DECORATOR, impl=JSON, process_bind_param=convert))(),
        subclass(Text, bind_processor=convert)(),
        subclass(JSON, process_literal_param=convert)(),
    ],
)
def test_conversion_of_the_application_takes_any_value(column: Any) -> None:
    """The kind of the column below does not count if the application converts the value first."""
    assert kind_of_column(row_of(column), "extra") == "unknown"


def django_row(name: str, **members: Any) -> type:
    """Return a class with a field of Django; its model would need the settings of a project."""
    models = pytest.importorskip("django.db.models")
    deferred = pytest.importorskip("django.db.models.query_utils").DeferredAttribute
    kind = getattr(models, name)
    return type("Row", (), {"extra": deferred(subclass(kind, **members)() if members else kind())})


@pytest.mark.parametrize(
    ("field", "kind"),
    [
        ("TextField", "text"),
        ("CharField", "text"),
        ("EmailField", "text"),
        ("FilePathField", "text"),
        ("JSONField", "dict"),
        ("BinaryField", "bytes"),
        ("IntegerField", "unknown"),
    ],
)
def test_fields_of_django(field: str, kind: str) -> None:
    """The class of the field, or one of its bases, tells the kind."""
    assert kind_of_column(django_row(field), "extra") == kind
    assert kind_of_column(django_row(field, description="own"), "extra") == kind


@pytest.mark.parametrize("method", ["get_prep_value", "get_db_prep_value", "get_db_prep_save"])
def test_field_of_django_that_converts_the_value(method: str) -> None:
    """An encrypted field, for example, takes what its own method accepts."""
    assert kind_of_column(django_row("TextField", **{method: convert}), "extra") == "unknown"


@pytest.mark.parametrize("value", ["extra", None, {}, convert])
def test_attribute_that_is_no_column(value: object) -> None:
    """Attributes of ordinary classes have no kind."""
    assert kind_of_column(type("Row", (), {"extra": value}), "extra") is None


def test_key_of_a_column() -> None:
    """A row names its columns by strings or by the columns themselves."""
    row = row_of(Text())
    column, other = row.extra, row.id  # type: ignore[attr-defined]
    assert key_of_column({"extra": 1}, "extra") == "extra"
    assert key_of_column({}, "extra") == "extra"
    assert key_of_column({"other": 1, column: 2}, "extra") == "extra"
    assert key_of_column({other: 1, column: 2}, "extra") is column
    assert key_of_column({other: 1}, "extra") == "extra"
    named = type("Named", (), {"key": "extra", "name": "extra"})()
    assert key_of_column({named: 1}, "extra") == "extra"
