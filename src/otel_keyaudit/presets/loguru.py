"""loguru: the events of audit logs, as each sink receives them.

``Logger._log`` cannot be the target, because it determines the calling line from the frames above it.
"""

from __future__ import annotations

from typing import Any

from otel_keyaudit.presets._audit_logs import MARKS, RECORDS, event_fields, is_audit_event, is_audit_log
from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.targets.call import Call
from otel_keyaudit.targets.target import AuditTarget


def _extra(call: Call) -> Any:
    return call.args["record"]["extra"]


def _is_audit(call: Call) -> bool:
    """Return whether the sink's level accepts an event of an audit log."""
    record, extra = call.args["record"], _extra(call)
    if call.self._levelno > record["level"].no:
        return False
    names = record["name"], extra.get("name")
    return any(map(is_audit_log, names)) or is_audit_event(record["level"].name, extra)


PRESET = Preset(
    library="loguru",
    oldest="0.7",
    records="a member of `extra`. It is written for modules with a part `audit` in their name, such as "
    "`shop.audit`, for loggers that are bound to such a `name` (`logger.bind(name='audit')`), and "
    f"{MARKS} in `extra` (`logger.bind(audit=True)`). Each sink that accepts the level of an event counts as one "
    f"write; {RECORDS}",
    never="the message and its arguments",
    targets=(
        AuditTarget("loguru._handler:Handler.emit", fields="args.record.extra", when=_is_audit, **event_fields(_extra)),
    ),
)
