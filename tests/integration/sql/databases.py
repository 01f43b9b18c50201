"""The databases of examples/sql behind one interface: fill an audit table, create the views, query them."""

from __future__ import annotations

import json
import re
import sqlite3
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import psycopg

EXAMPLE = Path(__file__).parents[3] / "examples" / "sql"
if str(EXAMPLE) not in sys.path:
    sys.path.append(str(EXAMPLE))  # an example, not part of the wheel

from ask import questions  # noqa: E402
from warehouse import TABLE  # noqa: E402

QUESTIONS = questions()
INDEXES = ("keyaudit_key", "keyaudit_digest", "keyaudit_full", "keyaudit_ambiguous", "keyaudit_subject")
COLUMNS = ("at", "actor", "action", "resource_type", "resource_id", "outcome", "additional_fields")
Row = tuple[Any, ...]


class Database(Protocol):
    """An audit table with the views of the example.

    Attributes:
        scans_the_table: Matches a plan that reads every row.
    """

    scans_the_table: re.Pattern[str]

    def add(self, rows: Iterable[Row]) -> None:
        """Insert rows: the columns of the table without its id."""

    def create_views(self) -> None:
        """Create the indexes and views."""

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Return the rows of a query by column, JSON as objects."""

    def change(self, sql: str, parameters: Mapping[str, Any]) -> None:
        """Change rows."""

    def plan(self, sql: str) -> str:
        """Return the plan for a query."""

    def drop_indexes(self) -> None:
        """Remove the example's indexes."""


def question(start: str) -> str:
    """Return the query of the question with this beginning."""
    (found,) = [query for asked, query in QUESTIONS.items() if asked.startswith(start)]
    return found


class Sqlite:
    """SQLite.

    Args:
        path: Path of the file; in memory without it.
    """

    scans_the_table = re.compile(r"SCAN (audit_log|r|f|key_rows)$", re.MULTILINE)

    def __init__(self, path: str | Path = ":memory:") -> None:
        self.connection = sqlite3.connect(path, check_same_thread=False)
        self.connection.execute(TABLE)

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def add(self, rows: Iterable[Row]) -> None:
        """Insert rows."""
        places = ", ".join("?" * len(COLUMNS))
        self.connection.executemany(f"INSERT INTO audit_log ({', '.join(COLUMNS)}) VALUES ({places})", rows)  # noqa: S608 - constants

    def create_views(self) -> None:
        """Create the indexes and views."""
        self.connection.executescript((EXAMPLE / "sqlite.sql").read_text(encoding="utf-8"))

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Return the rows of a query."""
        cursor = self.connection.execute(sql, parameters or {})
        names = [column[0] for column in cursor.description or ()]
        return [{name: _parsed(name, value) for name, value in zip(names, row, strict=True)} for row in cursor]

    def change(self, sql: str, parameters: Mapping[str, Any]) -> None:
        """Change rows."""
        self.connection.execute(sql, parameters)

    def drop_indexes(self) -> None:
        """Remove the indexes."""
        for index in INDEXES:
            self.connection.execute(f"DROP INDEX {index}")

    def plan(self, sql: str) -> str:
        """Return the plan for a query."""
        parameters = dict.fromkeys(re.findall(r":(\w+)", sql), "k_1")
        return "\n".join(row["detail"] for row in self.query(f"EXPLAIN QUERY PLAN {sql}", parameters))


class Postgresql:
    """A database in PostgreSQL.

    Args:
        connection: To the server, in autocommit mode.
        kind: Type of the column with the additional fields.
        at: Type of the column with the time.
    """

    scans_the_table = re.compile(r"Seq Scan on (public\.)?audit_log")

    def __init__(self, connection: psycopg.Connection[Any], kind: str, at: str = "TEXT") -> None:
        self.connection = connection
        table = TABLE.replace("id INTEGER PRIMARY KEY", "id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY")
        table = table.replace("at TEXT", f"at {at}")
        connection.execute(table.replace("additional_fields TEXT", f"additional_fields {kind}").encode())

    def add(self, rows: Iterable[Row]) -> None:
        """Insert rows."""
        with self.connection.cursor().copy(f"COPY audit_log ({', '.join(COLUMNS)}) FROM STDIN".encode()) as copy:
            for row in rows:
                copy.write_row(row)

    def create_views(self) -> None:
        """Create the indexes and views."""
        self.connection.execute((EXAMPLE / "postgresql.sql").read_bytes())

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Return the rows of a query."""
        cursor = self.connection.execute(re.sub(r":(\w+)", r"%(\1)s", sql).encode(), parameters)
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def change(self, sql: str, parameters: Mapping[str, Any]) -> None:
        """Change rows."""
        self.connection.execute(re.sub(r":(\w+)", r"%(\1)s", sql).encode(), parameters)

    def drop_indexes(self) -> None:
        """Remove the indexes."""
        for index in INDEXES:
            self.connection.execute(f"DROP INDEX {index}".encode())

    def plan(self, sql: str) -> str:
        """Return the plan for a query."""
        literal = sql.replace(":key", "'k_1'").replace(":row", "1")
        return "\n".join(row["QUERY PLAN"] for row in self.query(f"EXPLAIN {literal}"))


class Partitioned(Postgresql):
    """A table in PostgreSQL with a partition for each month.

    Args:
        connection: To the server, in autocommit mode.
        months: Months with a partition, as dates in them.
    """

    scans_the_table = re.compile(r"Seq Scan on audit_log_[0-9]{4}")

    def __init__(self, connection: psycopg.Connection[Any], months: Iterable[str]) -> None:
        self.connection = connection
        connection.execute((EXAMPLE / "partitioned.sql").read_bytes())
        for month in months:
            connection.execute(b"CALL keyaudit_add_month(%s)", [month])

    def plan(self, sql: str) -> str:
        """Return the query plan, in which the indexes of the table replace those of its partitions."""
        plan = super().plan(sql)
        parents = self.query(
            "SELECT i.relname AS index, p.relname AS parent FROM pg_inherits JOIN pg_class AS i ON i.oid = inhrelid "
            "JOIN pg_class AS p ON p.oid = inhparent WHERE i.relkind = 'i'"
        )
        names = {row["index"]: row["parent"] for row in parents}
        return re.sub(r"\w+", lambda word: names.get(word[0], word[0]), plan)


def _parsed(column: str, value: Any) -> Any:
    """Return a value as PostgreSQL's driver does: JSON as objects."""
    return json.loads(value) if column in ("snapshot", "key_ids") and value is not None else value
