"""Resolve the remaining targets before the first request or the first ``use_key``.

A script (``python worker.py``) is never imported, so no import reports that its functions exist.
"""

from __future__ import annotations

from collections.abc import Callable

from otel_keyaudit.guard.guard import quietly

pending: list[Callable[[], object]] = []
"""The preparation that has not run yet, if there is one."""


def schedule_preparation(prepare: Callable[[], object]) -> None:
    """Call a function once, before the first request. It replaces an earlier function that has not run."""
    pending[:] = [prepare]


def cancel_preparation() -> None:
    """Cancel the preparation that has not run."""
    pending.clear()


def prepare_first_request() -> None:
    """Run the preparation, unless it has run."""
    if pending:
        quietly(_prepare)


def _prepare() -> None:
    pending.pop()()  # which fails in a second thread with a first request
