"""Find the methods of a library that an application overrides, when the library's own method calls them.

The library's method runs for every request, so overrides are found even in an application that was built before
``instrument()``.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import RLock
from typing import Any

from otel_keyaudit.guard.guard import Guard
from otel_keyaudit.key.cache import Cache
from otel_keyaudit.patching.resolve import resolve
from otel_keyaudit.patching.resolved_callable import ResolvedCallable

MAX_CLASSES = 256
"""Maximum number of classes that are remembered. The override of a forgotten class is found again."""


class MethodOverrides:
    """Finds the override of each class that a library's method calls.

    Args:
        method: The overridden method, as in :class:`OverrideTarget`.
        found: Called with each override, in order to observe it.
        guard: Returns the guard of one search.
        stage: The stage under which a failed search is counted.
    """

    def __init__(
        self, method: str, found: Callable[[ResolvedCallable], None], guard: Callable[[], Guard], stage: str
    ) -> None:
        self._attribute, _, self._name = method.rpartition(".")
        self._found = found
        self._guard = guard
        self._stage = stage
        self._known: Cache[type, bool] = Cache(lambda _: 1, entries=MAX_CLASSES)
        self._lock = RLock()

    def observe(self, args: tuple[Any, ...], _: dict[str, Any], __: object) -> None:
        """Find the override that a call of the library's method will call. The call itself is not observed."""
        self._guard().guarded(self._stage, self._find, args)

    def _find(self, args: tuple[Any, ...]) -> None:
        owner = getattr(args[0], self._attribute) if self._attribute else args[0]
        kind = type(owner)
        if self._known.get(kind):
            return
        with self._lock:  # other threads wait until the override is observed; signal handlers may enter it again
            if not self._known.get(kind):
                try:
                    self._found(_override(owner, self._name))
                finally:
                    self._known.keep(kind, True)


def _override(owner: Any, name: str) -> ResolvedCallable:
    """Resolve a method in the class that defines it, so that it is observed once for all classes that inherit it."""
    return resolve(next((kind for kind in type(owner).__mro__ if name in vars(kind)), owner), name)
