"""Targets for methods that applications override, whose paths a preset cannot know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from otel_keyaudit.targets.base_target import Target
from otel_keyaudit.targets.target import AuthTarget, AuthzTarget


class OverrideTarget(Target):
    """A method that an application overrides for a library.

    Args:
        path: The library's method that calls the override, as ``package.module:Qualified.name``.
        method: The overridden method, read from ``self`` of the library's method: ``name`` or ``attribute.name``.
        **fields: The fields of the target, which apply to the calls of the override.
    """

    method: str

    def __init__(self, path: str, *, method: str, **fields: str | Callable[[Any], Any]) -> None:
        super().__init__(path, **fields)
        object.__setattr__(self, "method", method)


class AuthOverrideTarget(OverrideTarget, AuthTarget):
    """An overridden method that authenticates."""


class AuthzOverrideTarget(OverrideTarget, AuthzTarget):
    """An overridden method that makes a decision, or that returns the required permissions."""
