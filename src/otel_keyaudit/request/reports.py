"""Count and log problems with the context of a request, which no call of a target can report."""

from __future__ import annotations

from typing import Final

from otel_keyaudit.errors import ForeignContextError
from otel_keyaudit.guard.faults import Faults
from otel_keyaudit.names import STAGE_AUTHENTICATION

_active: Final[list[Faults]] = []


def start_reporting(faults: Faults) -> None:
    """Report problems to a counter of failures, until :func:`stop_reporting`."""
    _active[:] = [faults]


def stop_reporting() -> None:
    """Report no more problems."""
    _active.clear()


def report_left_elsewhere() -> None:
    """Report a ``use_key`` block that was entered in one context and left in another."""
    for faults in _active:
        error = ForeignContextError(
            "it was entered in one context and left in another, so rows in between may name its key or miss it; "
            "make a function that yields inside the block async, and close an async generator with "
            "contextlib.aclosing()"
        )
        faults.count("use_key", STAGE_AUTHENTICATION, error)


def report_shared_worker() -> None:
    """Report a row that a worker of several requests writes."""
    for faults in _active:
        faults.warn_once(
            ("shared worker",),
            "a worker that was started in a request took another request's item from a queue, so its rows name no key; "
            "make the function that puts the items the audit target, or send the key along with each item and write "
            "the row in use_key(key)",
        )
