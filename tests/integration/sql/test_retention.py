"""Old rows are deleted; full snapshots to which later rows refer stay."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from integration.sql.databases import EXAMPLE, INDEXES, QUESTIONS, Database, Partitioned, Postgresql, Row
from integration.sql.rows import many, member, row
from otel_keyaudit import ApiKey

OLD, NEW = "2026-09-10T00:00:00Z", "2026-11-10T00:00:00Z"
BOT = ApiKey("k_bot", "ci-bot", ["crate:*"])
GONE = ApiKey("k_gone", "gone", ["crate:read"])
AGAIN = ApiKey("k_again", "again", ["crate:read"])
MADE = ApiKey("k_made", "made", ["crate:list"])


def at(time: str, found: Row) -> Row:
    """Return a row of another time."""
    return (time, *found[1:])


def history() -> list[Row]:
    """Return rows: full ones in an old month, and a later month that refers to some of them."""

    def by(key: ApiKey, *, full: bool = True) -> Row:
        return row({"request_api_key": member(key, full=full)})

    return [
        at(OLD, by(BOT)),
        at(OLD, by(BOT)),
        at(OLD, by(BOT, full=False)),
        at(OLD, by(GONE)),
        at(OLD, by(AGAIN)),
        at(OLD, row({"api_key": member(MADE)}, "api_key")),
        at(OLD, row({"via": "session"})),
        at(NEW, by(BOT, full=False)),
        at(NEW, by(AGAIN)),
        at(NEW, by(AGAIN, full=False)),
        at(NEW, by(MADE, full=False)),
    ]


def snapshots(database: Database) -> list[Any]:
    """Return the scopes behind each row of the new month."""
    rows = database.query("SELECT key_id, snapshot FROM key_actions WHERE id > 7 ORDER BY id")
    return [found["snapshot"]["scopes"] for found in rows]


EXPECTED = [["crate:*"], ["crate:read"], ["crate:read"], ["crate:list"]]


@pytest.fixture
def partitioned(connection: Any) -> Partitioned:
    """An empty audit table with partitions of three months."""
    return Partitioned(connection, ["2026-09-30", "2026-10-01", "2026-11-15"])


def test_retention_keeps_snapshots_of_later_rows(database: Database) -> None:
    """One full row stays for each digest that later rows name without having it in full."""
    database.add(history())
    database.create_views()
    assert snapshots(database) == EXPECTED
    delete = (EXAMPLE / "retention.sql").read_text(encoding="utf-8")
    for _ in range(2):
        database.change(delete, {"before": "2026-11-01T00:00:00Z"})
        assert [found["id"] for found in database.query("SELECT id FROM audit_log ORDER BY id")] == [2, 6, 8, 9, 10, 11]
        assert snapshots(database) == EXPECTED


def test_dropped_month_leaves_snapshots_of_later_rows(partitioned: Partitioned) -> None:
    """Snapshots move to the default partition when their partition is dropped."""
    partitioned.add(history())
    partitioned.create_views()
    assert snapshots(partitioned) == EXPECTED
    partitioned.connection.execute("CALL keyaudit_drop_month('2026-09-01')")
    assert [found["id"] for found in partitioned.query("SELECT id FROM audit_log ORDER BY id")] == [1, 6, 8, 9, 10, 11]
    assert [found["id"] for found in partitioned.query("SELECT id FROM audit_log_rest ORDER BY id")] == [1, 6]
    assert partitioned.query("SELECT to_regclass('audit_log_2026_09') AS gone") == [{"gone": None}]
    assert snapshots(partitioned) == EXPECTED


def test_rows_of_a_month_without_partition_are_not_lost(partitioned: Partitioned) -> None:
    """They are in the default partition, and the views see them."""
    partitioned.add([at("2030-01-01T00:00:00Z", row({"request_api_key": member(BOT)}))])
    partitioned.create_views()
    assert [found["key_id"] for found in partitioned.query("SELECT key_id FROM key_actions")] == ["k_bot"]


def months(number: int, keys: int) -> Iterator[Row]:
    """Return rows of three months."""
    for count, found in enumerate(many(number, keys)):
        yield at(f"2026-{9 + 3 * count // number:02}-15T00:00:00Z", found)


def test_partitions_use_the_indexes(partitioned: Partitioned) -> None:
    """No question reads a whole partition, and each index is used."""
    partitioned.add(months(30_000, keys=400))
    partitioned.create_views()
    plans = [partitioned.plan(query) for query in QUESTIONS.values()]
    for plan in plans:
        assert any(index in plan for index in (*INDEXES, "audit_log_pkey")), plan
        assert not partitioned.scans_the_table.search(plan), plan
    assert [index for index in INDEXES if not any(index in plan for plan in plans)] == []


def test_partitions_give_the_same_answers(partitioned: Partitioned) -> None:
    """The answers are those of one table with the same rows."""
    rows = list(months(600, keys=10))
    partitioned.add(rows)
    partitioned.create_views()
    parameters = {"key": "k_3", "row": 5}
    answers = [partitioned.query(query, parameters) for query in QUESTIONS.values()]
    partitioned.connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    plain = Postgresql(partitioned.connection, "jsonb", at="timestamptz")
    plain.add(rows)
    plain.create_views()
    assert [plain.query(query, parameters) for query in QUESTIONS.values()] == answers
    assert all(answers)
