"""``otel-keyaudit explain``: the rule that decided, the permissions of the key, and the covering scopes."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from otel_keyaudit.cli.group import group

RULES = {
    "rules": [
        {"name": "ci", "keys": ["k_ci_*"], "detail": "minimal"},
        {"actions": ["create"], "outcomes": ["succeeded"], "detail": "full"},
        {"detail": "on_change"},
    ]
}
CATALOG = {"version": "1", "resources": {"workspace": ["create", "read"], "template": ["read"]}, "all": ["ops:all"]}
FULL = {
    "id": "k_1", "name": "bot", "digest": "d1", "detail": "full", "scopes": ["workspace:*"], "allow_list": ["*:*"],
}  # fmt: skip


def row(member: dict[str, Any] | None, action: str | None = "create", **more: Any) -> dict[str, Any]:
    """Return an audit row."""
    fields = {} if member is None else {"request_api_key": member}
    return {"action": action, "resource_type": "workspace", "resource_id": "3f1c", "outcome": "ok",
            "additional_fields": fields, **more}  # fmt: skip


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    """The paths of the rules and of the catalog."""
    for name, content in (("rules.json", RULES), ("catalog.json", CATALOG)):
        (tmp_path / name).write_text(json.dumps(content), encoding="utf-8")
    return str(tmp_path / "rules.json"), str(tmp_path / "catalog.json")


def run(rows: list[Any], *arguments: str) -> Any:
    """Run the command on rows."""
    lines = "\n".join(one if isinstance(one, str) else json.dumps(one) for one in rows)
    return CliRunner().invoke(group, ["explain", *arguments], input=lines)


def explained(rows: list[Any], *arguments: str) -> list[dict[str, Any]]:
    """Return the elements of the JSON document."""
    result = run(rows, "--json", *arguments)
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["format"] == "keyaudit-explain/1"
    rows_of_document: list[dict[str, Any]] = document["rows"]
    return rows_of_document


def test_the_deciding_rule_is_named(files: tuple[str, str]) -> None:
    """Each earlier rule is listed with the condition that does not hold."""
    rows = [row({**FULL, "id": "k_ci_1"}), row(FULL), row(FULL, outcome="failed"), row(FULL, action=None)]
    rules = [one["rule"] for one in explained(rows, "--rules", files[0])]
    assert [(one["place"], one["name"], one["detail"]) for one in rules] == [
        ("rules[0]", "ci", "minimal"), ("rules[1]", None, "full"), ("rules[2]", None, "on_change"),
        ("rules[2]", None, "on_change"),
    ]  # fmt: skip
    assert [[skipped["condition"] for skipped in one["skipped"]] for one in rules] == [
        [], ["keys"], ["keys", "outcomes"], ["keys", "actions"],
    ]  # fmt: skip


def test_rows_about_a_key_are_full(files: tuple[str, str]) -> None:
    """A row about a key is full without a rule, and a row without a key has no rule."""
    about = row(FULL)
    about["additional_fields"]["api_key"] = {"id": "k_2"}
    first, second = explained([about, row(None)], "--rules", files[0])
    assert first["rule"] == {"place": None, "name": None, "detail": "full", "skipped": []}
    assert (second["rule"], second["key_id"]) == (None, None)


def test_permissions_and_covering_scopes(files: tuple[str, str]) -> None:
    """A scope that the catalog does not know covers only itself."""
    keys = [{**FULL, "scopes": scopes} for scopes in (["workspace:*"], ["*"], ["template:read", "ops:all"])]
    with_catalog = explained([row(key) for key in keys], "--catalog", files[1])
    assert [one["coverage"][0] for one in with_catalog] == [
        {"permission": "workspace:create", "scope": scope} for scope in ("workspace:*", None, "ops:all")
    ]
    assert with_catalog[0]["permissions"] == ["workspace:create", "workspace:read"]
    without = explained([row(keys[1])])
    assert without[0]["coverage"] == [{"permission": "workspace:create", "scope": "*"}]
    assert without[0]["permissions"] is None


def test_required_permissions_come_from_decisions() -> None:
    """Only a row without decisions is explained by its action."""
    decisions = [{"required": ["a:read", "workspace:read"], "outcome": "granted"}, {"outcome": "error"}]
    (one,) = explained([row({**FULL, "decisions": decisions})])
    assert one["coverage"] == [
        {"permission": "a:read", "scope": None},
        {"permission": "workspace:read", "scope": "workspace:*"},
    ]


def test_minimal_rows_are_completed() -> None:
    """An earlier full row with the same digest has the scopes; without one they are unknown."""
    minimal = {"id": "k_1", "digest": "d1", "detail": "minimal"}
    before, _, after = explained([row(minimal), row(FULL), row(minimal)])
    assert before["coverage"] is None
    assert after["coverage"] == [{"permission": "workspace:create", "scope": "workspace:*"}]
    assert after["recorded_detail"] == "minimal"


def test_minimal_rows_are_completed_with_the_key_only(tmp_path: Path) -> None:
    """Decisions and the principal of the earlier row belong to its request."""
    rules = tmp_path / "rules.json"
    rules.write_text(
        json.dumps({"rules": [{"decisions": ["other"], "detail": "full"}, {"on_behalf_of": ["*"], "detail": "full"},
                              {"detail": "minimal"}]}), encoding="utf-8",
    )  # fmt: skip
    decisions = [{"required": ["workspace:delete"], "outcome": "granted", "cause": "other"}]
    full = {**FULL, "decisions": decisions, "on_behalf_of": "u_1"}
    minimal = {"id": "k_1", "digest": "d1", "detail": "minimal"}
    _, after = explained([row(full), row(minimal)], "--rules", str(rules))
    assert after["coverage"] == [{"permission": "workspace:create", "scope": "workspace:*"}]
    assert after["rule"]["place"] == "rules[2]"


def test_recorded_permissions_are_used_without_a_catalog() -> None:
    """The effective scope of a full row comes from the catalog at that time."""
    (one,) = explained([row({**FULL, "effective_scope": {"permissions": ["workspace:read"]}, "scopes_count": 9})])
    assert (one["permissions"], one["cut"]) == (["workspace:read"], True)


@pytest.mark.parametrize(
    "fields",
    [
        json.dumps({"request_api_key": FULL}), json.dumps(json.dumps({"request_api_key": FULL})),
        {"request_api_key": FULL}, "", "{}", "null", '"text"', None, 5, [],
    ],
)  # fmt: skip
def test_additional_fields_of_any_kind(fields: Any) -> None:
    """Additional fields can be an object, or a string with its JSON or with a JSON string; others have no key."""
    (one,) = explained([row(None, additional_fields=fields)])
    assert one["key_id"] == ("k_1" if isinstance(fields, (str, dict)) and "k_1" in str(fields) else None)


def test_a_row_can_be_the_additional_fields() -> None:
    """A line of additional fields alone is a row without an action."""
    (one,) = explained([{"request_api_key": FULL}])
    assert (one["key_id"], one["action"], one["coverage"]) == ("k_1", None, [])


def test_ambiguous_rows_name_no_key() -> None:
    """An ambiguous row has neither a rule nor permissions."""
    (one,) = explained([row({"ambiguous": True, "ids": ["k_1", "k_2"]})])
    assert (one["ambiguous"], one["key_id"], one["coverage"]) == (True, None, None)
    assert "key: ambiguous" in run([row({"ambiguous": True})]).stdout


def test_broken_lines_are_reported(files: tuple[str, str]) -> None:
    """Other rows are explained, standard error names each broken line, and the exit status is 2."""
    result = run([row(FULL), "nope", "[1]", "", "[" * 100_000, row(None, additional_fields="{")], "--json")
    assert result.exit_code == 2
    assert len(json.loads(result.stdout)["rows"]) == 1
    lines = result.stderr.splitlines()
    assert [line.partition(" is not a row: ")[0] for line in lines[:-1]] == [
        f"keyaudit: line {number}" for number in (2, 3, 5, 6)
    ]
    assert lines[-1].startswith("keyaudit: 4 lines could not be read")


def test_lines_for_people(files: tuple[str, str]) -> None:
    """Each row has its key, the rules, the permissions and the covering scopes; no value controls the terminal.

    A sentence stays on one line, so that `grep` finds it.
    """
    rows = [row({**FULL, "name": "b\x1b[31m"}), row({**FULL, "scopes": []}, outcome="failed")]
    output = run(rows, "--rules", files[0], "--catalog", files[1]).stdout
    assert output.splitlines() == [
        "row 1: create workspace:3f1c, outcome ok",
        "  key: k_1 (b\\x1b[31m), recorded full",
        "  rules[0] (ci) does not apply: keys does not match",
        "  rules[1] decides: full, because actions, outcomes match",
        "  permissions: workspace:create, workspace:read",
        "  workspace:create: covered by workspace:*",
        "row 2: create workspace:3f1c, outcome failed",
        "  key: k_1 (b\\x1b[31m), recorded full".replace("b\\x1b[31m", "bot"),
        "  rules[0] (ci) does not apply: keys does not match",
        "  rules[1] does not apply: outcomes does not match",
        "  rules[2] decides: full for the first row of a snapshot, else minimal, because it has no conditions",
        "  permissions: none",
        "  workspace:create: no scope covers it",
    ]


def test_the_environment_is_read(files: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules, catalog and member names come from the service's variables, and an option overrides them."""
    monkeypatch.setenv("OTEL_PYTHON_KEYAUDIT_SAMPLER", "rules")
    monkeypatch.setenv("OTEL_PYTHON_KEYAUDIT_SAMPLER_ARG", files[0])
    monkeypatch.setenv("OTEL_PYTHON_KEYAUDIT_SCOPE_CATALOG", files[1])
    monkeypatch.setenv("OTEL_PYTHON_KEYAUDIT_REQUEST_FIELD", "key")
    (one,) = explained([row(None, additional_fields={"key": FULL})])
    assert (one["rule"]["place"], one["permissions"]) == ("rules[1]", ["workspace:create", "workspace:read"])


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--rules", "keyaudit: the rules 'missing.json': cannot be read: No such file or directory"),
        ("--catalog", "keyaudit: the scope catalog 'missing.json' cannot be read: No such file or directory"),
    ],
)
def test_wrong_files_are_wrong_use(option: str, message: str) -> None:
    """The message names the file and the reason."""
    result = run([], option, "missing.json")
    assert (result.exit_code, result.stderr.strip()) == (2, message)


def test_a_line_that_is_not_utf_8_is_reported() -> None:
    """The next row is explained."""
    result = CliRunner().invoke(group, ["explain"], input=b'\xff\n{"action": "create"}\n')
    assert result.exit_code == 2
    assert result.stdout.startswith("row 2: create")
    assert result.stderr.startswith("keyaudit: line 1 is not a row: it is not encoded in UTF-8\n")
