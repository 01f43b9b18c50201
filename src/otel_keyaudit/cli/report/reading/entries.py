"""The entries of a source: audit rows, denials, usage, and unreadable lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

COLUMNS: Final = ("at", "action", "resource_type", "resource_id", "outcome", "additional_fields")
"""The columns of a row."""


Row = tuple[Any, Any, Any, Any, Any, Any]
"""One audit row, unchanged from the source. It is a plain tuple, because there are millions of rows. The additional
fields are a mapping, or a JSON object as string or bytes."""


class SourceError(ValueError):
    """Raised for a source that cannot be read. The message is one line for the user."""


class Unreadable:
    """A line that is not a JSON object."""


@dataclass(frozen=True)
class Refusal:
    """One ``keyaudit.denial`` event: a denied authentication, or a decision that was denied or failed.

    Attributes:
        time: Time of the event.
        key_id: The id of the key, if it is known.
        name: The name of the key.
        decision: The decision in the form of a row; ``None`` for an authentication.
        reason: The reason why the authentication was denied.
        trace_id: The trace.
    """

    time: datetime | None
    key_id: str | None
    name: str | None
    decision: Mapping[str, Any] | None
    reason: str | None
    trace_id: str | None


@dataclass(frozen=True)
class Usage:
    """One ``keyaudit.usage`` event of a key.

    Attributes:
        key_id: The id of the key.
        name: The name of the key.
        digest: The digest of its snapshot.
        start: Start of the interval.
        end: End of the interval.
        requests: Number of accepted authentications.
        decisions: Permission, outcome, number and last time of decisions.
    """

    key_id: str
    name: str | None
    digest: str | None
    start: datetime | None
    end: datetime | None
    requests: int
    decisions: tuple[tuple[str, str, int, datetime | None], ...]


Entry = Row | Unreadable | Refusal | Usage
