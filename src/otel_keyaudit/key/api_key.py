"""The one noun: an API key as it was at one moment."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar
from uuid import UUID

import orjson

from otel_keyaudit.key import canonical as values

DIGEST_LENGTH = 16
"""Hex digits of the SHA-256 that are written."""


@dataclass(frozen=True, repr=False)
class ApiKey:
    """A snapshot of an API key: who it is and what it may do, never its secret.

    ``None`` means unknown, an empty list means none; the two are kept apart everywhere.

    Attributes:
        id: Public id. Text; an integer, a UUID or an enum member becomes its text.
        name: What people call it.
        scopes: What it was granted, as presented, in the order given without duplicates. A set is sorted.
        allow_list: What it is confined to, likewise.
        owner: On whose behalf it exists.
        expires_at: When it ends, RFC 3339 in UTC. From a ``datetime`` (without zone: UTC) or from such text.

    Raises:
        ValueError: A value is of a kind that is never written out.
    """

    id: str
    name: str | None = None
    scopes: tuple[str, ...] | None = None
    allow_list: tuple[str, ...] | None = None
    owner: str | None = None
    expires_at: str | None = None

    catalog_version: ClassVar[str | None] = None
    """Version of the scope catalog in force in this process; part of every digest, since scopes change meaning."""

    if TYPE_CHECKING:

        def __init__(
            self,
            id: str | int | UUID,  # noqa: A002
            name: str | None = None,
            scopes: Iterable[str] | None = None,
            allow_list: Iterable[str] | None = None,
            owner: str | int | UUID | None = None,
            expires_at: datetime | str | None = None,
        ) -> None: ...

    def __post_init__(self) -> None:
        """Bring every field into the one form in which it is compared and written."""
        for name, read in READERS.items():
            value = getattr(self, name)
            if value is not None or name == "id":
                object.__setattr__(self, name, read(value))

    def __hash__(self) -> int:
        """Return the hash of the id alone: snapshots are looked up for every call, and few share an id."""
        return hash(self.id)

    def __repr__(self) -> str:
        """Show the id and how much there is, never what it is."""
        counts = "".join(
            f", {name}={len(value)}" for name in ("scopes", "allow_list") if (value := getattr(self, name)) is not None
        )
        return f"ApiKey({self.id!r}{counts})"

    @property
    def digest(self) -> str:
        """First 16 hex digits of the SHA-256 over the snapshot as canonical JSON (docs/reference.md, section 4).

        Compact UTF-8 with sorted member names of what is known, lists sorted and without duplicates, together with the
        version of the scope catalog in force. Equal snapshots have equal digests in every process.
        """
        version = ApiKey.catalog_version
        known: tuple[str | None, str] | None = self.__dict__.get("_digest")
        if known is None or known[0] != version:
            known = self.__dict__["_digest"] = version, digest(self, version)
        return known[1]

    @cached_property
    def written(self) -> str:
        """All texts of the snapshot that may be written out, one after the other."""
        lists = (self.scopes or ()) + (self.allow_list or ())
        return "\n".join([self.id, self.name or "", self.owner or "", *lists])

    def updated_by(self, later: ApiKey) -> ApiKey:
        """Return the later snapshot of the same key, with what only the earlier one knew."""
        known = {field.name: value for field in fields(later) if (value := getattr(later, field.name)) is not None}
        return later if len(known) == len(READERS) else replace(self, **known)


READERS = {
    "id": values.identifier,
    "name": values.text,
    "scopes": values.texts,
    "allow_list": values.texts,
    "owner": values.text,
    "expires_at": values.point_in_time,
}
"""How each field is read: value in, canonical form out, ``ValueError`` for what is never written."""


def digest(key: ApiKey, catalog_version: str | None) -> str:
    """Return the digest of a snapshot under a given catalog version (``None``: no catalog)."""
    content = {
        "id": key.id,
        "name": key.name,
        "scopes": None if key.scopes is None else sorted(key.scopes),
        "allow_list": None if key.allow_list is None else sorted(key.allow_list),
        "owner": key.owner,
        "expires_at": key.expires_at,
        "catalog": catalog_version,
    }
    known = {name: value for name, value in content.items() if value is not None}
    return hashlib.sha256(orjson.dumps(known, option=orjson.OPT_SORT_KEYS)).hexdigest()[:DIGEST_LENGTH]
