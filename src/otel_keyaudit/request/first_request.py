"""The last moment to find targets: before the first request, or the first key that is set by hand.

A script that was started (``python worker.py``) is never imported, so no import tells when its functions are there.
"""

from __future__ import annotations

from collections.abc import Callable

from otel_keyaudit.guard.guard import run_silently

_waiting: list[Callable[[], object]] = []


def before_first_use(prepare: Callable[[], object]) -> None:
    """Have something done once, before the library is first made use of; it takes the place of what waited before."""
    _waiting[:] = [prepare]


def never_before_first_use() -> None:
    """Forget what waits."""
    _waiting.clear()


def come_first() -> None:
    """Do what waits, once."""
    if _waiting:
        run_silently(_waiting.pop())
