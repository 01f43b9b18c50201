"""The sources: SQLite, JSON lines in files and on standard input; wrong ones are answered in one line."""

from __future__ import annotations

import gzip
import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from otel_keyaudit import ApiKey
from otel_keyaudit.cli.report.reading.entries import COLUMNS
from support.commands.report import LATE, full, lines, minimal, report, row, run
from support.environment.installed import need_package

CI = ApiKey("k_ci", "ci-bot", ["workspace:create"])
ROWS = [row(full(CI)), row(minimal(CI)), row(None)]


def sqlite(path: Path, rows: Iterable[dict[str, Any]], columns: str = "at, {}".format(", ".join(COLUMNS[1:]))) -> Path:
    """Write rows into an SQLite file."""
    connection = sqlite3.connect(path)
    connection.execute(f"CREATE TABLE audit_log (id INTEGER PRIMARY KEY, {columns}, actor)")
    for one in rows:
        values = [one[name] for name in COLUMNS[:-1]] + [json.dumps(one["additional_fields"])]
        connection.execute(f"INSERT INTO audit_log ({columns}) VALUES (?, ?, ?, ?, ?, ?)", values)  # noqa: S608
    connection.commit()
    connection.close()
    return path


def test_every_source_gives_the_same_report(tmp_path: Path) -> None:
    """A database, a plain or compressed file and standard input give the same report."""
    text = lines(ROWS).encode()
    (tmp_path / "rows.jsonl").write_bytes(text)
    (tmp_path / "rows.jsonl.gz").write_bytes(gzip.compress(text))
    (tmp_path / "packed").write_bytes(gzip.compress(text))
    expected = report(ROWS).json
    assert expected["rows"] == 3
    for source in (sqlite(tmp_path / "audit.db", ROWS), *tmp_path.glob("rows*"), tmp_path / "packed"):
        assert run(source).json == expected, source
    assert run("-", stdin=gzip.compress(text)).json == expected


@pytest.mark.parametrize("is_compressed", [False, True])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_file_with_a_byte_order_mark(tmp_path: Path, encoding: str, is_compressed: bool) -> None:
    """Every line of the file is read, also if the file is in UTF-16 and ends with Windows line breaks."""
    raw = lines(ROWS).replace("\n", "\r\n").encode(encoding)
    path = tmp_path / "rows.jsonl"
    path.write_bytes(gzip.compress(raw) if is_compressed else raw)
    assert (run(path).json["rows"], run(path).json["rows_unreadable"]) == (len(ROWS), 0)


def test_several_sources_are_one(tmp_path: Path) -> None:
    """Rows of several sources are numbered consecutively, and a digest is resolved by another source."""
    first, second = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    first.write_text(lines([row(minimal(CI))]))
    second.write_text(lines([row(full(CI)), row(None)]))
    result = run(first, second)
    assert (result.json["rows"], result.findings("unresolved"), result.findings("keyless_rows")) == (3, [], [(None, 3)])


def test_additional_fields_can_be_text() -> None:
    """A JSON string in any form that the library writes is read."""
    fields = json.dumps(ROWS[0]["additional_fields"])
    with_nan = fields[:-1] + ', "ratio": NaN}'
    texts = [fields, "\ufeff" + fields, with_nan, fields[:-1] + ', "cut": "\\ud800"}']
    texts += map(json.dumps, (fields, with_nan))  # a JSON column that took a string
    result = report([row(None, additional_fields=text) for text in texts])
    assert (result.key("k_ci")["rows"], result.json["rows_unreadable"]) == (6, 0)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32-be"])
def test_additional_fields_can_be_bytes(tmp_path: Path, encoding: str) -> None:
    """The encoding of bytes is detected as ``json.loads`` does."""
    path = sqlite(tmp_path / "audit.db", ROWS[:1])
    connection = sqlite3.connect(path)
    encoded = json.dumps(ROWS[0]["additional_fields"]).encode(encoding)
    connection.execute("UPDATE audit_log SET additional_fields = ?", [encoded])
    connection.commit()
    connection.close()
    assert run(path).key("k_ci")["rows"] == 1


@pytest.mark.parametrize("fields", [None, "", "null", "{}", "[1]", '"text"', "17", {}, [], 17])
def test_fields_without_an_object_have_no_key(fields: Any) -> None:
    """Rows without an object are readable and have no key."""
    result = report([row(None, additional_fields=fields)])
    assert (result.json["rows"], result.json["rows_without_key"], result.json["rows_unreadable"]) == (1, 1, 0)


@pytest.mark.parametrize("broken", ["{", "text", '{"a": 1} x', "[1]", "17", "\x00", "\ufeff", "[" * 100_000])
def test_broken_line_is_unreadable(broken: str) -> None:
    """The other lines are read."""
    result = report([ROWS[0], broken, ROWS[1]])
    assert (result.json["rows"], result.json["rows_unreadable"], result.json["rows_without_key"]) == (3, 1, 0)
    assert result.key("k_ci")["rows"] == 2


def test_broken_fields_are_unreadable() -> None:
    """Whether the row had a key is unknown."""
    result = report([row(None, additional_fields='{"cut')])
    assert (result.json["rows"], result.json["rows_unreadable"], result.json["rows_without_key"]) == (1, 1, 0)


def test_empty_lines_are_no_rows() -> None:
    """Empty lines at the end of a file or between rows are skipped."""
    assert report([ROWS[0], "", "  ", "\r"]).json["rows"] == 1


def test_log_line_is_its_own_fields() -> None:
    """The member is beside the message in a line of a logging library."""
    result = report([{"event": "created", "at": LATE, "request_api_key": full(CI)}])
    assert (result.key("k_ci")["rows"], result.key("k_ci")["last_used"]) == (1, LATE)


def test_names_of_members_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The report reads the variables of the library's options."""
    monkeypatch.setenv("OTEL_PYTHON_KEYAUDIT_REQUEST_FIELD", "by_key")
    monkeypatch.setenv("OTEL_PYTHON_KEYAUDIT_SUBJECT_FIELD", "about_key")
    other = ApiKey("k_other", None, ["a:b"])
    fields = {"by_key": full(CI), "about_key": full(other), "by_key_unverified": 1}
    result = report([row(None, "api_key:create", additional_fields=fields)])
    assert [key["id"] for key in result.json["keys"]] == ["k_ci", "k_other"]
    assert result.findings("forged") == [("k_ci", 1)]


@pytest.mark.parametrize(
    "at",
    [LATE, "2026-11-23 16:00:00", "2026-11-23 16:00:00+00", "2026-11-23 17:30:00.0+01:30",
     "2026-11-23T17:00:00+01:00", "2026-11-23T16:00:00.000000000Z", 1795449600,
     1795449600.0, 1795449600000, 1795449600000000, 1795449600000000000, "1795449600", "1795449600000.0",
     "2026-11-23T16:00:00.000"],
)  # fmt: skip
def test_forms_of_time(at: Any) -> None:
    """Times are RFC 3339, in UTC if they have no zone, or numbers since 1970 in the usual units."""
    assert report([row(full(CI), at=at)]).json["to"] == LATE


def test_digits_that_look_like_a_date_are_a_number() -> None:
    """Milliseconds since 1970 as a string can begin like a date of the year 1712."""
    assert report([row(full(CI), at="1712121200123")]).json["to"] == "2024-04-03T05:13:20.123000Z"


@pytest.mark.parametrize("at", [None, "", "yesterday", True, [], "2026-02-30T00:00:00Z", 1e300, 10**400, "infinity"])
def test_row_without_a_time_is_counted(at: Any) -> None:
    """A row without a time belongs to every period."""
    result = report([row(full(CI), at=at)], "--since", "2026-11-01")
    assert (result.json["rows"], result.json["to"], result.key("k_ci")["last_used"]) == (1, None, None)


def test_query_selects_columns(tmp_path: Path) -> None:
    """A query can rename columns and select rows."""
    path = sqlite(tmp_path / "audit.db", ROWS)
    connection = sqlite3.connect(path)
    connection.executescript(
        "ALTER TABLE audit_log RENAME COLUMN additional_fields TO details; ALTER TABLE audit_log RENAME at TO created"
    )
    connection.close()
    query = "SELECT details AS additional_fields, created AS at, action FROM audit_log WHERE id < 3"
    assert run(path, "--query", query).json["rows"] == 2


def test_database_is_never_written(tmp_path: Path) -> None:
    """Even a query that tries to write changes nothing."""
    path = sqlite(tmp_path / "a?b#c%20.db", ROWS)
    before = path.read_bytes()
    assert run(path).json["rows"] == 3
    refused = run(path, "--query", "DELETE FROM audit_log")
    assert refused.status == 2
    assert "readonly" in refused.errors
    assert path.read_bytes() == before


def wrong(*arguments: str | Path, stdin: str = "") -> str:
    """Return the only line about wrong use."""
    result = run(*arguments, stdin=stdin, as_json=False)
    assert (result.status, result.output) == (2, "")
    (line,) = result.errors.splitlines()
    assert line.startswith("keyaudit: ")
    return line


def test_missing_file_gets_the_nearest_name(tmp_path: Path) -> None:
    """A misspelt file name is answered with the nearest one."""
    sqlite(tmp_path / "audit.db", ROWS)
    assert "did you mean 'audit.db'?" in wrong(tmp_path / "audti.db")
    assert "directory" in wrong(tmp_path)
    assert "not valid" in wrong("a\0b")


def test_table_is_found_or_requested(tmp_path: Path) -> None:
    """A missing table, several tables, and a missing or misspelt column are reported."""
    path = sqlite(tmp_path / "audit.db", ROWS)
    connection = sqlite3.connect(path)
    connection.execute('CREATE TABLE "odd ""name" (at, additional_fields)')
    connection.commit()
    assert "several tables with a column 'additional_fields' (audit_log, odd \"name)" in wrong(path)
    connection.execute("DROP TABLE audit_log")
    connection.commit()
    assert run(path).json["rows"] == 0
    connection.execute('ALTER TABLE "odd ""name" RENAME at TO att')
    connection.commit()
    assert "no column 'at'; did you mean 'att'?" in wrong(path)
    connection.execute('ALTER TABLE "odd ""name" RENAME additional_fields TO additional_field')
    connection.commit()
    assert "did you mean 'additional_field'?" in wrong(path)
    assert "no column 'additional_fields'" in wrong(path, "--query", 'SELECT att AS at FROM "odd ""name"')
    assert "no such table: audit" in wrong(path, "--query", "SELECT * FROM audit")
    connection.close()


def test_generated_columns_are_columns_and_a_search_index_is_no_table(tmp_path: Path) -> None:
    """The audit table can compute its columns, and have an index for full-text search."""
    connection = sqlite3.connect(tmp_path / "audit.db")
    connection.executescript(
        "CREATE TABLE audit_log (raw, at AS (json_extract(raw, '$.at')), "
        "additional_fields AS (json_extract(raw, '$.additional_fields')));"
        "CREATE VIRTUAL TABLE search USING fts4(additional_fields)"
    )
    connection.executemany("INSERT INTO audit_log VALUES (?)", [[json.dumps(one)] for one in ROWS])
    connection.commit()
    connection.close()
    found = run(tmp_path / "audit.db")
    assert (found.json["rows"], found.json["to"], found.key("k_ci")["rows"]) == (3, LATE, 2)


@pytest.mark.parametrize("column", ["additional_fields", "action"])
def test_strings_that_are_not_utf_8_do_not_stop_the_report(tmp_path: Path, column: str) -> None:
    """SQLite stores any bytes in a text column. Only the row whose fields cannot be decoded is unreadable."""
    path = sqlite(tmp_path / "audit.db", ROWS)
    connection = sqlite3.connect(path)
    connection.execute(f"UPDATE audit_log SET {column} = CAST(x'7b22ff227d' AS TEXT) WHERE id = 2")  # noqa: S608
    connection.commit()
    connection.close()
    found = run(path).json
    assert (found["rows"], found["rows_unreadable"]) == (3, int(column == "additional_fields"))


def test_query_needs_a_database(tmp_path: Path) -> None:
    """JSON lines have their columns already, so a query is wrong use."""
    assert "--query is for SQLite and PostgreSQL" in wrong("-", "--query", "SELECT 1")


def test_other_databases_are_refused() -> None:
    """The line names the nearest scheme."""
    assert "did you mean 'postgresql'?" in wrong("postgresq://host/db")
    assert "'mysql://' is not a source" in wrong("mysql://host/db")


@pytest.mark.parametrize(
    "source",
    ["postgresql://me:hunter2@127.0.0.1:1/db", "postgresql://me:hunter2@[::1/db", "postgresql://me@h:hunter2/db",
     "postgresql://me:hun%hunter2@127.0.0.1:1/db", "postgresql://me:pass@hunter2@127.0.0.1:1/db",
     "postgresql://127.0.0.1:hunter2/pass@127.0.0.1:1/db", "postgresql://127.0.0.1:hunter2?pass@127.0.0.1:1/db",
     "postgresql://127.0.0.1:hunter2", "postgresql://127.0.0.1:1,127.0.0.1:hunter2",
     "postgresql://me:hunter2@127.0.0.1:1/db\udcff", "mysql://me:hunter2@127.0.0.1:1/db",
     "postgresql:/me:hunter2@127.0.0.1:1/db", " postgresql://me:hunter2@127.0.0.1:1/db",
     "host=127.0.0.1 port=1 user=me password=hunter2 dbname=db"],
)  # fmt: skip
def test_password_of_a_database_is_never_shown(source: str) -> None:
    """No error shows the password, even if the URL is written so that libpq takes it for something else."""
    assert "hunter2" not in wrong(source)
    assert "hunter2" not in wrong(source, "--query", "SELECT 1")


@pytest.mark.parametrize(
    "url", ["postgresql://me:hunter2@127.0.0.1:1/db", "postgresql://[::1]:1,127.0.0.1:1/db?connect_timeout=5"]
)
def test_unreachable_server_is_named(url: str) -> None:
    """A URL whose parts cannot be confused gets the reason, with the address."""
    need_package("psycopg")
    assert "connection to server at" in wrong(url)


def test_query_that_is_not_utf_8(tmp_path: Path) -> None:
    """It is reported in one line for both databases."""
    wrong(sqlite(tmp_path / "audit.db", ROWS), "--query", "SELECT '\udcff'")


def test_damaged_files(tmp_path: Path) -> None:
    """A truncated file and a file that is not a database are reported."""
    (tmp_path / "cut.jsonl").write_bytes(lines(ROWS).encode("utf-16")[:-1])
    assert "cut.jsonl" in wrong(tmp_path / "cut.jsonl")
    (tmp_path / "cut.gz").write_bytes(gzip.compress(lines(ROWS).encode())[:-9])
    (tmp_path / "bad.db").write_bytes(b"SQLite format 3\0" + b"x" * 200)
    assert "cut.gz" in wrong(tmp_path / "cut.gz")
    assert "bad.db" in wrong(tmp_path / "bad.db")
