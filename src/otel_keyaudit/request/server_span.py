"""The attributes of a server span: only changed attributes are set."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any, Final

from opentelemetry.sdk.trace import SpanLimits
from opentelemetry.trace import Span

from otel_keyaudit import names
from otel_keyaudit.errors import FullSpanError
from otel_keyaudit.guard.collection import current_collection
from otel_keyaudit.guard.faults import Faults, GuardedCall
from otel_keyaudit.guard.signals import is_raised_by_signal_handler
from otel_keyaudit.key.snapshot import Attributes, Snapshots
from otel_keyaudit.request.attribution import NO_DELEGATION, Attribution, Delegation

NO_ATTRIBUTES: Final[Mapping[str, Any]] = MappingProxyType({})

AMPLE_ROOM = 64
"""Number of free attributes above which the limit of a span is not checked again: the library sets about thirty."""

_LIMITS = SpanLimits()


Location = tuple[str, str]
"""Trace and span id, in lower-case hex of 32 and 16 digits (W3C trace context)."""


def location_of(span: Span) -> Location | None:
    """Return the trace and span id of a span, ``None`` for a span without ids."""
    context = span.get_span_context()
    if not context.is_valid:
        return None
    return f"{context.trace_id:032x}", f"{context.span_id:016x}"


class ServerSpans:
    """Serializes keys for server spans.

    Args:
        snapshots: The keys in their serialized forms.
        always_full: Every row is full, so a server span gets the lists at authentication.
        faults: Counts failures outside of calls of targets.
    """

    def __init__(self, snapshots: Snapshots, *, always_full: bool, faults: Faults) -> None:
        self._snapshots = snapshots
        self._always_full = always_full
        self._faults = faults
        self.max_items = snapshots.max_items

    def of_key(self, attribution: Attribution, full_key_id: str | None) -> Mapping[str, Any]:
        """Return the attributes of a request's key.

        Args:
            attribution: The attribution of the request.
            full_key_id: Id of the key with a full row, or with a decision that was denied or an error.
        """
        key = attribution.key
        if key is None:
            is_ambiguous = attribution.kind == names.AMBIGUOUS_REQUEST
            return ambiguous_attributes(attribution) if is_ambiguous else NO_ATTRIBUTES
        snapshot = self._snapshots.of(key)
        is_full = self._always_full or key.id == full_key_id
        attributes = snapshot.shown_full if is_full else snapshot.shown_minimal
        if attribution.delegation is NO_DELEGATION:
            return attributes
        added = delegation_attributes(attribution.delegation, self.max_items)
        return {**attributes, **added} if added else attributes

    def guarded(self, show: Callable[[], None]) -> None:
        """Update a server span outside of calls of targets; a failure is counted."""
        GuardedCall(self._faults, "server span").guarded(names.STAGE_TELEMETRY, show)


def ambiguous_attributes(attribution: Attribution) -> Attributes:
    """Return the attributes of a request with several keys."""
    return {names.AMBIGUOUS: True, names.KEY_IDS: attribution.ids}


def delegation_attributes(delegation: Delegation, max_items: int) -> Attributes:
    """Return the attributes of a delegation, with at most ``max_items`` actors."""
    return {_DELEGATION[name]: value for name, value in delegation.members(max_items).items()}


_DELEGATION = {
    "on_behalf_of": names.ON_BEHALF_OF,
    "actors": names.ACTORS,
    "actors_count": names.ACTORS_COUNT,
}
"""The attributes of a delegation by member of a row."""


KEY, OUTCOME, WRITE, DECISION = range(4)
"""The groups of attributes on a server span."""


class ServerSpan:
    """A recorded server span with the attributes of the library.

    Args:
        span: The span.

    Attributes:
        changed: Attributes that have not been set yet.
    """

    __slots__ = ("_has_ample_room", "_parts", "_span", "changed")

    def __init__(self, span: Span) -> None:
        self._span = span
        self._parts = [NO_ATTRIBUTES, NO_ATTRIBUTES, NO_ATTRIBUTES, NO_ATTRIBUTES]
        self.changed: dict[str, Any] = {}
        self._has_ample_room = False

    def show(self, *parts: tuple[int, Mapping[str, Any]]) -> None:
        """Replace the attributes of groups, and set the changed ones in one call.

        Outdated attributes become empty, because the API cannot remove them. During a garbage collection the
        interrupted code may hold the lock of the span, so the attributes are set with the next change.

        Raises:
            FullSpanError: The span had no room for all attributes.
        """
        for part, attributes in parts:
            before = self._parts[part]
            if attributes is not before:
                self._parts[part] = attributes
                self.changed |= _difference(attributes, before) if before else attributes
        changed, span = self.changed, self._span
        if not changed or current_collection() is not None or not span.is_recording():
            return
        self.changed = {}
        left_out = () if self._has_ample_room else self._without_room(changed)
        if not left_out:
            span.set_attributes(changed)
            return
        span.set_attributes(_without(left_out, changed))
        self._parts = [_without(left_out, part) for part in self._parts]
        raise FullSpanError(f"the span is full; {len(left_out)} attributes were left out")

    @property
    def lists_digest(self) -> str | None:
        """The digest of the key whose lists the span has, ``None`` while a change is pending."""
        key = self._parts[KEY]
        return None if self.changed or key.get(names.DETAIL) != "full" else key[names.KEY_DIGEST]

    def _without_room(self, changed: Mapping[str, Any]) -> Collection[str]:
        """Return the attributes without room. A full span would drop its oldest attributes, which the application set.

        The limit of a span is private in the SDK. If it cannot be read, the limit of the environment counts.
        """
        span: Any = self._span
        try:
            limit, present = span._limits.max_span_attributes, span.attributes
        except AttributeError as error:
            if is_raised_by_signal_handler(error):
                raise
            limit, present = _LIMITS.max_span_attributes, getattr(span, "attributes", None)
        if limit is None or present is None or len(present) + len(changed) + AMPLE_ROOM <= limit:
            self._has_ample_room = True
            return ()
        if len(present) + len(changed) <= limit:
            return ()
        return [name for name in changed if name not in present][max(limit - len(present), 0) :]


def _without(left_out: Collection[str], attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if name not in left_out}


def _difference(now: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """Return the changed attributes, and empty values for the removed ones."""
    changed = {name: value for name, value in now.items() if before.get(name) != value}
    return changed | {name: _empty(value) for name, value in before.items() if name not in now}


def _empty(value: object) -> str | bool | int | tuple[str, ...]:
    if isinstance(value, bool):
        return False
    if isinstance(value, int):
        return 0
    return "" if isinstance(value, str) else ()
