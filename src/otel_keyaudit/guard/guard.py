"""The only module that catches ``Exception``: errors of the library are reported and never reach the application.

OpenTelemetry: "API methods MUST NOT throw unhandled exceptions" (specification, error handling). ``BaseException`` is
never caught, because a cancellation, an exit or an interrupt belongs to the application. So does any exception that one
of its signal handlers raises.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from logging import Handler, Logger, getLogger
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

    def guarded(
        self, stage: str, work: Callable[..., Result], *args: Any, otherwise: Result | None = None
    ) -> Result | None:
        """Call a function and return its result, ``otherwise`` if it fails."""
        try:
            return work(*args)
        except Exception as error:
            if is_raised_by_signal_handler(error):
                raise
            self.report(stage, error)
            return otherwise

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


def quietly(work: Callable[..., Result], *args: Any, otherwise: Result | None = None) -> Result | None:
    """Call a function and return its result, ``otherwise`` if it fails. The failure is neither counted nor logged."""
    try:
        return work(*args)
    except Exception as error:
        if is_raised_by_signal_handler(error):
            raise
        return otherwise


def log(level: int, message: str, *args: object) -> None:
    """Log one line that begins with ``keyaudit: ``. Errors of log handlers are ignored.

    Line breaks are escaped, so that the name of a class or a target cannot forge a line.
    """
    quietly(_log, level, message, args)


def _log(level: int, message: str, args: tuple[object, ...]) -> None:
    if logger.isEnabledFor(level):
        line = one_line(message % args if args else message)
        logger.log(level, "keyaudit: %s", line)
        quietly(_print_if_hidden, level, line)


def _print_if_hidden(level: int, line: str) -> None:
    """Print a line to standard error, as Python does if there are no handlers, unless there are handlers of others.

    OpenTelemetry adds its own handler to the root logger. If the application does not configure logging, Python
    prints no warnings any more because of that handler, so a warning about a wrong target would be in no output.
    """
    last_resort, handlers = logging.lastResort, list(_handlers())
    if last_resort is None or level < last_resort.level or not handlers:
        return
    record = logger.makeRecord(logger.name, level, "", 0, "keyaudit: %s", (line,), None)
    if all(type(handler).__module__.startswith("opentelemetry.") for handler in handlers) and logger.filter(record):
        last_resort.handle(record)


def _handlers() -> Iterator[Handler]:
    """Yield the handlers that receive a record of the logger."""
    current: Logger | None = logger
    while current is not None:
        yield from current.handlers
        current = current.parent if current.propagate else None
