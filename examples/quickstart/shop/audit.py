"""The audit log: one row for each action."""

import json
import sqlite3
from collections.abc import Mapping
from typing import Any, Protocol


class Named(Protocol):
    """An object with a name."""

    @property
    def name(self) -> str:
        """Return the name."""


def record(
    connection: sqlite3.Connection,
    actor: str,
    action: str,
    resource_type: str,
    resource_id: str,
    additional_fields: Mapping[str, Any] | None = None,
    subject: Named | None = None,
    outcome: str = "ok",
) -> None:
    """Write one audit row.

    Args:
        connection: The database.
        actor: The owner of the key.
        action: The action, such as "create".
        resource_type: The kind of resource.
        resource_id: The id of the resource.
        additional_fields: More details, stored as JSON.
        subject: The object that the row is about, if it has a name.
        outcome: "ok" or "denied".
    """
    name = None if subject is None else subject.name
    connection.execute(
        "INSERT INTO audit_log (actor, action, resource_type, resource_id, resource_name, outcome, additional_fields)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (actor, action, resource_type, resource_id, name, outcome, json.dumps(additional_fields or {})),
    )
