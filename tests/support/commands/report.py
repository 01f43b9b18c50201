"""Audit rows for ``otel-keyaudit report``, and the report about them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from click.testing import CliRunner

from otel_keyaudit import ApiKey
from otel_keyaudit.cli.report.command import report as command
from otel_keyaudit.key.api_key import digest

CATALOG = {
    "version": "2026-11",
    "resources": {"workspace": ["read", "create", "update", "delete"], "template": ["read", "use"]},
    "composites": {"ops:workspaces.operate": ["workspace:read", "workspace:update", "template:read"]},
    "aliases": {"everything": "ops:all"},
    "all": ["ops:all"],
}
LATE = "2026-11-23T16:00:00Z"
EARLY = "2026-01-05T08:00:00Z"
Rows = Iterable["Mapping[str, Any] | str"]


class Result(NamedTuple):
    """The result of the command."""

    status: int
    output: str
    errors: str

    @property
    def json(self) -> dict[str, Any]:
        """The report of ``--format json``."""
        content: dict[str, Any] = json.loads(self.output)
        return content

    def key(self, key_id: str) -> dict[str, Any]:
        """One key of the report."""
        (found,) = [key for key in self.json["keys"] if key["id"] == key_id]
        return dict(found)

    def scope(self, key_id: str, name: str) -> dict[str, Any]:
        """One scope of a key."""
        (found,) = [scope for scope in self.key(key_id)["scopes"] if scope["scope"] == name]
        return dict(found)

    def findings(self, kind: str) -> list[tuple[str | None, int | None]]:
        """Key and row of the findings of one kind."""
        return [(one["key_id"], one["row"]) for one in self.json["findings"] if one["finding"] == kind]


def run(*arguments: str | Path, stdin: bytes | str | None = None, as_json: bool = True) -> Result:
    """Run the command."""
    extra = ["--format", "json"] if as_json else []
    done = CliRunner().invoke(command, [*map(str, arguments), *extra], input=stdin)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    return Result(done.exit_code, done.stdout, done.stderr)


def report(rows: Rows, *arguments: str | Path) -> Result:
    """Return the report about rows from standard input."""
    result = run("-", *arguments, stdin=lines(rows))
    assert result.status == 0, result.errors
    return result


def lines(rows: Rows) -> str:
    """Return JSON lines; a string is a line as it is."""
    return "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)


def full(key: ApiKey, catalog: str | None = None, **more: Any) -> dict[str, Any]:
    """Return the member of a full row."""
    member: dict[str, Any] = {"id": key.id, "name": key.name, "digest": digest(key, catalog), "detail": "full"}
    lists = {"scopes": key.scopes, "allow_list": key.allow_list}
    member |= {name: list(value) for name, value in lists.items() if value is not None}
    member |= {"owner": key.owner, "expires_at": key.expires_at}
    if catalog is not None and key.scopes is not None:
        member["effective_scope"] = {"permissions": [], "catalog": catalog}
    return {name: value for name, value in (member | more).items() if value is not None}


def minimal(key: ApiKey, **more: Any) -> dict[str, Any]:
    """Return the member of a minimal row."""
    return {"id": key.id, "name": key.name, "digest": key.digest, "detail": "minimal", **more}


def row(member: Any, permission: str = "workspace:create", at: Any = LATE, **more: Any) -> dict[str, Any]:
    """Return a row whose additional fields have a member."""
    resource_type, _, action = permission.partition(":")
    fields = {} if member is None else {"request_api_key": member}
    columns = {"at": at, "action": action, "resource_type": resource_type, "resource_id": "3f1c", "outcome": "ok"}
    return {**columns, "additional_fields": fields, **more}


def subject(key: ApiKey, action: str = "create", at: str = EARLY) -> dict[str, Any]:
    """Return a row about a key."""
    return row(None, f"api_key:{action}", at) | {"resource_id": key.id, "additional_fields": {"api_key": full(key)}}


def granted(*required: str, cause: str = "scope", **more: Any) -> dict[str, Any]:
    """Return a decision that granted."""
    return {"required": list(required), "outcome": "granted", "cause": cause, **more}


def denied(*required: str, cause: str = "scope", **more: Any) -> dict[str, Any]:
    """Return a decision that denied."""
    return {"required": list(required), "outcome": "denied", "cause": cause, "missing": list(required), **more}


def event(name: str, attributes: Mapping[str, Any], at: float = 1_795_449_600, trace_id: str = "") -> dict[str, Any]:
    """Return a line of OTLP JSON with one log record, as the file exporter writes it."""
    record = {
        "timeUnixNano": str(int(at * 1e9)),
        "observedTimeUnixNano": str(int(at * 1e9) + 5),
        "severityNumber": 9,
        "body": {},
        "attributes": [{"key": key, "value": _value(value)} for key, value in attributes.items()],
        "flags": 3,
        "traceId": trace_id,
        "spanId": "",
        "eventName": name,
    }
    scope = {"scope": {"name": "otel_keyaudit"}, "logRecords": [record]}
    return {"resourceLogs": [{"resource": {"attributes": []}, "scopeLogs": [scope]}]}


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, list):
        return {"arrayValue": {"values": [_value(element) for element in value]} if value else {}}
    if isinstance(value, bool):
        return {"boolValue": value}
    return {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}


SCRIPT = "<script>alert(1)</script>"
"""A string that must not reach a page as markup."""
ODD = ApiKey(
    f"k_{SCRIPT}", f'"{SCRIPT}', [SCRIPT, "workspace:read", "workspace:create", "a:b"], owner=f"'{SCRIPT}&amp;"
)
BEYOND = granted(SCRIPT, cause="other", missing=[SCRIPT])
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
ODD_ROWS = [
    row(full(ODD), at=EARLY),
    row(full(ODD, decisions=[BEYOND], trace_id=TRACE), resource_id=SCRIPT),
    row(full(ApiKey("k_x", "x", ["workspace:read"])), "workspace:read"),
    row(None, SCRIPT),
    row({"ambiguous": True, "ids": [SCRIPT], "trace_id": f'"/{SCRIPT}'}),
    row(minimal(ApiKey("k_\ud800\x00\x1b[31m", "\u202ename\n")), trace_id=TRACE),
]
"""Rows whose strings are markup, control characters and lone surrogates."""
