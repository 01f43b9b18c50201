"""Functions of an application that return keys, without a preset."""

from __future__ import annotations

from typing import Any


def look_up(found: Any) -> Any:
    return found


def record(action: str, key: Any, additional_fields: dict[str, Any] | None = None) -> None:
    """Stand in for the application's audit log; the tests record the calls."""
