"""Rows of Piccolo in real databases: each column receives its kind on every path to the database."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from integration.rows.conftest import Database
from otel_keyaudit import ApiKey, use_key
from otel_keyaudit.testing import Recorder
from support.environment.modules import LoadModule

KEY = ApiKey("k_1")
OURS = "request_api_key"

APP = """
from piccolo.columns import JSON, JSONB, Bytea, Text as TextColumn, Varchar
from piccolo.engine.postgres import PostgresEngine
from piccolo.engine.sqlite import SQLiteEngine
from piccolo.table import Table, create_db_tables

DB = ENGINE

class Json(Table, db=DB):
    action = Varchar()
    additional_fields = JSON(null=True, default=None)

class Jsonb(Table, db=DB):
    action = Varchar()
    additional_fields = JSONB(null=True, default=None)

class Text(Table, db=DB):
    action = Varchar()
    additional_fields = TextColumn(null=True, default=None)

class Binary(Table, db=DB):
    action = Varchar()
    additional_fields = Bytea(null=True, default=None)

def add(row):
    return row.save()
"""

FIELDS: dict[str, Any] = {
    "Json": {"x": 1},
    "Jsonb": {"x": 1},
    "Text": '{"x":1}',
    "Binary": b'{"x":1}',
}
INSERT = "{model}.insert?fields=args.rows[].additional_fields"
Given = list[dict[str, Any]]
Write = Callable[[Any, Any, Given], Awaitable[object]]


def _one_by_one(write: Callable[[Any, Any], Awaitable[object]]) -> Write:
    """Return a function that writes each row by itself."""

    async def write_all(app: Any, model: Any, given: Given) -> None:
        for values in given:
            await write(app, model(**values))

    return write_all


async def _save_twice(app: Any, row: Any) -> None:
    await row.save()
    await row.save()


async def _load_and_save(app: Any, row: Any) -> None:
    model = type(row)
    await row.save()
    again = await model.objects().get(model.id == row.id)
    again.action = "again"
    await again.save()


async def _by_columns(app: Any, model: Any, given: Given) -> None:
    for values in given:
        await model({getattr(model, name): value for name, value in values.items()}).save()


async def _synchronously(app: Any, row: Any) -> None:
    await asyncio.to_thread(lambda: row.save().run_sync())


WAYS: dict[str, tuple[str, Write]] = {
    "save": ("{model}.save?fields=self.additional_fields", _one_by_one(lambda app, row: row.save())),
    "saved twice": ("{model}.save?fields=self.additional_fields", _one_by_one(_save_twice)),
    "loaded again": ("{model}.save?fields=self.additional_fields", _one_by_one(_load_and_save)),
    "run": ("{model}.save?fields=self.additional_fields", _one_by_one(lambda app, row: row.save().run())),
    "run_sync": ("{model}.save?fields=self.additional_fields", _one_by_one(_synchronously)),
    "argument": ("add?fields=args.row.additional_fields", _one_by_one(lambda app, row: app.add(row))),
    "constructor": ("{model}.__init__", _one_by_one(lambda app, row: row.save())),
    "constructor by columns": ("{model}.__init__", _by_columns),
    "save that inserts": (INSERT, _one_by_one(lambda app, row: row.save())),
    "insert": (INSERT, lambda app, model, given: model.insert(*(model(**values) for values in given))),
    "insert returning": (
        INSERT,
        lambda app, model, given: model.insert(*(model(**values) for values in given)).returning(model.action),
    ),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("model", FIELDS)
def test_every_row_names_the_key(
    model: str, way: str, database: Database, recorder: Recorder, load_module: LoadModule, tmp_path: Path
) -> None:
    """The row names the key if the column is left out, ``None``, or filled by the application."""
    if (model, database.kind) == ("Jsonb", "sqlite"):
        pytest.skip("SQLite has no JSONB column")
    for package in ("piccolo", "aiosqlite", "asyncpg"):
        pytest.importorskip(package)
    config = {"host": "127.0.0.1", "port": database.port, "user": "postgres", "database": "postgres"}
    sqlite = f"SQLiteEngine({str(tmp_path / 'rows')!r})"
    app: Any = load_module(APP.replace("ENGINE", sqlite if database.port is None else f"PostgresEngine({config!r})"))
    table = getattr(app, model)
    target, write = WAYS[way]
    given: Given = [
        {"action": "a"},
        {"action": "b", "additional_fields": None},
        {"action": "c", "additional_fields": FIELDS[model]},
    ]

    async def main() -> list[Any]:
        await app.create_db_tables(table)
        recorder.instrument(audit_targets=[f"{app.__name__}:{target.format(model=model)}"])
        with recorder.request(), use_key(KEY):
            await write(app, table, given)
        columns = table.select(table.additional_fields).order_by(table.id)
        return [row["additional_fields"] for row in await columns]

    rows = [json.loads(one) for one in asyncio.run(main())]
    assert [list(row) for row in rows] == [[OURS], [OURS], ["x", OURS]]
    assert {row[OURS]["id"] for row in rows} == {"k_1"}
    assert recorder.errors() == {}
    writes = recorder.writes()
    assert writes["attributed"] == sum(writes.values()) > 0
