"""Distinguish anonymous from denied requests of libraries that raise for both."""

from __future__ import annotations

from collections.abc import Callable

from otel_keyaudit.targets.call import Call


def unless_raised(*names: str) -> Callable[[Call], bool]:
    """Return a ``when`` function that skips calls that raised an exception with one of these class names."""
    return lambda call: type(call.exc).__name__ not in names
