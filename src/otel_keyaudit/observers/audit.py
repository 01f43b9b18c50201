"""The second moment: what happens around a call that writes an audit row."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from types import TracebackType
from typing import Any
from weakref import WeakKeyDictionary

from otel_keyaudit import names
from otel_keyaudit.errors import CollisionError
from otel_keyaudit.guard.guard import Step, boxed
from otel_keyaudit.key.api_key import ApiKey
from otel_keyaudit.key.snapshot import Attributes, Detail, Snapshot
from otel_keyaudit.names import STAGE_AUDIT, STAGE_COLLISION, STAGE_MERGE, STAGE_TELEMETRY
from otel_keyaudit.observers.audit_plan import AuditPlan, audit_event, event_attributes, last_write_attributes
from otel_keyaudit.observers.observed_call import ObservedCall
from otel_keyaudit.observers.sampling import AuditEvent
from otel_keyaudit.request.attribution import NOTHING
from otel_keyaudit.request.context import current_attribution, current_request
from otel_keyaudit.request.server_span import AuditSpan, ambiguous_attributes, location_of, shown_beside
from otel_keyaudit.request.state import RequestState
from otel_keyaudit.row.merge import Merge
from otel_keyaudit.row.snapshot_member import Location, SnapshotMember, ambiguous
from otel_keyaudit.targets.presented_credential import Credentials, without_credentials

_numbers = count(1)
_request_numbers: WeakKeyDictionary[Any, int] = WeakKeyDictionary()


class AuditMoment(ObservedCall):
    """One call of an audit target: its row is given the key before the application writes it.

    What is done, and in which order, is up to the target: see :mod:`otel_keyaudit.observers.audit_steps`.
    """

    watched: AuditPlan
    lasts = True
    _request: RequestState | None = None
    _attribution = NOTHING
    presented: Credentials = ()
    _snapshot: Snapshot | None = None
    _subject: ApiKey | None = None
    written_in_full: AuditEvent | None = None
    span: AuditSpan | None = None
    _fields: Any = None
    _is_incomplete = False
    _keeps_members = False
    _copy_back: Callable[[], None] | None = None
    is_counted = False
    _paused = False
    _is_over = False
    event: dict[str, Any]
    _detail = Detail.FULL

    def __enter__(self) -> None:
        """Make the span the current one while the application writes."""
        if self.span is not None:
            self.run(_ENTER, self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Take note of how the write ended, unless it goes on later."""
        self.exc = error
        if self._copy_back is not None and not self._paused:
            self.guarded(STAGE_MERGE, self._copy_back)
        was_paused, self._paused = self._paused, False
        if self._is_over or (was_paused if error is None else self._was_not_meant()):
            self.run(_LEAVE, self)
            return
        if not self.is_counted:
            self.run(_SETTLE, self)
        self.run(self.watched.when_returned if error is None else self.watched.when_raised, self)

    def pause(self) -> None:
        """Leave without an end: the write goes on later."""
        self._paused = True

    def returned(self, result: Any) -> Any:
        """Take note of the result; where it is the additional fields, return them with their members."""
        self.result = self._fields = result
        plan = self.watched
        if not plan.builds_fields:
            return result
        if plan.when_needs_result and plan.when is not None and not self.holds(STAGE_AUDIT, plan.when):
            self._is_over = True
            return result
        self.run(plan.when_built, self)
        return self._fields

    def _was_not_meant(self) -> bool:
        """Say whether a function that would have looked at the result knows without it that the call is not meant."""
        when = self.watched.when if self.watched.when_is_function and self.watched.when_needs_result else None
        return when is not None and not self.may_hold(when)

    # What is known of the write.

    def find_key(self) -> None:
        """Find out whose the write is."""
        self.event = {}
        self._request = request = current_request()
        self._attribution = current_attribution(request)
        if request is not None:
            self.presented = request.presented

    def renew_event(self) -> None:
        """Go on with an event of its own: the server span shows the one there was."""
        self.event = {**self.event}

    def read_subject(self) -> None:
        """Read the key that the row is about, if it is about one."""
        plan = self.watched
        subject = None if plan.subject is None else plan.subject(self, None)
        reader = None if subject is None else plan.subject_reader(subject)
        found = None if reader is None else reader.read(self, subject, self._unreadable)
        self._subject = None if found is None else without_credentials(found, self.presented, self._unreadable)

    def _unreadable(self, error: BaseException) -> None:
        self.report(STAGE_AUDIT, error)

    def encode(self) -> None:
        """Encode the key, which is done once per content; take the detail that is always taken."""
        runtime, key = self.watched.runtime, self._attribution.key
        if key is not None:
            self._snapshot = runtime.snapshots.of(key)
        if runtime.sampler.constant is not None:
            self._detail = runtime.sampler.constant

    def ask_sampler(self) -> None:
        """Ask once for both keys. Where that fails, the row is full."""
        key, subject, sampler = self._attribution.key, self._subject, self.watched.runtime.sampler
        if key is None and subject is None:
            return
        event = self.written_in_full = audit_event(self.event, key, subject)
        self._detail = sampler.choose(event)
        if self._detail is Detail.MINIMAL:
            self.written_in_full = None

    # What is shown.

    def show_on_server_span(self) -> None:
        """Show the write on the server span."""
        request = self._request
        if request is not None and request.is_open:
            full_key = None if self.written_in_full is None else self._attribution.key
            request.wrote(last_write_attributes(self.event), full_key)

    def show_on_audit_span(self) -> None:
        """Show it on a span of its own, which begins, or is changed."""
        if self.span is not None:
            self.span.change(self._attributes())
            return
        server_span = None if self._request is None else self._request.server_span
        self.span = AuditSpan(self.watched.runtime.tracer, server_span, self._attributes())

    def _attributes(self) -> Attributes:
        attributes: Attributes = {**event_attributes(self.event)}
        if self._snapshot is not None:
            attributes |= shown_beside(self._request, self._snapshot, self._detail)
        elif self._attribution.is_ambiguous:
            attributes |= ambiguous_attributes(self._attribution.ids, self.watched.runtime.settings.max_items)
        if self._subject is not None:
            attributes[names.SUBJECT_ID] = self._subject.id
        return attributes

    # What is written.

    def _location(self) -> Location | None:
        located = None if self.span is None else location_of(self.span.span)
        return located or (None if self._request is None else location_of(self._request.server_span))

    def _members(self) -> dict[str, SnapshotMember | None]:
        """Return what the row is given by reserved name: the ids of an ambiguous request, or the snapshots."""
        runtime, members = self.watched.runtime, self.watched.no_members.copy()
        settings = runtime.settings
        if self._snapshot is not None:
            members[settings.request_field] = SnapshotMember(self._snapshot.form(self._detail), None, self._location())
        elif self._attribution.is_ambiguous:
            ids = ambiguous(self._attribution.ids, settings.max_items)
            members[settings.request_field] = SnapshotMember(ids, None, self._location())
        if self._subject is not None:
            members[settings.subject_field] = SnapshotMember(runtime.snapshots.of(self._subject).form(self._detail))
        return members

    def _merge(self, put: Callable[..., Any]) -> Any:
        """Have the members put into additional fields by what knows where these are."""
        self._is_incomplete = True
        number = None if self._request is None else _request_numbers.setdefault(self._request, next(_numbers))
        merge = Merge(self._members(), self.watched.runtime.written_members, number)
        done = put(self, merge, self._attempt)
        self._keeps_members = merge.names_every_row
        if merge.moved:
            self.report(STAGE_COLLISION, CollisionError("a member of a reserved name is kept as _unverified"))
        self._is_incomplete = False
        return done

    def merge_into_argument(self) -> None:
        """Give the row its members in an argument."""
        place = self.watched.place
        if place is not None:
            self._copy_back = self._merge(place.put)

    def merge_into_result(self) -> None:
        """Give it its members in what the function returned."""
        place = self.watched.place
        if place is not None:
            self._fields = self._merge(place.put_result)

    def _attempt(self, work: Callable[..., Any], *args: Any, otherwise: Any = None) -> Any:
        """Return what one of several parts of the merge gives; where it fails, others go on."""
        done = self.guarded(STAGE_MERGE, boxed, work, *args)
        if done is not None:
            return done[0]
        self._lose()
        return otherwise

    def _lose(self) -> None:
        """Take note that the row has not been given all it should have."""
        self._attribution = self._attribution.failed()
        self.written_in_full = None

    def count(self) -> None:
        """Count the call, by what its row could be given."""
        self.is_counted = True
        if self._is_incomplete:
            self._lose()
        kind = self._attribution.kind
        if kind == names.NO_KEY and self._keeps_members:
            kind = names.ATTRIBUTED
        self.watched.counters[kind, self._detail is Detail.FULL]()
        if self._attribution.has_ended:
            self.watched.warn_of_end()

    # How it ended.

    def _enter_span(self) -> None:
        if self.span is not None:
            self.span.enter()

    def _leave_span(self) -> None:
        if self.span is not None:
            self.span.leave(self.exc)

    def settle(self) -> None:
        """Count what could not be counted before: the application raised before there were fields, or we failed."""
        self._lose()
        self.count()

    def confirm(self) -> None:
        """Tell the sampler that a full row was written."""
        if self.written_in_full is not None:
            self.watched.runtime.sampler.written(self.written_in_full)

    def _late(self) -> dict[str, Any]:
        return {name: self.event[name] for name in self.watched.late if name in self.event}

    def show_late_on_server_span(self) -> None:
        """Show what only the end told."""
        if self._late().keys() - {names.AUDIT_OUTCOME}:
            self.show_on_server_span()

    def show_late_on_audit_span(self) -> None:
        """Show it on a span of its own, if there is none yet."""
        if self.span is None:
            self.show_on_audit_span()

    def end_span(self) -> None:
        """End the span of the write."""
        if self.span is not None:
            self.span.end(event_attributes(self._late()) if self.watched.late else {}, self.exc)


_ENTER: list[Step] = [(STAGE_TELEMETRY, AuditMoment._enter_span)]
"""What is done when the original is about to be called, or goes on."""

_SETTLE: list[Step] = [(STAGE_AUDIT, AuditMoment.settle)]
"""What is done first at the end of a call that has not been counted."""

_LEAVE: list[Step] = [(STAGE_TELEMETRY, AuditMoment._leave_span)]
"""What is done when a write goes on later, or was none."""
