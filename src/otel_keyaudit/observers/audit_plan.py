"""An audit target, compiled for the function it was found to be: what is read of a call, when, and where fields go."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any

from otel_keyaudit import names
from otel_keyaudit.errors import UnreadableError
from otel_keyaudit.guard.guard import Step, run_silently
from otel_keyaudit.guard.metrics import Tally
from otel_keyaudit.key.api_key import ApiKey
from otel_keyaudit.key.canonical import text
from otel_keyaudit.key.snapshot import Detail
from otel_keyaudit.observers.components import Runtime
from otel_keyaudit.observers.observed_call import Plan
from otel_keyaudit.observers.sampling import AuditEvent
from otel_keyaudit.patching.arguments import Binding
from otel_keyaudit.row.field_place import CodePlace, FieldPlace, PlacedTarget
from otel_keyaudit.row.snapshot_member import SnapshotMember
from otel_keyaudit.targets.call import Reader, plain_parameter
from otel_keyaudit.targets.expression import Expression, parse
from otel_keyaudit.targets.key_reader import KeyReader
from otel_keyaudit.targets.key_source import KeySource
from otel_keyaudit.targets.target import AuditTarget, Source

_EVENT_FIELDS = {
    names.ACTION: "action",
    names.RESOURCE_TYPE: "resource_type",
    names.RESOURCE_ID: "resource_id",
    names.AUDIT_OUTCOME: "outcome",
}
"""The attributes that show an event, and the fields of the target from which they are read."""


class AuditPlan(Plan):
    """What is done for each call of an audit target.

    Attributes:
        builds_fields: The function returns the additional fields.
        place: Where they are among the arguments otherwise; ``None`` also where a row has no place for them.
        when_needs_result: Only the result tells whether a call is meant.
        subject: Reads what the row is about; ``None`` when it is never a key.
        subject_position: Where that is among the positional arguments of all calls, when it is an argument.
        early: Readers of what is known of the event before the call, by the attribute that shows it.
        positions: Where that is among the positional arguments of all calls; ``None`` for what is no argument.
        late: Readers of what only its result or exception tells.
        has_span: Each write has a span of its own.
        ends_unseen: Nobody need be told that a row was written, when it has no span.
        counters: Count a call, by what its row could be given, and whether that was in full.
        no_members: The member names that only this library may give, with nothing under them.
        when_built: What is done when the additional fields have been built.
        when_returned: What is done at the end of a call.
        when_raised: What is done at the end of one that raised.
    """

    when_built: Sequence[Step] = ()
    when_returned: Sequence[Step] = ()
    when_raised: Sequence[Step] = ()

    def __init__(self, runtime: Runtime, target: AuditTarget, binding: Binding) -> None:
        super().__init__(runtime, target, binding)
        self.target = target
        path = target.fields_place
        self.builds_fields = target.builds_fields
        self.place: FieldPlace | CodePlace | None = target.place if isinstance(target, PlacedTarget) else None
        if path is not None and self.place is None:
            self.place = FieldPlace(path, binding, target.words.get("fields_as"))
        when = target.sources.get("when")
        self.when_needs_result = when is not None and self._waits(when)
        self.subject = self.reader(target.sources.get("subject"))
        self.subject_position = self._position(target.sources.get("subject"))
        fields = target.subject_sources()
        given = [name for name in fields if f"subject_{name}" in target.sources]
        self.subject_source = KeySource(
            fields, given, runtime.key_types, deferred=runtime.deferred, target=target.written
        )
        self.early: dict[str, Reader] = {}
        self.positions: dict[str, int | None] = {}
        self.late: dict[str, Reader] = {}
        self._sort_event_fields()
        self.has_span = runtime.settings.audit_spans
        self.ends_unseen = not (self.late or self.when_needs_result or runtime.sampler.takes_note)
        reserved = runtime.settings.request_field, runtime.settings.subject_field
        self.no_members: dict[str, SnapshotMember | None] = dict.fromkeys(
            reserved[:1] if self.subject is None else reserved
        )
        self.counters = _counters(runtime.metrics.writes)

    def warn_of_end(self) -> None:
        """Say, once, how work that outlives its request keeps the key."""
        self.faults.warn_once(
            (self.written, "ended"),
            "%s: called after the end of the request it was started in, so its row names no key; "
            "put `with use_key(current_key()):` around work that outlives its request",
            self.written,
        )

    def subject_reader(self, subject: object) -> KeyReader | None:
        """Return what reads a subject; ``None`` for one that is not an API key."""
        kind, runtime = type(subject), self.runtime
        of_class = runtime.key_classes.get(kind)
        is_key = of_class is not None or self.target.subject_sources_given or runtime.key_types.is_in_use(kind)
        if not is_key and not isinstance(subject, ApiKey):
            return None
        return self.subject_source.reader_for(kind, of_class)

    def _waits(self, source: Source) -> bool:
        """Say whether a source is read after the call; a function may need the result, if there is time until then."""
        if isinstance(source, Expression):
            return not source.roots.isdisjoint({"return", "exc"})
        return self.builds_fields

    def _position(self, source: Source | None) -> int | None:
        """Return where a source is among the positional arguments of all calls; ``None`` for what is no argument."""
        parameter = None if source is None else plain_parameter(source)
        return None if parameter is None else self.binding.position(parameter)

    def _sort_event_fields(self) -> None:
        for name, field in _EVENT_FIELDS.items():
            source = self.target.sources.get(field)
            if source is None and self.binding.declares(field):
                source = parse(f"args.{field}", emitted=True)
            if source is None:
                continue
            read = self.compiled(source)
            if self.when_needs_result or self._waits(source):
                self.late[name] = read
            elif field == "outcome" and not isinstance(source, Expression):
                # A function may tell from the arguments, for the detail; and from the result, for the span.
                self.early[name], self.late[name] = _quiet(read), read
            else:
                self.early[name] = read
                self.positions[name] = self._position(source)


def _counters(writes: Tally) -> dict[tuple[str, bool], Callable[[], object]]:
    return {
        (kind, detail is Detail.FULL): writes.counter(
            kind, detail.value if kind == names.ATTRIBUTED else None
        ).increment
        for kind in (names.ATTRIBUTED, names.AMBIGUOUS_REQUEST, names.NO_KEY, names.FAILED)
        for detail in Detail
    }


def _quiet(read: Reader) -> Reader:
    return lambda call, base: run_silently(read, call, base)


def event_value(name: str, value: Any) -> str | int | float | bool | None:
    """Return what is kept of an event under an attribute: a text, or for an outcome also a number or a bool.

    Raises:
        UnreadableError: It is something else.
    """
    if isinstance(value, Enum):
        value = value.value
    if value is None or (name == names.AUDIT_OUTCOME and isinstance(value, (bool, int, float))):
        return value
    try:
        return text(value)
    except UnreadableError as error:
        raise UnreadableError(f"field {_EVENT_FIELDS[name]!r}: {error}") from None


def audit_event(event: Mapping[str, Any], request_key: ApiKey | None, subject_key: ApiKey | None) -> AuditEvent:
    """Return what a sampler is told."""
    fields = {field: event[name] for name, field in _EVENT_FIELDS.items() if name in event}
    return AuditEvent(**fields, request_key=request_key, subject_key=subject_key)


def event_attributes(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a span of the write's own shows of an event."""
    outcome = event.get(names.AUDIT_OUTCOME)
    return event if outcome is None else {**event, names.AUDIT_OUTCOME: _shown(outcome)}


def last_write_attributes(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what the server span shows of the last event: whether that succeeded is not about the request."""
    if names.AUDIT_OUTCOME not in event:
        return event
    return {name: value for name, value in event.items() if name != names.AUDIT_OUTCOME}


def _shown(value: str | int | float | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
