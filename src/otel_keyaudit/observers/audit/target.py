"""An audit target, compiled for its function: readers of the event and the subject, and the places to write to."""

from __future__ import annotations

from collections.abc import Callable, KeysView, Mapping
from enum import Enum
from functools import partial
from typing import Any

from otel_keyaudit import names
from otel_keyaudit.errors import UnreadableError
from otel_keyaudit.guard.faults import GuardedCall
from otel_keyaudit.guard.guard import FieldGuard, quietly
from otel_keyaudit.guard.metrics import Count
from otel_keyaudit.key import canonical
from otel_keyaudit.key.api_key import ApiKey
from otel_keyaudit.key.snapshot import Detail
from otel_keyaudit.names import STAGE_MERGE
from otel_keyaudit.observers.components import Components
from otel_keyaudit.observers.observed_call import CompiledTarget, ObservedCall
from otel_keyaudit.patching.arguments import Binding
from otel_keyaudit.row.code_place import CodePlace, PlacedTarget
from otel_keyaudit.row.field_place import FieldPlace, ValuePlace
from otel_keyaudit.targets.call import Call, Reader
from otel_keyaudit.targets.expressions.expression import Expression, Source, parse
from otel_keyaudit.targets.key_objects.key_reader import KeyReader
from otel_keyaudit.targets.plain_arguments import plain_reader
from otel_keyaudit.targets.presented_credential import check
from otel_keyaudit.targets.target import AuditTarget

EVENT_FIELDS = {
    names.ACTION: "action",
    names.RESOURCE_TYPE: "resource_type",
    names.RESOURCE_ID: "resource_id",
    names.AUDIT_OUTCOME: "outcome",
}
"""The attributes of an event, and the fields of the target from which they are read."""

VALUE_PLACES = ("id_to", "name_to", "digest_to", "trace_id_to")
"""The fields of a target that name a place for a single value."""

Event = dict[str, Any]
"""An event by the attribute that shows each field."""


class CompiledAuditTarget(CompiledTarget):
    """An audit target, compiled for its function.

    Attributes:
        builds_fields: The function returns the additional fields.
        place: The place of the additional fields; ``None`` if the row has none.
        argument_values: The places in the arguments that receive a single value, with their field.
        result_values: The places in the result that receive a single value, with their field.
        read_subject: Reads the object that the row is about; ``None`` without a subject.
        late: Readers of the event fields that need the end of the call.
        has_span: Each write has its own span.
        reserved: The names of members that only the library may write, the request key's first.
        counters: Counters of calls by attribution and detail.
    """

    def __init__(self, components: Components, target: AuditTarget, binding: Binding) -> None:
        self.builds_fields = target.builds_fields
        super().__init__(components, target, binding)
        settings = components.settings
        self.has_span = settings.audit_spans
        self.counters = _counters(components.metrics.writes.counter)
        self.place = self._field_place(target)
        self.argument_values = self._value_places(target, in_result=False)
        self.result_values = self._value_places(target, in_result=True)
        self.read_subject = self.reader(self.source("subject"))
        self.read_subject_before = self.reader(self.source("subject_before"))
        self.names_subject = target.subject_sources_given
        self.subject_source = self.source_of_keys(target.subject_sources(), "subject_")
        subject_field = [] if self.read_subject is None else [settings.subject_field]
        self.reserved: KeysView[str] = dict.fromkeys([settings.request_field, *subject_field]).keys()
        self._early: dict[str, Reader] = {}
        self.late: dict[str, Reader] = {}
        self._sort_event_fields()
        self._read_plain = plain_reader(map(self._event_source, self._early), binding)

    def _field_place(self, target: AuditTarget) -> FieldPlace | CodePlace | None:
        if target.fields_place is not None:
            return FieldPlace(target.fields_place, self.binding, target.choices.get("fields_as"), self._attempt_later)
        return target.place if isinstance(target, PlacedTarget) else None

    def _value_places(self, target: AuditTarget, *, in_result: bool) -> list[tuple[str, ValuePlace]]:
        """Return the places in the arguments or the result that receive a single value, with their field."""
        paths = [(field, path) for field, path in target.places.items() if field in VALUE_PLACES]
        return [
            (field, ValuePlace(path, self.binding, self._attempt_later))
            for field, path in paths
            if (path.root == "return") is in_result
        ]

    @property
    def outcomes(self) -> dict[str, int]:
        """Number of calls by attribution."""
        counts: dict[str, int] = {}
        for (kind, _), counter in self.counters.items():
            counts[kind] = counts.get(kind, 0) + counter.value
        return counts

    @property
    def can_have_action(self) -> bool:
        """Whether a row of this target can have an action."""
        return names.ACTION in self._early or names.ACTION in self.late

    def close(self) -> None:
        """Stop observing calls."""
        super().close()
        writes, counters = self.components.metrics.writes, self.counters
        self.counters = _counters(writes.shared)  # for writes that have not ended
        writes.close(counters.values())

    def needs_end(self, source: Source | None) -> bool:
        """Return whether a source must be read after the call; for a function, only if the result is the row."""
        if source is None or isinstance(source, Expression):
            return super().needs_end(source)
        return self.builds_fields

    def _attempt_later(self) -> Callable[..., Any]:
        """Return a guarded caller for elements that an iterator yields after the call; it counts the first failure."""
        return partial(GuardedCall(self.faults, self.target_string).guarded, STAGE_MERGE)

    # The event

    def read_event(self, call: ObservedCall, credentials: tuple[str, ...]) -> Event:
        """Return the fields of the event that are known before the call.

        Args:
            call: The call. An unreadable field is absent, and counted.
            credentials: The credentials that the request presented; they must not appear in the event.
        """
        if self._read_plain is not None:
            values = self._read_plain(call, credentials)
            if values is not None:
                return dict(zip(self._early, values, strict=True))
        return self._read(self._early, call, credentials)

    def read_late(self, call: ObservedCall, credentials: tuple[str, ...]) -> Event:
        """Return the fields of the event that need the end of the call."""
        return self._read(self.late, call, credentials) if self.late else {}

    def _read(self, readers: Mapping[str, Reader], call: ObservedCall, credentials: tuple[str, ...]) -> Event:
        event: Event = {}
        guard = FieldGuard(call.report)
        for name, read in readers.items():
            value = guard.guarded(EVENT_FIELDS[name], _event_value, name, read, call, credentials)
            if value is not None:
                event[name] = value
        return event

    def _event_source(self, name: str) -> Source | None:
        field = EVENT_FIELDS[name]
        source = self.source(field)
        if source is None and self.binding.declares(field):
            return parse(f"args.{field}", emitted=True)
        return source

    def _sort_event_fields(self) -> None:
        for name, field in EVENT_FIELDS.items():
            source = self._event_source(name)
            if source is None:
                continue
            read = self.compiled(source)
            if isinstance(source, Expression) and source.maps:
                read = _common(read)
            if self.when_needs_end or self.needs_end(source):
                self.late[name] = read
            elif field == "outcome" and not isinstance(source, Expression):
                # A function may need only the arguments, in time for the sampler, or the result, for the audit span.
                self._early[name], self.late[name] = _quiet(read), read
            else:
                self._early[name] = read

    # The subject

    def subject_reader(self, subject: object, *, is_key: bool) -> KeyReader | None:
        """Return the reader for a subject, ``None`` if it is not an API key.

        Args:
            subject: The object that the row is about.
            is_key: The subject is known to be a key.
        """
        kind, components = type(subject), self.components
        learned = components.key_classes.get(kind)
        is_key = is_key or learned is not None or self.names_subject or components.key_types.is_in_use(kind)
        if not is_key and not isinstance(subject, ApiKey):
            return None
        return self.subject_source.reader_for(kind, learned)

    def warn_of_end(self) -> None:
        """Warn once about a call after the end of its request, with the remedy."""
        self.faults.warn_once(
            (self.target_string, "ended"),
            "%s was called after the end of the request in which it was started, so its row names no key; put "
            "`with use_key(current_key()):` around work that outlives its request",
            self.target_string,
        )


def _counters(counter: Callable[..., Count]) -> dict[tuple[str, Detail], Count]:
    """Return the counters by attribution and detail. Only attributed writes have the detail as an attribute."""
    return {
        (kind, detail): counter(kind, detail.value if kind == names.ATTRIBUTED else None)
        for kind in (names.ATTRIBUTED, names.AMBIGUOUS_REQUEST, names.NO_KEY, names.FAILED)
        for detail in Detail
    }


def _quiet(read: Reader) -> Reader:
    return lambda call, base: quietly(read, call, base)


def _common(read: Reader) -> Reader:
    """Return a reader of the value that all elements of a list have, which is unknown if they differ."""

    def read_common(call: Call, base: Any) -> Any:
        values = read(call, base)
        if not isinstance(values, list):
            return values
        return values[0] if values and all(value == values[0] for value in values) else None

    return read_common


def _event_value(name: str, read: Reader, call: Call, credentials: tuple[str, ...]) -> str | int | float | bool | None:
    """Return a field of an event: a string; an outcome may also be a number or a bool.

    Raises:
        UnreadableError: The value has another type, or holds a credential.
    """
    value = read(call, None)
    if isinstance(value, Enum):
        value = value.value
    if value is None or (name == names.AUDIT_OUTCOME and isinstance(value, (bool, int, float))):
        return value
    try:
        string = canonical.as_string(value)
    except UnreadableError as error:
        raise UnreadableError(f"field {EVENT_FIELDS[name]!r}: {error}") from None
    if credentials:
        check(string, credentials)
    return string
