"""The data of one audit write: its event, key and decisions, as span attributes and as members of the row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otel_keyaudit import names
from otel_keyaudit.key.api_key import ApiKey
from otel_keyaudit.key.changes import Changes, changes
from otel_keyaudit.key.permissions.decision import Decision
from otel_keyaudit.key.snapshot import Attributes, Detail, Snapshot
from otel_keyaudit.names import STAGE_AUDIT
from otel_keyaudit.observers.audit.span import AuditSpan
from otel_keyaudit.observers.audit.target import CompiledAuditTarget, Event
from otel_keyaudit.observers.authorization.check import Check
from otel_keyaudit.observers.observed_call import ObservedCall
from otel_keyaudit.observers.sampling.event import AuditEvent
from otel_keyaudit.request.attribution import NO_DELEGATION, UNATTRIBUTED
from otel_keyaudit.request.decisions import MAX_DECISIONS, decision_attributes
from otel_keyaudit.request.server_span import NO_ATTRIBUTES, Location, ambiguous_attributes, delegation_attributes
from otel_keyaudit.request.state import RequestState
from otel_keyaudit.row.members.snapshot_member import SnapshotMember, ambiguous
from otel_keyaudit.targets.expressions.loaded_values import behind
from otel_keyaudit.targets.presented_credential import without_credentials

_FULL = Detail.FULL  # looking up a member of an enum takes longer


class WriteData(ObservedCall):
    """The data of one call of an audit target."""

    target: CompiledAuditTarget
    _request: RequestState | None = None
    _check: Check | None = None
    """The outermost open check around the write."""
    _attribution = UNATTRIBUTED
    _event: Event = NO_ATTRIBUTES  # type: ignore[assignment]
    _subject: ApiKey | None = None
    _changes: Changes | None = None
    _snapshot: Snapshot | None = None
    _detail = _FULL
    _span: AuditSpan | None = None

    @property
    def credentials(self) -> tuple[str, ...]:
        """The credentials that the request presented."""
        return () if self._request is None else self._request.presented

    def decisions(self) -> dict[Decision, dict[str, Any]]:
        """Return the decisions of the request so far with their members, last the open check around the write."""
        log = None if self._request is None else self._request.decisions
        listed = {} if log is None else log.listed
        if self._check is None:
            return listed
        so_far = self._check.so_far(has_failed=self._has_failed())
        latest = dict([*listed.items()][-(MAX_DECISIONS - 1) :])
        return {**latest, so_far: so_far.members(self._max_items)}

    @property
    def _max_items(self) -> int:
        return self.target.components.settings.max_items

    def _has_failed(self) -> bool:
        return AuditEvent(outcome=self._event.get(names.AUDIT_OUTCOME)).has_failed

    def read_subject(self, credentials: tuple[str, ...]) -> None:
        """Read the subject if it is a key, and compare it with its earlier snapshot."""
        target = self.target
        subject = self.guarded("subject", target.read_subject, self, None)  # type: ignore[arg-type]
        self._subject = key = self._read_key(subject, credentials)
        if key is None:
            return
        if target.read_subject_before is not None:
            before = self._read_key(
                self.guarded("subject_before", target.read_subject_before, self, None), credentials, is_key=True
            )
        else:
            before = None if self._request is None else self._request.earlier_subject(key.id)
            before = None if before is None or before.digest == key.digest else before
        if before is not None:
            self._changes = changes(before, key, target.components.catalog)

    def _read_key(self, subject: Any, credentials: tuple[str, ...], *, is_key: bool = False) -> ApiKey | None:
        """Return the snapshot of a subject, ``None`` if it is not a key."""
        subject = self.guarded(STAGE_AUDIT, behind, subject)
        reader = None if subject is None else self.target.subject_reader(subject, is_key=is_key)
        if reader is None:
            return None
        key = reader.read(self, subject, self._report_subject)
        if key is not None and credentials:
            key = without_credentials(key, credentials, self._report_subject)
        return key

    def _report_subject(self, field: str, error: BaseException) -> None:
        """Report an unreadable field of the subject."""
        self.report(f"subject_{field}", error)

    def attributes(self, *, lists: bool | None = None) -> Attributes:
        """Return the attributes of the audit span.

        Args:
            lists: Include the lists of the key; by default, only if the server span lacks them.
        """
        attributes: Attributes = shown(self._event)
        snapshot, attribution = self._snapshot, self._attribution
        if snapshot is not None:
            if self._detail is not _FULL:
                key_attributes = snapshot.shown_minimal
            elif lists is None and self._request is not None and self._request.shows_lists_of == snapshot.digest:
                key_attributes = snapshot.shown_without_lists
            else:
                key_attributes = snapshot.shown_full
            attributes |= key_attributes
            if attribution.delegation is not NO_DELEGATION:
                attributes |= delegation_attributes(attribution.delegation, self._max_items)
        elif attribution.kind == names.AMBIGUOUS_REQUEST:
            attributes |= ambiguous_attributes(attribution)
        if self._subject is not None:
            attributes[names.SUBJECT_ID] = self._subject.id
        attributes.update(self._decision_attributes())
        return attributes if self._changes is None else attributes | self._change_attributes(self._changes)

    def _decision_attributes(self) -> Mapping[str, Any]:
        check = self._check
        log = None if self._request is None else self._request.decisions
        if check is not None and self._attribution.kind != names.NO_KEY:
            has_failed = self._has_failed()
            if log is None or has_failed:
                open_check = check.so_far(has_failed=has_failed)
                return decision_attributes(open_check.members(self._max_items))
        return NO_ATTRIBUTES if log is None else log.shown

    def _change_attributes(self, found: Changes) -> Attributes:
        if self._detail is not _FULL:
            return {}
        attributes: Attributes = {names.CHANGE_POWER: found.power}
        for name, entries in ((names.CHANGE_GAINED, found.gained), (names.CHANGE_LOST, found.lost)):
            if entries:
                attributes[name] = entries[: self._max_items]
        return attributes

    def location(self) -> Location | None:
        """Return the span in which the row is written: the audit span, else the server span."""
        if self._span is not None and self._span.location is not None:
            return self._span.location
        return None if self._request is None else self._request.location

    def members(self, location: Location | None) -> dict[str, SnapshotMember]:
        """Return the members of the row by name."""
        settings, attribution = self.target.components.settings, self._attribution
        members: dict[str, SnapshotMember] = {}
        if self._snapshot is not None:
            encoded = self._snapshot.encoded(self._detail)
            members[settings.request_field] = SnapshotMember(encoded, self._context_members(), location)
        elif attribution.kind == names.AMBIGUOUS_REQUEST:
            encoded = ambiguous(attribution.ids, attribution.ids_count)
            members[settings.request_field] = SnapshotMember(encoded, None, location)
        if self._subject is not None:
            members[settings.subject_field] = self._subject_member(self._subject)
        if members:
            self.target.last_member = next(iter(members.values()))
        return members

    def _subject_member(self, subject: ApiKey) -> SnapshotMember:
        encoded = self.target.components.snapshots.of(subject).encoded(self._detail)
        if self._changes is None or self._detail is not _FULL:
            return SnapshotMember(encoded)
        return SnapshotMember(encoded, {"changes": self._changes.members(self._max_items)})

    def _context_members(self) -> dict[str, Any] | None:
        """Return the decisions and the delegation, ``None`` without both."""
        log = None if self._request is None else self._request.decisions
        delegation = self._attribution.delegation
        if log is None and self._check is None and delegation is NO_DELEGATION:
            return None
        members: dict[str, Any] = {}
        decisions = self.decisions()
        if decisions:
            members["decisions"] = [*decisions.values()]
            count = (0 if log is None else log.count) + (self._check is not None)
            if count > len(decisions):
                members["decisions_count"] = count
        return {**members, **delegation.members(self._max_items)}

    def single_value(self, field: str, location: Location | None) -> str | None:
        """Return the value for a field that names the place of a single value (``id_to``, ``trace_id_to``, …)."""
        if field == "trace_id_to":
            return None if location is None else location[0]
        snapshot = self._snapshot
        if snapshot is None:
            return None
        if field == "digest_to":
            return snapshot.digest
        return snapshot.key.id if field == "id_to" else snapshot.key.name


def shown(event: Event) -> Attributes:
    """Return the attributes of an event, with the outcome as a string."""
    outcome = event.get(names.AUDIT_OUTCOME)
    if outcome is None:
        return {**event}
    shown = ("true" if outcome else "false") if isinstance(outcome, bool) else str(outcome)
    return {**event, names.AUDIT_OUTCOME: shown}


def without_outcome(event: Event) -> Event:
    """Return the event without its outcome, for the server span: only an audit span shows the outcome."""
    if names.AUDIT_OUTCOME not in event:
        return event
    return {name: value for name, value in event.items() if name != names.AUDIT_OUTCOME}
