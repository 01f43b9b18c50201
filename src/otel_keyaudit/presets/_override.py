"""A target for a method that applications override, so that no preset can know its path."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from otel_keyaudit.targets.target import AuthTarget


class OverrideTarget(AuthTarget):
    """A method that authenticates and that an application overrides for a library.

    Args:
        path: The library's method that calls it, as ``package.module:Qualified.name``.
        method: The overridden method, from the ``self`` of the library's method: ``name`` or ``attribute.name``.
        **fields: The fields of an ``AuthTarget``, for the calls of the override.
    """

    method: str

    def __init__(self, path: str, *, method: str, **fields: str | Callable[[Any], Any]) -> None:
        super().__init__(path, **fields)
        object.__setattr__(self, "method", method)
