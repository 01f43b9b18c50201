"""The only place that catches every ``Exception``: what fails in our own work is counted, logged once, and ends here.

OpenTelemetry: "API methods MUST NOT throw unhandled exceptions" (specification, error handling). BaseException is never
caught: a cancellation, an exit or an interrupt belongs to the application.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from logging import Logger, getLogger
from typing import Any, TypeVar

from otel_keyaudit.errors import UnreadableError, class_name
from otel_keyaudit.guard.collection import apart, collection
from otel_keyaudit.guard.metrics import Metrics

logger: Logger = getLogger("otel_keyaudit")
Result = TypeVar("Result")


Step = tuple[str, Callable[..., object]]
"""A stage, one of the names, and what is done in it."""

SILENT = ""
"""The stage of what nobody is told about when it fails."""


class Guard:
    """Runs our own work so that it cannot fail the application; what is done about a failure is up to ``report``."""

    def in_turn(self, steps: Iterable[Step], *args: Any) -> None:
        """Take one step after the other; one that fails counts as its stage, and costs no other.

        Args:
            steps: Each a stage and what is done. One that returns ``True`` has done the work of all that follow.
            *args: What each of them gets.
        """
        if collection.thread is not None and collection.is_inside_an_instruction():
            steps = [(stage, partial(apart, step)) for stage, step in steps]
        remaining, stage = iter(steps), SILENT
        while True:
            try:
                for stage, step in remaining:  # noqa: B007 - the one that fails is reported
                    if step(*args):
                        break
                return
            except Exception as error:  # noqa: BLE001 - the one place that may
                self.report(stage, error)

    def guarded(self, stage: str, work: Callable[..., Result], *args: Any) -> Result | None:
        """Return what the work returns, or ``None`` when it fails."""
        results: list[Result] = []
        self.in_turn([(stage, lambda: results.append(work(*args)))])
        return results[0] if results else None

    def report(self, stage: str, error: BaseException) -> None:
        """Say nothing: the work was worth nothing to anybody."""


def boxed(work: Callable[..., Result], *args: Any) -> tuple[Result]:
    """Return what the work returns in a tuple, which tells a result of ``None`` from a failure."""
    return (work(*args),)


run_silently = partial(Guard().guarded, SILENT)
"""Does what nobody is told about when it fails, such as a log line through a handler that raises; then ``None``."""

MOST_OCCASIONS = 1_000
"""How many warnings there are: classes of exceptions, which tell them apart, may be made at run time."""


class Faults:
    """Counts what goes wrong and logs each kind once per target, from one ``instrument()`` to the next."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._logged: set[tuple[str, ...]] = set()

    def degraded(self, target: str, stage: str, kind: str, explanation: str) -> None:
        """Count one degraded call and say so the first time.

        Args:
            target: The target as written.
            stage: ``keyaudit.stage``, one of the names.
            kind: ``error.type``.
            explanation: What it means; must hold no value that was read.
        """
        self._metrics.degraded.add(stage, kind)
        self.warn_once((target, stage, kind), "%s: %s degraded by %s%s", target, stage, kind, explanation)

    def warn_once(self, occasion: tuple[str, ...], message: str, *args: object) -> None:
        """Log a warning the first time an occasion comes up."""
        if occasion not in self._logged and len(self._logged) < MOST_OCCASIONS:
            self._logged.add(occasion)
            run_silently(logger.warning, message, *args)


class Watched:
    """What a fault is put to the account of.

    Args:
        faults: Counts and logs.
        written: The target as written.
    """

    def __init__(self, faults: Faults, written: str) -> None:
        self.faults = faults
        self.written = written


class GuardedCall(Guard):
    """One call of a target, or one of its moments: each stage that fails counts at most once."""

    _degraded: tuple[str, ...] = ()

    def __init__(self, faults: Faults, written: str) -> None:
        self.watched = Watched(faults, written)

    def report(self, stage: str, error: BaseException) -> None:
        """Count and log a failure; the text of a foreign exception may hold a secret and is never used."""
        if stage and stage not in self._degraded:
            self._degraded += (stage,)
            explanation = f" ({error})" if isinstance(error, UnreadableError) else ""
            watched = self.watched
            run_silently(watched.faults.degraded, watched.written, stage, class_name(error), explanation)
