"""Observe audit writes, and put the key into the row.

:data:`_WRITE` lists the steps before a call, which complete the row before the application writes it. If the function
builds the additional fields, :data:`_BUILT` lists the steps after the call.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Literal

from otel_keyaudit import names
from otel_keyaudit.errors import CollisionError, UnchangeableError
from otel_keyaudit.guard.collection import outside_collection
from otel_keyaudit.key.snapshot import Detail
from otel_keyaudit.names import STAGE_AUDIT, STAGE_COLLISION, STAGE_MERGE, STAGE_SAMPLING, STAGE_TELEMETRY
from otel_keyaudit.observers.audit.span import AuditSpan
from otel_keyaudit.observers.audit.target import CompiledAuditTarget
from otel_keyaudit.observers.audit.write_data import WriteData, shown, without_outcome
from otel_keyaudit.observers.authorization.check import current_check
from otel_keyaudit.observers.sampling.event import AuditEvent
from otel_keyaudit.patching.wrappers import Observe
from otel_keyaudit.request.context import current_attribution, current_request
from otel_keyaudit.request.server_span import NO_ATTRIBUTES, Location
from otel_keyaudit.row.merge import Merge

_FULL = Detail.FULL  # looking up a member of an enum takes longer


class Audit(CompiledAuditTarget):
    """An audit target that observes the calls of its function."""

    def observer(self) -> Observe:
        """Return the function that starts the observation of a write."""
        steps = _WRITE if not self.builds_fields else () if self.when_needs_end else _BEFORE_BUILDING
        return self.observing(AuditWrite, steps)

    def observer_of_excluded(self) -> Observe | None:
        """Return the function that starts the observation of a write, without an effect on the call before its end."""
        return self.observing(AuditWrite) if self.builds_fields else None


State = Literal["running", "yielded", "passed on", "returned"]
"""How far the function is. ``passed on``: the caller already has the result, so no changed copy can replace it.
``returned``: the result has been recorded, so the write ends when the call is left."""


class AuditWrite(WriteData):
    """One call of an audit target."""

    target: Audit
    stage = STAGE_AUDIT
    lasts = True
    _sampled_event: AuditEvent | None = None
    _merge: Merge | None = None
    _copy_backs: tuple[Callable[[], None], ...] = ()
    """Copy the function's changes back to the caller's objects, in the order of the places."""
    _is_complete = False
    """All members and values have been written into the row."""
    _state: State = "running"

    # Around the application's call

    def __enter__(self) -> None:
        """Make the audit span the current one while the application writes."""
        if self._span is not None:
            self.guarded(STAGE_TELEMETRY, self._span.enter)

    def returned(self, result: Any) -> Any:
        """Record the result. If it holds the additional fields, return it with the members."""
        self.result = result
        if self._state == "yielded" and result is None:
            self._state = "passed on"
        if self.target.builds_fields:
            if self.target.late_when is not None and not self.find_target():
                return result
            self.run(_BUILT)
        if self.target.result_values:
            self.run(_RESULT)
        self._state = "returned"
        return self.result

    def resolved(self, result: Any) -> Any:
        """Record the result of a Future."""
        self._state = "passed on"
        return self.returned(result)

    def yielded(self, value: Any) -> Any:
        """Pause until the generator goes on."""
        self._state = "yielded"
        return value

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Restore the outer span, and end the write if the call has returned or raised."""
        if error is not None:
            self.raised(error)
            return
        self._leave_span()
        if self._state == "returned":  # otherwise, a generator goes on
            self.run(_END)

    def _leave_span(self) -> None:
        if self._span is not None:
            self.guarded(STAGE_TELEMETRY, self._span.leave)

    def raised(self, error: BaseException) -> None:
        """Restore the outer span, and end the write with an exception."""
        self._leave_span()
        self.exc = error
        has_returned = self._state == "returned"
        if has_returned or not self.may_exclude or self.find_target():
            if not has_returned and self.target.builds_fields:
                self.run(_NOT_BUILT)
            self.run(_END)
        # The traceback of the exception keeps this object alive, so it releases everything else.
        self._copy_backs = ()
        self._span = self._request = self._check = self._merge = None
        self.forget()

    # The steps of a write

    def identify(self) -> None:
        """Find the request, its key, the event and the subject."""
        target = self.target
        request = self._request = current_request()
        check = current_check(request)
        if check is not None and request is not None and request.is_open:  # else the decision is in no row
            self._check = check
        self._attribution = attribution = current_attribution(request)
        credentials = () if request is None else request.presented
        self._event = target.read_event(self, credentials)
        if target.read_subject is not None:
            self.read_subject(credentials)
        if attribution.key is not None:
            self._snapshot = target.components.snapshots.of(attribution.key)

    def complete_event(self) -> None:
        """Read the fields of the event that need the end of the call."""
        self._event = {**self._event, **self.target.read_late(self, self.credentials)}

    def choose(self) -> None:
        """Choose the detail of the row: the full snapshot or a reference to it."""
        sampler = self.target.components.sampler
        if sampler.constant is not None:
            self._detail = sampler.constant
            return
        key, subject = self._attribution.key, self._subject
        if key is None and subject is None:
            return
        event, delegation = self._event, self._attribution.delegation
        self._sampled_event = AuditEvent(
            action=event.get(names.ACTION),
            resource_type=event.get(names.RESOURCE_TYPE),
            resource_id=event.get(names.RESOURCE_ID),
            outcome=event.get(names.AUDIT_OUTCOME),
            request_key=key,
            subject_key=subject,
            decisions=tuple(self.decisions()),
            on_behalf_of=delegation.on_behalf_of,
        )
        self._detail = sampler.choose(self._sampled_event, has_row=self.target.place is not None)

    def show(self) -> None:
        """Show the write on the server span and on the audit span."""
        request, target = self._request, self.target
        is_news = self._sampled_event is not None and self._detail is _FULL
        if (is_news or not target.has_span) and request is not None and request.is_open:
            last_write = NO_ATTRIBUTES if target.has_span else without_outcome(self._event)
            request.wrote(last_write, self._attribution.key if is_news else None)
        if self._span is not None:
            self._span.change(self.attributes())
        elif target.has_span:
            server_span = None if request is None else request.server_span
            self._span = AuditSpan(target.components.tracer, server_span, self.attributes())

    def merge(self) -> None:
        """Merge the members into the additional fields, and set the places that receive a single value."""
        target, location, request = self.target, self.location(), self._request
        if target.place is not None:
            number = None if request is None else request.number
            written = target.components.written_members
            merge = Merge(self.members(location), target.reserved, written, number)
            self._put(merge)
            if self._detail is not _FULL and merge.replaces_full:
                self._keep_full(merge, location)
        for field, place in target.argument_values:
            self._change_arguments(place.set, self.single_value(field, location))
        self._is_complete = STAGE_MERGE not in self._failed_stages

    def _put(self, merge: Merge) -> None:
        """Merge the members into the result, or into the arguments."""
        self._merge, place = merge, self.target.place
        if self.target.builds_fields:
            self._replace_result(place.put_result, merge)  # type: ignore[union-attr]
        else:
            self._change_arguments(place.put, merge)  # type: ignore[union-attr]

    def _keep_full(self, replaced: Merge, location: Location | None) -> None:
        """Write the full snapshot again if its reference has just replaced it, because other rows may refer to it."""
        self._detail = _FULL
        self._put(replaced.again(self.members(location)))
        if self._span is not None:
            self._span.change(self.attributes())

    def set_results(self) -> None:
        """Set the places of the result that receive a single value."""
        location = self.location()
        for field, place in self.target.result_values:
            value = self.single_value(field, location)
            self._replace_result(place.set_result, value)
        self._is_complete = STAGE_MERGE not in self._failed_stages

    def end(self) -> None:
        """End the write: copy the function's changes back, count the call, and remember the written key."""
        target, merge = self.target, self._merge
        for copy_back in reversed(self._copy_backs):
            self.guarded(STAGE_MERGE, copy_back)
        target.calls.increment()
        target.counters[self._kind(), self._detail].increment()
        if self._attribution.has_ended:
            target.warn_of_end()
        if merge is not None and merge.moved:
            self.report(STAGE_COLLISION, CollisionError("a foreign member of a reserved name was renamed"))
        if self.exc is None:
            self._remember()

    def _remember(self) -> None:
        """Remember the subject of the row, and tell the sampler about a full row."""
        if self._subject is not None and self._request is not None:
            self._request.remember_subject(self._subject, replaces=True)
        if self._sampled_event is not None and self._is_complete and self._detail is _FULL:
            self.guarded(STAGE_SAMPLING, self._tell_sampler, self._sampled_event)

    def _tell_sampler(self, event: AuditEvent) -> None:
        """Tell the sampler about a full write, unless no row received the snapshot, as with an empty list of rows."""
        merge = self._merge
        if merge is None or merge.rows > merge.kept + merge.failed:
            self.target.components.sampler.written(event, has_row=merge is not None)

    def _kind(self) -> str:
        """Return the attribution for the counters: of the rows' new members, or of members from another request."""
        kind, merge = self._attribution.kind, self._merge
        if kind in (names.ATTRIBUTED, names.AMBIGUOUS_REQUEST):
            return kind if self._is_complete and (merge is None or not merge.failed) else names.FAILED
        return names.ATTRIBUTED if merge is not None and merge.names_every_row else kind

    def show_end(self) -> None:
        """End the audit span, and send the log event, with the fields that need the end of the call."""
        target, events = self.target, self.target.components.events
        late = {} if target.builds_fields or not target.late else target.read_late(self, self.credentials)
        if late:
            self._event = {**self._event, **late}
            if not target.has_span and self._request is not None and self._request.is_open:
                self._request.wrote(without_outcome(self._event), None)
        if self._span is not None:
            outside_collection(self._span.end, shown(late) if late else NO_ATTRIBUTES, self.exc)
        if events is not None:
            events.written(
                self.attributes(lists=self._detail is _FULL), self.exc, None if self._span is None else self._span.span
            )

    # Details

    def _attempt(self, work: Callable[..., Any], *args: Any, otherwise: Any = None) -> Any:
        """Return the result of one part of the merge, ``otherwise`` if it fails. The other parts still run."""
        return self.guarded(STAGE_MERGE, work, *args, otherwise=otherwise)

    def _change_arguments(self, work: Callable[..., Any], value: Any) -> None:
        """Write a value into the arguments, and note what copies the function's changes back."""
        after = self.guarded(STAGE_MERGE, work, self, value, self._attempt)
        if after is not None:
            self._copy_backs += (after,)

    def _replace_result(self, work: Callable[..., Any], value: Any) -> None:
        """Replace the result by a changed copy."""
        changed = self._attempt(work, self, value, self._attempt, otherwise=self.result)
        if self._state == "passed on" and changed is not self.result:
            self.report(STAGE_MERGE, UnchangeableError("cannot replace a result in a Future or from a generator"))
        else:
            self.result = changed


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
