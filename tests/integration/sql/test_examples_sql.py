"""The questions of examples/sql, asked in each database."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace

import pytest

from integration.sql.databases import EXAMPLE, INDEXES, QUESTIONS, Database, question
from integration.sql.rows import many, member, row
from otel_keyaudit import ApiKey
from warehouse import a_day

BOT = ApiKey("k_bot", "ci-bot", ["crate:*", "shelf:read"], ["shelf:*"])
NARROW = replace(BOT, scopes=("crate:create", "shelf:read"), allow_list=("shelf:7", "shelf:9"))
KEY = {"key": "k_bot"}


@pytest.fixture
def day(database: Database) -> Database:
    """The rows that the library writes in the example's day."""
    connection = a_day()
    database.add([found[1:] for found in connection.execute("SELECT * FROM audit_log ORDER BY id")])
    connection.close()
    database.create_views()
    return database


def test_the_readme_shows_what_the_example_prints() -> None:
    """The README shows the output; only the trace ids differ."""
    done = subprocess.run(
        [sys.executable, "-B", EXAMPLE / "ask.py"], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    shown = (EXAMPLE / "README.md").read_text(encoding="utf-8")
    assert without_traces(done.stdout.strip()) in without_traces(shown)


def test_actions_of_a_key(day: Database) -> None:
    """All rows of the key, the latest first, without those of other keys and of ambiguous requests."""
    found = day.query(question("What was done with a key"), KEY)
    assert [(one["id"], one["detail"], one["digest"]) for one in found] == [
        (6, "minimal", NARROW.digest),
        (3, "minimal", BOT.digest),
        (2, "minimal", BOT.digest),
    ]
    assert len({one["trace_id"] for one in found}) == 3


def test_full_snapshot_behind_a_minimal_row(day: Database) -> None:
    """The snapshot comes from another row with the same digest and shows the permissions at that time."""
    (before,) = day.query(question("What was the key of a row allowed"), {"row": 3})
    (after,) = day.query(question("What was the key of a row allowed"), {"row": 6})
    assert (before["detail"], before["snapshot"]) == ("minimal", member(BOT))
    assert (after["detail"], after["snapshot"]) == ("minimal", member(NARROW))


def test_snapshot_of_a_full_row_is_its_own(day: Database) -> None:
    """The snapshot is the member of the row itself, with the trace."""
    (found,) = day.query("SELECT snapshot FROM key_actions WHERE id = 1")
    assert found["snapshot"]["scopes"] == ["api_key:*", "crate:*"]
    assert len(found["snapshot"]["trace_id"]) == 32


def test_who_changed_a_key(day: Database) -> None:
    """The rows about the key name the key that made the change."""
    found = day.query(question("Who created or changed"), KEY)
    assert [(one["id"], one["action"], one["subject_digest"], one["by_key_id"]) for one in found] == [
        (1, "create", BOT.digest, "k_ops"),
        (5, "update", NARROW.digest, "k_ops"),
    ]


def test_keys_that_changed(day: Database) -> None:
    """Only keys with more than one snapshot are listed, with both digests and the first row that has the new one."""
    (found,) = day.query(question("Which keys changed"))
    assert (found["key_id"], found["id"], found["previous_digest"], found["digest"]) == (
        "k_bot",
        5,
        BOT.digest,
        NARROW.digest,
    )


def test_what_changed_in_a_key(day: Database) -> None:
    """Each value that was added or removed is listed, and no other."""
    found = day.query(question("What changed in a key"), KEY)
    assert [(one["change"], one["field"], one["value"]) for one in found] == [
        ("removed", "allow_list", "shelf:*"),
        ("added", "allow_list", "shelf:7"),
        ("added", "allow_list", "shelf:9"),
        ("removed", "scopes", "crate:*"),
        ("added", "scopes", "crate:create"),
    ]


def test_rows_without_a_key(day: Database) -> None:
    """Rows with a key and ambiguous rows are left out."""
    assert [one["id"] for one in day.query(question("What was done without a key"))] == [4]


def test_ambiguous_rows(day: Database) -> None:
    """Each ambiguous row lists all accepted keys."""
    (found,) = day.query(question("Where is it not certain"))
    assert (found["id"], found["key_ids"]) == (7, ["k_bot", "k_ops"])


def test_other_fields_that_change(database: Database) -> None:
    """Name, owner, catalog and permissions are compared too, and an empty list differs from an unknown one."""
    effective = {"permissions": ["crate:read"], "allow_list": [], "catalog": "1"}
    old = member(ApiKey("k_bot", "ci", ["a:b"]), effective_scope=effective)
    new = member(ApiKey("k_bot", "cd", ["a:b"], []), owner="lee", effective_scope=effective | {"catalog": "2"})
    database.add([row({"request_api_key": old}), row({"request_api_key": new})])
    database.create_views()
    found = database.query(question("What changed in a key"), KEY)
    assert [(one["change"], one["field"], one["value"]) for one in found] == [
        ("added", "allow_list", "[]"),
        ("removed", "effective_scope.catalog", "1"),
        ("added", "effective_scope.catalog", "2"),
        ("removed", "name", "ci"),
        ("added", "name", "cd"),
        ("added", "owner", "lee"),
    ]


def test_a_snapshot_that_no_row_has_in_full_is_not_compared(database: Database) -> None:
    """The change is listed; its differences are unknown."""
    database.add([row({"request_api_key": member(BOT)}), row({"request_api_key": member(NARROW, full=False)})])
    database.create_views()
    (change,) = database.query(question("Which keys changed"))
    assert change["digest"] == NARROW.digest
    assert database.query(question("What changed in a key"), KEY) == []
    assert database.query("SELECT snapshot FROM key_actions WHERE id = 2") == [{"snapshot": None}]


def test_fields_that_are_not_json_can_still_be_written(database: Database, kind: str) -> None:
    """The indexes refuse no row that the table accepts. Such rows have no key."""
    database.create_views()
    odd = [None, "{}", "[1]", '"text"', "17", '{"request_api_key": "their own"}', '{"request_api_key": null}']
    if kind in ("sqlite", "text"):
        odd += ["", "plain text", '{"cut', '{"ratio": NaN, "request_api_key": {"id": "k_bot"}']
    if kind == "text":
        odd += ['{"nul": "\\u0000"}']
    database.add([row(fields) for fields in odd])
    assert len(database.query("SELECT id FROM keyless_actions")) == len(odd)
    assert database.query("SELECT id FROM key_actions") == []


def test_a_forged_subject_is_no_snapshot(database: Database) -> None:
    """A client's own member in a row that is not about a key is never used as a snapshot."""
    forged = member(BOT) | {"scopes": ["everything:*"]}
    database.add([row({"request_api_key": member(BOT, full=False), "api_key": forged})])
    database.create_views()
    assert database.query("SELECT snapshot FROM key_actions") == [{"snapshot": None}]
    assert database.query("SELECT * FROM key_subjects") == []


def test_running_the_script_again_changes_nothing(day: Database) -> None:
    """An updated script can be run again."""
    before = [day.query(query, {"key": "k_bot", "row": 3}) for query in QUESTIONS.values()]
    day.create_views()
    assert [day.query(query, {"key": "k_bot", "row": 3}) for query in QUESTIONS.values()] == before


def test_indexes_are_used(database: Database) -> None:
    """Every query uses an index and does not read the whole table; each index is used by a query."""
    database.add(many(20_000, keys=400))
    database.create_views()
    plans = [database.plan(query) for query in QUESTIONS.values()]
    for plan in plans:
        assert any(index in plan for index in INDEXES), plan
        assert not database.scans_the_table.search(plan), plan
    assert [index for index in INDEXES if not any(index in plan for plan in plans)] == []


def test_answers_do_not_depend_on_the_indexes(database: Database) -> None:
    """Every query returns the same result without the indexes."""
    database.add(many(200, keys=10))
    database.create_views()
    parameters = {"key": "k_3", "row": 5}
    with_them = [database.query(query, parameters) for query in QUESTIONS.values()]
    database.drop_indexes()
    assert [database.query(query, parameters) for query in QUESTIONS.values()] == with_them
    assert all(with_them)


def without_traces(text: str) -> str:
    """Replace every trace id in a string by the same one."""
    return re.sub(r"\b[0-9a-f]{32}\b", json.dumps("trace"), text)
