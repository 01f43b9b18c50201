"""Distinguish an anonymous request from a denied one, if the library raises for both."""

from __future__ import annotations

from collections.abc import Callable

from otel_keyaudit.targets.call import Call


def unless_raised(*names: str) -> Callable[[Call], bool]:
    """Return a ``when`` that ignores calls which raised an exception of one of these class names."""
    return lambda call: type(call.exc).__name__ not in names
