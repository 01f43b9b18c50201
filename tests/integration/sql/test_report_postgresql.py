"""``otel-keyaudit report`` reads PostgreSQL."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from integration.sql.databases import EXAMPLE
from otel_keyaudit import ApiKey
from support.commands.report import LATE, full, minimal, report, row, run
from support.servers import postgresql

CI = ApiKey("k_ci", "ci-bot", ["workspace:create"], owner="tenant-A")
ROWS = [row(full(CI)), row(minimal(CI)), row(None), row(None, additional_fields=None)]
INSERT = (
    "INSERT INTO audit_log (at, action, resource_type, resource_id, outcome, additional_fields, actor) "
    "VALUES (%s, %s, %s, %s, %s, %s, '')"
)


def url(connection: Any) -> str:
    """Return the URL of the database."""
    return f"postgresql://postgres@{postgresql.HOST}:{connection.info.port}/postgres"


def fill(connection: Any, rows: list[dict[str, Any]]) -> None:
    """Insert rows into the audit table."""
    for one in rows:
        fields = one["additional_fields"]
        values = [one[name] for name in ("at", "action", "resource_type", "resource_id", "outcome")]
        connection.execute(INSERT, [*values, None if fields is None else json.dumps(fields)])


@pytest.mark.parametrize("kind", ["jsonb", "json", "text", "partitioned"])
def test_every_kind_of_table_gives_the_report_of_its_rows(connection: Any, kind: str) -> None:
    """Times, fields and keys are the same as in JSON lines; partitions are one table."""
    if kind == "partitioned":
        connection.execute((EXAMPLE / "partitioned.sql").read_bytes())
        connection.execute("CALL keyaudit_add_month('2026-11-01')")
    else:
        connection.execute(
            f"CREATE TABLE audit_log (id bigserial, at timestamptz, actor text, action text, resource_type text, "
            f"resource_id text, outcome text, additional_fields {kind})"
        )
    fill(connection, ROWS)
    assert run(url(connection)).json == report(ROWS).json


def test_query_selects_columns_and_rows(connection: Any) -> None:
    """A query can end with a semicolon, as people write it."""
    connection.execute('CREATE TABLE events (created timestamp, details jsonb, "Additional" int)')
    connection.execute(
        "INSERT INTO events VALUES ('2026-11-23 16:00', %s)", [json.dumps({"request_api_key": full(CI)})]
    )
    query = "SELECT created AS at, details AS additional_fields FROM events WHERE created > '2026-01-01';"
    assert run(url(connection), "--query", query).key("k_ci")["last_used"] == "2026-11-23T16:00:00Z"


def test_times_that_python_cannot_hold_are_unknown(connection: Any) -> None:
    """The rows count; a time without a zone is in UTC, whatever the server's own zone is."""
    connection.execute("ALTER DATABASE postgres SET timezone = 'Asia/Tokyo'")
    connection.execute("CREATE TABLE audit_log (at timestamptz, additional_fields jsonb)")
    for at in ("infinity", "-infinity", "0044-03-15 BC", "2026-11-23 16:00:00.5+00"):
        connection.execute("INSERT INTO audit_log VALUES (%s, %s)", [at, json.dumps({"request_api_key": full(CI)})])
    found = run(url(connection)).json
    assert (found["rows"], found["from"], found["to"]) == (4, "2026-11-23T16:00:00.500000Z", found["from"])
    query = "SELECT at::timestamp AS at, additional_fields FROM audit_log"
    assert run(url(connection), "--query", query).json["to"] == found["to"]
    connection.execute("ALTER DATABASE postgres RESET timezone")


@pytest.mark.parametrize("kind", ["timestamptz", "timestamp", "date"])
def test_times_are_read_whatever_format_the_database_prefers(connection: Any, kind: str) -> None:
    """The session reads times in ISO 8601, although the database is set to another format and zone."""
    connection.execute("SET timezone = 'UTC'")
    connection.execute(f"CREATE TABLE audit_log (at {kind}, additional_fields jsonb)")
    connection.execute("INSERT INTO audit_log VALUES (TIMESTAMPTZ '2026-11-12 00:00:00Z', '{}')")
    for style in ("German, DMY", "SQL, MDY", "Postgres, DMY"):
        connection.execute(f"ALTER DATABASE postgres SET DateStyle = '{style}'")
        assert run(url(connection)).json["to"] == "2026-11-12T00:00:00Z"
    connection.execute("ALTER DATABASE postgres RESET DateStyle")


def test_encoding_of_the_client_does_not_matter(connection: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names and strings are read as UTF-8, whatever the environment asks for."""
    connection.execute("CREATE TABLE audit_log (at text, action text, additional_fields text)")
    name = replace(CI, name="caf\u00e9 \u20ac")
    fields = json.dumps({"request_api_key": full(name)}, ensure_ascii=False)
    connection.execute("INSERT INTO audit_log VALUES (%s, 'create', %s)", [LATE, fields])
    for encoding in ("SQL_ASCII", "LATIN1"):
        monkeypatch.setenv("PGCLIENTENCODING", encoding)
        result = run(url(connection))
        assert (result.key("k_ci")["name"], result.json["to"]) == (name.name, LATE)
        assert result.findings("altered") == []


def test_children_of_a_table_are_part_of_it(connection: Any) -> None:
    """Rows in a table that inherits from the audit table, as in TimescaleDB, are read once."""
    connection.execute("CREATE TABLE audit_log (at timestamptz, additional_fields jsonb)")
    connection.execute("CREATE SCHEMA IF NOT EXISTS chunks")
    connection.execute("CREATE TABLE chunks.audit_log_1 () INHERITS (audit_log)")
    connection.execute("INSERT INTO chunks.audit_log_1 VALUES (%s, '{}')", [LATE])
    assert run(url(connection)).json["rows"] == 1
    connection.execute("DROP SCHEMA chunks CASCADE")


def test_rows_have_the_same_numbers_after_an_interrupted_scan(connection: Any) -> None:
    """PostgreSQL continues the scan of a big table where another scan stopped, unless the session refuses that."""
    connection.execute("CREATE TABLE audit_log (at timestamptz, additional_fields jsonb, padding text)")
    connection.execute("ALTER TABLE audit_log ALTER padding SET STORAGE plain")
    connection.execute(
        "INSERT INTO audit_log SELECT now(), '{}', repeat('x', 7000) FROM generate_series(1, 6000)"  # over 40 MB
    )
    fields = json.dumps({"request_api_key": {"ambiguous": True, "ids": ["k_1", "k_2"]}})
    connection.execute("UPDATE audit_log SET additional_fields = %s WHERE ctid = '(5000,1)'", [fields])
    before = run(url(connection)).findings("ambiguous_rows")
    connection.execute("SELECT FROM audit_log LIMIT 3000")
    assert run(url(connection)).findings("ambiguous_rows") == before


def test_database_is_not_changed(connection: Any) -> None:
    """Even a query that tries to write changes nothing."""
    connection.execute("CREATE TABLE audit_log (at timestamptz, additional_fields jsonb)")
    for query in ("DELETE FROM audit_log", "SELECT 1; DELETE FROM audit_log"):
        refused = run(url(connection), "--query", query, as_json=False)
        assert (refused.status, len(refused.errors.splitlines())) == (2, 1)


def test_wrong_tables_and_servers_are_reported_in_one_line(connection: Any) -> None:
    """A missing table, an unknown table and an unreachable server are each reported in one line."""
    for arguments, expected in (
        ([url(connection)], "no table with a column 'additional_fields'"),
        ([url(connection), "--query", "SELECT * FROM audit"], 'relation "audit" does not exist'),
        ([f"postgresql://me:hunter2@{postgresql.HOST}:1/postgres"], "cannot read from PostgreSQL: connection failed"),
        (
            [f"postgresql://me:hunter2@{postgresql.HOST}/p?colour=red"],
            "cannot read from PostgreSQL: the URL is not valid",
        ),
    ):
        refused = run(*arguments, as_json=False)
        (line,) = refused.errors.splitlines()
        assert (refused.status, refused.output) == (2, "")
        assert expected in line
        assert "hunter2" not in line


def test_many_rows_come_in_batches(connection: Any) -> None:
    """The report reads more rows than one batch of the server's cursor."""
    connection.execute("CREATE TABLE audit_log (at timestamptz, additional_fields jsonb)")
    fields = json.dumps({"request_api_key": minimal(CI)})
    connection.execute("INSERT INTO audit_log SELECT now(), %s FROM generate_series(1, 5001)", [fields])
    assert run(url(connection)).key("k_ci")["rows"] == 5001
