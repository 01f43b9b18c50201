"""Log events as a source: denials, audit writes and usage in OTLP JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from opentelemetry._logs import LogRecord
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor

from otel_keyaudit import ApiKey
from support.commands.report import LATE, event, full, lines, report, row, run
from support.environment.installed import need_package

CI = ApiKey("k_ci", "ci-bot", ["workspace:create", "workspace:read"])
AUDIT = {
    "keyaudit.key.id": "k_ci", "keyaudit.key.name": "ci-bot", "keyaudit.key.digest": CI.digest,
    "keyaudit.detail": "full", "keyaudit.key.scopes": ["workspace:create", "workspace:read"],
    "keyaudit.action": "create", "keyaudit.resource.type": "workspace", "keyaudit.resource.id": "3f1c",
}  # fmt: skip
USAGE = {
    "keyaudit.key.id": "k_ci", "keyaudit.key.name": "ci-bot", "keyaudit.key.digest": CI.digest,
    "keyaudit.usage.from": "2026-11-23T15:59:00Z", "keyaudit.usage.to": LATE, "keyaudit.usage.requests": 5,
    "keyaudit.usage.permissions": ["workspace:read", "workspace:delete"],
    "keyaudit.usage.outcomes": ["granted", "denied"],
    "keyaudit.usage.counts": [4, 3], "keyaudit.usage.last": [1_795_449_500, 1_795_449_400],
}  # fmt: skip
DENIAL = {
    "keyaudit.key.id": "k_ci", "keyaudit.key.name": "ci-bot", "keyaudit.decision.outcome": "denied",
    "keyaudit.decision.cause": "scope", "keyaudit.decision.required": ["workspace:delete"],
    "keyaudit.decision.missing": ["workspace:delete"],
}  # fmt: skip

MALFORMED: list[Any] = [[], {}, "--5", "9" * 5000, 10**20, -1]


def test_audit_event_is_a_row() -> None:
    """An event of an audit write is read as a row with its snapshot and action."""
    result = report([event("keyaudit.audit", AUDIT)])
    assert (result.json["rows"], result.key("k_ci")["rows"], result.json["to"]) == (1, 1, LATE)
    assert result.scope("k_ci", "workspace:create")["used"] == ["workspace:create"]
    assert result.findings("altered") + result.findings("unverifiable") == []


def test_audit_event_with_a_decision() -> None:
    """The decision counts instead of the action."""
    decision = {"keyaudit.decision.outcome": "granted", "keyaudit.decision.required": ["workspace:read"]}
    result = report([event("keyaudit.audit", AUDIT | decision)])
    assert [scope["used"] for scope in result.key("k_ci")["scopes"]] == [[], ["workspace:read"]]


def test_audit_events_without_a_key_and_ambiguous() -> None:
    """Events without a key and ambiguous events are told apart, as rows are."""
    keyless = {"keyaudit.action": "login"}
    ambiguous = {"keyaudit.ambiguous": True, "keyaudit.key.ids": ["k_1", "k_2"]}
    result = report([event("keyaudit.audit", keyless), event("keyaudit.audit", ambiguous)])
    assert (result.json["rows"], result.json["rows_without_key"]) == (2, 1)
    assert result.findings("ambiguous_rows") == [(None, 2)]


def test_usage_makes_all_permissions_of_the_key_observable() -> None:
    """With usage events an unused permission is unused, and use is known without a row."""
    old = row(full(CI), "workspace:x", at="2026-01-01T00:00:00Z")
    result = report([old, event("keyaudit.usage", USAGE)])
    assert result.scope("k_ci", "workspace:read")["last_used"] == "2026-11-23T15:58:20Z"
    assert result.scope("k_ci", "workspace:create")["unused"] == ["workspace:create"]
    assert result.key("k_ci")["last_used"] == LATE
    assert result.key("k_ci")["denials"] == 3
    assert result.findings("unused_scope") == [("k_ci", None)]


def test_denied_decision() -> None:
    """A denied decision counts once, even if the row of the request has it too."""
    decision = {"required": ["workspace:delete"], "outcome": "denied", "cause": "scope"}
    same = row(full(CI, decisions=[decision], trace_id="a" * 32))
    result = report([event("keyaudit.denial", DENIAL, trace_id="a" * 32), same])
    assert result.key("k_ci")["denials"] == 1
    result = report([event("keyaudit.denial", DENIAL, trace_id="b" * 32), same])
    assert result.key("k_ci")["denials"] == 2


def test_denied_authentication() -> None:
    """A denied authentication of a known key is found by either attribute, and one of an unknown key has no key."""
    reason = {"keyaudit.outcome": "denied", "keyaudit.denied.reason": "valid"}
    rows = [
        event("keyaudit.denial", reason | {"keyaudit.denied.key.id": "k_old"}),
        event("keyaudit.denial", reason),
    ]
    result = report(rows)
    assert result.key("k_old")["denials"] == 1
    assert result.findings("denied") == [(None, None), ("k_old", None)]
    assert result.key("k_old")["last_used"] is None


def test_other_records_are_skipped() -> None:
    """Other events, spans and metrics in the same file are skipped."""
    rows: list[Any] = [event("shop.sold", {}), {"resourceSpans": []}, {"resourceMetrics": []}, {"resourceLogs": [7]}]
    assert report(rows).json["rows"] == 0


def test_malformed_events_do_not_stop_the_report() -> None:
    """Wrong types in any place do not stop the report."""
    broken: list[dict[str, Any]] = [
        {"keyaudit.key.id": 7},
        {"keyaudit.key.id": "k", "keyaudit.usage.permissions": [1, "a"], "keyaudit.usage.outcomes": ["x"]},
        {"keyaudit.key.id": "k", "keyaudit.usage.counts": ["a"], "keyaudit.usage.from": "soon"},
    ]
    broken += [USAGE | {name: wrong} for name in USAGE if name != "keyaudit.key.id" for wrong in (7, "x", [["y"], 7])]
    rows = [event(name, one) for one in broken for name in ("keyaudit.usage", "keyaudit.audit", "keyaudit.denial")]
    odd = event("keyaudit.usage", USAGE)
    odd["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["attributes"] += [{}, {"key": "a"}, {"key": 1, "value": 2}]
    for name in ("eventName", "timeUnixNano", "observedTimeUnixNano"):
        for value in MALFORMED:
            rows.append(event("keyaudit.usage", USAGE))
            rows[-1]["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0][name] = value
    assert [key["id"] for key in report([*rows, odd]).json["keys"]] == ["k", "k_ci"]


@pytest.mark.parametrize("attributes", [AUDIT, AUDIT | {"keyaudit.key.permissions": ["workspace:create"]}])
def test_unknown_catalog_of_an_event(attributes: dict[str, Any], tmp_path: Path) -> None:
    """Events do not name the catalog, so the given one is tried before the digest counts as not verifiable."""
    with_catalog = full(CI, "7")["digest"]
    catalog = tmp_path / "scopes.json"
    catalog.write_text('{"version": "7", "resources": {"workspace": ["create", "read"]}}')
    changed = attributes | {"keyaudit.key.digest": with_catalog, "keyaudit.key.permissions": ["workspace:create"]}
    assert report([event("keyaudit.audit", changed)]).findings("unverifiable") == [("k_ci", 1)]
    assert report([event("keyaudit.audit", changed)], "--catalog", catalog).findings("unverifiable") == []


def test_lines_of_the_real_exporter(tmp_path: Path) -> None:
    """The report reads the lines that the SDK's exporter writes."""
    need_package("opentelemetry.exporter.otlp.json.file")
    from opentelemetry.exporter.otlp.json.file._log_exporter import (  # noqa: PLC0415 - not everywhere
        FileLogExporter,
    )

    provider = LoggerProvider()
    provider.add_log_record_processor(SimpleLogRecordProcessor(FileLogExporter(path=tmp_path / "events.jsonl")))
    logger = provider.get_logger("otel_keyaudit")
    for name, attributes in (("keyaudit.audit", AUDIT), ("keyaudit.usage", USAGE), ("keyaudit.denial", DENIAL)):
        record: dict[str, Any] = dict(attributes)
        logger.emit(LogRecord(timestamp=1_795_449_600_000_000_000, event_name=name, attributes=record))
    provider.shutdown()
    by_exporter = run(tmp_path / "events.jsonl")
    rows = [event("keyaudit.audit", AUDIT), event("keyaudit.usage", USAGE), event("keyaudit.denial", DENIAL)]
    assert by_exporter.json == run("-", stdin=lines(rows)).json
