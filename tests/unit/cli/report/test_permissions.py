"""The permissions that a key was granted are compared with those that it used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from otel_keyaudit import ApiKey
from support.commands.report import CATALOG, EARLY, LATE, denied, full, granted, minimal, report, row, subject

CI = ApiKey("k_ci", "ci-bot", ["workspace:create", "workspace:read"], owner="tenant-A")
OPS = ApiKey("k_ops", "ops", ["workspace:*"])


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    """A scope catalog."""
    path = tmp_path / "scopes.json"
    path.write_text(json.dumps(CATALOG), encoding="utf-8")
    return path


def test_granted_decision_uses_its_permissions() -> None:
    """The scope shows the permission and the time of its last use."""
    decisions = [granted("workspace:read")]
    result = report([row(full(CI, decisions=decisions), at=EARLY), row(full(CI, decisions=decisions))])
    assert result.scope("k_ci", "workspace:read") == {
        "scope": "workspace:read", "used": ["workspace:read"], "unused": [], "not_observable": [], "last_used": LATE,
    }  # fmt: skip


def test_row_without_decisions_uses_its_action_if_covered() -> None:
    """An action that no scope covers does not use a permission."""
    result = report([row(full(CI)), row(full(CI), "workspace:delete")])
    assert result.scope("k_ci", "workspace:create")["used"] == ["workspace:create"]
    assert [scope["used"] for scope in result.key("k_ci")["scopes"]] == [["workspace:create"], []]


def test_action_is_judged_by_the_snapshot_of_its_row() -> None:
    """A scope that the key had then explains the action, even if it was removed later."""
    before = ApiKey("k_ci", "ci-bot", ["workspace:*"])
    after = ApiKey("k_ci", "ci-bot", ["workspace:read"])
    rows = [row(full(before), "workspace:read", EARLY), row(full(after), "workspace:delete")]
    result = report(rows)
    assert result.scope("k_ci", "workspace:read")["last_used"] == EARLY


def test_row_with_decisions_does_not_use_its_action() -> None:
    """The decisions have the permissions; the action's name need not be a permission."""
    result = report([row(full(CI, decisions=[granted("workspace:read")]))])
    assert result.scope("k_ci", "workspace:create")["used"] == []


def test_decision_of_an_open_check_counts_as_use() -> None:
    """The row was written inside the check, so calling the permission unused would be wrong."""
    result = report([row(full(CI, decisions=[{"required": ["workspace:read"]}]))])
    assert result.scope("k_ci", "workspace:read")["used"] == ["workspace:read"]


@pytest.mark.parametrize("outcome", ["denied", "error"])
def test_refused_permission_is_observable_but_not_used(outcome: str) -> None:
    """A check of another key shows that the input can tell the use of the permission."""
    decision = {"required": ["workspace:read"], "outcome": outcome}
    result = report([row(full(CI), at=EARLY), row(full(CI)), row(minimal(ApiKey("k_x"), decisions=[decision]))])
    assert result.scope("k_ci", "workspace:read")["unused"] == ["workspace:read"]


def test_unneeded_permission_is_not_observable() -> None:
    """Reads often write no row, so it is never called unused."""
    result = report([row(full(CI), at=EARLY), row(full(CI))])
    assert result.scope("k_ci", "workspace:read")["not_observable"] == ["workspace:read"]
    assert result.json["not_observable"] == ["workspace:read"]
    assert result.findings("unused_scope") == []


@pytest.mark.parametrize("decisions", [[granted("workspace:read")], [denied("workspace:read")], []])
def test_need_before_the_period_makes_a_permission_observable(decisions: list[dict[str, Any]]) -> None:
    """The input would show its use, so it is unused now."""
    rows = [row(full(CI, decisions=decisions), "workspace:read", at=EARLY), row(full(CI))]
    result = report(rows, "--since", "2026-11-01")
    assert result.scope("k_ci", "workspace:read")["unused"] == ["workspace:read"]
    assert result.findings("unused_scope") == [("k_ci", None)]


def test_last_full_snapshot_is_granted() -> None:
    """The last snapshot is the latest by time, in whatever order the input is."""
    narrow = ApiKey("k_ci", "ci-bot", ["workspace:read"], owner="tenant-B")
    result = report([row(full(narrow)), row(full(CI), at=EARLY)])
    assert [scope["scope"] for scope in result.key("k_ci")["scopes"]] == ["workspace:read"]
    assert result.key("k_ci")["owner"] == "tenant-B"
    assert result.key("k_ci")["snapshots"] == 2


def test_minimal_row_is_resolved_by_its_digest() -> None:
    """The full row of a digest can come later."""
    result = report([row(minimal(CI)), row(full(CI), at=EARLY)])
    assert result.scope("k_ci", "workspace:create")["last_used"] == LATE
    assert result.findings("unresolved") == []


def test_snapshot_of_a_subject_is_granted() -> None:
    """A key that was created has its scopes from the row about it."""
    result = report([subject(CI)])
    assert [scope["scope"] for scope in result.key("k_ci")["scopes"]] == ["workspace:create", "workspace:read"]
    assert result.key("k_ci")["rows"] == 0


def test_forged_subject_grants_nothing() -> None:
    """In a row that is not about a key, the member is the client's own."""
    forged = ApiKey("k_ci", "ci-bot", ["*"])
    rows = [row(full(CI), at=EARLY), row(minimal(CI))]
    rows[1]["additional_fields"]["api_key"] = full(forged)
    assert [scope["scope"] for scope in report(rows).key("k_ci")["scopes"]] == ["workspace:create", "workspace:read"]


def test_altered_snapshot_grants_nothing() -> None:
    """The last snapshot with the right digest counts."""
    altered = full(CI) | {"scopes": ["*"]}
    result = report([row(full(CI), at=EARLY), row(altered)])
    assert [scope["scope"] for scope in result.key("k_ci")["scopes"]] == ["workspace:create", "workspace:read"]


def test_catalog_expands_scopes(catalog: Path) -> None:
    """A composite, a wildcard, an alias and an unknown scope."""
    key = ApiKey("k", "k", ["ops:workspaces.operate", "template:*", "everything", "unknown:scope"])
    rows = [row(full(key, "2026-11", decisions=[granted("template:read")]))]
    result = report(rows, "--catalog", catalog)
    everything = sorted(f"{name}:{action}" for name, actions in CATALOG["resources"].items() for action in actions)  # type: ignore[attr-defined]
    hidden = {scope["scope"]: scope["not_observable"] for scope in result.key("k")["scopes"]}
    assert hidden == {
        "everything": [name for name in everything if name != "template:read"],
        "ops:workspaces.operate": ["workspace:read", "workspace:update"],
        "template:*": ["template:use"],
        "unknown:scope": ["unknown:scope"],
    }
    used = {scope["scope"]: scope["used"] for scope in result.key("k")["scopes"]}
    assert used == {
        "everything": ["template:read"],
        "ops:workspaces.operate": ["template:read"],
        "template:*": ["template:read"],
        "unknown:scope": [],
    }


def test_catalog_is_found_in_the_environment(catalog: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The report reads the variable of the library's option."""
    monkeypatch.setenv("OTEL_PYTHON_KEYAUDIT_SCOPE_CATALOG", str(catalog))
    result = report([row(full(OPS))])
    assert len(result.scope("k_ops", "workspace:*")["not_observable"]) == 3


def test_wildcard_without_catalog_has_the_permissions_of_the_input() -> None:
    """A wildcard stands for the permissions that anybody needed and those that its full row lists."""
    other = ApiKey("k_x", None, ["workspace:delete"])
    listing = full(OPS, "9") | {"effective_scope": {"permissions": ["workspace:list"], "catalog": "9"}}
    result = report([row(full(OPS)), row(full(other), "workspace:delete"), row(listing)])
    scope = result.scope("k_ops", "workspace:*")
    assert (scope["used"], scope["unused"], scope["not_observable"]) == (
        ["workspace:create"], ["workspace:delete"], ["workspace:list"],
    )  # fmt: skip


def test_decision_tells_the_permissions_of_a_composite_without_catalog() -> None:
    """The library that wrote the row had the catalog."""
    key = ApiKey("k", "k", ["ops:workspaces.operate"])
    decision = granted("workspace:update", scopes=["ops:workspaces.operate"])
    assert report([row(full(key, decisions=[decision]))]).scope("k", "ops:workspaces.operate")["used"] == [
        "workspace:update"
    ]


def test_used_wildcard_uses_all_permissions_of_the_resource(catalog: Path) -> None:
    """A check that requires ``workspace:*`` needs each of them."""
    result = report([row(full(OPS, "2026-11", decisions=[granted("workspace:*")]))], "--catalog", catalog)
    scope = result.scope("k_ops", "workspace:*")
    assert (len(scope["used"]), scope["unused"], scope["not_observable"]) == (5, [], [])


def test_first_and_last_use_and_rows() -> None:
    """The order of the input does not matter."""
    middle = "2026-05-05T05:05:05.250000Z"
    key = report([row(full(CI), at=middle), row(full(CI)), row(full(CI), at=EARLY)]).key("k_ci")
    assert (key["first_used"], key["last_used"], key["rows"]) == (EARLY, LATE, 3)


def test_earlier_rows_resolve_snapshots_and_tell_the_age() -> None:
    """A full row before the period completes the minimal rows in it and shows that the key is not young."""
    other = ApiKey("k_x", None, ["workspace:read"])
    rows = [
        row(full(CI), at=EARLY),
        row(minimal(CI)),
        row(full(other), "workspace:read"),
    ]
    result = report(rows, "--since", "2026-11-01")
    assert result.findings("unresolved") == []
    assert result.findings("unused_scope") == [("k_ci", None)]
    assert (result.json["rows"], result.key("k_ci")["rows"], result.key("k_ci")["first_used"]) == (2, 1, LATE)


def test_rows_after_the_period_are_not_read() -> None:
    """Neither rows nor snapshots after the period are read, and a date includes its whole day."""
    later = ApiKey("k_ci", "renamed", ["*"])
    rows = [row(full(CI)), row(full(later), at="2026-11-24T00:00:00Z")]
    result = report(rows, "--until", "2026-11-23")
    assert (result.json["rows"], result.json["to"]) == (1, "2026-11-24T00:00:00Z")
    assert (result.key("k_ci")["name"], result.key("k_ci")["snapshots"]) == ("ci-bot", 1)


def test_key_selects_keys_and_all_keys_show_observable_permissions() -> None:
    """The findings are those of the selected keys."""
    rows: list[Any] = [row(full(CI), at=EARLY), row(full(CI)), row(full(OPS), "workspace:read"), row(None)]
    result = report(rows, "--key", "k_c*")
    assert [key["id"] for key in result.json["keys"]] == ["k_ci"]
    assert result.scope("k_ci", "workspace:read")["unused"] == ["workspace:read"]
    assert {one["key_id"] for one in result.json["findings"]} == {"k_ci"}


def test_denials_count_once_a_request() -> None:
    """Each row of a request repeats its decisions so far."""
    trace: dict[str, Any] = {"decisions": [denied("workspace:delete")], "trace_id": "a" * 32}
    other = trace | {"trace_id": "b" * 32}
    result = report([row(full(CI, **trace)), row(full(CI, **trace)), row(full(CI, **other))])
    assert result.key("k_ci")["denials"] == 2


def test_denied_row_without_decisions_is_a_denial() -> None:
    """The row's own outcome says that it was denied."""
    assert report([row(full(CI), outcome="Denied"), row(full(CI))]).key("k_ci")["denials"] == 1
