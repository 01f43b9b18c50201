"""The encoded snapshot of an API key: the members of rows and the attributes of spans, encoded once per content."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from otel_keyaudit import names
from otel_keyaudit.key.api_key import ApiKey
from otel_keyaudit.key.cache import Memo
from otel_keyaudit.key.encoded_object import EncodedObject, cut
from otel_keyaudit.key.permissions.allow_list import normalize
from otel_keyaudit.key.permissions.scope_catalog import ScopeCatalog

Attributes = dict[str, str | bool | int | Sequence[str]]


class ListAttribute(tuple[str, ...]):
    """A list as a span attribute.

    The SDK checks whether a value is a ``Sequence``. Python caches the answer for a subclass of ``tuple`` and computes
    it again, in several calls, for ``tuple`` itself.
    """

    __slots__ = ()


class Detail(str, Enum):
    """How much of a key a row receives: the whole snapshot, or a reference to it."""

    FULL = "full"
    MINIMAL = "minimal"


class Snapshot:
    """One :class:`ApiKey` under one scope catalog and one limit, encoded for rows and spans.

    Each encoding is made at its first use, because most services need few of them: rows are either mappings or JSON,
    and the sampler decides which detail occurs.

    Args:
        key: The key.
        catalog: The scope catalog in force; ``None`` without one.
        max_items: Maximum number of elements of a list.

    Attributes:
        digest: Digest under the catalog.
        full: Members of a full row.
        minimal: Members of a minimal row.
        shown_full: Span attributes with the lists.
        shown_without_lists: Span attributes for a full row if another span has the lists.
        shown_minimal: Span attributes for minimal rows.
    """

    __slots__ = (
        "_catalog",
        "_max_items",
        "digest",
        "full",
        "key",
        "minimal",
        "shown_full",
        "shown_minimal",
        "shown_without_lists",
    )

    full: EncodedObject
    minimal: EncodedObject
    shown_full: Attributes
    shown_minimal: Attributes
    shown_without_lists: Attributes

    def __init__(self, key: ApiKey, catalog: ScopeCatalog | None, max_items: int) -> None:
        self.key = key
        self.digest = key.digest_under(None if catalog is None else catalog.version)
        self._catalog = catalog
        self._max_items = max_items

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Encode at first use. Python calls this for a slot that has no value yet."""
            encode = _ENCODERS.get(name)
            if encode is None:
                raise AttributeError(name)
            encoding = encode(self)
            setattr(self, name, encoding)
            return encoding

    def encoded(self, detail: Detail) -> EncodedObject:
        """Return the members of a row in a detail."""
        return self.full if detail is Detail.FULL else self.minimal

    def _encode_full(self) -> EncodedObject:
        key, members = self.key, self._head(Detail.FULL)
        self._add_list(members, "scopes", key.scopes)
        self._add_list(members, "allow_list", key.allow_list)
        _add(members, owner=key.owner, expires_at=key.expires_at, effective_scope=self._effective_scope())
        return EncodedObject(members)

    def _encode_minimal(self) -> EncodedObject:
        return EncodedObject(self._head(Detail.MINIMAL))

    def _head(self, detail: Detail) -> dict[str, Any]:
        members: dict[str, Any] = {}
        _add(members, id=self.key.id, name=self.key.name, digest=self.digest, detail=detail.value)
        return members

    def _effective_scope(self) -> dict[str, Any] | None:
        """Return the meaning of the scopes; ``None`` without a catalog and if the scopes are unknown."""
        catalog, key = self._catalog, self.key
        if catalog is None or key.scopes is None:
            return None
        permissions, unknown = catalog.effective(key.scopes)
        members: dict[str, Any] = {}
        self._add_list(members, "permissions", permissions)
        self._add_list(members, "allow_list", None if key.allow_list is None else normalize(key.allow_list))
        self._add_list(members, "unknown_scopes", unknown or None)
        members["catalog"] = catalog.version
        return members

    def _add_list(self, members: dict[str, Any], name: str, elements: Sequence[str] | None) -> None:
        if elements is not None:
            cut(members, name, elements, self._max_items)
            members[name] = ListAttribute(members[name])  # rows and spans share it

    def _show_full(self) -> Attributes:
        # the detail comes last, because a span that has no room for all lists must not claim the detail ``full``
        lists = _shown(self.full.members, _ATTRIBUTES)
        permissions = _shown(self.full.members.get("effective_scope", {}), _EFFECTIVE_ATTRIBUTES)
        return {**self._identity(), **lists, **permissions, names.DETAIL: Detail.FULL.value}

    def _show_without_lists(self) -> Attributes:
        return {**self._identity(), names.DETAIL: Detail.FULL.value}

    def _show_minimal(self) -> Attributes:
        return {**self._identity(), names.DETAIL: Detail.MINIMAL.value}

    def _identity(self) -> Attributes:
        identity: Attributes = {names.KEY_ID: self.key.id, names.KEY_DIGEST: self.digest}
        if self.key.name is not None:
            identity[names.KEY_NAME] = self.key.name
        return identity


_ENCODERS: Final = {
    "full": Snapshot._encode_full,
    "minimal": Snapshot._encode_minimal,
    "shown_full": Snapshot._show_full,
    "shown_without_lists": Snapshot._show_without_lists,
    "shown_minimal": Snapshot._show_minimal,
}

_ATTRIBUTES: Final = {
    "scopes": names.KEY_SCOPES,
    "scopes_count": names.KEY_SCOPES_COUNT,
    "allow_list": names.KEY_ALLOW_LIST,
    "allow_list_count": names.KEY_ALLOW_LIST_COUNT,
    "owner": names.KEY_OWNER,
    "expires_at": names.KEY_EXPIRES_AT,
}

_EFFECTIVE_ATTRIBUTES: Final = {
    "permissions": names.KEY_PERMISSIONS,
    "permissions_count": names.KEY_PERMISSIONS_COUNT,
}


def _shown(members: Mapping[str, Any], attributes: Mapping[str, str]) -> Attributes:
    return {attribute: members[name] for name, attribute in attributes.items() if name in members}


def _add(members: dict[str, Any], **more: Any) -> None:
    """Add the members that are known."""
    members.update({name: value for name, value in more.items() if value is not None})


class Snapshots:
    """Encodes keys under the catalog and the limit in force, each content once while it is cached.

    Attributes:
        of: Returns the snapshot of a key.
        max_items: Maximum number of elements of a list.
    """

    def __init__(self, catalog: ScopeCatalog | None, max_items: int) -> None:
        self.max_items = max_items
        snapshots: Memo[ApiKey, Snapshot] = Memo(
            lambda key: Snapshot(key, catalog, max_items), lambda snapshot: len(snapshot.key.emitted)
        )
        self.of = snapshots.__getitem__
