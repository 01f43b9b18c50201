"""An API key in the forms in which it is written: row member, JSON text, span attributes. Encoded once per content."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any

from otel_keyaudit import names
from otel_keyaudit.key.api_key import ApiKey, digest
from otel_keyaudit.key.cache import Memory
from otel_keyaudit.key.encoded_object import Form
from otel_keyaudit.key.scope_catalog import ScopeCatalog, normalise

Attributes = dict[str, str | bool | int | Sequence[str]]


class ListAttribute(tuple[str, ...]):
    """A list as it is given to a span, which keeps a plain tuple.

    The SDK asks whether it is a ``Sequence``. Python remembers the answer for a subclass of ``tuple``, and works it out
    anew, in several calls, for ``tuple`` itself.
    """

    __slots__ = ()


class Detail(str, Enum):
    """How much of a key a row holds: the whole snapshot, or a reference that leads to it."""

    FULL = "full"
    MINIMAL = "minimal"


class Snapshot:
    """One :class:`ApiKey` under one scope catalog and one limit, in all its written forms.

    Attributes:
        digest: Under the catalog in force.
        full: What a full row is given.
        minimal: What a minimal row is given.
        shown_minimal: What a span shows of a key whose rows are minimal.
        shown_without_lists: What it shows of one with a full row when the lists are on another span.
        shown_full: What it shows of one with a full row.
    """

    __slots__ = ("digest", "full", "key", "minimal", "shown_full", "shown_minimal", "shown_without_lists")

    def __init__(self, key: ApiKey, catalog: ScopeCatalog | None, max_items: int) -> None:
        self.key = key
        self.digest = digest(key, None if catalog is None else catalog.version)
        effective = _effective_scope(key, catalog)
        self.minimal = Form(self._head(Detail.MINIMAL))
        self.full = Form(self._head(Detail.FULL) | _full_members(key, effective, max_items))
        identity: Attributes = {names.KEY_ID: key.id, names.KEY_DIGEST: self.digest}
        if key.name is not None:
            identity[names.KEY_NAME] = key.name
        self.shown_minimal: Attributes = {**identity, names.DETAIL: Detail.MINIMAL.value}
        self.shown_without_lists: Attributes = {**identity, names.DETAIL: Detail.FULL.value}
        lists = _list_attributes(key, effective, max_items)
        # the detail last: on a span without room for all the lists, it must not say that they are there
        self.shown_full: Attributes = {**identity, **lists, names.DETAIL: Detail.FULL.value}

    def _head(self, detail: Detail) -> dict[str, Any]:
        head = {"id": self.key.id, "name": self.key.name, "digest": self.digest, "detail": detail.value}
        return {name: value for name, value in head.items() if value is not None}

    def form(self, detail: Detail) -> Form:
        """Return what a row is given in a detail."""
        return self.full if detail is Detail.FULL else self.minimal


class Snapshots:
    """Encodes keys under the catalog and limit in force, each content once while it is remembered."""

    def __init__(self, catalog: ScopeCatalog | None, max_items: int) -> None:
        self.max_items = max_items
        snapshots: Memory[ApiKey, Snapshot] = Memory(
            lambda key: Snapshot(key, catalog, max_items), lambda snapshot: len(snapshot.key.written)
        )
        self.of = snapshots.__getitem__


def cut(members: dict[str, Any], name: str, elements: Sequence[str], max_items: int) -> None:
    """Add a list under its name: its first elements and, when some are left out, the full number beside it."""
    members[name] = list(elements[:max_items])
    if len(elements) > max_items:
        members[f"{name}_count"] = len(elements)


def _effective_scope(key: ApiKey, catalog: ScopeCatalog | None) -> dict[str, Any] | None:
    """Return the lists of the effective scope before any cut; ``None`` without a catalog or with unknown scopes."""
    if catalog is None or key.scopes is None:
        return None
    permissions, unknown = catalog.effective(key.scopes)
    lists = {
        "permissions": permissions,
        "allow_list": None if key.allow_list is None else normalise(key.allow_list),
        "unknown_scopes": unknown or None,
        "catalog": catalog.version,
    }
    return {name: value for name, value in lists.items() if value is not None}


def _full_members(key: ApiKey, effective: dict[str, Any] | None, max_items: int) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, elements in (("scopes", key.scopes), ("allow_list", key.allow_list)):
        if elements is not None:
            cut(members, name, elements, max_items)
    scalars = {"owner": key.owner, "expires_at": key.expires_at}
    members |= {name: value for name, value in scalars.items() if value is not None}
    if effective is not None:
        members["effective_scope"] = scope = dict[str, Any]()
        for name, value in effective.items():
            if isinstance(value, tuple):
                cut(scope, name, value, max_items)
            else:
                scope[name] = value
    return members


def _list_attributes(key: ApiKey, effective: dict[str, Any] | None, max_items: int) -> Attributes:
    members = _full_members(key, None, max_items)
    if effective is not None:
        cut(members, "permissions", effective["permissions"], max_items)
    return {
        _ATTRIBUTES[name]: ListAttribute(value) if isinstance(value, list) else value for name, value in members.items()
    }


_ATTRIBUTES = {
    "scopes": names.KEY_SCOPES,
    "scopes_count": names.KEY_SCOPES_COUNT,
    "allow_list": names.KEY_ALLOW_LIST,
    "allow_list_count": names.KEY_ALLOW_LIST_COUNT,
    "permissions": names.KEY_PERMISSIONS,
    "permissions_count": names.KEY_PERMISSIONS_COUNT,
    "owner": names.KEY_OWNER,
    "expires_at": names.KEY_EXPIRES_AT,
}
