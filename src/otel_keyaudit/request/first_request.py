"""Resolve targets at the last moment: before the first request, or before the first key that is set by hand.

A script that was started (``python worker.py``) is never imported, so no import reports that its functions exist.
"""

from __future__ import annotations

from collections.abc import Callable

from otel_keyaudit.guard.guard import quietly

waiting: list[Callable[[], object]] = []
"""The work to do before the first request, if it has not been done."""


def before_first_use(prepare: Callable[[], object]) -> None:
    """Do some work once, before the first request; it replaces earlier work that still waits."""
    waiting[:] = [prepare]


def never_before_first_use() -> None:
    """Forget the work that waits."""
    waiting.clear()


def come_first() -> None:
    """Do the work that waits, once."""
    if waiting:
        quietly(waiting.pop())
