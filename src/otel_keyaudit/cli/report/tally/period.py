"""The period of the report, and the part of it that the input covers."""

from __future__ import annotations

from datetime import datetime

from otel_keyaudit.cli.report.reading.times import EARLIEST, LATEST


class Period:
    """The period of the report.

    Args:
        since: Start of the period, if it is limited.
        until: End of the period, if it is limited.

    Attributes:
        is_limited: Whether there is a start or an end.
        since: Start of the period.
        until: End of the period.
        first: Time of the first entry that was passed to :meth:`extend`, :data:`LATEST` without one.
        last: Time of the last of these entries, :data:`EARLIEST` without one.
    """

    def __init__(self, since: datetime | None, until: datetime | None) -> None:
        self.is_limited = since is not None or until is not None
        self.since = EARLIEST if since is None else since
        self.until = LATEST if until is None else until
        self.first = LATEST
        self.last = EARLIEST

    def includes(self, time: datetime | None) -> bool:
        """Check whether a time is in the period. An unknown time is in every period."""
        return time is None or self.since <= time < self.until

    def is_after_start(self, time: datetime | None) -> bool:
        """Check whether a time is not before the period."""
        return time is None or time >= self.since

    def extend(self, time: datetime | None) -> bool:
        """Note that the input covers a time if the period includes it, and return whether it does."""
        is_included = self.includes(time)
        if is_included and time is not None:
            self.first = min(self.first, time)
            self.last = max(self.last, time)
        return is_included
