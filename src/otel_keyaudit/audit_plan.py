"""An audit target, compiled for the function it was found to be: what is read of a call, when, and where fields go."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from otel_keyaudit import names
from otel_keyaudit.api_key import ApiKey
from otel_keyaudit.binding import Binding
from otel_keyaudit.calls import Call, Reader, reader
from otel_keyaudit.errors import UnreadableError
from otel_keyaudit.expressions import Expression, Path, parse
from otel_keyaudit.guard import run_silently
from otel_keyaudit.key_types import KeyFields
from otel_keyaudit.member import AmbiguousMember, KeyMember, Location, Member
from otel_keyaudit.places import Change, Place, PlacedTarget
from otel_keyaudit.runtime import Runtime
from otel_keyaudit.snapshot import Attributes, Detail, Snapshot
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


class AuditPlan:
    """What is done for each call of an audit target.

    Attributes:
        builds_fields: The function returns the additional fields.
        place: Where they are among the arguments otherwise; ``None`` also where a row has no place for them.
        when_needs_result: Only the result tells whether a call is meant.
        early: Readers of what is known of the event before the call.
        late: Readers of what only its result or exception tells.
        reserved: The member names that only this library may give.
    """

    def __init__(self, runtime: Runtime, target: AuditTarget, binding: Binding) -> None:
        self.runtime = runtime
        self.target = target
        self.binding = binding
        path = _fields_path(target)
        self.builds_fields = path.root == "return"
        self.place: Place | PlacedTarget | None = target if isinstance(target, PlacedTarget) else None
        if target.has_fields and not self.builds_fields:
            self.place = Place(path, binding)
        when = target.sources.get("when")
        self.when = self._reader(when)
        self.when_is_function = when is not None and not isinstance(when, Expression)
        self.when_needs_result = when is not None and self._waits(when)
        self.subject = self._reader(target.sources.get("subject"))
        fields = target.subject_sources()
        given = [name for name in fields if f"subject_{name}" in target.sources]
        self.subject_fields = KeyFields(fields, given, runtime.key_types, deferred=runtime.deferred)
        self.early: dict[str, Reader] = {}
        self.late: dict[str, Reader] = {}
        self._sort_event_fields()
        reserved = runtime.settings.request_field, runtime.settings.subject_field
        self.reserved = reserved[:1] if self.subject is None else reserved

    def members(
        self,
        ids: tuple[str, ...],
        request: Snapshot | None,
        subject: ApiKey | None,
        detail: Detail,
        location: Location | None,
    ) -> dict[str, Member | None]:
        """Return what a row is given by reserved name: the ids of an ambiguous request, or the snapshots."""
        settings, snapshots = self.runtime.settings, self.runtime.snapshots
        members: dict[str, Member | None] = dict.fromkeys(self.reserved)
        if ids:
            members[settings.request_field] = AmbiguousMember(ids, settings.max_items, location)
        elif request is not None:
            members[settings.request_field] = KeyMember(request, detail, location)
        if subject is not None:
            members[settings.subject_field] = KeyMember(snapshots.of(subject), detail, None)
        return members

    def built(self, call: Call, change: Change) -> Any:
        """Return the result of a function that builds the additional fields, changed."""
        return self.target.put(call, change) if isinstance(self.target, PlacedTarget) else change(call.result)

    def subject_readers(self, subject: object) -> Mapping[str, Reader] | None:
        """Return how the fields of a subject are read; ``None`` for one that is not an API key."""
        kind, runtime = type(subject), self.runtime
        of_class = runtime.key_classes.get(kind)
        is_key = of_class is not None or self.target.subject_sources_given or runtime.key_types.is_in_use(kind)
        if not is_key and not isinstance(subject, ApiKey):
            return None
        return {**self.subject_fields.of(kind), **(of_class or {}), **self.subject_fields.given(kind)}

    def _compiled(self, source: Source) -> Reader:
        return reader(source, deferred=self.runtime.deferred)

    def _reader(self, source: Source | None) -> Reader | None:
        return None if source is None else self._compiled(source)

    def _waits(self, source: Source) -> bool:
        """Say whether a source is read after the call; a function may need the result, if there is time until then."""
        if isinstance(source, Expression):
            return not source.roots.isdisjoint({"return", "exc"})
        return self.builds_fields

    def _sort_event_fields(self) -> None:
        for name in _EVENT_FIELDS:
            source = self.target.sources.get(name)
            if source is None and self.binding.declares(name):
                source = parse(f"args.{name}", emitted=True)
            if source is None:
                continue
            read = self._compiled(source)
            if self.when_needs_result or self._waits(source):
                self.late[name] = read
            elif name == "outcome" and not isinstance(source, Expression):
                # A function may tell from the arguments, for the detail; and from the result, for the span.
                self.early[name], self.late[name] = _quiet(read), read
            else:
                self.early[name] = read


def _fields_path(target: AuditTarget) -> Path:
    source = target.sources.get("fields") or parse(DEFAULT_FIELDS, emitted=False)
    if not isinstance(source, Expression):
        raise UnreadableError("'fields' is not a path")
    return source.paths[0]


def _quiet(read: Reader) -> Reader:
    return lambda call, base: run_silently(read, call, base)


def read_event_field(name: str, read: Reader, call: Call) -> str | int | float | bool | None:
    """Return a field of an event: a text, or for an outcome also a number or a bool.

    Raises:
        UnreadableError: It is something else.
    """
    value = read(call, None)
    if isinstance(value, Enum):
        value = value.value
    if value is None or (name == "outcome" and isinstance(value, (bool, int, float))):
        return value
    try:
        return text(value)
    except UnreadableError as error:
        raise UnreadableError(f"field {name!r}: {error}") from None


def event_attributes(known: Mapping[str, Any]) -> Attributes:
    """Return what a span shows of an event."""
    return {_EVENT_FIELDS[name]: _shown(value) for name, value in known.items()}


def _shown(value: str | int | float | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
