"""Add up the entries about one key."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from otel_keyaudit.cli.report.reading.entries import Usage
from otel_keyaudit.cli.report.reading.times import EARLIEST, LATEST, later
from otel_keyaudit.cli.report.tally.decisions import DecisionUses
from otel_keyaudit.cli.report.tally.occurrences import Occurrence, Occurrences, Seen
from otel_keyaudit.cli.report.tally.snapshots import ALTERED, Snapshot, Snapshots
from otel_keyaudit.key.permissions.decision import DENIED


def digest_of(member: dict[str, Any]) -> str | None:
    """Return the digest in a member, ``None`` without one."""
    digest = member.get("digest")
    return digest if isinstance(digest, str) else None


@dataclass(slots=True)
class UsageTotal:
    """The decisions about one permission in usage events.

    Attributes:
        count: Number of decisions.
        last: Time of the last decision.
    """

    count: int = 0
    last: datetime | None = None


@dataclass(slots=True, eq=False)
class Mention:
    """The mentions of one digest of a key in the period.

    Attributes:
        key: The key.
        occurrence: The first row.
        name: Name of the key.
        rows: Number of rows that name the key as the request's.
        first: Time of the first of these rows; :data:`LATEST` without one.
        last: Time of the last of these rows; :data:`EARLIEST` without one.
        actions: Last time of each permission ``resource_type:action`` in rows without decisions.
    """

    key: KeyTally
    occurrence: Occurrence
    name: str | None
    rows: int = 0
    first: datetime = LATEST
    last: datetime = EARLIEST
    actions: dict[str, datetime | None] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class KeyTally:
    """The tally of one key.

    Attributes:
        id: The id of the key.
        mentions: The mentions in the period by digest; ``None`` stands for a missing digest.
        snapshots: Full snapshots.
        decisions: Decisions by kind.
        usage: Totals of the usage events by permission and outcome.
        refused: Denied authentications by reason.
        days: Number of rows by day, which is a proleptic Gregorian ordinal, if requested.
        has_usage: Whether the key has usage events.
        is_deleted: Whether the latest row about the key records its deletion.
        last_change: Time and number of the latest row about the key.
        earlier_needs: Permissions that decisions required before the period.
        earlier_actions: Digest and permission ``resource_type:action`` of rows without decisions before the period.
    """

    id: str
    mentions: dict[str | None, Mention] = field(default_factory=dict)
    snapshots: Snapshots = field(default_factory=Snapshots)
    decisions: DecisionUses = field(default_factory=DecisionUses)
    usage: dict[tuple[str, str], UsageTotal] = field(default_factory=dict)
    refused: dict[str | None, Occurrences] = field(default_factory=dict)
    days: dict[int, int] = field(default_factory=dict)
    has_usage: bool = False
    is_deleted: bool = False
    last_change: tuple[datetime, int] = (EARLIEST, 0)
    earlier_needs: set[str] = field(default_factory=set)
    earlier_actions: set[tuple[str | None, str]] = field(default_factory=set)
    _seen: tuple[datetime, str | None] = (EARLIEST, None)
    _first_seen: datetime = LATEST
    _first_event: datetime = LATEST
    _last_event: datetime = EARLIEST

    @property
    def rows(self) -> int:
        """Number of rows that name the key as the request's."""
        return sum(mention.rows for mention in self.mentions.values())

    @property
    def name(self) -> str | None:
        """The latest name."""
        names = [(mention.last, mention.name) for mention in self.mentions.values() if mention.name is not None]
        return max([self._seen, *names], key=lambda known: (known[1] is not None, known[0]))[1]

    @property
    def first_used(self) -> datetime:
        """First use in the period; :data:`LATEST` without one."""
        return min([self._first_event, *(mention.first for mention in self.mentions.values())])

    @property
    def last_used(self) -> datetime:
        """Last use in the period; :data:`EARLIEST` without one."""
        return max([self._last_event, *(mention.last for mention in self.mentions.values())])

    @property
    def first_seen(self) -> datetime:
        """First mention, including mentions before the period and as a subject; :data:`LATEST` if none has a time."""
        return min(self._first_seen, self.first_used)

    @property
    def is_used(self) -> bool:
        """Whether the period shows any use of the key."""
        return bool(self.rows or self.decisions or self.has_usage)

    @property
    def sharing_owners(self) -> list[str]:
        """The owners who have different keys with this id.

        An id of digits is unique only within its table. Any other id belongs to one key, whose owner can change.
        """
        owners = {snapshot.owner for snapshot in self._genuine() if snapshot.owner is not None}
        return sorted(owners) if len(owners) > 1 and self.id.isdecimal() else []

    @property
    def granted(self) -> Snapshot | None:
        """The last full snapshot whose content is not altered, unless keys share the id."""
        return None if self.sharing_owners else max(self._genuine(), key=lambda found: found.last, default=None)

    def _genuine(self) -> list[Snapshot]:
        return [snapshot for snapshot in self.snapshots if snapshot.state != ALTERED]

    @property
    def denials(self) -> int:
        """Number of denied authentications and decisions. Usage events may count the same decisions as rows."""
        shown = sum(use.occurrences.count for kind, use in self.decisions.items() if kind.outcome == DENIED)
        counted = sum(total.count for (_, outcome), total in self.usage.items() if outcome == DENIED)
        return max(shown, counted) + sum(refused.count for refused in self.refused.values())

    def see(self, time: datetime | None, name: object) -> None:
        """Note a mention outside of the rows of the period."""
        if time is not None:
            self._first_seen = min(self._first_seen, time)
        if isinstance(name, str) and (time is None or time >= self._seen[0]):
            self._seen = (self._seen[0] if time is None else time), name

    def change(self, time: datetime | None, number: int, *, deletes: bool) -> None:
        """Note a row about the key; rows can come in any order."""
        order = (EARLIEST if time is None else time, number)
        if order >= self.last_change:
            self.last_change, self.is_deleted = order, deletes

    def count_day(self, time: datetime) -> None:
        """Count a row for the timeline."""
        day = time.toordinal()
        self.days[day] = self.days.get(day, 0) + 1

    def use(self, first: datetime | None, last: datetime | None) -> None:
        """Note a use from an event."""
        if first is not None:
            self._first_event = min(self._first_event, first)
        if last is not None:
            self._last_event = max(self._last_event, last)

    def mention(self, member: dict[str, Any], seen: Seen) -> Mention:
        """Return the mentions of the digest of a member."""
        digest = digest_of(member)
        found = self.mentions.get(digest)
        if found is None:
            name = member.get("name")
            found = self.mentions[digest] = Mention(self, Occurrence.of(seen), name if isinstance(name, str) else None)
        return found

    def add_usage(self, usage: Usage) -> None:
        """Add a usage event."""
        self.has_usage = True
        self.see(usage.start, usage.name)
        if usage.requests or usage.decisions:
            self.use(usage.start, usage.end)
        for permission, outcome, count, last in usage.decisions:
            total = self.usage.setdefault((permission, outcome), UsageTotal())
            total.count += count
            total.last = later(total.last, last)
