"""The findings of a report, and the exit status that they cause."""

from __future__ import annotations

from typing import Any

import pytest

from otel_keyaudit import ApiKey
from support.commands.report import EARLY, LATE, denied, full, granted, lines, minimal, report, row, run, subject

CI = ApiKey("k_ci", "ci-bot", ["workspace:create", "workspace:read"])
READER = ApiKey("k_reader", "reader", ["workspace:read"])
IN_USE = [row(full(CI), at=EARLY), row(full(CI)), row(full(READER), "workspace:read")]
RECENT = "2026-11-10T00:00:00Z"


def test_scope_that_was_not_used() -> None:
    """Another key shows that the use of the scope would be seen."""
    result = report(IN_USE)
    assert result.findings("unused_scope") == [("k_ci", None)]
    assert "workspace:read" in result.json["findings"][0]["detail"]


def test_young_key_has_no_unused_finding() -> None:
    """The key was first seen less than ``--min-age`` before the end."""
    rows = [row(full(CI), at=RECENT), *IN_USE[1:], subject(ApiKey("k_new", "new", ["workspace:read"]), at=RECENT)]
    assert report(rows).findings("unused_scope") == []
    assert report(rows).findings("unused_key") == []
    assert report(rows, "--min-age", "10d").findings("unused_scope") == [("k_ci", None)]
    assert report(rows, "--min-age", "10d").findings("unused_key") == [("k_new", None)]


def test_key_that_was_never_used() -> None:
    """A row about the key shows that it exists; its scopes are not listed too."""
    idle = ApiKey("k_idle", "idle", ["workspace:create"])
    result = report([subject(idle), *IN_USE])
    assert result.findings("unused_key") == [("k_idle", None)]
    assert ("k_idle", None) not in result.findings("unused_scope")


def test_key_that_was_not_used_in_the_period() -> None:
    """The key was used only before the period."""
    stale = ApiKey("k_stale", "stale", ["workspace:create"])
    result = report([row(full(stale), at=EARLY), *IN_USE], "--since", "2026-11-01")
    assert result.findings("unused_key") == [("k_stale", None)]
    assert (result.key("k_stale")["rows"], result.key("k_stale")["last_used"]) == (0, None)


def test_key_whose_use_cannot_be_seen_is_not_called_unused() -> None:
    """No row shows that anybody needs the key's only permission."""
    silent = ApiKey("k_silent", "silent", ["template:read"])
    result = report([subject(silent), *IN_USE])
    assert result.findings("unused_key") == []
    assert result.scope("k_silent", "template:read")["not_observable"] == ["template:read"]


def test_deleted_key_is_not_called_unused() -> None:
    """A deleted key cannot be used any more."""
    idle = ApiKey("k_idle", "idle", ["workspace:create"])
    assert report([subject(idle), subject(idle, "delete", LATE), *IN_USE]).findings("unused_key") == []


@pytest.mark.parametrize("newest_first", [False, True])
def test_order_of_the_rows_about_a_key_does_not_matter(newest_first: bool) -> None:
    """Audit tables are often read with the newest row first."""
    idle = ApiKey("k_idle", "idle", ["workspace:create"])
    about = [subject(idle), subject(idle, "delete", LATE)]
    assert report([*IN_USE, *(reversed(about) if newest_first else about)]).findings("unused_key") == []


def test_key_that_was_deleted_before_the_period_is_left_out() -> None:
    """Nobody can take scopes from it, unless the period shows that it is used all the same."""
    gone = ApiKey("k_gone", "gone", ["workspace:create"])
    deleted = [subject(gone), subject(gone, "delete", "2026-02-01T00:00:00Z")]
    result = report([*deleted, *IN_USE], "--since", "2026-06-01")
    assert "k_gone" not in [key["id"] for key in result.json["keys"]]
    assert report([*deleted, *IN_USE, row(full(gone))], "--since", "2026-06-01").key("k_gone")["rows"] == 1


def test_grant_beyond_the_scopes() -> None:
    """Only a granted decision with the cause ``other`` is a finding."""
    beyond = granted("workspace:delete", cause="other", missing=["workspace:delete"])
    result = report([row(full(CI, decisions=[beyond])), row(full(CI, decisions=[denied("a:b", cause="other")]))])
    assert result.findings("beyond_scopes") == [("k_ci", 1)]
    assert result.findings("denied") == [("k_ci", 2)]


def test_denied_decisions_are_one_finding_for_each_requirement() -> None:
    """The finding counts the decisions and names the first row."""
    decisions = [denied("workspace:delete")]
    rows = [row(full(CI, decisions=decisions, trace_id=f"{number:032x}")) for number in range(7)]
    result = report([*rows, row(full(CI, decisions=[denied("template:use")]))])
    assert result.findings("denied") == [("k_ci", 1), ("k_ci", 8)]
    assert "workspace:delete denied 7 times" in result.json["findings"][0]["detail"]
    assert "also rows 2, 3, 4, 5, …" in result.json["findings"][0]["detail"]


def test_rows_without_a_key() -> None:
    """Ambiguous rows are no rows without a key."""
    ambiguous = {"ambiguous": True, "ids": ["k_1", "k_2"], "trace_id": "a" * 32}
    result = report([row(full(CI)), row(None), row(None, additional_fields=None), row(ambiguous)])
    assert result.json["rows_without_key"] == 2
    assert result.findings("keyless_rows") == [(None, 2)]
    assert result.findings("ambiguous_rows") == [(None, 4)]
    assert "k_1, k_2" in result.json["findings"][0]["detail"]


def test_keys_of_two_tenants_with_the_same_id_are_not_mixed() -> None:
    """Nothing is proposed, because the scopes of one key would be granted to the other."""
    ours = ApiKey("1", "alice", ["workspace:read"], owner="tenant-A")
    theirs = ApiKey("1", "bob", ["workspace:*"], owner="tenant-B")
    result = report([row(full(CI)), row(full(ours)), row(full(theirs)), row(minimal(ours))])
    assert result.findings("ambiguous_rows") == [("1", 2)]
    assert "tenant-A, tenant-B" in result.json["findings"][0]["detail"]
    found = result.key("1")
    assert (found["owner"], found["scopes"], found["proposal"], found["rows"]) == (None, [], [], 3)


@pytest.mark.parametrize("name", ["request_api_key_unverified", "api_key_unverified"])
def test_forged_member(name: str) -> None:
    """The finding names the row's own key and nothing of the forged member."""
    forged = {"id": "k_root", "scopes": ["*"], "detail": "full", "digest": "0" * 16}
    rows = [row(full(CI)), row(None)]
    for one in rows:
        one["additional_fields"][name] = forged
    result = report(rows)
    assert result.findings("forged") == [(None, 2), ("k_ci", 1)]
    assert "k_root" not in result.output


@pytest.mark.parametrize(
    "change",
    [
        {"scopes": ["*"]},
        {"scopes": "workspace:create"},
        {"allow_list": ["*:*"]},
        {"owner": "somebody"},
        {"expires_at": "2099-01-01T00:00:00Z"},
        {"expires_at": "never"},
        {"name": "other"},
        {"digest": "0" * 16},
        {"effective_scope": {"permissions": [], "catalog": "other"}},
        {"effective_scope": {"permissions": [], "catalog": "\ud800"}},
    ],
)
def test_altered_snapshot(change: dict[str, Any]) -> None:
    """Each member under the digest is checked, and an unaltered row is fine."""
    result = report([row(full(CI)), row(full(CI) | change)])
    assert result.findings("altered") == [("k_ci", 2)]


def test_altered_subject() -> None:
    """The snapshot of a key that a row is about is checked too."""
    changed = subject(CI)
    changed["additional_fields"]["api_key"]["scopes"] = ["*"]
    assert report([changed]).findings("altered") == [("k_ci", 1)]


@pytest.mark.parametrize(
    "key",
    [
        CI,
        ApiKey("k", None, ["b:x", "a:x", "b:x"], ["t:2", "t:1"], "tenant", "2027-01-01T00:00:00Z"),
        ApiKey("k", "née", [], []),
        ApiKey("k"),
    ],
)
@pytest.mark.parametrize("version", [None, "2026-11"])
def test_genuine_snapshot_is_no_finding(key: ApiKey, version: str | None) -> None:
    """A row with unknown scopes does not name the catalog, so versions of other rows are tried."""
    other = ApiKey("k_other", "other", ["a:b"])
    result = report([row(full(key, version)), row(full(other, "2026-11"))])
    assert result.findings("altered") + result.findings("unverifiable") == []


def test_cut_lists_cannot_be_verified() -> None:
    """The digest covers the whole list, so a cut list cannot be checked."""
    cut = full(CI) | {"scopes": ["workspace:create"], "scopes_count": 2}
    result = report([row(cut)])
    assert (result.findings("unverifiable"), result.findings("altered")) == ([("k_ci", 1)], [])


def test_unknown_catalog_cannot_be_verified() -> None:
    """A row without scopes does not name the version of the catalog."""
    key = ApiKey("k", "k")
    result = report([row(full(key, "7"))])
    assert (result.findings("unverifiable"), result.findings("altered")) == ([("k", 1)], [])


def test_digest_without_full_row() -> None:
    """Each digest is one finding, whether the request or the subject names it."""
    changed = ApiKey("k_ci", "ci-bot", ["workspace:read"])
    result = report([row(full(CI)), row(minimal(changed)), row(minimal(changed))])
    assert result.findings("unresolved") == [("k_ci", 2)]


def test_findings_are_sorted() -> None:
    """Findings are sorted by kind, key and row."""
    rows = [row(full(CI) | {"name": "b"}), row(None), row(full(READER) | {"name": "a"}), *IN_USE]
    found = [(one["finding"], one["key_id"] or "", one["row"] or 0) for one in report(rows).json["findings"]]
    assert len(found) > 3
    assert found == sorted(found)


def test_fail_on_sets_the_exit_status() -> None:
    """The exit status is 1 for a selected finding and 0 for others."""
    text = lines(IN_USE)
    assert run("-", stdin=text).status == 0
    assert run("-", "--fail-on", "altered", stdin=text).status == 0
    failed = run("-", "--fail-on", "altered,unused_scope", stdin=text)
    assert failed.status == 1
    assert failed.findings("unused_scope")


def test_malformed_members_do_not_stop_the_report() -> None:
    """Clients and other programs write into audit tables too."""
    odd: list[Any] = [
        None, "text", 17, [], {"id": 7}, {"id": ""}, {"id": ["k"]}, {"id": "k", "digest": {}}, {"ambiguous": True},
        {"id": "k", "digest": "d", "detail": "full", "scopes": {"a": 1}, "effective_scope": "x"},
        {"id": "k", "digest": "d", "decisions": [7, {"required": [["a"]]}, {"required": 3}, {}]},
    ]  # fmt: skip
    result = report([row(None, additional_fields={"request_api_key": member, "api_key": member}) for member in odd])
    assert result.json["rows"] == len(odd)
    assert [key["id"] for key in result.json["keys"]] == ["k"]
