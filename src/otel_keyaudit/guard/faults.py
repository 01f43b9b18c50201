"""Counts failures of our own work, and logs each kind once per target."""

from __future__ import annotations

from logging import WARNING

from otel_keyaudit.errors import UnreadableError, class_name
from otel_keyaudit.guard.guard import Guard, log, quietly
from otel_keyaudit.guard.metrics import Metrics

MOST_OCCASIONS = 1_000
"""Maximum number of warnings: classes of exceptions, which distinguish them, may be created at run time."""


class Faults:
    """The failures between ``instrument()`` and ``uninstrument()``.

    Args:
        metrics: Holds the counter ``keyaudit.degraded``.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._logged: set[tuple[str, ...]] = set()

    def count(self, target: str, stage: str, error: BaseException) -> None:
        """Count one failure, and log the first of its kind.

        Args:
            target: The target as written.
            stage: ``keyaudit.stage``.
            error: The failure. Only an error of ours is quoted: the message of any other may hold a secret.
        """
        kind = class_name(error)
        self._metrics.degraded.add(stage, kind)
        explanation = f": {error}" if isinstance(error, UnreadableError) else ""
        self.warn_once((target, stage, kind), "%s: %s failed with %s%s", target, stage, kind, explanation)

    def warn_once(self, occasion: tuple[str, ...], message: str, *args: object, level: int = WARNING) -> None:
        """Log a line the first time an occasion arises."""
        if occasion not in self._logged and len(self._logged) < MOST_OCCASIONS:
            self._logged.add(occasion)
            log(level, message, *args)


class GuardedCall(Guard):
    """Our own work around one call: each stage that fails is counted at most once.

    Args:
        faults: Counts and logs.
        written: The target as written, or another name for the work.
    """

    _failed_stages: tuple[str, ...] = ()

    def __init__(self, faults: Faults, written: str) -> None:
        self.faults = faults
        self.written = written

    def report(self, stage: str, error: BaseException) -> None:
        """Count and log an error."""
        if stage and stage not in self._failed_stages:
            self._failed_stages += (stage,)
            quietly(self.faults.count, self.written, stage, error)
