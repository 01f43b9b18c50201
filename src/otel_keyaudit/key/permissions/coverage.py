"""Explain the outcome of an authorization check by the scopes and the allow list of the key.

The application decides. These functions compare its decision with the scopes that cover the required permissions and
with the allow list.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final, NamedTuple

from otel_keyaudit.key.api_key import ApiKey
from otel_keyaudit.key.permissions.allow_list import allows
from otel_keyaudit.key.permissions.decision import BY_ALLOW_LIST, BY_OTHER, BY_SCOPE, DENIED, ERROR, GRANTED, UNKNOWN
from otel_keyaudit.key.permissions.scope_catalog import ScopeCatalog, wildcard_of


class Explanation(NamedTuple):
    """Why a check granted or denied.

    Attributes:
        cause: ``scope``, ``allow_list``, ``other`` or ``unknown``; ``None`` for an error.
        scopes: Scopes of the key that cover the granted permissions, in the order presented.
        missing: Required permissions that no scope covers.
    """

    cause: str | None
    scopes: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


def explain(
    outcome: str,
    required: tuple[str, ...],
    any_of: bool,
    resource: str | None,
    key: ApiKey | None,
    catalog: ScopeCatalog | None,
) -> Explanation:
    """Explain the outcome of a check.

    Args:
        outcome: ``granted``, ``denied`` or ``error``.
        required: The required permissions; empty if they are unknown.
        any_of: One of the permissions is enough.
        resource: ``type:id`` of the resource; ``None`` if it is unknown.
        key: The key of the request; ``None`` if there is none, or several.
        catalog: The scope catalog in force; ``None`` without one.
    """
    if outcome == ERROR:
        return Explanation(None)
    if key is None or key.scopes is None or not required:
        return Explanation(UNKNOWN)
    deciding = {permission: covering_scope(key.scopes, permission, catalog) for permission in required}
    missing = tuple([permission for permission, scope in deciding.items() if scope is None])
    is_covered = len(missing) < len(deciding) if any_of else not missing
    if is_covered:
        cause = _COVERED[outcome, allows_resource(key, resource)]
        if cause != BY_SCOPE:
            return Explanation(cause)
        return Explanation(cause, scopes=tuple(filter({*deciding.values()}.__contains__, key.scopes)))
    if outcome == DENIED:
        return Explanation(BY_SCOPE, missing=missing)
    return Explanation(BY_OTHER, missing=missing) if _knows_all(catalog, key.scopes, required) else Explanation(UNKNOWN)


_COVERED: Final = {
    (GRANTED, True): BY_SCOPE,
    (GRANTED, False): BY_OTHER,
    (DENIED, True): BY_OTHER,
    (DENIED, False): BY_ALLOW_LIST,
}
"""Cause of a decision whose required permissions are covered, by outcome and by whether the allow list allows it."""


def covering_scope(scopes: Iterable[str], permission: str, catalog: ScopeCatalog | None) -> str | None:
    """Return the first scope that covers a permission; ``None`` if no scope does."""
    return next(filter(covering_scopes(permission, catalog).__contains__, scopes), None)


def covering_scopes(permission: str, catalog: ScopeCatalog | None) -> Collection[str]:
    """Return the names of all scopes that cover a permission.

    A scope covers the permission of the same name. ``resource:*``, ``*`` and ``*:*`` cover as wildcards. With a
    catalog, a scope covers its expansion, a scope of ``all`` covers everything, and a scope that the catalog does not
    know covers nothing but the permission of the same name.
    """
    return {permission, wildcard_of(permission), "*", "*:*"} if catalog is None else catalog.covering(permission)


def allows_resource(key: ApiKey, resource: str | None) -> bool:
    """Check whether the allow list of a key allows a resource. An unknown list or resource counts as allowed."""
    return resource is None or key.allow_list is None or allows(map(str.strip, key.allow_list), resource)


def _knows_all(catalog: ScopeCatalog | None, scopes: Iterable[str], permissions: Iterable[str]) -> bool:
    """Check whether the catalog knows every scope and permission. Otherwise an unknown scope might cover one."""
    return (
        catalog is not None
        and all(catalog.expand(scope) is not None for scope in scopes)
        and all(map(catalog.has_permission, permissions))
    )
