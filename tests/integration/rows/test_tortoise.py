"""Rows of Tortoise in real databases: each column receives its kind on every path to the database."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from integration.rows.conftest import Database
from otel_keyaudit import ApiKey, use_key
from otel_keyaudit.testing import Recorder
from support.environment.modules import LoadModule

KEY = ApiKey("k_1")
OURS = "request_api_key"

APP = """
from tortoise import Tortoise, fields
from tortoise.models import Model

class Row(Model):
    id = fields.IntField(primary_key=True)
    action = fields.CharField(max_length=50)

    class Meta:
        abstract = True

class Json(Row):
    additional_fields = fields.JSONField(null=True)

class Text(Row):
    additional_fields = fields.TextField(null=True)

class Char(Row):
    additional_fields = fields.CharField(max_length=5000, null=True)

class Binary(Row):
    additional_fields = fields.BinaryField(null=True)

class Key(Model):
    id = fields.CharField(primary_key=True, max_length=50)
    secret = fields.CharField(max_length=50)
    notes: fields.ReverseRelation["Note"]

class Note(Model):
    id = fields.IntField(primary_key=True)
    key = fields.ForeignKeyField("models.Key", related_name="notes")

KEYS = {}

def find(secret):
    return Key.get_or_none(secret=secret)

def find_all(secret):
    return Key.filter(secret=secret)

def cached(secret):
    return KEYS.get(secret)

def record(action, additional_fields=None):
    return additional_fields

async def add(row):
    await row.save()

class Repository:
    def __init__(self, model):
        self.model = model

    async def record(self, **values):
        await self.model.create(**values)
"""

FIELDS: dict[str, Any] = {
    "Json": {"x": 1},
    "Text": '{"x":1}',
    "Char": '{"x":1}',
    "Binary": b'{"x":1}',
}


async def _each(write: Callable[[Any], Awaitable[object]], rows: list[Any]) -> None:
    for row in rows:
        await write(row)


async def _save_twice(app: Any, model: Any, given: list[dict[str, Any]]) -> None:
    for values in given:
        row = model(**values)
        await row.save()
        await row.save()


async def _load_and_save(app: Any, model: Any, given: list[dict[str, Any]]) -> None:
    for values in given:
        row = await model.create(**values)
        again = await model.get(id=row.id)
        again.action = "again"
        await again.save()


WAYS: dict[str, tuple[str, Callable[[Any, Any, list[dict[str, Any]]], Awaitable[object]]]] = {
    "create": (
        "{model}.create",
        lambda app, model, given: _each(lambda values: model.create(**values), given),
    ),
    "save": (
        "{model}.save?fields=self.additional_fields",
        lambda app, model, given: _each(lambda values: model(**values).save(), given),
    ),
    "saved twice": ("{model}.save?fields=self.additional_fields", _save_twice),
    "loaded again": ("{model}.save?fields=self.additional_fields", _load_and_save),
    "constructor": (
        "{model}.__init__",
        lambda app, model, given: _each(lambda values: model(**values).save(), given),
    ),
    "bulk_create": (
        "{model}.bulk_create?fields=args.objects[].additional_fields",
        lambda app, model, given: model.bulk_create([model(**values) for values in given]),
    ),
    "argument": (
        "add?fields=args.row.additional_fields",
        lambda app, model, given: _each(lambda values: app.add(model(**values)), given),
    ),
    "repository": (
        "Repository.record?fields=args.additional_fields",
        lambda app, model, given: _each(lambda values: app.Repository(model).record(**values), given),
    ),
}


@asynccontextmanager
async def _connected(app: Any, database: Database) -> AsyncIterator[None]:
    """Connect the application to a database with its tables."""
    await app.Tortoise.init(
        {
            # it remembers the statements of a connection by its name
            "connections": {database.kind: database.url("sqlite://", "asyncpg")},
            "apps": {"models": {"models": [app.__name__], "default_connection": database.kind}},
        }
    )
    try:
        await app.Tortoise.generate_schemas()
        yield
    finally:
        await app.Tortoise.close_connections()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("model", FIELDS)
def test_every_row_names_the_key(
    model: str, way: str, database: Database, recorder: Recorder, load_module: LoadModule
) -> None:
    """The row names the key if the column is left out, ``None``, or filled by the application."""
    for package in ("tortoise", "aiosqlite", "asyncpg"):
        pytest.importorskip(package)
    app = load_module(APP)
    target, write = WAYS[way]
    given: list[dict[str, Any]] = [
        {"action": "a"},
        {"action": "b", "additional_fields": None},
        {"action": "c", "additional_fields": FIELDS[model]},
    ]

    async def main() -> list[Any]:
        async with _connected(app, database):
            recorder.instrument(audit_targets=[f"{app.__name__}:{target.format(model=model)}"])
            with recorder.request(), use_key(KEY):
                await write(app, getattr(app, model), given)
            return [*await getattr(app, model).all().order_by("id").values_list("additional_fields", flat=True)]

    stored = asyncio.run(main())
    rows = [one if isinstance(one, dict) else json.loads(bytes(one) if model == "Binary" else one) for one in stored]
    assert [list(row) for row in rows] == [[OURS], [OURS], ["x", OURS]]
    assert {row[OURS]["id"] for row in rows} == {"k_1"}
    assert recorder.errors() == {}
    writes = recorder.writes()
    assert writes["attributed"] == sum(writes.values()) > 0


def test_a_row_that_is_saved_in_another_request_keeps_its_key(
    database: Database, recorder: Recorder, load_module: LoadModule
) -> None:
    """The condition in the documentation skips rows that are already stored."""
    for package in ("tortoise", "aiosqlite", "asyncpg"):
        pytest.importorskip(package)
    app = load_module(APP)
    target = "Text.save?fields=self.additional_fields&when=self._saved_in_db|if:,new"

    async def main() -> list[Any]:
        async with _connected(app, database):
            recorder.instrument(audit_targets=[f"{app.__name__}:{target}"])
            with recorder.request(), use_key(KEY):
                row = await app.Text.create(action="a")
            with recorder.request(), use_key(ApiKey("k_2")):
                for again in (row, await app.Text.get(id=row.id)):
                    again.action = "b"
                    await again.save()
            return [*await app.Text.all().values_list("additional_fields", flat=True)]

    (row,) = map(json.loads, asyncio.run(main()))
    assert [*row, row[OURS]["id"]] == [OURS, "k_1"]
    assert recorder.writes()["attributed"] == 1


FINDS: dict[str, tuple[str, Callable[[Any, str], Any]]] = {
    "query": ("find", lambda app, secret: app.find(secret)),
    "query with relations": ("find", lambda app, secret: app.find(secret).prefetch_related("notes")),
    "first of a query": ("find_all", lambda app, secret: app.find_all(secret).first()),
    "list": ("find_all?key=return[0]", lambda app, secret: app.find_all(secret)),
    "gathered": ("find", lambda app, secret: asyncio.gather(app.find(secret))),
    "row": ("cached", lambda app, secret: _returned(app.cached(secret))),
}


async def _returned(value: Any) -> Any:
    return value


@pytest.mark.parametrize("find", FINDS)
def test_a_row_is_a_key(find: str, recorder: Recorder, load_module: LoadModule) -> None:
    """A query that the function returns is followed until it is awaited; a row is awaitable, but no query."""
    for package in ("tortoise", "aiosqlite"):
        pytest.importorskip(package)
    app = load_module(APP)
    target, look_up = FINDS[find]

    async def main() -> list[Any]:
        async with _connected(app, Database(None)):
            key = app.KEYS["right"] = await app.Key.create(id="k_1", secret="right")
            await app.Note.create(key=key)
            recorder.instrument(auth_targets=[f"{app.__name__}:{target}"], audit_targets=[f"{app.__name__}:record"])
            rows = []
            for secret in ("right", "wrong"):
                with recorder.request():
                    await look_up(app, secret)
                    rows.append(app.record("a"))
            return rows

    right, wrong = asyncio.run(main())
    assert right[OURS]["id"] == "k_1"
    assert wrong is None
    assert recorder.writes()["attributed"] == 1
