"""The usual audit write, in one step: of one key, in a request, with fields that are a dict or JSON text.

It does what the steps of :mod:`otel_keyaudit.audit` do, and nothing of what they do for other cases. Before it changes
anything it knows that nothing is out of the ordinary; else it leaves everything to them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any

import orjson

from otel_keyaudit import names
from otel_keyaudit.member import Member
from otel_keyaudit.merge import quoted, spliced
from otel_keyaudit.places import Place
from otel_keyaudit.request_state import CALL, USED_KEY
from otel_keyaudit.snapshot import Detail
from otel_keyaudit.spans import AuditSpan, location_of, shown_beside
from otel_keyaudit.values import MAX_LENGTH

if TYPE_CHECKING:
    from otel_keyaudit.audit import AuditMoment
    from otel_keyaudit.audit_plan import AuditPlan


def usual_write(plan: AuditPlan) -> Callable[[AuditMoment], bool] | None:
    """Return the step that does all there is to do before a usual write, and does nothing about any other.

    Returns:
        ``None`` for a target that has no usual writes.
    """
    detail, place = plan.runtime.sampler.constant, plan.place
    position = place.position if isinstance(place, Place) else None
    positions = {name: at for name, at in plan.positions.items() if at is not None}
    if detail is None or position is None or positions.keys() != plan.early.keys() or not plan.ends_unseen:
        return None
    if plan.builds_fields or plan.when is not None or plan.subject is not None:
        return None
    return _write(plan, detail, positions, position)


def _write(plan: AuditPlan, detail: Detail, positions: dict[str, int], place: int) -> Callable[[AuditMoment], bool]:
    runtime = plan.runtime
    attributes, values_of = tuple(positions), _getter(*positions.values())
    name = runtime.settings.request_field
    only_text = frozenset({str})
    reserved = frozenset(plan.no_members)
    name_in_text = f"{quoted(name)}:"
    form_of = attrgetter("full" if detail is Detail.FULL else "minimal")
    has_span, tracer = plan.has_span, runtime.tracer
    snapshot_of, remember = runtime.snapshots.of, runtime.provenance.remember
    count = plan.counters[names.ATTRIBUTED, detail is Detail.FULL]

    def write(moment: AuditMoment) -> bool:
        request, arguments = CALL.get(), moment.positional
        if request is None or USED_KEY.get() is not None:
            return False
        key = request.attribution.key
        if key is None or not request.is_open or request.has_consumers:
            return False
        values = values_of(arguments)
        written = "\n".join(values)
        if not (only_text.issuperset(map(type, values)) and len(written) <= MAX_LENGTH and written.isascii()):
            return False
        for credential in request.presented:
            if credential in written:
                return False
        fields = arguments[place]
        content = orjson.loads(fields) if type(fields) is str else fields
        if type(content) is not dict or not reserved.isdisjoint(content):
            return False
        event = dict(zip(attributes, values, strict=True))
        request.wrote(event, None)
        snapshot, span = snapshot_of(key), request.server_span
        if has_span:
            moment.span = AuditSpan(tracer, span, event | shown_beside(request, snapshot, detail))
            span = moment.span.span
        member = Member(form_of(snapshot), location_of(span))
        remember(member)
        changed = [*arguments]
        if content is fields:
            changed[place] = {**fields, name: member.as_object()}
        else:
            changed[place] = spliced(fields, f"{name_in_text}{member.as_json()}", bool(content))
        moment.positional = tuple(changed)
        moment.is_settled = not has_span
        moment.is_counted = True
        count()
        return True

    return write


def _getter(*positions: int) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """Return what takes the elements at some positions, as a sequence also when it is one or none."""
    return itemgetter(*positions) if len(positions) > 1 else lambda values: [values[at] for at in positions]
