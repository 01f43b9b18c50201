"""The API key as it was at one moment: a frozen snapshot with a digest."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final
from uuid import UUID

import orjson

from otel_keyaudit.key.canonical import as_id, as_string, as_strings, as_utc

DIGEST_LENGTH: Final = 16
"""Number of hex digits of the SHA-256 in a digest."""


@dataclass(frozen=True, repr=False)
class ApiKey:
    """A snapshot of an API key: its identity and its permissions, never its secret.

    ``None`` means that a field is unknown; an empty list means that the key has no elements of that kind.

    Attributes:
        id: Public id. A string, an integer, a UUID or an enum member; stored as a string.
        name: Human-readable name.
        scopes: Granted scopes as presented, in the given order without duplicates. A set is sorted.
        allow_list: Resources to which the key is restricted, in the same form.
        owner: Id of the user or the tenant to whom the key belongs.
        expires_at: RFC 3339 in UTC, from a ``datetime`` (without zone: UTC) or from an RFC 3339 string.

    Raises:
        ValueError: A field has a value of a type that the library never records.
    """

    id: str
    name: str | None = None
    scopes: tuple[str, ...] | None = None
    allow_list: tuple[str, ...] | None = None
    owner: str | None = None
    expires_at: str | None = None

    catalog_version: ClassVar[str | None] = None
    """Version of the scope catalog in force in this process. Every digest includes it because scopes change meaning."""

    # computed at first use, and set like a field, because access to ``__dict__`` would cost another 100 bytes
    _digest: ClassVar[tuple[str | None, str]] = (None, "")
    _emitted: ClassVar[str] = ""

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
        """Convert every field into its canonical form."""
        for name, convert in READERS.items():
            value = getattr(self, name)
            if value is not None or name == "id":
                object.__setattr__(self, name, convert(value))

    def __hash__(self) -> int:
        """Return the hash of the id: hashing the lists would cost more than comparing the few snapshots of one id."""
        return hash(self.id)

    def __repr__(self) -> str:
        """Show the id and the lengths of the lists, never their elements."""
        counts = "".join(
            f", {name}={len(value)}" for name in ("scopes", "allow_list") if (value := getattr(self, name)) is not None
        )
        return f"ApiKey({self.id!r}{counts})"

    @property
    def digest(self) -> str:
        """Digest under the scope catalog in force in this process."""
        return self.digest_under(ApiKey.catalog_version)

    def digest_under(self, catalog_version: str | None) -> str:
        """Return the digest under a version of the scope catalog, ``None`` without a catalog. It is computed once."""
        version, computed = self._digest
        if not computed or version != catalog_version:
            computed = digest(self, catalog_version)
            object.__setattr__(self, "_digest", (catalog_version, computed))
        return computed

    @property
    def emitted(self) -> str:
        """All strings of the snapshot that rows and spans can show, joined by line breaks."""
        joined = self._emitted
        if not joined:
            lists = (self.scopes or ()) + (self.allow_list or ())
            joined = "\n".join([self.id, self.name or "", self.owner or "", *lists])
            object.__setattr__(self, "_emitted", joined)
        return joined

    def updated_by(self, later: ApiKey) -> ApiKey:
        """Return the later snapshot of the same key; fields that it does not know keep their earlier value."""
        known = {name: value for name in READERS if (value := getattr(later, name)) is not None}
        return later if len(known) == len(READERS) else replace(self, **known)


READERS: Final[Mapping[str, Callable[[object], Any]]] = {
    "id": as_id,
    "name": as_string,
    "scopes": as_strings,
    "allow_list": as_strings,
    "owner": as_string,
    "expires_at": as_utc,
}
"""Converter of each field into its canonical form. It raises ``ValueError`` for a value that is never recorded."""


def digest(key: ApiKey, catalog_version: str | None) -> str:
    """Compute the digest of a snapshot.

    It consists of the first 16 hex digits of the SHA-256 of compact UTF-8 JSON with sorted member names: the known
    fields and the catalog version, lists sorted and without duplicates. Equal snapshots have equal digests in every
    process.

    Args:
        key: The snapshot.
        catalog_version: Version of the scope catalog; ``None`` without a catalog.
    """
    members = {
        "id": key.id,
        "name": key.name,
        "scopes": None if key.scopes is None else sorted(key.scopes),
        "allow_list": None if key.allow_list is None else sorted(key.allow_list),
        "owner": key.owner,
        "expires_at": key.expires_at,
        "catalog": catalog_version,
    }
    known = {name: value for name, value in members.items() if value is not None}
    return hashlib.sha256(orjson.dumps(known, option=orjson.OPT_SORT_KEYS)).hexdigest()[:DIGEST_LENGTH]
