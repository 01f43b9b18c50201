"""Rules: their validation by place, their conditions, and the rule that decides."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_keyaudit import ApiKey, AuditEvent
from otel_keyaudit.key.permissions.decision import Decision
from otel_keyaudit.observers.sampling.rules import Rules, RulesError, load_rules, parse_rules

KEY = ApiKey("k_ci_1", "ci", ["workspace:read", "template:*"], owner="o_1")
EVENT = AuditEvent(
    "create", "workspace", "3f1c", "ok", KEY, None, (Decision(("a:b",), "granted", "scope", ("a:*",)),), "u_1"
)
CONDITIONS = "name, detail, actions, resources, keys, owners, scopes, on_behalf_of, outcomes, decisions"
STRINGS = "a list of at least one string, without empty strings"


def rules(*content: dict[str, Any]) -> Rules:
    """Parse rules."""
    return parse_rules({"rules": list(content)})


def holds(event: AuditEvent, **conditions: list[str]) -> bool:
    """Return whether a rule with these conditions holds for an event."""
    return rules({"detail": "minimal", **conditions}).choose(event) == "minimal"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "is not a JSON object with a member 'rules'"),
        ({}, "rules has the value None; allowed is a list of at least one rule"),
        ({"rules": []}, "rules has the value []; allowed is a list of at least one rule"),
        ({"rules": {}}, "rules has the value {}; allowed is a list of at least one rule"),
        ({"rule": []}, "rule is unknown; allowed are rules; did you mean 'rules'?"),
        ({"rules": [5]}, "rules[0] has the value 5; allowed is an object with a member 'detail'"),
        ({"rules": [{}]}, "rules[0].detail is missing; allowed are full, minimal, on_change"),
        (
            {"rules": [{"keys": ["k"], "detail": "full"}, {"detail": "minimum"}]},
            "rules[1].detail has the value 'minimum'; allowed is full, minimal, on_change; did you mean 'minimal'?",
        ),
        ({"rules": [{"detail": None}]}, "rules[0].detail has the value None; allowed is full, minimal, on_change"),
        (
            {"rules": [{"detail": ["full"]}]},
            "rules[0].detail has the value ['full']; allowed is full, minimal, on_change",
        ),
        (
            {"rules": [{"detail": "full", "name": ""}]},
            "rules[0].name has the value ''; allowed is a string that is not empty",
        ),
        (
            {"rules": [{"detail": "full", "action": ["a"]}]},
            f"rules[0].action is unknown; allowed are {CONDITIONS}; did you mean 'actions'?",
        ),
        ({"rules": [{"detail": "full", "a b\n": 1}]}, f"rules[0].'a b\\n' is unknown; allowed are {CONDITIONS}"),
        ({"rules": [{"detail": "full", "keys": []}]}, f"rules[0].keys has the value []; allowed is {STRINGS}"),
        ({"rules": [{"detail": "full", "keys": "k"}]}, f"rules[0].keys has the value 'k'; allowed is {STRINGS}"),
        ({"rules": [{"detail": "full", "keys": None}]}, f"rules[0].keys has the value None; allowed is {STRINGS}"),
        (
            {"rules": [{"detail": "full", "keys": ["k", 5]}]},
            f"rules[0].keys has the value ['k', 5]; allowed is {STRINGS}",
        ),
        (
            {"rules": [{"detail": "full", "keys": ["k", ""]}]},
            f"rules[0].keys has the value ['k', '']; allowed is {STRINGS}",
        ),
        (
            {"rules": [{"detail": "full", "outcomes": ["failed", "successful"]}]},
            "rules[0].outcomes[1] has the value 'successful'; allowed is succeeded, failed, unknown",
        ),
        (
            {"rules": [{"detail": "full", "decisions": ["refused"]}]},
            "rules[0].decisions[0] has the value 'refused'; allowed is granted, denied, error, other",
        ),
        (
            {"rules": [{"detail": "full", "decisions": []}]},
            f"rules[0].decisions has the value []; allowed is {STRINGS}",
        ),
        (
            {"rules": [{"detail": "full"}, {"detail": "full", "keys": ["k"]}]},
            "rules[1] is never reached, because rules[0] has no conditions",
        ),
    ],
)
def test_invalid_rules_name_the_place(content: Any, message: str) -> None:
    """The error is one line with the place, the value, the allowed values and the nearest name."""
    with pytest.raises(RulesError) as wrong:
        parse_rules(content)
    assert str(wrong.value) == message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not JSON: Expecting value at line 1"),
        (b'{"rules":\n [}', "is not JSON: Expecting value at line 2"),
        (b"\xff\xfe\xfa", "is not JSON: it is not encoded in UTF-8"),
        (b"[" * 200_000, "is not JSON: it is nested too deeply"),
        (b"5", "is not a JSON object with a member 'rules'"),
    ],
    ids=["empty", "broken", "encoding", "depth", "number"],
)
def test_invalid_files(tmp_path: Path, content: bytes, message: str) -> None:
    """A file that is not JSON is named with the reason."""
    path = tmp_path / "rules.json"
    path.write_bytes(content)
    with pytest.raises(RulesError) as wrong:
        load_rules(path)
    assert str(wrong.value) == message


@pytest.mark.parametrize(
    ("path", "reason"),
    [("missing.json", "No such file or directory"), (".", "Is a directory"), ("\0", "its path is invalid")],
)
def test_unreadable_files(tmp_path: Path, path: str, reason: str) -> None:
    """A missing file, a folder and an invalid path cannot be read."""
    with pytest.raises(RulesError) as wrong:
        load_rules(f"{tmp_path}/{path}")
    assert str(wrong.value) == f"cannot be read: {reason}"


def test_rules_of_a_file(tmp_path: Path) -> None:
    """The rules of the documentation are read in order; the last one has no conditions."""
    path = tmp_path / "rules.json"
    content = {"rules": [{"name": "ci", "keys": ["k_ci_*"], "detail": "minimal"}, {"detail": "on_change"}]}
    path.write_text(json.dumps(content), encoding="utf-8-sig")
    loaded = load_rules(path)
    assert [(rule.place, rule.name, rule.detail) for rule in loaded.rules] == [
        ("rules[0]", "ci", "minimal"),
        ("rules[1]", None, "on_change"),
    ]
    assert [loaded.choose(EVENT), loaded.choose(AuditEvent())] == ["minimal", "on_change"]


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({}, True),
        ({"actions": ["create"]}, True), ({"actions": ["workspace.create"]}, True), ({"actions": ["creat"]}, False),
        ({"actions": ["x", "c*"]}, True), ({"actions": ["Create"]}, False),
        ({"resources": ["workspace:*"]}, True), ({"resources": ["workspace"]}, False),
        ({"resources": ["*:3f1c"]}, True),
        ({"keys": ["k_ci_?"]}, True), ({"keys": ["k_ci"]}, False),
        ({"owners": ["o_1"]}, True), ({"owners": ["o_2"]}, False),
        ({"scopes": ["template:*"]}, True), ({"scopes": ["template:read"]}, False),
        ({"scopes": ["workspace:[rw]*"]}, True),
        ({"on_behalf_of": ["u_*"]}, True), ({"on_behalf_of": ["o_*"]}, False),
        ({"outcomes": ["succeeded"]}, True), ({"outcomes": ["failed", "unknown"]}, False),
        ({"decisions": ["granted"]}, True), ({"decisions": ["denied", "error", "other"]}, False),
        ({"keys": ["k_ci_*"], "owners": ["o_2"]}, False), ({"keys": ["k_ci_*"], "owners": ["o_1"]}, True),
    ],
)  # fmt: skip
def test_conditions(conditions: dict[str, list[str]], expected: bool) -> None:
    """All conditions must hold; one string of each must match as a whole."""
    assert holds(EVENT, **conditions) is expected


@pytest.mark.parametrize("condition", ["actions", "resources", "keys", "owners", "scopes", "on_behalf_of"])
def test_unknown_values_match_no_pattern(condition: str) -> None:
    """Not even ``*`` matches a value that is unknown."""
    assert not holds(AuditEvent(), **{condition: ["*"]})
    assert not holds(AuditEvent(resource_type="workspace", request_key=ApiKey("k")), resources=["*"])
    assert not holds(AuditEvent(request_key=ApiKey("k")), owners=["*"])
    assert not holds(AuditEvent(request_key=ApiKey("k", scopes=[])), scopes=["*"])


@pytest.mark.parametrize(
    ("outcome", "word"),
    [
        (None, "unknown"),
        ("ok", "succeeded"),
        (True, "succeeded"),
        (200, "succeeded"),
        ("Denied", "failed"),
        (500, "failed"),
    ],
)
def test_outcomes(outcome: Any, word: str) -> None:
    """Every outcome is exactly one of three words."""
    event = AuditEvent(outcome=outcome)
    assert [name for name in ("succeeded", "failed", "unknown") if holds(event, outcomes=[name])] == [word]


@pytest.mark.parametrize(
    ("decision", "words"),
    [
        (Decision(outcome="granted", cause="scope"), ["granted"]),
        (Decision(outcome="granted", cause="other"), ["granted", "other"]),
        (Decision(outcome="denied", cause="other"), ["denied"]),
        (Decision(outcome="error"), ["error"]),
        (Decision(), []),
    ],
)
def test_decisions(decision: Decision, words: list[str]) -> None:
    """``other`` is a granted decision with that cause; an open check matches nothing; any decision counts."""
    event = AuditEvent(decisions=(Decision(), decision))
    assert [word for word in ("granted", "denied", "error", "other") if holds(event, decisions=[word])] == words
    assert not holds(AuditEvent(), decisions=["granted", "denied", "error", "other"])


def test_without_a_matching_rule_a_row_is_full() -> None:
    """The same holds for a row about an API key, whatever the rules are."""
    assert rules({"keys": ["x"], "detail": "minimal"}).choose(EVENT) == "full"
    assert rules({"detail": "minimal"}).choose(EVENT._replace(subject_key=KEY)) == "full"


def test_an_explanation_names_the_rule_and_the_conditions_that_failed() -> None:
    """Each earlier rule has the first condition that does not hold."""
    three = rules(
        {"actions": ["create"], "owners": ["o_2"], "detail": "full"},
        {"name": "tenants", "keys": ["t_*"], "detail": "full"},
        {"name": "ci", "keys": ["k_ci_*"], "detail": "minimal"},
        {"detail": "on_change"},
    )
    choice = three.explain(EVENT)
    assert (choice.detail, choice.rule) == ("minimal", three.rules[2])
    assert [(rule.place, name) for rule, name in choice.skipped] == [("rules[0]", "owners"), ("rules[1]", "keys")]
    about_a_key = three.explain(EVENT._replace(subject_key=KEY))
    assert about_a_key == ("full", None, ())


@given(st.lists(st.tuples(st.sampled_from(["create", "read", "*"]), st.sampled_from(["full", "minimal", "on_change"]))))
def test_the_first_rule_decides(pairs: list[tuple[str, str]]) -> None:
    """Later rules do not count."""
    content = [{"actions": [action], "detail": detail} for action, detail in pairs]
    if content:
        expected = next((detail for action, detail in pairs if action in ("read", "*")), "full")
        assert rules(*content).choose(AuditEvent("read")) == expected
