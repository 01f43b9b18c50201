"""Methods that an application implements for a library: each is found when the library's own method leads to it.

They have no name that a preset could know. The library's method that calls them runs for every request, so an
application that was built before ``instrument()`` is reached as well.
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
    """A method that authenticates, which an application implements for a library.

    Args:
        path: The library's method that calls it, as ``package.module:Qualified.name``.
        method: The method, from the ``self`` of that one: ``name``, or ``attribute.name``.
        **fields: Those of an ``AuthTarget``, for the calls of the implementation.
    """

    method: str

    def __init__(self, path: str, *, method: str, **fields: str | Callable[[Any], Any]) -> None:
        super().__init__(path, **fields)
        object.__setattr__(self, "method", method)


class Implementations:
    """Puts a target on the implementations, one for each class that a call leads to.

    Args:
        method: As the target says.
        put_on: Puts the target on one.
        guard: Makes what counts that one could not be found.
    """

    def __init__(self, method: str, put_on: Callable[[Found], None], guard: Callable[[], Guard]) -> None:
        self._attribute, _, self._name = method.rpartition(".")
        self._put_on = put_on
        self._guard = guard
        self._known: WeakSet[type] = WeakSet()
        self._lock = RLock()

    def observe(self, args: tuple[Any, ...], _: dict[str, Any], __: object) -> None:
        """Look at who implements the method in a call that begins; the call itself is passed through."""
        self._guard().guarded(STAGE_AUTHENTICATION, self._look, args)

    def _look(self, args: tuple[Any, ...]) -> None:
        owner = getattr(args[0], self._attribute) if self._attribute else args[0]
        if type(owner) in self._known:
            return
        with self._lock:  # another thread goes on only when the target is on; a finalizer in this one goes on at once
            if type(owner) not in self._known:
                try:
                    self._put_on(_implementation(owner, self._name))
                finally:
                    self._known.add(type(owner))


def _implementation(owner: Any, name: str) -> Found:
    """Return a method where it is defined, so that it is observed once for all classes that inherit it."""
    return find(next((one for one in type(owner).__mro__ if name in vars(one)), owner), name)
