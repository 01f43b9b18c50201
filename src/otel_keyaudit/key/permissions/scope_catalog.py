"""The scope catalog: the permissions that each scope of a service means in one release."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson

from otel_keyaudit.key.cache import Memo


class CatalogError(ValueError):
    """Raised for a scope catalog that cannot be read or is invalid. The message names the place and the reason."""


@dataclass(frozen=True)
class ScopeCatalog:
    """The meaning of scope names in one release of a service.

    Attributes:
        version: Version of the meaning; composites change between releases.
        permissions: Every permission by resource, as ``resource:action``, in the order of the file.
        composites: Names for sets of permissions, already expanded.
        aliases: Other names for scopes.
        all_scopes: Scopes that mean every permission.
    """

    version: str
    permissions: Mapping[str, tuple[str, ...]]
    composites: Mapping[str, frozenset[str]] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    all_scopes: frozenset[str] = frozenset()

    def effective(self, scopes: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the sorted permissions of all scopes together, and the unknown scopes in the given order."""
        granted: set[str] = set()
        unknown: list[str] = []
        for scope in scopes:
            expansion = self.expand(scope)
            if expansion is None:
                unknown.append(scope)
            else:
                granted |= expansion
        return tuple(sorted(granted)), tuple(unknown)

    def expand(self, scope: str) -> frozenset[str] | None:
        """Return the single permissions of one scope; ``None`` for a scope that the catalog does not know."""
        scope = self._resolve(scope)
        if scope in self.all_scopes:
            return frozenset(permission for actions in self.permissions.values() for permission in actions)
        if scope in self.composites:
            return self.composites[scope]
        return _expand_resource(scope, self.permissions)

    def has_permission(self, permission: str) -> bool:
        """Check whether the catalog lists a permission, or the resource of ``resource:*``."""
        return _expand_resource(permission, self.permissions) is not None

    def covering(self, permission: str) -> frozenset[str]:
        """Return the names of all scopes that cover a permission; the permission's own name is always among them."""
        return self._known_covering[permission]

    @cached_property
    def _known_covering(self) -> Memo[str, frozenset[str]]:
        """The covering scopes by permission, which every call of an authorization check looks up."""
        return Memo(self._covering, lambda scopes: sum(map(len, scopes)))

    def _covering(self, permission: str) -> frozenset[str]:
        candidates = {wildcard_of(permission), *self.all_scopes, *self.composites, *self.aliases}
        return frozenset({permission, *(scope for scope in candidates if self._covers(scope, permission))})

    def _covers(self, scope: str, permission: str) -> bool:
        scope = self._resolve(scope)
        if scope == permission or scope in self.all_scopes:
            return True
        if scope in self.composites:
            return permission in self.composites[scope]
        return scope == wildcard_of(permission) and self.has_permission(scope)

    def _resolve(self, scope: str) -> str:
        """Follow aliases; a circle of aliases ends where it began."""
        seen = set()
        while scope in self.aliases and scope not in seen and scope not in self.all_scopes:
            seen.add(scope)
            scope = self.aliases[scope]
        return scope


def wildcard_of(permission: str) -> str:
    """Return the scope ``resource:*`` of a permission; a permission without a colon is its own."""
    resource, colon, _ = permission.partition(":")
    return f"{resource}:*" if colon else permission


def _expand_resource(scope: str, permissions: Mapping[str, tuple[str, ...]]) -> frozenset[str] | None:
    """Return the permissions of ``resource:action`` or ``resource:*``; ``None`` if the catalog does not have it."""
    resource, _, action = scope.partition(":")
    known = permissions.get(resource)
    if known is None:
        return None
    if action == "*":
        return frozenset(known)
    return frozenset((scope,)) if scope in known else None


def load_catalog(path: str | Path) -> ScopeCatalog:
    """Read a scope catalog from a JSON file.

    Args:
        path: Path of the file.

    Raises:
        CatalogError: The file cannot be read, is not a catalog, or a composite names an unknown permission.
    """
    try:
        content = orjson.loads(Path(path).read_bytes())
    except orjson.JSONDecodeError as error:
        raise CatalogError(f"is not JSON: {error.msg} at line {error.lineno}") from None
    except OSError as error:
        raise CatalogError(f"cannot be read: {error.strerror}") from None
    except ValueError:
        raise CatalogError("cannot be read: its path is invalid") from None
    if not isinstance(content, dict):
        raise CatalogError("is not a JSON object")
    return _catalog(content)


def _catalog(content: dict[str, Any]) -> ScopeCatalog:
    version = content.get("version")
    if not isinstance(version, str) or not version:
        raise CatalogError("has no string 'version'")
    if surplus := content.keys() - {"version", "resources", "composites", "aliases", "all"}:
        raise CatalogError(f"has an unknown member {min(surplus)!r}")
    permissions = _permissions(content)
    composites = _lists(content, "composites")
    return ScopeCatalog(
        version=version,
        permissions=permissions,
        aliases=_aliases(content),
        composites={name: _composite(name, members, permissions) for name, members in composites.items()},
        all_scopes=frozenset(_strings(content.get("all", []), "all")),
    )


def _permissions(content: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    resources = _lists(content, "resources")
    for resource, actions in resources.items():
        if not resource or ":" in resource or not all(actions) or "*" in actions:
            raise CatalogError(f"'resources' has an invalid entry {resource!r}")
    return {resource: tuple(f"{resource}:{action}" for action in actions) for resource, actions in resources.items()}


def _aliases(content: dict[str, Any]) -> dict[str, str]:
    aliases = content.get("aliases", {})
    if not isinstance(aliases, dict) or not all(isinstance(name, str) for name in aliases.values()):
        raise CatalogError("'aliases' is not an object of strings")
    return aliases


def _composite(name: str, members: list[str], permissions: Mapping[str, tuple[str, ...]]) -> frozenset[str]:
    expanded: set[str] = set()
    for member in members:
        expansion = _expand_resource(member, permissions)
        if expansion is None:
            raise CatalogError(f"composite {name!r} names {member!r}, which 'resources' does not have")
        expanded |= expansion
    return frozenset(expanded)


def _lists(content: dict[str, Any], member: str) -> dict[str, list[str]]:
    value = content.get(member, {})
    if not isinstance(value, dict):
        raise CatalogError(f"{member!r} is not an object of lists of strings")
    return {name: _strings(elements, member) for name, elements in value.items()}


def _strings(value: object, member: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(element, str) for element in value):
        raise CatalogError(f"{member!r} does not hold lists of strings")
    return value
