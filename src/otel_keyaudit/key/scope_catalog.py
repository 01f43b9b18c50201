"""What a key may do: the scope catalog and the algebra of allow lists (coder/coder pull request 19996)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import orjson

ANYTHING = "*:*"


class CatalogError(ValueError):
    """Raised when a scope catalog cannot be read or contradicts itself; the text says where."""


class ScopeCatalog(NamedTuple):
    """The meaning of scope names in one release of a service.

    Attributes:
        version: Which meaning this is; composites change between releases.
        permissions: Every permission by resource, as ``resource:action``, in the order of the catalog.
        composites: Names for sets of permissions, already expanded.
        aliases: Other names for scopes.
        everything: Scopes that mean every permission.
    """

    version: str
    permissions: Mapping[str, tuple[str, ...]]
    composites: Mapping[str, frozenset[str]]
    aliases: Mapping[str, str]
    everything: frozenset[str]

    def effective(self, scopes: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the sorted permissions that the scopes grant together, and the scopes nobody knows, in given order."""
        granted: set[str] = set()
        unknown: list[str] = []
        for scope in scopes:
            found = self.expand(scope)
            if found is None:
                unknown.append(scope)
            else:
                granted |= found
        return tuple(sorted(granted)), tuple(unknown)

    def expand(self, scope: str) -> frozenset[str] | None:
        """Return the single permissions of one scope, ``None`` for a scope that the catalog does not know."""
        scope = self._resolve(scope)
        if scope in self.everything:
            return frozenset(one for every in self.permissions.values() for one in every)
        if scope in self.composites:
            return self.composites[scope]
        return _low_level(scope, self.permissions)

    def _resolve(self, scope: str) -> str:
        """Follow aliases; one that leads back to itself ends there."""
        seen = set()
        while scope in self.aliases and scope not in seen and scope not in self.everything:
            seen.add(scope)
            scope = self.aliases[scope]
        return scope


def _low_level(scope: str, permissions: Mapping[str, tuple[str, ...]]) -> frozenset[str] | None:
    resource, _, action = scope.partition(":")
    known = permissions.get(resource)
    if known is None:
        return None
    if action == "*":
        return frozenset(known)
    return frozenset((scope,)) if scope in known else None


def load_catalog(path: str | Path) -> ScopeCatalog:
    """Read a scope catalog from a JSON file (docs/reference.md, section 8).

    Args:
        path: Where the file is.

    Raises:
        CatalogError: The file cannot be read, is not such a catalog, or a composite names an unknown permission.
    """
    try:
        content = orjson.loads(Path(path).read_bytes())
    except orjson.JSONDecodeError as error:
        raise CatalogError(f"is not JSON: {error.msg} at line {error.lineno}") from None
    except OSError as error:
        raise CatalogError(f"cannot be read: {error.strerror}") from None
    except ValueError:
        raise CatalogError("cannot be read: its path is none") from None
    if not isinstance(content, dict):
        raise CatalogError("is not a JSON object")
    return _catalog(content)


def _catalog(content: dict[str, Any]) -> ScopeCatalog:
    version = content.get("version")
    if not isinstance(version, str) or not version:
        raise CatalogError("has no text 'version'")
    if surplus := content.keys() - {"version", "resources", "composites", "aliases", "all"}:
        raise CatalogError(f"has an unknown member {min(surplus)!r}")
    resources = _lists(content, "resources")
    for resource, actions in resources.items():
        if not resource or ":" in resource or not all(actions) or "*" in actions:
            raise CatalogError(f"'resources' has a wrong entry {resource!r}")
    permissions = {
        resource: tuple(f"{resource}:{action}" for action in actions) for resource, actions in resources.items()
    }
    aliases = content.get("aliases", {})
    if not isinstance(aliases, dict) or not all(isinstance(name, str) for name in aliases.values()):
        raise CatalogError("'aliases' is not an object of texts")
    return ScopeCatalog(
        version=version,
        permissions=permissions,
        composites={
            name: _composite(name, members, permissions) for name, members in _lists(content, "composites").items()
        },
        aliases=aliases,
        everything=frozenset(_texts(content.get("all", []), "all")),
    )


def _composite(name: str, members: list[str], permissions: Mapping[str, tuple[str, ...]]) -> frozenset[str]:
    expanded: set[str] = set()
    for member in members:
        found = _low_level(member, permissions)
        if found is None:
            raise CatalogError(f"composite {name!r} names {member!r}, which 'resources' does not have")
        expanded |= found
    return frozenset(expanded)


def _lists(content: dict[str, Any], member: str) -> dict[str, list[str]]:
    value = content.get(member, {})
    if not isinstance(value, dict):
        raise CatalogError(f"{member!r} is not an object of lists of texts")
    return {name: _texts(elements, member) for name, elements in value.items()}


def _texts(value: object, member: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(element, str) for element in value):
        raise CatalogError(f"{member!r} does not hold lists of texts")
    return value


def normalise(allow_list: Iterable[str]) -> tuple[str, ...]:
    """Return the normal form of an allow list: trimmed, swallowed entries and duplicates gone, sorted.

    ``*:*`` anywhere makes it exactly that; ``type:*`` swallows ``type:<id>``. Entries of another form, such as an IP
    network or an origin, are opaque.
    """
    entries = {entry.strip() for entry in allow_list}
    if ANYTHING in entries:
        return (ANYTHING,)
    wild = {entry[:-1] for entry in entries if _is_wild(entry)}
    return tuple(sorted(entry for entry in entries if _is_wild(entry) or _type(entry) not in wild))


def intersect(left: Iterable[str], right: Iterable[str]) -> tuple[str, ...]:
    """Return what both allow lists allow, in normal form; ``()`` allows nothing (fail closed)."""
    left, right = normalise(left), normalise(right)
    if left == (ANYTHING,):
        return right
    if right == (ANYTHING,):
        return left
    return normalise(met for one in left for other in right if (met := _meet(one, other)) is not None)


def _meet(one: str, other: str) -> str | None:
    """Return the narrower of two entries where one covers the other."""
    if one == other or _covers(other, one):
        return one
    return other if _covers(one, other) else None


def _covers(wide: str, narrow: str) -> bool:
    return _is_wild(wide) and narrow.startswith(wide[:-1])


def _type(entry: str) -> str:
    """Return the type of an entry with its colon; an entry without a colon has none."""
    name, colon, _ = entry.partition(":")
    return name + colon if colon else ""


def _is_wild(entry: str) -> bool:
    """Say whether an entry is ``type:*``: the star is the whole id, and the type is a single word."""
    return entry.endswith(":*") and entry.count(":") == 1
