"""The only module that catches ``Exception``: errors of the library are reported and never reach the application.

OpenTelemetry: "API methods MUST NOT throw unhandled exceptions" (specification, error handling). ``BaseException`` is
never caught, because a cancellation, an exit or an interrupt belongs to the application. So does any exception that one
of its signal handlers raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from logging import Logger, getLogger
from typing import Any, TypeVar

from otel_keyaudit.errors import one_line
from otel_keyaudit.guard.signals import is_raised_by_signal_handler

logger: Logger = getLogger("otel_keyaudit")
Result = TypeVar("Result")

Step = tuple[str, Callable[[Any], object]]
"""A stage (``keyaudit.stage``) and the method of the guard's class that runs in it."""


class Guard:
    """Runs the library's own functions. Subclasses override ``report`` to handle an error."""

    def run(self, steps: Iterable[Step]) -> None:
        """Run steps in order. A step that fails is reported under its stage, and the next ones still run."""
        for stage, work in steps:
            try:
                work(self)
            except Exception as error:  # noqa: PERF203 - the guard
                if is_raised_by_signal_handler(error):
                    raise
                self.report(stage, error)

    def guarded(self, stage: str, work: Callable[..., Result], *args: Any) -> Result | None:
        """Call a function and return its result, ``None`` if it fails."""
        try:
            return work(*args)
        except Exception as error:
            if is_raised_by_signal_handler(error):
                raise
            self.report(stage, error)
            return None

    def report(self, stage: str, error: BaseException) -> None:
        """Ignore the error. Subclasses count or log it."""


class FieldGuard(Guard):
    """Guards the reading of fields, whose names take the place of the stages.

    Args:
        report: Called with the name and the error of each field that cannot be read.

    Attributes:
        has_failed: A field could not be read.
    """

    has_failed = False

    def __init__(self, report: Callable[[str, BaseException], object]) -> None:
        self._report = report

    def report(self, field: str, error: BaseException) -> None:
        """Report an unreadable field."""
        self.has_failed = True
        self._report(field, error)


def quietly(work: Callable[..., Result], *args: Any) -> Result | None:
    """Call a function and return its result, ``None`` if it fails. The failure is neither counted nor logged."""
    try:
        return work(*args)
    except Exception as error:
        if is_raised_by_signal_handler(error):
            raise
        return None


def boxed(work: Callable[..., Result], *args: Any) -> tuple[Result]:
    """Call a function and return its result in a tuple, so that a result of ``None`` differs from a failure."""
    return (work(*args),)


def log(level: int, message: str, *args: object) -> None:
    """Log one line that begins with ``keyaudit: ``. Errors of log handlers are ignored.

    Line breaks are escaped, so that the name of a class or a target cannot forge a line.
    """
    quietly(_log, level, message, args)


def _log(level: int, message: str, args: tuple[object, ...]) -> None:
    if logger.isEnabledFor(level):
        logger.log(level, "keyaudit: %s", one_line(message % args if args else message))
