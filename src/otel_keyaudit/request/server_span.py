"""What spans show: the key on the server span, a span of its own for each audit write."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextvars import Token
from typing import Any

from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanLimits
from opentelemetry.trace import Span, Status, StatusCode, Tracer

from otel_keyaudit import names
from otel_keyaudit.errors import FullSpanError, class_name
from otel_keyaudit.guard.collection import CHANGES_CONTEXT_IN_COLLECTION, current_collection
from otel_keyaudit.guard.faults import Faults, GuardedCall
from otel_keyaudit.key.snapshot import Attributes, Detail, ListAttribute, Snapshot, Snapshots
from otel_keyaudit.names import STAGE_TELEMETRY
from otel_keyaudit.request.state import NOTHING_SHOWN, NOTHING_SHOWN_YET, RequestState
from otel_keyaudit.row.snapshot_member import Location

_BLANK: dict[type, Any] = {str: "", tuple: (), ListAttribute: (), bool: False, int: 0}
_LIMITS = SpanLimits()
_FULL = Detail.FULL.value
_MINIMAL = Detail.MINIMAL  # an enum is slow to tell its members


class ServerSpans:
    """Keeps the server span of a request saying what is true of it now.

    Args:
        snapshots: Encodes keys.
        always_full: Every row is full, so that the lists can be shown from authentication on.
        faults: Counts what fails outside of any call of a target.
    """

    def __init__(self, snapshots: Snapshots, *, always_full: bool, faults: Faults) -> None:
        self._snapshots = snapshots
        self._always_full = always_full
        self._faults = faults

    def show(self, state: RequestState) -> None:
        """Set what changed, in one call. What no longer holds is overwritten, since the API cannot remove it.

        In a finalizer nothing is set: the next change shows it.

        Raises:
            FullSpanError: There was no room for all of it.
        """
        span = state.recorded_span
        if span is None or not span.is_recording() or current_collection() is not None:
            return
        before = state.shown
        key = before[0] if state.attribution is state.shown_for else self._of_key(state)
        outcome, write = state.outcome, state.last_write
        changed: Mapping[str, Any]
        if before is NOTHING_SHOWN_YET:
            changed = {**key, **outcome, **write}
        elif key is before[0] and outcome is before[1] and not before[2]:
            changed = write  # the first one, as nearly always
        else:
            changed = _difference(key, before[0]) | _difference(outcome, before[1]) | _difference(write, before[2])
        state.shown_for = state.attribution
        if changed:
            left_out = _without_room(span, changed)
            if left_out:
                span.set_attributes(_without(left_out, changed))
                state.shown = _without(left_out, key), _without(left_out, outcome), _without(left_out, write)
                state.shown_for = None
                raise FullSpanError(f"a span is full: {len(left_out)} attributes are left out")
            span.set_attributes(changed)
        state.shown = key, outcome, write

    def show_alone(self, state: RequestState) -> None:
        """Do the same outside of any call of a target; what fails is counted and logged."""
        GuardedCall(self._faults, "server span").guarded(STAGE_TELEMETRY, self.show, state)

    def _of_key(self, state: RequestState) -> Mapping[str, Any]:
        key = state.attribution.key
        if key is None:
            if state.attribution.is_ambiguous:
                return ambiguous_attributes(state.attribution.ids, self._snapshots.max_items)
            key = state.used_key
            if key is None:
                return NOTHING_SHOWN
        snapshot = self._snapshots.of(key)
        return snapshot.shown_full if self._always_full or state.full_key_id == key.id else snapshot.shown_minimal


def _without_room(span: Any, changed: Mapping[str, Any]) -> Collection[str]:
    """Return what there is no room for: a full span of the SDK drops its oldest attributes, which are not ours.

    No public API tells the limit of a span. Should the SDK keep it elsewhere one day, that of the environment is taken.
    """
    try:
        limit, there = span._limits.max_span_attributes, span.attributes
    except AttributeError:
        limit, there = _LIMITS.max_span_attributes, getattr(span, "attributes", None)
    if limit is None or there is None or len(there) + len(changed) <= limit:
        return ()
    return [name for name in changed if name not in there][max(limit - len(there), 0) :]


def _without(left_out: Collection[str], attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if name not in left_out}


def _difference(part: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a part of the attributes now says otherwise, and blanks for what it no longer says."""
    if part is before:
        return {}
    new = {name: value for name, value in part.items() if before.get(name) != value}
    return new | {name: _BLANK[type(value)] for name, value in before.items() if name not in part}


def ambiguous_attributes(ids: tuple[str, ...], max_items: int) -> Attributes:
    """Return what is said of a request that showed several keys."""
    return {names.AMBIGUOUS: True, names.KEY_IDS: ids[:max_items]}


def shown_beside(state: RequestState | None, snapshot: Snapshot, detail: Detail) -> Attributes:
    """Return what an audit span shows of a key: of a full row the lists, too, unless the server span has them."""
    if detail is _MINIMAL:
        return snapshot.shown_minimal
    key = NOTHING_SHOWN if state is None else state.shown[0]
    has_lists = key is snapshot.shown_full or (key and _shows_lists(key, snapshot.digest))
    return snapshot.shown_without_lists if has_lists else snapshot.shown_full


def _shows_lists(key: Mapping[str, Any], digest: str) -> bool:
    return key.get(names.KEY_DIGEST) == digest and key.get(names.DETAIL) == _FULL


def location_of(span: Span | None) -> Location | None:
    """Return trace and span id of a span, whether it is recorded or not; ``None`` when there is none."""
    if span is None:
        return None
    context = span.get_span_context()
    if not context.is_valid:
        return None
    return context.trace_id.to_bytes(16, "big").hex(), context.span_id.to_bytes(8, "big").hex()


class AuditSpan:
    """The span of one audit write: started before the row is built, current while the application writes it."""

    __slots__ = ("_token", "span")

    def __init__(self, tracer: Tracer, server_span: Span | None, attributes: Mapping[str, Any]) -> None:
        self.span = tracer.start_span(
            _name(attributes),
            context=_parent(server_span),
            attributes=attributes,
        )
        self._token: Token[context_api.Context] | None = None

    def enter(self) -> None:
        """Make it the current span."""
        if not _is_inside_an_instruction():
            self._token = context_api.attach(trace.set_span_in_context(self.span))

    def leave(self, error: BaseException | None) -> None:
        """Make the outer span the current one again; abandoned code may be cleaned up in another context."""
        if self._token is None or _is_inside_an_instruction():
            return
        if type(error) is not GeneratorExit or trace.get_current_span() is self.span:
            context_api.detach(self._token)
            self._token = None

    def change(self, attributes: Mapping[str, Any]) -> None:
        """Show what became known since it was started."""
        if self.span.is_recording():
            self.span.set_attributes(attributes)
            if names.ACTION in attributes:
                self.span.update_name(_name(attributes))

    def end(self, attributes: Mapping[str, Any], error: BaseException | None) -> None:
        """Leave and end it, with what became known of the write; an exception is named by its class alone."""
        try:
            self.leave(error)
            if error is not None:
                self.span.set_status(Status(StatusCode.ERROR))
                attributes = {**attributes, names.ERROR_TYPE: class_name(error)}
            if attributes:
                self.change(attributes)
        finally:
            self.span.end()


def _is_inside_an_instruction() -> bool:
    return not CHANGES_CONTEXT_IN_COLLECTION and current_collection() is not None


def _name(attributes: Mapping[str, Any]) -> str:
    action = attributes.get(names.ACTION)
    return f"audit {action}" if action else "audit"


def _parent(server_span: Span | None) -> context_api.Context | None:
    """Return the context to start an audit span in: the current one, if it is in the trace of the request."""
    if server_span is None:
        return None
    current = trace.get_current_span()
    if current is server_span:
        return None
    wanted = server_span.get_span_context()
    if not wanted.is_valid or current.get_span_context().trace_id == wanted.trace_id:
        return None
    return trace.set_span_in_context(server_span)
