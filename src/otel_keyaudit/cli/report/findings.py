"""Find the facts in a report that need attention, and describe each in a sentence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from otel_keyaudit.cli.output import counted
from otel_keyaudit.cli.report.model import Finding, KeyUse
from otel_keyaudit.cli.report.reading.times import rfc_3339
from otel_keyaudit.cli.report.tally.decisions import DecisionKind
from otel_keyaudit.cli.report.tally.key_tally import KeyTally
from otel_keyaudit.cli.report.tally.occurrences import Occurrences
from otel_keyaudit.cli.report.tally.snapshots import ALTERED, UNVERIFIABLE
from otel_keyaudit.cli.report.tally.tally import Tally
from otel_keyaudit.key.permissions.decision import BY_ALLOW_LIST, BY_OTHER, BY_SCOPE, DENIED

_NAMED = 5
"""Maximum number of permissions or ids that a sentence names."""


def findings_of_input(tally: Tally) -> Iterator[Finding]:
    """Return the findings that do not concern a single key."""
    if tally.keyless.count:
        yield _found("keyless_rows", None, f"{_rows(tally.keyless)} without a key", tally.keyless)
    if tally.ambiguous.count:
        detail = f"{_rows(tally.ambiguous)} of requests with several keys ({_named(tally.ambiguous_ids)})"
        yield _found("ambiguous_rows", None, detail, tally.ambiguous)
    for reason, refused in tally.refused.items():
        detail = f"{counted(refused.count, 'request')} without a known key denied{_because(reason)}"
        yield _found("denied", None, detail, refused)
    for (key_id, name), forged in tally.forged.items():
        detail = f"{_rows(forged)} in which a client sent the reserved member; its value is in {name!r}"
        yield _found("forged", key_id, detail, forged)


def findings_of_key(key: KeyTally, use: KeyUse, end: datetime | None, min_age: timedelta) -> Iterator[Finding]:
    """Return the findings about one key.

    Args:
        key: The tally of the key.
        use: The use of the same key.
        end: End of the period.
        min_age: Age from which a key can be unused.
    """
    yield from _owners(key)
    yield from _refusals(key)
    yield from _snapshots(key)
    if _is_old(key, end, min_age) and not key.is_deleted:
        yield from _unused(key, use)


def _is_old(key: KeyTally, end: datetime | None, min_age: timedelta) -> bool:
    return end is not None and end - key.first_seen >= min_age


def _unused(key: KeyTally, use: KeyUse) -> Iterator[Finding]:
    """Find an unused key, else unused scopes of the key. A permission that is not observable is not unused."""
    unused, hidden = use.permissions("unused"), use.permissions("not_observable")
    if not key.is_used:
        if unused:
            caveat = f"; the input cannot show whether it used {_named(hidden)}" if hidden else ""
            yield Finding("unused_key", key.id, None, f"no row, decision or usage event of the key{caveat}")
        return
    for scope in use.scopes:
        if scope.unused and not scope.used and not scope.not_observable:
            permissions = "" if scope.unused == (scope.scope,) else f": {_named(scope.unused)}"
            yield Finding("unused_scope", key.id, None, f"scope {scope.scope!r} was not used{permissions}")


def _owners(key: KeyTally) -> Iterator[Finding]:
    """Find an id that stands for several keys, such as the number of a row in the tables of two tenants."""
    owners = key.sharing_owners
    if owners and key.mentions:
        first = min((mention.occurrence for mention in key.mentions.values()), key=lambda one: one.row or 0)
        detail = f"keys of {len(owners):,} owners have this id ({_named(owners)}), so their scopes are not compared"
        yield Finding("ambiguous_rows", key.id, first.row, detail, first.trace_id)


def _refusals(key: KeyTally) -> Iterator[Finding]:
    for kind, use in key.decisions.items():
        seen = use.occurrences
        if not seen.count:
            continue
        if kind.outcome == DENIED:
            yield _found("denied", key.id, f"{_required(kind)} denied {_often(seen.count)}{_cause(kind)}", seen)
        else:
            detail = f"{_required(kind)} granted {_often(seen.count)} although {_obstacle(kind)}"
            yield _found("beyond_scopes", key.id, detail, seen)
    for reason, refused in key.refused.items():
        yield _found("denied", key.id, f"authentication denied {_often(refused.count)}{_because(reason)}", refused)


def _snapshots(key: KeyTally) -> Iterator[Finding]:
    for digest, snapshots in key.snapshots.by_digest.items():
        for snapshot in snapshots.values():
            if snapshot.state == ALTERED:
                wrong = f"{_rows(snapshot.seen)} whose snapshot does not match the digest {digest!r} beside it"
                yield _found("altered", key.id, wrong, snapshot.seen)
            elif snapshot.state == UNVERIFIABLE:
                doubtful = f"digest {digest!r} cannot be checked in {_rows(snapshot.seen)} because {snapshot.reason}"
                yield _found("unverifiable", key.id, doubtful, snapshot.seen)
    for named, mention in key.mentions.items():
        first = mention.occurrence
        if named is not None and named not in key.snapshots.by_digest:
            lacking = f"no full row has the snapshot of digest {named!r}{_at(first.time, first.about)}"
            yield Finding("unresolved", key.id, first.row, lacking, first.trace_id)


def _found(finding: str, key_id: str | None, detail: str, seen: Occurrences) -> Finding:
    others = ", ".join(map(str, seen.rows[1:])) + (", …" if seen.count > len(seen.rows) else "")
    also = f"; also row{'s' if len(seen.rows) > 2 else ''} {others}" if len(seen.rows) > 1 else ""
    detail += f"{_at(seen.first.time, seen.first.about)}{also}"
    return Finding(finding, key_id, seen.first.row, detail, seen.first.trace_id)


def _at(time: datetime | None, about: str) -> str:
    """Return time and action of the first row in parentheses."""
    known = [part for part in (rfc_3339(time), about) if part]
    return f" (first {' '.join(known)})" if known else ""


def _required(kind: DecisionKind) -> str:
    return _named(kind.required) if kind.required else "an action"


def _cause(kind: DecisionKind) -> str:
    if kind.cause in (BY_SCOPE, BY_ALLOW_LIST):
        return f" because {_obstacle(kind)}"
    return " although the key's scopes cover it" if kind.cause == BY_OTHER else ""


def _obstacle(kind: DecisionKind) -> str:
    """Return the reason why the key does not allow an action."""
    if kind.missing or kind.cause == BY_SCOPE:
        lacking = _named(kind.missing) if {*kind.missing} < {*kind.required} else "it"
        return f"no scope of the key covers {lacking}"
    return "the allow list does not have the resource"


def _because(reason: str | None) -> str:
    return f" ({reason})" if reason else ""


def _often(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def _rows(seen: Occurrences) -> str:
    return counted(seen.count, "row")


def _named(names: Iterable[str]) -> str:
    found = sorted(names)
    return ", ".join(found[:_NAMED]) + (f" and {len(found) - _NAMED:,} more" if len(found) > _NAMED else "")


def order(finding: Finding) -> tuple[str, str, int, str]:
    """Return the sort key of a finding: kind, key, row."""
    return finding.finding, finding.key_id or "", finding.row or 0, finding.detail
