"""Compute the report from the tally of the input."""

from __future__ import annotations

from datetime import datetime

from otel_keyaudit.cli.report.findings import findings_of_input, findings_of_key, order
from otel_keyaudit.cli.report.model import KeyUse, Report, ScopeUse
from otel_keyaudit.cli.report.options import Options
from otel_keyaudit.cli.report.permissions import Expansions, needed_permissions, scope_uses, used_permissions
from otel_keyaudit.cli.report.proposal import propose
from otel_keyaudit.cli.report.reading.times import known
from otel_keyaudit.cli.report.tally.key_tally import KeyTally
from otel_keyaudit.cli.report.tally.tally import Tally
from otel_keyaudit.key.permissions.scope_catalog import ScopeCatalog


def analyze(tally: Tally, options: Options) -> Report:
    """Compare granted and used permissions of every key.

    Args:
        tally: The tally of the whole input.
        options: Period, catalog and selection of keys. Keys that are not selected still count as evidence of the
            permissions that the input can show.
    """
    catalog, since = options.catalog, options.since
    _verify(tally, catalog)
    end = known(tally.last) if options.until is None else options.until
    used = {key.id: used_permissions(key, catalog) for key in tally.keys.values()}
    observable = {name for key in tally.keys.values() for name in needed_permissions(key, used[key.id], catalog)}
    expansions = Expansions(tally.keys.values(), observable, catalog)
    keys: list[KeyUse] = []
    findings = [found for found in findings_of_input(tally) if options.selects(found.key_id)]
    for key in tally.keys.values():
        if _ended_before(key, since) or not options.selects(key.id):
            continue
        use = _key_use(key, scope_uses(key, expansions, used[key.id], observable))
        keys.append(use)
        findings += findings_of_key(key, use, end, options.min_age)
    hidden = set[str]().union(*(use.permissions("not_observable") for use in keys))
    return Report(
        start=known(tally.first) if since is None else since,
        end=end,
        rows=tally.rows,
        rows_without_key=tally.keyless.count,
        rows_unreadable=tally.unreadable,
        not_observable=tuple(sorted(hidden)),
        keys=tuple(sorted(keys, key=lambda use: use.id)),
        findings=tuple(sorted(findings, key=order)),
    )


def _verify(tally: Tally, catalog: ScopeCatalog | None) -> None:
    """Verify all snapshots. If a row does not name its catalog, try every catalog version in the input."""
    versions = {snapshot.catalog for key in tally.keys.values() for snapshot in key.snapshots} - {None}
    if catalog is not None:
        versions.add(catalog.version)
    known_versions = sorted(version for version in versions if version)
    for key in tally.keys.values():
        for snapshot in key.snapshots:
            snapshot.verify(known_versions)


def _ended_before(key: KeyTally, since: datetime | None) -> bool:
    """Check whether a key was deleted before the period and not used in it."""
    return since is not None and key.is_deleted and key.last_change[0] < since and not key.is_used


def _key_use(key: KeyTally, scopes: tuple[ScopeUse, ...]) -> KeyUse:
    granted = key.granted
    return KeyUse(
        id=key.id,
        name=key.name,
        owner=None if granted is None else granted.owner,
        first_used=known(key.first_used),
        last_used=known(key.last_used),
        rows=key.rows,
        snapshots=len(key.mentions.keys() - {None}),
        denials=key.denials,
        scopes=scopes,
        proposal=propose(scopes),
        days=key.days,
    )
