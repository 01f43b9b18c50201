"""Count failures of the library, and log each kind once per target."""

from __future__ import annotations

from logging import WARNING

from otel_keyaudit.errors import UnreadableError, class_name
from otel_keyaudit.guard.collection import outside_collection
from otel_keyaudit.guard.guard import Guard, log, quietly
from otel_keyaudit.guard.metrics import Metrics

MAX_WARNINGS = 1_000
"""Maximum number of distinct warnings. They are distinguished by exception class, and an application may create
any number of them."""


class Faults:
    """Counts and logs the failures between ``instrument()`` and ``uninstrument()``.

    Args:
        metrics: Holds the counter ``keyaudit.degraded``.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._logged: dict[tuple[str, ...], object] = {}

    def count(self, target: str, stage: str, error: BaseException) -> None:
        """Count one failure, and log the first of its kind.

        Args:
            target: The target string.
            stage: ``keyaudit.stage``.
            error: The failure. Only the library's own errors are quoted, because any other message may contain a
                secret.
        """
        kind = class_name(error)
        self._metrics.degraded.add(stage, kind)
        explanation = f": {error}" if isinstance(error, UnreadableError) else ""
        self.warn_once((target, stage, kind), "%s: %s failed with %s%s", target, stage, kind, explanation)

    def warn_once(self, occasion: tuple[str, ...], message: str, *args: object, level: int = WARNING) -> None:
        """Log a line the first time that an occasion arises."""
        if occasion not in self._logged and len(self._logged) < MAX_WARNINGS:
            mark = object()
            if self._logged.setdefault(occasion, mark) is mark:  # no other thread was faster
                outside_collection(log, level, message, *args)


class GuardedCall(Guard):
    """Guards the library's work around one call. Each stage that fails is counted at most once.

    Args:
        faults: Counts and logs the failures.
        target_string: The target string, or another name of the guarded work.
    """

    _failed_stages: tuple[str, ...] = ()

    def __init__(self, faults: Faults, target_string: str) -> None:
        self.faults = faults
        self.target_string = target_string

    def report(self, stage: str, error: BaseException) -> None:
        """Count and log an error."""
        if stage and stage not in self._failed_stages:
            self._failed_stages += (stage,)
            quietly(self.faults.count, self.target_string, stage, error)
