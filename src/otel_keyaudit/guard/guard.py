"""The only place that catches ``Exception``: an error in our own work is reported and never reaches the application.

OpenTelemetry: "API methods MUST NOT throw unhandled exceptions" (specification, error handling). A ``BaseException`` is
never caught: a cancellation, an exit or an interrupt belongs to the application. So does the exception of one of its
signal handlers, whatever its class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from logging import Logger, getLogger
from typing import Any, TypeVar

from otel_keyaudit.errors import printable
from otel_keyaudit.guard.signals import is_raised_by_signal_handler

logger: Logger = getLogger("otel_keyaudit")
Result = TypeVar("Result")

Step = tuple[str, Callable[..., object]]
"""A stage (``keyaudit.stage``) and the work that is done in it."""


class Guard:
    """Runs our own work; ``report`` decides about an error."""

    def run(self, steps: Iterable[Step], *args: Any) -> None:
        """Run steps in order. A step that fails is reported under its stage; the others still run.

        Args:
            steps: The stage and the work of each.
            *args: The arguments of each work.
        """
        for stage, work in steps:
            try:
                work(*args)
            except Exception as error:  # noqa: PERF203 - the guard
                if is_raised_by_signal_handler(error):
                    raise
                self.report(stage, error)

    def guarded(self, stage: str, work: Callable[..., Result], *args: Any) -> Result | None:
        """Return the result of some work, ``None`` if it fails."""
        try:
            return work(*args)
        except Exception as error:
            if is_raised_by_signal_handler(error):
                raise
            self.report(stage, error)
            return None

    def report(self, stage: str, error: BaseException) -> None:
        """Ignore the error: nobody depends on this work."""


def quietly(work: Callable[..., Result], *args: Any) -> Result | None:
    """Return the result of some work, ``None`` if it fails; for work whose failure nobody needs to know."""
    try:
        return work(*args)
    except Exception as error:
        if is_raised_by_signal_handler(error):
            raise
        return None


run_silently = quietly


def boxed(work: Callable[..., Result], *args: Any) -> tuple[Result]:
    """Return the result of some work in a tuple, which tells a result of ``None`` from a failure."""
    return (work(*args),)


def log(level: int, message: str, *args: object) -> None:
    """Log one line that begins with ``keyaudit: ``; a handler that raises does no harm.

    Names of classes and targets may hold line breaks: they are escaped, so that nobody forges a line.
    """
    quietly(_log, level, message, args)


def _log(level: int, message: str, args: tuple[object, ...]) -> None:
    if logger.isEnabledFor(level):
        logger.log(level, "keyaudit: %s", printable(message % args if args else message))
