"""The second moment: what happens around a call that writes an audit row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType, TracebackType
from typing import Any

from otel_keyaudit import names
from otel_keyaudit.api_key import ApiKey
from otel_keyaudit.attribution import NOTHING
from otel_keyaudit.audit_plan import AuditPlan, audit_event, event_attributes, event_value, last_write_attributes
from otel_keyaudit.calls import ObservedCall, Reader
from otel_keyaudit.errors import CollisionError
from otel_keyaudit.guard import boxed
from otel_keyaudit.handlers import Observe
from otel_keyaudit.member import Location, Member, ambiguous
from otel_keyaudit.merge import Merge
from otel_keyaudit.names import STAGE_AUDIT, STAGE_COLLISION, STAGE_MERGE, STAGE_SAMPLING, STAGE_TELEMETRY
from otel_keyaudit.request_state import RequestState, current_attribution, current_request
from otel_keyaudit.sampling import AuditEvent
from otel_keyaudit.snapshot import Attributes, Detail, Snapshot
from otel_keyaudit.spans import AuditSpan, ambiguous_attributes, location_of, shows_lists
from otel_keyaudit.tripwire import Credentials, check, harmless
from otel_keyaudit.values import MAX_LENGTH


def observer(plan: AuditPlan) -> Observe:
    """Return what observes the calls of an audit target; for a call that is not meant it returns ``None``."""

    def observe(args: tuple[Any, ...], kwargs: dict[str, Any]) -> AuditMoment | None:
        moment = AuditMoment(plan, args, kwargs)
        if plan.when is not None and not (plan.when_needs_result or moment.holds(STAGE_AUDIT, plan.when)):
            return None
        moment.guarded(STAGE_AUDIT, moment.prepare)
        return moment

    return observe


class AuditMoment(ObservedCall):
    """One call of an audit target: its row is given the key before the application writes it."""

    watched: AuditPlan
    lasts = True
    _event: Mapping[str, Any] = MappingProxyType({})
    _request: RequestState | None = None
    _attribution = NOTHING
    _presented: Credentials = ()
    _snapshot: Snapshot | None = None
    _subject: ApiKey | None = None
    _detail = Detail.FULL
    _written_in_full: AuditEvent | None = None
    _span: AuditSpan | None = None
    _counted = False
    _paused = False
    _is_over = False

    def prepare(self) -> None:
        """Find the key, choose the detail, start the span, and give the row its members."""
        plan = self.watched
        self._request = request = current_request()
        self._attribution = current_attribution(request)
        if request is not None:
            self._presented = request.presented
        if plan.when_needs_result:
            return
        if plan.early:
            self._read_event(plan.early)
        if plan.builds_fields:
            self._show()
            return
        self._choose()
        self._show()
        if plan.place is not None:
            self._attempt(self._merge, plan.place.change, self._attempt)
        self._count()

    def __enter__(self) -> None:
        """Make the span the current one while the application writes."""
        if self._span is not None:
            self.guarded(STAGE_TELEMETRY, self._span.__enter__)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Take note of how the write ended."""
        if self._span is not None:
            self.guarded(STAGE_TELEMETRY, self._span.__exit__, kind, error, traceback)
        elif error is None and self._counted and self.watched.ends_unseen:
            return
        was_paused, self._paused = self._paused, False
        if not (self._is_over or (was_paused and error is None)):
            self.guarded(STAGE_AUDIT, self._end, error)

    def pause(self) -> None:
        """Leave without an end: the write goes on later."""
        self._paused = True

    def returned(self, result: Any) -> Any:
        """Take note of the result; where it is the additional fields, return them with their members."""
        self.result = result
        if not self.watched.builds_fields:
            return result
        merged = self.guarded(STAGE_AUDIT, boxed, self._merge_into_result)
        return result if merged is None else merged[0]

    # What is known of the write.

    def _read_event(self, readers: Mapping[str, Reader]) -> None:
        event = self._event = {**self._event}
        self.guarded_each(STAGE_AUDIT, self._read_fields, readers.items(), event)

    def _read_fields(self, remaining: Iterator[tuple[str, Reader]], event: dict[str, Any]) -> bool:
        credentials = self._presented
        for name, read in remaining:
            value = read(self, None)
            if type(value) is not str or len(value) > MAX_LENGTH or not value.isascii():  # else it is kept as it is
                value = event_value(name, value)
            if value is not None:
                if credentials and type(value) is str:
                    check(value, credentials)
                event[name] = value
        return True

    def _choose(self) -> None:
        """Read the subject and ask the sampler, once for both keys."""
        plan, key = self.watched, self._attribution.key
        if plan.subject is not None:
            self._subject = self.guarded(STAGE_AUDIT, self._read_subject, plan.subject)
        if key is None and self._subject is None:
            return
        if key is not None:
            self._snapshot = plan.runtime.snapshots.of(key)
        sampler = plan.runtime.sampler
        if sampler.constant is not None:
            self._detail = sampler.constant
            return
        event = audit_event(self._event, key, self._subject)
        self._detail = self.guarded(STAGE_SAMPLING, sampler.choose, event) or Detail.FULL
        self._written_in_full = event if self._detail is Detail.FULL else None

    def _read_subject(self, read: Reader) -> ApiKey | None:
        subject = read(self, None)
        subject_reader = None if subject is None else self.watched.subject_reader(subject)
        found = None if subject_reader is None else subject_reader.read(self, STAGE_AUDIT, self, subject)
        return None if found is None else harmless(self, STAGE_AUDIT, found, self._presented)

    # What is shown.

    def _show(self) -> None:
        """Show what is known on the server span, and on a span of the write's own."""
        self._show_on_server_span()
        if self._span is not None or self.watched.has_span:
            self.guarded(STAGE_TELEMETRY, self._show_on_audit_span)

    def _show_on_server_span(self) -> None:
        request = self._request
        if request is not None and request.is_open:
            full_key = None if self._written_in_full is None else self._attribution.key
            request.wrote(last_write_attributes(self._event), full_key, self)

    def _show_on_audit_span(self) -> None:
        if self._span is not None:
            self._span.change(self._attributes())
            return
        server_span = None if self._request is None else self._request.server_span
        self._span = AuditSpan(self.watched.runtime.tracer, server_span, self._attributes())

    def _attributes(self) -> Attributes:
        attributes: Attributes = {**event_attributes(self._event)}
        snapshot = self._snapshot
        if snapshot is not None:
            if self._detail is Detail.MINIMAL:
                attributes |= snapshot.shown_minimal
            elif shows_lists(self._request, snapshot.digest):
                attributes |= snapshot.shown_without_lists
            else:
                attributes |= snapshot.shown_full
        elif self._attribution.is_ambiguous:
            attributes |= ambiguous_attributes(self._attribution.ids, self.watched.runtime.settings.max_items)
        if self._subject is not None:
            attributes[names.SUBJECT_ID] = self._subject.id
        return attributes

    # What is written.

    def _location(self) -> Location | None:
        located = None if self._span is None else location_of(self._span.span)
        return located or (None if self._request is None else location_of(self._request.server_span))

    def _members(self) -> dict[str, Member | None]:
        """Return what the row is given by reserved name: the ids of an ambiguous request, or the snapshots."""
        runtime, members = self.watched.runtime, self.watched.no_members.copy()
        settings = runtime.settings
        if self._snapshot is not None:
            members[settings.request_field] = Member(self._snapshot.form(self._detail), self._location())
        elif self._attribution.is_ambiguous:
            ids = ambiguous(self._attribution.ids, settings.max_items)
            members[settings.request_field] = Member(ids, self._location())
        if self._subject is not None:
            members[settings.subject_field] = Member(runtime.snapshots.of(self._subject).form(self._detail), None)
        return members

    def _merge(self, put: Callable[..., Any], *args: Any) -> Any:
        """Have the members put into additional fields by what knows where these are."""
        merge = Merge(self._members(), self.watched.runtime.provenance)
        done = put(self, merge.into, *args)
        if merge.moved:
            self.report(STAGE_COLLISION, CollisionError("a member of a reserved name is kept as _unverified"))
        return done

    def _merge_into_result(self) -> Any:
        plan = self.watched
        if plan.when_needs_result and plan.when is not None and not self.holds(STAGE_AUDIT, plan.when):
            self._is_over = True
            return self.result
        self._read_event(plan.late)
        self._choose()
        self._show()
        merged = self._attempt(self._merge, plan.built, otherwise=self.result)
        self._count()
        return merged

    def _attempt(self, work: Callable[..., Any], *args: Any, otherwise: Any = None) -> Any:
        """Return what a part of the merge gives; where it fails, the row is not given all it should have."""
        done = self.guarded(STAGE_MERGE, boxed, work, *args)
        if done is not None:
            return done[0]
        self._lose()
        return otherwise

    def _lose(self) -> None:
        """Take note that the row has not been given all it should have."""
        self._attribution = self._attribution.failed()
        self._written_in_full = None

    # How it ended.

    def _end(self, error: BaseException | None) -> None:
        plan = self.watched
        self.exc = error
        undecided = plan.when if plan.when_is_function and plan.when_needs_result else None
        if error is not None and undecided is not None and not self.may_hold(undecided):
            return
        if not self._counted:
            self._lose()
            self._count()
        if plan.late and (not plan.builds_fields or error is not None):
            self._read_event(plan.late)
        if error is None and self._written_in_full is not None:
            self.guarded(STAGE_SAMPLING, plan.runtime.sampler.written, self._written_in_full)
        if self._span is not None or plan.late or plan.when_needs_result:
            self.guarded(STAGE_TELEMETRY, self._end_span, error)

    def _end_span(self, error: BaseException | None) -> None:
        late = {name: self._event[name] for name in self.watched.late if name in self._event}
        if late.keys() - {names.AUDIT_OUTCOME}:
            self._show_on_server_span()
        if self._span is None and self.watched.has_span and self.watched.when_needs_result:
            self._show_on_audit_span()
        if self._span is not None:
            self._span.end(event_attributes(late), error)

    def _count(self) -> None:
        self._counted = True
        self.watched.counters[self._attribution.kind, self._detail is Detail.FULL]()
        if self._attribution.has_ended:
            self.watched.warn_of_end()
