"""The usual audit write, in one step: of one key, in a request, with fields that are a dict or JSON text.

It does what the steps of :mod:`otel_keyaudit.audit` do, and nothing of what they do for other cases. Before it changes
anything it knows that nothing is out of the ordinary; else it leaves everything to them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import orjson

from otel_keyaudit import names
from otel_keyaudit.finalizers import collection
from otel_keyaudit.member import Member
from otel_keyaudit.merge import quoted, spliced
from otel_keyaudit.places import Place
from otel_keyaudit.request_state import call_in_context, used_key_in_context
from otel_keyaudit.snapshot import Detail
from otel_keyaudit.spans import location_of
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
    if plan.has_span or plan.builds_fields or plan.when is not None or plan.subject is not None:
        return None
    return _write(plan, detail, positions, position)


def _write(plan: AuditPlan, detail: Detail, positions: dict[str, int], place: int) -> Callable[[AuditMoment], bool]:
    runtime = plan.runtime
    event_fields = tuple(positions.items())
    most = max((place, *positions.values()))
    name = runtime.settings.request_field
    reserved = frozenset(plan.no_members)
    name_in_text = f"{quoted(name)}:"
    snapshot_of, remember = runtime.snapshots.of, runtime.provenance.remember
    count = plan.counters[names.ATTRIBUTED, detail is Detail.FULL]

    def write(moment: AuditMoment) -> bool:
        request, arguments = call_in_context(), moment.positional
        if collection.thread is not None or request is None or used_key_in_context() is not None:
            return False
        key = request.attribution.key
        if key is None or not request.is_open or request.has_consumers or len(arguments) <= most:
            return False
        event = moment._event
        for attribute, at in event_fields:
            value = arguments[at]
            if type(value) is not str or len(value) > MAX_LENGTH or not value.isascii():
                return False
            for credential in request.presented:
                if credential in value:
                    return False
            event[attribute] = value
        fields = arguments[place]
        content = orjson.loads(fields) if type(fields) is str else fields
        if type(content) is not dict or not reserved.isdisjoint(content):
            return False
        request.wrote(event, None)
        member = Member(snapshot_of(key).form(detail), location_of(request.server_span))
        remember(member)
        changed = [*arguments]
        if content is fields:
            changed[place] = {**fields, name: member.as_object()}
        else:
            changed[place] = spliced(fields, f"{name_in_text}{member.as_json()}", bool(content))
        moment.positional = tuple(changed)
        moment.is_settled = True
        count()
        return True

    return write
