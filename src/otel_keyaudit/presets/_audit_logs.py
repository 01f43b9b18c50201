"""Recognize events of audit logs, and read their fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from otel_keyaudit.targets.call import Call

_NAMES: Final = ("logger", "logger_name", "channel", "category", "log_type")
"""Members of an event that name its log."""

_PARTS: Final = frozenset({"audit", "audit_log", "audit-log", "auditlog", "audit_trail", "audit-trail"})
"""Parts of the names of audit logs. Longer ones, such as ``audit_utils``, may be modules that log anything."""

MARKS = (
    "for events with the level `AUDIT`, with a member `audit` that is true, and with a member `logger`, "
    "`logger_name`, `channel`, `category` or `log_type` that has such a name"
)
RECORDS = "action, type, id and outcome, if the event has `action`, `resource_type`, `resource_id`, `outcome`"


def is_audit_log(name: object) -> bool:
    """Return whether a part of a logger's name is ``audit`` or the like, as in ``shop.audit`` or ``audit_log``."""
    return isinstance(name, str) and not _PARTS.isdisjoint(name.lower().split("."))


def is_audit_event(level: object, members: Mapping[str, Any]) -> bool:
    """Return whether an event is marked as one of an audit log, by its level or by a member."""
    if level == "AUDIT" or members.get("audit") is True:
        return True
    return any(is_audit_log(members.get(name)) for name in _NAMES)


def event_fields(event: Callable[[Call], Mapping[str, Any] | None]) -> dict[str, Callable[[Call], Any]]:
    """Return the fields of a target whose events are mappings. Each member may be absent."""

    def member(name: str) -> Callable[[Call], Any]:
        def read(call: Call) -> Any:
            return (event(call) or {}).get(name)

        read.__qualname__ = f"_{name}"  # the name in the target
        return read

    return {name: member(name) for name in ("action", "resource_type", "resource_id", "outcome")}
