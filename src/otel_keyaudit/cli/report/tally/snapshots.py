"""Collect the full snapshots of a key, and verify each by its digest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from otel_keyaudit.cli.report.reading.fields import serialize
from otel_keyaudit.cli.report.tally.occurrences import SHOWN_ROWS, Occurrences, Seen
from otel_keyaudit.key.api_key import ApiKey, digest

CUT = ("scopes_count", "allow_list_count")
FIELDS = ("name", "scopes", "allow_list", "owner", "expires_at")
"""Members that the digest covers, besides the id."""
CONTENT = (*FIELDS, *CUT, "effective_scope")
"""Members that are equal in all rows with the same snapshot."""
VERIFIED, ALTERED, UNVERIFIABLE = "verified", "altered", "unverifiable"


@dataclass
class Snapshot:
    """One full snapshot of a key.

    Attributes:
        member: The member of its first row.
        content: JSON of the members that are equal in all rows with the same snapshot.
        seen: The rows that have it.
        last: Time and number of the latest of these rows.
        state: ``verified``, ``altered`` or ``unverifiable``; ``None`` until :meth:`Snapshots.verify`.
        reason: The reason why it cannot be verified.
    """

    member: Mapping[str, Any]
    content: bytes
    seen: Occurrences = field(default_factory=Occurrences)
    last: tuple[float, int] = (float("-inf"), 0)
    state: str | None = None
    reason: str = ""

    def see(self, place: Seen) -> None:
        """Note a row that has the snapshot."""
        seen = self.seen
        if seen.count < SHOWN_ROWS:
            seen.add(place)
        else:
            seen.count += 1
        time = place[1]
        if time is not None and time >= self.last[0]:
            self.last = time, place[0] or 0

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes, without elements that are not strings."""
        return tuple(dict.fromkeys(_strings(self.member.get("scopes"))))

    @property
    def permissions(self) -> tuple[str, ...]:
        """The effective permissions in the row."""
        effective = self.member.get("effective_scope")
        return tuple(_strings(effective.get("permissions"))) if isinstance(effective, Mapping) else ()

    @property
    def owner(self) -> str | None:
        """The owner, if known."""
        owner = self.member.get("owner")
        return owner if isinstance(owner, str) else None

    @property
    def catalog(self) -> str | None:
        """The version of the scope catalog in the row."""
        effective = self.member.get("effective_scope")
        version = effective.get("catalog") if isinstance(effective, Mapping) else None
        return version if isinstance(version, str) else None


@dataclass
class Snapshots:
    """All full snapshots of one key by digest. Snapshots with different content can have the same digest."""

    by_digest: dict[str, dict[bytes, Snapshot]] = field(default_factory=dict)
    _latest: dict[str, Snapshot] = field(default_factory=dict)

    def add(self, member: Mapping[str, Any], place: Seen) -> None:
        """Add the snapshot of a full member, or add the row to a known snapshot."""
        digest = member.get("digest")
        if member.get("detail") != "full" or not isinstance(digest, str):
            return
        content = serialize([*map(member.get, CONTENT)])
        snapshot = self._latest.get(digest)
        if snapshot is None or snapshot.content != content:
            copies = self.by_digest.setdefault(digest, {})
            snapshot = self._latest[digest] = copies.setdefault(content, Snapshot(member, content))
        snapshot.see(place)

    def resolve(self, digest: str | None) -> Snapshot | None:
        """Return the snapshot of a digest whose content is not altered."""
        found = {} if digest is None else self.by_digest.get(digest, {})
        return next((snapshot for snapshot in found.values() if snapshot.state != ALTERED), None)

    def __iter__(self) -> Iterator[Snapshot]:
        return (snapshot for copies in self.by_digest.values() for snapshot in copies.values())

    def verify(self, versions: Iterable[str]) -> None:
        """Compare each snapshot with its digest.

        Args:
            versions: Catalog versions to try if a row does not name its own.
        """
        for snapshot in self:
            snapshot.state, snapshot.reason = _verified(snapshot, versions)


def _verified(snapshot: Snapshot, versions: Iterable[str]) -> tuple[str, str]:
    """Return the state of a snapshot and, if it cannot be verified, the reason."""
    member = snapshot.member
    if any(name in member for name in CUT):
        return UNVERIFIABLE, "a list is cut"
    try:
        key = ApiKey(member["id"], **{name: member.get(name) for name in FIELDS})
    except ValueError:
        return ALTERED, ""
    with_catalog = "effective_scope" in member
    unknown = key.scopes is None or (with_catalog and snapshot.catalog is None)
    candidates = [None, *versions] if unknown else [snapshot.catalog]
    if any(digest(key, version) == member["digest"] for version in candidates):
        return VERIFIED, ""
    return (UNVERIFIABLE, "the version of the scope catalog is unknown") if unknown else (ALTERED, "")


def _strings(value: object) -> list[str]:
    return [element for element in value if isinstance(element, str)] if isinstance(value, list) else []
