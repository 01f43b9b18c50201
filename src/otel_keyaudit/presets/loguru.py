"""loguru: the events of audit logs, as each sink receives them.

``Logger._log`` cannot be the target, because it determines the calling line from the frames above it.
"""

from __future__ import annotations

from typing import Any

from otel_keyaudit.presets._audit_logs import RECORDS, event_fields, is_audit_log
from otel_keyaudit.presets._definition import Preset
from otel_keyaudit.targets.call import Call
from otel_keyaudit.targets.target import AuditTarget


def _extra(call: Call) -> Any:
    return call.args["record"]["extra"]


def _is_audit(call: Call) -> bool:
    """Return whether the sink's level accepts an event of an audit log."""
    record, extra = call.args["record"], _extra(call)
    names = record["name"], extra.get("logger"), extra.get("logger_name"), extra.get("name")
    return bool(call.self._levelno <= record["level"].no) and any(map(is_audit_log, names))


PRESET = Preset(
    library="loguru",
    oldest="0.7",
    records="a member of `extra`. It is written for modules with a part `audit` in their name, such as "
    "`shop.audit`, and for loggers that are bound to such a name (`logger.bind(logger='audit')`, `logger_name` "
    f"or `name`). Each sink that accepts the level of an event counts as one write; {RECORDS}",
    never="the message and its arguments",
    targets=(
        AuditTarget("loguru._handler:Handler.emit", fields="args.record.extra", when=_is_audit, **event_fields(_extra)),
    ),
)
