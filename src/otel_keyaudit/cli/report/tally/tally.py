"""Add up all entries of the input in one pass."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from typing import Any

from otel_keyaudit.cli.report.reading.entries import Entry, Refusal, Row, Unreadable, Usage
from otel_keyaudit.cli.report.reading.fields import parse, serialize
from otel_keyaudit.cli.report.reading.times import seconds
from otel_keyaudit.cli.report.tally.decisions import DecisionKind, DecisionKinds, DecisionUse, strings
from otel_keyaudit.cli.report.tally.key_tally import DAY, KeyTally
from otel_keyaudit.cli.report.tally.occurrences import Occurrences, Seen, trace_of
from otel_keyaudit.key.permissions.decision import DENIED
from otel_keyaudit.names import UNVERIFIED

_ABOUT_A_KEY = re.compile("key|token|credential", re.IGNORECASE)
_DELETED = re.compile("delet|revok|remov|destroy", re.IGNORECASE)


class Tally:
    """The tally of the whole input.

    Args:
        request_field: Member that names the key of the request.
        subject_field: Member for a key that the row is about.
        since: Start of the period, in seconds since 1970. Earlier rows count only for the age of keys and snapshots.
        until: End of the period. Later rows are skipped.
        counts_days: Whether the rows of each key are counted by day.

    Attributes:
        keys: The tally of each key by id.
        rows: Number of rows in the period.
        unreadable: Number of rows or lines that could not be read.
        keyless: Rows without a key.
        ambiguous: Rows of requests with several keys.
        ambiguous_ids: The ids of these keys.
        forged: Rows with a client's member that had a reserved name, by key id and new name.
        refused: Denied authentications without a known key, by reason.
    """

    def __init__(
        self,
        request_field: str = "request_api_key",
        subject_field: str = "api_key",
        since: float | None = None,
        until: float | None = None,
        *,
        counts_days: bool = False,
    ) -> None:
        self.keys: dict[str, KeyTally] = {}
        self.rows = 0
        self.unreadable = 0
        self._first = math.inf
        self._last = -math.inf
        self.keyless = Occurrences()
        self.ambiguous = Occurrences()
        self.ambiguous_ids: set[str] = set()
        self.forged: dict[tuple[str | None, str], Occurrences] = {}
        self.refused: dict[str | None, Occurrences] = {}
        self._request_field = request_field
        self._subject_field = subject_field
        self._moved_request = request_field + UNVERIFIED
        self._moved_subject = subject_field + UNVERIFIED
        self._since = -math.inf if since is None else since
        self._until = math.inf if until is None else until
        self._counts_days = counts_days
        self._kinds = DecisionKinds()
        self._refusals: set[int] = set()
        self._number = 0

    def add(self, entries: Iterable[Entry], progress: Callable[[int], None]) -> None:
        """Add entries.

        Args:
            entries: The entries.
            progress: Called repeatedly with the number of rows so far.
        """
        add_row = self._add_row
        for entry in entries:
            if isinstance(entry, tuple):
                add_row(entry)
                if not self._number % 10_000:
                    progress(self._number)
            elif isinstance(entry, Unreadable):
                self._number += 1
                self.rows += 1
                self.unreadable += 1
            elif isinstance(entry, Usage):
                self._add_usage(entry)
            else:
                self._add_refusal(entry)

    def _add_row(self, row: Row) -> None:
        at, action, resource_type, resource_id, outcome, additional_fields = row
        self._number = number = self._number + 1
        time = seconds(at)
        if time is not None and time >= self._until:
            return
        fields = parse(additional_fields)
        member: Any = fields.get(self._request_field) if fields else None
        place = (number, time, action, resource_type, resource_id, member)
        if time is not None and time < self._since:
            self._add_earlier(place, fields or {})
            return
        self.rows += 1
        if fields is None:
            self.unreadable += 1
            self._extend(time)
            return
        key = self._key(member)
        if key is None:
            self._add_nameless(place, member)
            self._extend(time)
        else:
            self._add_request(key, place, member, outcome)
        if self._subject_field in fields:
            self._add_subject(place, fields[self._subject_field])
        if self._moved_request in fields or self._moved_subject in fields:
            self._add_forged(place, fields, key)

    def _extend(self, time: float | None) -> None:
        """Extend the period that the input covers by the time of an entry that belongs to no key."""
        if time is not None:
            self._first = min(self._first, time)
            self._last = max(self._last, time)

    @property
    def first(self) -> float:
        """Time of the first row or event in the period, infinite without one."""
        return min([self._first, *(key.first_used for key in self.keys.values())])

    @property
    def last(self) -> float:
        """Time of the last row or event in the period, minus infinite without one."""
        return max([self._last, *(key.last_used for key in self.keys.values())])

    def _key(self, member: Any) -> KeyTally | None:
        """Return the tally of the key that a member names."""
        try:
            return self.keys[member["id"]]
        except (KeyError, TypeError):  # a new key, or not a member of the library
            key_id = member.get("id") if isinstance(member, dict) else None
        if not key_id or not isinstance(key_id, str):
            return None
        return self.keys.setdefault(key_id, KeyTally(key_id))

    def _add_request(self, key: KeyTally, place: Seen, member: dict[str, Any], outcome: Any) -> None:
        """Add the key of the request."""
        _, time, action, resource_type, resource_id, _ = place
        digest = member.get("digest")
        mention = key.mentions.get(digest) if isinstance(digest, str) else None
        if mention is None:
            mention = key.mention(member, place)
        mention.rows += 1
        if time is not None:
            if time > mention.last:  # noqa: PLR1730 - faster than max()
                mention.last = time
            if time < mention.first:  # noqa: PLR1730
                mention.first = time
            if self._counts_days:
                day = int(time // DAY)
                key.days[day] = key.days.get(day, 0) + 1
        if member.get("detail") == "full":
            key.snapshots.add(member, place)
        decisions = member.get("decisions")
        if decisions and isinstance(decisions, list):
            self._add_decisions(key, decisions, place)
        else:
            permission = f"{resource_type}:{action}"
            last = mention.actions.get(permission)
            if last is None or (time is not None and time > last):
                mention.actions[permission] = time
            if isinstance(outcome, str) and outcome.lower() == DENIED:
                self._add_decisions(key, [{"outcome": DENIED, "resource": f"{resource_type}:{resource_id}"}], place)

    def _add_decisions(self, key: KeyTally, decisions: list[Any], place: Seen) -> None:
        """Add decisions, but skip malformed ones."""
        time = place[1]
        for decision in decisions:
            if not isinstance(decision, dict):
                continue
            resource = decision.pop("resource", None)
            kind = self._kinds[serialize(decision)]
            use = key.decisions.get(kind)
            if use is None:
                use = key.decisions[kind] = DecisionUse(kind.is_remarkable)
            if time is not None and time > use.last:
                use.last = time
            if use.is_remarkable:
                self._count(use, kind, key, resource, place)

    def _add_earlier(self, place: Seen, fields: dict[str, Any]) -> None:
        """Add a row before the period."""
        _, time, action, resource_type, _, member = place
        key = self._key(member)
        if key is not None:
            key.see(time, member.get("name"))
            key.snapshots.add(member, place)
            decisions = member.get("decisions")
            if decisions and isinstance(decisions, list):
                for decision in decisions:
                    key.earlier_needs.update(strings(decision.get("required")) if isinstance(decision, dict) else ())
            else:
                digest = member.get("digest")
                key.earlier_actions.add((digest if isinstance(digest, str) else None, f"{resource_type}:{action}"))
        if self._subject_field in fields:
            self._add_subject(place, fields[self._subject_field])

    def _add_nameless(self, place: Seen, member: Any) -> None:
        """Add a row that names no key or several."""
        if isinstance(member, dict) and member.get("ambiguous") is True:
            self.ambiguous.add(place)
            ids = member.get("ids")
            self.ambiguous_ids.update(key_id for key_id in ids or () if isinstance(key_id, str))
        else:
            self.keyless.add(place)

    def _add_subject(self, place: Seen, member: Any) -> None:
        """Add a key that the row is about.

        The name of the member is reserved only on targets that have a subject, so rows about other resources can have a
        client's own member.
        """
        number, time, action, resource_type, resource_id, _ = place
        key = self._key(member) if _is_about_key(resource_type, resource_id, member) else None
        if key is None:
            return
        key.see(time, member.get("name"))
        key.snapshots.add(member, place)
        key.change(time, number or 0, deletes=bool(_DELETED.search(str(action))))
        if time is None or time >= self._since:
            key.mention(member, place)

    def _add_forged(self, place: Seen, fields: dict[str, Any], key: KeyTally | None) -> None:
        for name in (self._moved_request, self._moved_subject):
            if name in fields:
                self.forged.setdefault((None if key is None else key.id, name), Occurrences()).add(place)

    def _count(self, use: DecisionUse, kind: DecisionKind, key: KeyTally, resource: Any, place: Seen) -> None:
        """Count a decision once per request, because each row has all decisions of its request so far."""
        trace_id = trace_of(place)
        identity = hash((key.id, trace_id, kind.outcome, kind.required, str(resource)))
        if trace_id is None or identity not in self._refusals:
            self._refusals.add(identity)
            use.occurrences.add(place)

    def _add_refusal(self, refusal: Refusal) -> None:
        if not self._covers(refusal.time):
            return
        place = (None, refusal.time, None, None, None, {"trace_id": refusal.trace_id})
        key = self._key({"id": refusal.key_id})
        if key is not None:
            key.see(refusal.time, refusal.name)
        if key is not None and refusal.decision is not None:
            self._add_decisions(key, [refusal.decision], place)
            key.use(refusal.time, refusal.time)
        else:
            refused = self.refused if key is None else key.refused
            refused.setdefault(refusal.reason, Occurrences()).add(place)

    def _add_usage(self, usage: Usage) -> None:
        key = self._key({"id": usage.key_id}) if self._covers(usage.end) else None
        if key is not None:
            key.add_usage(usage)

    def _covers(self, time: float | None) -> bool:
        """Check whether a time is in the period, and note that the input covers it."""
        is_covered = time is None or self._since <= time < self._until
        if is_covered:
            self._extend(time)
        return is_covered


def _is_about_key(resource_type: Any, resource_id: Any, member: Any) -> bool:
    """Check whether a row is about the key in its member."""
    return isinstance(member, dict) and (
        resource_type is None or resource_id == member.get("id") or bool(_ABOUT_A_KEY.search(str(resource_type)))
    )
