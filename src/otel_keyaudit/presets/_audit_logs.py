"""Which logs are audit logs, and what their events say of themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from otel_keyaudit.targets.call import Call

RECORDS = "action, type, id and outcome, where an event has `action`, `resource_type`, `resource_id`, `outcome`"


def is_audit_log(name: object) -> bool:
    """Say whether a logger is one for audit events: a part of its name is ``audit``, as in ``shop.audit``."""
    return isinstance(name, str) and "audit" in name.split(".")


def event_fields(event: Callable[[Call], Mapping[str, Any] | None]) -> dict[str, Callable[[Call], Any]]:
    """Return the fields of a target whose events are mappings; any of them may be absent."""

    def member(name: str) -> Callable[[Call], Any]:
        return lambda call: (event(call) or {}).get(name)

    return {name: member(name) for name in ("action", "resource_type", "resource_id", "outcome")}
