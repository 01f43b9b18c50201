"""The audit log: who did what to which resource."""

import json
import sqlite3
from collections.abc import Mapping
from typing import Any, Protocol


class Named(Protocol):
    """Anything that has a name to write beside its id."""

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
        actor: The person who answers for it.
        action: What was done, such as "create".
        resource_type: The kind of thing it was done to.
        resource_id: Which one.
        additional_fields: Anything else worth keeping, stored as JSON.
        subject: The object the row is about, where it has a name.
        outcome: "ok" or "denied".
    """
    name = None if subject is None else subject.name
    connection.execute(
        "INSERT INTO audit_log (actor, action, resource_type, resource_id, resource_name, outcome, additional_fields)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (actor, action, resource_type, resource_id, name, outcome, json.dumps(additional_fields or {})),
    )
