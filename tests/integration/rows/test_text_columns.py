"""Rows in real databases: an empty string column receives JSON on every path to the database."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from integration.rows.conftest import Database
from otel_keyaudit import ApiKey, use_key
from otel_keyaudit.testing import Recorder
from support.environment.modules import LoadModule

KEY = ApiKey("k_1")
OURS = "request_api_key"

SQLITE = """
import sqlite3

db = sqlite3.connect(":memory:")
db.execute("create table audit (action text, extra text)")

def record(action: str, extra: str | None = None):
    db.execute("insert into audit values (?, ?)", (action, extra))

def record_bytes(action: str, extra: "bytes | None" = None):
    db.execute("insert into audit values (?, ?)", (action, extra))

def record_all(rows: list[str | None]):
    db.executemany("insert into audit values ('x', ?)", [(row,) for row in rows])
"""

SQLALCHEMY = """
from typing import Any, Optional
from sqlalchemy import JSON, Column, Integer, LargeBinary, String, Text, create_engine, event
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, declarative_base, mapped_column
from sqlalchemy.pool import StaticPool

class Base(DeclarativeBase):
    pass

class MappedText(Base):
    __tablename__ = "mapped_text"
    id: Mapped[int] = mapped_column(primary_key=True)
    extra: Mapped[Optional[str]] = mapped_column(Text)

class MappedString(Base):
    __tablename__ = "mapped_string"
    id: Mapped[int] = mapped_column(primary_key=True)
    extra: Mapped[Any] = mapped_column(String(5000), nullable=True)

class MappedJson(Base):
    __tablename__ = "mapped_json"
    id: Mapped[int] = mapped_column(primary_key=True)
    extra: Mapped[Any] = mapped_column(JSON(none_as_null=True), nullable=True)

class PlainText(Base):
    __tablename__ = "plain_text"
    id = Column(Integer, primary_key=True)
    extra = Column(Text)

class PlainBytes(Base):
    __tablename__ = "plain_bytes"
    id = Column(Integer, primary_key=True)
    extra = Column(LargeBinary)

class PlainJson(Base):
    __tablename__ = "plain_json"
    id = Column(Integer, primary_key=True)
    extra = Column(JSON)

class JsonOrText(Base):
    __tablename__ = "json_or_text"
    id = Column(Integer, primary_key=True)
    extra = Column(JSON().with_variant(Text(), "sqlite"))

class DictInText(Base):
    __tablename__ = "dict_in_text"
    id: Mapped[int] = mapped_column(primary_key=True)
    extra: Mapped[Optional[dict]] = mapped_column(Text)

engine = create_engine("SYNC_URL", poolclass=StaticPool)
Base.metadata.create_all(engine)

def save(session, row):
    session.add(row)

def save_all(session, rows):
    session.add_all(rows)

class Repository:
    def __init__(self, model):
        self.model = model

    def create(self, session, **values):
        session.add(self.model(**values))

def stored(model):
    with engine.connect() as connection:
        return connection.exec_driver_sql(f"select extra from {model.__tablename__}").scalars().all()

async def save_in_the_event_loop(kind):
    from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

    asynchronous = create_async_engine("LOOP_URL", poolclass=StaticPool)
    try:
        async with asynchronous.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        async with AsyncSession(asynchronous) as session, session.begin():
            save(session, kind())
        async with asynchronous.connect() as connection:
            return (await connection.exec_driver_sql(f"select extra from {kind.__tablename__}")).scalars().all()
    finally:
        await asynchronous.dispose()
"""

SQLMODEL = """
from typing import Any, Optional
from sqlalchemy import JSON, Column, Text
from sqlalchemy.pool import StaticPool
from sqlmodel import Field, Session, SQLModel, create_engine

class AnnotatedText(SQLModel, table=True):
    id: Optional[int] = Field(default=None, primary_key=True)
    extra: Optional[str] = None

class ColumnText(SQLModel, table=True):
    id: Optional[int] = Field(default=None, primary_key=True)
    extra: Any = Field(default=None, sa_column=Column(Text))

class ColumnJson(SQLModel, table=True):
    id: Optional[int] = Field(default=None, primary_key=True)
    extra: Optional[dict] = Field(default=None, sa_column=Column(JSON))

engine = create_engine("SYNC_URL", poolclass=StaticPool)
SQLModel.metadata.create_all(engine)

def save(session, row):
    session.add(row)

def stored(model):
    with engine.connect() as connection:
        return connection.exec_driver_sql(f"select extra from {model.__tablename__}").scalars().all()
"""

PEEWEE = """
import peewee
from playhouse.db_url import connect

db = connect("PEEWEE_URL")

class Base(peewee.Model):
    class Meta:
        database = db

class PlainText(Base):
    extra = peewee.TextField(null=True)

class Varchar(Base):
    extra = peewee.CharField(null=True, max_length=5000)

class Bytes(Base):
    extra = peewee.BlobField(null=True)

db.create_tables([PlainText, Varchar, Bytes])

def save(row):
    row.save()

def stored(model):
    return [row[0] for row in db.execute_sql(f'select extra from "{model._meta.table_name}"')]
"""


Load = Callable[..., Any]


@pytest.fixture
def load(recorder: Recorder, load_module: LoadModule) -> Load:
    """Returns an application with its targets instrumented: ``load(source, *targets)``."""

    def load(source: str, *targets: str) -> Any:
        app = load_module(source)
        recorder.instrument(audit_targets=[f"{app.__name__}:{target}" for target in targets])
        return app

    return load


@pytest.fixture
def load_on(load: Load, database: Database) -> Load:
    """Returns the same on a database."""

    def load_on(source: str, *targets: str) -> Any:
        urls = {
            "SYNC_URL": database.url("sqlite:///", "postgresql+psycopg"),
            "LOOP_URL": database.url("sqlite+aiosqlite:///", "postgresql+psycopg"),
            "PEEWEE_URL": database.url("sqlite:///", "postgresql"),
        }
        for name, url in urls.items():
            source = source.replace(name, url)
        return load(source, *targets)

    return load_on


def names(stored: Any) -> list[str]:
    """Return the names in the JSON of a column; some drivers return it as a dict."""
    return list(
        stored if isinstance(stored, dict) else json.loads(bytes(stored) if isinstance(stored, memoryview) else stored)
    )


@pytest.fixture(autouse=True)
def no_failures(recorder: Recorder, request: pytest.FixtureRequest) -> Iterator[None]:
    """Every write of these tests gets its member, except of a row that is not loaded or stays untouched."""
    yield
    if not {"expired", "untouched"} & {*request.node.originalname.split("_")}:
        assert {stage for stage, _ in recorder.errors()} <= {"collision"}
        assert recorder.writes()["failed"] == 0


def test_parameters_of_the_driver(load: Load) -> None:
    """A function that passes its parameter to ``sqlite3`` receives a string, however it is annotated."""
    app = load(SQLITE, "record?fields=args.extra", "record_bytes?fields=args.extra", "record_all?fields=args.rows[]")
    with use_key(KEY):
        app.record_all([None])
        app.record("a")
        app.record("b", None)
        app.record_bytes("c")
        app.record("d", '{"x":1}')
    app.record("e")
    rows = app.db.execute("select extra from audit").fetchall()
    assert [None if row is None else names(row) for (row,) in rows] == [[OURS]] * 4 + [["x", OURS], None]
    with pytest.raises((sqlite3.ProgrammingError, sqlite3.InterfaceError)):  # the latter before Python 3.11
        app.db.execute("insert into audit values (?, ?)", ("x", {}))  # so a dict would have failed
    app.db.close()


@pytest.mark.parametrize("way", ["save", "create", "save_all"])
@pytest.mark.parametrize("model", ["MappedText", "MappedString", "MappedJson", "PlainText", "PlainBytes", "PlainJson"])
def test_sqlalchemy(load_on: Load, model: str, way: str) -> None:
    """Text, String, LargeBinary and JSON columns receive their kind, with and without ``Mapped``."""
    pytest.importorskip("sqlalchemy")
    app = load_on(
        SQLALCHEMY, "save?fields=args.row.extra", "Repository.create?fields=args.extra",
        "save_all?fields=args.rows[].extra",
    )  # fmt: skip
    kind = getattr(app, model)
    with app.Session(app.engine) as session, session.begin(), use_key(KEY):
        if way == "save":
            app.save(session, kind())
        elif way == "create":
            app.Repository(kind).create(session)
        else:
            app.save_all(session, [kind(), kind()])
    rows = app.stored(kind)
    assert [names(row) for row in rows] == [[OURS]] * (2 if way == "save_all" else 1)
    app.engine.dispose()


@pytest.mark.parametrize("model", ["JsonOrText", "DictInText"])
def test_column_of_doubtful_type_is_untouched(recorder: Recorder, load_on: Load, model: str) -> None:
    """A column whose type depends on the database, or contradicts its annotation, receives no dict and loses no row."""
    pytest.importorskip("sqlalchemy")
    app = load_on(SQLALCHEMY, "save?fields=args.row.extra")
    kind = getattr(app, model)
    with app.Session(app.engine) as session, session.begin(), recorder.request(), use_key(KEY):
        app.save(session, kind())
    assert app.stored(kind) == [None]
    assert recorder.writes()["failed"] == 1
    assert recorder.errors() == {("merge", "otel_keyaudit.errors.UnchangeableError"): 1}
    app.engine.dispose()


@pytest.mark.parametrize("model", ["MappedText", "MappedJson", "PlainBytes"])
def test_sqlalchemy_in_an_event_loop(load_on: Load, model: str) -> None:
    """An asynchronous session works, although its reads would have to be awaited."""
    for package in ("sqlalchemy", "greenlet", "aiosqlite"):
        pytest.importorskip(package)
    app = load_on(SQLALCHEMY, "save?fields=args.row.extra")
    with use_key(KEY):
        rows = asyncio.run(app.save_in_the_event_loop(getattr(app, model)))
    assert [names(row) for row in rows] == [[OURS]]
    app.engine.dispose()


def test_sqlalchemy_row_that_is_saved_again_keeps_its_member(recorder: Recorder, load_on: Load) -> None:
    """A row keeps its member after a flush, after a commit that expires it, and with other fields."""
    pytest.importorskip("sqlalchemy")
    app = load_on(SQLALCHEMY, "save?fields=args.row.extra")
    with recorder.request(), use_key(KEY), app.Session(app.engine) as session:
        for model in (app.MappedText, app.PlainJson):
            row = model()
            app.save(session, row)
            session.flush()
            app.save(session, row)
            session.commit()
            assert names(app.stored(model)[0]) == [OURS]
            row.extra = '{"x": 1}' if model is app.MappedText else {"x": 1}
            app.save(session, row)
            session.commit()
            assert names(app.stored(model)[0]) == ["x", OURS]
    assert recorder.errors() == {}
    app.engine.dispose()


def test_an_expired_row_is_not_loaded(recorder: Recorder, load_on: Load) -> None:
    """The library does not load an expired row, because that runs SQL; the row in the database keeps its member."""
    pytest.importorskip("sqlalchemy")
    app = load_on(SQLALCHEMY, "save?fields=args.row.extra")
    with recorder.request(), use_key(KEY), app.Session(app.engine) as session:
        row = app.PlainText()
        app.save(session, row)
        session.commit()
        statements: list[object] = []
        app.event.listen(app.engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))
        app.save(session, row)
        assert statements == []
    assert names(app.stored(app.PlainText)[0]) == [OURS]
    assert recorder.errors() == {("merge", "otel_keyaudit.errors.NotLoadedError"): 1}
    app.engine.dispose()


@pytest.mark.parametrize("target", ["save?fields=args.row.extra", "{model}.before_insert?fields=args.target.extra"])
@pytest.mark.parametrize("model", ["AnnotatedText", "ColumnText", "ColumnJson"])
def test_sqlmodel(load_on: Load, model: str, target: str) -> None:
    """The kind is read from the annotation and the column, for functions and for the event of the model."""
    pytest.importorskip("sqlmodel")
    app = load_on(SQLMODEL, target.format(model=model))
    kind = getattr(app, model)
    with app.Session(app.engine) as session, use_key(KEY):
        app.save(session, kind())
        session.commit()
    assert names(app.stored(kind)[0]) == [OURS]
    app.SQLModel.metadata.clear()
    app.engine.dispose()


@pytest.mark.parametrize("way", ["save", "create", "init", "self"])
@pytest.mark.parametrize("model", ["PlainText", "Varchar", "Bytes"])
def test_peewee(recorder: Recorder, load_on: Load, model: str, way: str) -> None:
    """The column receives a string, because peewee would store the ``repr`` of a dict."""
    pytest.importorskip("peewee")
    app = load_on(
        PEEWEE, "save?fields=args.row.extra", f"{model}.create?fields=args.extra",
        f"{model}.save?fields=self.extra" if way == "self" else f"{model}.__init__?fields=args.extra",
    )  # fmt: skip
    kind = getattr(app, model)
    with recorder.request(), use_key(KEY):
        if way == "save":
            app.save(kind())
        elif way == "create":
            kind.create()
        else:
            row = kind()
            row.save()
            row.save()
    assert names(app.stored(kind)[0]) == [OURS]
    app.db.close()


WAYS_OF_PEEWEE: dict[str, tuple[str, Callable[[Any, Any], Any]]] = {
    "keyword": ("insert?fields=args.extra", lambda kind, given: kind.insert(id=7, extra=given)),
    "names": ("insert?fields=args.extra", lambda kind, given: kind.insert({"id": 7, "extra": given})),
    "columns": ("insert?fields=args.extra", lambda kind, given: kind.insert({kind.id: 7, kind.extra: given})),
    "replace": ("replace?fields=args.extra", lambda kind, given: kind.replace({kind.id: 7, kind.extra: given})),
    "rows of names": (
        "insert_many?fields=args.rows[].extra",
        lambda kind, given: kind.insert_many([{"id": 7, "extra": given}]),
    ),
    "rows of columns": (
        "insert_many?fields=args.rows[].extra",
        lambda kind, given: kind.insert_many([{kind.id: 7, kind.extra: given}]),
    ),
    "rows of an iterator": (
        "insert_many?fields=args.rows[].extra",
        lambda kind, given: kind.insert_many(iter([{kind.id: 7, kind.extra: given}])),
    ),
}


@pytest.mark.parametrize("way", WAYS_OF_PEEWEE)
@pytest.mark.parametrize("model", ["PlainText", "Bytes"])
def test_peewee_rows_as_mappings(recorder: Recorder, load_on: Load, database: Database, model: str, way: str) -> None:
    """A row given as a mapping keeps its own members, and an empty column receives its kind."""
    pytest.importorskip("peewee")
    if (way, database.kind) == ("replace", "postgresql"):
        pytest.skip("PostgreSQL has no such statement")
    target, insert = WAYS_OF_PEEWEE[way]
    app = load_on(PEEWEE, f"{model}.{target}")
    kind = getattr(app, model)
    own = '{"x":1,"request_api_key":"forged"}' if model == "PlainText" else b'{"x":1,"request_api_key":"forged"}'
    for given, expected in ((None, []), (own, ["x", f"{OURS}_unverified"])):
        with recorder.request(), use_key(KEY):
            insert(kind, given).execute()
        assert names(app.stored(kind)[0]) == [*expected, OURS]
        kind.delete().execute()
    insert(kind, own).execute()
    assert names(app.stored(kind)[0]) == ["x", f"{OURS}_unverified"]
    app.db.close()
