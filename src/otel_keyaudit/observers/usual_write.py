"""The usual audit write, in one step: in a request, of one key or none, with fields that are a dict or JSON text.

It does what the steps of ``audit_steps`` do, and nothing of what they do for other cases. Before it
changes anything it knows that nothing is out of the ordinary; else it leaves everything to them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import orjson

from otel_keyaudit import names
from otel_keyaudit.key.api_key import ApiKey
from otel_keyaudit.key.canonical import MAX_LENGTH
from otel_keyaudit.key.snapshot import Detail
from otel_keyaudit.observers.audit_plan import audit_event, last_write_attributes
from otel_keyaudit.request.attribution import NOTHING
from otel_keyaudit.request.context import USED_KEY, current_request
from otel_keyaudit.request.server_span import AuditSpan, location_of, shown_beside
from otel_keyaudit.request.state import RequestState
from otel_keyaudit.row.fields_place import Place
from otel_keyaudit.row.merge import quoted, spliced
from otel_keyaudit.row.snapshot_member import Member
from otel_keyaudit.targets.presented_credential import Credentials

if TYPE_CHECKING:
    from otel_keyaudit.observers.audit import AuditMoment
    from otel_keyaudit.observers.audit_plan import AuditPlan


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
    return _UsualWrite(plan, positions, place).write


class _UsualWrite:
    """The usual writes of one target.

    Args:
        plan: The target.
        positions: Where what is known of the event is among the positional arguments, by the attribute that shows it.
        place: Where the additional fields are.
    """

    def __init__(self, plan: AuditPlan, positions: dict[str, int], place: int) -> None:
        runtime = plan.runtime
        self._place = place
        self._subject_at = plan.subject_position
        self._event_fields = tuple(positions.items())
        self._reserved = frozenset(plan.no_members)
        self._name = runtime.settings.request_field
        self._name_in_text = f"{quoted(self._name)}:"
        self._detail, self._choose = runtime.sampler.constant, runtime.sampler.choose
        self._snapshot_of, self._remember = runtime.snapshots.of, runtime.provenance.remember
        self._has_span, self._tracer = plan.has_span, runtime.tracer
        self._is_settled = plan.ends_unseen and not plan.has_span
        self._count_full, self._count_minimal = (plan.counters[names.ATTRIBUTED, is_full] for is_full in (True, False))
        self._count_none = plan.counters[names.NO_KEY, True]

    def write(self, moment: AuditMoment) -> bool:
        """Do all there is to do, or nothing; say which."""
        request, arguments = current_request(), moment.positional
        if request is None or not request.is_open or USED_KEY.get() is not None:
            return False
        if self._subject_at is not None and arguments[self._subject_at] is not None:
            return False
        event, fields = _plain_event(arguments, self._event_fields, request.presented), arguments[self._place]
        content = orjson.loads(fields) if type(fields) is str else {} if fields is None else fields
        if event is None or type(content) is not dict or not self._reserved.isdisjoint(content):
            return False
        key = request.attribution.key
        if key is not None:
            self._with_key(moment, request, key, event, content)
        elif request.attribution is NOTHING:
            self._without_key(moment, request, event)
        else:
            return False
        moment.is_settled, moment.is_counted = self._is_settled, True
        return True

    def _without_key(self, moment: AuditMoment, request: RequestState, event: dict[str, str]) -> None:
        request.wrote(last_write_attributes(event), None)
        if self._has_span:
            moment.span = AuditSpan(self._tracer, request.server_span, event)
        self._count_none()

    def _with_key(
        self, moment: AuditMoment, request: RequestState, key: ApiKey, event: dict[str, str], content: dict[Any, Any]
    ) -> None:
        detail, full_key = self._detail, None
        if detail is None:
            asked = audit_event(event, key, None)
            detail = self._choose(asked)
            if detail is _FULL:
                moment.written_in_full, full_key = asked, key
        request.wrote(last_write_attributes(event), full_key)
        snapshot, span = self._snapshot_of(key), request.server_span
        if self._has_span:
            moment.span = AuditSpan(self._tracer, span, event | shown_beside(request, snapshot, detail))
            span = moment.span.span
        member = Member(snapshot.full if detail is _FULL else snapshot.minimal, location_of(span))
        self._remember(member)
        changed = [*moment.positional]
        fields = changed[self._place]
        if type(fields) is str:
            changed[self._place] = spliced(fields, f"{self._name_in_text}{member.as_json()}", bool(content))
        else:
            changed[self._place] = {**content, self._name: member.as_object()}
        moment.positional = tuple(changed)
        self._count_full() if detail is _FULL else self._count_minimal()


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
