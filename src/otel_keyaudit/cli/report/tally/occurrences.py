"""Count rows or events with the same finding, and remember the first ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

SHOWN_ROWS: Final = 5
"""Maximum number of rows that a finding names. All rows are counted."""


Seen = tuple[int | None, datetime | None, Any, Any, Any, Any]
"""The members of an :class:`Occurrence`. It is a plain tuple, because there is one for each row."""


class Occurrence(NamedTuple):
    """One row or event, with the data by which a person finds it again.

    Attributes:
        row: Number of the row, counted from 1 over all sources; ``None`` for an event.
        time: Time of the write.
        action: The action.
        resource_type: Type of the resource.
        resource_id: Id of the resource.
        trace_id: Id of the trace.
    """

    row: int | None = None
    time: datetime | None = None
    action: Any = None
    resource_type: Any = None
    resource_id: Any = None
    trace_id: str | None = None

    @property
    def about(self) -> str:
        """Action and resource, for people."""
        resource = ":".join(str(part) for part in (self.resource_type, self.resource_id) if part is not None)
        return " ".join(str(part) for part in (self.action, resource) if part)

    @classmethod
    def of(cls, seen: Seen) -> Occurrence:
        """Return the occurrence of a row. A trace id that is not a string is dropped."""
        found = cls(*seen)
        return found if isinstance(found.trace_id, str) else found._replace(trace_id=None)


_NONE: Final = Occurrence()


@dataclass(slots=True)
class Occurrences:
    """The rows or events with the same finding.

    Attributes:
        count: Number of rows or events.
        first: The first row or event.
        rows: Numbers of the first rows.
    """

    count: int = 0
    first: Occurrence = _NONE
    rows: list[int] = field(default_factory=list)

    def add(self, seen: Seen) -> None:
        """Count a row or an event."""
        if not self.count:
            self.first = Occurrence.of(seen)
        self.count += 1
        if seen[0] is not None and len(self.rows) < SHOWN_ROWS:
            self.rows.append(seen[0])
