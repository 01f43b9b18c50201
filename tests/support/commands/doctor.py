"""Targets as ``otel-keyaudit doctor`` observes them."""

from __future__ import annotations

from typing import Any

from otel_keyaudit.cli.doctor.observations import TargetReport
from otel_keyaudit.installation.status import OBSERVED


def observed(target: str = "shop:record", **more: Any) -> dict[str, Any]:
    """Return the totals of a target in one process."""
    return {
        "target": target, "kind": "audit", "state": "active", "reason": OBSERVED, "preset": None,
        "calls": 1, "outcomes": {}, "unreadable": {}, "last_member": None,
        "excluded": 0, "earlier": None, **more,
    }  # fmt: skip


def report(**more: Any) -> TargetReport:
    """Return a target over all processes."""
    return TargetReport(**observed(**more))
