"""The second moment: what happens around a call that writes an audit row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from types import TracebackType
from typing import Any

from otel_keyaudit import names
from otel_keyaudit.api_key import ApiKey
from otel_keyaudit.attribution import Attribution, attribute
from otel_keyaudit.calls import Binding, Call, Reader, reader
from otel_keyaudit.errors import CollisionError, UnreadableError
from otel_keyaudit.expressions import Expression, Path, parse
from otel_keyaudit.extraction import read_key
from otel_keyaudit.guard import GuardedCall
from otel_keyaudit.handlers import Observe
from otel_keyaudit.member import AmbiguousMember, KeyMember, Location, Member
from otel_keyaudit.merge import Merge
from otel_keyaudit.names import STAGE_AUDIT, STAGE_COLLISION, STAGE_MERGE, STAGE_SAMPLING, STAGE_TELEMETRY
from otel_keyaudit.places import Place
from otel_keyaudit.runtime import Runtime
from otel_keyaudit.sampling import AuditEvent
from otel_keyaudit.snapshot import Attributes, Detail, Snapshot
from otel_keyaudit.spans import AuditSpan, ambiguous_attributes, location_of, shows_lists
from otel_keyaudit.targets import AuditTarget, Source
from otel_keyaudit.values import text

_EVENT_FIELDS = {
    "action": names.ACTION,
    "resource_type": names.RESOURCE_TYPE,
    "resource_id": names.RESOURCE_ID,
    "outcome": names.AUDIT_OUTCOME,
}
"""What is read of an event, and the attribute that shows it."""

DEFAULT_FIELDS = "args.additional_fields"
"""Where additional fields are when a target does not say."""


class Auditing:
    """A target that writes an audit row, compiled for the function it was found to be."""

    def __init__(self, runtime: Runtime, target: AuditTarget, binding: Binding) -> None:
        self.runtime = runtime
        self.target = target
        self.binding = binding
        path = _fields_path(target)
        self.builds_fields = path.root == "return"
        self.place = None if self.builds_fields else Place(path, binding)
        when = target.sources.get("when")
        self.when = self._reader(when)
        self.when_needs_result = isinstance(when, Expression) and "return" in when.roots
        self.subject = self._reader(target.sources.get("subject"))
        self.subject_fields = {name: self._compiled(source) for name, source in target.subject_sources().items()}
        self.subject_fields_given = {
            name: read for name, read in self.subject_fields.items() if f"subject_{name}" in target.sources
        }
        early, late = self._event_readers()
        self.early_fields = early
        self.late_fields = late
        settings = runtime.settings
        self.reserved = (
            (settings.request_field,) if self.subject is None else (settings.request_field, settings.subject_field)
        )

    def _compiled(self, source: Source) -> Reader:
        return reader(source, deferred=self.runtime.deferred)

    def _reader(self, source: Source | None) -> Reader | None:
        return None if source is None else self._compiled(source)

    def _event_readers(self) -> tuple[dict[str, Reader], dict[str, Reader]]:
        """Return the readers of what is known before the call, and of what only its result or exception tells."""
        early: dict[str, Reader] = {}
        late: dict[str, Reader] = {}
        for name in _EVENT_FIELDS:
            source = self.target.sources.get(name)
            if source is None and self.binding.declares(name):
                source = parse(f"args.{name}", emitted=True)
            if source is not None:
                needs_end = isinstance(source, Expression) and source.roots & {"return", "exc"}
                (late if needs_end else early)[name] = self._compiled(source)
        return early, late

    def observe(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> AuditMoment | None:
        """Begin to observe a call; ``None`` for one that is not meant."""
        moment = AuditMoment(self, args, kwargs)
        if self.when is not None and not self.when_needs_result and not moment.applies(self.when):
            return None
        moment.guarded(STAGE_AUDIT, moment.prepare)
        return moment


def observer(runtime: Runtime, target: AuditTarget, binding: Binding) -> Observe:
    """Return what observes the calls of an audit target."""
    return Auditing(runtime, target, binding).observe


def _fields_path(target: AuditTarget) -> Path:
    source = target.sources.get("fields") or parse(DEFAULT_FIELDS, emitted=False)
    if not isinstance(source, Expression):
        raise UnreadableError("'fields' is not a path")
    return source.paths[0]


class AuditMoment(GuardedCall):
    """One call of an audit target: its row is given the key before the application writes it."""

    __slots__ = (
        "_attribution", "_auditing", "_call", "_counted", "_detail", "_event", "_known", "_passed_through", "_paused",
        "_request_snapshot", "_span", "_subject",
    )  # fmt: skip

    lasts = True

    def __init__(self, auditing: Auditing, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        super().__init__(auditing.runtime.faults, auditing.target.written)
        self._auditing = auditing
        self._call = Call(auditing.binding, args, kwargs)
        self._attribution = Attribution(names.NO_KEY)
        self._known: dict[str, Any] = {}
        self._event = AuditEvent()
        self._detail = Detail.FULL
        self._request_snapshot: Snapshot | None = None
        self._subject: ApiKey | None = None
        self._span: AuditSpan | None = None
        self._counted = False
        self._paused = False
        self._passed_through = False

    @property
    def positional(self) -> tuple[Any, ...]:
        """Positional arguments for the original: the caller's, with the additional fields merged."""
        return self._call.positional

    @property
    def keywords(self) -> dict[str, Any]:
        """Keyword arguments for the original."""
        return self._call.keywords

    def applies(self, when: Reader) -> bool:
        """Say whether the call is meant; what cannot be read is counted and passed through."""
        return bool(self.guarded(STAGE_AUDIT, lambda: bool(when(self._call, None))))

    def prepare(self) -> None:
        """Find the key, choose the detail, start the span, and give the row its members."""
        self._attribution = attribute()
        if self._attribution.has_ended:
            self._warn_of_ended_request()
        self._read_event(self._auditing.early_fields)
        if self._auditing.builds_fields:
            self.guarded(STAGE_TELEMETRY, self._start_span)
            return
        self._choose()
        self.guarded(STAGE_TELEMETRY, self._show_on_server_span)
        self.guarded(STAGE_TELEMETRY, self._start_span)
        call = self._call
        given = call.positional, call.keywords
        if self.guarded(STAGE_MERGE, self._merge_into_arguments) is None:
            call.positional, call.keywords = given
            self._attribution = self._attribution.failed()
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
        if self._passed_through or (was_paused and error is None):
            return
        self.guarded(STAGE_AUDIT, self._end, error)

    def pause(self) -> None:
        """Leave without an end: the write goes on later."""
        self._paused = True

    def returned(self, result: Any) -> Any:
        """Take note of the result; where it is the additional fields, return them with their members."""
        self._call.result = result
        if not self._auditing.builds_fields:
            return result
        merged = self.guarded(STAGE_AUDIT, self._merge_result, result)
        return result if merged is None else merged[0]

    # What is known of the write.

    def _read_event(self, readers: Mapping[str, Reader]) -> None:
        for name, read in readers.items():
            value = self.guarded(STAGE_AUDIT, _read_scalar, name, read, self._call)
            if value is not None:
                self._known[name] = value
        self._event = AuditEvent(**self._known)

    def _choose(self) -> None:
        """Read the subject and ask the sampler, once for both keys."""
        auditing, key = self._auditing, self._attribution.key
        if auditing.subject is not None:
            self._subject = self.guarded(STAGE_AUDIT, self._read_subject, auditing.subject)
        self._event = AuditEvent(**self._known, request_key=key, subject_key=self._subject)
        if key is not None or self._subject is not None:
            self._detail = self.guarded(STAGE_SAMPLING, auditing.runtime.sampler.choose, self._event) or Detail.FULL
        if key is not None:
            self._request_snapshot = auditing.runtime.snapshots.of(key)

    def _read_subject(self, read: Reader) -> ApiKey | None:
        subject = read(self._call, None)
        if subject is None:
            return None
        auditing = self._auditing
        class_fields = auditing.runtime.key_classes.get(type(subject))
        if not (isinstance(subject, ApiKey) or auditing.target.subject_sources_given or class_fields is not None):
            return None
        fields = {**auditing.subject_fields, **(class_fields or {}), **auditing.subject_fields_given}
        return read_key(self, STAGE_AUDIT, fields, self._call, subject)

    # What is shown.

    def _attributes(self) -> Attributes:
        attributes: Attributes = self._event_attributes(self._known)
        if self._attribution.kind == names.AMBIGUOUS_REQUEST:
            attributes |= ambiguous_attributes(self._attribution.ids, self._auditing.runtime.settings.max_items)
        snapshot = self._request_snapshot
        if snapshot is not None:
            attributes |= snapshot.identity
            attributes[names.DETAIL] = self._detail.value
            if self._detail is Detail.FULL and not shows_lists(self._attribution.request, snapshot.digest):
                attributes |= snapshot.lists
        if self._subject is not None:
            attributes[names.SUBJECT_ID] = self._subject.id
        return attributes

    @staticmethod
    def _event_attributes(known: Mapping[str, Any]) -> Attributes:
        return {_EVENT_FIELDS[name]: _shown(value) for name, value in known.items()}

    def _show_on_server_span(self) -> None:
        request = self._attribution.request
        if request is None or not request.is_open:
            return
        last_write = self._event_attributes(self._known)
        last_write.pop(names.AUDIT_OUTCOME, None)
        snapshot = self._request_snapshot
        request.wrote(last_write, snapshot.key if snapshot is not None and self._detail is Detail.FULL else None)

    def _start_span(self) -> None:
        runtime = self._auditing.runtime
        if runtime.settings.audit_spans:
            self._span = AuditSpan(runtime.tracer, self._attribution.server_span, self._attributes())

    # What is written.

    def _members(self) -> dict[str, Member | None]:
        auditing = self._auditing
        members: dict[str, Member | None] = dict.fromkeys(auditing.reserved)
        location = self._location()
        settings = auditing.runtime.settings
        if self._attribution.kind == names.AMBIGUOUS_REQUEST:
            members[settings.request_field] = AmbiguousMember(self._attribution.ids, settings.max_items, location)
        elif self._request_snapshot is not None:
            members[settings.request_field] = KeyMember(self._request_snapshot, self._detail, location)
        if self._subject is not None:
            members[settings.subject_field] = KeyMember(
                auditing.runtime.snapshots.of(self._subject), self._detail, None
            )
        return members

    def _location(self) -> Location | None:
        located = None if self._span is None else location_of(self._span.span)
        return located or location_of(self._attribution.server_span)

    def _merge(self) -> Callable[[Any], Any]:
        """Return the function that puts the members into one set of additional fields, or leaves them as they are."""
        provenance = self._auditing.runtime.provenance
        members = self._members()
        merge = Merge(members, provenance)
        for member in members.values():
            if member is not None:
                provenance.remember(member)

        def change(fields: Any) -> Any:
            merged = self.guarded(STAGE_MERGE, merge.into, fields)
            if merged is None:
                self._attribution = self._attribution.failed()
                return fields
            if merged[1]:
                self.report(
                    STAGE_COLLISION,
                    CollisionError("a member with a reserved name was not ours; it is kept as _unverified"),
                )
            return merged[0]

        return change

    def _merge_into_arguments(self) -> bool:
        if self._auditing.place is not None:
            self._auditing.place.change(self._call, self._merge())
        return True

    def _merge_result(self, result: Any) -> tuple[Any] | None:
        auditing = self._auditing
        if auditing.when is not None and auditing.when_needs_result and not self.applies(auditing.when):
            self._passed_through = True
            return None
        self._read_event(auditing.late_fields)
        self._choose()
        self.guarded(STAGE_TELEMETRY, self._show_on_server_span)
        if self._span is not None:
            self.guarded(STAGE_TELEMETRY, self._span.span.set_attributes, self._attributes())
        merged = self._merge()(result)
        self._count()
        return (merged,)

    # How it ended.

    def _end(self, error: BaseException | None) -> None:
        call = self._call
        call.exc = error
        if not self._counted:
            self._attribution = self._attribution.failed()
            self._count()
        self._read_event(self._auditing.late_fields)
        if error is None and self._detail is Detail.FULL and (self._event.request_key or self._event.subject_key):
            self.guarded(STAGE_SAMPLING, self._auditing.runtime.sampler.written, self._event)
        if self._span is not None:
            late = {name: value for name, value in self._known.items() if name in self._auditing.late_fields}
            self.guarded(STAGE_TELEMETRY, self._span.end, self._event_attributes(late), error)

    def _count(self) -> None:
        if not self._counted:
            self._counted = True
            kind = self._attribution.kind
            detail = self._detail.value if kind == names.ATTRIBUTED else None
            self._auditing.runtime.metrics.writes.add(kind, detail)

    def _warn_of_ended_request(self) -> None:
        self._faults.warn_once(
            (self._target, "ended"),
            "%s: called after the end of the request it was started in, so its row names no key; "
            "put `with use_key(current_key()):` around work that outlives its request",
            self._target,
        )


def _read_scalar(name: str, read: Reader, call: Call) -> str | int | float | bool | None:
    value = read(call, None)
    if isinstance(value, Enum):
        value = value.value
    if value is None or (name == "outcome" and isinstance(value, (bool, int, float))):
        return value
    try:
        return text(value)
    except UnreadableError as error:
        raise UnreadableError(f"field {name!r}: {error}") from None


def _shown(value: str | int | float | bool) -> str:
    """Return a scalar as text, as an attribute shows it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
