"""Propose the least privilege that a key needs, which is never more than it has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import chain, combinations
from typing import Final

from otel_keyaudit.cli.report.model import ScopeUse

_EXACT: Final = 14
"""Maximum number of scopes that overlap for which every combination is tried. Of more, a greedy choice is made."""


def propose(scopes: tuple[ScopeUse, ...]) -> tuple[str, ...]:
    """Return the scopes and single permissions that a key needs, sorted.

    A whole scope is proposed if none of its permissions is unused. Of the other scopes, single permissions are proposed
    that are used or not observable, because a permission whose use the input cannot show may be needed.

    Args:
        scopes: The key's scopes with the use of their permissions.
    """
    whole = {scope.scope: {*scope.used, *scope.not_observable} for scope in scopes if not scope.unused}
    needed = {permission for scope in scopes for permission in (*scope.used, *scope.not_observable)}
    chosen = _fewest({scope: permissions for scope, permissions in whole.items() if permissions})
    unresolved = {scope for scope, permissions in whole.items() if not permissions}
    covered = {permission for scope in chosen for permission in whole[scope]}
    return tuple(sorted({*chosen, *unresolved, *_without_included(needed - covered)}))


def _fewest(scopes: Mapping[str, set[str]]) -> tuple[str, ...]:
    """Return the fewest scopes that together have all permissions. A scope that alone has one of them is needed."""
    candidates = _without_dominated(scopes)
    counts = Counter(chain.from_iterable(candidates.values()))
    needed = [scope for scope in candidates if any(counts[permission] == 1 for permission in candidates[scope])]
    missing = counts.keys() - set().union(*(candidates[scope] for scope in needed))
    others = {scope: permissions & missing for scope, permissions in candidates.items() if permissions & missing}
    return (*needed, *(_exact(others, missing) if len(others) <= _EXACT else _greedy(others, missing)))


def _exact(scopes: Mapping[str, set[str]], wanted: set[str]) -> tuple[str, ...]:
    for size in range(len(scopes)):
        for chosen in combinations(sorted(scopes), size):
            if wanted == set[str]().union(*(scopes[scope] for scope in chosen)):
                return chosen
    return tuple(scopes)


def _without_dominated(scopes: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Return the scopes whose permissions no other scope includes. Of equal scopes, the first one remains."""
    kept: dict[str, set[str]] = {}
    for scope in sorted(scopes, key=lambda scope: (-len(scopes[scope]), scope)):
        if not any(scopes[scope] <= permissions for permissions in kept.values()):
            kept[scope] = scopes[scope]
    return kept


def _greedy(scopes: Mapping[str, set[str]], wanted: set[str]) -> list[str]:
    chosen: list[str] = []
    missing = set(wanted)
    while missing:
        best = max(sorted(scopes), key=lambda scope: len(scopes[scope] & missing))
        chosen.append(best)
        missing -= scopes[best]
    return chosen


def _without_included(permissions: set[str]) -> set[str]:
    """Return the permissions that no ``resource:*`` among them includes."""
    return {
        permission
        for permission in permissions
        if permission.endswith(":*") or permission.partition(":")[0] + ":*" not in permissions
    }
