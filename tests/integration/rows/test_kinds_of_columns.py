"""The columns of mappers tell their kinds without a database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from otel_keyaudit.row.types.column_types import key_of_column, kind_of_column


def peewee() -> type:
    """Return a model of Peewee."""
    library = pytest.importorskip("peewee")
    extensions = pytest.importorskip("playhouse.sqlite_ext")

    class Own(library.TextField):  # type: ignore[misc,name-defined]
        pass

    class Lower(library.Field):  # type: ignore[misc,name-defined]
        field_type = "bytea"

    class Encrypted(library.TextField):  # type: ignore[misc,name-defined]
        def db_value(self, value: object) -> object:
            return value

    class Adapted(library.TextField):  # type: ignore[misc,name-defined]
        def adapt(self, value: object) -> object:
            return value

    class Row(library.Model):  # type: ignore[misc,name-defined]
        text, varchar, char = library.TextField(), library.CharField(), library.FixedCharField()
        blob, lower, number = library.BlobField(), Lower(), library.IntegerField()
        json, own, encrypted, adapted = extensions.JSONField(), Own(), Encrypted(), Adapted()

    return Row


def piccolo() -> type:
    """Return a table of Piccolo."""
    columns, tables = pytest.importorskip("piccolo.columns"), pytest.importorskip("piccolo.table")

    class Row(tables.Table):  # type: ignore[misc,name-defined]
        text, varchar, blob, number = columns.Text(), columns.Varchar(), columns.Bytea(), columns.Integer()
        json, jsonb = columns.JSON(), columns.JSONB()

    return Row


def tortoise() -> type:
    """Return a model of Tortoise."""
    fields, models = pytest.importorskip("tortoise.fields"), pytest.importorskip("tortoise.models")

    class Encrypted(fields.TextField):  # type: ignore[misc,name-defined]
        def to_db_value(self, value: object, instance: object) -> object:
            return value

    class Row(models.Model):  # type: ignore[misc,name-defined]
        text, varchar, blob, number = fields.TextField(), fields.CharField(9), fields.BinaryField(), fields.IntField()
        json, encrypted = fields.JSONField(), Encrypted()

    return Row


def pony() -> type:
    """Return an entity of Pony."""
    orm = pytest.importorskip("pony.orm")
    database = orm.Database()

    class Row(database.Entity):  # type: ignore[misc,name-defined]
        text, long, blob = orm.Optional(str), orm.Optional(orm.LongStr), orm.Optional(orm.buffer)
        number, json = orm.Optional(int), orm.Optional(orm.Json)

    return Row


KINDS = {
    "text": "text", "varchar": "text", "char": "text", "long": "text", "own": "text", "blob": "bytes", "lower": "bytes",
    "json": "dict", "jsonb": "dict", "number": "unknown", "encrypted": "unknown", "adapted": "unknown",
}  # fmt: skip


@pytest.mark.parametrize("make", [peewee, piccolo, tortoise, pony])
def test_each_column_has_a_kind(make: Callable[[], type]) -> None:
    """A column whose class converts values as the application wants may take any value."""
    row: Any = make()
    names = [
        name for name in KINDS if hasattr(row, name) or name in getattr(getattr(row, "_meta", None), "fields_map", ())
    ]
    assert {"text", "blob", "number", "json"} <= {*names}
    assert {name: kind_of_column(row, name) for name in names} == {name: KINDS[name] for name in names}
    assert kind_of_column(row, "other") is None


@pytest.mark.parametrize("make", [peewee, piccolo])
def test_a_row_may_name_its_columns_by_objects(make: Callable[[], type]) -> None:
    """The key of a column leads to its value, and is the name if the row does not have the column."""
    row: Any = make()
    values = {row.number: 1, row.text: 2}
    assert values[key_of_column(values, "text")] == 2
    assert key_of_column({row.number: 1}, "text") == "text"
