"""Observe methods that an application implements for a library, whose names a preset cannot know.

The library's method that calls them runs for every request. It leads to the class that implements the method, which is
then patched, also in an application that was built before ``instrument()``.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import RLock
from typing import Any
from weakref import WeakSet

from otel_keyaudit.guard.guard import Guard
from otel_keyaudit.names import STAGE_AUTHENTICATION
from otel_keyaudit.patching.patch import Found, find
from otel_keyaudit.targets.target import AuthTarget


class ImplementedTarget(AuthTarget):
    """A method that authenticates and that an application implements for a library.

    Args:
        path: The library's method that calls the implementation, as ``package.module:Qualified.name``.
        method: The implementation, seen from ``self`` of the library's method: ``name`` or ``attribute.name``.
        **fields: The fields of an ``AuthTarget``, for the calls of the implementation.
    """

    method: str

    def __init__(self, path: str, *, method: str, **fields: str | Callable[[Any], Any]) -> None:
        super().__init__(path, **fields)
        object.__setattr__(self, "method", method)


class Implementations:
    """Patches the implementation in each class that a call leads to.

    Args:
        method: As in the target.
        put_on: Patches an implementation.
        guard: Returns the guard that counts an implementation that cannot be found.
    """

    def __init__(self, method: str, put_on: Callable[[Found], None], guard: Callable[[], Guard]) -> None:
        self._attribute, _, self._name = method.rpartition(".")
        self._put_on = put_on
        self._guard = guard
        self._known: WeakSet[type] = WeakSet()
        self._lock = RLock()

    def observe(self, args: tuple[Any, ...], _: dict[str, Any], __: object) -> None:
        """Find the implementation that a call leads to; the call itself passes through."""
        self._guard().guarded(STAGE_AUTHENTICATION, self._look, args)

    def _look(self, args: tuple[Any, ...]) -> None:
        owner = getattr(args[0], self._attribute) if self._attribute else args[0]
        if type(owner) in self._known:
            return
        with self._lock:  # another thread waits until the method is patched
            if type(owner) not in self._known:
                try:
                    self._put_on(_implementation(owner, self._name))
                finally:
                    self._known.add(type(owner))


def _implementation(owner: Any, name: str) -> Found:
    """Return the method of the class that defines it, so that it is patched once for all subclasses."""
    return find(next((one for one in type(owner).__mro__ if name in vars(one)), owner), name)
