"""What is done around the calls of an audit target, and in which order: what the target needs of all there is to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from otel_keyaudit import names
from otel_keyaudit.guard.guard import Step
from otel_keyaudit.key.canonical import MAX_LENGTH
from otel_keyaudit.names import STAGE_AUDIT, STAGE_MERGE, STAGE_SAMPLING, STAGE_TELEMETRY
from otel_keyaudit.observers.audit import AuditMoment
from otel_keyaudit.observers.audit_plan import AuditPlan, event_value
from otel_keyaudit.patching.wrappers import Observe
from otel_keyaudit.targets.call import Reader
from otel_keyaudit.targets.presented_credential import check


def observer(plan: AuditPlan) -> Observe:
    """Return what observes the calls of an audit target; for a call that is not meant it returns ``None``."""
    when = None if plan.when_needs_result else plan.when
    before = _before(plan)

    def observe(args: tuple[Any, ...], kwargs: dict[str, Any], _: object) -> AuditMoment | None:
        if not plan.is_on:
            return None
        moment = AuditMoment(plan, args, kwargs)
        if when is not None and not moment.holds(STAGE_AUDIT, when):
            return None
        moment.run(before, moment)
        return moment

    plan.when_built = _when_built(plan)
    plan.when_returned, plan.when_raised = _at_end(plan)
    return observe


def _before(plan: AuditPlan) -> list[Step]:
    """Return what is done before the original is called: find key and detail, show them, and give them to the row."""
    steps: list[Step] = [(STAGE_AUDIT, AuditMoment.find_key)]
    if plan.when_needs_result:
        return steps
    steps += _notes(plan.early)
    if plan.builds_fields:
        return steps + _shows(plan)
    steps += _choices(plan) + _shows(plan)
    if plan.place is not None:
        steps.append((STAGE_MERGE, AuditMoment.merge_into_argument))
    return [*steps, (STAGE_AUDIT, AuditMoment.count)]


def _when_built(plan: AuditPlan) -> list[Step]:
    """Return what is done when a function has returned the additional fields."""
    late = _late_notes(plan) + _choices(plan) + _shows(plan)
    return [*late, (STAGE_MERGE, AuditMoment.merge_into_result), (STAGE_AUDIT, AuditMoment.count)]


def _at_end(plan: AuditPlan) -> tuple[list[Step], list[Step]]:
    """Return what is done when the original has returned, and when it has raised."""
    confirm: list[Step] = [(STAGE_SAMPLING, AuditMoment.confirm)] if plan.runtime.sampler.takes_note else []
    end: list[Step] = []
    if plan.late.keys() - {names.AUDIT_OUTCOME}:
        end.append((STAGE_TELEMETRY, AuditMoment.show_late_on_server_span))
    if plan.has_span and plan.when_needs_result:
        end.append((STAGE_TELEMETRY, AuditMoment.show_late_on_audit_span))
    if plan.has_span:
        end.append((STAGE_TELEMETRY, AuditMoment.end_span))
    late = _late_notes(plan)
    return [*([] if plan.builds_fields else late), *confirm, *end], [*late, *end]


def _late_notes(plan: AuditPlan) -> list[Step]:
    return [(STAGE_AUDIT, AuditMoment.renew_event), *_notes(plan.late)] if plan.late else []


def _notes(readers: Mapping[str, Reader]) -> list[Step]:
    return [(STAGE_AUDIT, _note(name, read)) for name, read in readers.items()]


def _note(name: str, read: Reader) -> Callable[[AuditMoment], None]:
    """Return what takes note of one field of the event, under the attribute that shows it."""

    def note(moment: AuditMoment) -> None:
        value = read(moment, None)
        if type(value) is not str or len(value) > MAX_LENGTH or not value.isascii():  # else it is kept as it is
            value = event_value(name, value)
            if value is None:
                return
        if moment.presented and type(value) is str:
            check(value, moment.presented)
        moment.event[name] = value

    return note


def _choices(plan: AuditPlan) -> list[Step]:
    subject: list[Step] = [] if plan.subject is None else [(STAGE_AUDIT, AuditMoment.read_subject)]
    sample: list[Step] = [] if plan.runtime.sampler.constant else [(STAGE_SAMPLING, AuditMoment.ask_sampler)]
    return [*subject, (STAGE_AUDIT, AuditMoment.encode), *sample]


def _shows(plan: AuditPlan) -> list[Step]:
    """Return what shows the write on the server span, and on a span of its own."""
    server_span: Step = STAGE_TELEMETRY, AuditMoment.show_on_server_span
    return [server_span, (STAGE_TELEMETRY, AuditMoment.show_on_audit_span)] if plan.has_span else [server_span]
