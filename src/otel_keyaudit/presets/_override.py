"""Targets for methods that applications override, so that no preset can know their paths."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from otel_keyaudit.targets.target import AuthTarget, AuthzTarget, Target


class OverrideTarget(Target):
    """A method that an application overrides for a library.

    Args:
        path: The library's method that calls it, as ``package.module:Qualified.name``.
        method: The overridden method, from the ``self`` of the library's method: ``name`` or ``attribute.name``.
        **fields: The fields of the target, for the calls of the override.
    """

    method: str

    def __init__(self, path: str, *, method: str, **fields: str | Callable[[Any], Any]) -> None:
        super().__init__(path, **fields)
        object.__setattr__(self, "method", method)


class AuthOverrideTarget(OverrideTarget, AuthTarget):
    """An overridden method that authenticates."""


class AuthzOverrideTarget(OverrideTarget, AuthzTarget):
    """An overridden method that decides, or that returns a requirement."""
