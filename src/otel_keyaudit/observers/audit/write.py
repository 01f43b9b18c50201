"""The third moment: the application writes an audit row, which receives the key.

The story of a write is :data:`_WRITE`. A function that builds the additional fields has its row after the call;
otherwise the row is complete before the application writes it.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType, TracebackType
from typing import Any

from otel_keyaudit import names
from otel_keyaudit.errors import CollisionError
from otel_keyaudit.guard.guard import boxed
from otel_keyaudit.key.api_key import ApiKey
from otel_keyaudit.key.changes import Changes, changes
from otel_keyaudit.key.permissions.decision import Decision
from otel_keyaudit.key.snapshot import Attributes, Detail, Snapshot
from otel_keyaudit.names import STAGE_AUDIT, STAGE_COLLISION, STAGE_MERGE, STAGE_SAMPLING, STAGE_TELEMETRY
from otel_keyaudit.observers.audit.span import AuditSpan, Location, location_of
from otel_keyaudit.observers.audit.target import CompiledAuditTarget, Event
from otel_keyaudit.observers.decision import Check, current_check
from otel_keyaudit.observers.observed_call import ObservedCall, Observer
from otel_keyaudit.observers.sampling.event import AuditEvent
from otel_keyaudit.request.attribution import NO_DELEGATION, NOTHING
from otel_keyaudit.request.context import current_attribution, current_request
from otel_keyaudit.request.decisions import MAX_DECISIONS, decision_attributes
from otel_keyaudit.request.server_span import NO_ATTRIBUTES, ambiguous_attributes, with_delegation
from otel_keyaudit.request.state import RequestState
from otel_keyaudit.row.merge import Merge
from otel_keyaudit.row.snapshot_member import SnapshotMember, ambiguous
from otel_keyaudit.targets.presented_credential import without_credentials

_FULL = Detail.FULL  # looking up a member of an enum takes longer


class Audit(CompiledAuditTarget):
    """An audit target that observes the calls of its function."""

    def observer(self) -> Observer:
        """Return the function that begins the observation of a write."""
        when = None if self.when_needs_end else self.when
        steps = _WRITE if not self.builds_fields else () if self.when_needs_end else _BEFORE_BUILDING

        def observe(positional: tuple[Any, ...], keywords: dict[str, Any], function: FunctionType) -> AuditWrite | None:
            if not self.is_on:
                return None
            write = AuditWrite(self, positional, keywords, function)
            if when is not None and not write.holds(STAGE_AUDIT, when):
                self.passed.increment()
                return None
            write.run(steps, write)
            return write

        return observe


class AuditWrite(ObservedCall):
    """One call of an audit target."""

    target: Audit
    stage = STAGE_AUDIT
    lasts = True
    _request: RequestState | None = None
    _check: Check | None = None
    """The outermost open check that the row is written in."""
    _attribution = NOTHING
    _event: Event = NO_ATTRIBUTES  # type: ignore[assignment]
    _subject: ApiKey | None = None
    _changes: Changes | None = None
    _snapshot: Snapshot | None = None
    _detail = _FULL
    _asked: AuditEvent | None = None
    _span: AuditSpan | None = None
    _merge: Merge | None = None
    _copy_back: Callable[[], None] | None = None
    _is_complete = False
    """The row has received everything that it should."""
    _has_returned = False

    # Around the application's call

    def __enter__(self) -> None:
        """Make the audit span the current one while the application writes."""
        if self._span is not None:
            self.guarded(STAGE_TELEMETRY, self._span.enter)

    def returned(self, result: Any) -> Any:
        """Record the result; if it holds the additional fields, return it with the members."""
        target = self.target
        self.result = result
        if target.builds_fields:
            if target.when_needs_end and target.when is not None and not self.holds(STAGE_AUDIT, target.when):
                target.passed.increment()
                return result
            self.run(_BUILT, self)
        if target.result_values:
            self.run(_RESULT, self)
        self._has_returned = True
        return self.result

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Leave, and end the write if it has returned or raised."""
        if self._span is not None:
            self.guarded(STAGE_TELEMETRY, self._span.leave)
        self.exc = error
        if self._has_returned or (error is not None and not self._is_passed_on()):
            if not self._has_returned and self.target.builds_fields:
                self.run(_NOT_BUILT, self)
            self.run(_END, self)
            self._copy_back = self._span = self._request = self._check = self._merge = None
            self.forget()
        self.exc = None

    def _is_passed_on(self) -> bool:
        """Say whether a ``when`` that would have read the result knows without it that the call is not meant."""
        target = self.target
        when = target.when if target.when_needs_end and target.when_is_function else None
        return when is not None and not self.may_hold(when)

    # The steps of a write

    def identify(self) -> None:
        """Find out whose request it is, which event, and which key it is about."""
        target = self.target
        request = self._request = current_request()
        self._check = current_check()
        self._attribution = attribution = current_attribution(request)
        credentials = () if request is None else request.presented
        self._event = target.read_event(self, credentials)
        if target.read_subject is not None:
            self._read_subject(credentials)
        if attribution.key is not None:
            self._snapshot = target.components.snapshots.of(attribution.key)

    def complete_event(self) -> None:
        """Read the fields of the event that only the end of the call tells."""
        self._event = {**self._event, **self.target.read_late(self, self._credentials())}

    def choose(self) -> None:
        """Choose the detail of the row: the full snapshot, or a reference to it."""
        sampler = self.target.components.sampler
        if sampler.constant is not None:
            self._detail = sampler.constant
            return
        key, subject = self._attribution.key, self._subject
        if key is None and subject is None:
            return
        event, delegation = self._event, self._attribution.delegation
        self._asked = AuditEvent(
            action=event.get(names.ACTION),
            resource_type=event.get(names.RESOURCE_TYPE),
            resource_id=event.get(names.RESOURCE_ID),
            outcome=event.get(names.AUDIT_OUTCOME),
            request_key=key,
            subject_key=subject,
            decisions=tuple(self._decisions()),
            on_behalf_of=delegation.on_behalf_of,
        )
        self._detail = sampler.choose(self._asked)

    def show(self) -> None:
        """Show the write on the server span and on a span of its own."""
        request, target = self._request, self.target
        is_news = self._asked is not None and self._detail is _FULL
        if (is_news or not target.has_span) and request is not None and request.is_open:
            last_write = NO_ATTRIBUTES if target.has_span else _without_outcome(self._event)
            request.wrote(last_write, self._attribution.key if is_news else None)
        if self._span is not None:
            self._span.change(self._attributes())
        elif target.has_span:
            server_span = None if request is None else request.server_span
            self._span = AuditSpan(target.components.tracer, server_span, self._attributes())

    def merge(self) -> None:
        """Merge the members into the additional fields, and set the places that receive a single value."""
        target, location, request = self.target, self._location(), self._request
        if target.place is not None:
            number = None if request is None else request.number
            merge = self._merge = Merge(self._members(location), target.components.written_members, number)
            if target.builds_fields:
                self.result = self._attempt(target.place.put_result, self, merge, self._attempt, otherwise=self.result)
            else:
                self._copy_back = self.guarded(STAGE_MERGE, target.place.put, self, merge, self._attempt)
        for field, place in target.argument_values:
            after = self._attempt(place.set, self, self._single_value(field, location), self._attempt)
            if after is not None:
                self._copy_back = _in_turn(after, self._copy_back)
        self._is_complete = STAGE_MERGE not in self._failed_stages

    def set_results(self) -> None:
        """Set the places of the result that receive a single value."""
        location = self._location()
        for field, place in self.target.result_values:
            value = self._single_value(field, location)
            self.result = self._attempt(place.set_result, self, value, self._attempt, otherwise=self.result)
        self._is_complete = STAGE_MERGE not in self._failed_stages

    def end(self) -> None:
        """End the write: copy the function's changes back, count, and remember what was written."""
        target, merge = self.target, self._merge
        if self._copy_back is not None:
            self.guarded(STAGE_MERGE, self._copy_back)
        target.calls.increment()
        target.counters[self._kind(), self._detail].increment()
        if self._attribution.has_ended:
            target.warn_of_end()
        if merge is not None and merge.moved:
            self.report(STAGE_COLLISION, CollisionError("a foreign member of a reserved name was renamed"))
        if self.exc is None:
            self._remember()

    def _remember(self) -> None:
        """Remember the key that the row is about, and that the sampler's full row was written."""
        if self._subject is not None and self._request is not None:
            self._request.remember_subject(self._subject, replaces=True)
        if self._asked is not None and self._is_complete and self._detail is _FULL:
            self.guarded(STAGE_SAMPLING, self.target.components.sampler.written, self._asked)

    def _kind(self) -> str:
        """Return the attribution under which the write counts: what its rows received, or kept from another request."""
        kind, merge = self._attribution.kind, self._merge
        if kind in (names.ATTRIBUTED, names.AMBIGUOUS_REQUEST):
            return kind if self._is_complete and (merge is None or not merge.failed) else names.FAILED
        return names.ATTRIBUTED if merge is not None and merge.names_every_row else kind

    def show_end(self) -> None:
        """End the audit span, and send the log event, with the fields that only the end tells."""
        target, events = self.target, self.target.components.events
        late = {} if target.builds_fields or not target.late else target.read_late(self, self._credentials())
        if late:
            self._event = {**self._event, **late}
            if not target.has_span and self._request is not None and self._request.is_open:
                self._request.wrote(_without_outcome(self._event), None)
        if self._span is not None:
            self._span.end(_shown(late) if late else NO_ATTRIBUTES, self.exc)
        if events is not None:
            events.written(
                self._attributes(lists=self._detail is _FULL), self.exc, None if self._span is None else self._span.span
            )

    # Details

    def _credentials(self) -> tuple[str, ...]:
        return () if self._request is None else self._request.presented

    def _attempt(self, work: Callable[..., Any], *args: Any, otherwise: Any = None) -> Any:
        """Return the result of one part of the merge; if it fails, the others still go on."""
        done = self.guarded(STAGE_MERGE, boxed, work, *args)
        return otherwise if done is None else done[0]

    def _read_subject(self, credentials: tuple[str, ...]) -> None:
        """Read the key that the row is about, if it is about one, and its earlier snapshot."""
        target = self.target
        subject = self.guarded(STAGE_AUDIT, target.read_subject, self, None)  # type: ignore[arg-type]
        self._subject = key = self._read_key(subject, credentials)
        if key is None:
            return
        if target.read_subject_before is not None:
            before = self._read_key(
                self.guarded(STAGE_AUDIT, target.read_subject_before, self, None), credentials, is_key=True
            )
        else:
            before = None if self._request is None else self._request.earlier_subject(key.id)
            before = None if before == key else before
        if before is not None:
            self._changes = changes(before, key, target.components.catalog)

    def _read_key(self, subject: Any, credentials: tuple[str, ...], *, is_key: bool = False) -> ApiKey | None:
        """Return the snapshot of a key that the row is about, ``None`` if it is about something else."""
        reader = None if subject is None else self.target.subject_reader(subject, is_key=is_key)
        if reader is None:
            return None
        key = reader.read(self, subject, self.report_unreadable)
        if key is not None and credentials:
            key = without_credentials(key, credentials, self.report_unreadable)
        return key

    def _decisions(self) -> list[Decision]:
        """Return the decisions of the request so far, and last the check that the row is written in."""
        log = None if self._request is None else self._request.decisions
        listed = [] if log is None else log.listed
        if self._check is None:
            return listed
        return [*listed[-(MAX_DECISIONS - 1) :], self._check.so_far(has_failed=self._has_failed())]

    def _has_failed(self) -> bool:
        return AuditEvent(outcome=self._event.get(names.AUDIT_OUTCOME)).has_failed

    def _attributes(self, *, lists: bool | None = None) -> Attributes:
        """Return the attributes of the audit span.

        Args:
            lists: Add the lists of the key; by default, if the server span does not have them.
        """
        attributes: Attributes = _shown(self._event)
        snapshot, attribution = self._snapshot, self._attribution
        if snapshot is not None:
            if self._detail is not _FULL:
                key_attributes = snapshot.shown_minimal
            elif lists is None and self._request is not None and self._request.shows_lists_of == snapshot.digest:
                key_attributes = snapshot.shown_without_lists
            else:
                key_attributes = snapshot.shown_full
            attributes |= with_delegation(key_attributes, attribution.delegation)
        elif attribution.kind == names.AMBIGUOUS_REQUEST:
            attributes |= ambiguous_attributes(attribution)
        if self._subject is not None:
            attributes[names.SUBJECT_ID] = self._subject.id
        attributes |= self._decision_attributes()
        return attributes if self._changes is None else attributes | self._change_attributes(self._changes)

    def _decision_attributes(self) -> Attributes:
        check = self._check
        log = None if self._request is None else self._request.decisions
        if log is None and check is None:
            return {}
        decision = None if log is None else log.outstanding
        if check is not None and self._attribution.kind != names.NO_KEY:
            open_check = check.so_far(has_failed=self._has_failed())
            decision = open_check if decision is None or open_check.outcome is not None else decision
        max_items = self.target.components.settings.max_items
        return {} if decision is None else decision_attributes(decision, max_items)

    def _change_attributes(self, found: Changes) -> Attributes:
        if self._detail is not _FULL:
            return {}
        max_items = self.target.components.settings.max_items
        attributes: Attributes = {names.CHANGE_POWER: found.power}
        for name, entries in ((names.CHANGE_GAINED, found.gained), (names.CHANGE_LOST, found.lost)):
            if entries:
                attributes[name] = entries[:max_items]
        return attributes

    def _location(self) -> Location | None:
        """Return the span in which the row is written: the audit span, else the server span."""
        located = None if self._span is None else location_of(self._span.span)
        return located or (None if self._request is None else location_of(self._request.server_span))

    def _members(self, location: Location | None) -> dict[str, SnapshotMember | None]:
        """Return the members of the row by reserved name, ``None`` for a name that is only reserved."""
        components = self.target.components
        members: dict[str, SnapshotMember | None] = {**self.target.reserved}
        settings = components.settings
        if self._snapshot is not None:
            encoded = self._snapshot.encoded(self._detail)
            row_member = SnapshotMember(encoded, self._context_members(), location)
            members[settings.request_field] = self.target.last_member = row_member
        elif self._attribution.kind == names.AMBIGUOUS_REQUEST:
            encoded = ambiguous(self._attribution.ids, self._attribution.ids_count)
            row_member = SnapshotMember(encoded, None, location)
            members[settings.request_field] = self.target.last_member = row_member
        if self._subject is not None:
            encoded = components.snapshots.of(self._subject).encoded(self._detail)
            with_changes = self._changes is not None and self._detail is _FULL
            extra = {"changes": self._changes.members(settings.max_items)} if with_changes else None  # type: ignore[union-attr]
            row_member = SnapshotMember(encoded, extra, None)
            members[settings.subject_field] = row_member
            self.target.last_member = self.target.last_member or row_member
        return members

    def _context_members(self) -> dict[str, Any] | None:
        """Return the decisions and the delegation, ``None`` without both."""
        log = None if self._request is None else self._request.decisions
        delegation = self._attribution.delegation
        if log is None and self._check is None and delegation is NO_DELEGATION:
            return None
        members: dict[str, Any] = {}
        max_items = self.target.components.settings.max_items
        decisions = self._decisions()
        if decisions:
            members["decisions"] = [decision.members(max_items) for decision in decisions]
            count = (0 if log is None else log.count) + (self._check is not None)
            if count > len(decisions):
                members["decisions_count"] = count
        if delegation.on_behalf_of is not None:
            members["on_behalf_of"] = delegation.on_behalf_of
        if delegation.actors:
            members["actors"] = list(delegation.actors)
            if delegation.actors_count > len(delegation.actors):
                members["actors_count"] = delegation.actors_count
        return members

    def _single_value(self, field: str, location: Location | None) -> str | None:
        if field == "trace_id_to":
            return None if location is None else location[0]
        snapshot = self._snapshot
        if snapshot is None:
            return None
        if field == "digest_to":
            return snapshot.digest
        return snapshot.key.id if field == "id_to" else snapshot.key.name


def _in_turn(first: Callable[[], None], then: Callable[[], None] | None) -> Callable[[], None]:
    """Return a function that calls both: the changes of the last place are copied back first."""
    if then is None:
        return first

    def both() -> None:
        first()
        then()

    return both


def _shown(event: Event) -> Attributes:
    """Return the attributes of an event; an outcome is shown as a string."""
    outcome = event.get(names.AUDIT_OUTCOME)
    if outcome is None:
        return {**event}
    shown = ("true" if outcome else "false") if isinstance(outcome, bool) else str(outcome)
    return {**event, names.AUDIT_OUTCOME: shown}


def _without_outcome(event: Event) -> Event:
    if names.AUDIT_OUTCOME not in event:
        return event
    return {name: value for name, value in event.items() if name != names.AUDIT_OUTCOME}


_WRITE = (
    (STAGE_AUDIT, AuditWrite.identify),
    (STAGE_SAMPLING, AuditWrite.choose),
    (STAGE_TELEMETRY, AuditWrite.show),
    (STAGE_MERGE, AuditWrite.merge),
)
_BEFORE_BUILDING = (
    (STAGE_AUDIT, AuditWrite.identify),
    (STAGE_TELEMETRY, AuditWrite.show),
)
_BUILT = (
    (STAGE_AUDIT, AuditWrite.identify),
    (STAGE_AUDIT, AuditWrite.complete_event),
    (STAGE_SAMPLING, AuditWrite.choose),
    (STAGE_TELEMETRY, AuditWrite.show),
    (STAGE_MERGE, AuditWrite.merge),
)
_RESULT = ((STAGE_MERGE, AuditWrite.set_results),)
_NOT_BUILT = (
    (STAGE_AUDIT, AuditWrite.identify),
    (STAGE_AUDIT, AuditWrite.complete_event),
    (STAGE_TELEMETRY, AuditWrite.show),
)
_END = (
    (STAGE_AUDIT, AuditWrite.end),
    (STAGE_TELEMETRY, AuditWrite.show_end),
)
