"""The report as data, which all renderers share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

FINDINGS: Final = {
    "forged": "members that a client sent under a reserved name",
    "altered": "snapshots that do not match the digest beside them",
    "beyond_scopes": "actions that no scope of the key explains",
    "denied": "refused requests",
    "ambiguous_rows": "rows of requests with several keys, or with an id of several keys",
    "unverifiable": "snapshots whose digest cannot be checked",
    "unresolved": "digests without a full row",
    "unused_key": "keys that were not used",
    "unused_scope": "scopes that were not used",
    "keyless_rows": "rows without a key",
}
"""Every kind of finding with its meaning, the most urgent first."""

URGENT: Final = frozenset({"forged", "altered", "beyond_scopes"})
"""The kinds of findings that may show an attack or a broken check."""


@dataclass(frozen=True)
class Finding:
    """A fact that needs attention.

    Attributes:
        finding: One of :data:`FINDINGS`.
        key_id: The id of the key that it concerns, if it concerns one.
        row: Number of the first row concerned, counted from 1 over all sources.
        detail: A sentence.
        trace_id: Trace of that row, for a link.
    """

    finding: str
    key_id: str | None
    row: int | None
    detail: str
    trace_id: str | None = None


@dataclass(frozen=True)
class ScopeUse:
    """The permissions of one scope of a key, each in one of three sorted lists.

    Attributes:
        scope: The scope as presented.
        used: Permissions that the key used.
        unused: Permissions that the key did not use, although the input would show their use.
        not_observable: Permissions whose use the input cannot show.
        last_used: Last use of any of the permissions.
    """

    scope: str
    used: tuple[str, ...]
    unused: tuple[str, ...]
    not_observable: tuple[str, ...]
    last_used: datetime | None


@dataclass(frozen=True)
class KeyUse:
    """The granted and used permissions of one key.

    Attributes:
        id: The id of the key.
        name: The latest name.
        owner: The owner in the last full snapshot.
        first_used: First row, decision or usage event of the key.
        last_used: Last row, decision or usage event of the key.
        rows: Number of rows that name the key as the request's.
        snapshots: Number of different digests.
        denials: Number of denied authentications and decisions.
        scopes: The scopes, sorted.
        proposal: Scopes and permissions that would be enough, sorted.
        days: Number of rows by day, which is a proleptic Gregorian ordinal.
    """

    id: str
    name: str | None
    owner: str | None
    first_used: datetime | None
    last_used: datetime | None
    rows: int
    snapshots: int
    denials: int
    scopes: tuple[ScopeUse, ...]
    proposal: tuple[str, ...]
    days: Mapping[int, int]

    def permissions(self, state: str) -> set[str]:
        """Return the permissions of all scopes in one state: ``used``, ``unused`` or ``not_observable``."""
        return {permission for scope in self.scopes for permission in getattr(scope, state)}


@dataclass(frozen=True)
class Report:
    """The whole report. Keys are sorted by id, findings by kind, key and row.

    Attributes:
        start: Start of the period.
        end: End of the period.
        rows: Number of rows in the period, including unreadable rows.
        rows_without_key: Number of rows that name no key, without ambiguous rows.
        rows_unreadable: Number of rows or lines that could not be read.
        not_observable: Permissions that are not observable for at least one key, sorted.
        keys: The keys.
        findings: The findings.
    """

    start: datetime | None
    end: datetime | None
    rows: int
    rows_without_key: int
    rows_unreadable: int
    not_observable: tuple[str, ...]
    keys: tuple[KeyUse, ...]
    findings: tuple[Finding, ...]

    @property
    def findings_by_urgency(self) -> list[Finding]:
        """The findings for people, the most urgent kind first."""
        order = list(FINDINGS)
        return sorted(self.findings, key=lambda one: order.index(one.finding))
