"""Functions of an application's that hand keys about, with no preset to know them."""

from __future__ import annotations

from typing import Any


def look_up(found: Any) -> Any:
    return found


def record(action: str, key: Any, additional_fields: dict[str, Any] | None = None) -> None:
    """Stand for the application's audit log; the tests record what arrives here."""
