"""Recognize loggers of audit logs, and read the fields of their events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from otel_keyaudit.targets.call import Call

RECORDS = "action, type, id and outcome, if the event has `action`, `resource_type`, `resource_id`, `outcome`"


def is_audit_log(name: object) -> bool:
    """Return whether a part of a logger's name is ``audit``, as in ``shop.audit``."""
    return isinstance(name, str) and "audit" in name.split(".")


def event_fields(event: Callable[[Call], Mapping[str, Any] | None]) -> dict[str, Callable[[Call], Any]]:
    """Return the fields of a target whose events are mappings. Each member may be absent."""

    def member(name: str) -> Callable[[Call], Any]:
        return lambda call: (event(call) or {}).get(name)

    return {name: member(name) for name in ("action", "resource_type", "resource_id", "outcome")}
