"""structlog: the events of audit logs when they are rendered.

Rendering is the last step. Earlier processors cannot be targets, because they may determine the calling line from the
frames above them.
"""

from __future__ import annotations

from typing import Any

from otel_keyaudit.presets._audit_logs import MARKS, RECORDS, event_fields, is_audit_event, is_audit_log
from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.targets.call import Call
from otel_keyaudit.targets.target import AuditTarget

_RENDERERS = (
    "processors:JSONRenderer.__call__",
    "processors:KeyValueRenderer.__call__",
    "processors:LogfmtRenderer.__call__",
    "dev:ConsoleRenderer.__call__",
    "stdlib:render_to_log_kwargs",
)


def _event(call: Call) -> Any:
    return call.argument("event_dict")


def _is_audit(call: Call) -> bool:
    """Return whether the logger is an audit log, or the event is marked as one of an audit log."""
    logger, _, event = call.positional[-3:]
    level = str(event.get("level", "")).upper()
    return is_audit_log(getattr(logger, "name", None)) or is_audit_event(level, event)


def _target(renderer: str) -> AuditTarget:
    return AuditTarget(f"structlog.{renderer}", fields="args.event_dict", when=_is_audit, **event_fields(_event))


PRESET = Preset(
    library="structlog",
    oldest="24.1",
    records="a member of the event. It is written for loggers with a part `audit` in the name of the standard "
    f"library's logger, and {MARKS}; {RECORDS}. Supported renderers: JSON, key "
    "and value, logfmt, console, and the standard library's `extra`",
    never="the message of the event",
    targets=tuple(map(_target, _RENDERERS)),
    optional_targets={"structlog 25.1": (_target("stdlib:render_to_log_args_and_kwargs"),)},
)
