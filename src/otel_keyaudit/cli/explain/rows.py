"""Read audit rows from JSON lines, and explain the rule, the permissions and the covering scopes of each row."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from otel_keyaudit.key.api_key import ApiKey
from otel_keyaudit.key.permissions.coverage import covering_scope
from otel_keyaudit.key.permissions.decision import Decision
from otel_keyaudit.key.permissions.scope_catalog import ScopeCatalog
from otel_keyaudit.observers.sampling.event import AuditEvent
from otel_keyaudit.observers.sampling.rules import Choice, Rules

_COUNTS = frozenset({"scopes_count", "allow_list_count", "permissions_count"})
"""Members beside a list that was cut."""

_OF_A_SNAPSHOT = (
    "name",
    "scopes",
    "scopes_count",
    "allow_list",
    "allow_list_count",
    "effective_scope",
    "owner",
    "expires_at",
)
"""Members of the key, which a minimal row lacks. All other members belong to the request."""


class Coverage(NamedTuple):
    """A permission that the row shows, and the scope that covers it; ``None`` if no scope of the key does."""

    permission: str
    scope: str | None


@dataclass(frozen=True)
class ExplainedRow:
    """One row.

    Attributes:
        number: Number of the line.
        event: The write.
        detail: The recorded detail; ``None`` without a key.
        is_ambiguous: Whether the row names several keys.
        is_cut: Whether a list of the snapshot is cut, so that permissions and coverage are incomplete.
        choice: The choice of the rules; ``None`` without rules.
        permissions: Effective permissions; ``None`` if they are unknown.
        coverage: The permissions that the row shows, with their covering scopes; ``None`` if the scopes are unknown.
    """

    number: int
    event: AuditEvent
    detail: str | None = None
    is_ambiguous: bool = False
    is_cut: bool = False
    choice: Choice | None = None
    permissions: tuple[str, ...] | None = None
    coverage: tuple[Coverage, ...] | None = None


class UnreadableRow(NamedTuple):
    """A line that is not a row."""

    number: int
    reason: str


@dataclass
class Explainer:
    """Explains rows one after another. Minimal rows are completed from earlier full rows with the same digest.

    Attributes:
        rules: The rules; ``None`` without rules.
        catalog: The scope catalog; ``None`` without one.
        request_field: Member that names the key of the request.
        subject_field: Member for a key that the row is about.
    """

    rules: Rules | None = None
    catalog: ScopeCatalog | None = None
    request_field: str = "request_api_key"
    subject_field: str = "api_key"
    _full: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def explain(self, lines: Iterable[bytes]) -> Iterator[ExplainedRow | UnreadableRow]:
        """Explain each line that is not empty. Lines are JSON, whatever the encoding of the terminal is."""
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    yield self._row(number, json.loads(line))
                except RecursionError:
                    yield UnreadableRow(number, "it is nested too deeply")
                except UnicodeDecodeError:
                    yield UnreadableRow(number, "it is not encoded in UTF-8")
                except ValueError as error:
                    reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
                    yield UnreadableRow(number, reason)

    def _row(self, number: int, row: Any) -> ExplainedRow:
        if not isinstance(row, dict):
            raise ValueError("it is not a JSON object")  # noqa: TRY004 - like every other line that is no row
        fields = _additional_fields(row)
        member = self._completed(_dict(fields.get(self.request_field)))
        subject = self._completed(_dict(fields.get(self.subject_field)))
        event = _event(row, member, subject)
        has_key = event.request_key is not None or event.subject_key is not None
        return ExplainedRow(
            number,
            event,
            detail=_string(member.get("detail")),
            is_ambiguous=member.get("ambiguous") is True,
            is_cut=not _COUNTS.isdisjoint((*member, *_dict(member.get("effective_scope")))),
            choice=self.rules.explain(event) if self.rules is not None and has_key else None,
            permissions=self._permissions(event.request_key, member),
            coverage=self._coverage(event),
        )

    def _completed(self, member: Mapping[str, Any]) -> Mapping[str, Any]:
        """Remember a full snapshot, and add the lists to a minimal one."""
        digest = _string(member.get("digest"))
        if digest is None:
            return member
        if member.get("detail") == "full":
            self._full[digest] = {name: member[name] for name in _OF_A_SNAPSHOT if name in member}
        return {**self._full.get(digest, {}), **member}

    def _permissions(self, key: ApiKey | None, member: Mapping[str, Any]) -> tuple[str, ...] | None:
        if key is None or key.scopes is None:
            return None
        if self.catalog is not None:
            return self.catalog.effective(key.scopes)[0]
        return _strings(_dict(member.get("effective_scope")).get("permissions"))

    def _coverage(self, event: AuditEvent) -> tuple[Coverage, ...] | None:
        """Return the permissions that decisions required; without decisions, ``resource_type:action`` of the row."""
        key = event.request_key
        if key is None or key.scopes is None:
            return None
        permissions = dict.fromkeys(permission for decision in event.decisions for permission in decision.required)
        if not event.decisions and event.resource_type and event.action:
            permissions = {f"{event.resource_type}:{event.action}": None}
        return tuple(
            Coverage(permission, covering_scope(key.scopes, permission, self.catalog)) for permission in permissions
        )


def _additional_fields(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the additional fields of a row, which may be a JSON string. A row without them can be the fields."""
    fields = row.get("additional_fields", row)
    if isinstance(fields, str):
        fields = json.loads(fields) if fields.strip() else {}
    if isinstance(fields, str):  # a JSON column that took a JSON string
        with suppress(json.JSONDecodeError):
            fields = json.loads(fields)
    return _dict(fields)


def _event(row: Mapping[str, Any], member: Mapping[str, Any], subject: Mapping[str, Any]) -> AuditEvent:
    """Return the write that a row shows, with the members for the request's key and for the key that it is about."""
    outcome = row.get("outcome")
    return AuditEvent(
        action=_string(row.get("action")),
        resource_type=_string(row.get("resource_type")),
        resource_id=_string(row.get("resource_id")),
        outcome=outcome if isinstance(outcome, (str, int, float, bool)) else None,
        request_key=_key(member),
        subject_key=_key(subject),
        decisions=tuple(map(_decision, _dicts(member.get("decisions")))),
        on_behalf_of=_string(member.get("on_behalf_of")),
    )


def _key(member: Mapping[str, Any]) -> ApiKey | None:
    """Return the key of a member; ``None`` without an id."""
    key_id = _string(member.get("id"))
    if not key_id:
        return None
    return ApiKey(
        key_id,
        _string(member.get("name")),
        _strings(member.get("scopes")),
        _strings(member.get("allow_list")),
        _string(member.get("owner")),
        _string(member.get("expires_at")),
    )


def _decision(member: Mapping[str, Any]) -> Decision:
    return Decision(
        _strings(member.get("required")) or (),
        _string(member.get("outcome")),
        _string(member.get("cause")),
        _strings(member.get("scopes")) or (),
        _strings(member.get("missing")) or (),
        _string(member.get("resource")),
        _string(member.get("reason")),
    )


def _string(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _strings(value: object) -> tuple[str, ...] | None:
    return tuple(element for element in value if isinstance(element, str)) if isinstance(value, list) else None


def _dict(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _dicts(value: object) -> list[Mapping[str, Any]]:
    return [element for element in value if isinstance(element, dict)] if isinstance(value, list) else []
