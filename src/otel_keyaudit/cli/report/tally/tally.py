"""Add up all entries of the input in one pass."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from otel_keyaudit.cli.report.reading.entries import Entry, Refusal, Row, Unreadable, Usage
from otel_keyaudit.cli.report.reading.fields import parse, serialize
from otel_keyaudit.cli.report.reading.times import read_time
from otel_keyaudit.cli.report.tally.decisions import DecisionKind, DecisionKinds, DecisionUse, strings
from otel_keyaudit.cli.report.tally.key_tally import KeyTally, Mention, digest_of
from otel_keyaudit.cli.report.tally.occurrences import Occurrences, Seen
from otel_keyaudit.cli.report.tally.period import Period
from otel_keyaudit.key.permissions.decision import DENIED
from otel_keyaudit.names import UNVERIFIED

_ABOUT_A_KEY = re.compile("key|token|credential", re.IGNORECASE)
_DELETED = re.compile("delet|revok|remov|destroy", re.IGNORECASE)


class Tally:
    """The tally of the whole input.

    Args:
        request_field: Member that names the key of the request.
        subject_field: Member for a key that the row is about.
        since: Start of the period. Earlier rows count only for the age of keys and snapshots.
        until: End of the period. Later rows are skipped.
        counts_days: Whether the rows of each key are counted by day.

    Attributes:
        keys: The tally of each key by id.
        number: Number of rows so far, including rows outside of the period.
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
        since: datetime | None = None,
        until: datetime | None = None,
        *,
        counts_days: bool = False,
    ) -> None:
        self.keys: dict[str, KeyTally] = {}
        self.number = 0
        self.unreadable = 0
        self.keyless = Occurrences()
        self.ambiguous = Occurrences()
        self.ambiguous_ids: set[str] = set()
        self.forged: dict[tuple[str | None, str], Occurrences] = {}
        self.refused: dict[str | None, Occurrences] = {}
        self._request_field = request_field
        self._subject_field = subject_field
        self._moved_fields = (request_field + UNVERIFIED, subject_field + UNVERIFIED)
        self._other_fields = frozenset((subject_field, *self._moved_fields))
        self._period = Period(since, until)
        self._counts_days = counts_days
        self._mentions: dict[tuple[str, str | None], Mention] = {}
        self._kinds = DecisionKinds()
        self._refusals: set[int] = set()
        self._outside = 0

    def add(self, entries: Iterable[Entry]) -> None:
        """Add entries."""
        adders: dict[type, Callable[[Any], None]] = {
            tuple: self._add_row,
            Unreadable: self._add_unreadable,
            Usage: self._add_usage,
            Refusal: self._add_refusal,
        }
        for entry in entries:
            adders[type(entry)](entry)

    @property
    def rows(self) -> int:
        """Number of rows in the period."""
        return self.number - self._outside

    def _add_row(self, row: Row) -> None:
        at, action, resource_type, resource_id, outcome, additional_fields = row
        self.number += 1
        time = read_time(at)
        fields = parse(additional_fields)
        if fields is None:
            self._count_unreadable(time)
            return
        member: Any = fields.get(self._request_field)
        trace_id = member.pop("trace_id", None) if isinstance(member, dict) else None
        seen = (self.number, time, action, resource_type, resource_id, trace_id)
        if self._period.is_limited and not self._period.includes(time):
            self._add_outside(seen, fields, member)
            return
        mention: Mention | None
        try:
            mention = self._mentions[member["id"], member["digest"]]
        except (KeyError, TypeError):  # a new digest, or not a member of the library
            mention = self._mention(member, seen)
        if mention is None:
            self._add_nameless(seen, member)
        else:
            self._add_use(mention, seen, member, outcome)
        if not self._other_fields.isdisjoint(fields):
            self._add_subject(seen, fields.get(self._subject_field))
            self._add_forged(seen, fields, mention)

    @property
    def first(self) -> datetime:
        """Time of the first row or event in the period, :data:`LATEST` without one."""
        return min([self._period.first, *(key.first_used for key in self.keys.values())])

    @property
    def last(self) -> datetime:
        """Time of the last row or event in the period, :data:`EARLIEST` without one."""
        return max([self._period.last, *(key.last_used for key in self.keys.values())])

    def _key(self, member: Any) -> KeyTally | None:
        """Return the tally of the key that a member names."""
        key_id = member.get("id") if isinstance(member, dict) else None
        if not key_id or not isinstance(key_id, str):
            return None
        if key_id not in self.keys:
            self.keys[key_id] = KeyTally(key_id)
        return self.keys[key_id]

    def _mention(self, member: Any, seen: Seen) -> Mention | None:
        """Return the mentions of the key and the digest in a member."""
        key = self._key(member)
        if key is None:
            return None
        mention = self._mentions[key.id, digest_of(member)] = key.mention(member, seen)
        return mention

    def _add_use(self, mention: Mention, seen: Seen, member: dict[str, Any], outcome: Any) -> None:
        """Add the row of a request with a key."""
        time, key = seen[1], mention.key
        mention.rows += 1
        if time is not None:
            if time > mention.last:  # noqa: PLR1730 - faster than max()
                mention.last = time
            if time < mention.first:  # noqa: PLR1730
                mention.first = time
            if self._counts_days:
                key.count_day(time)
        decisions = member.pop("decisions", None)
        if decisions and isinstance(decisions, list):
            self._add_decisions(key, decisions, seen)
        else:
            self._add_action(mention, seen, outcome)
        if member.get("detail") == "full":
            key.snapshots.add(member, seen)

    def _add_action(self, mention: Mention, seen: Seen, outcome: Any) -> None:
        """Add the action of a row without decisions."""
        _, time, action, resource_type, resource_id, _ = seen
        permission = f"{resource_type}:{action}"
        last = mention.actions.get(permission)
        if last is None or (time is not None and time > last):
            mention.actions[permission] = time
        if isinstance(outcome, str) and outcome.lower() == DENIED:
            decision = {"outcome": DENIED, "resource": f"{resource_type}:{resource_id}"}
            self._add_decisions(mention.key, [decision], seen)

    def _add_decisions(self, key: KeyTally, decisions: list[Any], seen: Seen) -> None:
        """Add decisions, but skip malformed ones."""
        time = seen[1]
        for decision in decisions:
            if not isinstance(decision, dict):
                continue
            resource = decision.pop("resource", None)
            kind = self._kinds[serialize(decision)]
            use = key.decisions[kind]
            if time is not None and time > use.last:
                use.last = time
            if use.is_remarkable:
                self._count(use, kind, key, resource, seen)

    def _add_outside(self, seen: Seen, fields: dict[str, Any], member: Any) -> None:
        """Add a row outside of the period. Only a row before the period counts."""
        self._outside += 1
        _, time, action, resource_type, _, _ = seen
        if time is None or self._period.is_after_start(time):
            return
        key = self._key(member)
        if key is not None:
            key.see(time, member.get("name"))
            decisions = member.pop("decisions", None)
            if decisions and isinstance(decisions, list):
                for decision in decisions:
                    key.earlier_needs.update(strings(decision.get("required")) if isinstance(decision, dict) else ())
            else:
                key.earlier_actions.add((digest_of(member), f"{resource_type}:{action}"))
            key.snapshots.add(member, seen)
        self._add_subject(seen, fields.get(self._subject_field))

    def _count_unreadable(self, time: datetime | None) -> None:
        """Count a row whose fields are not JSON."""
        if self._period.extend(time):
            self.unreadable += 1
        else:
            self._outside += 1

    def _add_unreadable(self, _: Unreadable) -> None:
        """Add a line that is not JSON."""
        self.number += 1
        self.unreadable += 1

    def _add_nameless(self, seen: Seen, member: Any) -> None:
        """Add a row that names no key or several."""
        if isinstance(member, dict) and member.get("ambiguous") is True:
            self.ambiguous.add(seen)
            self.ambiguous_ids.update(strings(member.get("ids")))
        else:
            self.keyless.add(seen)
        self._period.extend(seen[1])

    def _add_subject(self, seen: Seen, member: Any) -> None:
        """Add a key that the row is about.

        The name of the member is reserved only on targets that have a subject, so rows about other resources can have a
        client's own member.
        """
        number, time, action, resource_type, resource_id, _ = seen
        key = self._key(member) if _is_about_key(resource_type, resource_id, member) else None
        if key is None:
            return
        key.see(time, member.get("name"))
        key.snapshots.add(member, seen)
        key.change(time, number or 0, deletes=bool(_DELETED.search(str(action))))
        if self._period.is_after_start(time):
            key.mention(member, seen)

    def _add_forged(self, seen: Seen, fields: dict[str, Any], mention: Mention | None) -> None:
        for name in self._moved_fields:
            if name in fields:
                self.forged.setdefault((None if mention is None else mention.key.id, name), Occurrences()).add(seen)

    def _count(self, use: DecisionUse, kind: DecisionKind, key: KeyTally, resource: Any, seen: Seen) -> None:
        """Count a decision once per request, because each row has all decisions of its request so far."""
        trace_id = seen[-1]
        identity = hash((key.id, str(trace_id), kind.outcome, kind.required, str(resource)))
        if trace_id is None or identity not in self._refusals:
            self._refusals.add(identity)
            use.occurrences.add(seen)

    def _add_refusal(self, refusal: Refusal) -> None:
        if not self._period.extend(refusal.time):
            return
        seen = (None, refusal.time, None, None, None, refusal.trace_id)
        key = self._key({"id": refusal.key_id})
        if key is not None:
            key.see(refusal.time, refusal.name)
        if key is not None and refusal.decision is not None:
            self._add_decisions(key, [refusal.decision], seen)
            key.use(refusal.time, refusal.time)
        else:
            refused = self.refused if key is None else key.refused
            refused.setdefault(refusal.reason, Occurrences()).add(seen)

    def _add_usage(self, usage: Usage) -> None:
        key = self._key({"id": usage.key_id}) if self._period.extend(usage.end) else None
        if key is not None:
            key.add_usage(usage)


def _is_about_key(resource_type: Any, resource_id: Any, member: Any) -> bool:
    """Check whether a row is about the key in its member."""
    return isinstance(member, dict) and (
        resource_type is None or resource_id == member.get("id") or bool(_ABOUT_A_KEY.search(str(resource_type)))
    )
