"""Count and log what goes wrong with a request outside of the calls of targets."""

from __future__ import annotations

from typing import Final

from otel_keyaudit.errors import ForeignContextError
from otel_keyaudit.guard.faults import Faults
from otel_keyaudit.names import STAGE_AUTHENTICATION

_active: Final[list[Faults]] = []


def report_to(faults: Faults) -> None:
    """Begin to count, until :func:`report_to_nobody`."""
    _active[:] = [faults]


def report_to_nobody() -> None:
    """Stop counting."""
    _active.clear()


def report_left_elsewhere() -> None:
    """Report a ``use_key`` that was left in another context than the one in which it was entered."""
    for faults in _active:
        error = ForeignContextError(
            "it was left in another context than it was entered in, so rows in between may name its key; an async "
            "generator that is not exhausted needs contextlib.aclosing()"
        )
        faults.count("use_key", STAGE_AUTHENTICATION, error)


def report_shared_worker() -> None:
    """Report a row that is written by a worker which serves several requests."""
    for faults in _active:
        faults.warn_once(
            ("shared worker",),
            "a worker that was started in a request took another request's item from a queue, so its rows name no key; "
            "make the function that puts the items the audit target, or send the key along with each item and write "
            "the row in use_key(key)",
        )
