"""Read audit rows from SQLite and PostgreSQL through read-only connections."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from otel_keyaudit.cli.report.reading.entries import COLUMNS, Row, SourceError
from otel_keyaudit.errors import hint, shown

_FIELDS: Final = COLUMNS[-1]
_NEEDED: Final = ("at", _FIELDS)
_AS_STRINGS: Final = ("json", "jsonb", "timestamptz", "timestamp", "date")
"""Types of PostgreSQL that are read as strings, because a time such as ``infinity`` cannot be a ``datetime``."""

_SETTINGS: Final = """
    SET LOCAL TIME ZONE 'UTC';
    SET LOCAL DateStyle = 'ISO';
    SET LOCAL synchronize_seqscans = off
"""
"""Settings of the transaction: times that can be read, and the same order of rows, hence row numbers, in each run."""
_HOST: Final = r"(\[[^]@]*\]|[^][@/?:,]*)(:[0-9]*)?"
_CLEAR_URL: Final = re.compile(rf"\w+://([^@/?]*@)?{_HOST}(,{_HOST})*(/[^@?]*)?(\?[^@]*)?")
"""A URL in which nothing but the password can be the password. libpq quotes the host, the port and options."""
_WRONG_URL: Final = "the URL is not valid; in a password, write @ as %40, / as %2F and % as %25"

_BATCH: Final = 500
_SQLITE_TABLES: Final = """
    SELECT t.name, c.name FROM sqlite_master AS t JOIN pragma_table_xinfo(t.name) AS c
    WHERE t.type = 'table' AND t.sql NOT LIKE 'CREATE VIRTUAL TABLE%' ORDER BY t.name, c.cid
"""
"""The tables with their columns, including generated columns, without search indexes such as FTS5's."""
_POSTGRESQL_TABLES: Final = """
    SELECT c.oid::regclass::text, a.attname
    FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
    WHERE c.relkind IN ('r', 'p', 'f') AND a.attnum > 0 AND NOT a.attisdropped
        AND NOT EXISTS (SELECT FROM pg_inherits AS i WHERE i.inhrelid = c.oid)
        AND c.relnamespace::regnamespace::text NOT IN ('pg_catalog', 'information_schema')
        AND c.relnamespace::regnamespace::text NOT LIKE 'pg_toast%'
    ORDER BY 1, a.attnum
"""


def read_sqlite(path: Path, query: str | None) -> Iterator[Row]:
    """Read the rows of an SQLite file.

    Args:
        path: Path of the file.
        query: Selects the columns; without it, the only table with additional fields is read.

    Raises:
        SourceError: The file, the query or the table cannot be read.
    """
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True)) as connection:
            connection.execute("PRAGMA query_only = ON")
            if query is None:
                tables = _grouped(connection.execute(_SQLITE_TABLES))
                query = _select(shown(str(path)), tables, lambda table: '"' + table.replace('"', '""') + '"')
            yield from _sqlite_rows(connection, query, shown(str(path)))
    except (sqlite3.Error, sqlite3.Warning, UnicodeEncodeError) as error:  # a query that is not UTF-8
        raise SourceError(f"cannot read {shown(str(path))}: {error}") from None


def _sqlite_rows(connection: sqlite3.Connection, query: str, place: str) -> Iterator[Row]:
    """Read the rows of a query. After the first string that is not UTF-8, strings are decoded with escapes."""
    connection.execute("BEGIN")  # both queries see the same rows
    number = 0
    with closing(connection.cursor()) as cursor:
        try:
            for number, row in enumerate(_ordered(cursor.execute(query), place), 1):  # noqa: B007 - the rows so far
                yield row
            return
        except sqlite3.OperationalError as error:
            if not str(error).startswith("Could not decode"):
                raise
    connection.text_factory = partial(str, encoding="utf-8", errors="backslashreplace")
    yield from islice(_ordered(connection.execute(query), place), number, None)


def _ordered(cursor: sqlite3.Cursor, place: str) -> Iterator[Row]:
    order = _order([column[0] for column in cursor.description or ()], place)
    return cursor if order is tuple else map(order, cursor)


def read_postgresql(url: str, query: str | None) -> Iterator[Row]:
    """Read the rows of a PostgreSQL database through a server-side cursor.

    Args:
        url: ``postgresql://…``. It is never shown, because it may contain a password.
        query: Selects the columns; without it, the only table with additional fields is read.

    Raises:
        SourceError: psycopg is missing, or the server, the query or the table cannot be read.
    """
    try:
        import psycopg  # noqa: PLC0415 - optional
        from psycopg.types.string import TextLoader  # noqa: PLC0415 - optional
    except ImportError:
        raise SourceError("PostgreSQL needs psycopg: pip install 'psycopg[binary]'") from None
    try:
        with psycopg.connect(url, client_encoding="UTF8") as connection:
            connection.read_only = True
            connection.execute(_SETTINGS)
            for kind in _AS_STRINGS:
                connection.adapters.register_loader(kind, TextLoader)
            if query is None:
                tables = _grouped(connection.execute(_POSTGRESQL_TABLES))
                query = _select("the database", tables, str)
            with connection.cursor("keyaudit_report") as cursor:
                cursor.execute(query.strip().rstrip(";").encode())
                order = _order([column.name for column in cursor.description or ()], "the database")
                while rows := cursor.fetchmany(_BATCH):
                    yield from map(order, rows)
    except psycopg.Error as error:
        is_about_url = isinstance(error, psycopg.ProgrammingError) or not _CLEAR_URL.fullmatch(url)
        reason = error.diag.message_primary or (_WRONG_URL if is_about_url else str(error).splitlines()[0])
        raise SourceError(f"cannot read from PostgreSQL: {reason}") from None
    except UnicodeError:
        raise SourceError("cannot read from PostgreSQL: the URL or the query is not UTF-8") from None


def _grouped(columns: Any) -> dict[str, list[str]]:
    """Return the columns of each table."""
    tables: dict[str, list[str]] = {}
    for table, column in columns:
        tables.setdefault(table, []).append(column)
    return tables


def _select(place: str, tables: dict[str, list[str]], quoted: Callable[[str], str]) -> str:
    """Return the query for the only table that has additional fields."""
    found = [table for table, columns in tables.items() if _FIELDS in columns]
    if len(found) != 1:
        named = f"several tables with a column {_FIELDS!r} ({', '.join(found)})" if found else _no_table(tables)
        raise SourceError(f"{place} has {named}; select the columns {', '.join(COLUMNS)} with --query")
    (table,) = found
    _check_columns(tables[table], place)
    names = [column for column in COLUMNS if column in tables[table]]
    return f"SELECT {', '.join(names)} FROM {quoted(table)}"  # noqa: S608 - constants and a quoted name


def _no_table(tables: dict[str, list[str]]) -> str:
    columns = {column for names in tables.values() for column in names}
    return f"no table with a column {_FIELDS!r}{hint(_FIELDS, columns)}"


def _check_columns(names: Sequence[str], place: str) -> None:
    for needed in _NEEDED:
        if needed not in names:
            raise SourceError(
                f"the rows of {place} have no column {needed!r}{hint(needed, names)}; "
                f"select it with --query 'SELECT ... AS {needed}, ...'"
            )


def _order(names: Sequence[str], place: str) -> Callable[[Sequence[Any]], Row]:
    """Return a function that arranges the columns of a query in the order of a row."""
    _check_columns(names, place)
    positions = [names.index(name) if name in names else None for name in COLUMNS]
    if positions == list(range(len(names))):
        return tuple
    return lambda row: tuple(None if at is None else row[at] for at in positions)  # type: ignore[return-value]
