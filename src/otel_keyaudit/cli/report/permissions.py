"""Compare the granted permissions of a key with the permissions that it used."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime

from otel_keyaudit.cli.report.model import ScopeUse
from otel_keyaudit.cli.report.reading.times import known, later
from otel_keyaudit.cli.report.tally.key_tally import KeyTally
from otel_keyaudit.key.permissions.coverage import covering_scope, covering_scopes
from otel_keyaudit.key.permissions.scope_catalog import ScopeCatalog


def used_permissions(key: KeyTally, catalog: ScopeCatalog | None) -> dict[str, datetime | None]:
    """Return the permissions that a key used, with the time of the last use.

    These are the permissions in granted decisions, in usage events, and ``resource_type:action`` of rows without
    decisions if the key's scopes cover it. The decision of an open check, which has no outcome yet, counts as granted,
    because the application went on to write the row.
    """
    used: dict[str, datetime | None] = {}
    for kind, use in key.decisions.items():
        if kind.outcome in ("granted", None):
            for permission in kind.required:
                used[permission] = later(used.get(permission), known(use.last))
    for (permission, outcome), total in key.usage.items():
        if outcome == "granted" and total.count:
            used[permission] = later(used.get(permission), total.last)
    for permission, last in _covered_actions(key, catalog):
        used[permission] = later(used.get(permission), last)
    return used


def _covered_actions(key: KeyTally, catalog: ScopeCatalog | None) -> Iterator[tuple[str, datetime | None]]:
    for digest, mention in key.mentions.items():
        for permission, last in mention.actions.items():
            if _covers(key, digest, permission, catalog):
                yield permission, last


def _covers(key: KeyTally, digest: str | None, permission: str, catalog: ScopeCatalog | None) -> bool:
    """Return whether scopes of the key cover a permission: the scopes of the digest, else the granted scopes."""
    snapshot = key.snapshots.resolve(digest) or key.granted
    return snapshot is not None and covering_scope(snapshot.scopes, permission, catalog) is not None


def needed_permissions(key: KeyTally, used: Iterable[str], catalog: ScopeCatalog | None) -> set[str]:
    """Return the permissions that a key used, that decisions required, or that it needed before the period."""
    needed = key.earlier_needs.union(used, (permission for permission, _ in key.usage))
    needed.update(permission for kind in key.decisions for permission in kind.required)
    needed.update(permission for digest, permission in key.earlier_actions if _covers(key, digest, permission, catalog))
    return needed


class Expansions:
    """The permissions of each scope.

    With a catalog, these are the scope's expansion. Without a catalog, a scope has the permission of the same name, the
    permissions in the input that it covers as a wildcard, and the permissions for which a granted decision names it.

    Args:
        keys: The keys of the input.
        known: Permissions that the keys were seen to need.
        catalog: The scope catalog.
    """

    def __init__(self, keys: Iterable[KeyTally], known: Iterable[str], catalog: ScopeCatalog | None) -> None:
        self._catalog = catalog
        self._covered: dict[str, set[str]] = defaultdict(set)
        candidates = set(known)
        if catalog is None:
            for key in keys:
                granted = key.granted
                candidates.update(() if granted is None else granted.permissions)
                for scope, permissions in _explained(key):
                    self._covered[scope].update(permissions)
        for permission in candidates:
            for scope in covering_scopes(permission, catalog):
                self._covered[scope].add(permission)

    def of(self, scope: str, used: Collection[str]) -> set[str]:
        """Return the permissions of a scope for a key.

        A permission beyond the expansion, such as ``workspace:*``, is included only if the key used it.

        Args:
            scope: The scope.
            used: Permissions that the key used.
        """
        covered = self._covered.get(scope, set())
        return {
            permission
            for permission in covered
            if permission in used or (self._catalog is None and not permission.endswith("*"))
        }.union(self._own(scope))

    def _own(self, scope: str) -> frozenset[str]:
        expansion = None if self._catalog is None else self._catalog.expand(scope)
        if expansion is not None:
            return expansion
        is_wildcard = scope.endswith(":*") or scope == "*"
        return frozenset() if is_wildcard else frozenset((scope,))


def _explained(key: KeyTally) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each scope that granted decisions name, with the permissions that it explains by the service's catalog."""
    for kind in key.decisions:
        if len(kind.required) == 1 or len(kind.scopes) == 1:
            yield from ((scope, kind.required) for scope in kind.scopes)


def scope_uses(
    key: KeyTally, expansions: Expansions, used: Mapping[str, datetime | None], observable: set[str]
) -> tuple[ScopeUse, ...]:
    """Sort the permissions of each scope of a key into used, unused and not observable.

    Args:
        key: The key.
        expansions: The permissions of the scopes.
        used: Permissions that the key used, with the last time.
        observable: Permissions that any key of the input was seen to need.
    """
    granted = key.granted
    return tuple(
        _scope_use(scope, expansions.of(scope, used), used, None if key.has_usage else observable)
        for scope in sorted(() if granted is None else granted.scopes)
    )


def _scope_use(
    scope: str, permissions: set[str], used: Mapping[str, datetime | None], observable: set[str] | None
) -> ScopeUse:
    """Sort the permissions of one scope. If ``observable`` is ``None``, all permissions are observable."""
    in_use = {permission: found for permission in permissions if (found := _use(permission, used)) is not None}
    rest = permissions - in_use.keys()
    hidden = set() if observable is None else rest - observable
    last = None
    for found in in_use.values():
        last = later(last, used[found])
    return ScopeUse(scope, tuple(sorted(in_use)), tuple(sorted(rest - hidden)), tuple(sorted(hidden)), last)


def _use(permission: str, used: Mapping[str, datetime | None]) -> str | None:
    """Return the used permission that includes a permission: the permission itself, or its ``resource:*``."""
    if permission in used:
        return permission
    wildcard = permission.partition(":")[0] + ":*"
    return wildcard if wildcard in used else None
