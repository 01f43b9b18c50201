"""The second moment: what happens around a call that writes an audit row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import TracebackType
from typing import Any

from otel_keyaudit import names
from otel_keyaudit.api_key import ApiKey
from otel_keyaudit.attribution import Attribution, attribute
from otel_keyaudit.audit_plan import AuditPlan, event_attributes, read_event_field
from otel_keyaudit.binding import Binding
from otel_keyaudit.calls import Call, ObservedCall, Reader
from otel_keyaudit.errors import CollisionError
from otel_keyaudit.extraction import read_key
from otel_keyaudit.guard import run_silently
from otel_keyaudit.handlers import Observe
from otel_keyaudit.member import Location
from otel_keyaudit.merge import Merge
from otel_keyaudit.names import STAGE_AUDIT, STAGE_COLLISION, STAGE_MERGE, STAGE_SAMPLING, STAGE_TELEMETRY
from otel_keyaudit.runtime import Runtime
from otel_keyaudit.sampling import AuditEvent
from otel_keyaudit.snapshot import Attributes, Detail, Snapshot
from otel_keyaudit.spans import AuditSpan, ambiguous_attributes, location_of, shows_lists
from otel_keyaudit.targets import AuditTarget


def observer(runtime: Runtime, target: AuditTarget, binding: Binding) -> Observe:
    """Return what observes the calls of an audit target; for a call that is not meant it returns ``None``."""
    plan = AuditPlan(runtime, target, binding)

    def observe(args: tuple[Any, ...], kwargs: dict[str, Any]) -> AuditMoment | None:
        moment = AuditMoment(plan, args, kwargs)
        if not (plan.when_needs_result or moment.is_meant()):
            return None
        moment.guarded(STAGE_AUDIT, moment.prepare)
        return moment

    return observe


class AuditMoment(ObservedCall):
    """One call of an audit target: its row is given the key before the application writes it."""

    __slots__ = (
        "_attribution", "_counted", "_detail", "_event", "_has_ended", "_known", "_paused", "_plan",
        "_request_snapshot", "_span", "_subject", "_written_in_full",
    )  # fmt: skip

    lasts = True

    def __init__(self, plan: AuditPlan, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        super().__init__(plan.runtime.faults, plan.target.written, Call(plan.binding, args, kwargs))
        self._plan = plan
        self._attribution = Attribution(names.NO_KEY)
        self._known: dict[str, Any] = {}
        self._detail = Detail.FULL
        self._request_snapshot: Snapshot | None = None
        self._subject: ApiKey | None = None
        self._written_in_full: AuditEvent | None = None
        self._span: AuditSpan | None = None
        self._counted = False
        self._paused = False
        self._has_ended = False

    def is_meant(self) -> bool:
        """Say whether the call is meant; what cannot be read is counted and passed through."""
        when = self._plan.when
        return when is None or bool(self.guarded(STAGE_AUDIT, lambda: bool(when(self._call, None))))

    def prepare(self) -> None:
        """Find the key, choose the detail, start the span, and give the row its members."""
        plan = self._plan
        self._attribution = attribute()
        if plan.when_needs_result:
            return
        self._read_event(plan.early)
        if plan.builds_fields:
            self._show()
            return
        self._choose()
        self._show()
        self._attempt(self._merge_into_arguments, None)
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
        was_paused, self._paused = self._paused, False
        if not (self._has_ended or (was_paused and error is None)):
            self.guarded(STAGE_AUDIT, self._end, error)

    def pause(self) -> None:
        """Leave without an end: the write goes on later."""
        self._paused = True

    def returned(self, result: Any) -> Any:
        """Take note of the result; where it is the additional fields, return them with their members."""
        self._call.result = result
        if not self._plan.builds_fields:
            return result
        merged = self.guarded(STAGE_AUDIT, self._merge_into_result)
        return result if merged is None else merged[0]

    # What is known of the write.

    def _read_event(self, readers: Mapping[str, Reader]) -> None:
        remaining = iter(readers.items())
        for _ in readers:  # at most one of them fails at a time, and the others are still to come
            if self.guarded(STAGE_AUDIT, self._read_fields, remaining):
                break

    def _read_fields(self, remaining: Iterator[tuple[str, Reader]]) -> bool:
        for name, read in remaining:
            value = read_event_field(name, read, self._call)
            if value is not None:
                self._known[name] = value
        return True

    def _choose(self) -> None:
        """Read the subject and ask the sampler, once for both keys."""
        plan, key = self._plan, self._attribution.key
        if plan.subject is not None:
            self._subject = self.guarded(STAGE_AUDIT, self._read_subject, plan.subject)
        if key is None and self._subject is None:
            return
        if key is not None:
            self._request_snapshot = plan.runtime.snapshots.of(key)
        sampler = plan.runtime.sampler
        if sampler.constant is not None:
            self._detail = sampler.constant
            return
        event = AuditEvent(**self._known, request_key=key, subject_key=self._subject)
        self._detail = self.guarded(STAGE_SAMPLING, sampler.choose, event) or Detail.FULL
        self._written_in_full = event if self._detail is Detail.FULL else None

    def _read_subject(self, read: Reader) -> ApiKey | None:
        subject = read(self._call, None)
        readers = None if subject is None else self._plan.subject_readers(subject)
        return None if readers is None else read_key(self, STAGE_AUDIT, readers, self._call, subject)

    # What is shown.

    def _show(self) -> None:
        """Show what is known on the server span, and on a span of the write's own."""
        self.guarded(STAGE_TELEMETRY, self._show_on_server_span)
        self.guarded(STAGE_TELEMETRY, self._show_on_audit_span)

    def _show_on_server_span(self) -> None:
        request = self._attribution.request
        if request is None or not request.is_open:
            return
        last_write = event_attributes(self._known)
        last_write.pop(names.AUDIT_OUTCOME, None)
        snapshot = self._request_snapshot
        full_key = snapshot.key if snapshot is not None and self._detail is Detail.FULL else None
        request.wrote(last_write, full_key, self)

    def _show_on_audit_span(self) -> None:
        runtime = self._plan.runtime
        if self._span is not None:
            self._span.change(self._attributes())
        elif runtime.settings.audit_spans:
            self._span = AuditSpan(runtime.tracer, self._attribution.server_span, self._attributes())

    def _attributes(self) -> Attributes:
        attributes = event_attributes(self._known)
        if self._attribution.kind == names.AMBIGUOUS_REQUEST:
            attributes |= ambiguous_attributes(self._attribution.ids, self._plan.runtime.settings.max_items)
        snapshot = self._request_snapshot
        if snapshot is not None:
            if self._detail is Detail.MINIMAL:
                attributes |= snapshot.minimal
            elif shows_lists(self._attribution.request, snapshot.digest):
                attributes |= snapshot.reference
            else:
                attributes |= snapshot.whole
        if self._subject is not None:
            attributes[names.SUBJECT_ID] = self._subject.id
        return attributes

    # What is written.

    def _location(self) -> Location | None:
        located = None if self._span is None else location_of(self._span.span)
        return located or location_of(self._attribution.server_span)

    def _merge(self) -> Callable[[Any], Any]:
        """Return the function that puts the members into one set of additional fields, or leaves them as they are."""
        provenance = self._plan.runtime.provenance
        members = self._plan.members(
            self._attribution.ids, self._request_snapshot, self._subject, self._detail, self._location()
        )
        merge = Merge(members, provenance)
        for member in members.values():
            if member is not None:
                provenance.remember(member)

        def change(fields: Any) -> Any:
            merged, moved = self._attempt(partial(merge.into, fields), (fields, 0))
            if moved:
                self.report(STAGE_COLLISION, CollisionError("a member of a reserved name is kept as _unverified"))
            return merged

        return change

    def _attempt(self, work: Callable[[], Any], otherwise: Any) -> Any:
        """Return what a part of the merge gives; where it fails, the row is not given all it should have."""
        done = self.guarded(STAGE_MERGE, lambda: (work(),))
        if done is None:
            self._lose()
            return otherwise
        return done[0]

    def _merge_into_arguments(self) -> None:
        if self._plan.place is not None:
            self._plan.place.change(self._call, self._merge(), self._attempt)

    def _merge_into_result(self) -> tuple[Any] | None:
        plan = self._plan
        if plan.when_needs_result and not self.is_meant():
            self._has_ended = True
            return None
        self._read_event(plan.late)
        self._choose()
        self._show()
        merged = plan.built(self._call, self._merge())
        self._count()
        return (merged,)

    def _lose(self) -> None:
        """Take note that the row has not been given all it should have."""
        self._attribution = self._attribution.failed()
        self._written_in_full = None

    # How it ended.

    def _end(self, error: BaseException | None) -> None:
        plan = self._plan
        self._has_ended = True
        self._call.exc = error
        if error is not None and plan.when_is_function and plan.when_needs_result and not self._may_be_meant():
            return
        if not self._counted:
            self._lose()
            self._count()
        if not plan.builds_fields or error is not None:
            self._read_event(plan.late)
        if error is None and self._written_in_full is not None:
            self.guarded(STAGE_SAMPLING, plan.runtime.sampler.written, self._written_in_full)
        if self._span is not None or plan.late or plan.when_needs_result:
            self.guarded(STAGE_TELEMETRY, self._end_span, error)

    def _may_be_meant(self) -> bool:
        """Say whether a call that raised is meant: a function that cannot tell without a result counts as truthy."""
        when = self._plan.when
        return when is None or run_silently(lambda: bool(when(self._call, None))) is not False

    def _end_span(self, error: BaseException | None) -> None:
        late = {name: value for name, value in self._known.items() if name in self._plan.late}
        if late.keys() - {"outcome"}:
            self._show_on_server_span()
        if self._span is None and self._plan.when_needs_result:
            self._show_on_audit_span()
        if self._span is not None:
            self._span.end(event_attributes(late), error)

    def _count(self) -> None:
        if self._counted:
            return
        self._counted = True
        kind = self._attribution.kind
        self._plan.runtime.metrics.writes.add(kind, self._detail.value if kind == names.ATTRIBUTED else None)
        if self._attribution.has_ended:
            self._faults.warn_once(
                (self._target, "ended"),
                "%s: called after the end of the request it was started in, so its row names no key; "
                "put `with use_key(current_key()):` around work that outlives its request",
                self._target,
            )
