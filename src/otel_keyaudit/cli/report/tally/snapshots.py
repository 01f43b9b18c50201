"""Collect the full snapshots of a key, and verify each by its digest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any

from otel_keyaudit.cli.report.reading.fields import serialize
from otel_keyaudit.cli.report.reading.times import EARLIEST
from otel_keyaudit.cli.report.tally.occurrences import Occurrences, Seen
from otel_keyaudit.key.api_key import ApiKey, digest

CUT = ("scopes_count", "allow_list_count")
FIELDS = ("name", "scopes", "allow_list", "owner", "expires_at")
"""Members that the digest covers, besides the id."""
CONTENT = (*FIELDS, *CUT, "effective_scope")
"""Members that are equal in all rows with the same snapshot."""
VERIFIED, ALTERED, UNVERIFIABLE = "verified", "altered", "unverifiable"


@dataclass(slots=True)
class Snapshot:
    """One full snapshot of a key.

    Attributes:
        digest: The digest beside it.
        scopes: The scopes, without elements that are not strings.
        permissions: The effective permissions in the row.
        owner: The owner, if known.
        catalog: The version of the scope catalog in the row.
        state: ``verified``, ``altered`` or ``unverifiable``.
        reason: The reason why it cannot be verified.
        unverified: The key, until the catalog versions are known.
        seen: The rows that have it.
        last: Time and number of the latest of these rows.
    """

    digest: str
    scopes: tuple[str, ...]
    permissions: tuple[str, ...]
    owner: str | None
    catalog: str | None
    state: str = VERIFIED
    reason: str = ""
    unverified: ApiKey | None = None
    seen: Occurrences = field(default_factory=Occurrences)
    last: tuple[datetime, int] = (EARLIEST, 0)

    @classmethod
    def of(cls, member: Mapping[str, Any]) -> Snapshot:
        """Return the snapshot of a full member. The member itself, which can be large, is not kept."""
        effective = member.get("effective_scope")
        permissions, catalog = [], None
        if isinstance(effective, Mapping):
            permissions, catalog = _strings(effective.get("permissions")), _string(effective.get("catalog"))
        snapshot = cls(
            member["digest"],
            tuple(dict.fromkeys(_strings(member.get("scopes")))),
            tuple(permissions),
            _string(member.get("owner")),
            catalog,
        )
        snapshot._compare(member)
        return snapshot

    def _compare(self, member: Mapping[str, Any]) -> None:
        """Compare the content with the digest, unless the version of the scope catalog is unknown."""
        if any(name in member for name in CUT):
            self.state, self.reason = UNVERIFIABLE, "a list is cut"
            return
        try:
            key = ApiKey(member["id"], **{name: member.get(name) for name in FIELDS})
        except ValueError:
            self.state = ALTERED
            return
        if key.scopes is None or ("effective_scope" in member and self.catalog is None):
            self.unverified = key
        elif _digest(key, self.catalog) != self.digest:
            self.state = ALTERED

    def verify(self, versions: Iterable[str]) -> None:
        """Compare the content with the digest under each catalog version if the row does not name its own."""
        if self.unverified is None:
            return
        if all(_digest(self.unverified, version) != self.digest for version in (None, *versions)):
            self.state, self.reason = UNVERIFIABLE, "the version of the scope catalog is unknown"
        self.unverified = None

    def see(self, seen: Seen) -> None:
        """Note a row that has the snapshot."""
        self.seen.add(seen)
        time = seen[1]
        if time is not None and time >= self.last[0]:
            self.last = time, seen[0] or 0


@dataclass(slots=True)
class Snapshots:
    """All full snapshots of one key by digest. Snapshots with different content can have the same digest."""

    by_digest: dict[str, dict[bytes, Snapshot]] = field(default_factory=dict)
    _latest: dict[str, tuple[bytes, Snapshot]] = field(default_factory=dict)

    def add(self, member: dict[str, Any], seen: Seen) -> None:
        """Add the snapshot of a full member, or add the row to a known snapshot.

        Most rows repeat the latest member with the same digest, which is recognized by its JSON.

        Args:
            member: The member without trace id and decisions. Its span id is removed.
            seen: The row.
        """
        digest = member.get("digest")
        if member.get("detail") != "full" or not isinstance(digest, str):
            return
        member.pop("span_id", None)
        text = serialize(member)
        latest = self._latest.get(digest)
        if latest is None or latest[0] != text:
            latest = self._latest[digest] = text, self._find(digest, member)
        latest[1].see(seen)

    def _find(self, digest: str, member: dict[str, Any]) -> Snapshot:
        """Return the snapshot with this digest and the content of a member."""
        copies = self.by_digest.setdefault(digest, {})
        content = sha256(serialize([*map(member.get, CONTENT)])).digest()
        if content not in copies:
            copies[content] = Snapshot.of(member)
        return copies[content]

    def resolve(self, digest: str | None) -> Snapshot | None:
        """Return the snapshot of a digest whose content is not altered."""
        found = {} if digest is None else self.by_digest.get(digest, {})
        return next((snapshot for snapshot in found.values() if snapshot.state != ALTERED), None)

    def __iter__(self) -> Iterator[Snapshot]:
        return (snapshot for copies in self.by_digest.values() for snapshot in copies.values())


def _digest(key: ApiKey, catalog: str | None) -> str | None:
    """Return the digest of a key, ``None`` if a string has a lone surrogate, which the library never writes."""
    try:
        return digest(key, catalog)
    except TypeError:
        return None


def _string(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _strings(value: object) -> list[str]:
    return [element for element in value if isinstance(element, str)] if isinstance(value, list) else []
