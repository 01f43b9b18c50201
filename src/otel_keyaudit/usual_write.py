"""The usual audit write, in one step: of one key, in a request, with fields that are a dict or JSON text.

It does what the steps of :mod:`otel_keyaudit.audit` do, and nothing of what they do for other cases. Before it changes
anything it knows that nothing is out of the ordinary; else it leaves everything to them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import orjson

from otel_keyaudit import names
from otel_keyaudit.audit_plan import audit_event, last_write_attributes
from otel_keyaudit.member import Member
from otel_keyaudit.merge import quoted, spliced
from otel_keyaudit.places import Place
from otel_keyaudit.request_state import USED_KEY, current_request
from otel_keyaudit.snapshot import Detail
from otel_keyaudit.spans import AuditSpan, location_of, shown_beside
from otel_keyaudit.tripwire import Credentials
from otel_keyaudit.values import MAX_LENGTH

if TYPE_CHECKING:
    from otel_keyaudit.audit import AuditMoment
    from otel_keyaudit.audit_plan import AuditPlan


_FULL = Detail.FULL  # an enum is slow to tell its members


def usual_write(plan: AuditPlan) -> Callable[[AuditMoment], bool] | None:
    """Return the step that does all there is to do before a usual write, and does nothing about any other.

    Returns:
        ``None`` for a target that has no usual writes.
    """
    place = plan.place.position if isinstance(plan.place, Place) else None
    positions = {name: at for name, at in plan.positions.items() if at is not None}
    are_arguments = positions.keys() == plan.early.keys() and (
        plan.subject is None or plan.subject_position is not None
    )
    if place is None or plan.when is not None or plan.late or not (are_arguments and plan.runtime.sampler.is_ours):
        return None
    return _write(plan, positions, place)


def _write(plan: AuditPlan, positions: dict[str, int], place: int) -> Callable[[AuditMoment], bool]:
    runtime, subject_at, has_span = plan.runtime, plan.subject_position, plan.has_span
    event_fields, reserved = tuple(positions.items()), frozenset(plan.no_members)
    name = runtime.settings.request_field
    name_in_text = f"{quoted(name)}:"
    constant, choose, tracer = runtime.sampler.constant, runtime.sampler.choose, runtime.tracer
    snapshot_of, remember = runtime.snapshots.of, runtime.provenance.remember
    count_full, count_minimal = (plan.counters[names.ATTRIBUTED, is_full] for is_full in (True, False))
    is_settled = plan.ends_unseen and not has_span

    def write(moment: AuditMoment) -> bool:
        request, arguments = current_request(), moment.positional
        if request is None or not request.is_open or USED_KEY.get() is not None:
            return False
        key = request.attribution.key
        if key is None or (subject_at is not None and arguments[subject_at] is not None):
            return False
        event = _plain_event(arguments, event_fields, request.presented)
        fields = arguments[place]
        content = orjson.loads(fields) if type(fields) is str else {} if fields is None else fields
        if event is None or type(content) is not dict or not reserved.isdisjoint(content):
            return False
        detail, full_key = constant, None
        if detail is None:
            asked = audit_event(event, key, None)
            detail = choose(asked)
            if detail is _FULL:
                moment.written_in_full, full_key = asked, key
        request.wrote(last_write_attributes(event), full_key)
        snapshot, span = snapshot_of(key), request.server_span
        if has_span:
            moment.span = AuditSpan(tracer, span, event | shown_beside(request, snapshot, detail))
            span = moment.span.span
        member = Member(snapshot.full if detail is _FULL else snapshot.minimal, location_of(span))
        remember(member)
        changed = [*arguments]
        if content is fields or fields is None:
            changed[place] = {**content, name: member.as_object()}
        else:
            changed[place] = spliced(fields, f"{name_in_text}{member.as_json()}", bool(content))
        moment.positional = tuple(changed)
        moment.is_settled, moment.is_counted = is_settled, True
        count_full() if detail is _FULL else count_minimal()
        return True

    return write


def _plain_event(
    arguments: tuple[Any, ...], fields: tuple[tuple[str, int], ...], credentials: Credentials
) -> dict[str, str] | None:
    """Return an event that is plain text and holds no credential; ``None`` for any other."""
    event: dict[str, str] = {}
    for attribute, at in fields:
        value = arguments[at]
        if type(value) is str:
            event[attribute] = value
        elif value is not None:
            return None
    written = "\n".join(event.values())
    for credential in credentials:
        if credential in written:
            return None
    return event if written.isascii() and len(written) <= MAX_LENGTH else None
