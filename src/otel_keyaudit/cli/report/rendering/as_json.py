"""Render the report as JSON, format ``keyaudit-report/1``."""

from __future__ import annotations

import json
from typing import Any, Final

from otel_keyaudit.cli.report.model import Finding, KeyUse, Report, ScopeUse
from otel_keyaudit.cli.report.reading.times import rfc_3339

FORMAT: Final = "keyaudit-report/1"


def render_json(report: Report) -> str:
    """Return the report as indented JSON."""
    content = {
        "format": FORMAT,
        "from": rfc_3339(report.start),
        "to": rfc_3339(report.end),
        "rows": report.rows,
        "rows_without_key": report.rows_without_key,
        "rows_unreadable": report.rows_unreadable,
        "not_observable": report.not_observable,
        "keys": [_key(key) for key in report.keys],
        "findings": [_finding(finding) for finding in report.findings],
    }
    return json.dumps(content, indent=2)


def _key(key: KeyUse) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "owner": key.owner,
        "first_used": rfc_3339(key.first_used),
        "last_used": rfc_3339(key.last_used),
        "rows": key.rows,
        "snapshots": key.snapshots,
        "denials": key.denials,
        "scopes": [_scope(scope) for scope in key.scopes],
        "proposal": key.proposal,
    }


def _scope(scope: ScopeUse) -> dict[str, Any]:
    return {
        "scope": scope.scope,
        "used": scope.used,
        "unused": scope.unused,
        "not_observable": scope.not_observable,
        "last_used": rfc_3339(scope.last_used),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {"finding": finding.finding, "key_id": finding.key_id, "row": finding.row, "detail": finding.detail}
